//! What is kept of one interaction; an `AuditEvent` is made of it whenever one is asked for.

use std::fmt;

use minicbor::{Decode, Encode};

/// One interaction, in the form that is stored and whose digest is committed to.
///
/// It holds patient data: Debug says nothing of it.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct AuditEntry {
    /// Which rules make an event of this; later releases go on making the same one.
    #[n(0)]
    pub form: u8,
    /// The interaction, such as `read`, `search`, `everything` or `token`.
    #[n(1)]
    pub interaction: String,
    /// When it was recorded, milliseconds since 1970; never earlier than the entry before.
    #[n(2)]
    pub recorded: u64,
    /// How it ended.
    #[n(3)]
    pub outcome: AuditOutcome,
    /// Why it ended so, or what was withheld.
    #[n(4)]
    pub reason: Option<String>,
    /// Who asked.
    #[n(5)]
    pub agent: AuditAgent,
    /// The request's own name.
    #[n(6)]
    pub request_id: Option<String>,
    /// The patient's local id; `None` for what belongs to no patient.
    #[n(7)]
    pub patient: Option<String>,
    /// What was asked for, as `Type/id` or a search without values.
    #[n(8)]
    pub target: String,
    /// Documents that were opened or written, as `Type/id` or `Type/id/_history/version`.
    #[n(9)]
    pub documents: Vec<String>,
    /// The request line, for what is a query.
    #[n(10)]
    pub query: Option<String>,
    /// The other member, where records pass between two.
    #[n(11)]
    pub passing: Option<Passing>,
    /// The policies that determined the decision.
    #[n(12)]
    pub rules: Vec<String>,
    /// The consents that the decision looked at, as `member/id`.
    #[n(13)]
    pub consents: Vec<String>,
    /// An event that a grouped system sent, as it came.
    #[n(14)]
    #[cbor(with = "minicbor::bytes")]
    pub fed: Option<Vec<u8>>,
    /// SHA-256 of the signed request between members, in hexadecimal.
    #[n(15)]
    pub request: Option<String>,
    /// Whether an entry of the patient's access stream names this event.
    #[n(16)]
    pub is_entered: bool,
    /// What else there is to say, each with its name.
    #[n(17)]
    pub details: Option<Vec<AuditDetail>>,
}

/// Something that an entry says beside what every entry does.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct AuditDetail {
    /// What it is.
    #[n(0)]
    pub name: String,
    /// The value.
    #[n(1)]
    pub value: String,
}

/// Who asked, and by which token.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct AuditAgent {
    /// The client, by its id.
    #[n(0)]
    pub client: String,
    /// Where it asked from, as the connection says.
    #[n(1)]
    pub address: Option<String>,
    /// The user, as `Practitioner/id` or `Patient/id`; `None` for a system on its own.
    #[n(2)]
    pub user: Option<String>,
    /// The role claimed.
    #[n(3)]
    pub role: Option<String>,
    /// Purpose of use (v3-ActReason code).
    #[n(4)]
    pub purpose: Option<String>,
    /// The member whose user or system it is.
    #[n(5)]
    pub organization: String,
    /// The token.
    #[n(6)]
    pub token: Option<AuditToken>,
}

/// What is kept of a token.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub enum AuditToken {
    /// A token that could be read: its `jti` and issuer.
    #[n(0)]
    Minimal {
        /// `jti`
        #[n(0)]
        jti: String,
        /// `iss`
        #[n(1)]
        issuer: String,
    },
    /// The last characters of another: at most 32.
    #[n(1)]
    Opaque(#[n(0)] String),
}

/// How an interaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum AuditOutcome {
    /// It was done.
    #[n(0)]
    Done,
    /// It was refused.
    #[n(1)]
    Denied,
    /// It was decided, and what is behind it then failed.
    #[n(2)]
    Failed,
}

/// Records that pass between members, as seen here.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub enum Passing {
    /// To that member.
    #[n(0)]
    To(#[n(0)] String),
    /// From that member.
    #[n(1)]
    From(#[n(0)] String),
}

/// The longest part of a token that cannot be read which is kept.
const OPAQUE_MAX: usize = 32;

impl AuditToken {
    /// The end of a token that cannot be read.
    pub fn opaque(token: &str) -> Self {
        let skipped = token.chars().count().saturating_sub(OPAQUE_MAX);
        // Of a short one less than half: the whole could be used.
        let length = token.chars().count();
        let skipped = skipped.max(length.div_ceil(2));
        Self::Opaque(token.chars().skip(skipped).collect())
    }
}

impl AuditEntry {
    /// The form that this release writes.
    pub const FORM: u8 = 1;

    /// An entry about nothing in particular yet.
    pub fn new(interaction: impl Into<String>, agent: AuditAgent) -> Self {
        Self {
            form: Self::FORM,
            interaction: interaction.into(),
            recorded: 0,
            outcome: AuditOutcome::Done,
            reason: None,
            agent,
            request_id: None,
            patient: None,
            target: String::new(),
            documents: Vec::new(),
            query: None,
            passing: None,
            rules: Vec::new(),
            consents: Vec::new(),
            fed: None,
            request: None,
            is_entered: false,
            details: None,
        }
    }

    /// The same with a detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        let details = self.details.get_or_insert_default();
        details.push(AuditDetail {
            name: name.to_owned(),
            value: value.into(),
        });
        self
    }

    /// A detail by its name.
    pub fn detail(&self, name: &str) -> Option<&str> {
        let mut details = self.details.iter().flatten();
        details
            .find(|one| one.name == name)
            .map(|one| one.value.as_str())
    }
}

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

redacted!(AuditEntry, AuditDetail, AuditAgent, AuditToken, Passing);
