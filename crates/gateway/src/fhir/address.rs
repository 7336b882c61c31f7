//! What a URL names: a type, an instance, a version.

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use interop::fhir::resource::is_id;
use interop::fhir::{IssueType, ResourceType};
use serde::Deserialize;

use crate::problem::Problem;

/// `[type]`
#[derive(Debug, Clone, Copy)]
pub(crate) struct TypeAddress(pub(crate) ResourceType);

/// `[type]?[criteria]`
#[derive(Clone)]
pub(crate) struct ConditionalAddress {
    pub(crate) resource_type: ResourceType,
    pub(crate) query: String,
}

/// `[type]/[id]`
#[derive(Clone)]
pub(crate) struct InstanceAddress {
    pub(crate) resource_type: ResourceType,
    pub(crate) id: String,
}

/// `[type]/[id]/_history/[version]`
#[derive(Clone)]
pub(crate) struct VersionAddress {
    pub(crate) resource_type: ResourceType,
    pub(crate) id: String,
    pub(crate) version: u64,
}

#[derive(Deserialize)]
struct Segments {
    r#type: String,
    id: Option<String>,
    version: Option<String>,
}

impl InstanceAddress {
    /// An operation that patients alone have.
    pub(crate) fn patient(self) -> Result<String, Problem> {
        only_patient(self.resource_type)?;
        Ok(self.id)
    }
}

impl TypeAddress {
    /// An operation that patients alone have.
    pub(crate) fn must_be_patient(self) -> Result<(), Problem> {
        only_patient(self.0)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for TypeAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segments = segments(parts, state).await?;
        known_type(&segments.r#type).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ConditionalAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segments = segments(parts, state).await?;
        Ok(Self {
            resource_type: known_type(&segments.r#type)?,
            query: parts.uri.query().unwrap_or_default().to_owned(),
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InstanceAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segments = segments(parts, state).await?;
        Ok(Self {
            resource_type: known_type(&segments.r#type)?,
            id: known_id(segments.id)?,
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for VersionAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segments = segments(parts, state).await?;
        let version = segments.version.unwrap_or_default();
        Ok(Self {
            resource_type: known_type(&segments.r#type)?,
            id: known_id(segments.id)?,
            version: version.parse().map_err(|_| Problem::not_found())?,
        })
    }
}

async fn segments<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<Segments, Problem> {
    let Path(segments) = Path::from_request_parts(parts, state)
        .await
        .map_err(|_| Problem::not_found())?;
    Ok(segments)
}

fn known_type(name: &str) -> Result<ResourceType, Problem> {
    ResourceType::parse(name).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            IssueType::NotSupported,
            "the URL names no R4 resource type",
        )
    })
}

fn known_id(id: Option<String>) -> Result<String, Problem> {
    id.filter(|id| is_id(id)).ok_or_else(|| {
        Problem::malformed("the id in the URL is not 1 to 64 letters, digits, hyphens and dots")
    })
}

fn only_patient(resource_type: ResourceType) -> Result<(), Problem> {
    only(ResourceType::PATIENT, resource_type)
}

/// An operation that one type alone has.
pub(super) fn only(kind: ResourceType, resource_type: ResourceType) -> Result<(), Problem> {
    if resource_type == kind {
        Ok(())
    } else {
        let said = format!("the operation is defined for {kind}");
        Err(Problem::not_supported(said))
    }
}
