//! The FHIR R4 API (<https://hl7.org/fhir/R4/http.html>): one file for each interaction.
//!
//! What all have in common stands in `caller` (who asks), `confinement` (a patient's token touches
//! that patient alone), `address` (what is asked for), `preferences` and `answer`.

mod address;
mod answer;
mod audit;
mod binary;
mod caller;
mod capabilities;
mod care_services;
mod conditional;
mod confinement;
mod create;
mod cursor;
mod delete;
mod history;
mod invariants;
mod openapi;
mod operation;
mod patch;
mod precondition;
mod preferences;
mod profiles;
mod provenance;
mod read;
mod search;
mod shape;
mod terminology;
mod transaction;
mod update;
mod vread;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use interop::fhir::ParseLimits;
use node::custody::Custody;
use node::terminology::Vocabularies;
use tower::ServiceExt as _;
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;

use crate::auth::AuthorizationServer;
use crate::enrolment::MemberKey;
use crate::http::{BODY_BYTES_MAX, BodyLimit, Bounds, in_time, negotiate};
use crate::network::Network;
use crate::status::NodeIdentity;

pub(crate) use audit::{Refusals, Sessions, keep_sessions, note_refusals};
pub(crate) use binary::disclosed_with;
pub(crate) use caller::{Caller, authenticate, reach};
pub(crate) use conditional::Conditions;
pub(crate) use cursor::Cursors;
pub use cursor::NoCursorKey;
pub(crate) use operation::{Given, Lists, parameters, text};
pub(crate) use profiles::WriteRules;
pub(crate) use transaction::Bundles;
pub(crate) use update::written_as_sent;

/// What the interactions work with.
pub(crate) struct Fhir {
    pub(crate) custody: Custody,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) identity: Arc<NodeIdentity>,
    pub(crate) member_key: MemberKey,
    /// `…/fhir`, without a slash at its end.
    pub(crate) base: String,
    pub(crate) token_url: String,
    pub(crate) authorization_url: Option<String>,
    pub(crate) cursors: Cursors,
    pub(crate) conditional: Conditions,
    pub(crate) lists: Lists,
    pub(crate) rules: WriteRules,
    pub(crate) vocabularies: Vocabularies,
}

/// The routes below `/fhir`.
pub(crate) fn routes(
    fhir: Arc<Fhir>,
    auth: Arc<AuthorizationServer>,
    bounds: Arc<Bounds>,
) -> Router {
    let limit = Extension(BodyLimit(fhir.rules.body_bytes));
    let alone = entries(&fhir);
    let bundles = Bundles::new(Arc::clone(&fhir), alone.clone());
    let streamed = Router::new()
        .fallback(binary::native)
        .with_state(Arc::clone(&fhir))
        .layer(from_fn_with_state(Arc::clone(&bounds), admit))
        .layer(from_fn_with_state(Arc::clone(&auth), authenticate));
    let guarded = Router::new()
        .route("/fhir", post(transaction::transaction))
        .route("/fhir/", post(transaction::transaction))
        .route("/fhir/{type}/$import-ccda", post(transaction::import_ccda))
        .with_state(bundles)
        .layer(limit)
        .merge(alone)
        .route_layer(from_fn_with_state(Arc::clone(&bounds), admit))
        .route_layer(from_fn_with_state(auth, authenticate));
    Router::new()
        .route("/fhir/metadata", get(capabilities::capabilities))
        .route("/openapi.json", get(openapi::description))
        .with_state(fhir)
        .merge(guarded)
        .layer(from_fn_with_state(bounds, in_time))
        // What is unpacked is bounded where a body is read.
        .layer(RequestDecompressionLayer::new())
        .layer(from_fn(negotiate))
        .layer(from_fn_with_state(streamed, divert))
        .layer(CompressionLayer::new())
}

/// What writes Bundles that do not come over HTTP.
pub(crate) fn bundles(fhir: &Arc<Fhir>) -> Bundles {
    Bundles::new(Arc::clone(fhir), entries(fhir))
}

fn entries(fhir: &Arc<Fhir>) -> Router {
    let limit = Extension(BodyLimit(fhir.rules.body_bytes));
    alone().with_state(Arc::clone(fhir)).layer(limit)
}

/// A Binary in its own form is streamed: whatever type it has, and however long it takes.
async fn divert(State(streamed): State<Router>, request: Request, next: Next) -> Response {
    if !binary::is_native(&request) {
        return next.run(request).await;
    }
    match streamed.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Lets a client's request through that is within the client's rate.
pub(crate) async fn admit(
    State(bounds): State<Arc<Bounds>>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Response {
    match bounds.admit(caller.client()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// What can be asked for alone, and in an entry of a Bundle.
fn alone() -> Router<Arc<Fhir>> {
    Router::new()
        .route("/fhir", get(search::search_system))
        .route("/fhir/", get(search::search_system))
        .route("/fhir/_search", post(search::search_system_by_form))
        .route("/fhir/$set-aside", get(operation::set_aside))
        .route("/fhir/_history", get(history::history_of_system))
        .merge(operating())
        .merge(terminology::routes())
        .merge(erasing())
        .merge(identifying())
        .merge(audited())
        .route(
            "/fhir/{type}/{id}/{member}",
            get(search::search_compartment),
        )
        .route(
            "/fhir/{type}/{id}/{member}/_search",
            post(search::search_compartment_by_form),
        )
        .route(
            "/fhir/{type}",
            get(search::search)
                .post(create::create)
                .put(update::update_where)
                .patch(patch::patch_where)
                .delete(delete::delete_where),
        )
        .route("/fhir/{type}/_history", get(history::history_of_type))
        .route("/fhir/{type}/_search", post(search::search_by_form))
        .route("/fhir/{type}/$enroll", post(operation::enroll))
        .route("/fhir/{type}/$validate", post(operation::validate))
        .route(
            "/fhir/{type}/$label-explain",
            post(operation::label_explain_posted),
        )
        .route(
            "/fhir/{type}/{id}/$label-explain",
            get(operation::label_explain),
        )
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
}

/// Operations on what is there.
fn operating() -> Router<Arc<Fhir>> {
    Router::new()
        .route(
            "/fhir/{type}/{id}/$receipt",
            get(operation::receipt_of_current),
        )
        .route(
            "/fhir/{type}/{id}/$validate",
            get(operation::validate_stored).post(operation::validate_instance),
        )
        .route("/fhir/{type}/$lastn", get(operation::lastn))
        .route(
            "/fhir/{type}/$docref",
            get(operation::docref).post(operation::docref_posted),
        )
        .route("/fhir/{type}/{id}/$meta", get(operation::meta))
        .route("/fhir/{type}/{id}/$meta-add", post(operation::meta_add))
        .route(
            "/fhir/{type}/{id}/$meta-delete",
            post(operation::meta_delete),
        )
        .route("/fhir/{type}/{id}/$document", get(operation::document))
        .route("/fhir/{type}/{id}/$summary", get(operation::summary))
        .route("/fhir/{type}/{id}/$ccd", get(operation::continuity_of_care))
        .route("/fhir/{type}/{id}/$open", get(operation::open))
        .route("/fhir/{type}/{id}/$everything", get(operation::everything))
        .route(
            "/fhir/{type}/{id}/$branches",
            post(operation::branches).get(operation::branches_held),
        )
        .route(
            "/fhir/{type}/{id}/$recovery",
            get(operation::recovery_state).post(operation::recovery),
        )
        .route(
            "/fhir/{type}/{id}/$recovery-root",
            post(operation::recovery_root),
        )
        .route(
            "/fhir/{type}/{id}/$recovery-hand-out",
            post(operation::recovery_hand_out),
        )
        .route(
            "/fhir/{type}/{id}/$escrow-offer",
            post(operation::escrow_offer),
        )
        .route(
            "/fhir/{type}/{id}/$escrow-taken",
            post(operation::escrow_taken),
        )
        .route("/fhir/{type}/{id}/$share", post(operation::share))
        .route("/fhir/{type}/{id}/$shares", get(operation::shares))
        .route("/fhir/{type}/{id}/$unshare", post(operation::unshare))
        .route(
            "/fhir/{type}/{id}/$access-history",
            get(operation::access_history),
        )
        .route(
            "/fhir/{type}/{id}/$who-can-see",
            get(operation::who_can_see),
        )
        .route("/fhir/{type}/$what-if", post(operation::what_if))
        .merge(consenting())
}

/// Filing, revoking and acknowledging consents.
fn consenting() -> Router<Arc<Fhir>> {
    Router::new()
        .route("/fhir/{type}/$file-consent", post(operation::file_consent))
        .route("/fhir/{type}/$fileConsent", post(operation::file_consent))
        .route(
            "/fhir/{type}/$revokeConsent",
            post(operation::revoke_consent),
        )
        .route("/fhir/{type}/$templates", get(operation::templates))
        .route(
            "/fhir/{type}/$from-template",
            post(operation::from_template),
        )
        .route(
            "/fhir/{type}/{id}/$consent-receipt",
            get(operation::consent_receipt_of_current),
        )
        .route(
            "/fhir/{type}/{id}/_history/{version}/$consent-receipt",
            get(operation::consent_receipt),
        )
}

/// Erasure, legal holds, retention, and requests with a deadline.
fn erasing() -> Router<Arc<Fhir>> {
    Router::new()
        .route("/fhir/{type}/{id}/$erase", post(operation::erase))
        .route("/fhir/{type}/{id}/$erasures", get(operation::erasures))
        .route(
            "/fhir/{type}/{id}/$erasure-certificate",
            get(operation::erasure_certificate),
        )
        .route("/fhir/{type}/{id}/$hold", post(operation::hold))
        .route(
            "/fhir/{type}/{id}/$request-amendment",
            post(operation::request_amendment),
        )
        .route(
            "/fhir/{type}/{id}/$file-request",
            post(operation::file_request),
        )
        .route(
            "/fhir/{type}/{id}/$extend-request",
            post(operation::extend_request),
        )
        .route(
            "/fhir/{type}/{id}/$close-request",
            post(operation::close_request),
        )
        .route(
            "/fhir/{type}/{id}/$decide-amendment",
            post(operation::decide_amendment),
        )
        .route("/fhir/{type}/{id}/$disagree", post(operation::disagree))
        .route("/fhir/$open-erasures", get(operation::open_erasures))
        .route("/fhir/$holds", get(operation::holds))
        .route("/fhir/$release-hold", post(operation::release_hold))
        .route("/fhir/$retention-due", get(operation::retention_due))
        .route("/fhir/$retention-run", post(operation::retention_run))
        .route("/fhir/$retention-audit", post(operation::retention_audit))
}

/// Matching, links and merges of patients.
fn identifying() -> Router<Arc<Fhir>> {
    Router::new()
        .route("/fhir/{type}/$match", post(operation::match_patients))
        .route("/fhir/{type}/$ihe-pix", get(operation::pix))
        .route(
            "/fhir/{type}/$possible-matches",
            get(operation::possible_matches),
        )
        .route("/fhir/{type}/$dismiss-match", post(operation::dismiss))
        .route("/fhir/{type}/{id}/$discover", post(operation::discover))
        .route("/fhir/{type}/$waiting-links", get(operation::waiting_links))
        .route("/fhir/{type}/$approve-link", post(operation::approve_link))
        .route("/fhir/{type}/$refuse-link", post(operation::refuse_link))
        .route(
            "/fhir/{type}/$withdraw-link",
            post(operation::withdraw_link),
        )
        .route("/fhir/{type}/$link", post(operation::link))
        .route("/fhir/{type}/$unlink", post(operation::unlink))
        .route("/fhir/{type}/$merge", post(operation::merge))
        .route("/fhir/{type}/$unmerge", post(operation::unmerge))
}

/// Audit events, which are not documents.
fn audited() -> Router<Arc<Fhir>> {
    Router::new()
        .route(
            "/fhir/AuditEvent",
            get(audit::search)
                .post(audit::feed)
                .put(audit::refuse)
                .patch(audit::refuse)
                .delete(audit::refuse),
        )
        .route("/fhir/{type}/{id}/$disclosures", get(audit::disclosures))
        .route(
            "/fhir/{type}/{id}/$record-disclosure",
            post(audit::record_disclosure),
        )
        .route(
            "/fhir/{type}/{id}/$suspend-accounting",
            post(audit::suspend),
        )
        .route("/fhir/AuditEvent/_search", post(audit::search_by_form))
        .route("/fhir/AuditEvent/$gaps", get(audit::gaps))
        .route("/fhir/AuditEvent/$replay", get(audit::replay))
        .route(
            "/fhir/AuditEvent/{id}",
            get(audit::read)
                .put(audit::refuse)
                .patch(audit::refuse)
                .delete(audit::refuse),
        )
}

fn limits() -> ParseLimits {
    ParseLimits {
        bytes_max: BODY_BYTES_MAX,
        ..ParseLimits::default()
    }
}
