//! `Patient/[id]/$branches`: the wallet grants more branches to this member, or newer keys of them. A newer key of a branch
//! that this member writes closes its streams, which go on under that key.
//!
//! In: `branches` (see [`crate::enrolment`]). Out: `patient`. It takes the wallet's own token.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use interop::fhir::ResourceType;
use node::custody::Enrolment;

use super::enroll::answer;
use super::parameters::Given;
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::caller::Caller;
use crate::http::Payload;
use crate::problem::Problem;

pub(crate) async fn branches(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let id = address.patient()?;
    caller.may(ResourceType::PATIENT, Permission::Update)?;
    caller.must_be_patient(&id)?;
    let given = Given::parse(&body)?;
    let view = fhir.custody.subject_view(&id)?;
    let wallet_key = view
        .wallet_key
        .ok_or_else(|| Problem::forbidden("the patient has no wallet here"))?;
    let enrolment = Enrolment {
        wallet_key,
        branches: fhir.granted_branches(&given, &wallet_key)?,
        patient_id: Some(id),
    };
    let patient = fhir.custody.enroll(caller.requester(), enrolment).await?;
    Ok(answer(&patient))
}
