//! Operators on collections: <https://hl7.org/fhirpath/N1/#operations>

use std::cmp::Ordering;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::EvaluationError;
use super::ast::Operator;
use super::equality::{contains, distinct, equal, equivalent, number};
use super::item::{Item, Items};
use super::quantity::Quantity;

type Outcome<'a> = Result<Items<'a>, EvaluationError>;

/// What an operator that takes both operands evaluated gives.
pub(super) fn apply<'a>(operator: Operator, one: Items<'a>, two: Items<'a>) -> Outcome<'a> {
    match operator {
        Operator::Equal => Ok(truth(equal(&one, &two))),
        Operator::NotEqual => Ok(truth(equal(&one, &two).map(|answer| !answer))),
        Operator::Equivalent => Ok(truth(Some(equivalent(&one, &two)))),
        Operator::NotEquivalent => Ok(truth(Some(!equivalent(&one, &two)))),
        Operator::Union => {
            let mut all = one;
            all.extend(two);
            Ok(distinct(all))
        }
        Operator::In => membership(&one, &two),
        Operator::Contains => membership(&two, &one),
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            compare(operator, &one, &two)
        }
        Operator::Concatenate => {
            let mut text = string_or_empty(&one)?;
            text += &string_or_empty(&two)?;
            Ok(vec![Item::text(text)])
        }
        Operator::And | Operator::Or | Operator::Xor | Operator::Implies => {
            Ok(truth(logic(operator, boolean(&one)?, boolean(&two)?)))
        }
        _ => arithmetic(operator, &one, &two),
    }
}

/// A boolean, or nothing.
pub(super) fn truth<'a>(answer: Option<bool>) -> Items<'a> {
    answer.map(Item::Boolean).into_iter().collect()
}

/// The one item of a collection, if it has any.
pub(super) fn single<'i, 'a>(
    items: &'i [Item<'a>],
) -> Result<Option<&'i Item<'a>>, EvaluationError> {
    match items {
        [] => Ok(None),
        [item] => Ok(Some(item)),
        _ => Err(EvaluationError::SeveralItems),
    }
}

/// The collection as a condition: one item that is no boolean is true.
pub(super) fn boolean(items: &[Item<'_>]) -> Result<Option<bool>, EvaluationError> {
    Ok(single(items)?.map(|item| match item {
        Item::Boolean(answer) => *answer,
        other => match other.value() {
            Some(Item::Boolean(answer)) => answer,
            _ => true,
        },
    }))
}

pub(super) fn logic(operator: Operator, one: Option<bool>, two: Option<bool>) -> Option<bool> {
    match operator {
        Operator::And => match (one, two) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        },
        Operator::Or => match (one, two) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        },
        Operator::Xor => Some(one? != two?),
        Operator::Implies => match (one, two) {
            (Some(false), _) | (_, Some(true)) => Some(true),
            (Some(true), other) => other,
            (None, _) => None,
        },
        _ => None,
    }
}

fn membership<'a>(wanted: &[Item<'a>], among: &[Item<'a>]) -> Outcome<'a> {
    Ok(match single(wanted)? {
        None => Vec::new(),
        Some(wanted) => truth(Some(contains(among, wanted))),
    })
}

/// The order of two values of comparable types.
pub(super) fn order(one: &Item<'_>, two: &Item<'_>) -> Result<Option<Ordering>, EvaluationError> {
    if let (Some(one), Some(two)) = (one.quantity(), two.quantity()) {
        return Ok(one.compare(&two));
    }
    let (Some(one), Some(two)) = (one.value(), two.value()) else {
        return Err(EvaluationError::Types);
    };
    match (&one, &two) {
        (Item::String(one), Item::String(two)) => Ok(Some(one.cmp(two))),
        (Item::Temporal(one), Item::Temporal(two)) => Ok(one.compare(two)),
        _ => match (number(&one), number(&two)) {
            (Some(one), Some(two)) => Ok(Some(one.cmp(&two))),
            _ => Err(EvaluationError::Types),
        },
    }
}

fn compare<'a>(operator: Operator, one: &[Item<'a>], two: &[Item<'a>]) -> Outcome<'a> {
    let (Some(one), Some(two)) = (single(one)?, single(two)?) else {
        return Ok(Vec::new());
    };
    let order = order(one, two)?;
    Ok(truth(order.map(|order| match operator {
        Operator::Less => order == Ordering::Less,
        Operator::LessOrEqual => order != Ordering::Greater,
        Operator::Greater => order == Ordering::Greater,
        _ => order != Ordering::Less,
    })))
}

fn string_or_empty(items: &[Item<'_>]) -> Result<String, EvaluationError> {
    match single(items)? {
        None => Ok(String::new()),
        Some(item) => match item.value() {
            Some(Item::String(text)) => Ok(text.into_owned()),
            Some(Item::Temporal(temporal)) if matches!(item, Item::Element(_)) => {
                Ok(temporal.text().to_owned())
            }
            _ => Err(EvaluationError::Types),
        },
    }
}

fn arithmetic<'a>(operator: Operator, one: &[Item<'a>], two: &[Item<'a>]) -> Outcome<'a> {
    let (Some(one), Some(two)) = (single(one)?, single(two)?) else {
        return Ok(Vec::new());
    };
    let quantities = (one.quantity(), two.quantity());
    let (Some(one), Some(two)) = (
        one.value().or_else(|| quantity(&quantities.0)),
        two.value().or_else(|| quantity(&quantities.1)),
    ) else {
        return Err(EvaluationError::Types);
    };
    let result = match (&one, &two) {
        (Item::Integer(one), Item::Integer(two)) => integers(operator, *one, *two)?,
        (Item::String(one), Item::String(two)) if operator == Operator::Plus => {
            Some(Item::text(format!("{one}{two}")))
        }
        (Item::Temporal(temporal), Item::Quantity(quantity))
            if matches!(operator, Operator::Plus | Operator::Minus) =>
        {
            // UCUM's years and months are no calendar's.
            if !quantity.is_calendar && quantity.milliseconds().is_none() {
                return Err(EvaluationError::Types);
            }
            let is_minus = operator == Operator::Minus;
            temporal.plus(quantity, is_minus).map(Item::Temporal)
        }
        (Item::Quantity(one), Item::Quantity(two)) => of_quantities(operator, one, two)?,
        (Item::Quantity(one), two) if number(two).is_some() => {
            let two = Quantity::new(number(two).unwrap_or_default(), "1".to_owned(), false);
            of_quantities(operator, one, &two)?
        }
        _ => match (number(&one), number(&two)) {
            (Some(one), Some(two)) => decimals(operator, one, two),
            _ => return Err(EvaluationError::Types),
        },
    };
    Ok(result.into_iter().collect())
}

fn quantity<'a>(quantity: &Option<Quantity>) -> Option<Item<'a>> {
    quantity.clone().map(Item::Quantity)
}

/// What overflows is empty.
fn integers<'a>(
    operator: Operator,
    one: i64,
    two: i64,
) -> Result<Option<Item<'a>>, EvaluationError> {
    let integer = match operator {
        Operator::Plus => one.checked_add(two),
        Operator::Minus => one.checked_sub(two),
        Operator::Times => one.checked_mul(two),
        Operator::Div => one.checked_div(two),
        Operator::Mod => one.checked_rem(two),
        Operator::Divide => {
            return Ok(decimals(operator, Decimal::from(one), Decimal::from(two)));
        }
        _ => return Err(EvaluationError::Types),
    };
    Ok(integer.map(Item::Integer))
}

fn decimals<'a>(operator: Operator, one: Decimal, two: Decimal) -> Option<Item<'a>> {
    let decimal = match operator {
        Operator::Plus => one.checked_add(two),
        Operator::Minus => one.checked_sub(two),
        Operator::Times => one.checked_mul(two),
        Operator::Divide => one.checked_div(two).map(|quotient| quotient.normalize()),
        Operator::Div => {
            let whole = one.checked_div(two)?.trunc().to_i64();
            return whole.map(Item::Integer);
        }
        Operator::Mod => one.checked_rem(two),
        _ => None,
    };
    decimal.map(Item::Decimal)
}

fn of_quantities<'a>(
    operator: Operator,
    one: &Quantity,
    two: &Quantity,
) -> Result<Option<Item<'a>>, EvaluationError> {
    let same = one.unit == two.unit && one.is_calendar == two.is_calendar;
    let is_plain = |quantity: &Quantity| quantity.unit == "1";
    let (value, unit) = match operator {
        Operator::Plus if same => (one.value.checked_add(two.value), one.unit.clone()),
        Operator::Minus if same => (one.value.checked_sub(two.value), one.unit.clone()),
        Operator::Times if is_plain(two) => (one.value.checked_mul(two.value), one.unit.clone()),
        Operator::Times if is_plain(one) => (one.value.checked_mul(two.value), two.unit.clone()),
        Operator::Divide if same => (one.value.checked_div(two.value), "1".to_owned()),
        Operator::Divide if is_plain(two) => (one.value.checked_div(two.value), one.unit.clone()),
        // The product of units needs the algebra of UCUM, which is not here.
        _ => return Err(EvaluationError::Unsupported("units of UCUM")),
    };
    let is_calendar = one.is_calendar && unit == one.unit;
    Ok(value.map(|value| Item::Quantity(Quantity::new(value, unit, is_calendar))))
}
