//! `Consent/[id]/$consent-receipt`: what the patient agreed to and how it went on, as a record of ISO/IEC TS 27560 that the
//! node signs, with the ledger's receipt in it.
//!
//! Before finality the answer is `202`. Then it is a compact JWS, for a client that accepts `application/ld+json` its
//! payload alone, and for one that accepts FHIR the parameter `receipt`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use contracts::consent::receipt::{MEDIA_TYPE, peek};
use interop::fhir::ResourceType;

use super::parameters::{parameters, text};
use super::receipt::{pending, wants};
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::{InstanceAddress, VersionAddress, only};
use crate::fhir::caller::Caller;
use crate::http::fhir_json;
use crate::problem::Problem;

const JSON_LD: &str = "application/ld+json";

pub(crate) async fn consent_receipt(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: VersionAddress,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    fhir.consent_receipt(&caller, &address, &headers).await
}

pub(crate) async fn consent_receipt_of_current(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    only(ResourceType::CONSENT, resource_type)?;
    caller.may(resource_type, Permission::Read)?;
    caller.may_address(resource_type, &id)?;
    let by = caller.requester();
    let version = fhir.custody.read(by, resource_type, &id).await?.version;
    let address = VersionAddress {
        resource_type,
        id,
        version,
    };
    fhir.consent_receipt(&caller, &address, &headers).await
}

impl Fhir {
    async fn consent_receipt(
        &self,
        caller: &Caller,
        VersionAddress {
            resource_type,
            id,
            version,
        }: &VersionAddress,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        only(ResourceType::CONSENT, *resource_type)?;
        caller.may(*resource_type, Permission::Read)?;
        caller.may_address(*resource_type, id)?;
        let by = caller.requester();
        let Some(receipt) = self.custody.consent_receipt(by, id, *version).await? else {
            return Ok(pending());
        };
        if wants(headers, JSON_LD) {
            let payload = peek(&receipt).map(|payload| payload.to_string());
            return Ok(typed(JSON_LD, payload.unwrap_or_default()));
        }
        if wants(headers, "fhir+json") {
            let body = parameters(vec![text("receipt", receipt)]);
            return Ok(fhir_json(StatusCode::OK, &body));
        }
        Ok(typed(MEDIA_TYPE, receipt))
    }
}

fn typed(media_type: &'static str, body: String) -> Response {
    let content_type = HeaderValue::from_static(media_type);
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}
