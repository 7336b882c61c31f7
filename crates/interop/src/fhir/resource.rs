//! A FHIR resource: parsed with limits, stored without server meta, presented with it.

use std::fmt;

use serde_json::{Map, Value};
use thiserror::Error;

use super::structure::{self, ElementProblem, Findings};
use super::timespan::format_instant;
use super::{Issue, IssueType, OperationOutcome, ResourceType, json};

/// Bounds on what is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseLimits {
    /// The longest body.
    pub bytes_max: usize,
    /// The deepest nesting of objects and arrays.
    pub depth_max: usize,
    /// How a resource is held against the definitions.
    pub checking: Checking,
}

/// How a resource is held against the definitions of R4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checking {
    /// Every rule; what is refused nowhere else is refused here.
    #[default]
    Strict,
    /// Elements that R4 does not define, codes outside required value sets and references to types that are
    /// not allowed are warnings; all else is refused.
    Lenient,
    /// The type alone: for what this node checked when it took it.
    Stored,
}

impl ParseLimits {
    /// For content out of this node's own store, whatever checks it passed when it was taken.
    pub fn stored() -> Self {
        Self {
            checking: Checking::Stored,
            ..Self::default()
        }
    }
}

impl Default for ParseLimits {
    /// 16 MiB (the largest Synthea Bundle of a long life has about a third) and 64 levels.
    fn default() -> Self {
        Self {
            bytes_max: 16 << 20,
            depth_max: 64,
            checking: Checking::Strict,
        }
    }
}

/// What is wrong with a body that should be a resource. Holds no value of the body.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ResourceError {
    #[error("the body has {bytes} bytes, the limit is {limit}")]
    TooLarge { bytes: usize, limit: usize },
    #[error("the nesting is deeper than {limit} levels")]
    TooDeep { limit: usize },
    #[error("the JSON text ends before it is complete")]
    Truncated,
    #[error("the body is not JSON: syntax error at line {line} column {column}")]
    Malformed { line: usize, column: usize },
    #[error("an object names an element twice")]
    RepeatedElement,
    #[error("an element has a name that is reserved")]
    ReservedElement,
    #[error("the JSON text is not an object")]
    NotAnObject,
    #[error("`resourceType` is missing")]
    TypeMissing,
    #[error("`resourceType` is not a string")]
    TypeNotText,
    #[error("`resourceType` is not an R4 resource type")]
    TypeUnknown,
    #[error("the resource is not of the type `{expected}`")]
    TypeMismatch { expected: ResourceType },
    #[error("`id` is not 1 to 64 letters, digits, hyphens and dots")]
    IdMalformed,
    #[error("{} elements break the structure of their type", .0.len())]
    Elements(Vec<ElementProblem>),
}

impl ResourceError {
    /// The issues for an outcome; several when several elements are wrong.
    pub fn issues(&self) -> Vec<Issue> {
        let code = match self {
            Self::TooLarge { .. } => IssueType::TooLong,
            Self::TooDeep { .. } => IssueType::TooCostly,
            Self::Truncated
            | Self::Malformed { .. }
            | Self::RepeatedElement
            | Self::ReservedElement
            | Self::NotAnObject
            | Self::TypeNotText => IssueType::Structure,
            Self::TypeMissing => IssueType::Required,
            Self::TypeUnknown | Self::IdMalformed => IssueType::Value,
            Self::TypeMismatch { .. } => IssueType::Invalid,
            Self::Elements(problems) => return problems.iter().map(element_issue).collect(),
        };
        vec![Issue::error(code, self.to_string())]
    }

    /// The outcome to answer with.
    pub fn outcome(&self) -> OperationOutcome {
        let mut issues = self.issues().into_iter();
        let first = issues
            .next()
            .unwrap_or_else(|| Issue::error(IssueType::Invalid, self.to_string()));
        issues.fold(OperationOutcome::of(first), OperationOutcome::with)
    }
}

/// A resource of a known type whose structure was checked.
///
/// Debug shows the type alone.
#[derive(Clone, PartialEq)]
pub struct Resource {
    resource_type: ResourceType,
    object: Map<String, Value>,
}

impl fmt::Debug for Resource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Resource({})", self.resource_type)
    }
}

impl Resource {
    /// Parses and checks a body.
    pub fn parse(bytes: &[u8], limits: &ParseLimits) -> Result<Self, ResourceError> {
        Ok(Self::parse_noting(bytes, limits)?.0)
    }

    /// Parses and checks a body; with the warnings of a lenient check.
    pub fn parse_noting(
        bytes: &[u8],
        limits: &ParseLimits,
    ) -> Result<(Self, Vec<ElementProblem>), ResourceError> {
        Self::from_object(json::parse_object(bytes, limits)?, limits.checking)
    }

    /// Parses a body that must be of this type.
    pub fn parse_as(
        expected: ResourceType,
        bytes: &[u8],
        limits: &ParseLimits,
    ) -> Result<Self, ResourceError> {
        let object = json::parse_object(bytes, limits)?;
        if type_of(&object)? != expected {
            return Err(ResourceError::TypeMismatch { expected });
        }
        Ok(Self::from_object(object, limits.checking)?.0)
    }

    /// Checks a JSON value that was parsed before, strictly.
    pub fn from_value(value: Value) -> Result<Self, ResourceError> {
        Ok(Self::from_value_noting(value, Checking::Strict)?.0)
    }

    /// Checks a JSON value that was parsed before; with the warnings of a lenient check.
    pub fn from_value_noting(
        value: Value,
        checking: Checking,
    ) -> Result<(Self, Vec<ElementProblem>), ResourceError> {
        match value {
            Value::Object(object) => Self::from_object(object, checking),
            _ => Err(ResourceError::NotAnObject),
        }
    }

    fn from_object(
        object: Map<String, Value>,
        checking: Checking,
    ) -> Result<(Self, Vec<ElementProblem>), ResourceError> {
        let resource_type = type_of(&object)?;
        match object.get("id") {
            None => {}
            Some(Value::String(id)) if is_id(id) => {}
            Some(_) => return Err(ResourceError::IdMalformed),
        }
        let findings = match checking {
            Checking::Strict => structure::check(resource_type, &object, false),
            Checking::Lenient => structure::check(resource_type, &object, true),
            Checking::Stored => Findings::default(),
        };
        if !findings.errors.is_empty() {
            return Err(ResourceError::Elements(findings.errors));
        }
        let resource = Self {
            resource_type,
            object,
        };
        Ok((resource, findings.warnings))
    }

    /// What a strict check refuses and a lenient one lets pass.
    pub fn lenient_problems(&self) -> Vec<Issue> {
        let findings = structure::check(self.resource_type, &self.object, true);
        findings.warnings.iter().map(element_issue).collect()
    }

    /// The type.
    pub fn resource_type(&self) -> ResourceType {
        self.resource_type
    }

    /// The logical id, if it has one.
    pub fn id(&self) -> Option<&str> {
        self.object.get("id").and_then(Value::as_str)
    }

    /// A top-level element.
    pub fn get(&self, element: &str) -> Option<&Value> {
        self.object.get(element)
    }

    /// The elements in their order.
    pub fn object(&self) -> &Map<String, Value> {
        &self.object
    }

    /// Changes of references and additions of codings; the structure stays as checked.
    pub(crate) fn object_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.object
    }

    /// The resource as a JSON value.
    pub fn into_value(self) -> Value {
        Value::Object(self.object)
    }

    /// The content bytes of a version: compact JSON with this `id`, without `meta.versionId` and
    /// `meta.lastUpdated`, all else as it came. These bytes are hashed and sealed.
    pub fn stored(&self, id: &str) -> Result<Vec<u8>, ResourceError> {
        let content = self.clone().into_content(id)?;
        Ok(Value::Object(content).to_string().into_bytes())
    }

    /// The resource for an answer: with id, version and time of the version.
    pub fn present(
        &self,
        id: &str,
        version: u64,
        last_updated_ms: i64,
    ) -> Result<Value, ResourceError> {
        self.clone().into_presented(id, version, last_updated_ms)
    }

    /// The same of a resource that is not needed any more.
    pub fn into_presented(
        self,
        id: &str,
        version: u64,
        last_updated_ms: i64,
    ) -> Result<Value, ResourceError> {
        let mut object = self.into_content(id)?;
        let mut meta = Map::new();
        meta.insert("versionId".to_owned(), version.to_string().into());
        meta.insert(
            "lastUpdated".to_owned(),
            format_instant(last_updated_ms).into(),
        );
        match object.get_mut("meta") {
            Some(Value::Object(present)) => {
                meta.append(present);
                *present = meta;
            }
            _ => {
                object.shift_insert(2.min(object.len()), "meta".to_owned(), meta.into());
            }
        }
        Ok(Value::Object(object))
    }

    /// The resource under another id.
    pub fn with_id(self, id: &str) -> Result<Self, ResourceError> {
        if !is_id(id) {
            return Err(ResourceError::IdMalformed);
        }
        let Self {
            resource_type,
            mut object,
        } = self;
        put_id(&mut object, id);
        Ok(Self {
            resource_type,
            object,
        })
    }

    fn into_content(self, id: &str) -> Result<Map<String, Value>, ResourceError> {
        if !is_id(id) {
            return Err(ResourceError::IdMalformed);
        }
        let mut object = self.object;
        put_id(&mut object, id);
        if let Some(Value::Object(meta)) = object.get_mut("meta") {
            meta.shift_remove("versionId");
            meta.shift_remove("lastUpdated");
            if meta.is_empty() {
                object.shift_remove("meta");
            }
        }
        Ok(object)
    }
}

/// Whether the text is a FHIR `id`: `[A-Za-z0-9\-.]{1,64}`.
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
}

fn type_of(object: &Map<String, Value>) -> Result<ResourceType, ResourceError> {
    match object.get("resourceType") {
        None => Err(ResourceError::TypeMissing),
        Some(Value::String(name)) => ResourceType::parse(name).ok_or(ResourceError::TypeUnknown),
        Some(_) => Err(ResourceError::TypeNotText),
    }
}

fn put_id(object: &mut Map<String, Value>, id: &str) {
    match object.get_mut("id") {
        Some(present) => *present = id.into(),
        None => {
            // Beside `resourceType`, where readers look for it.
            let after_type = object.keys().position(|name| name == "resourceType");
            let at = after_type.map_or(0, |index| index.saturating_add(1));
            object.shift_insert(at, "id".to_owned(), id.into());
        }
    }
}

fn element_issue(problem: &ElementProblem) -> Issue {
    Issue::error(problem.rule.issue_type(), problem.to_string()).at(problem.path.to_string())
}

#[cfg(test)]
mod tests;
