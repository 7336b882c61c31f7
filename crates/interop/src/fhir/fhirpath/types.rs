//! What the engine knows of R4's types.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::fhir::ResourceType;

/// The type of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ElementType {
    /// The name of a datatype or resource, or a path such as `Patient.contact` for elements that
    /// R4 defines in place.
    pub(crate) kind: &'static str,
    /// Whether it is one alternative of a choice.
    pub(crate) is_choice: bool,
    /// Whether JSON has it as an array.
    pub(crate) is_repeating: bool,
}

/// The type of the element that has this name in JSON, of an element of that type.
pub(crate) fn element(holder: &str, name: &str) -> Option<ElementType> {
    let mut next = Some(holder);
    while let Some(definition) = next.and_then(|name| TYPES.get(name)) {
        if let Some(found) = definition.elements.get(name) {
            return Some(*found);
        }
        next = definition.base;
    }
    None
}

struct Definition {
    base: Option<&'static str>,
    elements: BTreeMap<String, ElementType>,
}

static TYPES: LazyLock<BTreeMap<&'static str, Definition>> = LazyLock::new(|| {
    let lines = include_str!("../data/elements.txt").lines();
    let lines = lines.filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (head, words) = line.split_once(' ').unwrap_or((line, ""));
            let (name, base) = match head.split_once('<') {
                Some((name, base)) => (name, Some(base)),
                None => (head, None),
            };
            let mut elements = BTreeMap::new();
            for word in words.split(' ') {
                read_element(word, &mut elements);
            }
            (name, Definition { base, elements })
        })
        .collect()
});

fn read_element(word: &'static str, elements: &mut BTreeMap<String, ElementType>) {
    let Some((head, kinds)) = word.split_once(':') else {
        return;
    };
    let kinds = kinds.split(['=', '+', '?']).next().unwrap_or_default();
    let is_repeating = head.ends_with('*');
    let head = head.trim_start_matches('@').trim_end_matches(['*', '!']);
    let name = head.trim_end_matches("[x]");
    let is_choice = name.len() < head.len();
    for kind in kinds.split(',') {
        let kind = match kind.split('(').next().unwrap_or_default() {
            "SimpleQuantity" => "Quantity",
            kind => kind,
        };
        let full = if is_choice {
            choice_name(name, kind)
        } else {
            name.to_owned()
        };
        let element = ElementType {
            kind,
            is_choice,
            is_repeating,
        };
        elements.insert(full, element);
    }
}

/// The name of a choice in JSON: `valueQuantity`.
pub(crate) fn choice_name(base: &str, kind: &str) -> String {
    let mut letters = kind.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    base.chars().chain(first).chain(letters).collect()
}

/// Datatypes that an element of choice may have, in the form of a name's end.
const CHOICES: [&str; 50] = [
    "base64Binary",
    "boolean",
    "canonical",
    "code",
    "date",
    "dateTime",
    "decimal",
    "id",
    "instant",
    "integer",
    "markdown",
    "oid",
    "positiveInt",
    "string",
    "time",
    "unsignedInt",
    "uri",
    "url",
    "uuid",
    "Address",
    "Age",
    "Annotation",
    "Attachment",
    "CodeableConcept",
    "Coding",
    "ContactPoint",
    "Count",
    "Distance",
    "Duration",
    "HumanName",
    "Identifier",
    "Money",
    "Period",
    "Quantity",
    "Range",
    "Ratio",
    "Reference",
    "SampledData",
    "Signature",
    "Timing",
    "ContactDetail",
    "Contributor",
    "DataRequirement",
    "Expression",
    "ParameterDefinition",
    "RelatedArtifact",
    "TriggerDefinition",
    "UsageContext",
    "Dosage",
    "Meta",
];

/// Types that are neither resources nor choices.
const OTHERS: [&str; 9] = [
    "Element",
    "BackboneElement",
    "Resource",
    "DomainResource",
    "Extension",
    "Narrative",
    "ElementDefinition",
    "xhtml",
    "SimpleQuantity",
];

/// The datatype that the end of a choice's name says: `Quantity` of `valueQuantity`.
pub(crate) fn choice(end: &str) -> Option<&'static str> {
    CHOICES.into_iter().find(|name| {
        let mut letters = name.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        let mut ending = end.chars();
        ending.next() == first && ending.as_str() == letters.as_str()
    })
}

/// The type's own name, if R4 has it.
pub(crate) fn known(name: &str) -> Option<&'static str> {
    CHOICES
        .into_iter()
        .chain(OTHERS)
        .find(|known| *known == name)
        .or_else(|| ResourceType::parse(name).map(ResourceType::as_str))
}

/// The type that this one specialises.
pub(crate) fn base(name: &str) -> Option<&'static str> {
    Some(match name {
        "code" | "id" | "markdown" => "string",
        "url" | "canonical" | "uuid" | "oid" => "uri",
        "positiveInt" | "unsignedInt" => "integer",
        "Age" | "Count" | "Distance" | "Duration" | "SimpleQuantity" => "Quantity",
        "Bundle" | "Parameters" | "Binary" | "DomainResource" => "Resource",
        "Timing" | "Dosage" | "ElementDefinition" => "BackboneElement",
        "Resource" | "Element" | "" => return None,
        _ if name.contains('.') => "BackboneElement",
        _ if ResourceType::parse(name).is_some() => "DomainResource",
        _ => "Element",
    })
}

/// Whether a type is another, or specialises it.
pub(crate) fn is_a(kind: &'static str, wanted: &str) -> bool {
    let mut next = Some(kind);
    while let Some(name) = next {
        if name == wanted {
            return true;
        }
        next = base(name);
    }
    false
}

/// Types whose content is one value.
pub(crate) fn is_primitive(kind: &str) -> bool {
    kind.starts_with(|first: char| first.is_ascii_lowercase())
}

/// Whether the type is a resource's.
pub(crate) fn is_resource(kind: &str) -> bool {
    ResourceType::parse(kind).is_some()
}

/// What stands under the name with `_`.
pub(crate) fn companion<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let is_companion = |key: &str| key.strip_prefix('_') == Some(name);
    let found = object.iter().find(|(key, _)| is_companion(key));
    found.map(|(_, value)| value)
}

/// The type of a child. Every element has extensions and an id, also one whose type the
/// definitions do not tell.
pub(crate) fn child(holder: &str, name: &str) -> Option<ElementType> {
    let kind = match name {
        "extension" | "modifierExtension" => "Extension",
        "id" if !is_resource(holder) => "string",
        _ => return element(holder, name),
    };
    Some(ElementType {
        kind,
        is_choice: false,
        is_repeating: kind == "Extension",
    })
}

/// The name of the choice: `value` of `valueQuantity`.
pub(crate) fn choice_base<'n>(name: &'n str, kind: &str) -> &'n str {
    name.get(..name.len().saturating_sub(kind.len()))
        .unwrap_or(name)
}
