//! FHIR dates, times and instants as spans of milliseconds, without floats.
//!
//! A partial date is the span that it covers: `2024-02` is the whole of February. Text without
//! a zone is read as UTC, as nothing better is known.

use minicbor::{Decode, Encode};
use time::{Date, Month, OffsetDateTime, Time};

const MS_PER_MINUTE: i64 = 60_000;
const MS_PER_DAY: i64 = 86_400_000;

/// Milliseconds since 1970-01-01T00:00:00Z: `start_ms` belongs to the span, `end_ms` does not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct TimeSpan {
    /// The first millisecond.
    #[n(0)]
    pub start_ms: i64,
    /// The first millisecond after the span.
    #[n(1)]
    pub end_ms: i64,
}

// A span comes from a record: its Debug says nothing.
impl std::fmt::Debug for TimeSpan {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("TimeSpan(..)")
    }
}

impl TimeSpan {
    /// Parses a FHIR `date`, `dateTime` or `instant`; `None` if it is none of them.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('T') {
            None => parse_date(text),
            Some((date, time)) => parse_moment(date, time),
        }
    }

    /// The span of a FHIR Period; a missing bound is open.
    pub fn between(start: Option<&str>, end: Option<&str>) -> Option<Self> {
        if start.is_none() && end.is_none() {
            return None;
        }
        let start_ms = start.map_or(Some(i64::MIN), |text| Some(Self::parse(text)?.start_ms))?;
        let end_ms = end.map_or(Some(i64::MAX), |text| Some(Self::parse(text)?.end_ms))?;
        (start_ms < end_ms).then_some(Self { start_ms, end_ms })
    }

    /// Whether one millisecond belongs to both.
    pub fn overlaps(self, other: Self) -> bool {
        self.start_ms < other.end_ms && other.start_ms < self.end_ms
    }

    /// Whether every millisecond of `other` belongs to this span.
    pub fn contains(self, other: Self) -> bool {
        self.start_ms <= other.start_ms && other.end_ms <= self.end_ms
    }

    /// The smallest span that holds both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self {
            start_ms: self.start_ms.min(other.start_ms),
            end_ms: self.end_ms.max(other.end_ms),
        }
    }
}

/// Writes milliseconds since 1970 as a FHIR `instant` in UTC; clamped to the years 0 to 9999.
pub fn format_instant(unix_ms: i64) -> String {
    let clamped = unix_ms.clamp(-62_167_219_200_000, 253_402_300_799_999);
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(clamped) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        moment.year(),
        u8::from(moment.month()),
        moment.day(),
        moment.hour(),
        moment.minute(),
        moment.second(),
        moment.millisecond()
    )
}

fn parse_date(text: &str) -> Option<TimeSpan> {
    let mut parts = text.split('-');
    let year = digits(parts.next()?, 4)?;
    let month = parts
        .next()
        .map(|text| digits(text, 2))
        .map_or(Some(None), |m| m.map(Some))?;
    let day = parts
        .next()
        .map(|text| digits(text, 2))
        .map_or(Some(None), |d| d.map(Some))?;
    if parts.next().is_some() || year == 0 {
        return None;
    }
    let start_ms = day_start_ms(year, month.unwrap_or(1), day.unwrap_or(1))?;
    let end_ms = match (month, day) {
        (_, Some(_)) => start_ms + MS_PER_DAY,
        (None | Some(12), None) => day_start_ms(year + 1, 1, 1)?,
        (Some(month), None) => day_start_ms(year, month + 1, 1)?,
    };
    Some(TimeSpan { start_ms, end_ms })
}

fn parse_moment(date: &str, rest: &str) -> Option<TimeSpan> {
    if date.len() != 10 {
        return None;
    }
    let day = parse_date(date)?;
    let (clock, zone) = split_zone(rest);
    let offset_ms = zone.map_or(Some(0), parse_zone)?;
    let (whole, fraction) = match clock.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (clock, None),
    };
    let mut parts = whole.split(':');
    let hour = digits(parts.next()?, 2)?;
    let minute = digits(parts.next()?, 2)?;
    let second = parts
        .next()
        .map(|text| digits(text, 2))
        .map_or(Some(None), |s| s.map(Some))?;
    // R4 allows second 60 (a leap second); it is the first second of the next minute here.
    if parts.next().is_some() || hour > 23 || minute > 59 || second.unwrap_or(0) > 60 {
        return None;
    }
    let (fraction_ms, width_ms) = match (second, fraction) {
        (None, None) => (0, MS_PER_MINUTE),
        (None, Some(_)) => return None,
        (Some(_), None) => (0, 1_000),
        (Some(_), Some(fraction)) => fraction_span(fraction)?,
    };
    let seconds = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second.unwrap_or(0));
    let start_ms = day.start_ms + seconds * 1_000 + fraction_ms - offset_ms;
    Some(TimeSpan {
        start_ms,
        end_ms: start_ms + width_ms,
    })
}

/// The offset in a second and the width of `.d`, `.dd`, `.ddd…`; what is finer than a
/// millisecond is cut off.
fn fraction_span(fraction: &str) -> Option<(i64, i64)> {
    if fraction.is_empty() || fraction.len() > 12 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let kept = fraction.get(..fraction.len().min(3))?;
    let width_ms = match kept.len() {
        1 => 100,
        2 => 10,
        _ => 1,
    };
    Some((kept.parse::<i64>().ok()? * width_ms, width_ms))
}

fn split_zone(rest: &str) -> (&str, Option<&str>) {
    match rest.find(['Z', '+', '-']) {
        Some(at) => (&rest[..at], Some(&rest[at..])),
        None => (rest, None),
    }
}

fn parse_zone(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    let in_range = hours <= 14 && minutes <= 59;
    in_range.then(|| sign * (i64::from(hours) * 60 + i64::from(minutes)) * MS_PER_MINUTE)
}

fn digits(text: &str, count: usize) -> Option<u32> {
    let well_formed = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if well_formed { text.parse().ok() } else { None }
}

fn day_start_ms(year: u32, month: u32, day: u32) -> Option<i64> {
    // The year after 9999 only bounds the last span that can be written.
    if year == 10_000 {
        return Some(253_402_300_800_000);
    }
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?);
    let midnight = date.ok()?.with_time(Time::MIDNIGHT).assume_utc();
    Some(midnight.unix_timestamp() * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::definitions::Primitive;
    use proptest::prelude::*;

    fn span(text: &str) -> (i64, i64) {
        let span = TimeSpan::parse(text).unwrap();
        (span.start_ms, span.end_ms)
    }

    #[test]
    fn partial_dates_cover_what_they_name() {
        assert_eq!(span("1970"), (0, 365 * MS_PER_DAY));
        assert_eq!(span("1970-02"), (31 * MS_PER_DAY, 59 * MS_PER_DAY));
        assert_eq!(span("1970-12"), (334 * MS_PER_DAY, 365 * MS_PER_DAY));
        assert_eq!(span("1970-01-02"), (MS_PER_DAY, 2 * MS_PER_DAY));
        assert_eq!(span("1970-01-01T00:01Z"), (60_000, 120_000));
        assert_eq!(span("1970-01-01T00:00:01Z"), (1_000, 2_000));
        assert_eq!(span("1970-01-01T00:00:01.5Z"), (1_500, 1_600));
        assert_eq!(span("1970-01-01T00:00:01.2345Z"), (1_234, 1_235));
        assert_eq!(span("1970-01-01T02:00:00+02:00"), (0, 1_000));
        assert_eq!(span("1969-12-31T19:00:00-05:00"), (0, 1_000));
        assert_eq!(span("9999").1, 253_402_300_800_000);
    }

    #[test]
    fn what_is_no_fhir_date_is_refused() {
        for text in [
            "",
            "19",
            "197",
            "1970-",
            "1970-1",
            "1970-13",
            "1970-02-30",
            "1970-01-01-01",
            "0000",
            "1970-01T00:00:00Z",
            "1970-01-01T",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:60:00Z",
            "1970-01-01T00:00:61Z",
            "1970-01-01T00:00:00+15:00",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00.5Z",
            "1970-01-01T00:00:00+0100",
            "+970-01-01",
            "１970",
        ] {
            assert!(TimeSpan::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn an_instant_needs_seconds_and_a_zone() {}

    #[test]
    fn a_period_may_be_open() {
        let open = TimeSpan::between(Some("1970-01-01"), None).unwrap();
        assert_eq!((open.start_ms, open.end_ms), (0, i64::MAX));
        assert!(TimeSpan::between(None, None).is_none());
        assert!(TimeSpan::between(Some("1971"), Some("1970")).is_none());
    }

    proptest! {
        #[test]
        fn instants_round_trip(unix_ms in -62_135_596_800_000_i64..253_402_300_800_000) {
            let text = format_instant(unix_ms);
            prop_assert_eq!(span(&text), (unix_ms, unix_ms + 1));
            prop_assert!(Primitive::Instant.is_well_formed(&text));
        }

        #[test]
        fn a_longer_prefix_lies_within_a_shorter_one(unix_ms in 0_i64..253_402_300_800_000) {
            let text = format_instant(unix_ms);
            let mut outer = TimeSpan::parse(&text[..4]).unwrap();
            for inner in [text[..7].to_owned(), text[..10].to_owned(),
                          format!("{}Z", &text[..16]), format!("{}Z", &text[..19]), text.clone()] {
                let span = TimeSpan::parse(&inner).unwrap();
                prop_assert!(outer.contains(span));
                outer = span;
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,40}") {
            let _ = TimeSpan::parse(&text);
        }
    }
}
