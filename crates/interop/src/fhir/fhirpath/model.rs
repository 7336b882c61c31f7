//! What the engine knows of R4's types.

use crate::fhir::ResourceType;

/// The type of an element: the type of what holds it, and its name in JSON.
///
/// An answer is the name of a datatype or resource, a path such as `Patient.contact` for elements
/// that R4 defines in place, or nothing for what the definitions do not have.
pub trait Model: Send + Sync {
    /// The type of the element with this name.
    fn element(&self, holder: &str, name: &str) -> Option<&'static str>;
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
pub(super) fn choice(end: &str) -> Option<&'static str> {
    CHOICES.into_iter().find(|name| {
        let mut letters = name.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        let mut ending = end.chars();
        ending.next() == first && ending.as_str() == letters.as_str()
    })
}

/// The type's own name, if R4 has it.
pub(super) fn known(name: &str) -> Option<&'static str> {
    CHOICES
        .into_iter()
        .chain(OTHERS)
        .find(|known| *known == name)
        .or_else(|| ResourceType::parse(name).map(ResourceType::as_str))
}

/// The type that this one specialises.
pub(super) fn base(name: &str) -> Option<&'static str> {
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
pub(super) fn is_a(kind: &'static str, wanted: &str) -> bool {
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
pub(super) fn is_primitive(kind: &str) -> bool {
    kind.starts_with(|first: char| first.is_ascii_lowercase())
}

/// Whether the type is a resource's.
pub(super) fn is_resource(kind: &str) -> bool {
    ResourceType::parse(kind).is_some()
}
