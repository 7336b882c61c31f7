//! The value of an element: primitives, what stands beside them, datatypes, resources.

use serde_json::{Map, Value};

use super::{Check, ElementRule, Within, extension_of, narrative};
use crate::fhir::ResourceType;
use crate::fhir::definitions::{DefinitionId, Element, Kind, Primitive, Shape, ValueSet};
use crate::fhir::reference::Target;

impl Check {
    pub(super) fn value(
        &mut self,
        element: &Element,
        kind: &Kind,
        value: &Value,
        object: &Map<String, Value>,
    ) {
        if !element.is_repeating {
            return self.single(element, kind, value);
        }
        let Some(items) = value.as_array() else {
            return self.report(ElementRule::Kind("an array"));
        };
        if items.is_empty() {
            return self.report(ElementRule::NotEmpty);
        }
        for (index, item) in items.iter().enumerate() {
            // In an array of primitives null keeps the place of an extension.
            if item.is_null() && is_extended(kind, object, index) {
                continue;
            }
            self.path.push_index(index);
            self.single(element, kind, item);
            self.path.pop();
        }
    }

    /// What `_name` holds: id and extensions of a primitive, or of each in an array.
    pub(super) fn beside(&mut self, element: &Element, kind: &Kind, value: &Value) {
        if !matches!(kind.shape, Shape::Primitive(_)) || element.is_attribute {
            return self.report(ElementRule::Defined);
        }
        if !element.is_repeating {
            return self.complex(DefinitionId::element(), value);
        }
        let Some(items) = value.as_array() else {
            return self.report(ElementRule::Kind("an array"));
        };
        if items.iter().all(Value::is_null) {
            return self.report(ElementRule::NotEmpty);
        }
        for (index, item) in items.iter().enumerate() {
            if !item.is_null() {
                self.path.push_index(index);
                self.complex(DefinitionId::element(), item);
                self.path.pop();
            }
        }
    }

    fn single(&mut self, element: &Element, kind: &Kind, value: &Value) {
        match kind.shape {
            Shape::Primitive(primitive) => self.primitive(primitive, value, element.codes),
            Shape::Resource => self.nested(kind, value),
            Shape::Complex(id) => {
                if id != DefinitionId::element() && has_only_id(value) {
                    return self.report(ElementRule::NotEmpty);
                }
                self.complex(id, value);
                if id == DefinitionId::reference() && !is_allowed(kind, value) {
                    self.report(ElementRule::Target);
                }
                if let Some(codes) = element.codes
                    && id == DefinitionId::codeable_concept()
                    && !is_coded(codes, value)
                {
                    self.report(ElementRule::Code);
                }
            }
        }
    }

    fn complex(&mut self, id: DefinitionId, value: &Value) {
        match value {
            Value::Object(object) if object.is_empty() => self.report(ElementRule::NotEmpty),
            Value::Object(object) => self.members(id.get(), object, Within::Element),
            Value::Null => self.report(ElementRule::NotEmpty),
            _ => self.report(ElementRule::Kind("an object")),
        }
    }

    fn nested(&mut self, kind: &Kind, value: &Value) {
        let Some(object) = value.as_object() else {
            return self.report(ElementRule::Kind("an object"));
        };
        let name = object.get("resourceType").and_then(Value::as_str);
        match name.and_then(ResourceType::parse) {
            Some(resource_type) => {
                self.resource(resource_type, object, kind.name == "contained");
            }
            None => self.report_at("resourceType", ElementRule::KnownType),
        }
    }

    fn primitive(&mut self, primitive: Primitive, value: &Value, codes: Option<&ValueSet>) {
        match value {
            Value::Null => self.report(ElementRule::NotEmpty),
            Value::Bool(_) if primitive == Primitive::Boolean => {}
            _ if primitive == Primitive::Boolean => self.report(ElementRule::Kind("a boolean")),
            Value::Number(_) if primitive == Primitive::Decimal => {}
            Value::Number(number) if primitive.is_number() => {
                if !primitive.is_well_formed(number.as_str()) {
                    self.report(ElementRule::Form(primitive.name()));
                }
            }
            _ if primitive.is_number() => self.report(ElementRule::Kind("a number")),
            Value::String(text) => self.text(primitive, text, codes),
            _ => self.report(ElementRule::Kind("a string")),
        }
    }

    fn text(&mut self, primitive: Primitive, text: &str, codes: Option<&ValueSet>) {
        if text.is_empty() {
            return self.report(ElementRule::NotEmpty);
        }
        if primitive == Primitive::Xhtml {
            if let Err(what) = narrative::check(text) {
                self.report(ElementRule::Narrative(what));
            }
        } else if !primitive.is_well_formed(text) {
            self.report(ElementRule::Form(primitive.name()));
        } else if codes.is_some_and(|codes| primitive == Primitive::Code && !codes.has_code(text)) {
            self.report(ElementRule::Code);
        }
    }
}

fn is_extended(kind: &Kind, object: &Map<String, Value>, index: usize) -> bool {
    matches!(kind.shape, Shape::Primitive(_))
        && extension_of(kind.name, object)
            .and_then(|items| items.get(index))
            .is_some_and(Value::is_object)
}

/// An element has a value or children beside its id.
fn has_only_id(value: &Value) -> bool {
    let object = value.as_object();
    object.is_some_and(|object| object.len() == 1 && object.contains_key("id"))
}

fn is_allowed(kind: &Kind, value: &Value) -> bool {
    if kind.targets.is_empty() {
        return true;
    }
    let text = value.get("reference").and_then(Value::as_str);
    match text.map(Target::parse) {
        Some(Target::Conditional(resource_type, _)) => kind.targets.contains(&resource_type),
        Some(target) => {
            let local = target.local();
            local.is_none_or(|local| kind.targets.contains(&local.resource_type))
        }
        None => true,
    }
}

/// Whether one coding is of the set. A concept that an extension stands for has none.
fn is_coded(codes: &ValueSet, concept: &Value) -> bool {
    let codings = concept.get("coding").and_then(Value::as_array);
    let Some(codings) = codings else {
        return concept.get("extension").is_some();
    };
    codings.iter().any(|coding| {
        let part = |name: &str| coding.get(name).and_then(Value::as_str);
        part("system")
            .zip(part("code"))
            .is_some_and(|(system, code)| codes.has(system, code))
    })
}
