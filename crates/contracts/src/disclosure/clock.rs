//! Until when a report is owed, and whether it is free.

use super::Regime;
use time::{Date, Month, OffsetDateTime};

const DAY_MS: u64 = 86_400_000;
/// How long before a deadline somebody is reminded.
const REMINDER_MS: u64 = 10 * DAY_MS;

/// A patient's request for a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// The rule.
    pub regime: Regime,
    /// When it was received, milliseconds since 1970.
    pub received: u64,
    /// When the patient was told of an extension.
    pub extended: Option<u64>,
}

/// Why a deadline stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockRefusal {
    /// It was extended before (D3).
    #[error("the deadline was extended before")]
    ExtendedBefore,
    /// The rule has no extension.
    #[error("this rule has no extension")]
    NoExtension,
    /// It has passed.
    #[error("the deadline has passed")]
    Passed,
}

/// What there is to say of a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alert {
    /// It is near.
    Due,
    /// It has passed.
    Overdue,
}

impl Clock {
    /// The deadline.
    pub fn due(&self) -> u64 {
        let days = |days: u64| self.received.saturating_add(days.saturating_mul(DAY_MS));
        let extended = self.extended.is_some();
        match self.regime {
            Regime::Hipaa | Regime::Part2Consented => days(if extended { 90 } else { 60 }),
            Regime::Part2Intermediary => days(30),
            Regime::Gdpr15 => months_after(self.received, if extended { 3 } else { 1 }),
        }
    }

    /// Extends the deadline, once: by 30 days, or by two months.
    pub fn extend(&mut self, now: u64) -> Result<(), ClockRefusal> {
        if self.extended.is_some() {
            return Err(ClockRefusal::ExtendedBefore);
        }
        if self.regime == Regime::Part2Intermediary {
            return Err(ClockRefusal::NoExtension);
        }
        if now > self.due() {
            return Err(ClockRefusal::Passed);
        }
        self.extended = Some(now);
        Ok(())
    }

    /// Whether somebody has to act.
    pub fn alert(&self, now: u64) -> Option<Alert> {
        let due = self.due();
        if now > due {
            Some(Alert::Overdue)
        } else if now.saturating_add(REMINDER_MS) >= due {
            Some(Alert::Due)
        } else {
            None
        }
    }
}

/// Whether a report that is asked for at this time is free: the first in twelve months is (164.528(c)(2)).
pub fn is_free(earlier: &[u64], now: u64) -> bool {
    let since = super::years_before(now, 1);
    !earlier.iter().any(|at| since <= *at && *at < now)
}

/// The same day so many months later, or the last of that month.
fn months_after(at: u64, months: u8) -> u64 {
    let seconds = i64::try_from(at / 1_000).unwrap_or(i64::MAX);
    let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (mut year, mut month, day) = (moment.year(), moment.month(), moment.day());
    for _ in 0..months {
        month = month.next();
        if month == Month::January {
            year = year.saturating_add(1);
        }
    }
    let day = day.min(month.length(year));
    let later = Date::from_calendar_date(year, month, day);
    let later = later.map_or(at, |date| {
        let moment = moment.replace_date(date).unix_timestamp();
        u64::try_from(moment).unwrap_or(0).saturating_mul(1_000)
    });
    later.saturating_add(at % 1_000)
}
