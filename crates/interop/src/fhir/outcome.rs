//! `OperationOutcome`, the answer to everything that went wrong.
//!
//! Diagnostics come from this software, never from a payload: they may be logged and shown.

use serde_json::{Map, Value, json};

/// How bad an issue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the codes of the R4 value set")]
pub enum Severity {
    Fatal,
    Error,
    Warning,
    Information,
}

impl Severity {
    /// The R4 code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
        }
    }
}

macro_rules! issue_types {
    ($($name:ident = $code:literal),+ $(,)?) => {
        /// The R4 value set `issue-type`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the names are the codes of the R4 value set")]
        pub enum IssueType { $($name),+ }

        impl IssueType {
            /// The R4 code.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }
        }
    };
}

issue_types! {
    Invalid = "invalid", Structure = "structure", Required = "required", Value = "value",
    Invariant = "invariant", Security = "security", Login = "login", Unknown = "unknown",
    Expired = "expired", Forbidden = "forbidden", Suppressed = "suppressed",
    Processing = "processing", NotSupported = "not-supported", Duplicate = "duplicate",
    MultipleMatches = "multiple-matches", NotFound = "not-found", Deleted = "deleted",
    TooLong = "too-long", CodeInvalid = "code-invalid", Extension = "extension",
    TooCostly = "too-costly", BusinessRule = "business-rule", Conflict = "conflict",
    Transient = "transient", LockError = "lock-error", NoStore = "no-store",
    Exception = "exception", Timeout = "timeout", Incomplete = "incomplete",
    Throttled = "throttled", Informational = "informational",
}

/// One issue of an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of problem it is.
    pub code: IssueType,
    /// One sentence for people; holds no value of a payload.
    pub diagnostics: String,
    /// Where it is, as simple FHIRPath.
    pub expression: Vec<String>,
    /// What kind of problem it is, in a system of its own.
    pub details: Option<Details>,
}

/// A code for what an issue's type does not tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Details {
    /// The system.
    pub system: &'static str,
    /// The code.
    pub code: &'static str,
    /// What the code is called.
    pub display: &'static str,
}

impl Issue {
    /// An issue of severity `error`.
    pub fn error(code: IssueType, diagnostics: impl Into<String>) -> Self {
        let diagnostics = diagnostics.into();
        Self {
            severity: Severity::Error,
            code,
            diagnostics,
            expression: Vec::new(),
            details: None,
        }
    }

    /// The same issue with another severity.
    #[must_use]
    pub fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// The same issue, said to be at this place.
    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Self {
        self.expression.push(expression.into());
        self
    }

    /// The same issue with a code.
    #[must_use]
    pub fn with_details(mut self, details: Details) -> Self {
        self.details = Some(details);
        self
    }

    fn to_value(&self) -> Value {
        let mut issue = Map::new();
        issue.insert("severity".to_owned(), self.severity.code().into());
        issue.insert("code".to_owned(), self.code.code().into());
        if let Some(Details {
            system,
            code,
            display,
        }) = self.details
        {
            let coding = json!({ "system": system, "code": code, "display": display });
            issue.insert("details".to_owned(), json!({ "coding": [coding] }));
        }
        issue.insert("diagnostics".to_owned(), self.diagnostics.as_str().into());
        if !self.expression.is_empty() {
            issue.insert("expression".to_owned(), self.expression.clone().into());
        }
        Value::Object(issue)
    }
}

/// A list of issues; never empty when built by the functions here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationOutcome {
    issues: Vec<Issue>,
}

impl OperationOutcome {
    /// An outcome with one issue.
    pub fn of(issue: Issue) -> Self {
        Self {
            issues: vec![issue],
        }
    }

    /// An outcome with one issue of severity `error`.
    pub fn error(code: IssueType, diagnostics: impl Into<String>) -> Self {
        Self::of(Issue::error(code, diagnostics))
    }

    /// The same outcome with one more issue.
    #[must_use]
    pub fn with(mut self, issue: Issue) -> Self {
        self.issues.push(issue);
        self
    }

    /// The issues in order.
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// The resource.
    pub fn to_value(&self) -> Value {
        let issues: Vec<Value> = self.issues.iter().map(Issue::to_value).collect();
        json!({ "resourceType": "OperationOutcome", "issue": issues })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_lists_its_issues_in_order() {
        let outcome = OperationOutcome::error(IssueType::Required, "status is required")
            .with(Issue::error(IssueType::Value, "id is malformed").at("Patient.id"));
        let expected = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"required","diagnostics":"status is required"},{"severity":"error","code":"value","diagnostics":"id is malformed","expression":["Patient.id"]}]}"#;
        assert_eq!(outcome.to_value().to_string(), expected);
    }
}
