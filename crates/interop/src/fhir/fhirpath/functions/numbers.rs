//! Functions on numbers. Decimals are exact; what has no exact result is to 28 digits.

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, MathematicalOps, RoundingStrategy};

use super::super::EvaluationError;
use super::super::equality::number;
use super::super::item::{Item, Items};
use super::super::operators::single;
use super::{Function, Invocation, Outcome, function};

pub(super) const FUNCTIONS: &[Function] = &[
    function("abs", 0..=0, abs),
    function("ceiling", 0..=0, |it| whole(it, |value| value.ceil())),
    function("floor", 0..=0, |it| whole(it, |value| value.floor())),
    function("truncate", 0..=0, |it| whole(it, |value| value.trunc())),
    function("round", 0..=1, round),
    function("exp", 0..=0, |it| map(it, |value| value.checked_exp())),
    function("ln", 0..=0, |it| map(it, |value| value.checked_ln())),
    function("sqrt", 0..=0, |it| map(it, |value| value.sqrt())),
    function("log", 1..=1, log),
    function("power", 1..=1, power),
];

fn subject(it: &Invocation<'_, '_>) -> Result<Option<Decimal>, EvaluationError> {
    match single(it.input)?.map(|item| item.value()) {
        None => Ok(None),
        Some(value) => value
            .as_ref()
            .and_then(number)
            .map(Some)
            .ok_or(EvaluationError::Types),
    }
}

fn operand(it: &Invocation<'_, '_>) -> Result<Option<Decimal>, EvaluationError> {
    match single(&it.argument(0)?)?.map(|item| item.value()) {
        None => Ok(None),
        Some(value) => value
            .as_ref()
            .and_then(number)
            .map(Some)
            .ok_or(EvaluationError::Types),
    }
}

fn decimal<'a>(value: Option<Decimal>) -> Items<'a> {
    value.map(Item::Decimal).into_iter().collect()
}

fn map<'a>(it: &Invocation<'_, 'a>, of: fn(Decimal) -> Option<Decimal>) -> Outcome<'a> {
    Ok(decimal(subject(it)?.and_then(of)))
}

fn whole<'a>(it: &Invocation<'_, 'a>, of: fn(Decimal) -> Decimal) -> Outcome<'a> {
    let integer = subject(it)?.and_then(|value| of(value).to_i64());
    Ok(integer.map(Item::Integer).into_iter().collect())
}

fn abs<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let Some(item) = single(it.input)? else {
        return Ok(Vec::new());
    };
    if let Some(mut quantity) = item.quantity() {
        quantity.value = quantity.value.abs();
        return Ok(vec![Item::Quantity(quantity)]);
    }
    match item.value() {
        Some(Item::Integer(value)) => {
            Ok(value.checked_abs().map(Item::Integer).into_iter().collect())
        }
        Some(Item::Decimal(value)) => Ok(vec![Item::Decimal(value.abs())]),
        _ => Err(EvaluationError::Types),
    }
}

fn round<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let places = it.integer(0)?.unwrap_or(0);
    let places = u32::try_from(places).map_err(|_| EvaluationError::Types)?;
    let strategy = RoundingStrategy::MidpointAwayFromZero;
    let rounded = subject(it)?.map(|value| value.round_dp_with_strategy(places, strategy));
    Ok(decimal(rounded))
}

fn log<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let (Some(value), Some(base)) = (subject(it)?, operand(it)?) else {
        return Ok(Vec::new());
    };
    let of_base = base.checked_ln().filter(|it| !it.is_zero());
    let logarithm = value
        .checked_ln()
        .zip(of_base)
        .and_then(|(value, base)| value.checked_div(base));
    // The quotient of two rounded logarithms; 8 places are sure.
    Ok(decimal(logarithm.map(|it| it.round_dp(8))))
}

fn power<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let (Some(value), Some(exponent)) = (subject(it)?, operand(it)?) else {
        return Ok(Vec::new());
    };
    let result = if exponent.fract().is_zero() {
        exponent
            .to_i64()
            .and_then(|exponent| value.checked_powi(exponent))
    } else if value.is_sign_negative() {
        None
    } else {
        value.checked_powd(exponent)
    };
    let are_integers = matches!(
        single(it.input)?.and_then(Item::value),
        Some(Item::Integer(_))
    ) && exponent.fract().is_zero()
        && !exponent.is_sign_negative();
    if are_integers {
        let integer = result.and_then(|it| it.to_i64()).map(Item::Integer);
        return Ok(integer.into_iter().collect());
    }
    Ok(decimal(result))
}
