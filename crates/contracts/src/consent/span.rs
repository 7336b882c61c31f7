//! Periods: when a rule is in force, and of when the data are that it is about.

use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, Duration, Month, OffsetDateTime};

/// A period in milliseconds since 1970, from `start` up to and without `end`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// The first moment, if it has one.
    pub start: Option<i64>,
    /// The first moment after it, if it ends.
    pub end: Option<i64>,
}

impl Span {
    /// Whether `moment` lies in it.
    pub fn contains(&self, moment: i64) -> bool {
        self.start.is_none_or(|start| moment >= start) && self.end.is_none_or(|end| moment < end)
    }

    /// The time that lies in both.
    pub fn and(self, other: Self) -> Self {
        let later = |one: Option<i64>, other: Option<i64>| one.max(other);
        let earlier = |one: Option<i64>, other: Option<i64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self {
            start: later(self.start, other.start),
            end: earlier(self.end, other.end),
        }
    }
}

pub(super) fn span(period: &Value) -> Option<Span> {
    let elements = period.as_object()?;
    if elements
        .keys()
        .any(|element| element != "start" && element != "end")
    {
        return None;
    }
    let bound = |element: &str, at: fn((i64, i64)) -> i64| match elements.get(element) {
        None => Some(None),
        Some(value) => moment(value.as_str()?).map(|moment| Some(at(moment))),
    };
    Some(Span {
        start: bound("start", |(first, _)| first)?,
        end: bound("end", |(_, after)| after)?,
    })
}

/// The first millisecond of a FHIR dateTime, and the first one after it; partial dates are in UTC.
pub(super) fn moment(text: &str) -> Option<(i64, i64)> {
    let millis = |time: OffsetDateTime| i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok();
    let midnight = |date: Date| millis(date.midnight().assume_utc());
    let year_month = |text: &str| {
        let (year, month) = text.split_once('-').unwrap_or((text, "1"));
        let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
        Some((year.parse::<i32>().ok()?, month))
    };
    let first_of = |(year, month)| Date::from_calendar_date(year, month, 1).ok();
    match text.len() {
        4 => {
            let (year, month) = year_month(text)?;
            let after = first_of((year.checked_add(1)?, month))?;
            Some((midnight(first_of((year, month))?)?, midnight(after)?))
        }
        7 => {
            let (year, month) = year_month(text)?;
            let later = if month == Month::December {
                year.checked_add(1)?
            } else {
                year
            };
            let after = first_of((later, month.next()))?;
            Some((midnight(first_of((year, month))?)?, midnight(after)?))
        }
        10 => {
            let date = Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?;
            Some((midnight(date)?, midnight(date.next_day()?)?))
        }
        _ => {
            let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
            let unit = if text.contains('.') {
                Duration::MILLISECOND
            } else {
                Duration::SECOND
            };
            Some((millis(time)?, millis(time.checked_add(unit)?)?))
        }
    }
}
