//! From a StructureDefinition to the tree of its elements.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Value;

use super::{Discriminator, Node, Profile, Rule};
use crate::fhir::Severity;
use crate::fhir::fhirpath::Expression;

/// The keys of R4's own invariants, which are checked without profiles.
static OF_R4: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let lines = include_str!("../data/invariants.txt").lines();
    lines.filter_map(|line| line.split('\t').nth(1)).collect()
});

pub(super) fn profile(resource: &Value) -> Option<(String, Profile)> {
    let text = |name| resource.get(name).and_then(Value::as_str);
    if text("resourceType")? != "StructureDefinition" {
        return None;
    }
    let (url, kind) = (text("url")?.to_owned(), text("type")?.to_owned());
    let elements = resource.get("snapshot")?.get("element")?.as_array()?;
    let mut elements = elements.iter();
    let mut root = node(elements.next()?)?;
    for element in elements {
        let id = element.get("id").and_then(Value::as_str)?;
        let (parent, _) = id.rsplit_once('.')?;
        if let Some(holder) = find(&mut root, parent) {
            holder.children.push(node(element)?);
        }
    }
    Some((url, Profile { kind, root }))
}

fn find<'n>(root: &'n mut Node, id: &str) -> Option<&'n mut Node> {
    let mut next = root;
    for step in id.split('.').skip(1) {
        let (name, slice) = split(step);
        let mut children = next.children.iter_mut();
        next = children.find(|child| child.name == name && child.slice.as_deref() == slice)?;
    }
    Some(next)
}

fn split(step: &str) -> (&str, Option<&str>) {
    let (name, slice) = match step.split_once(':') {
        Some((name, slice)) => (name, Some(slice)),
        None => (step, None),
    };
    (name.trim_end_matches("[x]"), slice)
}

fn node(element: &Value) -> Option<Node> {
    let id = element.get("id").and_then(Value::as_str)?;
    let (name, slice) = split(id.rsplit('.').next()?);
    let count = |text: &str| text.parse().ok();
    let list = |value: &'_ Value, name: &str| -> Vec<Value> {
        let list = value.get(name).and_then(Value::as_array);
        list.cloned().unwrap_or_default()
    };
    let texts = |value: &Value, name: &str| -> Vec<String> {
        let texts = list(value, name).into_iter();
        texts
            .filter_map(|it| it.as_str().map(str::to_owned))
            .collect()
    };
    let types = list(element, "type").into_iter().filter_map(|kind| {
        let code = kind.get("code")?.as_str()?.to_owned();
        Some((code, texts(&kind, "profile")))
    });
    let value = |prefix: &str| {
        let found = element.as_object()?.iter().find(|(name, _)| {
            name.strip_prefix(prefix)
                .is_some_and(|end| end.starts_with(|first: char| first.is_ascii_uppercase()))
        });
        found.map(|(_, value)| value.clone())
    };
    let binding = element
        .get("binding")
        .filter(|it| it["strength"] == "required");
    let slicing = element.get("slicing");
    let discriminators = slicing
        .map(|it| list(it, "discriminator"))
        .unwrap_or_default();
    let discriminators = discriminators.into_iter().filter_map(|one| {
        Some(Discriminator {
            kind: one.get("type")?.as_str()?.to_owned(),
            path: one.get("path")?.as_str()?.to_owned(),
        })
    });
    Some(Node {
        name: name.to_owned(),
        slice: slice.map(str::to_owned),
        min: element
            .get("min")
            .and_then(Value::as_u64)
            .and_then(|min| usize::try_from(min).ok())
            .unwrap_or(0),
        max: element.get("max").and_then(Value::as_str).and_then(count),
        types: types.collect(),
        fixed: value("fixed"),
        pattern: value("pattern"),
        binding: binding
            .and_then(|it| it.get("valueSet")?.as_str())
            .and_then(|url| url.split('|').next())
            .map(str::to_owned),
        rules: list(element, "constraint")
            .iter()
            .filter_map(rule)
            .collect(),
        slicing: discriminators.collect(),
        is_closed: slicing.is_some_and(|it| it["rules"] == "closed"),
        children: Vec::new(),
    })
}

fn rule(constraint: &Value) -> Option<Rule> {
    let text = |name| constraint.get(name).and_then(Value::as_str);
    let key = text("key")?;
    if OF_R4.contains(key) {
        return None;
    }
    Some(Rule {
        key: key.to_owned(),
        human: text("human").unwrap_or_default().to_owned(),
        severity: match text("severity") {
            Some("warning") => Severity::Warning,
            _ => Severity::Error,
        },
        expression: Expression::compile(text("expression")?).ok()?,
    })
}
