//! Dates and times: DT, TS, DTM as FHIR's.

use crate::fhir::TimeSpan;

/// A DTM as `dateTime`; `None` if it is none. `zone` is taken where it names none.
pub(crate) fn date_time(dtm: &str, zone_of_sender: &str) -> Option<String> {
    let (digits, zone) = split_zone(dtm)?;
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    if !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let Some(clock) = whole.get(8..).filter(|clock| !clock.is_empty()) else {
        return date(whole);
    };
    let pair = |at: usize| clock.get(at..at + 2);
    let (hour, minute, second) = match clock.len() {
        2 => (pair(0)?, "00", "00"),
        4 => (pair(0)?, pair(2)?, "00"),
        6 => (pair(0)?, pair(2)?, pair(4)?),
        _ => return None,
    };
    let fraction = match fraction {
        Some(digits) if (1..=4).contains(&digits.len()) && clock.len() == 6 => {
            format!(".{}", digits.get(..3).unwrap_or(digits))
        }
        Some(_) => return None,
        None => String::new(),
    };
    let day = date(whole.get(..8)?)?;
    let zone = zone.unwrap_or_else(|| zone_of_sender.to_owned());
    checked(format!("{day}T{hour}:{minute}:{second}{fraction}{zone}"))
}

/// The day, month or year of a DT, TS or DTM.
pub(crate) fn date(dtm: &str) -> Option<String> {
    let (digits, _) = split_zone(dtm)?;
    let whole = digits.split('.').next().unwrap_or_default();
    if !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, month, day) = (whole.get(..4)?, whole.get(4..6), whole.get(6..8));
    checked(match (month, day, whole.len()) {
        (None, None, 4) => year.to_owned(),
        (Some(month), None, 6) => format!("{year}-{month}"),
        (Some(month), Some(day), 8..) => format!("{year}-{month}-{day}"),
        _ => return None,
    })
}

/// The zone that a DTM names, as FHIR writes it.
pub(crate) fn zone(dtm: &str) -> Option<String> {
    split_zone(dtm)?.1
}

/// TM as `time`.
pub(super) fn time_of_day(tm: &str) -> Option<String> {
    let (digits, _) = split_zone(tm)?;
    let day = date_time(&format!("20000101{digits}"), "Z")?;
    let (_, clock) = day.split_once('T')?;
    Some(clock.trim_end_matches('Z').to_owned())
}

fn split_zone(dtm: &str) -> Option<(&str, Option<String>)> {
    let Some(at) = dtm.find(['+', '-']) else {
        return Some((dtm, None));
    };
    let (digits, zone) = dtm.split_at(at);
    let is_zone = zone.len() == 5 && zone.bytes().skip(1).all(|byte| byte.is_ascii_digit());
    if !is_zone {
        return None;
    }
    Some((
        digits,
        Some(format!("{}:{}", zone.get(..3)?, zone.get(3..)?)),
    ))
}

fn checked(text: String) -> Option<String> {
    TimeSpan::parse(&text).is_some().then_some(text)
}
