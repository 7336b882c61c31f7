//! `[type]/[id]/_history/[version]/$receipt`: proof that a version is on the ledger.
//!
//! Before finality the answer is `202`. Then it is an export (`docs/formats`), as CBOR or, for a
//! client that accepts FHIR, as the parameter `export`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use interop::fhir::{Issue, IssueType, OperationOutcome, Severity};
use node::custody::ReceiptState;

use super::parameters::{binary, parameters};
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::VersionAddress;
use crate::fhir::caller::Caller;
use crate::http::fhir_json;
use crate::problem::Problem;

const CBOR: &str = "application/cbor";

pub(crate) async fn receipt(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: VersionAddress,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let VersionAddress {
        resource_type,
        id,
        version,
    } = address;
    caller.may(resource_type, Permission::Read)?;
    caller.may_address(resource_type, &id)?;
    let state = fhir
        .custody
        .receipt(caller.requester(), resource_type, &id, version)
        .await?;
    match state {
        ReceiptState::Pending => Ok(pending()),
        ReceiptState::Final(export) => {
            let bytes = export.encode();
            if wants_fhir(&headers) {
                let body = parameters(vec![binary("export", &bytes)]);
                return Ok(fhir_json(StatusCode::OK, &body));
            }
            let content_type = HeaderValue::from_static(CBOR);
            Ok(([(header::CONTENT_TYPE, content_type)], bytes).into_response())
        }
    }
}

fn pending() -> Response {
    let issue = Issue::error(
        IssueType::Incomplete,
        "the version is durable and not final yet",
    );
    let outcome = OperationOutcome::of(issue.with_severity(Severity::Information));
    let mut response = fhir_json(StatusCode::ACCEPTED, &outcome.to_value());
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn wants_fhir(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect::<Vec<_>>()
        .join(",")
        .to_ascii_lowercase();
    accepted.contains("json") && !accepted.contains(CBOR)
}
