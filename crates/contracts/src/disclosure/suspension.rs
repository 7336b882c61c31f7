//! Suspensions: an agency has stated that a report would impede it (45 CFR 164.528(a)(2)).

use super::{Class, Disclosure};

/// How long one that was asked for orally holds: 30 days.
const ORAL_MS: u64 = 30 * 86_400_000;

/// A health oversight or law enforcement agency's request not to report what it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// The agency, as it is named as a recipient.
    pub agency: String,
    /// From when on, milliseconds since 1970.
    pub from: u64,
    /// The end that the agency's written statement names; `None` for one that was asked for orally.
    pub written_until: Option<u64>,
}

impl Suspension {
    /// When it ends by itself.
    pub fn ends(&self) -> u64 {
        self.written_until
            .unwrap_or_else(|| self.from.saturating_add(ORAL_MS))
    }

    /// Whether it holds at this time.
    pub fn is_in_force(&self, now: u64) -> bool {
        self.from <= now && now < self.ends()
    }

    /// Whether it keeps a disclosure out of a report that is made now (D2).
    pub(super) fn holds(&self, one: &Disclosure, now: u64) -> bool {
        let concerns = matches!(one.class, Class::Oversight | Class::LawEnforcement);
        concerns && one.recipient == self.agency && self.is_in_force(now)
    }
}
