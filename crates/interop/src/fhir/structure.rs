//! Structural rules: required elements and JSON kinds, from the table of R4 definitions.
//!
//! Checked: every top-level element and every datatype in the table; of all other types the
//! general form alone. Not checked: inside backbone elements, terminology, profiles, invariants.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::timespan::is_instant;
use super::{ElementPath, IssueType, ResourceType, TimeSpan};

/// More problems than this are not listed.
const PROBLEMS_MAX: usize = 20;

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
}

impl ElementRule {
    /// The code of the issue.
    pub fn issue_type(self) -> IssueType {
        match self {
            Self::Required => IssueType::Required,
            Self::Kind(_) | Self::OneOfChoice | Self::NotNested => IssueType::Structure,
            Self::Form(_) | Self::KnownType => IssueType::Value,
            Self::NotEmpty => IssueType::Invalid,
        }
    }
}

impl fmt::Display for ElementProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match self.rule {
            ElementRule::Required => write!(out, "`{path}` is required"),
            ElementRule::Kind(kind) => write!(out, "`{path}` is not {kind}"),
            ElementRule::Form(name) => write!(out, "`{path}` has not the form of a FHIR {name}"),
            ElementRule::NotEmpty => write!(out, "`{path}` is empty or null"),
            ElementRule::OneOfChoice => write!(out, "`{path}` is given in more than one type"),
            ElementRule::KnownType => write!(out, "`{path}` is not an R4 resource type"),
            ElementRule::NotNested => write!(out, "`{path}` is nested in a contained resource"),
        }
    }
}

/// All broken rules of a resource, the first twenty at most.
pub(super) fn problems(
    resource_type: ResourceType,
    object: &Map<String, Value>,
) -> Vec<ElementProblem> {
    let mut check = Check {
        path: ElementPath::root(resource_type),
        problems: Vec::new(),
    };
    check.resource(resource_type, object, false);
    check.problems
}

struct Check {
    path: ElementPath,
    problems: Vec<ElementProblem>,
}

impl Check {
    fn report(&mut self, rule: ElementRule) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(ElementProblem {
                rule,
                path: self.path.clone(),
            });
        }
    }

    fn at(&mut self, name: &str, check: impl FnOnce(&mut Self)) {
        self.path.push_name(name);
        check(self);
        self.path.pop();
    }

    fn resource(&mut self, kind: ResourceType, object: &Map<String, Value>, is_contained: bool) {
        if let Some(elements) = TABLE.get("Resource") {
            self.elements(elements, object);
        }
        if let Some(elements) = TABLE.get(kind.as_str()) {
            self.elements(elements, object);
        }
        for (name, value) in object {
            match name.as_str() {
                // Planning checks them one by one: a batch survives a wrong entry.
                "entry" if is_executable(kind, object) => {}
                "contained" if is_contained => {
                    self.at(name, |it| it.report(ElementRule::NotNested))
                }
                "contained" => self.at(name, |it| it.contained(value)),
                _ => self.at(name, |it| it.not_empty(value, false)),
            }
        }
    }

    fn contained(&mut self, value: &Value) {
        let Some(items) = value.as_array().filter(|items| !items.is_empty()) else {
            return self.report(ElementRule::Kind("a non-empty array"));
        };
        for (index, item) in items.iter().enumerate() {
            self.path.push_index(index);
            let kind = item.get("resourceType").and_then(Value::as_str);
            match (item.as_object(), kind.and_then(ResourceType::parse)) {
                (None, _) => self.report(ElementRule::Kind("an object")),
                (_, None) => self.at("resourceType", |it| it.report(ElementRule::KnownType)),
                (Some(object), Some(kind)) => self.resource(kind, object, true),
            }
            self.path.pop();
        }
    }

    fn elements(&mut self, elements: &[Element], object: &Map<String, Value>) {
        for element in elements {
            if element.is_choice {
                self.choice(element, object);
                continue;
            }
            match object.get(element.name) {
                Some(value) => self.at(element.name, |it| it.element(element, value)),
                None if element.is_required && !has_extension_only(element.name, object) => {
                    self.at(element.name, |it| it.report(ElementRule::Required));
                }
                None => {}
            }
        }
    }

    fn choice(&mut self, element: &Element, object: &Map<String, Value>) {
        let mut count = 0;
        for kind in &element.kinds {
            let name = choice_name(element.name, kind);
            if let Some(value) = object.get(&name) {
                count += 1;
                self.at(&name, |it| it.datatype(kind, value));
            } else if has_extension_only(&name, object) {
                count += 1;
            }
        }
        match count {
            0 if element.is_required => {
                let first = element.kinds.first().map_or("", |kind| kind);
                let name = choice_name(element.name, first);
                self.at(&name, |it| it.report(ElementRule::Required));
            }
            0 | 1 => {}
            _ => self.report(ElementRule::OneOfChoice),
        }
    }

    fn element(&mut self, element: &Element, value: &Value) {
        let kind = element.kinds.first().map_or("BackboneElement", |kind| kind);
        if !element.is_repeating {
            return self.datatype(kind, value);
        }
        let Some(items) = value.as_array() else {
            return self.report(ElementRule::Kind("an array"));
        };
        for (index, item) in items.iter().enumerate() {
            // In an array of primitives null keeps the place of an extension.
            if item.is_null() && is_primitive(kind) {
                continue;
            }
            self.path.push_index(index);
            self.datatype(kind, item);
            self.path.pop();
        }
    }

    fn datatype(&mut self, kind: &'static str, value: &Value) {
        if is_primitive(kind) {
            return self.primitive(kind, value);
        }
        let Some(object) = value.as_object() else {
            return self.report(ElementRule::Kind("an object"));
        };
        if let Some(elements) = TABLE.get(kind) {
            self.elements(elements, object);
        }
    }

    fn primitive(&mut self, kind: &'static str, value: &Value) {
        let text = match (kind, value) {
            ("boolean", Value::Bool(_)) => return,
            ("boolean", _) => return self.report(ElementRule::Kind("a boolean")),
            ("decimal" | "integer" | "positiveInt" | "unsignedInt", Value::Number(_)) => return,
            ("decimal" | "integer" | "positiveInt" | "unsignedInt", _) => {
                return self.report(ElementRule::Kind("a number"));
            }
            (_, Value::String(text)) => text,
            _ => return self.report(ElementRule::Kind("a string")),
        };
        let well_formed = match kind {
            "code" => text.trim() == text,
            "date" => !text.contains('T') && TimeSpan::parse(text).is_some(),
            "dateTime" => TimeSpan::parse(text).is_some(),
            "instant" => is_instant(text),
            _ => true,
        };
        if !well_formed {
            self.report(ElementRule::Form(kind));
        }
    }

    fn not_empty(&mut self, value: &Value, is_item: bool) {
        match value {
            Value::Null if !is_item => self.report(ElementRule::NotEmpty),
            Value::String(text) if text.is_empty() => self.report(ElementRule::NotEmpty),
            Value::Array(items) if items.is_empty() => self.report(ElementRule::NotEmpty),
            Value::Object(object) if object.is_empty() => self.report(ElementRule::NotEmpty),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.path.push_index(index);
                    self.not_empty(item, true);
                    self.path.pop();
                }
            }
            Value::Object(object) => {
                for (name, value) in object {
                    self.at(name, |it| it.not_empty(value, false));
                }
            }
            _ => {}
        }
    }
}

fn is_executable(kind: ResourceType, object: &Map<String, Value>) -> bool {
    let bundle_type = object.get("type").and_then(Value::as_str);
    kind == ResourceType::BUNDLE && matches!(bundle_type, Some("transaction" | "batch"))
}

fn has_extension_only(name: &str, object: &Map<String, Value>) -> bool {
    object
        .get(&format!("_{name}"))
        .is_some_and(Value::is_object)
}

fn choice_name(base: &str, kind: &str) -> String {
    let mut name = base.to_owned();
    let mut letters = kind.chars();
    name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
    name.extend(letters);
    name
}

fn is_primitive(kind: &str) -> bool {
    kind == "xhtml" || kind.starts_with(|first: char| first.is_ascii_lowercase())
}

struct Element {
    name: &'static str,
    is_required: bool,
    is_repeating: bool,
    is_choice: bool,
    kinds: Vec<&'static str>,
}

static TABLE: LazyLock<BTreeMap<&'static str, Vec<Element>>> = LazyLock::new(|| {
    let lines = include_str!("data/elements.txt")
        .lines()
        .filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.filter_map(parse_element).collect()))
        })
        .collect()
});

fn parse_element(word: &'static str) -> Option<Element> {
    let (head, kinds) = word.split_once(':')?;
    let is_repeating = head.ends_with('*');
    let head = head.trim_end_matches('*');
    let is_required = head.ends_with('!');
    let head = head.trim_end_matches('!');
    let name = head.trim_end_matches("[x]");
    let is_choice = name.len() < head.len();
    let kinds = kinds.split(',').collect();
    Some(Element {
        name,
        is_required,
        is_repeating,
        is_choice,
        kinds,
    })
}

#[cfg(test)]
mod tests;
