//! Functions on elements and types, and those that R4 adds.

use serde_json::Value;

use super::super::EvaluationError;
use super::super::evaluate::{cast, is_of_type};
use super::super::item::{Content, Element, Item, Items};
use super::super::navigate;
use super::super::operators::{single, truth};
use super::super::temporal::{Temporal, TemporalKind};
use super::super::types;
use super::{Function, Invocation, Outcome, function};
use crate::fhir::ResourceType;
use crate::fhir::structure::is_narrative;

const BASE: &str = "http://hl7.org/fhir/StructureDefinition/";

pub(super) const FUNCTIONS: &[Function] = &[
    function("children", 0..=0, children),
    function("descendants", 0..=0, descendants),
    function("trace", 1..=2, |it| Ok(it.input.to_vec())),
    function("now", 0..=0, |it| {
        let now = it.run.now.ok_or(EvaluationError::NoTime)?;
        Ok(temporal(now, TemporalKind::DateTime))
    }),
    function("today", 0..=0, |it| {
        let now = it.run.now.ok_or(EvaluationError::NoTime)?;
        let date = now.split('T').next().unwrap_or_default();
        Ok(temporal(date, TemporalKind::Date))
    }),
    function("timeOfDay", 0..=0, |it| {
        let now = it.run.now.ok_or(EvaluationError::NoTime)?;
        let clock = now.split('T').nth(1).unwrap_or_default();
        let clock = clock.split(['Z', '+', '-']).next().unwrap_or_default();
        Ok(temporal(clock, TemporalKind::Time))
    }),
    function("is", 1..=1, |it| {
        let name = it.arguments.first().and_then(|name| name.type_name());
        let name = name.ok_or(EvaluationError::UnknownType)?;
        match single(it.input)? {
            None => Ok(Vec::new()),
            Some(item) => Ok(truth(Some(is_of_type(item, &name)?))),
        }
    }),
    function("as", 1..=1, |it| {
        let name = it.arguments.first().and_then(|name| name.type_name());
        let name = name.ok_or(EvaluationError::UnknownType)?;
        // dom-3 casts many items at once.
        if it.input.len() > 1 && types::is_primitive(&name.name) {
            return super::super::evaluate::of_type(it.input.to_vec(), &name);
        }
        cast(it.input.to_vec(), &name)
    }),
    function("type", 0..=0, |it| {
        Ok(it
            .input
            .iter()
            .map(|item| {
                let (space, name) = item.type_name();
                Item::Type(space, name.into())
            })
            .collect())
    }),
    function("extension", 1..=1, extension),
    function("hasValue", 0..=0, |it| {
        let answer = match it.input {
            [Item::Element(element)] => matches!(element.content, Content::Primitive(_)),
            [_] => true,
            _ => false,
        };
        Ok(truth(Some(answer)))
    }),
    function("getValue", 0..=0, |it| {
        let value = single(it.input)?.and_then(Item::value);
        Ok(value.into_iter().collect())
    }),
    function("resolve", 0..=0, resolve),
    function("conformsTo", 1..=1, conforms_to),
    function("memberOf", 1..=1, |_| {
        Err(EvaluationError::Unsupported("a terminology server"))
    }),
    function("htmlChecks", 0..=0, |it| {
        Ok(truth(it.subject()?.map(|text| is_narrative(&text))))
    }),
];

fn temporal<'a>(text: &str, kind: TemporalKind) -> Items<'a> {
    let parsed = Temporal::parse(text, kind);
    parsed.map(Item::Temporal).into_iter().collect()
}

fn children<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let mut found = Vec::new();
    for item in it.input {
        if let Item::Element(element) = item {
            navigate::children(*element, &mut found);
        }
    }
    it.run.spend(found.len())?;
    Ok(found)
}

fn descendants<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let mut found = Vec::new();
    let mut stack: Vec<Element<'a>> = it.input.iter().rev().filter_map(element).collect();
    while let Some(next) = stack.pop() {
        let begin = found.len();
        navigate::children(next, &mut found);
        it.run.spend(found.len() - begin)?;
        stack.extend(found.iter().skip(begin).rev().filter_map(element));
    }
    Ok(found)
}

fn element<'a>(item: &Item<'a>) -> Option<Element<'a>> {
    match item {
        Item::Element(element) => Some(*element),
        _ => None,
    }
}

fn extension<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let Some(url) = it.text(0)? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for item in it.input.iter().filter_map(element) {
        navigate::member(item, "extension", &mut found);
    }
    found.retain(|item| match element(item).map(|it| it.content) {
        Some(Content::Object(object)) => {
            object.get("url").and_then(Value::as_str) == Some(url.as_str())
        }
        _ => false,
    });
    Ok(found)
}

/// What references name, as far as it is in the same resource: contained, or an entry of the same
/// Bundle. Nothing is fetched.
fn resolve<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let mut found = Vec::new();
    for item in it.input {
        let reference = match element(item).map(|it| it.content) {
            Some(Content::Object(object)) => object.get("reference").and_then(Value::as_str),
            Some(Content::Primitive(value)) => value.as_str(),
            _ => None,
        };
        it.run.spend(1)?;
        found.extend(reference.and_then(|reference| target(it, reference)));
    }
    Ok(found)
}

fn target<'a>(it: &Invocation<'_, 'a>, reference: &str) -> Option<Item<'a>> {
    let Content::Object(root) = it.run.root.content else {
        return None;
    };
    let list = |name| {
        root.get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let resource = |value: &'a Value| {
        let object = value.as_object()?;
        let name = object.get("resourceType").and_then(Value::as_str)?;
        let kind = ResourceType::parse(name)?.as_str();
        Some(Item::Element(Element::object(object, kind)))
    };
    if let Some(id) = reference.strip_prefix('#') {
        if id.is_empty() {
            return Some(Item::Element(it.run.root));
        }
        let mut contained = list("contained");
        let found = contained.find(|one| one.get("id").and_then(Value::as_str) == Some(id))?;
        return resource(found);
    }
    let mut entries = list("entry");
    let found = entries.find(|entry| {
        let url = entry.get("fullUrl").and_then(Value::as_str);
        url.is_some_and(|url| {
            url == reference
                || url
                    .strip_suffix(reference)
                    .is_some_and(|base| base.ends_with('/'))
        })
    })?;
    resource(found.get("resource")?)
}

/// Base types alone are known here.
fn conforms_to<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let (Some(item), Some(url)) = (single(it.input)?, it.text(0)?) else {
        return Ok(Vec::new());
    };
    let name = url.strip_prefix(BASE).and_then(types::known);
    let name = name.ok_or(EvaluationError::Unsupported("a profile"))?;
    Ok(truth(Some(types::is_a(item.type_name().1, name))))
}
