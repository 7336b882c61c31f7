//! The FHIR R4 API (<https://hl7.org/fhir/R4/http.html>): one file for each interaction.
//!
//! What all have in common stands in `caller` (who asks), `confinement` (a patient's token touches
//! that patient alone), `address` (what is asked for), `preferences` and `answer`.

mod address;
mod answer;
mod binary;
mod caller;
mod capabilities;
mod conditional;
mod confinement;
mod create;
mod cursor;
mod delete;
mod history;
mod operation;
mod patch;
mod preferences;
mod provenance;
mod read;
mod search;
mod transaction;
mod update;
mod vread;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use interop::fhir::ParseLimits;
use node::custody::Custody;

use crate::auth::AuthorizationServer;
use crate::enrolment::MemberKey;
use crate::http::{BODY_BYTES_MAX, negotiate};
use crate::network::Network;
use crate::status::NodeIdentity;

pub(crate) use caller::{Caller, authenticate, reach};
pub(crate) use conditional::Conditions;
pub(crate) use cursor::Cursors;
pub use cursor::NoCursorKey;

/// What the interactions work with.
pub(crate) struct Fhir {
    pub(crate) custody: Custody,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) identity: Arc<NodeIdentity>,
    pub(crate) member_key: MemberKey,
    /// `…/fhir`, without a slash at its end.
    pub(crate) base: String,
    pub(crate) token_url: String,
    pub(crate) cursors: Cursors,
    pub(crate) conditional: Conditions,
}

/// The routes below `/fhir`.
pub(crate) fn routes(fhir: Arc<Fhir>, auth: Arc<AuthorizationServer>) -> Router {
    let guarded = Router::new()
        .route("/fhir", post(transaction::transaction))
        .route("/fhir/", post(transaction::transaction))
        .route("/fhir", get(search::search_system))
        .route("/fhir/", get(search::search_system))
        .route("/fhir/_search", post(search::search_system_by_form))
        .route(
            "/fhir/{type}/{id}/{member}",
            get(search::search_compartment),
        )
        .route(
            "/fhir/{type}/{id}/{member}/_search",
            post(search::search_compartment_by_form),
        )
        .route("/fhir/{type}", get(search::search).post(create::create))
        .route("/fhir/{type}/_search", post(search::search_by_form))
        .route("/fhir/{type}/$enroll", post(operation::enroll))
        .route(
            "/fhir/{type}/{id}",
            get(read::read)
                .put(update::update)
                .delete(delete::delete)
                .patch(patch::patch),
        )
        .route("/fhir/{type}/{id}/_history", get(history::history))
        .route("/fhir/{type}/{id}/_history/{version}", get(vread::vread))
        .route(
            "/fhir/{type}/{id}/_history/{version}/$receipt",
            get(operation::receipt),
        )
        .route(
            "/fhir/{type}/{id}/$receipt",
            get(operation::receipt_of_current),
        )
        .route("/fhir/{type}/{id}/$open", get(operation::open))
        .route("/fhir/{type}/{id}/$everything", get(operation::everything))
        .route("/fhir/{type}/{id}/$branches", post(operation::branches))
        .route(
            "/fhir/{type}/{id}/$access-history",
            get(operation::access_history),
        )
        .route_layer(from_fn(negotiate))
        .route_layer(from_fn_with_state(Arc::clone(&fhir), binary::native))
        .route_layer(from_fn_with_state(auth, authenticate));
    Router::new()
        .route(
            "/fhir/metadata",
            get(capabilities::capabilities).layer(from_fn(negotiate)),
        )
        .merge(guarded)
        .with_state(fhir)
}

fn limits() -> ParseLimits {
    ParseLimits {
        bytes_max: BODY_BYTES_MAX,
        ..ParseLimits::default()
    }
}
