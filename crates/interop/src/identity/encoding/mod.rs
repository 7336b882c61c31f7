//! Encodings: traits of a patient as another member can compare them, who cannot read them without the secret.
//!
//! Each value is a Bloom filter of its own (Schnell, Bachteler and Reiher 2009), so that fields keep their weights and the
//! rules of [`super::judge`] hold. The bits come from HMAC-SHA-256 under the secret that members share, and under a salt
//! that serves one question: two encodings of one person have nothing in common, so that whoever lacks the secret counts no
//! frequencies. What stays the same from question to question are the [`Bucket`]s, by which a custodian finds candidates.
//! `docs/adr/0032-linkage.md` has what was weighed, the threat model what it leaks.

mod compare;
mod filter;
mod layout;

use std::collections::BTreeSet;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::blocking::blocking_keys;
use super::traits::Traits;

pub use compare::judge_encoded;
pub use layout::Encoding;

use filter::Filter;

/// Bytes of the secret.
pub const SECRET_BYTES: usize = 32;
/// Bytes of a bucket: short, so that what falls into one is more than one person.
const BUCKET_BYTES: usize = 3;

type Mac256 = Hmac<Sha256>;

/// The secret that the members of a network share for linkage, and no one else has.
#[derive(Clone)]
pub struct LinkageSecret(Zeroizing<[u8; SECRET_BYTES]>);

/// A place to which patients with one blocking key come; the same in each question under one secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket([u8; BUCKET_BYTES]);

impl fmt::Debug for LinkageSecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("LinkageSecret(..)")
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Bucket(..)")
    }
}

impl Bucket {
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl LinkageSecret {
    /// A secret of these bytes.
    pub fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The buckets of a patient.
    pub fn buckets(&self, traits: &Traits) -> BTreeSet<Bucket> {
        let keys = blocking_keys(traits).into_iter();
        let buckets = keys.map(|key| {
            let hash = self.keyed(b"bucket", key.as_bytes());
            Bucket(first(&hash))
        });
        buckets.collect()
    }

    /// The traits of a patient for one question, which `salt` names.
    pub fn encode(&self, traits: &Traits, salt: &[u8]) -> Encoding {
        let key = self.keyed(b"encoding", salt);
        layout::encode(&Tokens(mac(&key)), traits, self.buckets(traits))
    }

    /// What shows that whoever sent `message` has the secret.
    pub fn proof(&self, message: &[u8]) -> [u8; 32] {
        self.keyed(b"proof", message)
    }

    /// Whether `proof` shows that.
    pub fn is_proof(&self, message: &[u8], proof: &[u8]) -> bool {
        let key = self.keyed(b"compare", b"");
        let (own, other) = (self.proof(message), proof);
        // Two hashes under a key that the sender does not choose tell nothing by how long they take to compare.
        let hidden = |bytes: &[u8]| mac(&key).chain_update(bytes).finalize();
        hidden(&own) == hidden(other)
    }

    /// By what a member sees that it was given another secret.
    pub fn fingerprint(&self) -> [u8; 8] {
        first(&self.keyed(b"fingerprint", b""))
    }

    fn keyed(&self, purpose: &[u8], message: &[u8]) -> [u8; 32] {
        let length = u8::try_from(purpose.len()).unwrap_or(u8::MAX);
        let mac = mac(&self.0)
            .chain_update(b"careledger/linkage/v1")
            .chain_update([length])
            .chain_update(purpose)
            .chain_update(message);
        mac.finalize().into_bytes().into()
    }
}

/// Makes filters under the key of one question.
struct Tokens(Mac256);

impl Tokens {
    /// The filter of a set of tokens of a kind; that of none is empty.
    fn filter<T: AsRef<[u8]>>(&self, kind: u8, tokens: impl IntoIterator<Item = T>) -> Filter {
        let mut filter = Filter::default();
        for token in tokens {
            let hash = self.0.clone().chain_update([kind]).chain_update(token);
            filter.add(&hash.finalize().into_bytes().into());
        }
        filter
    }
}

#[expect(clippy::unreachable, reason = "HMAC takes keys of any length")]
fn mac(key: &[u8; 32]) -> Mac256 {
    match Mac256::new_from_slice(key) {
        Ok(mac) => mac,
        // INVARIANT: HMAC takes keys of any length (RFC 2104 §3).
        Err(_) => unreachable!("HMAC takes keys of any length"),
    }
}

fn first<const N: usize>(hash: &[u8; 32]) -> [u8; N] {
    hash.first_chunk().copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests;
