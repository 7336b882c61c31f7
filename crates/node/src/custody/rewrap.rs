//! Wrapping the erase keys anew, under the key of a new epoch, while everything else goes on.
//!
//! From the moment the node has the new key it wraps with it; the rows from before are wrapped again a few at a time, in
//! the order of their keys. Each transaction also notes where to go on: after a stop it does. Payloads are not touched.
//! When no row of an older epoch is left the table is rewritten, and whoever holds the older keys may destroy them.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use ledger::codec;
use minicbor::{Decode, Encode};
use vault::wrap::WrappingKey;

use super::keys::Keys;
use super::rows::decode;
use super::store::{Store, Table, Transaction};
use super::{Custody, CustodyError, Inner};

/// Erase keys in a transaction.
const STEP: usize = 256;
/// Beside the state of the index, in its table.
pub(super) const STATE_KEY: &[u8] = b"wrapping";

/// How far the erase keys are wrapped under the newest wrapping key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrappingProgress {
    /// The newest epoch.
    pub epoch: u32,
    /// Whether no erase key is wrapped under the key of an older epoch: those keys may be destroyed.
    pub is_complete: bool,
    /// Erase keys that were gone over since the node started.
    pub done: u64,
    /// Erase keys that there are, about.
    pub keys: u64,
}

/// What is known of it.
#[derive(Default)]
pub(crate) struct Rewrapping {
    /// The epoch under which every erase key is.
    complete: AtomicU32,
    running: AtomicBool,
    done: AtomicU64,
    keys: AtomicU64,
}

/// Where wrapping anew goes on.
#[derive(Clone, Encode, Decode)]
struct StateRow {
    #[n(0)]
    epoch: u32,
    /// Keys before it are done; `None` when all are.
    #[n(1)]
    next: Option<Next>,
    /// Whether this pass has wrapped anything: then another one follows.
    #[n(2)]
    has_wrapped: bool,
}

#[derive(Clone, Encode, Decode)]
#[cbor(transparent)]
struct Next(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>);

impl Rewrapping {
    /// Reads the state; the key store must have the key of the newest epoch that was ever used.
    pub(crate) fn read(store: &Store, keys: &Keys) -> Result<Self, CustodyError> {
        let state = state_of(store)?;
        let newest = keys.wrapping_epoch();
        if state.as_ref().is_some_and(|state| state.epoch > newest) {
            let lacking = "the key store lacks the wrapping key that the erase keys are under";
            return Err(CustodyError::Storage(lacking.to_owned()));
        }
        let is_empty = store.scan(Table::EraseKeys, &[]).next().is_none();
        let complete = match state {
            Some(state) if state.next.is_none() => state.epoch,
            None if is_empty => newest,
            None if newest == super::keys::WRAPPING_EPOCH => newest,
            _ => 0,
        };
        Ok(Self {
            complete: AtomicU32::new(complete),
            ..Self::default()
        })
    }
}

impl Custody {
    /// Wraps erase keys from now on under `next`, and those that there are, beside everything else. The key must be
    /// durable in the key store: what is wrapped under it opens with nothing else.
    pub async fn rewrap(&self, next: WrappingKey) -> Result<(), CustodyError> {
        let keys = &self.0.home.keys;
        let epoch = next.epoch();
        if epoch <= keys.wrapping_epoch() {
            return Ok(());
        }
        let state = StateRow {
            epoch,
            next: Some(Next(Vec::new())),
            has_wrapped: false,
        };
        let keys = Arc::clone(keys);
        // On the writer's thread: whatever is appended later is under the new key, and a crash before is one before.
        let put = move |transaction: &mut Transaction<'_>| {
            keys.wrap_under(next);
            transaction.put(Table::Indexing, STATE_KEY, codec::encode(&state));
            Ok(())
        };
        self.0.store.transact(put).await?;
        self.go_on_rewrapping();
        Ok(())
    }

    /// How far that is.
    pub fn wrapping(&self) -> WrappingProgress {
        let rewrapping = &self.0.rewrapping;
        let epoch = self.0.home.keys.wrapping_epoch();
        WrappingProgress {
            epoch,
            is_complete: rewrapping.complete.load(Ordering::Acquire) == epoch,
            done: rewrapping.done.load(Ordering::Relaxed),
            keys: rewrapping.keys.load(Ordering::Relaxed),
        }
    }

    /// Goes on where an earlier run was stopped.
    pub(super) fn go_on_rewrapping(&self) {
        let rewrapping = &self.0.rewrapping;
        if self.wrapping().is_complete || rewrapping.running.swap(true, Ordering::AcqRel) {
            return;
        }
        rewrapping.done.store(0, Ordering::Relaxed);
        let keys = self.0.store.about(Table::EraseKeys);
        rewrapping.keys.store(keys, Ordering::Relaxed);
        tokio::spawn(rewrap(Arc::downgrade(&self.0)));
    }

    /// Wraps the next keys; says whether there are more.
    async fn rewrap_some(&self) -> Result<bool, CustodyError> {
        let epoch = self.0.home.keys.wrapping_epoch();
        let state = state_of(&self.0.store)?.filter(|state| state.epoch == epoch);
        let (first, has_wrapped) = match state {
            Some(StateRow { next: None, .. }) => return Ok(false),
            Some(state) => (state.next.map(|next| next.0), state.has_wrapped),
            None => (None, false),
        };
        let view = self.0.store.view()?;
        let rows = view.scan_from(Table::EraseKeys, &first.unwrap_or_default());
        let mut rows: Vec<_> = rows.take(STEP + 1).collect::<Result<_, _>>()?;
        drop(view);
        let next = rows.get(STEP).map(|(key, _)| Next(key.to_vec()));
        rows.truncate(STEP);
        let done = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let keys = Arc::clone(&self.0.home.keys);
        let put = move |transaction: &mut Transaction<'_>| {
            let mut has_wrapped = has_wrapped;
            for (key, _) in &rows {
                has_wrapped |= rewrap_one(&keys, transaction, key)?;
            }
            let next = match next {
                // A row that was written while this pass began may lie before its place.
                None if has_wrapped => {
                    has_wrapped = false;
                    Some(Next(Vec::new()))
                }
                next => next,
            };
            let has_more = next.is_some();
            let state = StateRow {
                epoch,
                next,
                has_wrapped,
            };
            transaction.put(Table::Indexing, STATE_KEY, codec::encode(&state));
            Ok(has_more)
        };
        let has_more = self.0.store.transact(put).await?;
        self.0.rewrapping.done.fetch_add(done, Ordering::Relaxed);
        Ok(has_more)
    }
}

/// Wraps one erase key anew as the writer finds it: one that was destroyed meanwhile stays destroyed.
fn rewrap_one(
    keys: &Keys,
    transaction: &mut Transaction<'_>,
    key: &[u8],
) -> Result<bool, CustodyError> {
    let Some(wrapped) = transaction.get(Table::EraseKeys, key)? else {
        return Ok(false);
    };
    let Ok(place) = key.try_into() else {
        return Ok(false);
    };
    match keys.rewrapped(place, &wrapped) {
        Ok(Some(wrapped)) => {
            transaction.put(Table::EraseKeys, key, wrapped);
            Ok(true)
        }
        Ok(None) => Ok(false),
        // It opens with no key; the others are not to stay under the old one for its sake.
        Err(error) => {
            tracing::error!(%error, "an erase key cannot be wrapped anew");
            Ok(false)
        }
    }
}

/// Goes on until all are done or nobody holds the records any more.
async fn rewrap(records: Weak<Inner>) {
    loop {
        let Some(custody) = records.upgrade().map(Custody) else {
            return;
        };
        let rewrapping = &custody.0.rewrapping;
        let epoch = custody.0.home.keys.wrapping_epoch();
        let outcome = match custody.rewrap_some().await {
            Ok(true) => None,
            Ok(false) => Some(custody.0.store.purge(Table::EraseKeys)),
            Err(error) => Some(Err(error)),
        };
        match outcome {
            None => {}
            Some(Ok(())) => {
                rewrapping.complete.store(epoch, Ordering::Release);
                rewrapping.running.store(false, Ordering::Release);
                tracing::info!(
                    epoch,
                    "all erase keys are under the wrapping key of this epoch"
                );
                // Another key may have come while the table was rewritten.
                custody.go_on_rewrapping();
                return;
            }
            Some(Err(error)) => {
                rewrapping.running.store(false, Ordering::Release);
                tracing::error!(%error, "erase keys are not all wrapped anew: the next start goes on");
                return;
            }
        }
        drop(custody);
        tokio::task::yield_now().await;
    }
}

fn state_of(store: &Store) -> Result<Option<StateRow>, CustodyError> {
    let row = store.get(Table::Indexing, STATE_KEY)?;
    row.map(|row| decode(Table::Indexing.name(), &row))
        .transpose()
}
