//! Descriptors: what an item commits to, kept off the ledger and sealed.
//!
//! A descriptor's digest goes into its item's commitment; whoever is given the descriptor and the opening can check
//! the item. Times are block-independent wall-clock milliseconds of the member that wrote the descriptor.

use ledger::codec::{self, DecodeError};
use ledger::ids::{Digest, Height, MemberName, Tag};
use minicbor::{Decode, Encode};

use crate::erasure::ErasureDescriptor;

use crate::access::Delegation;
use crate::emergency::Declaration;
use crate::rotation::MovedDescriptor;

/// What an item stands for.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[expect(
    clippy::large_enum_variant,
    reason = "descriptors are read and written one at a time"
)]
pub enum Descriptor {
    /// A version of a document.
    #[n(0)]
    Record(#[n(0)] RecordDescriptor),
    /// A request to see something, and the member's decision if it was the one to decide.
    #[n(1)]
    Access(#[n(0)] AccessDescriptor),
    /// A position left by a crash.
    #[n(2)]
    Void,
    /// The keys of versions were destroyed.
    #[n(3)]
    Erasure(#[n(0)] ErasureDescriptor),
    /// The keys of versions that should not have been filed were destroyed.
    #[n(4)]
    Redaction(#[n(0)] ErasureDescriptor),
    /// The stream goes on under another key.
    #[n(5)]
    Moved(#[n(0)] MovedDescriptor),
}

/// One version of one document at its home member.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct RecordDescriptor {
    /// FHIR type.
    #[n(0)]
    pub resource_type: String,
    /// FHIR logical id at the home member.
    #[n(1)]
    pub id: String,
    /// FHIR `meta.versionId`; versions count from 1.
    #[n(2)]
    pub version: u64,
    /// Whether this version deletes the document; it has no content then.
    #[n(3)]
    pub deleted: bool,
    /// SHA-256 of the content as it was sealed (the stored form of the resource).
    #[n(4)]
    pub content: Digest,
    /// Media type of the content.
    #[n(5)]
    pub media_type: String,
    /// Who wrote it: a practitioner, the patient, or the member's system, as `Type/id` or a client's name.
    #[n(6)]
    pub author: String,
    /// FHIR `meta.lastUpdated`, milliseconds since 1970.
    #[n(7)]
    pub recorded_at: u64,
    /// Security labels, as `system|code`.
    #[n(8)]
    pub labels: Vec<String>,
    /// The tag of the version before this one.
    #[n(9)]
    pub supersedes: Option<Tag>,
    /// The tag that the next version will have: while it is unused, this is the latest version.
    #[n(10)]
    pub next: Tag,
}

/// One request, at the member through which it was made or at the custodian that decided it.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct AccessDescriptor {
    /// The member whose user asks.
    #[n(0)]
    pub requester: MemberName,
    /// The practitioner, patient or client that asks.
    #[n(1)]
    pub principal: String,
    /// The role claimed.
    #[n(2)]
    pub role: Option<String>,
    /// Purpose of use (v3-ActReason code).
    #[n(3)]
    pub purpose: String,
    /// The interaction, such as `read` or `everything`.
    #[n(4)]
    pub interaction: String,
    /// What was asked for, as `Type/id` or a search without values.
    #[n(5)]
    pub target: String,
    /// When, milliseconds since 1970.
    #[n(6)]
    pub at: u64,
    /// The custodian that is asked, or that decided.
    #[n(7)]
    pub custodian: MemberName,
    /// SHA-256 of the signed request, when members are involved.
    #[n(8)]
    pub request: Option<Digest>,
    /// The HPKE key to which data keys may be wrapped for this request, once.
    #[n(9)]
    #[cbor(with = "minicbor::bytes")]
    pub recipient: Option<Vec<u8>>,
    /// The height after which the request may no longer be answered.
    #[n(10)]
    pub expires_at: Option<Height>,
    /// The decision, at the member that decided.
    #[n(11)]
    pub decision: Option<Decided>,
    /// The position that the next entry of this stream will have as its tag.
    #[n(12)]
    pub next: Tag,
    /// What else the same user asked for the same purpose, made durable together with this.
    #[n(13)]
    pub further: Option<Vec<FurtherAccess>>,
    /// Digest of the event in the member's audit log; absent in entries of releases without one.
    #[n(14)]
    pub audit: Option<Digest>,
    /// The emergency that was declared for it.
    #[n(15)]
    pub emergency: Option<Declaration>,
    /// In whose place it was asked.
    #[n(16)]
    pub on_behalf_of: Option<Delegation>,
}

/// A request that shares its entry with another by the same user for the same purpose.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct FurtherAccess {
    /// The interaction.
    #[n(0)]
    pub interaction: String,
    /// What was asked for.
    #[n(1)]
    pub target: String,
    /// When, milliseconds since 1970.
    #[n(2)]
    pub at: u64,
    /// The decision.
    #[n(3)]
    pub decision: Option<Decided>,
    /// Digest of the event in the member's audit log.
    #[n(4)]
    pub audit: Option<Digest>,
}

/// The outcome for the documents of one request.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Decided {
    /// Documents opened, as `Type/id`.
    #[n(0)]
    pub permitted: Vec<String>,
    /// How many were withheld.
    #[n(1)]
    pub withheld: u32,
    /// The reason given for what was withheld.
    #[n(2)]
    pub reason: Option<String>,
    /// The decision's inputs, for replay (a `DecisionRecord`), when there was one.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub record: Option<Vec<u8>>,
    /// Which documents the record's outcomes are of, in their order: 24 bytes each that name a version at the member that
    /// decided, and mean nothing elsewhere.
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    pub documents: Option<Vec<u8>>,
}

impl AccessDescriptor {
    /// Each request of the entry, as if it had one of its own.
    pub fn each(mut self) -> Vec<Self> {
        let further = self.further.take().unwrap_or_default();
        let mut each = vec![self];
        for one in further {
            if let Some(first) = each.first() {
                let shared = first.clone();
                each.push(Self {
                    interaction: one.interaction,
                    target: one.target,
                    at: one.at,
                    decision: one.decision,
                    audit: one.audit,
                    ..shared
                });
            }
        }
        each
    }
}

impl Descriptor {
    /// Reads a descriptor.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode("descriptor", bytes)
    }

    /// The descriptor's bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// What an item commits to.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }
}

impl std::fmt::Debug for FurtherAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FurtherAccess(..)")
    }
}

impl std::fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Record(_) => "Descriptor::Record(..)",
            Self::Access(_) => "Descriptor::Access(..)",
            Self::Void => "Descriptor::Void",
            Self::Erasure(_) => "Descriptor::Erasure(..)",
            Self::Redaction(_) => "Descriptor::Redaction(..)",
            Self::Moved(_) => "Descriptor::Moved(..)",
        })
    }
}

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

redacted!(RecordDescriptor, AccessDescriptor, Decided);
