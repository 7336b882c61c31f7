//! Rows of the record store, and the keys that name them.
//!
//! A key holds random ids, keyed hashes, tags and numbers, never an identifier. Values that say something about a
//! patient are sealed with the name of their table and their key, so that a row cannot be moved.

use std::collections::BTreeSet;

use interop::fhir::ResourceType;
use interop::fhir::disclosure::DisclosureFacts;
use interop::fhir::search::IndexTerms;
use ledger::codec;
use ledger::ids::{Digest, MemberName};
use ledger::item::Opening;
use ledger::stream::{Branch, KeyEpoch};
use minicbor::{Decode, Encode};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::CustodyError;

/// A subject's random local id.
pub(crate) type SubjectId = [u8; 16];
/// The keyed hash of a document's type and id.
pub(crate) type DocumentKey = [u8; 16];

/// The four branches that this member writes for a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub(crate) enum Own {
    #[n(0)]
    Consent,
    #[n(1)]
    Index,
    #[n(2)]
    Restricted,
    #[n(3)]
    Access,
}

impl Own {
    pub(crate) const ALL: [Self; 4] = [Self::Consent, Self::Index, Self::Restricted, Self::Access];

    pub(crate) fn of(self, member: &MemberName) -> Branch {
        match self {
            Self::Consent => Branch::Consent(member.clone()),
            Self::Index => Branch::Index(member.clone()),
            Self::Restricted => Branch::Restricted(member.clone()),
            Self::Access => Branch::Access(member.clone()),
        }
    }

    pub(crate) fn with_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.code() == code)
    }

    fn code(self) -> u8 {
        match self {
            Self::Consent => 0,
            Self::Index => 1,
            Self::Restricted => 2,
            Self::Access => 3,
        }
    }
}

/// A subject as this member knows it.
#[derive(Clone, Encode, Decode)]
pub(crate) struct SubjectRow {
    /// The patient's local id.
    #[n(0)]
    pub(crate) patient_id: String,
    /// `None` while this member is the escrow.
    #[n(1)]
    pub(crate) wallet_key: Option<Digest>,
    #[n(2)]
    pub(crate) branches: Vec<BranchRow>,
    /// The root that an escrow minted.
    #[n(3)]
    pub(crate) escrow_root: Option<SecretRow>,
    /// The wallet's keys that gave way to later ones, the oldest first; absent if there are none.
    #[n(4)]
    pub(crate) former: Option<Vec<FormerKey>>,
}

/// A key of the patient's wallet that gave way: what it signed before still counts.
#[derive(Clone, Encode, Decode)]
pub(crate) struct FormerKey {
    #[n(0)]
    pub(crate) key: Digest,
    /// Of each branch of consents, the number of the newest key that was here then. Under later keys it signs nothing.
    #[n(1)]
    pub(crate) consents: Vec<(String, KeyEpoch)>,
}

#[derive(Clone, Encode, Decode)]
pub(crate) struct BranchRow {
    #[n(0)]
    pub(crate) name: String,
    #[n(1)]
    pub(crate) key: SecretRow,
    /// The number of the key; absent for the first.
    #[n(2)]
    pub(crate) epoch: Option<KeyEpoch>,
    /// Entries of this member before the key; absent if there were none.
    #[n(3)]
    pub(crate) before: Option<u64>,
}

#[derive(Clone, Zeroize, ZeroizeOnDrop, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct SecretRow(#[cbor(n(0), with = "minicbor::bytes")] pub(crate) [u8; 32]);

/// Which version of a document is current. What the version says is sealed under its own key.
#[derive(Clone, Encode, Decode)]
pub(crate) struct Head {
    #[n(0)]
    pub(crate) resource_type: String,
    #[n(1)]
    pub(crate) id: String,
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) subject: SubjectId,
    /// The branch of the document's stream: that of its first version, for ever.
    #[n(3)]
    pub(crate) stream: Own,
    #[n(4)]
    pub(crate) version: u64,
    #[n(5)]
    pub(crate) deleted: bool,
    #[n(6)]
    pub(crate) recorded_at: u64,
    /// The branch of the current version's index entry.
    #[n(7)]
    pub(crate) branch: Own,
    /// Under which keys the stream is; absent while it is under the first.
    #[n(8)]
    pub(crate) moves: Option<Vec<StreamMove>>,
}

/// From which version on a document's stream is under a key of its branch.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct StreamMove {
    #[n(0)]
    pub(crate) epoch: KeyEpoch,
    #[n(1)]
    pub(crate) first: u64,
}

impl StreamMove {
    /// Of a document that begins under a key of its branch.
    pub(crate) fn of_new(epoch: KeyEpoch) -> Option<Vec<Self>> {
        (epoch > 0).then(|| vec![Self { epoch, first: 1 }])
    }
}

/// What a decision needs to know of a version.
#[derive(Clone, Encode, Decode)]
pub(crate) struct Facts {
    #[n(0)]
    pub(crate) deleted: bool,
    #[n(1)]
    pub(crate) recorded_at: u64,
    /// The branch of the index entry and of the descriptor's seal.
    #[n(2)]
    pub(crate) branch: Own,
    /// Of the content; of the version before, when this one has none.
    #[n(3)]
    pub(crate) disclosure: DisclosureFacts,
    /// How its labels came about; absent in rows of older releases, until they are labelled anew.
    #[n(4)]
    pub(crate) labelling: Option<Labelling>,
}

impl Facts {
    /// The same with the labels of the current version: what has become sensitive is so in older versions too.
    pub(crate) fn with_labels_of(&self, current: &Self) -> Self {
        let mut facts = self.clone();
        let labels = current.disclosure.labels.iter().cloned();
        facts.disclosure.labels.extend(labels);
        facts
    }
}

/// How the labels of a version came about.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Labelling {
    /// The rules.
    #[n(0)]
    pub(crate) rules: Digest,
    /// Labels that are not taken over from other resources.
    #[n(1)]
    pub(crate) own: BTreeSet<String>,
    /// From what it takes labels over, as `Type/id`.
    #[n(2)]
    pub(crate) from: BTreeSet<String>,
    /// For a Patient, when they were born.
    #[n(3)]
    pub(crate) born: Option<String>,
    /// Whether a person has to look.
    #[n(4)]
    pub(crate) possible: bool,
}

/// A later entry of a version, in another branch than its first.
#[derive(Clone, Encode, Decode)]
pub(crate) struct Moved {
    #[n(0)]
    pub(crate) branch: Own,
    #[n(1)]
    pub(crate) entry: u64,
    /// That of the version, with other labels.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) descriptor: Vec<u8>,
    #[n(3)]
    pub(crate) opening: Opening,
}

/// One version; sealed under a key that its erase key yields.
#[derive(Clone, Encode, Decode)]
pub(crate) struct VersionRow {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) descriptor: Vec<u8>,
    #[n(1)]
    pub(crate) facts: Facts,
    /// The position in the branch's entries.
    #[n(2)]
    pub(crate) entry: u64,
    #[n(3)]
    pub(crate) payload: Payload,
    /// What the patient's wallet signed, for a consent.
    #[n(4)]
    pub(crate) signed: Option<SignedRow>,
    /// Where it is listed since its labels have changed.
    #[n(5)]
    pub(crate) moved: Option<Moved>,
}

/// Where the sealed content is.
#[derive(Clone, Encode, Decode)]
pub(crate) enum Payload {
    #[n(0)]
    None,
    #[n(1)]
    Inline(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    #[n(2)]
    Blob(#[n(0)] String),
    /// A `Binary` in a blob, which is never in memory whole.
    #[n(3)]
    Streamed {
        #[n(0)]
        locator: String,
        /// Clear bytes before the first of the content in base64.
        #[n(1)]
        head: u64,
        /// Bytes of the content.
        #[n(2)]
        bytes: u64,
    },
    /// In an existing server, which calls the version so.
    #[n(4)]
    Upstream {
        #[n(0)]
        resource_type: String,
        #[n(1)]
        id: String,
        #[n(2)]
        version_id: String,
        /// Of the content in the form that was anchored.
        #[n(3)]
        digest: Digest,
    },
}

impl Payload {
    /// The blob, if it is in one.
    pub(crate) fn locator(&self) -> Option<&str> {
        match self {
            Self::None | Self::Inline(_) | Self::Upstream { .. } => None,
            Self::Blob(locator) | Self::Streamed { locator, .. } => Some(locator),
        }
    }
}

/// The exact bytes that a wallet signed, and its detached JWS.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SignedRow {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) body: Vec<u8>,
    #[n(1)]
    pub(crate) jws: String,
}

/// A current version as search sees it; sealed like its version.
#[derive(Clone, Encode, Decode)]
pub(crate) struct TermsRow {
    #[n(0)]
    pub(crate) id: String,
    #[n(1)]
    pub(crate) version: u64,
    #[n(2)]
    pub(crate) facts: Facts,
    #[n(3)]
    pub(crate) terms: IndexTerms,
}

/// What an entry's tag stands for.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) enum EntryRow {
    #[n(0)]
    Version {
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        document: DocumentKey,
        #[n(1)]
        version: u64,
    },
    #[n(1)]
    Access {
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        subject: SubjectId,
        #[n(1)]
        position: u64,
    },
    /// An erasure at this member, by its document and its number.
    #[n(2)]
    Erasure {
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        document: DocumentKey,
        #[n(1)]
        number: u64,
    },
    /// The end of a branch's entries under one key.
    #[n(3)]
    Closing {
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        subject: SubjectId,
        #[n(1)]
        branch: Own,
        /// Of the key that was closed.
        #[n(2)]
        epoch: KeyEpoch,
    },
}

/// What a version did to its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(crate) enum RowKind {
    #[n(0)]
    Written,
    #[n(1)]
    Deleted,
    #[n(2)]
    Erased,
}

/// A version's place in the change feed.
#[derive(Clone, Encode, Decode)]
pub(crate) struct ChangeRow {
    #[n(0)]
    pub(crate) resource_type: String,
    #[n(1)]
    pub(crate) id: String,
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) document: DocumentKey,
    #[n(3)]
    pub(crate) version: u64,
    #[n(4)]
    pub(crate) kind: RowKind,
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) subject: SubjectId,
    #[n(6)]
    pub(crate) recorded_at: u64,
}

/// An access entry.
#[derive(Clone, Encode, Decode)]
pub(crate) struct AccessRow {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) descriptor: Vec<u8>,
    #[n(1)]
    pub(crate) opening: Opening,
}

/// A consent entry that another member filed.
#[derive(Clone, Encode, Decode)]
pub(crate) struct AdoptedRow {
    #[n(0)]
    pub(crate) from: MemberName,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) descriptor: Vec<u8>,
    #[n(2)]
    pub(crate) opening: Opening,
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) content: Vec<u8>,
}

pub(crate) fn version_key(document: &DocumentKey, version: u64) -> [u8; 24] {
    numbered(document, version)
}

pub(crate) fn access_key(subject: &SubjectId, position: u64) -> [u8; 24] {
    numbered(subject, position)
}

pub(crate) fn position_key(subject: &SubjectId, branch: Own) -> [u8; 17] {
    let mut key = [branch.code(); 17];
    key.iter_mut()
        .zip(subject)
        .for_each(|(to, from)| *to = *from);
    key
}

/// The prefix of a subject's entries from one member, or with a position the key of one.
pub(crate) fn adopted_key(
    subject: &SubjectId,
    from: &MemberName,
    position: Option<u64>,
) -> Vec<u8> {
    let mut key = [subject.as_slice(), from.as_str().as_bytes(), b"/"].concat();
    key.extend(position.into_iter().flat_map(u64::to_be_bytes));
    key
}

pub(crate) fn decode<T>(what: &'static str, bytes: &[u8]) -> Result<T, CustodyError>
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    codec::decode(what, bytes).map_err(|error| CustodyError::Storage(error.to_string()))
}

/// The type that a row names.
pub(crate) fn type_of(name: &str) -> Result<ResourceType, CustodyError> {
    ResourceType::parse(name)
        .ok_or_else(|| CustodyError::Storage("a row names no FHIR type".to_owned()))
}

fn numbered(prefix: &[u8; 16], number: u64) -> [u8; 24] {
    let mut key = [0; 24];
    let parts = prefix.iter().copied().chain(number.to_be_bytes());
    key.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    key
}
