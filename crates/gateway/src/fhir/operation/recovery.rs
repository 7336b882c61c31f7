//! `Patient/[id]/$recovery`: guardians give a patient's wallet back.
//!
//! `POST` in: `said` (a signed command, `docs/formats/release.md`), with a set-up also `sealed`. `GET` and `POST` out: how
//! things stand. `$recovery-root` in: `guardian` (its key); out: `sealed`. `$recovery-hand-out` in: `request`; out: `sealed`
//! and each `approval`. A wallet that was lost has no token and neither has a guardian: they come through a system of the
//! member that enrols patients, and what they say is signed.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use contracts::recovery::{Guardianship, Signed};
use interop::fhir::ResourceType;
use ledger::codec;
use ledger::ids::Digest;
use serde_json::{Value, json};

use super::parameters::{Given, binary, parameters, text};
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::caller::Caller;
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

/// `POST Patient/[id]/$recovery`.
pub(crate) async fn recovery(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let id = admitted(&caller, address)?;
    let given = Given::parse(&body)?;
    let signed: Signed = codec::decode("command", &given.bytes("said")?)
        .map_err(|_| Problem::malformed("the parameter `said` is no signed command".to_owned()))?;
    let elements = ["valueBase64Binary", "valueString"];
    let sealed = match given.value("sealed", &elements) {
        Some(_) => Some(given.bytes("sealed")?),
        None => None,
    };
    fhir.custody.recovery(&id, signed, sealed).await?;
    standing(&fhir, &id)
}

/// `GET Patient/[id]/$recovery`.
pub(crate) async fn recovery_state(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
) -> Result<Response, Problem> {
    let id = admitted(&caller, address)?;
    standing(&fhir, &id)
}

/// `POST Patient/[id]/$recovery-root`.
pub(crate) async fn recovery_root(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let id = admitted(&caller, address)?;
    let guardian = Digest(Given::parse(&body)?.key("guardian")?);
    let sealed = fhir.custody.guarded_root(&id, guardian)?;
    let answer = parameters(vec![binary("sealed", &sealed)]);
    Ok(fhir_json(StatusCode::OK, &answer))
}

/// `POST Patient/[id]/$recovery-hand-out`.
pub(crate) async fn recovery_hand_out(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let id = admitted(&caller, address)?;
    let request = Digest(Given::parse(&body)?.key("request")?);
    let handed = fhir.custody.hand_out(&id, request).await?;
    let mut answer = vec![binary("sealed", &handed.sealed)];
    for approval in &handed.approvals {
        let part = [
            binary("guardian", &approval.guardian.0),
            binary("share", &approval.share),
        ];
        answer.push(json!({ "name": "approval", "part": part }));
    }
    Ok(fhir_json(StatusCode::OK, &parameters(answer)))
}

/// The patient, or a system that enrols patients.
fn admitted(caller: &Caller, address: InstanceAddress) -> Result<String, Problem> {
    let id = address.patient()?;
    if caller.must_be_patient(&id).is_err() {
        caller.must_not_be_a_patient()?;
        caller.may(ResourceType::PATIENT, Permission::Create)?;
    }
    Ok(id)
}

fn standing(fhir: &Fhir, id: &str) -> Result<Response, Problem> {
    let guardianship = fhir.custody.guardianship(id)?;
    let said = guardianship.as_ref().map(said).unwrap_or_default();
    Ok(fhir_json(StatusCode::OK, &parameters(said)))
}

fn said(guardianship: &Guardianship) -> Vec<Value> {
    let mut said = vec![
        binary("guarded", &guardianship.guarded().0),
        binary("wallet", &guardianship.wallet().0),
        text("number", guardianship.number().to_string()),
    ];
    if let Some(terms) = guardianship.terms() {
        said.push(text("k", terms.k.to_string()));
        said.push(text("delayMs", terms.delay_ms.to_string()));
        let guardians = terms.guardians.iter();
        said.extend(guardians.map(|guardian| binary("guardian", &guardian.0)));
    }
    if let Some(recovery) = guardianship.recovery() {
        said.push(binary("request", &recovery.request.0));
        said.push(binary("newWallet", &recovery.wallet.0));
        said.push(binary("recipient", &recovery.recipient.0));
        said.push(text("sinceMs", recovery.since_ms.to_string()));
        said.push(text("approvals", recovery.approvals.len().to_string()));
    }
    said
}
