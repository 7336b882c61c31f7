//! From the values of a resource to index terms.

use serde_json::{Map, Value};

use super::decimal::{Decimal, Interval};
use super::parameter::{Component, ParameterKind, Places, SearchParameter};
use super::place::Position;
use super::terms::{Canonical, QuantityTerm, ReferenceTerm, Term, TokenTerm, TypedTerm};
use super::units::{Conversion, UCUM};
use super::value_path::{Leaf, ValuePath};
use super::words;
use crate::fhir::reference::Target;
use crate::fhir::{ResourceType, TimeSpan};

/// The terms of one parameter, each once.
pub(super) fn terms(parameter: &SearchParameter, root: &Map<String, Value>) -> Vec<Term> {
    match &parameter.places {
        Places::Row | Places::Nowhere => Vec::new(),
        Places::Narrative => words::of_narrative(root)
            .map(Term::Words)
            .into_iter()
            .collect(),
        Places::Content => words::of_content(root)
            .map(Term::Words)
            .into_iter()
            .collect(),
        Places::Position => {
            let position = root.get("position").and_then(Position::of);
            position.map(Term::Position).into_iter().collect()
        }
        Places::Paths(paths) => of_paths(parameter.kind, paths, root),
        Places::Composite { bases, components } => bases
            .iter()
            .flat_map(|base| base.objects(root))
            .filter_map(|item| composite(components, root, item))
            .collect(),
    }
}

fn composite(
    components: &[Component],
    root: &Map<String, Value>,
    item: &Map<String, Value>,
) -> Option<Term> {
    let values = components.iter().map(|component| {
        let start = if component.is_absolute { root } else { item };
        let terms = of_paths(component.kind, &component.paths, start);
        (!terms.is_empty()).then_some(terms)
    });
    values.collect::<Option<_>>().map(Term::Composite)
}

fn of_paths(kind: ParameterKind, paths: &[ValuePath], root: &Map<String, Value>) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    for path in paths {
        for value in path.values(root) {
            extract(kind, path, value, &mut |term| {
                if !terms.contains(&term) {
                    terms.push(term);
                }
            });
        }
    }
    let tells_absence = paths.iter().any(|path| path.leaf == Leaf::Present);
    if terms.is_empty() && tells_absence {
        terms.push(token(None, "false"));
    }
    terms
}

fn extract(kind: ParameterKind, path: &ValuePath, value: &Value, add: &mut dyn FnMut(Term)) {
    match kind {
        ParameterKind::Token => tokens(path.leaf, value, add),
        ParameterKind::Reference => reference(path, value).into_iter().for_each(add),
        ParameterKind::Date => dates(value, &mut |span| add(Term::Date(span))),
        ParameterKind::String => texts(value, &mut |text| add(Term::Text(text.to_owned()))),
        ParameterKind::Number => number(value).into_iter().for_each(add),
        ParameterKind::Quantity => quantity(path.leaf, value).into_iter().for_each(add),
        ParameterKind::Uri => {
            let uri = value.as_str().map(|uri| Term::Uri(uri.to_owned()));
            uri.into_iter().for_each(add);
        }
        ParameterKind::Composite | ParameterKind::Special => {}
    }
}

fn token(system: Option<&str>, code: &str) -> Term {
    Term::Token(TokenTerm {
        system: system.map(str::to_owned),
        code: code.to_owned(),
    })
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

fn items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn tokens(leaf: Leaf, value: &Value, add: &mut dyn FnMut(Term)) {
    let mut label = |text: Option<&str>| {
        text.into_iter()
            .for_each(|text| add(Term::Label(text.to_owned())));
    };
    match (leaf, value) {
        (Leaf::Present, value) => {
            let is_set = *value != Value::Bool(false);
            add(token(None, if is_set { "true" } else { "false" }));
        }
        (_, Value::String(code)) => add(token(None, code)),
        (_, Value::Bool(flag)) => add(token(None, if *flag { "true" } else { "false" })),
        (Leaf::CodeableConcept, _) => {
            label(text(value, "text"));
            items(value, "coding").for_each(|coding| tokens(Leaf::Coding, coding, add));
        }
        (Leaf::Coding, _) => {
            label(text(value, "display"));
            let code = text(value, "code").map(|code| token(text(value, "system"), code));
            code.into_iter().for_each(add);
        }
        (Leaf::Identifier, _) => identifier(value, add),
        // The system of a contact point says what it is, not who gave it out.
        (Leaf::ContactPoint, _) => {
            let point = text(value, "value").map(|value| token(None, value));
            point.into_iter().for_each(add);
        }
        _ => {}
    }
}

fn identifier(value: &Value, add: &mut dyn FnMut(Term)) {
    let Some(code) = text(value, "value") else {
        return;
    };
    add(token(text(value, "system"), code));
    let Some(kind) = value.get("type") else {
        return;
    };
    if let Some(label) = text(kind, "text") {
        add(Term::Label(label.to_owned()));
    }
    for coding in items(kind, "coding") {
        if let Some(kind) = text(coding, "code") {
            let system = text(coding, "system").map(str::to_owned);
            let kind = TokenTerm {
                system,
                code: kind.to_owned(),
            };
            add(Term::Typed(TypedTerm {
                kind,
                value: code.to_owned(),
            }));
        }
    }
}

fn reference(path: &ValuePath, value: &Value) -> Option<Term> {
    let mut term = ReferenceTerm {
        resource_type: None,
        id: None,
        uri: None,
        identifier: None,
        version: None,
    };
    match (path.leaf, value) {
        (_, Value::String(uri)) => term.uri = Some(uri.clone()),
        (Leaf::Resource, _) => {
            term.resource_type = text(value, "resourceType").map(str::to_owned);
            term.id = text(value, "id").map(str::to_owned);
        }
        _ => fill(&mut term, value),
    }
    let is_wanted = path
        .target
        .is_none_or(|target| term.resource_type.as_deref() == Some(target.as_str()));
    let is_findable = term.id.is_some() || term.uri.is_some() || term.identifier.is_some();
    (is_wanted && is_findable).then_some(Term::Reference(term))
}

fn fill(term: &mut ReferenceTerm, value: &Value) {
    let target = text(value, "reference").map(Target::parse);
    let said = text(value, "type").and_then(ResourceType::parse);
    let local = target.and_then(Target::local);
    let resource_type = local.map(|local| local.resource_type).or(said);
    term.resource_type = resource_type.map(|it| it.as_str().to_owned());
    match target {
        Some(Target::Relative(local)) => {
            term.id = Some(local.id.to_owned());
            term.version = local.version.map(str::to_owned);
        }
        Some(Target::Absolute(uri, _) | Target::Urn(uri)) => term.uri = Some(uri.to_owned()),
        _ => {}
    }
    term.identifier = value.get("identifier").and_then(|identifier| {
        let system = text(identifier, "system").map(str::to_owned);
        Some(TokenTerm {
            system,
            code: text(identifier, "value")?.to_owned(),
        })
    });
}

fn dates(value: &Value, add: &mut dyn FnMut(TimeSpan)) {
    if let Value::String(text) = value {
        TimeSpan::parse(text).into_iter().for_each(add);
        return;
    }
    let period = TimeSpan::between(text(value, "start"), text(value, "end"));
    period.into_iter().for_each(&mut *add);
    // A Timing: its events, or the period that it repeats in.
    items(value, "event").for_each(|event| dates(event, add));
    if let Some(bounds) = value.get("repeat").and_then(|it| it.get("boundsPeriod")) {
        dates(bounds, add);
    }
}

/// The parts of a HumanName or an Address that people look for.
const NAME_PARTS: [&str; 11] = [
    "text",
    "family",
    "given",
    "prefix",
    "suffix",
    "line",
    "city",
    "district",
    "state",
    "postalCode",
    "country",
];

fn texts(value: &Value, add: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => add(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, add)),
        Value::Object(object) => {
            let parts = NAME_PARTS.iter().filter_map(|name| object.get(*name));
            parts.for_each(|part| texts(part, add));
        }
        _ => {}
    }
}

fn decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::Number(number) => Decimal::parse(&number.to_string()),
        _ => None,
    }
}

fn bound(value: &Value, name: &str) -> Option<Decimal> {
    value.get(name)?.get("value").and_then(decimal)
}

fn number(value: &Value) -> Option<Term> {
    let interval = match value {
        Value::Number(_) => Interval::point(decimal(value)?),
        _ => range(value)?,
    };
    Some(Term::Number(interval))
}

fn range(value: &Value) -> Option<Interval> {
    let interval = Interval {
        low: bound(value, "low"),
        high: bound(value, "high"),
    };
    (interval.low.is_some() || interval.high.is_some()).then_some(interval)
}

fn quantity(leaf: Leaf, value: &Value) -> Option<Term> {
    let (interval, unit) = match leaf {
        Leaf::Range => (
            range(value)?,
            value.get("low").or_else(|| value.get("high"))?,
        ),
        // The samples are not looked at: between its limits, in the unit of its origin.
        Leaf::SampledData => {
            let limit = |name| value.get(name).and_then(decimal);
            let interval = Interval {
                low: limit("lowerLimit"),
                high: limit("upperLimit"),
            };
            (interval, value.get("origin")?)
        }
        _ => (measured(value)?, value),
    };
    let code_name = if leaf == Leaf::Money {
        "currency"
    } else {
        "code"
    };
    let own = |name: &str| text(unit, name).map(str::to_owned);
    let mut term = QuantityTerm {
        value: interval,
        system: own("system"),
        code: own(code_name),
        unit: own("unit"),
        canonical: None,
    };
    if term.system.as_deref() == Some(UCUM) {
        term.canonical = term.code.as_deref().and_then(|unit| {
            let conversion = Conversion::of(unit)?;
            let value = conversion.apply_all(interval)?;
            Some(Canonical {
                value,
                unit: conversion.unit,
            })
        });
    }
    Some(Term::Quantity(term))
}

/// The value of a Quantity; with a comparator everything on that side of it.
fn measured(value: &Value) -> Option<Interval> {
    let number = decimal(value.get("value")?)?;
    Some(match text(value, "comparator") {
        Some("<" | "<=") => Interval {
            low: None,
            high: Some(number),
        },
        Some(">" | ">=") => Interval {
            low: Some(number),
            high: None,
        },
        _ => Interval::point(number),
    })
}
