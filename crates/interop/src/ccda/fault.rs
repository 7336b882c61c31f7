//! What is wrong with a document, by the path of the element; never with what stands there.

use thiserror::Error;

use crate::fhir::{Issue, IssueType, OperationOutcome};

/// Something that is wrong in a document. Holds no value of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {rule}")]
pub struct Fault {
    /// The element, such as `ClinicalDocument.recordTarget[0].patientRole.id[1]`: what may stand several times has a number,
    /// from 0. A name that CDA does not have is `*`.
    pub path: String,
    /// What was broken.
    pub rule: Rule,
}

/// A rule that documents have to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Rule {
    #[error("the document has more than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the nesting is deeper than {limit} levels")]
    TooDeep { limit: usize },
    #[error("the document has more than {limit} elements")]
    TooManyElements { limit: usize },
    #[error("the element has more than {limit} attributes")]
    TooManyAttributes { limit: usize },
    #[error("an attribute has more than {limit} bytes")]
    AttributeTooLong { limit: usize },
    #[error("entries refer to more narrative than may be read for them")]
    TooMuchReferred,
    #[error("the bytes are not text in the encoding that the document names")]
    NotText,
    #[error("the document is not well-formed XML: error near byte {at}")]
    Malformed { at: u64 },
    #[error("a document type declaration is not read")]
    DocumentType,
    #[error("only the five entities of XML and references to its characters are read")]
    Entity,
    #[error("the root must be `ClinicalDocument` in the namespace `urn:hl7-org:v3`")]
    NotADocument,
    #[error("the element must have `{0}`")]
    Missing(&'static str),
    #[error("the value must be {0}")]
    Form(&'static str),
    #[error("FHIR R4 cannot hold what stands here")]
    Unfit,
    #[error("the document has more than {limit} values that cannot be read")]
    TooManyMistakes { limit: usize },
}

impl Rule {
    fn code(self) -> IssueType {
        match self {
            Self::TooLarge { .. } | Self::AttributeTooLong { .. } => IssueType::TooLong,
            Self::TooMuchReferred
            | Self::TooDeep { .. }
            | Self::TooManyElements { .. }
            | Self::TooManyMistakes { .. }
            | Self::TooManyAttributes { .. } => IssueType::TooCostly,
            Self::Missing(_) => IssueType::Required,
            Self::Form(_) | Self::Unfit => IssueType::Value,
            Self::NotText
            | Self::Malformed { .. }
            | Self::DocumentType
            | Self::Entity
            | Self::NotADocument => IssueType::Structure,
        }
    }
}

impl Fault {
    /// The outcome that says what is wrong; `faults` has at least one.
    pub fn outcome(faults: &[Self]) -> OperationOutcome {
        let mut issues = faults.iter().map(|fault| {
            Issue::error(fault.rule.code(), fault.rule.to_string()).at(fault.path.clone())
        });
        let first = issues
            .next()
            .unwrap_or_else(|| Issue::error(IssueType::Processing, "the document cannot be taken"));
        issues.fold(OperationOutcome::of(first), OperationOutcome::with)
    }
}
