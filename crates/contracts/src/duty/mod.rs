//! What a member owes to patients by when: answers to their requests, and reviews.
//!
//! | Duty | Law | Owed within | Extension |
//! |---|---|---|---|
//! | accounting of disclosures | 45 CFR 164.528(c) | 60 days | 30 days |
//! | access to records | 45 CFR 164.524(b) | 30 days | 30 days |
//! | amendment | 45 CFR 164.526(b) | 60 days | 30 days |
//! | an intermediary's list | 42 CFR 2.24 | 30 days | none |
//! | accounting of disclosures made with consent | 42 CFR 2.25 | 60 days | 30 days |
//! | access to personal data | GDPR Art. 15, 12(3) | a month | two months |
//! | rectification | GDPR Art. 16, 12(3) | a month | two months |
//! | a written reply on what is infeasible | 45 CFR 171.204(b) | ten business days | none |
//! | review of an emergency | the member's own rule | | none |
//!
//! # Invariants
//! - **D3** A deadline is extended once, before it has passed.
//! - **D4** A denial names its exception, its facts and its reviewer.

mod clock;
mod denial;

use crate::disclosure::Regime;

pub use clock::{Alert, Clock, ClockRefusal};
pub use denial::{Denial, DenialRefusal};

/// The system of the codes of most duties.
pub const SYSTEM: &str = "urn:careledger:task";
/// The system of the code of a request for amendment.
pub const AMENDMENT_SYSTEM: &str = "urn:careledger:amendment";

/// What is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Duty {
    /// Accounting of disclosures (45 CFR 164.528).
    Accounting,
    /// A patient's access to records (45 CFR 164.524).
    Access,
    /// Amendment of a record (45 CFR 164.526).
    Amendment,
    /// An intermediary's list of disclosures (42 CFR 2.24).
    IntermediaryList,
    /// Accounting of disclosures made with consent (42 CFR 2.25).
    ConsentedAccounting,
    /// Access to personal data, recipients included (GDPR Art. 15).
    GdprAccess,
    /// Rectification (GDPR Art. 16).
    GdprRectification,
    /// A written reply to a request that is infeasible (45 CFR 171.204(b)).
    InfeasibilityReply,
    /// The review of a declared emergency.
    EmergencyReview,
}

/// By what a duty is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Procedure {
    /// Filed and closed as a request of its own.
    Request,
    /// The amendment of a record.
    Amendment,
    /// The review of an emergency.
    Review,
}

impl Duty {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Accounting,
        Self::Access,
        Self::Amendment,
        Self::IntermediaryList,
        Self::ConsentedAccounting,
        Self::GdprAccess,
        Self::GdprRectification,
        Self::InfeasibilityReply,
        Self::EmergencyReview,
    ];

    /// Its code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Accounting => "accounting-request",
            Self::Access => "access-request",
            Self::Amendment => "amendment-request",
            Self::IntermediaryList => "intermediary-list-request",
            Self::ConsentedAccounting => "consented-accounting-request",
            Self::GdprAccess => "gdpr-access-request",
            Self::GdprRectification => "gdpr-rectification-request",
            Self::InfeasibilityReply => "infeasibility-reply",
            Self::EmergencyReview => "break-glass-review",
        }
    }

    /// The system of its code.
    pub fn system(self) -> &'static str {
        match self.procedure() {
            Procedure::Amendment => AMENDMENT_SYSTEM,
            Procedure::Request | Procedure::Review => SYSTEM,
        }
    }

    /// What it is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Accounting => "Accounting of disclosures (45 CFR 164.528)",
            Self::Access => "Access to records (45 CFR 164.524)",
            Self::Amendment => "Amendment of a record (45 CFR 164.526)",
            Self::IntermediaryList => "List of disclosures by an intermediary (42 CFR 2.24)",
            Self::ConsentedAccounting => {
                "Accounting of disclosures made with consent (42 CFR 2.25)"
            }
            Self::GdprAccess => "Access to personal data (GDPR Art. 15)",
            Self::GdprRectification => "Rectification of personal data (GDPR Art. 16)",
            Self::InfeasibilityReply => "Written reply on infeasibility (45 CFR 171.204(b))",
            Self::EmergencyReview => "Review of a declared emergency",
        }
    }

    /// The duty of this code.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.code() == code)
    }

    /// The duty of a coding.
    pub fn of_coding(system: &str, code: &str) -> Option<Self> {
        Self::parse(code).filter(|one| one.system() == system)
    }

    /// By what it is done.
    pub fn procedure(self) -> Procedure {
        match self {
            Self::Amendment | Self::GdprRectification => Procedure::Amendment,
            Self::EmergencyReview => Procedure::Review,
            Self::Accounting
            | Self::Access
            | Self::IntermediaryList
            | Self::ConsentedAccounting
            | Self::GdprAccess
            | Self::InfeasibilityReply => Procedure::Request,
        }
    }

    /// The report that it owes, if it is one.
    pub fn report(self) -> Option<Regime> {
        match self {
            Self::Accounting => Some(Regime::Hipaa),
            Self::IntermediaryList => Some(Regime::Part2Intermediary),
            Self::ConsentedAccounting => Some(Regime::Part2Consented),
            Self::GdprAccess => Some(Regime::Gdpr15),
            Self::Access
            | Self::Amendment
            | Self::GdprRectification
            | Self::InfeasibilityReply
            | Self::EmergencyReview => None,
        }
    }

    /// The duty to give a report.
    pub fn of_report(regime: Regime) -> Self {
        match regime {
            Regime::Hipaa => Self::Accounting,
            Regime::Part2Intermediary => Self::IntermediaryList,
            Regime::Part2Consented => Self::ConsentedAccounting,
            Regime::Gdpr15 => Self::GdprAccess,
        }
    }
}

#[cfg(test)]
mod tests;
