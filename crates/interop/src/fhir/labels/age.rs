//! How old a patient was when something happened.

use time::OffsetDateTime;

use crate::fhir::TimeSpan;

/// Whether somebody born at `born` (a FHIR date) may have been younger than `age` at `at_ms`: of a date that says the
/// year alone, the last day counts.
pub(super) fn may_be_under(age: u8, born: &str, at_ms: i64) -> bool {
    let Some(born) = TimeSpan::parse(born) else {
        return true;
    };
    let Ok(latest) = OffsetDateTime::from_unix_timestamp(born.end_ms.div_euclid(1_000)) else {
        return true;
    };
    let year = latest.year().saturating_add(i32::from(age));
    // Whoever is born on a leap day comes of age on the first of March.
    let birthday = latest
        .replace_year(year)
        .or_else(|_| latest.replace_day(28).and_then(|it| it.replace_year(year)));
    match birthday {
        Ok(birthday) => at_ms < birthday.unix_timestamp().saturating_mul(1_000),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(date: &str) -> i64 {
        TimeSpan::parse(date).unwrap().start_ms
    }

    #[test]
    fn the_day_of_majority_is_the_border() {
        let born = "2000-06-15";
        assert!(may_be_under(18, born, at("2018-06-14")));
        assert!(!may_be_under(18, born, at("2018-06-17")));
        assert!(may_be_under(18, "2000", at("2018-07-01")), "a year alone");
        assert!(!may_be_under(18, "2000", at("2019-07-01")));
        assert!(!may_be_under(18, "2004-02-29", at("2022-03-02")));
    }
}
