//! `Patient/$enroll`: a patient arrives with a wallet.
//!
//! In: `walletKey` (Ed25519 public key), `branches` (see [`crate::enrolment`]). Out: `patient`.
//! The wallet is a client of the authorization server from then on, as `wallet-[patient id]`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::ResourceType;
use node::custody::Enrolment;
use serde_json::json;

use super::parameters::{Given, parameters};
use crate::auth::Permission;
use crate::enrolment::BranchesError;
use crate::fhir::Fhir;
use crate::fhir::address::TypeAddress;
use crate::fhir::caller::Caller;
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

pub(crate) async fn enroll(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: TypeAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    address.must_be_patient()?;
    caller.may(ResourceType::PATIENT, Permission::Create)?;
    caller.must_not_be_a_patient()?;
    let given = Given::parse(&body)?;
    let wallet_key = given.key("walletKey")?;
    let enrolment = Enrolment {
        wallet_key,
        branches: fhir.granted_branches(&given, &wallet_key)?,
        patient_id: None,
    };
    let patient = fhir.custody.enroll(caller.requester(), enrolment).await?;
    Ok(answer(&patient))
}

pub(super) fn answer(patient_id: &str) -> Response {
    let reference = format!("Patient/{patient_id}");
    let patient = json!({ "name": "patient", "valueReference": { "reference": reference } });
    fhir_json(StatusCode::OK, &parameters(vec![patient]))
}

impl Fhir {
    pub(super) fn granted_branches(
        &self,
        given: &Given,
        wallet_key: &[u8; 32],
    ) -> Result<Vec<ledger::stream::GrantedBranch>, Problem> {
        let sealed = given.bytes("branches")?;
        self.member_key
            .open_branches(self.identity.network, wallet_key, &sealed)
            .map_err(Problem::from)
    }
}

impl From<BranchesError> for Problem {
    fn from(error: BranchesError) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self::new(
            status,
            interop::fhir::IssueType::Security,
            error.to_string(),
        )
    }
}
