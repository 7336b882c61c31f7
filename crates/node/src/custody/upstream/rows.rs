//! Rows of the table `upstream`: which versions of the existing server are known, what was about to be written there, how
//! far it was read, and what could not be recorded.

use ledger::ids::Digest;
use minicbor::{Decode, Encode};

use crate::custody::keys::{Keys, random};
use crate::custody::rows::DocumentKey;
use crate::custody::store::{Table, Transaction};

/// Where the state of the poller stands.
pub(super) const STATE: &[u8] = b"c";
pub(super) const SET_ASIDE: &[u8] = b"r";

/// The newest version of a document that is known of the existing server.
#[derive(Clone, Encode, Decode)]
pub(super) struct NewestRow {
    #[n(0)]
    pub(super) version_id: Option<String>,
    #[n(1)]
    pub(super) at: u64,
}

/// A change that is about to be made at the existing server.
#[derive(Clone, Encode, Decode)]
pub(super) struct IntentRow {
    #[n(0)]
    pub(super) author: String,
    /// The likeness of what is sent; `None` for a deletion.
    #[n(1)]
    pub(super) likeness: Option<Digest>,
    #[n(2)]
    pub(super) at: u64,
}

/// How far the existing server was read.
#[derive(Clone, Default, Encode, Decode)]
pub(super) struct StateRow {
    /// Types of which everything that stood there is taken in, and how far the next one is.
    #[n(0)]
    pub(super) taken: Vec<String>,
    #[n(1)]
    pub(super) taken_until: u64,
    /// Whether all types are.
    #[n(2)]
    pub(super) is_taken: bool,
    /// The time of the newest change that was seen.
    #[n(3)]
    pub(super) since: u64,
}

/// A version of the existing server that could not be recorded.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct SetAside {
    /// The type.
    #[n(0)]
    pub resource_type: String,
    /// The id.
    #[n(1)]
    pub id: String,
    /// The server's name for the version.
    #[n(2)]
    pub version_id: String,
    /// When the server wrote it, milliseconds since 1970.
    #[n(3)]
    pub at_ms: u64,
    /// Which rule it breaks.
    #[n(4)]
    pub reason: String,
}

impl std::fmt::Debug for SetAside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetAside")
            .field("resource_type", &self.resource_type)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

pub(super) fn newest_key(document: &DocumentKey) -> Vec<u8> {
    [b"d".as_slice(), document].concat()
}

/// What stands for a version of the existing server; under it is the number of the version here.
pub(super) fn known_key(document: &DocumentKey, version_id: &str) -> Vec<u8> {
    [b"v".as_slice(), document, &named(version_id)].concat()
}

/// The prefix of a document's intents.
pub(super) fn intents_of(document: &DocumentKey) -> Vec<u8> {
    [b"i".as_slice(), document].concat()
}

/// The key of a new intent.
pub(super) fn intent_key(document: &DocumentKey) -> Vec<u8> {
    [b"i".as_slice(), document, &random::<8>()].concat()
}

pub(super) fn set_aside_key(document: &DocumentKey, version_id: &str) -> Vec<u8> {
    [SET_ASIDE, document, &named(version_id)].concat()
}

/// Notes that a version of the existing server is the version `version` here, or is passed over.
pub(super) fn know(
    keys: &Keys,
    transaction: &mut Transaction<'_>,
    document: &DocumentKey,
    (version_id, at): (Option<&str>, u64),
    version: u64,
) {
    if let Some(version_id) = version_id {
        let key = known_key(document, version_id);
        transaction.put(Table::Upstream, &key, version.to_be_bytes().to_vec());
        transaction.remove(Table::Upstream, &set_aside_key(document, version_id));
    }
    let row = NewestRow {
        version_id: version_id.map(str::to_owned),
        at,
    };
    keys.put(transaction, Table::Upstream, &newest_key(document), &row);
}

fn named(version_id: &str) -> [u8; 16] {
    let mut name = [0; 16];
    let hash = Digest::of(version_id.as_bytes());
    name.iter_mut()
        .zip(hash.0)
        .for_each(|(to, from)| *to = from);
    name
}
