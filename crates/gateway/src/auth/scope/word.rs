//! Scopes that are words: who the user is, what is in context, how long, and what administrators do.

use std::fmt;
use std::str::FromStr;

use super::ScopeError;

/// A scope without a resource type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// An ID token.
    OpenId,
    /// Who the user is, in the ID token.
    FhirUser,
    /// The same, as OpenID Connect has it.
    Profile,
    /// The context that the EHR set.
    Launch,
    /// A patient in context.
    LaunchPatient,
    /// An encounter in context, if the EHR set one.
    LaunchEncounter,
    /// A refresh token that outlives the session.
    OfflineAccess,
    /// A refresh token for a working day.
    OnlineAccess,
    /// Registering clients: an administrator's.
    Clients,
    /// Setting the context of a launch: an EHR's.
    Launches,
    /// Importing in bulk: that of a system which an administrator trusts with it.
    Import,
    /// Erasing, holding and letting go of records: a privacy officer's.
    Erase,
    /// Looking at messages of HL7 v2 that were not filed, sending them through again and discarding them.
    Messages,
}

const WORDS: [(Word, &str); 13] = [
    (Word::OpenId, "openid"),
    (Word::FhirUser, "fhirUser"),
    (Word::Profile, "profile"),
    (Word::Launch, "launch"),
    (Word::LaunchPatient, "launch/patient"),
    (Word::LaunchEncounter, "launch/encounter"),
    (Word::OfflineAccess, "offline_access"),
    (Word::OnlineAccess, "online_access"),
    (Word::Clients, "careledger/clients"),
    (Word::Launches, "careledger/launches"),
    (Word::Import, "careledger/import"),
    (Word::Erase, "careledger/erase"),
    (Word::Messages, "careledger/messages"),
];

impl Word {
    /// Whether a person can grant it.
    pub(super) fn is_of_a_person(self) -> bool {
        !matches!(
            self,
            Self::Clients | Self::Launches | Self::Import | Self::Erase | Self::Messages
        )
    }
}

impl FromStr for Word {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let mut words = WORDS.iter();
        let found = words.find(|(_, name)| *name == text);
        found.map(|(word, _)| *word).ok_or(ScopeError)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = WORDS.iter();
        let found = words.find(|(word, _)| word == self);
        f.write_str(found.map_or("", |(_, name)| name))
    }
}
