//! What every answer has in common: media types, request ids, the log line, limits on bodies.

mod media;
mod observe;
mod payload;
mod request_id;

pub(crate) use media::{accepts, fhir_json, is_json, names_json, negotiate};
pub(crate) use observe::observe;
pub(crate) use payload::{BODY_BYTES_MAX, FormPairs, Payload, pairs_of};
pub(crate) use request_id::RequestId;
