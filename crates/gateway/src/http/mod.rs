//! What every answer has in common: media types, request ids, the log line, limits on bodies.

mod backoff;
mod bounds;
mod media;
mod observe;
mod origins;
mod payload;
mod request_id;

pub(crate) use backoff::backoff;
pub use bounds::RequestLimits;
pub(crate) use bounds::{Bounds, in_time};
pub(crate) use media::{FHIR_JSON, accepts, fhir_json, is_fhir, names_fhir, negotiate};
pub(crate) use observe::observe;
pub(crate) use origins::{Origins, outgoing};
pub(crate) use payload::{
    BODY_BYTES_MAX, BodyLimit, DocumentPayload, FormPairs, PatchPayload, Payload, pairs_of,
};
pub(crate) use request_id::RequestId;
