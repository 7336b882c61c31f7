//! The walk over a resource.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Invariant, TABLE, Violation, Weight};
use crate::fhir::fhirpath::{Context, Element, types};
use crate::fhir::{ElementPath, ResourceType};

/// More violations than this are not listed.
const VIOLATIONS_MAX: usize = 100;

const ELE_1: &str = "All FHIR elements must have a @value or children";
const EXT_1: &str = "Must have either extensions or value[x], not both";
const DOM_2: &str =
    "If the resource is contained in another resource, it SHALL NOT contain nested Resources";
const DOM_3: &str = "If the resource is contained in another resource, it SHALL be referred to \
     from elsewhere in the resource or SHALL refer to the containing resource";
const DOM_4: &str = "If a resource is contained in another resource, it SHALL NOT have a \
     meta.versionId or a meta.lastUpdated";
const DOM_5: &str =
    "If a resource is contained in another resource, it SHALL NOT have a security label";
const DOM_6: &str = "A resource should have narrative for robust management";

pub(super) fn violations(
    resource_type: ResourceType,
    object: &Map<String, Value>,
) -> Vec<Violation> {
    let mut walk = Walk {
        path: ElementPath::root(resource_type),
        violations: Vec::new(),
        local: BTreeSet::new(),
    };
    let root = Element::object(object, resource_type.as_str());
    walk.resource(root, object, root);
    walk.violations
}

struct Walk<'a> {
    path: ElementPath,
    violations: Vec<Violation>,
    /// References to contained resources, with their `#`.
    local: BTreeSet<&'a str>,
}

/// The resource that an element is in, and the one that contains it.
#[derive(Clone, Copy)]
struct Place<'a> {
    resource: Element<'a>,
    root: Element<'a>,
}

impl<'a> Walk<'a> {
    fn report(&mut self, key: &'static str, weight: Weight, human: &'static str) {
        if self.violations.len() < VIOLATIONS_MAX {
            let path = self.path.clone();
            self.violations.push(Violation {
                key,
                weight,
                human,
                path,
            });
        }
    }

    fn resource(
        &mut self,
        element: Element<'a>,
        object: &'a Map<String, Value>,
        root: Element<'a>,
    ) {
        let is_contained = !element.is_same(&root);
        let place = Place {
            resource: element,
            root,
        };
        let outer = if is_contained {
            BTreeSet::new()
        } else {
            std::mem::take(&mut self.local)
        };
        self.of_type(element, place);
        self.members(element, object, place);
        if is_contained {
            return;
        }
        self.contained(object);
        let has_text = object
            .get("text")
            .is_some_and(|text| text.get("div").is_some());
        if !has_text && types::is_a(element.kind(), "DomainResource") {
            self.report("dom-6", Weight::BestPractice, DOM_6);
        }
        self.local = outer;
    }

    /// What holds for contained resources; `local` is complete.
    fn contained(&mut self, object: &'a Map<String, Value>) {
        let items = object.get("contained").and_then(Value::as_array);
        for (index, item) in items.into_iter().flatten().enumerate() {
            let id = item.get("id").and_then(Value::as_str).unwrap_or_default();
            let meta = |name| {
                item.get("meta")
                    .is_some_and(|meta| meta.get(name).is_some())
            };
            let is_named = self.local.contains(id);
            self.path.push_name("contained");
            self.path.push_index(index);
            if item.get("contained").is_some() {
                self.report("dom-2", Weight::Error, DOM_2);
            }
            if !is_named && !names_container(item) {
                self.report("dom-3", Weight::Error, DOM_3);
            }
            if meta("versionId") || meta("lastUpdated") {
                self.report("dom-4", Weight::Error, DOM_4);
            }
            if meta("security") {
                self.report("dom-5", Weight::Error, DOM_5);
            }
            self.path.pop();
            self.path.pop();
        }
    }

    fn members(&mut self, holder: Element<'a>, object: &'a Map<String, Value>, place: Place<'a>) {
        for (name, value) in object {
            let plain = match name.strip_prefix('_') {
                Some(plain) if object.contains_key(plain) => continue,
                Some(plain) => plain,
                None if name == "resourceType" => continue,
                None => name,
            };
            let extra = if plain.len() < name.len() {
                Some(value)
            } else {
                types::companion(object, plain)
            };
            let declared = types::child(holder.kind(), plain);
            let value = object.get(plain).unwrap_or(&Value::Null);
            self.path.push_name(plain);
            match value {
                Value::Array(values) => {
                    for (index, value) in values.iter().enumerate() {
                        let extra = extra.and_then(|extras| extras.get(index));
                        self.path.push_index(index);
                        self.element(value, extra, holder, plain, declared, place);
                        self.path.pop();
                    }
                }
                value => self.element(value, extra, holder, plain, declared, place),
            }
            self.path.pop();
        }
    }

    fn element(
        &mut self,
        value: &'a Value,
        extra: Option<&'a Value>,
        holder: Element<'a>,
        name: &str,
        declared: Option<types::ElementType>,
        place: Place<'a>,
    ) {
        if let Some(contained) = value.get("resourceType").and_then(Value::as_str)
            && let Some(kind) = ResourceType::parse(contained)
            && let Some(object) = value.as_object()
        {
            let element = Element::object(object, kind.as_str());
            let root = if name == "contained" {
                place.root
            } else {
                element
            };
            return self.resource(element, object, root);
        }
        let kind = declared.map_or("", |declared| declared.kind);
        let element = Element::of_json(value, extra, kind);
        match value {
            Value::Object(object) => {
                if object.keys().all(|key| key == "id") {
                    self.report("ele-1", Weight::Error, ELE_1);
                }
                if kind == "Extension" {
                    let has_value = object.keys().any(|key| is_value(key));
                    if has_value == object.contains_key("extension") {
                        self.report("ext-1", Weight::Error, EXT_1);
                    }
                } else {
                    self.of_type(element, place);
                }
                self.members(element, object, place);
            }
            Value::String(text) => {
                let is_link = matches!(kind, "canonical" | "uri" | "url");
                if (name == "reference" || is_link)
                    && let Some(id) = text.strip_prefix('#')
                {
                    self.local.insert(id);
                }
            }
            Value::Null => {
                let extra = extra.and_then(Value::as_object);
                if extra.is_some_and(|extra| extra.keys().all(|key| key == "id")) {
                    self.report("ele-1", Weight::Error, ELE_1);
                }
            }
            _ => {}
        }
        // Elements defined in place have their path for a type.
        if let Some(declared) = declared
            && let Some(invariants) = own(holder.kind(), name, declared)
        {
            self.evaluate(invariants, element, place);
        }
        if let Some(extra) = extra.and_then(Value::as_object)
            && extra.contains_key("extension")
        {
            let element = Element::object(extra, "Element");
            self.members(element, extra, place);
        }
    }

    /// The invariants of the element's type and of all that it specialises.
    fn of_type(&mut self, element: Element<'a>, place: Place<'a>) {
        let mut next = Some(element.kind());
        while let Some(kind) = next {
            if let Some(invariants) = TABLE.by_place.get(kind) {
                self.evaluate(invariants, element, place);
            }
            next = types::base(kind);
        }
    }

    fn evaluate(
        &mut self,
        invariants: &'static [Invariant],
        element: Element<'a>,
        place: Place<'a>,
    ) {
        let context = Context {
            focus: element,
            resource: place.resource,
            root: place.root,
            now: None,
        };
        for invariant in invariants {
            // What cannot be evaluated is not held against the resource.
            if invariant.expression.fails(&context) == Ok(true) {
                self.report(&invariant.key, invariant.weight, &invariant.human);
            }
        }
    }
}

/// The invariants that an element has by its place, beside those of its type.
fn own(holder: &str, name: &str, declared: types::ElementType) -> Option<&'static Vec<Invariant>> {
    if !TABLE.holders.contains(holder) {
        return None;
    }
    let path = if declared.is_choice {
        let base = types::choice_base(name, declared.kind);
        format!("{holder}.{base}[x]")
    } else {
        format!("{holder}.{name}")
    };
    if path == declared.kind {
        return None;
    }
    TABLE.by_place.get(path.as_str())
}

fn is_value(key: &str) -> bool {
    let key = key.strip_prefix('_').unwrap_or(key);
    key.strip_prefix("value")
        .is_some_and(|end| end.starts_with(|first: char| first.is_ascii_uppercase()))
}

/// Whether a contained resource refers to the one that contains it.
fn names_container(value: &Value) -> bool {
    match value {
        Value::String(text) => text == "#",
        Value::Array(values) => values.iter().any(names_container),
        Value::Object(object) => object.values().any(names_container),
        _ => false,
    }
}
