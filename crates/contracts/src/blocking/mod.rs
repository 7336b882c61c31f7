//! Information blocking: the exception that each denial rests on (45 CFR part 171), and the clock of a written reply.
//!
//! # Invariants
//! - **B1** Every denial comes to exactly one exception, whoever words it.
//! - **B2** A reason that bears its exception in front keeps it, from member to member.

mod clock;

pub use clock::{BUSINESS_DAYS, federal_holidays, is_business_day, reply_due};

/// The system of the codes.
pub const SYSTEM: &str = "urn:careledger:information-blocking-exception";
const SEPARATOR: &str = ": ";

/// An exception of 45 CFR part 171.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exception {
    /// Preventing harm.
    PreventingHarm,
    /// Privacy: a precondition of the law is not satisfied, such as a consent.
    PrivacyPrecondition,
    /// Privacy: the patient asked not to share.
    PrivacyRequest,
    /// Security.
    Security,
    /// Infeasibility.
    Infeasibility,
    /// Health IT performance.
    Performance,
    /// Protecting care access.
    ProtectingCareAccess,
    /// Manner.
    Manner,
    /// Fees.
    Fees,
    /// Licensing.
    Licensing,
    /// TEFCA manner.
    TefcaManner,
}

impl Exception {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::PreventingHarm,
        Self::PrivacyPrecondition,
        Self::PrivacyRequest,
        Self::Security,
        Self::Infeasibility,
        Self::Performance,
        Self::ProtectingCareAccess,
        Self::Manner,
        Self::Fees,
        Self::Licensing,
        Self::TefcaManner,
    ];

    /// The code: the section, with the paragraph where that says more.
    pub fn code(self) -> &'static str {
        match self {
            Self::PreventingHarm => "171.201",
            Self::PrivacyPrecondition => "171.202(b)",
            Self::PrivacyRequest => "171.202(e)",
            Self::Security => "171.203",
            Self::Infeasibility => "171.204",
            Self::Performance => "171.205",
            Self::ProtectingCareAccess => "171.206",
            Self::Manner => "171.301",
            Self::Fees => "171.302",
            Self::Licensing => "171.303",
            Self::TefcaManner => "171.403",
        }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::PreventingHarm => "Preventing harm exception",
            Self::PrivacyPrecondition => "Privacy exception: precondition not satisfied",
            Self::PrivacyRequest => "Privacy exception: individual's request not to share",
            Self::Security => "Security exception",
            Self::Infeasibility => "Infeasibility exception",
            Self::Performance => "Health IT performance exception",
            Self::ProtectingCareAccess => "Protecting care access exception",
            Self::Manner => "Manner exception",
            Self::Fees => "Fees exception",
            Self::Licensing => "Licensing exception",
            Self::TefcaManner => "TEFCA manner exception",
        }
    }

    /// The exception with this code.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.code() == code)
    }

    /// What a denial rests on, by its reason and the policies that determine it.
    ///
    /// A voted policy whose id ends in `/` and a code rests on that one.
    pub fn of_denial(reason: &str, determining: &[String]) -> Self {
        if let (Some(coded), _) = split(reason) {
            return coded;
        }
        let named = |id: &String| Self::parse(id.strip_prefix("voted/")?.rsplit('/').next()?);
        if let Some(named) = determining.iter().find_map(named) {
            return named;
        }
        let by = |prefix: &str| determining.iter().any(|id| id.starts_with(prefix));
        match reason {
            "the patient's current consents are not known here"
            | "no consent in force permits it"
            | "no policy permits this purpose or role"
            | "no emergency was declared for it"
            | "no delegation in force covers it"
            | "the request cannot be evaluated" => Self::PrivacyPrecondition,
            _ if by("voted/") => Self::PrivacyPrecondition,
            _ if by("consent/") => Self::PrivacyRequest,
            _ if !determining.is_empty() => Self::PrivacyPrecondition,
            // A member's own control of access: the token, the role, the form of the request.
            _ => Self::Security,
        }
    }
}

/// The reason with its exception in front, as it is stored and told.
pub fn coded(reason: &str, determining: &[String]) -> String {
    let (_, words) = split(reason);
    let exception = Exception::of_denial(reason, determining);
    format!("{}{SEPARATOR}{words}", exception.code())
}

/// The exception in front of a reason, and the reason itself.
pub fn split(reason: &str) -> (Option<Exception>, &str) {
    let parts = reason.split_once(SEPARATOR);
    match parts.map(|(code, words)| (Exception::parse(code), words)) {
        Some((Some(exception), words)) => (Some(exception), words),
        _ => (None, reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denial(reason: &str, determining: &[&str]) -> &'static str {
        let determining: Vec<String> = determining.iter().map(|&id| id.to_owned()).collect();
        Exception::of_denial(reason, &determining).code()
    }

    #[test]
    fn cures_1_every_denial_comes_to_one_coded_exception() {
        let unknown = "the patient's current consents are not known here";
        let voted = "the network's members have forbidden it";
        for (reason, determining, code) in [
            (unknown, &["network/consents-unknown"][..], "171.202(b)"),
            (
                "no consent in force permits it",
                &["implicit/deny"],
                "171.202(b)",
            ),
            ("no consent in force permits it", &[], "171.202(b)"),
            ("no policy permits this purpose or role", &[], "171.202(b)"),
            ("no delegation in force covers it", &[], "171.202(b)"),
            (
                "the patient denies it",
                &["consent/clinic/1/2/0"],
                "171.202(e)",
            ),
            (voted, &["voted/no-marketing"], "171.202(b)"),
            (voted, &["voted/reproductive/171.206"], "171.206"),
            (
                voted,
                &["voted/outage/171.205", "consent/clinic/1/2"],
                "171.205",
            ),
            (
                "the access token's scopes do not reach this document",
                &[],
                "171.203",
            ),
            ("words of a member of a later release", &[], "171.203"),
            // Only members vote: a consent's id says nothing.
            (
                "the patient denies it",
                &["consent/clinic/171.206"],
                "171.202(e)",
            ),
        ] {
            assert_eq!(denial(reason, determining), code, "{reason}");
        }
    }

    #[test]
    fn cures_1_a_reason_keeps_its_code_on_its_way() {
        let determining = ["consent/clinic/1/2".to_owned()];
        let told = coded("the patient denies it", &determining);
        assert_eq!(told, "171.202(e): the patient denies it");
        assert_eq!(coded(&told, &[]), told, "once");
        let (exception, words) = split(&told);
        assert_eq!(exception, Some(Exception::PrivacyRequest));
        assert_eq!(words, "the patient denies it");
        assert_eq!(split("note: not a code"), (None, "note: not a code"));
        for exception in Exception::ALL {
            assert_eq!(Exception::parse(exception.code()), Some(exception));
            assert!(!exception.name().is_empty());
        }
    }
}
