//! `=` and `~`: <https://hl7.org/fhirpath/N1/#equality>

use std::cmp::Ordering;
use std::collections::BTreeSet;

use rust_decimal::Decimal;
use serde_json::{Map, Value};

use super::item::{Content, Item, decimal};
use super::temporal::TemporalKind;

/// Whether two collections are equal; none if that cannot be known.
pub(super) fn equal(one: &[Item<'_>], two: &[Item<'_>]) -> Option<bool> {
    if one.is_empty() || two.is_empty() {
        return None;
    }
    if one.len() != two.len() {
        return Some(false);
    }
    let mut answer = Some(true);
    for (one, two) in one.iter().zip(two) {
        match items_equal(one, two) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => answer = None,
        }
    }
    answer
}

/// Whether two items are equal; none if dates or quantities do not tell.
pub(super) fn items_equal(one: &Item<'_>, two: &Item<'_>) -> Option<bool> {
    if let (Item::Element(one), Item::Element(two)) = (one, two)
        && let (Content::Object(one), Content::Object(two)) = (one.content, two.content)
    {
        return Some(std::ptr::eq(one, two) || objects_equal(one, two));
    }
    if let (Some(one), Some(two)) = (one.quantity(), two.quantity()) {
        return one.compare(&two).map(|order| order == Ordering::Equal);
    }
    let (one, two) = (one.value(), two.value());
    match (one?, two?) {
        (Item::Boolean(one), Item::Boolean(two)) => Some(one == two),
        (Item::Integer(one), Item::Integer(two)) => Some(one == two),
        (Item::String(one), Item::String(two)) => Some(one == two),
        (Item::Type(space, name), Item::Type(space_two, name_two)) => {
            Some(space == space_two && name == name_two)
        }
        (Item::Temporal(one), Item::Temporal(two)) => {
            let is_time = |kind| kind == TemporalKind::Time;
            if is_time(one.kind()) != is_time(two.kind()) {
                return Some(false);
            }
            one.compare(&two).map(|order| order == Ordering::Equal)
        }
        (one, two) => match (number(&one), number(&two)) {
            (Some(one), Some(two)) => Some(one == two),
            _ => temporal_and_text(&one, &two),
        },
    }
}

/// Whether two collections are equivalent: in any order, without regard to case and blanks, and to
/// the precision of the less precise.
pub(super) fn equivalent(one: &[Item<'_>], two: &[Item<'_>]) -> bool {
    if one.len() != two.len() {
        return false;
    }
    let mut left: Vec<&Item<'_>> = two.iter().collect();
    one.iter().all(|item| {
        let found = left.iter().position(|other| items_equivalent(item, other));
        found.map(|at| left.swap_remove(at)).is_some()
    })
}

/// Whether an item is among others.
pub(super) fn contains(items: &[Item<'_>], wanted: &Item<'_>) -> bool {
    items
        .iter()
        .any(|item| items_equal(item, wanted) == Some(true))
}

/// The items without repetitions.
pub(super) fn distinct<'a>(items: Vec<Item<'a>>) -> Vec<Item<'a>> {
    let mut texts: BTreeSet<String> = BTreeSet::new();
    let mut kept: Vec<Item<'a>> = Vec::new();
    for item in items {
        // Texts by a set: collections of thousands are texts.
        let is_new = match item.value() {
            Some(Item::String(text)) => texts.insert(text.into_owned()),
            _ => !contains(&kept, &item),
        };
        if is_new {
            kept.push(item);
        }
    }
    kept
}

pub(super) fn number(item: &Item<'_>) -> Option<Decimal> {
    match item {
        Item::Integer(integer) => Some(Decimal::from(*integer)),
        Item::Decimal(decimal) => Some(*decimal),
        _ => None,
    }
}

fn temporal_and_text(one: &Item<'_>, two: &Item<'_>) -> Option<bool> {
    match (one, two) {
        (Item::Temporal(temporal), Item::String(text))
        | (Item::String(text), Item::Temporal(temporal)) => Some(temporal.text() == text),
        _ => Some(false),
    }
}

fn items_equivalent(one: &Item<'_>, two: &Item<'_>) -> bool {
    if let (Item::Element(one), Item::Element(two)) = (one, two)
        && let (Content::Object(one), Content::Object(two)) = (one.content, two.content)
    {
        return objects_equal(one, two);
    }
    if let (Some(one), Some(two)) = (one.quantity(), two.quantity()) {
        return match one.compare(&two) {
            Some(order) => order == Ordering::Equal,
            // Of calendar years and UCUM years alike, here the words are what counts.
            None => {
                one.value == two.value
                    && one.calendar().is_some()
                    && one.calendar() == two.calendar()
            }
        };
    }
    let (Some(one), Some(two)) = (one.value(), two.value()) else {
        return false;
    };
    match (&one, &two) {
        (Item::String(one), Item::String(two)) => folded(one) == folded(two),
        (Item::Temporal(one), Item::Temporal(two)) => one.is_equivalent(two),
        _ => match (number(&one), number(&two)) {
            (Some(one), Some(two)) => {
                let scale = one.scale().min(two.scale());
                one.round_dp(scale) == two.round_dp(scale)
            }
            _ => items_equal(&one, &two) == Some(true),
        },
    }
}

fn folded(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

fn objects_equal(one: &Map<String, Value>, two: &Map<String, Value>) -> bool {
    one.len() == two.len()
        && one.iter().all(|(name, value)| {
            two.get(name)
                .is_some_and(|other| values_equal(value, other))
        })
}

fn values_equal(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Number(one), Value::Number(two)) => {
            one == two || decimal(one.as_str()) == decimal(two.as_str())
        }
        (Value::Object(one), Value::Object(two)) => objects_equal(one, two),
        (Value::Array(one), Value::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| values_equal(one, two))
        }
        _ => one == two,
    }
}
