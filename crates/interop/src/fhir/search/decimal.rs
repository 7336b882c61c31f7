//! Decimal numbers as FHIR writes them: exact, with the precision that the digits show.

use std::cmp::Ordering;
use std::fmt;

use minicbor::{Decode, Encode};

/// Digits of a number, and its exponent, that are read at most.
const DIGITS_MAX: usize = 28;
const EXPONENT_MAX: i32 = 1_000;

/// `mantissa × 10^exponent`.
#[derive(Clone, Copy, Encode, Decode)]
pub struct Decimal {
    #[n(0)]
    high: i64,
    #[n(1)]
    low: u64,
    #[n(2)]
    exponent: i32,
}

/// From one number to another, both included; a missing bound is open.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Interval {
    /// The least number.
    #[n(0)]
    pub low: Option<Decimal>,
    /// The greatest.
    #[n(1)]
    pub high: Option<Decimal>,
}

// Both are measurements of patients.
impl fmt::Debug for Decimal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Decimal(..)")
    }
}

impl fmt::Debug for Interval {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Interval(..)")
    }
}

impl Decimal {
    /// The number, if it has a magnitude that is worked with here.
    pub fn of(mantissa: i128, exponent: i32) -> Option<Self> {
        let is_small = digits_of(mantissa) <= DIGITS_MAX + 2 && exponent.abs() <= EXPONENT_MAX;
        is_small.then(|| Self::split(mantissa, exponent))
    }

    /// Reads a FHIR `decimal` or `integer`; a finer number than 28 digits is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (sign, number) = match number.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, number),
        };
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (number, ""),
        };
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_plain(whole) || !is_plain(fraction) || fraction.len() > 64 {
            return None;
        }
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        if digits.len() > DIGITS_MAX {
            return None;
        }
        let mantissa: i128 = if digits.is_empty() {
            0
        } else {
            digits.parse().ok()?
        };
        let places = i32::try_from(fraction.len()).ok()?;
        Self::of(sign * mantissa, exponent.checked_sub(places)?)
    }

    /// What a number with these digits may stand for: half a unit of the last digit to each side.
    /// The exponent of `1e2` says nothing of precision beyond its digits.
    pub fn implicit(self) -> Interval {
        let tenfold = self.mantissa().saturating_mul(10);
        let at = |mantissa| Some(Self::split(mantissa, self.exponent.saturating_sub(1)));
        Interval {
            low: at(tenfold.saturating_sub(5)),
            high: at(tenfold.saturating_add(5)),
        }
    }

    /// A tenth to each side.
    pub fn approximate(self) -> Interval {
        let mantissa = self.mantissa();
        let at = |factor: i128| {
            let exponent = self.exponent.saturating_sub(1);
            Some(Self::split(mantissa.saturating_mul(factor), exponent))
        };
        if mantissa < 0 {
            Interval {
                low: at(11),
                high: at(9),
            }
        } else {
            Interval {
                low: at(9),
                high: at(11),
            }
        }
    }

    /// All digits, signed.
    pub fn mantissa(self) -> i128 {
        (i128::from(self.high) << 64) | i128::from(self.low)
    }

    /// The power of ten.
    pub fn exponent(self) -> i32 {
        self.exponent
    }

    fn split(mantissa: i128, exponent: i32) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the two halves of one number"
        )]
        let (high, low) = ((mantissa >> 64) as i64, mantissa as u64);
        Self {
            high,
            low,
            exponent,
        }
    }
}

impl Interval {
    /// One number.
    pub fn point(value: Decimal) -> Self {
        Self {
            low: Some(value),
            high: Some(value),
        }
    }

    /// Whether all of `other` lies within.
    pub fn contains(self, other: Self) -> bool {
        let is_low = match (self.low, other.low) {
            (None, _) => true,
            (Some(low), Some(other)) => low <= other,
            (Some(_), None) => false,
        };
        let is_high = match (self.high, other.high) {
            (None, _) => true,
            (Some(high), Some(other)) => other <= high,
            (Some(_), None) => false,
        };
        is_low && is_high
    }

    /// Whether they share a number.
    pub fn overlaps(self, other: Self) -> bool {
        let before = |high: Option<Decimal>, low: Option<Decimal>| {
            high.zip(low).is_some_and(|(high, low)| high < low)
        };
        !before(self.high, other.low) && !before(other.high, self.low)
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let (one, two) = (self.mantissa(), other.mantissa());
        match (one.signum(), two.signum()) {
            (0, 0) => Ordering::Equal,
            (one, two) if one != two => one.cmp(&two),
            (sign, _) => {
                let order = magnitude(*self, *other);
                if sign < 0 { order.reverse() } else { order }
            }
        }
    }
}

/// The order of two numbers that are not zero, without their signs.
fn magnitude(one: Decimal, two: Decimal) -> Ordering {
    let (left, right) = (one.mantissa().unsigned_abs(), two.mantissa().unsigned_abs());
    let places = |mantissa: u128, exponent: i32| {
        i64::from(mantissa.checked_ilog10().unwrap_or(0)) + i64::from(exponent)
    };
    let order = places(left, one.exponent).cmp(&places(right, two.exponent));
    order.then_with(|| {
        // Of one magnitude: the exponents differ by no more digits than one mantissa lacks.
        let scaled = |mantissa: u128, by: i32| {
            let by = u32::try_from(by).unwrap_or(0);
            mantissa.saturating_mul(10_u128.saturating_pow(by))
        };
        let left = scaled(left, one.exponent.saturating_sub(two.exponent));
        let right = scaled(right, two.exponent.saturating_sub(one.exponent));
        left.cmp(&right)
    })
}

fn digits_of(mantissa: i128) -> usize {
    let log = mantissa.unsigned_abs().checked_ilog10().unwrap_or(0);
    usize::try_from(log).unwrap_or(usize::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn numbers_compare_by_value_whatever_their_digits() {
        assert_eq!(number("100"), number("1e2"));
        assert_eq!(number("100"), number("100.000"));
        assert_eq!(number("0"), number("-0.0"));
        assert!(number("0.1") < number("0.11"));
        assert!(number("-2") < number("-1.999"));
        assert!(number("-1") < number("0") && number("0") < number("1e-30"));
        assert!(number("9e30") < number("1e31"));
        for text in [
            "",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "1 ",
            "0x1",
            "1e9999",
            "12345678901234567890123456789",
        ] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn digits_say_how_precise_a_number_is() {
        let within = |wanted: &str, found: &str| {
            number(wanted)
                .implicit()
                .contains(Interval::point(number(found)))
        };
        assert!(within("100", "99.5") && within("100", "100.49") && !within("100", "100.6"));
        assert!(within("100.00", "100.004") && !within("100.00", "100.01"));
        assert!(within("1e2", "149") && !within("1e2", "151"));
        let near = |wanted: &str, found: &str| {
            number(wanted)
                .approximate()
                .contains(Interval::point(number(found)))
        };
        assert!(near("100", "90") && near("100", "110") && !near("100", "111"));
        assert!(near("-100", "-110") && !near("-100", "-89"));
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_integers(one in -10_000_i64..10_000, two in -10_000_i64..10_000,
                                         zeros in 0_usize..6) {
            let padded = |value: i64| number(&format!("{value}.{}", "0".repeat(zeros + 1)));
            prop_assert_eq!(padded(one).cmp(&number(&two.to_string())), one.cmp(&two));
        }

        #[test]
        fn a_number_lies_within_its_own_precision(text in "-?[0-9]{1,9}(\\.[0-9]{1,9})?") {
            let value = number(&text);
            prop_assert!(value.implicit().contains(Interval::point(value)));
            prop_assert!(value.approximate().contains(Interval::point(value)));
        }
    }
}
