//! Structural rules: every element at every depth against the R4 definitions.
//!
//! Checked: names, cardinality, JSON kinds, forms of primitives and their extensions, choices, types of
//! reference targets, contained resources, Narratives, codes that the definitions require.
//! Not here: invariants, profiles, codes that the definitions merely prefer.

mod narrative;
mod value;

use std::fmt;

use serde_json::{Map, Value};

use super::definitions::{Definition, Element, Kind};
use super::{ElementPath, IssueType, ResourceType};

/// More problems than this are not listed.
const PROBLEMS_MAX: usize = 20;
/// Deeper nesting than this is refused; bodies are refused earlier, by their own limit.
const DEPTH_MAX: usize = 100;

/// A rule that an element of a resource broke, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementProblem {
    /// The broken rule.
    pub rule: ElementRule,
    /// The element.
    pub path: ElementPath,
}

/// Rules on elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementRule {
    /// The element must be there.
    Required,
    /// R4 has no such element here.
    Defined,
    /// The element has another JSON kind than this.
    Kind(&'static str),
    /// The text has not the form of this datatype.
    Form(&'static str),
    /// An element is never null, an empty object, array or string.
    NotEmpty,
    /// Only one type of a choice may be there.
    OneOfChoice,
    /// `resourceType` must be one of R4.
    KnownType,
    /// A contained resource contains no other.
    NotNested,
    /// The definition requires a code of its value set.
    Code,
    /// The definition allows references to other types only.
    Target,
    /// A Narrative is simple XHTML: what is wrong with this one.
    Narrative(&'static str),
    /// Nesting has a bound.
    Depth,
}

impl ElementRule {
    /// The code of the issue.
    pub fn issue_type(self) -> IssueType {
        match self {
            Self::Required => IssueType::Required,
            Self::Kind(_) | Self::OneOfChoice | Self::NotNested | Self::Defined => {
                IssueType::Structure
            }
            Self::Form(_) | Self::KnownType | Self::Target => IssueType::Value,
            Self::NotEmpty | Self::Narrative(_) => IssueType::Invalid,
            Self::Code => IssueType::CodeInvalid,
            Self::Depth => IssueType::TooCostly,
        }
    }

    /// Whether a lenient reading passes over it: nothing is lost or misread by storing it.
    fn is_lenient(self) -> bool {
        matches!(self, Self::Defined | Self::Code | Self::Target)
    }
}

impl fmt::Display for ElementProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match self.rule {
            ElementRule::Required => write!(out, "`{path}` is required"),
            ElementRule::Defined => write!(out, "`{path}` is not an element of R4 here"),
            ElementRule::Kind(kind) => write!(out, "`{path}` is not {kind}"),
            ElementRule::Form(name) => write!(out, "`{path}` has not the form of a FHIR {name}"),
            ElementRule::NotEmpty => write!(out, "`{path}` is empty or null"),
            ElementRule::OneOfChoice => write!(out, "`{path}` is given in more than one type"),
            ElementRule::KnownType => write!(out, "`{path}` is not an R4 resource type"),
            ElementRule::NotNested => write!(out, "`{path}` is nested in a contained resource"),
            ElementRule::Code => write!(out, "`{path}` has no code of the required value set"),
            ElementRule::Target => write!(out, "`{path}` refers to a type that is not allowed"),
            ElementRule::Narrative(what) => write!(out, "`{path}` is no FHIR narrative: {what}"),
            ElementRule::Depth => write!(out, "`{path}` is nested too deep"),
        }
    }
}

/// What a check found, twenty of each kind at most.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Why the resource is refused.
    pub(super) errors: Vec<ElementProblem>,
    /// What a lenient reading passes over.
    pub(super) warnings: Vec<ElementProblem>,
}

/// Checks a resource. A lenient check warns of elements that R4 does not define, of codes outside required
/// value sets and of targets of a wrong type.
pub(super) fn check(
    resource_type: ResourceType,
    object: &Map<String, Value>,
    is_lenient: bool,
) -> Findings {
    let mut check = Check {
        path: ElementPath::root(resource_type),
        depth: 0,
        is_lenient,
        findings: Findings::default(),
    };
    check.resource(resource_type, object, false);
    check.findings
}

struct Check {
    path: ElementPath,
    depth: usize,
    is_lenient: bool,
    findings: Findings,
}

/// What is special about the members of an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Element,
    Resource,
    Contained,
    /// A transaction or batch. Planning checks its entries one by one: a batch survives a wrong one.
    Executable,
}

impl Check {
    fn report(&mut self, rule: ElementRule) {
        let list = if self.is_lenient && rule.is_lenient() {
            &mut self.findings.warnings
        } else {
            &mut self.findings.errors
        };
        if list.len() < PROBLEMS_MAX {
            list.push(ElementProblem {
                rule,
                path: self.path.clone(),
            });
        }
    }

    fn report_at(&mut self, name: &str, rule: ElementRule) {
        self.path.push_name(name);
        self.report(rule);
        self.path.pop();
    }

    fn resource(&mut self, kind: ResourceType, object: &Map<String, Value>, is_contained: bool) {
        let within = if is_contained {
            Within::Contained
        } else if is_executable(kind, object) {
            Within::Executable
        } else {
            Within::Resource
        };
        self.members(Definition::of_resource(kind), object, within);
    }

    fn members(
        &mut self,
        definition: &'static Definition,
        object: &Map<String, Value>,
        within: Within,
    ) {
        if self.depth >= DEPTH_MAX {
            return self.report(ElementRule::Depth);
        }
        self.depth += 1;
        let mut seen = 0_u128;
        for (name, value) in object {
            match (within, name.as_str()) {
                (Within::Element, _) => {}
                (_, "resourceType") | (Within::Executable, "entry") => continue,
                (Within::Contained, "contained") => {
                    self.report_at(name, ElementRule::NotNested);
                    continue;
                }
                _ => {}
            }
            self.member(definition, object, (name, value), &mut seen);
        }
        if definition.required & !seen != 0 {
            self.missing(definition, seen);
        }
        self.depth -= 1;
    }

    fn member(
        &mut self,
        definition: &'static Definition,
        object: &Map<String, Value>,
        (name, value): (&str, &Value),
        seen: &mut u128,
    ) {
        let plain = name.strip_prefix('_');
        let found = definition.find(plain.unwrap_or(name));
        let Some((place, (element, kind))) =
            found.and_then(|place| Some((place, definition.at(place)?)))
        else {
            return self.report_at(name, ElementRule::Defined);
        };
        let bit = 1 << place.element;
        if element.is_choice && *seen & bit != 0 && is_doubled(element, object) {
            self.report(ElementRule::OneOfChoice);
        }
        *seen |= bit;
        self.path.push_defined(kind.name);
        match plain {
            None => self.value(element, kind, value, object),
            Some(_) => self.beside(element, kind, value),
        }
        self.path.pop();
    }

    fn missing(&mut self, definition: &'static Definition, seen: u128) {
        for (index, element) in definition.elements.iter().enumerate() {
            let bit = 1_u128 << index;
            if definition.required & !seen & bit != 0
                && let Some(kind) = element.kinds.first()
            {
                self.report_at(kind.name, ElementRule::Required);
            }
        }
    }
}

/// Whether the text is the XHTML that a Narrative may have.
pub(super) fn is_narrative(text: &str) -> bool {
    narrative::check(text).is_ok()
}

fn is_executable(kind: ResourceType, object: &Map<String, Value>) -> bool {
    let bundle_type = object.get("type").and_then(Value::as_str);
    kind == ResourceType::BUNDLE && matches!(bundle_type, Some("transaction" | "batch"))
}

/// Whether a choice is there in more than one type.
fn is_doubled(element: &Element, object: &Map<String, Value>) -> bool {
    let is_there =
        |kind: &&Kind| object.contains_key(kind.name) || extension_of(kind.name, object).is_some();
    element.kinds.iter().filter(is_there).count() > 1
}

/// What stands beside a primitive.
fn extension_of<'a>(name: &str, object: &'a Map<String, Value>) -> Option<&'a Value> {
    object.get(&format!("_{name}"))
}

#[cfg(test)]
mod tests;
