//! The implicit policy of a member: what it discloses of a patient who has said nothing (IHE PCF).

use minicbor::{Decode, Encode};

/// One of IHE PCF's four; a member has exactly one in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Implicit {
    /// Nothing, but in an emergency.
    #[default]
    #[n(0)]
    BreakGlassOnly,
    /// Treatment by clinicians, of what is not confidential.
    #[n(1)]
    BasicNormal,
    /// Every use for which members use records, of what is not confidential.
    #[n(2)]
    AllNormal,
    /// Nothing at all.
    #[n(3)]
    Deny,
}

impl Implicit {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::BreakGlassOnly,
        Self::BasicNormal,
        Self::AllNormal,
        Self::Deny,
    ];

    /// The policy that a canonical URL of IHE PCF, or the last part of it, names.
    pub fn parse(text: &str) -> Option<Self> {
        let name = text
            .strip_prefix("https://profiles.ihe.net/ITI/PCF/Policy-")
            .unwrap_or(text);
        Self::ALL.into_iter().find(|policy| policy.name() == name)
    }

    /// Its name in IHE PCF, without what is the same for all.
    pub fn name(self) -> &'static str {
        match self {
            Self::BreakGlassOnly => "break-glass-only",
            Self::BasicNormal => "basic-normal",
            Self::AllNormal => "all-normal",
            Self::Deny => "deny",
        }
    }

    pub(super) fn id(self) -> String {
        format!("implicit/{}", self.name())
    }
}
