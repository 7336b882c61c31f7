//! DICOMweb (PS3.18) before the member's own image archive: QIDO-RS from ImagingStudy resources, WADO-RS passed through.
//!
//! Whoever may read every ImagingStudy of a Study Instance UID gets its images. What is stored goes to the archive itself: there
//! is no STOW-RS.

mod archive;
mod find;
mod retrieve;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use interop::fhir::ResourceType;

use crate::auth::AuthorizationServer;
use crate::fhir::{Fhir, admit, authenticate};
use crate::http::{Bounds, in_time};
use crate::problem::Problem;

pub(crate) use archive::Archive;
pub use archive::{ArchiveConfig, ArchiveConfigError};

/// What both services work with.
struct Desk {
    fhir: Arc<Fhir>,
    /// `…/dicom-web`, without a slash at its end.
    base: String,
    archive: Option<Archive>,
}

/// The routes below `/dicom-web`.
pub(crate) fn routes(
    (fhir, archive): (Arc<Fhir>, Option<Archive>),
    auth: Arc<AuthorizationServer>,
    bounds: Arc<Bounds>,
    base_url: &str,
) -> Router {
    let desk = Arc::new(Desk {
        fhir,
        base: format!("{base_url}/dicom-web"),
        archive,
    });
    Router::new()
        .route("/dicom-web/studies", get(find::studies))
        .route("/dicom-web/studies/{*path}", get(retrieve::behind_studies))
        .with_state(desk)
        .route_layer(from_fn_with_state(Arc::clone(&bounds), admit))
        .route_layer(from_fn_with_state(auth, authenticate))
        .layer(from_fn_with_state(bounds, in_time))
}

fn imaging_study() -> Result<ResourceType, Problem> {
    ResourceType::parse("ImagingStudy").ok_or_else(|| Problem::internal("R4 has no ImagingStudy"))
}
