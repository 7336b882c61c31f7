//! Dates and times of partial precision.

use std::cmp::Ordering;
use std::fmt;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use time::{Date, Month};

use super::quantity::Quantity;

const NANOSECOND: i64 = 1_000_000_000;
const DAY_MINUTES: i64 = 1_440;

/// Which of the three types a value has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemporalKind {
    /// `System.Date`
    Date,
    /// `System.DateTime`
    DateTime,
    /// `System.Time`
    Time,
}

/// A date, dateTime or time: as many parts as were written. Debug shows its type alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Temporal {
    kind: TemporalKind,
    /// Year, month, day, hour, minute, and seconds in nanoseconds; those not written are `None`.
    parts: [Option<i64>; 6],
    offset_minutes: Option<i64>,
    text: String,
}

impl fmt::Debug for Temporal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.kind.name())
    }
}

impl TemporalKind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Date => "Date",
            Self::DateTime => "DateTime",
            Self::Time => "Time",
        }
    }
}

impl Temporal {
    /// What follows `@` in an expression.
    pub(super) fn literal(text: &str) -> Option<Self> {
        if let Some(time) = text.strip_prefix('T') {
            return Self::parse(time, TemporalKind::Time);
        }
        if let Some(date) = text.strip_suffix('T') {
            let mut parsed = Self::parse(date, TemporalKind::DateTime)?;
            date.clone_into(&mut parsed.text);
            return Some(parsed);
        }
        let kind = if text.contains('T') {
            TemporalKind::DateTime
        } else {
            TemporalKind::Date
        };
        Self::parse(text, kind)
    }

    /// A value as FHIR writes it; hours and minutes may be missing.
    pub fn parse(text: &str, kind: TemporalKind) -> Option<Self> {
        let mut parts = [None; 6];
        let mut offset_minutes = None;
        let (date, time) = match kind {
            TemporalKind::Time => (None, Some(text)),
            _ => match text.split_once('T') {
                Some(_) if kind == TemporalKind::Date => return None,
                Some((date, time)) => (Some(date), Some(time)),
                None => (Some(text), None),
            },
        };
        if let Some(date) = date {
            parse_date(date, &mut parts)?;
        }
        if let Some(time) = time {
            let clock = match kind {
                TemporalKind::Time => time,
                _ => split_offset(time, &mut offset_minutes)?,
            };
            if date.is_some() && parts[2].is_none() {
                return None;
            }
            parse_clock(clock, &mut parts)?;
        }
        Some(Self {
            kind,
            parts,
            offset_minutes,
            text: text.to_owned(),
        })
    }

    pub(super) fn kind(&self) -> TemporalKind {
        self.kind
    }

    /// As it was written, or as FHIR writes it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_date_only(&self) -> bool {
        self.parts[3].is_none()
    }

    /// The same value as another of the types, if it can be one.
    pub(super) fn cast(&self, kind: TemporalKind) -> Option<Self> {
        match (self.kind, kind) {
            (from, to) if from == to => Some(self.clone()),
            (TemporalKind::Date, TemporalKind::DateTime) => Some(Self {
                kind,
                ..self.clone()
            }),
            (TemporalKind::DateTime, TemporalKind::Date) => {
                let date = self.text.split('T').next()?;
                Self::parse(date, TemporalKind::Date)
            }
            _ => None,
        }
    }

    /// Their order; none if a part that would decide is missing in one of them.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        if (self.kind == TemporalKind::Time) != (other.kind == TemporalKind::Time) {
            return None;
        }
        let (one, two) = match (self.offset_minutes, other.offset_minutes) {
            (None, None) => (self.parts, other.parts),
            (Some(_), Some(_)) => (self.in_utc()?, other.in_utc()?),
            // Dates alone have no offset; a clock without one is of an unknown place.
            (one, _) => {
                let without = if one.is_none() { self } else { other };
                if !without.is_date_only() {
                    return None;
                }
                (self.parts, other.parts)
            }
        };
        for (one, two) in one.into_iter().zip(two) {
            match (one, two) {
                (None, None) => {}
                (Some(one), Some(two)) if one == two => {}
                (Some(one), Some(two)) => return Some(one.cmp(&two)),
                _ => return None,
            }
        }
        Some(Ordering::Equal)
    }

    /// Whether both say the same to the same precision.
    pub(super) fn is_equivalent(&self, other: &Self) -> bool {
        self.compare(other) == Some(Ordering::Equal)
    }

    /// The value a quantity of time later; none if the unit is no time, or the year leaves 1 to
    /// 9999.
    pub(super) fn plus(&self, quantity: &Quantity, is_minus: bool) -> Option<Self> {
        let (unit, length) = quantity.calendar()?;
        let mut amount = quantity.value;
        if is_minus {
            amount = -amount;
        }
        let mut parts = self.parts;
        let precise = self.finest()?;
        match unit {
            "year" | "month" => {
                let months = amount.trunc().to_i64()?;
                let months = if unit == "year" {
                    months.checked_mul(12)?
                } else {
                    months
                };
                add_months(&mut parts, months, precise)?;
            }
            _ => {
                let milliseconds = amount.checked_mul(Decimal::from(length?))?;
                add_milliseconds(&mut parts, milliseconds, precise, self.kind)?;
            }
        }
        let mut sum = Self {
            parts,
            ..self.clone()
        };
        sum.text = sum.written();
        Some(sum)
    }

    /// The index of the last part that was written.
    fn finest(&self) -> Option<usize> {
        self.parts.iter().rposition(Option::is_some)
    }

    fn in_utc(&self) -> Option<[Option<i64>; 6]> {
        let [
            Some(year),
            Some(month),
            Some(day),
            Some(hour),
            minute,
            second,
        ] = self.parts
        else {
            return Some(self.parts);
        };
        let offset = self.offset_minutes.unwrap_or(0);
        let minutes = hour * 60 + minute.unwrap_or(0) - offset;
        let day = julian(year, month, day)?.checked_add(minutes.div_euclid(DAY_MINUTES))?;
        let [year, month, day] = civil(day)?;
        let minutes = minutes.rem_euclid(DAY_MINUTES);
        Some([
            Some(year),
            Some(month),
            Some(day),
            Some(minutes / 60),
            minute.map(|_| minutes % 60),
            second,
        ])
    }

    fn written(&self) -> String {
        let mut text = String::new();
        let separators = ["", "-", "-", "T", ":", ":"];
        for (index, part) in self.parts.into_iter().enumerate() {
            let Some(part) = part else {
                continue;
            };
            if !(self.kind == TemporalKind::Time && index == 3) {
                text += separators[index];
            }
            match index {
                0 => text += &format!("{part:04}"),
                5 => {
                    text += &format!("{:02}", part / NANOSECOND);
                    let milliseconds = part % NANOSECOND / 1_000_000;
                    if self.text.contains('.') || milliseconds > 0 {
                        text += &format!(".{milliseconds:03}");
                    }
                }
                _ => text += &format!("{part:02}"),
            }
        }
        match self.offset_minutes {
            None => {}
            Some(0) => text.push('Z'),
            Some(offset) => {
                let sign = if offset < 0 { '-' } else { '+' };
                let (hours, minutes) = (offset.abs() / 60, offset.abs() % 60);
                text += &format!("{sign}{hours:02}:{minutes:02}");
            }
        }
        text
    }
}

fn add_months(parts: &mut [Option<i64>; 6], months: i64, precise: usize) -> Option<()> {
    let year = parts[0]?;
    let month = parts[1].unwrap_or(1);
    let total = year
        .checked_mul(12)?
        .checked_add(month - 1)?
        .checked_add(months)?;
    let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
    if !(1..=9999).contains(&year) {
        return None;
    }
    parts[0] = Some(year);
    if precise >= 1 {
        parts[1] = Some(month);
    }
    if let Some(day) = parts[2] {
        let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
        let last = month.length(i32::try_from(year).ok()?);
        parts[2] = Some(day.min(i64::from(last)));
    }
    Some(())
}

fn add_milliseconds(
    parts: &mut [Option<i64>; 6],
    milliseconds: Decimal,
    precise: usize,
    kind: TemporalKind,
) -> Option<()> {
    let milliseconds = milliseconds.trunc().to_i64()?;
    if kind != TemporalKind::Time && precise < 2 {
        // A year or month alone moves by whole years or months.
        let days = milliseconds / (DAY_MINUTES * 60_000);
        let months = if precise == 0 {
            days / 365 * 12
        } else {
            days / 30
        };
        return add_months(parts, months, precise);
    }
    let of_day = (parts[3].unwrap_or(0) * 60 + parts[4].unwrap_or(0)) * 60 * NANOSECOND
        + parts[5].unwrap_or(0);
    let sum = of_day.checked_add(milliseconds.checked_mul(1_000_000)?)?;
    let day = DAY_MINUTES * 60 * NANOSECOND;
    let (days, rest) = (sum.div_euclid(day), sum.rem_euclid(day));
    if let [Some(year), Some(month), Some(of_month), ..] = *parts {
        let moved = julian(year, month, of_month)?.checked_add(days)?;
        let [year, month, of_month] = civil(moved)?;
        (parts[0], parts[1], parts[2]) = (Some(year), Some(month), Some(of_month));
    }
    let minutes = rest / (60 * NANOSECOND);
    let moved = [minutes / 60, minutes % 60, rest % (60 * NANOSECOND)];
    for (part, moved) in parts.iter_mut().skip(3).zip(moved) {
        *part = part.map(|_| moved);
    }
    Some(())
}

fn parse_date(text: &str, parts: &mut [Option<i64>; 6]) -> Option<()> {
    let mut words = text.split('-');
    let year = digits(words.next()?, 4)?;
    let month = words.next().map(|word| digits(word, 2));
    let day = words.next().map(|word| digits(word, 2));
    if words.next().is_some() || year == 0 {
        return None;
    }
    parts[0] = Some(year);
    if let Some(month) = month {
        let month = month.filter(|month| (1..=12).contains(month))?;
        parts[1] = Some(month);
        if let Some(day) = day {
            let day = day?;
            julian(year, month, day)?;
            parts[2] = Some(day);
        }
    }
    Some(())
}

fn parse_clock(text: &str, parts: &mut [Option<i64>; 6]) -> Option<()> {
    let mut words = text.split(':');
    parts[3] = Some(digits(words.next()?, 2).filter(|hour| *hour < 24)?);
    if let Some(minute) = words.next() {
        parts[4] = Some(digits(minute, 2).filter(|minute| *minute < 60)?);
    }
    if let Some(second) = words.next() {
        let (whole, fraction) = second.split_once('.').unwrap_or((second, "0"));
        let whole = digits(whole, 2).filter(|second| *second <= 60)?;
        if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let nine = format!("{fraction:0<9}");
        let nanoseconds: i64 = nine.get(..9)?.parse().ok()?;
        parts[5] = Some(whole * NANOSECOND + nanoseconds);
    }
    words.next().is_none().then_some(())
}

fn split_offset<'a>(text: &'a str, offset: &mut Option<i64>) -> Option<&'a str> {
    if let Some(clock) = text.strip_suffix('Z') {
        *offset = Some(0);
        return Some(clock);
    }
    let Some(at) = text.find(['+', '-']) else {
        return Some(text);
    };
    let (clock, zone) = text.split_at_checked(at)?;
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let hours = digits(hours, 2).filter(|hours| *hours <= 14)?;
    let minutes = digits(minutes, 2).filter(|minutes| *minutes < 60)?;
    *offset = Some(sign * (hours * 60 + minutes));
    Some(clock)
}

fn digits(text: &str, length: usize) -> Option<i64> {
    let is_number = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn julian(year: i64, month: i64, day: i64) -> Option<i64> {
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?);
    date.ok().map(|date| i64::from(date.to_julian_day()))
}

fn civil(julian: i64) -> Option<[i64; 3]> {
    let date = Date::from_julian_day(i32::try_from(julian).ok()?).ok()?;
    let (year, month, day) = date.to_calendar_date();
    (1..=9999)
        .contains(&year)
        .then(|| [i64::from(year), i64::from(u8::from(month)), i64::from(day)])
}
