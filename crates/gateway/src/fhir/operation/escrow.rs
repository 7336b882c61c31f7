//! `Patient/[id]/$escrow-offer` and `$escrow-taken`: a root in escrow goes to the patient's wallet.
//!
//! `$escrow-offer` in: `walletKey` (Ed25519), `recipient` (HPKE), `instead` (boolean: of a wallet that was offered it before);
//! out: `sealed`, the root sealed to `recipient`. `$escrow-taken` in: `said` (what the wallet signs once it has the root,
//! CBOR); out: `patient`. Both take a system of the member that enrols patients: who stands at its desk says who the patient
//! is, and which wallet is theirs.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use contracts::escrow::Taken;
use interop::fhir::ResourceType;
use ledger::codec;
use ledger::ids::Digest;
use node::custody::EscrowOffer;
use serde_json::Value;
use vault::wrap::HpkePublicKey;

use super::enroll::answer;
use super::parameters::{Given, binary, parameters};
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::caller::Caller;
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

/// `POST Patient/[id]/$escrow-offer`.
pub(crate) async fn escrow_offer(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let id = admitted(&caller, address)?;
    let given = Given::parse(&body)?;
    let instead = given.value("instead", &["valueBoolean"]);
    let offered = EscrowOffer {
        wallet: Digest(given.key("walletKey")?),
        recipient: HpkePublicKey(given.key("recipient")?),
        instead: instead == Some(Value::Bool(true)),
    };
    let custody = &fhir.custody;
    let sealed = custody.offer_escrow(caller.requester(), &id, offered);
    let answer = parameters(vec![binary("sealed", &sealed.await?)]);
    Ok(fhir_json(StatusCode::OK, &answer))
}

/// `POST Patient/[id]/$escrow-taken`.
pub(crate) async fn escrow_taken(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let id = admitted(&caller, address)?;
    let said = Given::parse(&body)?.bytes("said")?;
    let taken: Taken = codec::decode("taken", &said).map_err(|_| {
        Problem::malformed("the parameter `said` is not what a wallet says".to_owned())
    })?;
    let custody = &fhir.custody;
    custody.end_escrow(caller.requester(), &id, taken).await?;
    Ok(answer(&id))
}

fn admitted(caller: &Caller, address: InstanceAddress) -> Result<String, Problem> {
    let id = address.patient()?;
    caller.may(ResourceType::PATIENT, Permission::Create)?;
    caller.must_not_be_a_patient()?;
    Ok(id)
}
