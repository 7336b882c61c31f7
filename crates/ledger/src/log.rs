//! The log: an RFC 9162 Merkle tree over the accepted statements, in C2SP `tlog-tiles` numbering.
//!
//! Hashes are stored under the index that `tlog-tiles` gives them; a [`HashReader`] looks them up.

pub mod tile;

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use tlog_tiles::{
    Error as TlogError, Hash, HashReader as TlogHashReader, check_record, check_tree, node_hash,
    prove_record, prove_tree, record_hash, stored_hash_index, stored_hashes_for_record_hash,
    tree_hash,
};

use crate::ids::Digest;

/// Statements that a log may hold: larger sizes in a proof are refused before any arithmetic.
pub const LOG_SIZE_MAX: u64 = 1 << 48;

/// Looks stored hashes up by index.
pub trait HashReader {
    /// The hash stored under `index`, if there is one.
    fn hash(&self, index: u64) -> Option<Digest>;
}

/// What is wrong with a log or a proof about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// A hash that the log's size implies is not stored.
    #[error("a hash of the log is missing from the store")]
    HashMissing,
    /// The leaf asked for is not in a log of that size.
    #[error("the log is smaller than the leaf's index")]
    NotInLog,
    /// The path does not lead from the leaf to the root.
    #[error("the inclusion path does not lead to the log root")]
    PathDoesNotLead,
    /// The path does not lead from the older root to the newer.
    #[error("the newer log is not shown to continue the older one")]
    NotConsistent,
    /// An entry is longer than 65,535 bytes.
    #[error("an entry is longer than an entry bundle can hold")]
    EntryTooLong,
    /// A bundle ends inside an entry.
    #[error("the entry bundle is cut")]
    BundleCut,
}

/// An inclusion path (RFC 9162 §2.1.3), from the leaf upwards.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct InclusionPath {
    /// The leaf's index.
    #[n(0)]
    pub index: u64,
    /// The size of the tree.
    #[n(1)]
    pub size: u64,
    /// The siblings.
    #[n(2)]
    pub siblings: Vec<Digest>,
}

impl InclusionPath {
    /// Whether a tree with `root` holds `leaf` at the path's index.
    pub fn verify(&self, leaf: Digest, root: Digest) -> Result<(), LogError> {
        if self.size > LOG_SIZE_MAX || self.index >= self.size {
            return Err(LogError::NotInLog);
        }
        let path = self
            .siblings
            .iter()
            .map(|sibling| Hash(sibling.0))
            .collect();
        check_record(&path, self.size, Hash(root.0), self.index, Hash(leaf.0))
            .map_err(|_| LogError::PathDoesNotLead)
    }

    /// The root to which the path leads from `leaf` (RFC 9162 §2.1.3.2).
    pub fn root(&self, leaf: Digest) -> Result<Digest, LogError> {
        if self.size > LOG_SIZE_MAX || self.index >= self.size {
            return Err(LogError::NotInLog);
        }
        let (mut node, mut last) = (self.index, self.size.saturating_sub(1));
        let mut root = Hash(leaf.0);
        for sibling in &self.siblings {
            if last == 0 {
                return Err(LogError::PathDoesNotLead);
            }
            let sibling = Hash(sibling.0);
            if node & 1 == 1 || node == last {
                root = node_hash(sibling, root);
                // A node without a sibling on its right rises to where it has one on its left.
                while node & 1 == 0 && node != 0 {
                    (node, last) = (node >> 1, last >> 1);
                }
            } else {
                root = node_hash(root, sibling);
            }
            (node, last) = (node >> 1, last >> 1);
        }
        (last == 0)
            .then_some(Digest(root.0))
            .ok_or(LogError::PathDoesNotLead)
    }
}

/// That a log continues an older state of itself (RFC 9162 §2.1.4).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ConsistencyPath {
    /// The size of the older tree.
    #[n(0)]
    pub older: u64,
    /// The size of the newer tree.
    #[n(1)]
    pub newer: u64,
    /// The hashes.
    #[n(2)]
    pub hashes: Vec<Digest>,
}

impl ConsistencyPath {
    /// Whether the tree with `newer_root` continues the one with `older_root`.
    pub fn verify(&self, older_root: Digest, newer_root: Digest) -> Result<(), LogError> {
        if self.newer > LOG_SIZE_MAX || self.older > self.newer {
            return Err(LogError::NotInLog);
        }
        if self.older == 0 || self.older == self.newer {
            // The empty log has one root, and nothing is shown of it; a log is consistent with itself.
            let roots_fit = self.older == 0 && older_root == Digest::of(b"")
                || self.older != 0 && older_root == newer_root;
            let fits = roots_fit && self.hashes.is_empty();
            return fits.then_some(()).ok_or(LogError::NotConsistent);
        }
        let path = self.hashes.iter().map(|hash| Hash(hash.0)).collect();
        let (older_root, newer_root) = (Hash(older_root.0), Hash(newer_root.0));
        check_tree(&path, self.newer, newer_root, self.older, older_root)
            .map_err(|_| LogError::NotConsistent)
    }
}

/// That the first `newer` leaves continue the first `older`.
pub fn prove_consistency(
    older: u64,
    newer: u64,
    reader: &impl HashReader,
) -> Result<ConsistencyPath, LogError> {
    if newer > LOG_SIZE_MAX || older > newer {
        return Err(LogError::NotInLog);
    }
    let hashes = if older == 0 || older == newer {
        Vec::new()
    } else {
        let path = prove_tree(newer, older, &Reader(reader)).map_err(|_| LogError::HashMissing)?;
        path.iter().map(|hash| Digest(hash.0)).collect()
    };
    Ok(ConsistencyPath {
        older,
        newer,
        hashes,
    })
}

/// The leaf hash of an entry (RFC 9162 §2.1.1).
pub fn leaf_hash(entry: &[u8]) -> Digest {
    Digest(record_hash(entry).0)
}

/// Under which index the hash of a leaf is stored.
pub fn leaf_index(leaf: u64) -> u64 {
    stored_hash_index(0, leaf)
}

/// The stored hash of the leaf at `index`.
pub fn leaf(index: u64, reader: &impl HashReader) -> Option<Digest> {
    (index < LOG_SIZE_MAX)
        .then(|| reader.hash(leaf_index(index)))
        .flatten()
}

/// The root of the first `size` leaves.
pub fn root(size: u64, reader: &impl HashReader) -> Result<Digest, LogError> {
    tree_hash(size, &Reader(reader))
        .map(|hash| Digest(hash.0))
        .map_err(|_| LogError::HashMissing)
}

/// The path of leaf `index` in the tree of the first `size` leaves.
pub fn prove_inclusion(
    index: u64,
    size: u64,
    reader: &impl HashReader,
) -> Result<InclusionPath, LogError> {
    if size > LOG_SIZE_MAX || index >= size {
        return Err(LogError::NotInLog);
    }
    let path = prove_record(size, index, &Reader(reader)).map_err(|_| LogError::HashMissing)?;
    Ok(InclusionPath {
        index,
        size,
        siblings: path.iter().map(|hash| Digest(hash.0)).collect(),
    })
}

/// Hashes to be stored when leaves are appended, above those of a base.
#[derive(Debug, Clone, Default)]
pub struct LogAppend {
    added: BTreeMap<u64, Digest>,
    size: u64,
}

impl LogAppend {
    /// Appends after the first `size` leaves.
    pub fn after(size: u64) -> Self {
        Self {
            added: BTreeMap::new(),
            size,
        }
    }

    /// Appends `leaf` and returns its index.
    pub fn push(&mut self, leaf: Digest, base: &impl HashReader) -> Result<u64, LogError> {
        let index = self.size;
        let reader = Overlay {
            added: &self.added,
            base,
        };
        let hashes = stored_hashes_for_record_hash(index, Hash(leaf.0), &Reader(&reader))
            .map_err(|_| LogError::HashMissing)?;
        let first = stored_hash_index(0, index);
        for (at, hash) in (first..).zip(hashes) {
            self.added.insert(at, Digest(hash.0));
        }
        self.size = index.saturating_add(1);
        Ok(index)
    }

    /// Leaves in the tree, the appended ones included.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over base and appended leaves.
    pub fn root(&self, base: &impl HashReader) -> Result<Digest, LogError> {
        root(
            self.size,
            &Overlay {
                added: &self.added,
                base,
            },
        )
    }

    /// The hashes to store, by index.
    pub fn added(&self) -> &BTreeMap<u64, Digest> {
        &self.added
    }
}

impl HashReader for LogAppend {
    fn hash(&self, index: u64) -> Option<Digest> {
        self.added.get(&index).copied()
    }
}

/// A base without hashes: that of an empty log.
#[derive(Debug, Clone, Copy)]
pub struct Empty;

impl HashReader for Empty {
    fn hash(&self, _: u64) -> Option<Digest> {
        None
    }
}

struct Overlay<'a, B> {
    added: &'a BTreeMap<u64, Digest>,
    base: &'a B,
}

impl<B: HashReader> HashReader for Overlay<'_, B> {
    fn hash(&self, index: u64) -> Option<Digest> {
        self.added
            .get(&index)
            .copied()
            .or_else(|| self.base.hash(index))
    }
}

struct Reader<'a, R>(&'a R);

impl<R: HashReader> TlogHashReader for Reader<'_, R> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, TlogError> {
        let found = indexes
            .iter()
            .map(|index| self.0.hash(*index).map(|digest| Hash(digest.0)));
        found
            .collect::<Option<_>>()
            .ok_or(TlogError::IndexesNotInTree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn log_of(size: u64) -> LogAppend {
        let mut log = LogAppend::after(0);
        for n in 0..size {
            log.push(leaf_hash(&n.to_be_bytes()), &Empty).unwrap();
        }
        log
    }

    #[test]
    fn roots_are_those_of_rfc_9162() {
        let leaf = |n: u64| leaf_hash(&n.to_be_bytes());
        let node = |left: Digest, right: Digest| {
            Digest::of(&[&[1_u8][..], &left.0[..], &right.0[..]].concat())
        };
        assert_eq!(log_of(0).root(&Empty).unwrap(), Digest::of(b""));
        assert_eq!(log_of(1).root(&Empty).unwrap(), leaf(0));
        let three = node(node(leaf(0), leaf(1)), leaf(2));
        assert_eq!(log_of(3).root(&Empty).unwrap(), three);
    }

    #[test]
    fn appending_in_parts_gives_the_same_root() {
        let whole = log_of(37);
        let base = log_of(20);
        let mut rest = LogAppend::after(20);
        for n in 20_u64..37 {
            rest.push(leaf_hash(&n.to_be_bytes()), &base).unwrap();
        }
        assert_eq!(rest.root(&base), whole.root(&Empty));
        let earlier: Vec<_> = base.added().iter().chain(rest.added()).collect();
        assert_eq!(earlier, whole.added().iter().collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn p3_an_inclusion_path_proves_its_leaf_and_no_other(size in 1_u64..200, at in any::<u64>()) {
            let log = log_of(size);
            let root = log.root(&Empty).unwrap();
            let index = at % size;
            let path = prove_inclusion(index, size, &log).unwrap();
            let leaf = leaf_hash(&index.to_be_bytes());
            prop_assert_eq!(path.verify(leaf, root), Ok(()));
            prop_assert_eq!(path.root(leaf), Ok(root));
            let longer = [path.siblings.as_slice(), &[root]].concat();
            let longer = InclusionPath { siblings: longer, ..path };
            prop_assert!(longer.root(leaf).is_err());
            prop_assert!(path.verify(leaf_hash(b"other"), root).is_err());
            prop_assert!(path.verify(leaf, Digest::of(b"other root")).is_err());
            if size > 1 {
                let shorter = path.siblings[1..].to_vec();
                let shorter = InclusionPath { siblings: shorter, ..path };
                prop_assert!(shorter.root(leaf).is_err());
                let elsewhere = InclusionPath { index: (index + 1) % size, ..path };
                prop_assert!(elsewhere.verify(leaf, root).is_err());
                prop_assert_ne!(elsewhere.root(leaf), Ok(root));
            }
        }

        #[test]
        fn p3_a_log_is_consistent_with_its_past_and_with_no_other(
            older in 0_u64..150, grown in 0_u64..60, other in 0_u64..150,
        ) {
            let newer = older + grown;
            let (before, after) = (log_of(older), log_of(newer));
            let roots = (before.root(&Empty).unwrap(), after.root(&Empty).unwrap());
            let path = prove_consistency(older, newer, &after).unwrap();
            prop_assert_eq!(path.verify(roots.0, roots.1), Ok(()));
            prop_assert!(path.verify(Digest::of(b"another past"), roots.1).is_err());
            if older > 0 {
                prop_assert!(path.verify(roots.0, Digest::of(b"another log")).is_err());
            }
            if other != older {
                let elsewhere = ConsistencyPath { older: other, ..path };
                prop_assert!(elsewhere.verify(roots.0, roots.1).is_err());
            }
        }

        #[test]
        fn arbitrary_consistency_paths_are_refused_without_a_panic(
            older in any::<u64>(), newer in any::<u64>(), depth in 0_usize..70,
        ) {
            let path = ConsistencyPath { older, newer, hashes: vec![Digest([5; 32]); depth] };
            prop_assert!(path.verify(leaf_hash(b"x"), Digest([9; 32])).is_err());
        }

        #[test]
        fn arbitrary_paths_are_refused_without_a_panic(
            index in any::<u64>(), size in any::<u64>(), depth in 0_usize..70,
        ) {
            let path = InclusionPath { index, size, siblings: vec![Digest([5; 32]); depth] };
            prop_assert!(path.verify(leaf_hash(b"x"), Digest([9; 32])).is_err());
            let _led_somewhere = path.root(leaf_hash(b"x"));
        }
    }
}
