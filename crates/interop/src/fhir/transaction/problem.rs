//! What can be wrong with a Bundle and its entries.

use thiserror::Error;

use crate::fhir::{Issue, IssueType, OperationOutcome, ResourceError};

/// What is wrong with a Bundle.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TransactionError {
    #[error("the resource is not a Bundle")]
    NotABundle,
    #[error("`Bundle.type` is neither transaction nor batch")]
    KindUnsupported,
    #[error("`Bundle.entry` is not an array")]
    EntriesMalformed,
    #[error("the Bundle has {entries} entries, the limit is {limit}")]
    TooManyEntries { entries: usize, limit: usize },
    #[error("entry {index}: {problem}")]
    Entry { index: usize, problem: EntryProblem },
}

/// What is wrong with an entry. Holds no value of the Bundle.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum EntryProblem {
    #[error("the entry is not an object")]
    NotAnObject,
    #[error("`request` is missing")]
    RequestMissing,
    #[error("`request.method` is missing or not one of R4")]
    MethodUnknown,
    #[error("an operation by POST is not supported in a transaction")]
    OperationInTransaction,
    #[error("`request.url` is missing")]
    UrlMissing,
    #[error("`request.url` does not fit the method")]
    UrlMalformed,
    #[error("`request.url` names no R4 resource type")]
    TypeUnknown,
    #[error("`request.ifMatch` is not a weak ETag of a version")]
    IfMatchMalformed,
    #[error("`request.ifNoneMatch` is not `*`")]
    IfNoneMatchMalformed,
    #[error("`request.ifNoneExist` is not a query")]
    IfNoneExistMalformed,
    #[error("`resource` is missing")]
    ResourceMissing,
    #[error("`resource`: {0}")]
    Resource(ResourceError),
    #[error("`resource` is not a patch: neither Parameters nor Binary")]
    NotAPatch,
    #[error("`resource.id` is not the id of `request.url`")]
    IdMismatch,
    #[error("the query of `request.url` matches no resource")]
    NothingMatches,
    #[error("`fullUrl` is not a URL or URN")]
    FullUrlMalformed,
    #[error("`fullUrl` is that of entry {first}")]
    FullUrlRepeated { first: usize },
    #[error("the entry writes the resource that entry {first} writes")]
    TargetRepeated { first: usize },
    #[error("the id source gave no usable id")]
    IdUnusable,
    #[error("the reference at `{path}` names no entry of the Bundle")]
    ReferenceUnresolved { path: String },
    #[error("`{path}` is not that of the Binary which the attachment names")]
    AttachmentUntrue { path: String },
}

impl TransactionError {
    /// The outcome to answer with.
    pub fn outcome(&self) -> OperationOutcome {
        let code = match self {
            Self::NotABundle | Self::KindUnsupported => IssueType::Value,
            Self::EntriesMalformed => IssueType::Structure,
            Self::TooManyEntries { .. } => IssueType::TooCostly,
            Self::Entry { index, problem } => return problem.outcome(*index),
        };
        OperationOutcome::error(code, self.to_string())
    }
}

impl EntryProblem {
    /// The outcome for the entry at this place.
    pub fn outcome(&self, index: usize) -> OperationOutcome {
        if let Self::Resource(error) = self {
            return error.issues().into_iter().fold(
                OperationOutcome::of(
                    Issue::error(
                        IssueType::Invalid,
                        format!("entry {index}: `resource` is refused"),
                    )
                    .at(format!("Bundle.entry[{index}].resource")),
                ),
                OperationOutcome::with,
            );
        }
        let issue = Issue::error(self.issue_type(), format!("entry {index}: {self}"));
        let mut element = format!("Bundle.entry[{index}]{}", self.element());
        if let Self::AttachmentUntrue { path } = self {
            element.push('.');
            element.push_str(path);
        }
        OperationOutcome::of(issue.at(element))
    }

    fn issue_type(&self) -> IssueType {
        match self {
            Self::NotAnObject => IssueType::Structure,
            Self::RequestMissing | Self::UrlMissing | Self::ResourceMissing => IssueType::Required,
            Self::MethodUnknown
            | Self::UrlMalformed
            | Self::IfMatchMalformed
            | Self::IfNoneMatchMalformed
            | Self::IfNoneExistMalformed
            | Self::FullUrlMalformed
            | Self::AttachmentUntrue { .. } => IssueType::Value,
            Self::OperationInTransaction | Self::TypeUnknown => IssueType::NotSupported,
            Self::Resource(_) | Self::NotAPatch | Self::IdMismatch => IssueType::Invalid,
            Self::FullUrlRepeated { .. } | Self::TargetRepeated { .. } => IssueType::Duplicate,
            Self::IdUnusable => IssueType::Exception,
            Self::NothingMatches | Self::ReferenceUnresolved { .. } => IssueType::NotFound,
        }
    }

    fn element(&self) -> &'static str {
        match self {
            Self::NotAnObject | Self::TargetRepeated { .. } | Self::IdUnusable => "",
            Self::RequestMissing => ".request",
            Self::MethodUnknown | Self::OperationInTransaction => ".request.method",
            Self::UrlMissing | Self::UrlMalformed | Self::TypeUnknown | Self::NothingMatches => {
                ".request.url"
            }
            Self::IfMatchMalformed => ".request.ifMatch",
            Self::IfNoneMatchMalformed => ".request.ifNoneMatch",
            Self::IfNoneExistMalformed => ".request.ifNoneExist",
            Self::ResourceMissing
            | Self::Resource(_)
            | Self::NotAPatch
            | Self::ReferenceUnresolved { .. }
            | Self::AttachmentUntrue { .. } => ".resource",
            Self::IdMismatch => ".resource.id",
            Self::FullUrlMalformed | Self::FullUrlRepeated { .. } => ".fullUrl",
        }
    }
}
