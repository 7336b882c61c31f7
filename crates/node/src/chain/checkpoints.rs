//! Checkpoints of the log, and the validators' signatures under them.
//!
//! Which blocks are checkpoints follows from the chain alone ([`is_due`]), so all validators sign the same sizes. A
//! checkpoint with the signatures of a quorum is published; its signatures make the receipts of all that it covers.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contracts::membership::Registry;
use ledger::block::Header;
use ledger::checkpoint::{
    Checkpoint, Cosignature, CosignerKeys, KeyError, SignedCheckpoint, is_due,
};
use ledger::codec;
use ledger::genesis::ValidatorSet;
use ledger::ids::{BlockTime, Digest, Height, MemberName, NetworkId};
use ledger::scitt::RootSignature;
use minicbor::{Decode, Encode};
use tokio::sync::watch;

use super::rows::{Keyspace, Row, RowsError};
use super::store::{Store, StoreError, Tip, decode, key};

const PUBLISHED: &[u8] = b"checkpoint";
const WITNESSED: &[u8] = b"witnessed";
const CONTRADICTION: &str = "contradiction/";

/// Checkpoints that still gather signatures.
const OPEN_MAX: usize = 64;

/// A checkpoint as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct StoredCheckpoint {
    #[n(0)]
    pub(super) height: Height,
    #[n(1)]
    pub(super) time: BlockTime,
    #[n(2)]
    pub(super) root: Digest,
    /// Empty until a quorum has signed.
    #[n(3)]
    pub(super) signatures: Vec<RootSignature>,
}

/// The newest checkpoint of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Newest {
    pub(super) size: u64,
    pub(super) root: Digest,
}

/// What gathers signatures.
pub(super) struct Checkpoints {
    network: NetworkId,
    state: Mutex<State>,
    newest: watch::Sender<Option<Newest>>,
}

/// The validators of an epoch, and what they sign checkpoints with.
struct Cosigners {
    validators: ValidatorSet,
    keys: BTreeMap<MemberName, CosignerKeys>,
}

struct State {
    cosigners: Arc<Cosigners>,
    last: Option<(u64, BlockTime)>,
    open: BTreeMap<u64, Open>,
    /// The newest of each validator that is ahead of this node.
    early: BTreeMap<MemberName, Cosignature>,
    published: Option<Vec<u8>>,
}

struct Open {
    row: StoredCheckpoint,
    cosigners: Arc<Cosigners>,
    signed: BTreeMap<MemberName, Cosignature>,
    /// Some validator said that it lacks signatures.
    is_wanted: bool,
}

/// How far the gathering of signatures is.
pub(super) struct Progress {
    /// What this node has signed.
    pub(super) own: Option<Cosignature>,
    /// Whether a quorum has signed.
    pub(super) has_quorum: bool,
    /// Whether this node's signatures may be missing somewhere.
    pub(super) is_missed: bool,
}

/// What became of a validator's signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// They count, or will.
    Kept,
    /// They are there already, or of a checkpoint that gathers no more.
    Known,
    /// The validator signed another log than the final one.
    Contradiction,
}

impl Checkpoints {
    pub(super) fn open(
        network: NetworkId,
        registry: &Registry,
        tip: &Tip,
        store: &Store,
    ) -> Result<Self, CheckpointsError> {
        let last = store.last_checkpoint()?;
        let state = State {
            cosigners: Arc::new(Cosigners::at(network, registry, tip.height)?),
            last: last.as_ref().map(|(size, row)| (*size, row.time)),
            published: store.published_checkpoint()?,
            open: BTreeMap::new(),
            early: BTreeMap::new(),
        };
        let checkpoints = Self {
            network,
            state: Mutex::new(state),
            newest: watch::Sender::new(None),
        };
        if let Some((size, row)) = last {
            checkpoints.gather(size, row, registry);
        }
        Ok(checkpoints)
    }

    /// The checkpoint that the block with this header is, if it is one.
    pub(super) fn due(&self, header: &Header) -> Option<StoredCheckpoint> {
        is_due(self.state().last, header).then(|| StoredCheckpoint {
            height: header.height,
            time: header.time,
            root: header.log_root,
            signatures: Vec::new(),
        })
    }

    /// Starts to gather signatures; gives those that came before this node had the block.
    pub(super) fn gather(
        &self,
        size: u64,
        row: StoredCheckpoint,
        registry: &Registry,
    ) -> Vec<Cosignature> {
        let newest = Newest {
            size,
            root: row.root,
        };
        let mut state = self.state();
        state.follow(self.network, registry, row.height);
        state.last = Some((size, row.time));
        let open = Open {
            row,
            cosigners: Arc::clone(&state.cosigners),
            signed: BTreeMap::new(),
            is_wanted: false,
        };
        state.open.insert(size, open);
        while state.open.len() > OPEN_MAX {
            state.open.pop_first();
        }
        let (ready, early) = std::mem::take(&mut state.early)
            .into_iter()
            .partition(|(_, cosignature)| cosignature.size <= size);
        state.early = early;
        drop(state);
        self.newest.send_replace(Some(newest));
        let ready: BTreeMap<MemberName, Cosignature> = ready;
        ready.into_values().collect()
    }

    /// Follows the newest checkpoint.
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Newest>> {
        self.newest.subscribe()
    }

    /// How far the checkpoint of `size` is; what was wanted of it is taken as sent with this.
    pub(super) fn progress(&self, member: &MemberName, size: u64) -> Option<Progress> {
        let mut state = self.state();
        let open = state.open.get_mut(&size)?;
        let is_wanted = std::mem::take(&mut open.is_wanted);
        Some(Progress {
            own: open.signed.get(member).cloned(),
            has_quorum: open.signed.len() >= open.cosigners.validators.quorum(),
            is_missed: is_wanted || open.signed.len() < open.cosigners.keys.len(),
        })
    }

    /// Some validator lacks signatures under the checkpoint of `size`.
    pub(super) fn want(&self, size: u64) {
        if let Some(open) = self.state().open.get_mut(&size) {
            open.is_wanted = true;
        }
    }

    /// Whether the signatures are there already.
    pub(super) fn knows(&self, cosignature: &Cosignature) -> bool {
        let state = self.state();
        let open = state.open.get(&cosignature.size);
        open.is_some_and(|open| open.signed.get(&cosignature.receipt.member) == Some(cosignature))
    }

    /// What `member` signs the checkpoint of `size` with, if it validates.
    pub(super) fn keys(&self, member: &MemberName, size: u64) -> Option<CosignerKeys> {
        let state = self.state();
        let open = state.open.get(&size);
        let cosigners = open.map_or(&state.cosigners, |open| &open.cosigners);
        cosigners.keys.get(member).cloned()
    }

    /// The time of the block that made the checkpoint of `size` due, while signatures under it are gathered.
    pub(super) fn due_at(&self, size: u64) -> Option<BlockTime> {
        self.state().open.get(&size).map(|open| open.row.time)
    }

    /// The newest checkpoint with a quorum's signatures, as a signed note.
    pub(super) fn published(&self) -> Option<Vec<u8>> {
        self.state().published.clone()
    }

    /// Takes verified signatures of a validator.
    pub(super) fn take(
        &self,
        cosignature: &Cosignature,
        store: &Store,
    ) -> Result<Taken, StoreError> {
        let member = cosignature.receipt.member.clone();
        let mut state = self.state();
        if state.last.is_none_or(|(size, _)| size < cosignature.size) {
            let known = state.early.get(&member);
            if known.is_none_or(|known| known.size < cosignature.size) {
                state.early.insert(member, cosignature.clone());
            }
            return Ok(Taken::Kept);
        }
        let size = cosignature.size;
        let Some(open) = state.open.get_mut(&size) else {
            return Ok(Taken::Known);
        };
        if open.row.root != cosignature.root {
            return Ok(Taken::Contradiction);
        }
        if open.signed.insert(member, cosignature.clone()).is_some() {
            return Ok(Taken::Known);
        }
        if open.signed.len() < open.cosigners.validators.quorum() {
            return Ok(Taken::Kept);
        }
        let signatures = open.signed.values().map(|one| one.receipt.clone());
        open.row.signatures = signatures.collect();
        let (row, note) = (open.row.clone(), self.note(size, open));
        let is_newest = state.last.is_some_and(|(last, _)| last == size);
        store.cosigned(size, &row, note.as_deref().filter(|_| is_newest))?;
        if is_newest && note.is_some() {
            state.published = note;
        }
        Ok(Taken::Kept)
    }

    fn note(&self, size: u64, open: &Open) -> Option<Vec<u8>> {
        let checkpoint = Checkpoint::of(self.network, size, open.row.root);
        let mut note = SignedCheckpoint::unsigned(checkpoint);
        for (member, cosignature) in &open.signed {
            cosignature.add_to(&mut note, open.cosigners.keys.get(member)?);
        }
        note.encode().ok()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cosigners {
    /// The validators of the epoch of `height`.
    fn at(network: NetworkId, registry: &Registry, height: Height) -> Result<Self, KeyError> {
        let epoch = registry.rules().epoch_of(height);
        let validators = registry.validators(epoch);
        let signatories = registry.signatories(epoch);
        let keys = signatories
            .into_iter()
            .map(|one| Ok((one.member.clone(), CosignerKeys::of(network, &one)?)));
        Ok(Self {
            validators: validators.clone(),
            keys: keys.collect::<Result<_, KeyError>>()?,
        })
    }
}

impl State {
    /// Has the validators of the epoch of `height` sign from now on.
    fn follow(&mut self, network: NetworkId, registry: &Registry, height: Height) {
        let epoch = registry.rules().epoch_of(height);
        if *registry.validators(epoch) == self.cosigners.validators {
            return;
        }
        match Cosigners::at(network, registry, height) {
            Ok(cosigners) => self.cosigners = Arc::new(cosigners),
            // The contract of governance has refused such keys.
            Err(error) => tracing::error!(%error, "a validator's cosigning key cannot be used"),
        }
    }
}

/// Why checkpoints cannot be continued.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckpointsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a validator's cosigning key: {0}")]
    Key(#[from] KeyError),
}

impl Store {
    /// The newest checkpoint, by its size.
    fn last_checkpoint(&self) -> Result<Option<(u64, StoredCheckpoint)>, StoreError> {
        let all = (Bound::Unbounded, Bound::Unbounded);
        let last = self
            .0
            .range(Keyspace::Checkpoints, all.0, all.1)
            .next_back();
        last.map(checkpoint_row).transpose()
    }

    /// Checkpoints of at least `size`, from the smallest.
    pub(super) fn checkpoints_from(
        &self,
        size: u64,
    ) -> impl Iterator<Item = Result<(u64, StoredCheckpoint), StoreError>> {
        let from = key(size);
        let rows = self.0.range(
            Keyspace::Checkpoints,
            Bound::Included(&from),
            Bound::Unbounded,
        );
        rows.map(checkpoint_row)
    }

    /// Checkpoints of at most `size`, from the largest.
    pub(super) fn checkpoints_until(
        &self,
        size: u64,
    ) -> impl Iterator<Item = Result<(u64, StoredCheckpoint), StoreError>> {
        let until = key(size);
        let rows = self.0.range(
            Keyspace::Checkpoints,
            Bound::Unbounded,
            Bound::Included(&until),
        );
        rows.rev().map(checkpoint_row)
    }

    /// The checkpoint of `size`.
    pub(super) fn checkpoint(&self, size: u64) -> Result<Option<StoredCheckpoint>, StoreError> {
        let row = self.0.get(Keyspace::Checkpoints, &key(size))?;
        row.map(|row| decode("checkpoint", &row)).transpose()
    }

    /// Keeps a quorum's signatures, and the note that publishes them.
    fn cosigned(
        &self,
        size: u64,
        row: &StoredCheckpoint,
        note: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let mut batch = self.0.batch();
        batch.insert(Keyspace::Checkpoints, &key(size), &codec::encode(row));
        if let Some(note) = note {
            batch.insert(Keyspace::Tip, PUBLISHED, note);
        }
        Ok(batch.commit(false)?)
    }

    fn published_checkpoint(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let note = self.0.get(Keyspace::Tip, PUBLISHED)?;
        Ok(note.map(|note| note.to_vec()))
    }

    pub(super) fn witnessed_checkpoint(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let note = self.0.get(Keyspace::Tip, WITNESSED)?;
        Ok(note.map(|note| note.to_vec()))
    }

    pub(super) fn keep_witnessed_checkpoint(&self, note: &[u8]) -> Result<(), StoreError> {
        let mut batch = self.0.batch();
        batch.insert(Keyspace::Tip, WITNESSED, note);
        Ok(batch.commit(false)?)
    }

    /// Keeps what convicts a validator.
    pub(super) fn keep_contradiction(&self, signed: &Cosignature) -> Result<(), StoreError> {
        let name = format!("{CONTRADICTION}{}", signed.receipt.member);
        let mut batch = self.0.batch();
        batch.insert(Keyspace::Tip, name.as_bytes(), &codec::encode(signed));
        Ok(batch.commit(true)?)
    }

    /// What convicts validators.
    pub(super) fn contradictions(&self) -> Result<Vec<Cosignature>, StoreError> {
        let from = CONTRADICTION.as_bytes();
        let rows = self
            .0
            .range(Keyspace::Tip, Bound::Included(from), Bound::Unbounded);
        rows.map(|row| Ok(row?))
            .take_while(|row: &Result<(Row, Row), StoreError>| {
                row.as_ref().is_ok_and(|(name, _)| name.starts_with(from)) || row.is_err()
            })
            .map(|row| decode("contradiction", &row?.1))
            .collect()
    }
}

fn checkpoint_row(
    row: Result<(Row, Row), RowsError>,
) -> Result<(u64, StoredCheckpoint), StoreError> {
    let (size, row) = row?;
    let size = size
        .first_chunk()
        .ok_or(StoreError::Damaged("checkpoint"))?;
    Ok((u64::from_be_bytes(*size), decode("checkpoint", &row)?))
}
