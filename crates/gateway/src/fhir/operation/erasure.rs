//! Erasure, for privacy officers: `[type]/[id]/$erase`, `$erasures`, `$erasure-certificate`, and `$open-erasures`.
//!
//! In: `basis` (a code), `authority`, `justification`, `version` (any number of times; without it all versions), and
//! `redaction` if it should not have been filed. On a patient, everything of the patient here. Out: each erasure with
//! who has acknowledged; `202` while somebody has not.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use contracts::erasure::Basis;
use interop::fhir::timespan::format_instant;
use interop::fhir::{Issue, IssueType, OperationOutcome, ResourceType, Severity};
use node::custody::{Erasure, ErasureOrder, ToErase};
use serde_json::{Value, json};

use super::parameters::{Given, binary, parameters, text};
use super::receipt::{CBOR, wants_fhir};
use crate::auth::Word;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::caller::Caller;
use crate::http::{Payload, fhir_json, pairs_of};
use crate::problem::Problem;

pub(crate) async fn erase(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    caller.may_do(Word::Erase)?;
    let given = Given::parse(&body)?;
    let versions = given.numbers("version")?;
    let what = match (resource_type, versions.is_empty()) {
        (ResourceType::PATIENT, true) => ToErase::Patient(id),
        (_, true) => ToErase::Document(resource_type, id),
        (_, false) => ToErase::Versions(resource_type, id, versions),
    };
    let order = ErasureOrder {
        what,
        basis: basis(&given)?,
        authority: given.words("authority")?,
        justification: given.words("justification")?,
        is_redaction: given.value("redaction", &["valueBoolean"]) == Some(Value::Bool(true)),
    };
    let erased = fhir.custody.erase(caller.requester(), &order).await?;
    Ok(answer(&erased))
}

pub(crate) async fn erasures(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
) -> Result<Response, Problem> {
    caller.may_do(Word::Erase)?;
    let erasures = if resource_type == ResourceType::PATIENT {
        fhir.custody.erasures_of_patient(&id)?
    } else {
        fhir.custody.erasures_of(resource_type.as_str(), &id)?
    };
    Ok(answer(&erasures))
}

pub(crate) async fn open_erasures(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
) -> Result<Response, Problem> {
    caller.may_do(Word::Erase)?;
    let open = fhir.custody.open_erasures()?;
    let body = parameters(open.iter().map(parameter).collect());
    Ok(fhir_json(StatusCode::OK, &body))
}

pub(crate) async fn erasure_certificate(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.may_do(Word::Erase)?;
    let query = query.unwrap_or_default();
    let with_grounds = pairs_of(&query).any(|(name, value)| name == "grounds" && value == "true");
    let place = (resource_type.as_str(), id.as_str());
    let certificate = fhir.custody.erasure_certificate(place, with_grounds)?;
    let Some(certificate) = certificate else {
        return Ok(pending());
    };
    let certificate = certificate.encode();
    if wants_fhir(&headers) {
        let body = parameters(vec![binary("certificate", &certificate)]);
        return Ok(fhir_json(StatusCode::OK, &body));
    }
    let content_type = HeaderValue::from_static(CBOR);
    Ok(([(header::CONTENT_TYPE, content_type)], certificate).into_response())
}

fn pending() -> Response {
    let issue = Issue::error(IssueType::Incomplete, "the erasure is not final yet");
    let outcome = OperationOutcome::of(issue.with_severity(Severity::Information));
    let mut response = fhir_json(StatusCode::ACCEPTED, &outcome.to_value());
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn basis(given: &Given) -> Result<Basis, Problem> {
    let basis = given.value("basis", &["valueCode", "valueString"]);
    let basis = basis.as_ref().and_then(Value::as_str).unwrap_or_default();
    basis
        .parse()
        .map_err(|error: contracts::erasure::NotABasis| Problem::malformed(error.to_string()))
}

pub(super) fn answer(erasures: &[Erasure]) -> Response {
    let mut holders = erasures.iter().flat_map(|one| &one.holders);
    let is_done = holders.all(|one| one.acknowledged_ms.is_some());
    let status = if is_done {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let body = parameters(erasures.iter().map(parameter).collect());
    fhir_json(status, &body)
}

fn parameter(erasure: &Erasure) -> Value {
    let reference = format!("{}/{}", erasure.resource_type, erasure.id);
    let mut parts = vec![
        json!({ "name": "what", "valueReference": { "reference": reference } }),
        json!({ "name": "at", "valueInstant": instant(erasure.at_ms) }),
        json!({ "name": "basis", "valueCode": erasure.basis }),
        json!({ "name": "redaction", "valueBoolean": erasure.is_redaction }),
        json!({ "name": "final", "valueBoolean": erasure.is_final }),
    ];
    let versions = erasure.versions.iter();
    parts.extend(
        versions.map(|version| json!({ "name": "version", "valueString": version.to_string() })),
    );
    if let Some(version) = erasure.tombstone {
        parts.push(text("tombstone", version.to_string()));
    }
    parts.extend(erasure.holders.iter().map(|holder| {
        let mut said = vec![text("member", holder.member.as_str())];
        if let Some(at) = holder.acknowledged_ms {
            said.push(json!({ "name": "acknowledged", "valueInstant": instant(at) }));
        } else {
            said.push(json!({ "name": "attempts", "valueUnsignedInt": holder.attempts }));
            said.extend(
                holder
                    .problem
                    .as_ref()
                    .map(|problem| text("problem", problem.clone())),
            );
        }
        json!({ "name": "holder", "part": said })
    }));
    json!({ "name": "erasure", "part": parts })
}

pub(super) fn instant(ms: u64) -> String {
    format_instant(i64::try_from(ms).unwrap_or(i64::MAX))
}
