//! Why a question about a vocabulary has no answer.

use thiserror::Error;

use super::Unavailable;
use crate::fhir::IssueType;

/// Why a question has no answer. URLs in it are those of definitions that were loaded, not what a request named.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TerminologyProblem {
    #[error("the code system is not loaded here in the version that is asked for")]
    CodeSystemUnknown,
    #[error("the value set is not known here")]
    ValueSetUnknown,
    #[error("the concept map is not known here")]
    ConceptMapUnknown,
    #[error("the code is not one of the code system")]
    CodeUnknown,
    #[error("the value set takes codes from `{0}`, which is not loaded here")]
    SystemMissing(String),
    #[error("the value set refers to `{0}`, which is not loaded here")]
    ValueSetMissing(String),
    #[error("the value set refers to others more than {0} deep")]
    TooDeep(usize),
    #[error("the value set has {0}")]
    Malformed(&'static str),
    #[error("the value set has a filter whose operator or property is not known here")]
    FilterUnsupported,
    #[error("the value set has a filter whose value is no regular expression of bounded size")]
    RegexRefused,
    #[error(
        "{found} codes are in the expansion, and {limit} are given at once: use `filter`, or `offset` and `count`"
    )]
    TooCostly { found: usize, limit: usize },
    #[error(
        "the value set has codes of a grammar, which cannot be listed: ask with `$validate-code`"
    )]
    Endless,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl TerminologyProblem {
    /// The type of its issue.
    pub fn code(&self) -> IssueType {
        match self {
            Self::CodeSystemUnknown
            | Self::ValueSetUnknown
            | Self::ConceptMapUnknown
            | Self::CodeUnknown
            | Self::SystemMissing(_)
            | Self::ValueSetMissing(_) => IssueType::NotFound,
            Self::TooDeep(_) | Self::TooCostly { .. } | Self::Endless => IssueType::TooCostly,
            Self::Malformed(_) => IssueType::Invalid,
            Self::FilterUnsupported | Self::RegexRefused => IssueType::NotSupported,
            Self::Unavailable(_) => IssueType::Transient,
        }
    }
}
