//! FHIR XML: the same resources as in JSON, in the order and the forms of the definitions.

mod read;
mod write;

use thiserror::Error;

use super::{ElementPath, Issue, IssueType, OperationOutcome};

pub use read::from_xml;
pub use write::to_xml;

/// The namespace of every element outside a Narrative.
const FHIR: &str = "http://hl7.org/fhir";

/// What is wrong with an XML body that should be a resource. Holds no value of the body.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum XmlError {
    #[error("the body has {bytes} bytes, the limit is {limit}")]
    TooLarge { bytes: usize, limit: usize },
    #[error("the nesting is deeper than {limit} levels")]
    TooDeep { limit: usize },
    #[error("the body is not text in UTF-8")]
    NotText,
    #[error("the body is not well-formed XML: error near byte {at}")]
    Malformed { at: u64 },
    #[error("the body has a document type declaration or an entity that XML does not know")]
    Entity,
    #[error("the root is not in the namespace `http://hl7.org/fhir`")]
    Namespace,
    #[error("the root is not an R4 resource type")]
    TypeUnknown,
    #[error("`{0}` is not an element or attribute of R4 here")]
    Unknown(ElementPath),
    #[error("`{0}` is given more than once")]
    Repeated(ElementPath),
    #[error("`{0}` has text outside its `value`")]
    Text(ElementPath),
    #[error("`{0}` does not hold one resource of R4")]
    NotAResource(ElementPath),
}

impl XmlError {
    /// The outcome to answer with.
    pub fn outcome(&self) -> OperationOutcome {
        let code = match self {
            Self::TooLarge { .. } => IssueType::TooLong,
            Self::TooDeep { .. } => IssueType::TooCostly,
            Self::TypeUnknown | Self::NotAResource(_) => IssueType::Value,
            _ => IssueType::Structure,
        };
        let issue = Issue::error(code, self.to_string());
        OperationOutcome::of(match self {
            Self::Unknown(path)
            | Self::Repeated(path)
            | Self::Text(path)
            | Self::NotAResource(path) => issue.at(path.to_string()),
            _ => issue,
        })
    }
}

#[cfg(test)]
mod tests;
