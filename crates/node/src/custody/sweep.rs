//! Sweeping: blobs that no version names go, slowly, in the background.
//!
//! A write puts its blob before its row, so what a crash between the two leaves is named by nobody. What is younger than
//! an hour is left alone, for its write may be under way; so is everything as soon as one row cannot be opened, since
//! nobody knows what it names.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::TryStreamExt as _;
use vault::blob::BlobId;

use super::CustodyError;
use super::keys::Keys;
use super::payload::Payloads;
use super::rows::VersionRow;
use super::store::{Store, Table};

/// Of a start more important things are asked first.
const AFTER_START: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_hours(24);
const YOUNG: Duration = Duration::from_hours(1);
/// Blobs that one round looks at; of more it takes a share that differs from round to round.
const LOOKED_AT_MAX: usize = 100_000;
const DELETED_MAX: usize = 1_000;
/// Rows between two pauses.
const ROWS: usize = 64;
const PAUSE: Duration = Duration::from_millis(5);
/// Fewer orphans than this are swept even if they outnumber what is named.
const FEW: usize = 16;

/// Sweeps the blobs of one record store.
pub(super) struct Sweeper {
    pub(super) store: Arc<Store>,
    pub(super) keys: Arc<Keys>,
    pub(super) payloads: Payloads,
}

/// What a round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Swept {
    /// Blobs that were looked at.
    pub(super) looked_at: usize,
    /// Blobs that nobody named, and that are gone.
    pub(super) deleted: usize,
    /// Blobs that nobody names, and that are left.
    pub(super) left: usize,
}

impl Sweeper {
    pub(super) fn new(store: &Arc<Store>, keys: &Arc<Keys>, payloads: &Payloads) -> Self {
        Self {
            store: Arc::clone(store),
            keys: Arc::clone(keys),
            payloads: payloads.clone(),
        }
    }

    pub(super) async fn run(self) {
        tokio::time::sleep(AFTER_START).await;
        loop {
            match SystemTime::now().checked_sub(YOUNG) {
                Some(before) => self.report(before).await,
                None => tracing::warn!("the clock tells no time: nothing is swept"),
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn report(&self, before: SystemTime) {
        match self.sweep(before).await {
            Ok(Swept {
                deleted: 0,
                left: 0,
                ..
            }) => {}
            Ok(Swept {
                deleted, left: 0, ..
            }) => {
                tracing::info!(deleted, "payloads of writes that were cut off are swept");
            }
            Ok(Swept { deleted, left, .. }) => tracing::warn!(
                deleted,
                left,
                "payloads that no record names are left: run `careledger verify --self` if the number does not fall"
            ),
            Err(error) => {
                tracing::warn!(%error, "payloads that no record names are not swept today")
            }
        }
    }

    /// Sweeps what was written before `before`.
    pub(super) async fn sweep(&self, before: SystemTime) -> Result<Swept, CustodyError> {
        let mut unnamed = self.old(before).await?;
        // What is under way now may be named only after its row was passed by.
        for id in self.payloads.under_way() {
            unnamed.remove(&id);
        }
        let looked_at = unnamed.len();
        self.strike_named(&mut unnamed).await?;
        let orphans = unnamed.len();
        let mut swept = Swept {
            looked_at,
            deleted: 0,
            left: orphans,
        };
        // That most payloads are named by nobody is what a lost or exchanged record store looks like.
        if orphans > FEW.max(looked_at.saturating_sub(orphans)) {
            return Ok(swept);
        }
        for id in unnamed.into_iter().take(DELETED_MAX) {
            self.payloads.sweep(id).await?;
            swept.deleted += 1;
            swept.left -= 1;
            tokio::time::sleep(PAUSE).await;
        }
        self.payloads.sweep_leftovers(before).await?;
        Ok(swept)
    }

    /// Blobs that were written before `before`: all, or an even share of them.
    async fn old(&self, before: SystemTime) -> Result<BTreeSet<BlobId>, CustodyError> {
        let [turn] = super::keys::random::<1>();
        let mut share = 0;
        let mut old = BTreeSet::new();
        let mut entries = std::pin::pin!(self.payloads.entries());
        while let Some(entry) = entries.try_next().await? {
            if entry.written_at >= before || !is_in(share, turn, entry.id) {
                continue;
            }
            old.insert(entry.id);
            while old.len() > LOOKED_AT_MAX {
                share = share << 1 | 1;
                old.retain(|id| is_in(share, turn, *id));
            }
        }
        Ok(old)
    }

    async fn strike_named(&self, unnamed: &mut BTreeSet<BlobId>) -> Result<(), CustodyError> {
        for (number, row) in self.store.scan(Table::Versions, &[]).enumerate() {
            if unnamed.is_empty() {
                return Ok(());
            }
            let (key, row) = row?;
            if let Some(id) = self.named(&key, &row)? {
                unnamed.remove(&id);
            }
            if number % ROWS == ROWS - 1 {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    /// The blob that a version names.
    fn named(&self, key: &[u8], row: &[u8]) -> Result<Option<BlobId>, CustodyError> {
        let damaged = |what: &str| CustodyError::Storage(what.to_owned());
        let parts = key.split_first_chunk::<16>();
        let (document, version) = parts.ok_or_else(|| damaged("a version has another key"))?;
        let version = version.try_into().map(u64::from_be_bytes);
        let version = version.map_err(|_| damaged("a version has another key"))?;
        let Some(erase) = self.keys.erase_key(&self.store, document, version)? else {
            // It may be erased at this moment.
            return match self.store.get(Table::Versions, key)? {
                Some(_) => Err(damaged("a version has no erase key")),
                None => Ok(None),
            };
        };
        let row: VersionRow = erase.open(Table::Versions, key, row)?;
        let id = row.payload.locator().map(str::parse).transpose();
        id.map_err(|_| damaged("a row names no blob"))
    }
}

/// Whether a name, which is random, is in the share of this turn.
fn is_in(share: u8, turn: u8, id: BlobId) -> bool {
    (id.as_bytes()[15] ^ turn) & share == 0
}
