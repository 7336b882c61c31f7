//! Where the values of a parameter stand in a resource.

use serde_json::{Map, Value};

use crate::fhir::ResourceType;

/// A path over JSON, arrays flattened, and the type of what stands at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ValuePath {
    steps: Vec<Step>,
    /// The FHIR type of the values.
    pub(super) leaf: Leaf,
    /// Only references to this type.
    pub(super) target: Option<ResourceType>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    name: &'static str,
    /// Only items in which this element has this value.
    only: Option<(&'static str, &'static str)>,
    /// Only the first item.
    is_first: bool,
}

/// The types that values are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaf {
    /// Strings, codes, URIs, booleans, dates, numbers: what JSON has no object for.
    Primitive,
    Coding,
    CodeableConcept,
    Identifier,
    ContactPoint,
    /// `true` if the element is there and not `false`.
    Present,
    Reference,
    Canonical,
    /// A resource within a Bundle.
    Resource,
    Period,
    Timing,
    HumanName,
    Address,
    Quantity,
    Money,
    Range,
    SampledData,
}

impl Leaf {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "boolean" | "code" | "string" | "markdown" | "id" | "uri" | "url" | "oid" | "uuid"
            | "date" | "dateTime" | "instant" | "integer" | "decimal" | "positiveInt"
            | "unsignedInt" => Self::Primitive,
            "Coding" => Self::Coding,
            "CodeableConcept" => Self::CodeableConcept,
            "Identifier" => Self::Identifier,
            "ContactPoint" => Self::ContactPoint,
            "present" => Self::Present,
            "Reference" => Self::Reference,
            "canonical" => Self::Canonical,
            "Resource" => Self::Resource,
            "Period" => Self::Period,
            "Timing" => Self::Timing,
            "HumanName" => Self::HumanName,
            "Address" => Self::Address,
            "Quantity" | "Age" | "Duration" | "Count" | "Distance" => Self::Quantity,
            "Money" => Self::Money,
            "Range" => Self::Range,
            "SampledData" => Self::SampledData,
            _ => return None,
        })
    }
}

impl ValuePath {
    /// `telecom{system=phone}:ContactPoint`, `subject:Reference@Patient`.
    pub(super) fn parse(word: &'static str) -> Option<Self> {
        let (path, end) = word.rsplit_once(':')?;
        let (leaf, target) = match end.split_once('@') {
            Some((leaf, target)) => (leaf, Some(ResourceType::parse(target)?)),
            None => (end, None),
        };
        Some(Self {
            steps: steps(path)?,
            leaf: Leaf::named(leaf)?,
            target,
        })
    }

    /// The path of a composite's base; `.` for the resource itself.
    pub(super) fn base(word: &'static str) -> Option<Self> {
        let steps = if word == "." {
            Vec::new()
        } else {
            steps(word)?
        };
        Some(Self {
            steps,
            leaf: Leaf::Primitive,
            target: None,
        })
    }

    /// The objects at the path; the root itself for an empty path.
    pub(super) fn objects<'a>(&self, root: &'a Map<String, Value>) -> Vec<&'a Map<String, Value>> {
        if self.steps.is_empty() {
            return vec![root];
        }
        self.values(root)
            .into_iter()
            .filter_map(Value::as_object)
            .collect()
    }

    /// The values at the path.
    pub(super) fn values<'a>(&self, root: &'a Map<String, Value>) -> Vec<&'a Value> {
        let mut found = Vec::new();
        if let Some((first, rest)) = self.steps.split_first() {
            descend(root, first, rest, &mut found);
        }
        found
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.steps.iter().map(|step| step.name)
    }
}

fn steps(path: &'static str) -> Option<Vec<Step>> {
    let mut is_condition = false;
    let words = path.split(move |letter: char| {
        match letter {
            '{' => is_condition = true,
            '}' => is_condition = false,
            _ => {}
        }
        letter == '.' && !is_condition
    });
    words.map(step).collect()
}

fn step(word: &'static str) -> Option<Step> {
    if let Some((name, condition)) = word.split_once('{') {
        let only = condition.strip_suffix('}')?.split_once('=')?;
        return Some(Step {
            name,
            only: Some(only),
            is_first: false,
        });
    }
    let first = word.strip_suffix("[0]");
    Some(Step {
        name: first.unwrap_or(word),
        only: None,
        is_first: first.is_some(),
    })
}

fn descend<'a>(
    object: &'a Map<String, Value>,
    step: &Step,
    rest: &[Step],
    found: &mut Vec<&'a Value>,
) {
    let Some(value) = object.get(step.name) else {
        return;
    };
    match value {
        Value::Array(items) if step.is_first => {
            items
                .iter()
                .take(1)
                .for_each(|item| arrive(item, step, rest, found));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| arrive(item, step, rest, found)),
        value => arrive(value, step, rest, found),
    }
}

fn arrive<'a>(value: &'a Value, step: &Step, rest: &[Step], found: &mut Vec<&'a Value>) {
    let is_wanted = step
        .only
        .is_none_or(|(name, wanted)| value.get(name).and_then(Value::as_str) == Some(wanted));
    if !is_wanted {
        return;
    }
    match rest.split_first() {
        None => found.push(value),
        Some((step, rest)) => {
            if let Value::Object(object) = value {
                descend(object, step, rest, found);
            }
        }
    }
}
