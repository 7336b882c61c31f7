//! From one system type to another.

use rust_decimal::Decimal;

use super::super::equality::number;
use super::super::item::Item;
use super::super::operators::{single, truth};
use super::super::quantity::Quantity;
use super::super::temporal::{Temporal, TemporalKind};
use super::{Function, Invocation, Outcome, function};

pub(super) const FUNCTIONS: &[Function] = &[
    function("toBoolean", 0..=0, |it| convert(it, to_boolean)),
    function("convertsToBoolean", 0..=0, |it| converts(it, to_boolean)),
    function("toInteger", 0..=0, |it| convert(it, to_integer)),
    function("convertsToInteger", 0..=0, |it| converts(it, to_integer)),
    function("toDecimal", 0..=0, |it| convert(it, to_decimal)),
    function("convertsToDecimal", 0..=0, |it| converts(it, to_decimal)),
    function("toString", 0..=0, |it| convert(it, to_string)),
    function("convertsToString", 0..=0, |it| converts(it, to_string)),
    function("toDate", 0..=0, |it| convert(it, to_date)),
    function("convertsToDate", 0..=0, |it| converts(it, to_date)),
    function("toDateTime", 0..=0, |it| convert(it, to_date_time)),
    function("convertsToDateTime", 0..=0, |it| converts(it, to_date_time)),
    function("toTime", 0..=0, |it| convert(it, to_time)),
    function("convertsToTime", 0..=0, |it| converts(it, to_time)),
    function("toQuantity", 0..=1, |it| convert(it, to_quantity)),
    function("convertsToQuantity", 0..=1, |it| converts(it, to_quantity)),
];

type Conversion = for<'a> fn(&Item<'a>) -> Option<Item<'a>>;

fn convert<'a>(it: &Invocation<'_, 'a>, conversion: Conversion) -> Outcome<'a> {
    Ok(single(it.input)?.and_then(conversion).into_iter().collect())
}

fn converts<'a>(it: &Invocation<'_, 'a>, conversion: Conversion) -> Outcome<'a> {
    Ok(truth(
        single(it.input)?.map(|item| conversion(item).is_some()),
    ))
}

fn to_boolean<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    let answer = match item.value()? {
        Item::Boolean(answer) => answer,
        Item::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" | "1.0" => true,
            "false" | "f" | "no" | "n" | "0" | "0.0" => false,
            _ => return None,
        },
        other => {
            let value = number(&other)?;
            if value != Decimal::ONE && value != Decimal::ZERO {
                return None;
            }
            value == Decimal::ONE
        }
    };
    Some(Item::Boolean(answer))
}

fn to_integer<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    let integer = match item.value()? {
        Item::Integer(integer) => integer,
        Item::Boolean(answer) => i64::from(answer),
        Item::String(text) => text.parse().ok()?,
        _ => return None,
    };
    Some(Item::Integer(integer))
}

fn to_decimal<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    let decimal = match item.value()? {
        Item::Boolean(answer) => Decimal::from(u8::from(answer)),
        Item::String(text) if text.ends_with('.') => return None,
        Item::String(text) => text.parse().ok()?,
        other => number(&other)?,
    };
    Some(Item::Decimal(decimal))
}

fn to_string<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    if let Some(quantity) = item.quantity() {
        return Some(Item::text(quantity.show()));
    }
    Some(match item.value()? {
        Item::String(text) => Item::String(text),
        Item::Boolean(answer) => Item::text(answer.to_string()),
        Item::Integer(integer) => Item::text(integer.to_string()),
        Item::Decimal(decimal) => Item::text(decimal.to_string()),
        Item::Temporal(temporal) => Item::text(temporal.text().to_owned()),
        _ => return None,
    })
}

fn to_temporal<'a>(item: &Item<'a>, kind: TemporalKind) -> Option<Item<'a>> {
    let temporal = match item.value()? {
        Item::Temporal(temporal) => temporal.cast(kind),
        Item::String(text) => Temporal::parse(&text, kind).or_else(|| {
            // A dateTime holds a date.
            let is_date = kind == TemporalKind::Date;
            let other = is_date.then(|| Temporal::parse(&text, TemporalKind::DateTime));
            other.flatten()?.cast(kind)
        }),
        _ => None,
    };
    temporal.map(Item::Temporal)
}

fn to_date<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    to_temporal(item, TemporalKind::Date)
}

fn to_date_time<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    to_temporal(item, TemporalKind::DateTime)
}

fn to_time<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    to_temporal(item, TemporalKind::Time)
}

fn to_quantity<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    if let Some(quantity) = item.quantity() {
        return Some(Item::Quantity(quantity));
    }
    let of_number = |value| Quantity::new(value, "1".to_owned(), false);
    let quantity = match item.value()? {
        Item::Boolean(answer) => of_number(Decimal::from(u8::from(answer))),
        Item::String(text) => Quantity::parse(&text)?,
        other => of_number(number(&other)?),
    };
    Some(Item::Quantity(quantity))
}
