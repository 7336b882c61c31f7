//! `_include` and `_revinclude`: which resources come along with the matches.

use super::parameter::{ParameterKind, parameter, parameters};
use super::problem::QueryProblem;
use crate::fhir::ResourceType;

/// One `_include` or `_revinclude`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// Whether what refers to a match is included, not what a match refers to.
    pub is_reverse: bool,
    /// Whether it is applied to what was included, too.
    pub iterates: bool,
    /// The type whose references are followed; `None` for every type (`_include=*`).
    pub source: Option<ResourceType>,
    /// The reference parameter; `None` for all of the type.
    pub parameter: Option<&'static str>,
    /// Only targets of this type.
    pub target: Option<ResourceType>,
}

/// What `_include` and `_revinclude` take for a type.
pub fn includes(resource_type: ResourceType) -> (Vec<String>, Vec<String>) {
    let references = |kind: ResourceType| {
        let own = parameters(kind);
        own.filter(|it| it.kind == ParameterKind::Reference && it.is_supported())
    };
    let mut forward = vec!["*".to_owned(), format!("{resource_type}:*")];
    forward.extend(references(resource_type).map(|it| format!("{resource_type}:{}", it.name)));
    let reverse = ResourceType::all().flat_map(|kind| {
        let found = references(kind).filter(|it| it.may_target(resource_type));
        found.map(move |it| format!("{kind}:{}", it.name))
    });
    (forward, reverse.collect())
}

impl Include {
    /// Reads `Type:parameter[:Target]`, `Type:*` or `*`.
    pub(super) fn parse(
        is_reverse: bool,
        modifier: Option<&str>,
        value: &str,
    ) -> Result<Self, QueryProblem> {
        let iterates = match modifier {
            None => false,
            // `recurse` is what STU3 called it.
            Some("iterate" | "recurse") => true,
            Some(_) => return Err(QueryProblem::ModifierUnknown),
        };
        let mut include = Self {
            is_reverse,
            iterates,
            source: None,
            parameter: None,
            target: None,
        };
        let mut parts = value.split(':');
        let source = parts.next().unwrap_or_default();
        // Everything that refers to a match cannot be told by type.
        if source == "*" && !is_reverse && parts.next().is_none() {
            return Ok(include);
        }
        let source = ResourceType::parse(source).ok_or(QueryProblem::ValueMalformed)?;
        include.source = Some(source);
        match parts.next() {
            None => return Err(QueryProblem::ValueMalformed),
            Some("*") => {}
            Some(name) => {
                let found = parameter(source, name).ok_or(QueryProblem::ValueUnsupported)?;
                if found.kind != ParameterKind::Reference {
                    return Err(QueryProblem::ValueUnsupported);
                }
                include.parameter = Some(found.name);
            }
        }
        if let Some(target) = parts.next() {
            let target = ResourceType::parse(target).ok_or(QueryProblem::ValueMalformed)?;
            include.target = Some(target);
        }
        if parts.next().is_some() {
            return Err(QueryProblem::ValueMalformed);
        }
        Ok(include)
    }

    /// The reference parameters that are followed from a resource of this type.
    pub fn parameters(&self, resource_type: ResourceType) -> Vec<&'static str> {
        if self.source.is_some_and(|source| source != resource_type) {
            return Vec::new();
        }
        match self.parameter {
            Some(parameter) => vec![parameter],
            None => parameters(resource_type)
                .filter(|it| it.kind == ParameterKind::Reference && it.is_supported())
                .map(|it| it.name)
                .collect(),
        }
    }

    /// Whether a target of this type comes along.
    pub fn wants(&self, target: ResourceType) -> bool {
        self.target.is_none_or(|only| only == target)
    }
}
