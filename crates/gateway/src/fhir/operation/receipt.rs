//! `[type]/[id]/_history/[version]/$receipt`: proof that a version is on the ledger. Without a version
//! it is the current one's, which the access record then shows as read, too.
//!
//! Before finality the answer is `202`. Then it is an export (`docs/formats`), as CBOR or, for a
//! client that accepts FHIR, as the parameter `export`. A client that accepts a SCITT statement gets
//! the signed statement with its COSE Receipts alone.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use interop::fhir::{Issue, IssueType, OperationOutcome, Severity};
use ledger::scitt::STATEMENT_MEDIA_TYPE;
use node::custody::ReceiptState;

use super::parameters::{binary, parameters};
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::{InstanceAddress, VersionAddress};
use crate::fhir::caller::Caller;
use crate::http::fhir_json;
use crate::problem::Problem;

pub(super) const CBOR: &str = "application/cbor";

pub(crate) async fn receipt(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: VersionAddress,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    fhir.receipt(&caller, &address, &headers).await
}

pub(crate) async fn receipt_of_current(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.may(resource_type, Permission::Read)?;
    caller.may_address(resource_type, &id)?;
    let by = caller.requester();
    let version = fhir.custody.read(by, resource_type, &id).await?.version;
    let address = VersionAddress {
        resource_type,
        id,
        version,
    };
    fhir.receipt(&caller, &address, &headers).await
}

impl Fhir {
    async fn receipt(
        &self,
        caller: &Caller,
        address: &VersionAddress,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        let VersionAddress {
            resource_type,
            id,
            version,
        } = address;
        caller.may(*resource_type, Permission::Read)?;
        caller.may_address(*resource_type, id)?;
        let by = caller.requester();
        match self
            .custody
            .receipt(by, *resource_type, id, *version)
            .await?
        {
            ReceiptState::Pending => Ok(pending()),
            ReceiptState::Final(export) if wants(headers, STATEMENT_MEDIA_TYPE) => {
                Ok(transparent(export.receipt.transparent_statement()))
            }
            ReceiptState::Final(export) => Ok(exported(export.encode(), headers)),
        }
    }
}

/// Receipts follow finality by a moment: a quorum has to sign.
fn transparent(statement: Option<Vec<u8>>) -> Response {
    let Some(statement) = statement else {
        return pending();
    };
    let content_type = HeaderValue::from_static(STATEMENT_MEDIA_TYPE);
    ([(header::CONTENT_TYPE, content_type)], statement).into_response()
}

fn exported(export: Vec<u8>, headers: &HeaderMap) -> Response {
    if wants_fhir(headers) {
        let body = parameters(vec![binary("export", &export)]);
        return fhir_json(StatusCode::OK, &body);
    }
    let content_type = HeaderValue::from_static(CBOR);
    ([(header::CONTENT_TYPE, content_type)], export).into_response()
}

pub(super) fn pending() -> Response {
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

pub(super) fn wants_fhir(headers: &HeaderMap) -> bool {
    wants(headers, "json") && !wants(headers, CBOR)
}

pub(super) fn wants(headers: &HeaderMap, media_type: &str) -> bool {
    let accepted = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect::<Vec<_>>()
        .join(",")
        .to_ascii_lowercase();
    accepted.contains(media_type)
}
