//! Quantities: a number and a unit, of UCUM or of the calendar.

use std::cmp::Ordering;
use std::fmt;

use rust_decimal::Decimal;

/// A quantity. Debug shows its unit alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Quantity {
    pub(super) value: Decimal,
    pub(super) unit: String,
    /// Whether the unit is a word such as `month`.
    pub(super) is_calendar: bool,
}

impl fmt::Debug for Quantity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Quantity({})", self.unit)
    }
}

/// Words of the calendar, the UCUM unit of each, and its length in milliseconds if it has one.
const UNITS: [(&str, &str, Option<i64>); 8] = [
    ("year", "a", None),
    ("month", "mo", None),
    ("week", "wk", Some(604_800_000)),
    ("day", "d", Some(86_400_000)),
    ("hour", "h", Some(3_600_000)),
    ("minute", "min", Some(60_000)),
    ("second", "s", Some(1_000)),
    ("millisecond", "ms", Some(1)),
];

/// The word of the calendar in the singular.
pub(super) fn calendar_unit(word: &str) -> Option<&'static str> {
    let singular = word.strip_suffix('s').unwrap_or(word);
    UNITS
        .iter()
        .map(|(name, ..)| *name)
        .find(|name| *name == singular)
}

impl Quantity {
    pub(super) fn new(value: Decimal, unit: String, is_calendar: bool) -> Self {
        Self {
            value,
            unit,
            is_calendar,
        }
    }

    /// `4 'mg'`, `4 days` or a number alone.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let end = text
            .find(|letter: char| !(letter.is_ascii_digit() || matches!(letter, '.' | '+' | '-')))
            .unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(end)?;
        let value = number.parse().ok()?;
        let unit = unit.trim();
        if unit.is_empty() {
            return Some(Self::new(value, "1".to_owned(), false));
        }
        if let Some(quoted) = unit.strip_prefix('\'').and_then(|it| it.strip_suffix('\'')) {
            return Some(Self::new(value, quoted.to_owned(), false));
        }
        calendar_unit(unit).map(|unit| Self::new(value, unit.to_owned(), true))
    }

    /// The order of two quantities of comparable units. Units of UCUM are comparable when they are
    /// equal, or are lengths of time; years and months are not of one length.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        if self.unit == other.unit && self.is_calendar == other.is_calendar {
            return Some(self.value.cmp(&other.value));
        }
        let one = self.milliseconds()?;
        let two = other.milliseconds()?;
        Some(one.cmp(&two))
    }

    pub(super) fn milliseconds(&self) -> Option<Decimal> {
        let length = self.calendar().and_then(|(_, length)| length)?;
        self.value.checked_mul(Decimal::from(length))
    }

    /// The calendar's word for the unit and its length.
    pub(super) fn calendar(&self) -> Option<(&'static str, Option<i64>)> {
        UNITS
            .iter()
            .find(|(name, code, _)| {
                if self.is_calendar {
                    *name == self.unit
                } else {
                    *code == self.unit
                }
            })
            .map(|(name, _, length)| (*name, *length))
    }

    pub(super) fn show(&self) -> String {
        let (value, unit) = (&self.value, &self.unit);
        match self.is_calendar {
            true if self.value == Decimal::ONE => format!("{value} {unit}"),
            true => format!("{value} {unit}s"),
            false => format!("{value} '{unit}'"),
        }
    }
}
