//! `Patient/[id]/$branches`: the wallet grants more branches to this member, or newer keys of them. A newer key of a branch
//! that this member writes closes its streams, which go on under that key.
//!
//! In: `branches` (see [`crate::enrolment`]). Out: `patient`. It takes the wallet's own token. `GET` out: each `branch` of
//! which there are keys here, with the number of the newest.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::ResourceType;
use node::custody::Enrolment;
use serde_json::json;

use super::enroll::answer;
use super::parameters::{Given, parameters, text};
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::caller::Caller;
use crate::http::{Payload, fhir_json};
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

pub(crate) async fn branches_held(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
) -> Result<Response, Problem> {
    let id = address.patient()?;
    caller.must_be_patient(&id)?;
    let held = fhir.custody.branches_held(&id)?;
    let held = held.into_iter().map(|(branch, epoch)| {
        json!({ "name": "branch", "part": [
            text("name", branch.name()),
            text("epoch", epoch.to_string()),
        ] })
    });
    Ok(fhir_json(StatusCode::OK, &parameters(held.collect())))
}
