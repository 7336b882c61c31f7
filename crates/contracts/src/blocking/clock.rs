//! Ten business days for a written reply to a request that is infeasible (45 CFR 171.204(b)).

use std::collections::BTreeSet;

use time::{Date, Month, Weekday};

/// Within how many business days of its receipt a request is answered in writing.
pub const BUSINESS_DAYS: u8 = 10;
/// More days in a row than any office is closed.
const CLOSED_DAYS_MAX: u16 = 366;

/// The last day for the reply to a request that came on `received`; the day of receipt does not count.
///
/// `closed` are the days on which the member is closed beside weekends: see [`federal_holidays`].
pub fn reply_due(received: Date, closed: &BTreeSet<Date>) -> Date {
    let mut day = received;
    for _ in 0..BUSINESS_DAYS {
        day = next_business_day(day, closed);
    }
    day
}

/// Whether the day counts.
pub fn is_business_day(day: Date, closed: &BTreeSet<Date>) -> bool {
    !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) && !closed.contains(&day)
}

/// The holidays of the United States (5 U.S.C. 6103) as they are observed for a calendar year: one on a Saturday the
/// day before, one on a Sunday the day after. The first of January may be observed in the year before.
pub fn federal_holidays(year: i32) -> BTreeSet<Date> {
    let fixed = [
        (Month::January, 1),
        (Month::June, 19),
        (Month::July, 4),
        (Month::November, 11),
        (Month::December, 25),
    ];
    let fixed = fixed
        .into_iter()
        .filter_map(|(month, day)| Date::from_calendar_date(year, month, day).ok())
        .filter_map(observed);
    let moving = [
        (Month::January, Weekday::Monday, 3),
        (Month::February, Weekday::Monday, 3),
        (Month::September, Weekday::Monday, 1),
        (Month::October, Weekday::Monday, 2),
        (Month::November, Weekday::Thursday, 4),
    ];
    let moving = moving
        .into_iter()
        .filter_map(|(month, weekday, number)| nth(year, month, weekday, number));
    let memorial = (25..=31)
        .filter_map(|day| Date::from_calendar_date(year, Month::May, day).ok())
        .find(|day| day.weekday() == Weekday::Monday);
    fixed.chain(moving).chain(memorial).collect()
}

fn next_business_day(after: Date, closed: &BTreeSet<Date>) -> Date {
    let mut day = after;
    for _ in 0..CLOSED_DAYS_MAX {
        day = day.next_day().unwrap_or(day);
        if is_business_day(day, closed) {
            break;
        }
    }
    day
}

fn observed(day: Date) -> Option<Date> {
    match day.weekday() {
        Weekday::Saturday => day.previous_day(),
        Weekday::Sunday => day.next_day(),
        _ => Some(day),
    }
}

/// The weekday of this number in a month, counted from one.
fn nth(year: i32, month: Month, weekday: Weekday, number: u8) -> Option<Date> {
    let first = number.checked_sub(1)?.checked_mul(7)?.checked_add(1)?;
    (first..=first.checked_add(6)?)
        .filter_map(|day| Date::from_calendar_date(year, month, day).ok())
        .find(|day| day.weekday() == weekday)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: i32, month: Month, day: u8) -> Date {
        Date::from_calendar_date(year, month, day).unwrap()
    }

    #[test]
    fn cures_2_holidays_are_those_of_the_calendar() {
        let holidays: Vec<Date> = federal_holidays(2026).into_iter().collect();
        let expected = [
            day(2026, Month::January, 1),
            day(2026, Month::January, 19),
            day(2026, Month::February, 16),
            day(2026, Month::May, 25),
            day(2026, Month::June, 19),
            day(2026, Month::July, 3),
            day(2026, Month::September, 7),
            day(2026, Month::October, 12),
            day(2026, Month::November, 11),
            day(2026, Month::November, 26),
            day(2026, Month::December, 25),
        ];
        assert_eq!(holidays, expected);
        let observed = day(2021, Month::December, 31);
        assert!(federal_holidays(2022).contains(&observed), "a Saturday");
        assert!(federal_holidays(2023).contains(&day(2023, Month::January, 2)));
    }

    #[test]
    fn cures_2_the_reply_is_due_in_ten_business_days() {
        let none = BTreeSet::new();
        let monday = day(2026, Month::March, 2);
        assert_eq!(reply_due(monday, &none), day(2026, Month::March, 16));
        for weekend in [day(2026, Month::March, 7), day(2026, Month::March, 8)] {
            assert_eq!(reply_due(weekend, &none), day(2026, Month::March, 20));
        }
        // Thanksgiving is one of the days between.
        let received = day(2026, Month::November, 20);
        assert_eq!(reply_due(received, &none), day(2026, Month::December, 4));
        let closed = federal_holidays(2026);
        assert_eq!(reply_due(received, &closed), day(2026, Month::December, 7));
        // Over the turn of the year: Christmas and the first of January.
        let closed: BTreeSet<Date> = [2026, 2027]
            .into_iter()
            .flat_map(federal_holidays)
            .collect();
        let received = day(2026, Month::December, 21);
        assert_eq!(reply_due(received, &closed), day(2027, Month::January, 6));
    }

    #[test]
    fn cures_2_ten_business_days_are_never_fewer_nor_more() {
        let closed: BTreeSet<Date> = (2025..=2028).flat_map(federal_holidays).collect();
        let mut received = day(2026, Month::January, 1);
        while received.year() == 2026 {
            let due = reply_due(received, &closed);
            let mut counted = 0;
            let mut at = received;
            while at < due {
                at = at.next_day().unwrap();
                counted += u8::from(is_business_day(at, &closed));
            }
            assert_eq!(counted, BUSINESS_DAYS, "{received}");
            assert!(is_business_day(due, &closed), "{received}");
            received = received.next_day().unwrap();
        }
    }
}
