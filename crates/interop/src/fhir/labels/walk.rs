//! Goes over a resource for what rules look at: codings, references, text, and labels that are there.

use serde_json::{Map, Value};

/// What stands somewhere in a resource.
pub(super) enum Seen<'a> {
    Coding {
        system: &'a str,
        code: &'a str,
    },
    /// `Type/id`, or `system|value` of an identifier.
    Reference(&'a str, Option<&'a str>),
    Text(&'a str),
    Security {
        system: &'a str,
        code: &'a str,
    },
}

/// Where in a resource; written out only for what is found.
#[derive(Default)]
pub(super) struct Place<'a>(Vec<Step<'a>>);

enum Step<'a> {
    Element(&'a str),
    Item(usize),
}

impl Place<'_> {
    /// The path as FHIRPath would write it.
    pub(super) fn path(&self, resource_type: &str) -> String {
        let mut path = resource_type.to_owned();
        for step in &self.0 {
            match step {
                Step::Element(name) => {
                    path.push('.');
                    path.push_str(name);
                }
                Step::Item(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }

    /// Whether it is in the element with this name, at the top.
    pub(super) fn is_in(&self, element: &str) -> bool {
        matches!(self.0.first(), Some(Step::Element(name)) if *name == element)
    }

    fn names(&self, from_end: usize) -> Option<&str> {
        let mut names = self.0.iter().rev().filter_map(|step| match step {
            Step::Element(name) => Some(*name),
            Step::Item(_) => None,
        });
        names.nth(from_end)
    }

    fn is_security(&self) -> bool {
        let last = self.names(0);
        last == Some("security") && self.names(1) == Some("meta")
            || last == Some("coding") && self.names(1) == Some("securityLabel")
    }
}

/// Shows everything in `object` to `see`.
pub(super) fn walk<'a>(object: &'a Map<String, Value>, see: &mut impl FnMut(Seen<'a>, &Place<'a>)) {
    visit(object, &mut Place::default(), see);
}

fn visit<'a>(
    object: &'a Map<String, Value>,
    place: &mut Place<'a>,
    see: &mut impl FnMut(Seen<'a>, &Place<'a>),
) {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    if place.is_security() {
        let (system, code) = (text("system"), text("code"));
        let (system, code) = (system.unwrap_or_default(), code.unwrap_or_default());
        see(Seen::Security { system, code }, place);
    } else if let (Some(system), Some(code)) = (text("system"), text("code")) {
        see(Seen::Coding { system, code }, place);
    }
    if let Some(reference) = text("reference") {
        see(Seen::Reference(reference, None), place);
    }
    if let Some(Value::Object(identifier)) = object.get("identifier") {
        let text = |name: &str| identifier.get(name).and_then(Value::as_str);
        if let (Some(system), Some(value)) = (text("system"), text("value")) {
            see(Seen::Reference(system, Some(value)), place);
        }
    }
    for (name, value) in object {
        place.0.push(Step::Element(name));
        inside(value, place, see);
        place.0.pop();
    }
}

fn inside<'a>(value: &'a Value, place: &mut Place<'a>, see: &mut impl FnMut(Seen<'a>, &Place<'a>)) {
    match value {
        Value::Object(object) => visit(object, place, see),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                place.0.push(Step::Item(index));
                inside(item, place, see);
                place.0.pop();
            }
        }
        Value::String(text)
            if matches!(place.names(0), Some("div" | "text" | "note" | "display")) =>
        {
            see(Seen::Text(text), place);
        }
        _ => {}
    }
}
