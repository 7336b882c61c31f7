//! The state: an authenticated map (a Jellyfish Merkle tree over SHA-256) of every tag that was ever used, of every
//! command that was obeyed, and of the revisions of the registry.
//!
//! Its root is in each block header, so that "this tag was not used at height H" can be proven: which is how
//! "no later version was final at H" is shown.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::Context as _;
use jmt::proof::SparseMerkleProof;
use jmt::storage::{LeafNode, Node, NodeKey, NodeStats, TreeReader, TreeUpdateBatch};
use jmt::{JellyfishMerkleTree, KeyHash, RootHash, SimpleHasher};
use minicbor::{Decode, Encode};
use sha2::{Digest as _, Sha256};

use crate::ids::{Digest, MemberName, Tag};
use crate::statement::StatementId;

pub use jmt::{KeyHash as TreeKey, storage};

/// The root of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct StateRoot(#[n(0)] pub Digest);

impl StateRoot {
    /// The root of a state without entries.
    pub const EMPTY: Self = Self(Digest(*b"SPARSE_MERKLE_PLACEHOLDER_HASH__"));
}

/// Where an entry stands in the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateKey(pub [u8; 32]);

impl StateKey {
    /// The place of `tag` when `member` uses it: each member has tags of its own.
    pub fn of_tag(member: &MemberName, tag: Tag) -> Self {
        Self(Digest::with_domain("careledger/tag/v1", &[member.as_str().as_bytes(), &tag.0]).0)
    }

    /// The place of a command of `member`: it is obeyed once.
    pub fn of_command(member: &MemberName, id: StatementId) -> Self {
        Self(
            Digest::with_domain(
                "careledger/command/v1",
                &[member.as_str().as_bytes(), &id.0],
            )
            .0,
        )
    }

    /// The place of a revision of the registry of members; the next one is absent until there is one.
    pub fn of_registry(revision: u64) -> Self {
        Self(Digest::with_domain("careledger/registry/v1", &[&revision.to_be_bytes()]).0)
    }
}

/// Why the state cannot be read or a proof about it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The store lacks a node of the tree.
    #[error("a node of the state tree is missing from the store")]
    NodeMissing,
    /// The bytes are not a proof.
    #[error("malformed state proof")]
    Malformed,
    /// The proof does not show what it should.
    #[error("the state proof does not show that the entry was absent")]
    NotShownAbsent,
    /// The proof does not show what it should.
    #[error("the state proof does not show that the entry had this value")]
    NotShownPresent,
}

/// SHA-256 for the tree.
#[derive(Debug)]
struct TreeHasher(Sha256);

impl SimpleHasher for TreeHasher {
    fn new() -> Self {
        Self(Sha256::new())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// Adds `entries` to a state that was changed `changes` times before; returns the new root and what to store.
pub fn insert<R: TreeReader>(
    reader: &R,
    changes: u64,
    entries: impl IntoIterator<Item = (StateKey, Vec<u8>)>,
) -> Result<(StateRoot, TreeUpdateBatch), StateError> {
    let tree = JellyfishMerkleTree::<R, TreeHasher>::new(reader);
    let values: Vec<_> = entries
        .into_iter()
        .map(|(key, value)| (KeyHash(key.0), value))
        .collect();
    let changed = if values.is_empty() {
        tree.put_value_set([], changes)
    } else {
        // All at once: each node on the way to several keys is read, hashed and written once.
        tree.batch_put_value_sets(vec![values], None, changes)
            .and_then(|(roots, update)| {
                let root = roots.into_iter().next().context("no root")?;
                Ok((root, update))
            })
    };
    changed
        .map(|(root, update)| (StateRoot(Digest(root.0)), update))
        .map_err(|_| StateError::NodeMissing)
}

/// How many of the keys, at least one, that led to `update` were absent before.
pub fn keys_added(update: &TreeUpdateBatch) -> usize {
    let added = |stats: &NodeStats| stats.new_leaves.saturating_sub(stats.stale_leaves);
    update.node_stats.iter().map(added).sum()
}

/// Proves that `key` was absent after the state had been changed `changes` times.
pub fn prove_absent<R: TreeReader>(
    reader: &R,
    changes: u64,
    key: StateKey,
) -> Result<StateProof, StateError> {
    let (value, proof) = prove(reader, changes, key)?;
    match value {
        Some(_) => Err(StateError::NotShownAbsent),
        None => Ok(proof),
    }
}

/// Proves what `key` was mapped to, or that it was absent, after the state had been changed `changes` times.
pub fn prove<R: TreeReader>(
    reader: &R,
    changes: u64,
    key: StateKey,
) -> Result<(Option<Vec<u8>>, StateProof), StateError> {
    let Some(version) = changes.checked_sub(1) else {
        return Ok((None, StateProof { proof: Vec::new() }));
    };
    // The library panics where a sibling on the path is missing.
    let proving = AssertUnwindSafe(|| {
        JellyfishMerkleTree::<R, TreeHasher>::new(reader).get_with_proof(KeyHash(key.0), version)
    });
    let (value, proof) = catch_unwind(proving)
        .map_err(|_| StateError::NodeMissing)?
        .map_err(|_| StateError::NodeMissing)?;
    let proof = borsh::to_vec(&proof).map_err(|_| StateError::Malformed)?;
    Ok((value, StateProof { proof }))
}

/// A proof of what the state held, or did not hold, under a key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StateProof {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    proof: Vec<u8>,
}

impl StateProof {
    /// Whether `key` was absent under `root`.
    pub fn verify_absent(&self, root: StateRoot, key: StateKey) -> Result<(), StateError> {
        if root == StateRoot::EMPTY {
            let is_bare = self.proof.is_empty();
            return is_bare.then_some(()).ok_or(StateError::Malformed);
        }
        let proof: SparseMerkleProof<TreeHasher> =
            borsh::from_slice(&self.proof).map_err(|_| StateError::Malformed)?;
        proof
            .verify_nonexistence(RootHash(root.0.0), KeyHash(key.0))
            .map_err(|_| StateError::NotShownAbsent)
    }

    /// Whether `key` was mapped to `value` under `root`.
    pub fn verify_present(
        &self,
        root: StateRoot,
        key: StateKey,
        value: &[u8],
    ) -> Result<(), StateError> {
        let proof: SparseMerkleProof<TreeHasher> =
            borsh::from_slice(&self.proof).map_err(|_| StateError::Malformed)?;
        proof
            .verify_existence(RootHash(root.0.0), KeyHash(key.0), value)
            .map_err(|_| StateError::NotShownPresent)
    }
}

/// A state in memory, for replay and for tests.
#[derive(Debug, Default)]
pub struct MemoryState {
    nodes: BTreeMap<NodeKey, Node>,
    values: BTreeMap<KeyHash, Vec<u8>>,
    changes: u64,
}

impl MemoryState {
    /// Adds `entries` and returns the new root.
    pub fn insert(
        &mut self,
        entries: impl IntoIterator<Item = (StateKey, Vec<u8>)>,
    ) -> Result<StateRoot, StateError> {
        let (root, update) = insert(self, self.changes, entries)?;
        for (key, node) in update.node_batch.nodes() {
            self.nodes.insert(key.clone(), node.clone());
        }
        for ((_, key), value) in update.node_batch.values() {
            if let Some(value) = value {
                self.values.insert(*key, value.clone());
            }
        }
        for stale in update.stale_node_index_batch {
            self.nodes.remove(&stale.node_key);
        }
        self.changes = self.changes.saturating_add(1);
        Ok(root)
    }

    /// Whether `key` has an entry.
    pub fn contains(&self, key: StateKey) -> bool {
        self.values.contains_key(&KeyHash(key.0))
    }

    /// Proves what `key` is mapped to, or that it has no entry.
    pub fn prove(&self, key: StateKey) -> Result<(Option<Vec<u8>>, StateProof), StateError> {
        prove(self, self.changes, key)
    }

    /// Proves that `key` has no entry.
    pub fn prove_absent(&self, key: StateKey) -> Result<StateProof, StateError> {
        prove_absent(self, self.changes, key)
    }
}

impl TreeReader for MemoryState {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        Ok(self.nodes.get(key).cloned())
    }

    fn get_value_option(&self, _: u64, key: KeyHash) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(self.values.get(&key).cloned())
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    fn key(n: u32) -> StateKey {
        let mut tag = [0; 16];
        tag[..4].copy_from_slice(&n.to_be_bytes());
        StateKey::of_tag(&"clinic".parse().unwrap(), Tag(tag))
    }

    #[test]
    fn another_members_tag_is_another_entry() {
        let tag = Tag([1; 16]);
        let of = |name: &str| StateKey::of_tag(&name.parse().unwrap(), tag);
        assert_ne!(of("clinic"), of("payer"));
    }

    #[test]
    fn nothing_is_in_the_empty_state() {
        let proof = MemoryState::default().prove_absent(key(1)).unwrap();
        assert_eq!(proof.verify_absent(StateRoot::EMPTY, key(1)), Ok(()));
        let empty_proof = proof.verify_absent(StateRoot(Digest([1; 32])), key(1));
        assert_eq!(empty_proof, Err(StateError::Malformed));
        let padded = StateProof { proof: vec![0] };
        assert_eq!(
            padded.verify_absent(StateRoot::EMPTY, key(1)),
            Err(StateError::Malformed)
        );
    }

    /// As [`insert`], but key by key.
    fn insert_one_by_one(
        reader: &MemoryState,
        entries: Vec<(StateKey, Vec<u8>)>,
    ) -> (StateRoot, TreeUpdateBatch) {
        let values = entries
            .into_iter()
            .map(|(key, value)| (KeyHash(key.0), Some(value)));
        let tree = JellyfishMerkleTree::<_, TreeHasher>::new(reader);
        let (root, update) = tree.put_value_set(values, reader.changes).unwrap();
        (StateRoot(Digest(root.0)), update)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_batch_changes_the_tree_as_its_keys_one_by_one_do(
            batches in prop::collection::vec(
                prop::collection::vec((0_u32..400, any::<u8>()), 0..60),
                1..6,
            ),
        ) {
            let mut state = MemoryState::default();
            for batch in batches {
                let entries: Vec<_> = batch.iter().map(|(n, value)| (key(*n), vec![*value])).collect();
                let (root, update) = insert(&state, state.changes, entries.clone()).unwrap();
                let added = keys_added(&update);
                let (root_alone, update_alone) = insert_one_by_one(&state, entries.clone());
                prop_assert_eq!(root, root_alone);
                prop_assert_eq!(update.node_batch, update_alone.node_batch);
                prop_assert_eq!(update.stale_node_index_batch, update_alone.stale_node_index_batch);
                let fresh: BTreeSet<_> = batch.iter().map(|(n, _)| *n)
                    .filter(|n| !state.contains(key(*n)))
                    .collect();
                prop_assert!(batch.is_empty() || added == fresh.len());
                prop_assert_eq!(state.insert(entries).unwrap(), root);
            }
        }

        #[test]
        fn p4_absence_is_shown_exactly_for_what_is_absent(
            batches in prop::collection::vec(prop::collection::btree_set(0_u32..400, 1..40), 1..6),
            asked in 0_u32..400,
        ) {
            let mut state = MemoryState::default();
            let mut root = StateRoot::EMPTY;
            for batch in &batches {
                let fresh: Vec<_> = batch.iter().filter(|n| !state.contains(key(**n))).collect();
                if !fresh.is_empty() {
                    root = state.insert(fresh.into_iter().map(|n| (key(*n), vec![1]))).unwrap();
                }
            }
            let used = batches.iter().any(|batch| batch.contains(&asked));
            match state.prove_absent(key(asked)) {
                Ok(proof) => {
                    prop_assert!(!used);
                    prop_assert_eq!(proof.verify_absent(root, key(asked)), Ok(()));
                    let used_key = key(*batches[0].first().unwrap());
                    prop_assert!(proof.verify_absent(root, used_key).is_err());
                    prop_assert!(proof.verify_absent(StateRoot(Digest([9; 32])), key(asked)).is_err());
                }
                Err(error) => {
                    prop_assert!(used);
                    prop_assert_eq!(error, StateError::NotShownAbsent);
                }
            }
        }
    }
}
