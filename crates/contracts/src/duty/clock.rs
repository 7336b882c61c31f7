//! Until when something is owed, and whether that can be put off.

use std::collections::BTreeSet;

use time::{Date, Month, OffsetDateTime, Time};

use super::Duty;
use crate::blocking::{federal_holidays, reply_due};

const DAY_MS: u64 = 86_400_000;
/// How long before a deadline somebody is reminded.
const REMINDER_MS: u64 = 10 * DAY_MS;

/// A duty from the moment that the request for it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// What is owed.
    pub duty: Duty,
    /// When the request was received, milliseconds since 1970.
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
    /// It has passed (D3).
    #[error("the deadline has passed")]
    Passed,
}

/// What there is to say of a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alert {
    /// It is near: ten days at most are left.
    Due,
    /// It has passed.
    Overdue,
}

enum Span {
    Days(u64),
    Months(u8),
    BusinessDays,
}

impl Duty {
    /// How long there is, and how long once it is extended; `None` where no law says.
    fn span(self) -> Option<(Span, Option<Span>)> {
        Some(match self {
            Self::Accounting | Self::ConsentedAccounting | Self::Amendment => {
                (Span::Days(60), Some(Span::Days(90)))
            }
            Self::Access => (Span::Days(30), Some(Span::Days(60))),
            Self::IntermediaryList => (Span::Days(30), None),
            Self::GdprAccess | Self::GdprRectification => (Span::Months(1), Some(Span::Months(3))),
            Self::InfeasibilityReply => (Span::BusinessDays, None),
            Self::EmergencyReview => return None,
        })
    }
}

impl Clock {
    /// The deadline, milliseconds since 1970; `None` where it is the member's own rule.
    pub fn due(&self) -> Option<u64> {
        let (span, longer) = self.duty.span()?;
        let longer = longer.filter(|_| self.extended.is_some());
        Some(match longer.unwrap_or(span) {
            Span::Days(days) => self.received.saturating_add(days.saturating_mul(DAY_MS)),
            Span::Months(months) => months_after(self.received, months),
            Span::BusinessDays => business_days_after(self.received),
        })
    }

    /// Extends the deadline, once.
    pub fn extend(&mut self, now: u64) -> Result<(), ClockRefusal> {
        if self.extended.is_some() {
            return Err(ClockRefusal::ExtendedBefore);
        }
        let longer = self.duty.span().and_then(|(_, longer)| longer);
        longer.ok_or(ClockRefusal::NoExtension)?;
        if self.due().is_some_and(|due| now > due) {
            return Err(ClockRefusal::Passed);
        }
        self.extended = Some(now);
        Ok(())
    }
}

impl Alert {
    /// Whether somebody has to act, with this deadline.
    pub fn of(due: u64, now: u64) -> Option<Self> {
        if now > due {
            Some(Self::Overdue)
        } else if now.saturating_add(REMINDER_MS) >= due {
            Some(Self::Due)
        } else {
            None
        }
    }
}

fn moment(at: u64) -> OffsetDateTime {
    let seconds = i64::try_from(at / 1_000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The same day so many months later, or the last of that month.
fn months_after(at: u64, months: u8) -> u64 {
    let moment = moment(at);
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

/// The end of the tenth business day (UTC) after the day of receipt.
fn business_days_after(at: u64) -> u64 {
    let received = moment(at).date();
    let years = [received.year(), received.year().saturating_add(1)];
    // The first of January may be observed in the year before.
    let next = received.year().saturating_add(2);
    let closed: BTreeSet<Date> = years
        .into_iter()
        .chain([next])
        .flat_map(federal_holidays)
        .collect();
    let last = reply_due(received, &closed).with_time(Time::MIDNIGHT);
    let last = last.assume_utc().unix_timestamp();
    let midnight = u64::try_from(last).unwrap_or(0).saturating_mul(1_000);
    midnight.saturating_add(DAY_MS.saturating_sub(1))
}
