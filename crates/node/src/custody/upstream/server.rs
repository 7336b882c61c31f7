//! What an existing server has to be able to do, whoever it is.

use futures::future::BoxFuture;
use interop::fhir::{Issue, IssueType, ResourceType};
use serde_json::Value;

use crate::custody::CustodyError;

/// A FHIR server that holds contents.
pub trait ExistingServer: Send + Sync {
    /// One version, as the server shows it.
    fn version<'a>(
        &'a self,
        resource_type: ResourceType,
        id: &'a str,
        version_id: &'a str,
    ) -> BoxFuture<'a, Result<Value, UpstreamError>>;

    /// Makes all changes or none; what became of each, in their order.
    fn write<'a>(
        &'a self,
        changes: &'a [Outgoing],
    ) -> BoxFuture<'a, Result<Vec<Stored>, UpstreamError>>;

    /// A page of versions, in the server's order.
    fn list<'a>(&'a self, what: &'a Listing) -> BoxFuture<'a, Result<Page, UpstreamError>>;

    /// The types that the server serves.
    fn types(&self) -> BoxFuture<'_, Result<Vec<ResourceType>, UpstreamError>>;

    /// Removes the earlier versions of a document that is deleted; false if the server does not offer that.
    fn purge<'a>(
        &'a self,
        resource_type: ResourceType,
        id: &'a str,
    ) -> BoxFuture<'a, Result<bool, UpstreamError>>;
}

/// A change for the existing server.
#[derive(Clone)]
pub struct Outgoing {
    /// The type.
    pub resource_type: ResourceType,
    /// The id, the same as here.
    pub id: String,
    /// The server's version that must be current, where one is known.
    pub if_match: Option<String>,
    /// The content; `None` deletes.
    pub content: Option<Value>,
}

/// What became of a change.
#[derive(Clone)]
pub struct Stored {
    /// The server's name for the version; a deletion may have none.
    pub version_id: Option<String>,
    /// When the server wrote it, milliseconds since 1970.
    pub at_ms: u64,
    /// What the server has made of the content; `None` for a deletion.
    pub content: Option<Value>,
}

/// A version that the server has.
#[derive(Clone)]
pub struct Found {
    /// The type.
    pub resource_type: ResourceType,
    /// The id.
    pub id: String,
    /// The server's name for it.
    pub version_id: String,
    /// When the server wrote it, milliseconds since 1970.
    pub at_ms: u64,
    /// What it says.
    pub content: Content,
}

/// What a version says.
#[derive(Clone)]
pub enum Content {
    /// This.
    Is(Value),
    /// It has to be asked for.
    NotLoaded,
    /// The document was deleted.
    Deleted,
}

/// Which versions are asked for.
#[derive(Clone)]
pub enum Listing {
    /// Changes of everything since a time.
    System {
        /// Milliseconds since 1970.
        since_ms: u64,
    },
    /// Changes of a type since a time.
    Type {
        /// The type.
        resource_type: ResourceType,
        /// Milliseconds since 1970.
        since_ms: u64,
    },
    /// What is current of a type and was written since a time, the oldest first.
    Current {
        /// The type.
        resource_type: ResourceType,
        /// Milliseconds since 1970.
        since_ms: u64,
    },
    /// All versions of a document.
    Document {
        /// The type.
        resource_type: ResourceType,
        /// The id.
        id: String,
    },
    /// The page that another one named as the next.
    Further(String),
}

/// A page of versions.
#[derive(Clone, Default)]
pub struct Page {
    /// The versions.
    pub found: Vec<Found>,
    /// Entries that name no version of a resource of R4.
    pub unreadable: u64,
    /// What [`Listing::Further`] takes for the next page.
    pub next: Option<String>,
}

/// Why the existing server did not do what it was asked. Holds nothing of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// It took no request.
    #[error("the existing server cannot be reached")]
    Unreachable,
    /// It took the request and gave no answer that says what came of it.
    #[error("the existing server did not say what came of the request")]
    OutcomeUnknown,
    /// The version that had to be current is not.
    #[error("the existing server has another version")]
    Overtaken,
    /// There is no such thing.
    #[error("the existing server has no such thing")]
    Missing,
    /// It refuses.
    #[error("the existing server answered {0}")]
    Refused(u16),
    /// Its answer is not what FHIR says.
    #[error("the existing server's answer cannot be used: {0}")]
    Unsound(&'static str),
}

impl From<UpstreamError> for CustodyError {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::Unreachable | UpstreamError::OutcomeUnknown => Self::Unavailable {
                what: "the existing server",
            },
            UpstreamError::Overtaken => Self::Overtaken,
            UpstreamError::Missing => Self::Diverged,
            UpstreamError::Refused(status @ (400 | 422)) => Self::Invalid(Issue::error(
                IssueType::Processing,
                format!("the existing server refused the change with status {status}"),
            )),
            UpstreamError::Refused(status) => Self::RefusedUpstream { status },
            UpstreamError::Unsound(what) => {
                tracing::error!(what, "the existing server's answer cannot be used");
                Self::RefusedUpstream { status: 200 }
            }
        }
    }
}

macro_rules! redacted {
    ($($name:ident),* $(,)?) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

redacted!(Outgoing, Stored, Found, Content, Listing, Page);
