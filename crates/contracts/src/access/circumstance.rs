//! Circumstances of a request without which a built-in policy is not satisfied, whatever the document: what an
//! annotation `@only` names. Cedar is not shown a policy whose circumstance is absent.

use super::slice::Key;
use crate::consent::purpose;

/// What has to be so for a policy to matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Circumstance {
    /// A member's staff or system asks.
    Staff,
    /// A patient asks, for nobody else.
    Patient,
    /// Somebody asks in a patient's place.
    Acting,
    /// The glass is broken.
    Emergency,
    /// The purpose is that of breaking the glass.
    BreakGlassPurpose,
    /// Some consents of the patient are not known.
    ConsentsUnknown,
    /// No consent is in force.
    NoConsent,
}

/// Those that a request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Circumstances(u8);

impl Circumstance {
    const ALL: [(&str, Self); 7] = [
        ("staff", Self::Staff),
        ("patient", Self::Patient),
        ("acting", Self::Acting),
        ("emergency", Self::Emergency),
        ("break-glass-purpose", Self::BreakGlassPurpose),
        ("consents-unknown", Self::ConsentsUnknown),
        ("no-consent", Self::NoConsent),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find_map(|(known, one)| (known == name).then_some(one))
    }

    fn is_of(self, key: &Key<'_>) -> bool {
        let request = key.request;
        match self {
            Self::Staff => request.is_of_staff(),
            Self::Patient => request.patient.is_some() && request.on_behalf_of.is_none(),
            Self::Acting => request.on_behalf_of.is_some(),
            Self::Emergency => request.breaks_glass(),
            Self::BreakGlassPurpose => request.purpose == purpose::BREAK_GLASS,
            Self::ConsentsUnknown => !request.consents_known,
            Self::NoConsent => !key.found,
        }
    }

    fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

impl Circumstances {
    pub(super) fn of(key: &Key<'_>) -> Self {
        let all = Circumstance::ALL.into_iter().map(|(_, one)| one);
        let present = all.filter(|one| one.is_of(key));
        Self(present.fold(0, |bits, one| bits | one.bit()))
    }

    pub(super) fn have(self, one: Option<Circumstance>) -> bool {
        one.is_none_or(|one| self.0 & one.bit() != 0)
    }
}
