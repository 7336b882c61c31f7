//! `X-Provenance`: the wallet's signature of a Consent
//! (<https://hl7.org/fhir/R4/provenance.html#header>).

use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use interop::fhir::{Resource, ResourceType};
use node::custody::{Change, SignedConsent};
use serde_json::Value;

use super::limits;
use crate::problem::Problem;

const HEADER: &str = "X-Provenance";

/// The detached JWS in the header's Provenance; custody checks it against the wallet's key.
pub(super) fn signature(
    headers: &HeaderMap,
    resource_type: ResourceType,
) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(HEADER) else {
        return Ok(None);
    };
    if resource_type.as_str() != "Consent" {
        return Err(Problem::not_supported(
            "X-Provenance is supported with Consent only; write the Provenance as a resource",
        ));
    }
    let provenance = ResourceType::parse("Provenance")
        .ok_or_else(|| Problem::internal("R4 has no Provenance"))?;
    let provenance = Resource::parse_as(provenance, value.as_bytes(), &limits())
        .map_err(|_| Problem::header(HEADER))?;
    let signature = provenance
        .get("signature")
        .and_then(Value::as_array)
        .and_then(|signatures| signatures.first());
    let is_jose = signature
        .and_then(|signature| signature.get("sigFormat"))
        .and_then(Value::as_str)
        .is_none_or(|format| format == "application/jose");
    let jws = signature
        .filter(|_| is_jose)
        .and_then(|signature| signature.get("data"))
        .and_then(Value::as_str)
        .and_then(|data| STANDARD.decode(data).ok())
        .and_then(|jws| String::from_utf8(jws).ok());
    jws.map(Some).ok_or_else(|| Problem::header(HEADER))
}

/// The change that files a consent as the wallet signed it.
pub(super) fn filed(body: &[u8], jws: String, id: Option<String>, if_match: Option<u64>) -> Change {
    Change::File(SignedConsent {
        body: body.to_vec(),
        jws,
        id,
        if_match,
    })
}
