//! Accounting of disclosures: which disclosures of a patient's records a report has, by which rule. Until when it is owed
//! is in [`crate::duty`].
//!
//! All reports are made of the same disclosures. They differ in what counts, and in how far they reach back:
//!
//! | Report | Reaches back | What counts |
//! |---|---|---|
//! | 45 CFR 164.528 | six years | all but care, payment and operations, and what the patient got or authorised |
//! | 42 CFR 2.24 | three years | what the intermediary passed on for treatment |
//! | 42 CFR 2.25 | three years | what was disclosed with consent, for care, payment and operations too |
//! | GDPR Art. 15 | all | every recipient |
//!
//! # Invariants
//! - **D1** What does not count in a report stays in the log, and in the reports in which it counts.
//! - **D2** A suspension leaves out what went to the agency that asked for it, and nothing else, until it ends; one that
//!   was asked for orally ends after 30 days, unless it was put in writing.

mod suspension;

use std::collections::BTreeMap;

use time::{Date, Month, OffsetDateTime};

pub use suspension::Suspension;

/// Why records went to somebody, as the reports distinguish it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Care, payment, operations.
    CarePaymentOperations,
    /// To the patient, or whoever acts for the patient.
    Individual,
    /// Incident to what is permitted.
    Incident,
    /// By the patient's authorisation.
    Authorized,
    /// A facility's directory, or persons involved in the care.
    Directory,
    /// National security or intelligence.
    NationalSecurity,
    /// Correctional institutions and custodial situations.
    Correctional,
    /// As part of a limited data set.
    LimitedDataSet,
    /// Public health, vital records, abuse reporting.
    PublicHealth,
    /// Health oversight.
    Oversight,
    /// Courts and proceedings.
    Judicial,
    /// Law enforcement.
    LawEnforcement,
    /// Research without authorisation.
    Research,
    /// Anything else.
    Other,
}

const CODES: [(Class, &str); 14] = [
    (Class::CarePaymentOperations, "care-payment-operations"),
    (Class::Individual, "individual"),
    (Class::Incident, "incident"),
    (Class::Authorized, "authorization"),
    (Class::Directory, "directory"),
    (Class::NationalSecurity, "national-security"),
    (Class::Correctional, "correctional"),
    (Class::LimitedDataSet, "limited-data-set"),
    (Class::PublicHealth, "public-health"),
    (Class::Oversight, "oversight"),
    (Class::Judicial, "judicial"),
    (Class::LawEnforcement, "law-enforcement"),
    (Class::Research, "research"),
    (Class::Other, "other"),
];

impl Class {
    /// The class of what is disclosed for a purpose of use (v3-ActReason).
    pub fn of_purpose(purpose: &str) -> Self {
        match purpose {
            "TREAT" | "ETREAT" | "BTG" | "CAREMGT" | "CLINTRCH" | "HPAYMT" | "HOPERAT"
            | "COVERAGE" | "HSYSADMIN" | "COC" => Self::CarePaymentOperations,
            "PATRQT" | "FAMRQT" | "PWATRNY" | "SUPNWK" => Self::Individual,
            "HMARKT" => Self::Authorized,
            "PUBHLTH" | "DISASTER" | "THREAT" | "ERTREAT" => Self::PublicHealth,
            "HLEGAL" | "LEGAL" => Self::Judicial,
            "HRESCH" | "CLINTRL" => Self::Research,
            _ => Self::Other,
        }
    }

    /// The class with this code.
    pub fn parse(code: &str) -> Option<Self> {
        let mut codes = CODES.iter();
        codes.find(|(_, one)| *one == code).map(|(class, _)| *class)
    }

    /// Its code.
    pub fn code(self) -> &'static str {
        let mut codes = CODES.iter();
        codes
            .find(|(one, _)| *one == self)
            .map_or("other", |(_, code)| code)
    }

    /// Whether 45 CFR 164.528(a)(1) leaves it out.
    fn is_excluded_by_hipaa(self) -> bool {
        matches!(
            self,
            Self::CarePaymentOperations
                | Self::Individual
                | Self::Incident
                | Self::Authorized
                | Self::Directory
                | Self::NationalSecurity
                | Self::Correctional
                | Self::LimitedDataSet
        )
    }
}

/// The rule that a report follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Regime {
    /// 45 CFR 164.528.
    Hipaa,
    /// 42 CFR 2.24: the intermediary's list.
    Part2Intermediary,
    /// 42 CFR 2.25: what was disclosed with consent.
    Part2Consented,
    /// GDPR Art. 15.
    Gdpr15,
}

impl Regime {
    /// The regime with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "hipaa" => Self::Hipaa,
            "part2-2.24" => Self::Part2Intermediary,
            "part2-2.25" => Self::Part2Consented,
            "gdpr-15" => Self::Gdpr15,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hipaa => "hipaa",
            Self::Part2Intermediary => "part2-2.24",
            Self::Part2Consented => "part2-2.25",
            Self::Gdpr15 => "gdpr-15",
        }
    }

    /// The rule's own name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Hipaa => "Accounting of disclosures (45 CFR 164.528)",
            Self::Part2Intermediary => "List of disclosures by an intermediary (42 CFR 2.24)",
            Self::Part2Consented => "Accounting of disclosures made with consent (42 CFR 2.25)",
            Self::Gdpr15 => "Recipients of personal data (GDPR Art. 15)",
        }
    }

    /// Years that the report reaches back; `None` for all.
    pub fn years(self) -> Option<i32> {
        match self {
            Self::Hipaa => Some(6),
            Self::Part2Intermediary | Self::Part2Consented => Some(3),
            Self::Gdpr15 => None,
        }
    }

    /// Whether it counts a disclosure of this kind, whenever it was made.
    fn counts(self, one: &Disclosure) -> bool {
        match self {
            Self::Hipaa => !one.class.is_excluded_by_hipaa(),
            Self::Part2Intermediary => one.by_consent && one.class == Class::CarePaymentOperations,
            Self::Part2Consented => one.by_consent,
            Self::Gdpr15 => one.class != Class::Individual,
        }
    }
}

/// Records of the patient that went to somebody.
#[derive(Clone, PartialEq, Eq)]
pub struct Disclosure {
    /// Its number in the member's audit log.
    pub number: u64,
    /// When, milliseconds since 1970.
    pub at: u64,
    /// Who got them.
    pub recipient: String,
    /// Where the recipient is, if known.
    pub address: Option<String>,
    /// What, briefly.
    pub description: String,
    /// What for: purpose of use, or a statement of it.
    pub purpose: String,
    /// Why, as the reports distinguish it.
    pub class: Class,
    /// Whether a consent of the patient was what permitted it.
    pub by_consent: bool,
}

impl std::fmt::Debug for Disclosure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Disclosure({})", self.number)
    }
}

/// One line of a report: one disclosure, or several to the same recipient for the same purpose.
#[derive(Clone, PartialEq, Eq)]
pub struct Line {
    /// The first of them, in full.
    pub first: Disclosure,
    /// How many there are.
    pub count: usize,
    /// When the last one was made.
    pub last: u64,
    /// Their numbers in the audit log.
    pub numbers: Vec<u64>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Line({} disclosures)", self.count)
    }
}

/// A report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounting {
    /// The rule.
    pub regime: Regime,
    /// The first millisecond that it reaches back to.
    pub since: u64,
    /// When it was made.
    pub made_at: u64,
    /// What counts, the earliest first.
    pub lines: Vec<Line>,
    /// Disclosures that count.
    pub counted: usize,
    /// Disclosures in the same time that do not count in this report.
    pub left_out: usize,
}

/// The report on `disclosures` by a rule, made at `now`; `suspensions` are those of the patient.
pub fn account(
    regime: Regime,
    disclosures: &[Disclosure],
    suspensions: &[Suspension],
    now: u64,
) -> Accounting {
    let since = regime.years().map_or(0, |years| years_before(now, years));
    let within = |one: &&Disclosure| since <= one.at && one.at <= now;
    let mut groups: BTreeMap<(&str, &str, Class), Vec<&Disclosure>> = BTreeMap::new();
    let (mut counted, mut left_out) = (0_usize, 0_usize);
    for one in disclosures.iter().filter(within) {
        let is_suspended =
            regime == Regime::Hipaa && suspensions.iter().any(|held| held.holds(one, now));
        if !regime.counts(one) {
            left_out = left_out.saturating_add(1);
        } else if !is_suspended {
            counted = counted.saturating_add(1);
            let key = (one.recipient.as_str(), one.purpose.as_str(), one.class);
            groups.entry(key).or_default().push(one);
        }
    }
    let mut lines: Vec<Line> = groups.into_values().filter_map(line).collect();
    lines.sort_by_key(|line| (line.first.at, line.first.number));
    Accounting {
        regime,
        since,
        made_at: now,
        lines,
        counted,
        left_out,
    }
}

/// Repeated disclosures to one recipient for one purpose: the first in full, how many, and the last (164.528(b)(3)).
fn line(mut group: Vec<&Disclosure>) -> Option<Line> {
    group.sort_by_key(|one| (one.at, one.number));
    let (first, last) = (group.first()?, group.last()?);
    Some(Line {
        first: (*first).clone(),
        count: group.len(),
        last: last.at,
        numbers: group.iter().map(|one| one.number).collect(),
    })
}

/// Whether a report that is asked for at this time is free: the first in twelve months is (164.528(c)(2)).
pub fn is_free(earlier: &[u64], now: u64) -> bool {
    let since = years_before(now, 1);
    !earlier.iter().any(|at| since <= *at && *at <= now)
}

/// The same day so many years earlier, at its first millisecond.
fn years_before(at: u64, years: i32) -> u64 {
    let seconds = i64::try_from(at / 1_000).unwrap_or(i64::MAX);
    let date = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let date = date.date();
    let year = date.year().saturating_sub(years);
    // The 29th of February counts from the 28th.
    let earlier = Date::from_calendar_date(year, date.month(), date.day())
        .or_else(|_| Date::from_calendar_date(year, Month::February, 28));
    let earlier = earlier.map_or(0, |date| date.midnight().assume_utc().unix_timestamp());
    u64::try_from(earlier).unwrap_or(0).saturating_mul(1_000)
}

#[cfg(test)]
mod tests;
