//! Replay: records that were put back from a backup lose again what was erased after it, before anybody reads them.
//!
//! The ledger is the list of what was erased. Each erasure has a number in a stream of this member's own, and each
//! erased version a mark that only this member can derive. If the ledger has the number after the last one known here,
//! these records are older than the ledger, and every version's mark is looked up.

use std::sync::{Arc, Weak};

use super::begin::{Doomed, DoomedVersion, doomed_version};
use super::rows::LAST;
use crate::custody::keys::random_tag;
use crate::custody::rows::{Head, version_key};
use crate::custody::store::Table;
use crate::custody::{Custody, CustodyError, Inner};

/// Whether records may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayState {
    /// They may.
    Serving,
    /// They were put back from a backup, and the ledger here is not as late as this start yet.
    Waiting,
    /// What was erased after the backup goes again.
    Replaying,
}

/// Documents between two looks at whether others want to run.
const STEP: usize = 64;

impl Custody {
    /// Whether records may be read, or wait until what was erased after a backup is erased again.
    pub fn replay_state(&self) -> ReplayState {
        *self.0.erasing.replay.borrow()
    }

    /// Waits until records may be read.
    pub async fn until_serving(&self) {
        let mut states = self.0.erasing.replay.subscribe();
        // The sender lives as long as the records.
        let _serving = states
            .wait_for(|state| *state == ReplayState::Serving)
            .await;
    }

    /// Fails while it is not known what was erased after a backup.
    pub(in crate::custody) fn must_serve(&self) -> Result<(), CustodyError> {
        match self.replay_state() {
            ReplayState::Serving => Ok(()),
            ReplayState::Waiting | ReplayState::Replaying => Err(CustodyError::Unavailable {
                what: "the list of what was erased after the backup",
            }),
        }
    }

    /// Begins to look whether the ledger knows of erasures that these records do not.
    pub(in crate::custody) fn watch_for_replay(&self) {
        let was_restored = self
            .0
            .options
            .restored
            .as_ref()
            .is_some_and(|mark| mark.exists());
        if was_restored {
            self.0.erasing.replay.send_replace(ReplayState::Waiting);
        } else if !matches!(self.is_older_than_ledger(), Ok(false)) {
            self.0.erasing.replay.send_replace(ReplayState::Replaying);
        }
        let opened_at = (self.0.options.clock)();
        tokio::spawn(watch(Arc::downgrade(&self.0), opened_at));
    }

    /// Whether the ledger has an erasure after the last one known here.
    fn is_older_than_ledger(&self) -> Result<bool, CustodyError> {
        let last = self.last_erasure()?;
        let next = self.0.home.keys.erasures.tag(last.saturating_add(1));
        let is_used = self.0.anchor.locate(&self.0.home.member, next)?.is_some();
        // One may have begun between the two looks.
        Ok(is_used && self.last_erasure()? == last)
    }

    fn last_erasure(&self) -> Result<u64, CustodyError> {
        let last = self.0.home.keys.get(&self.0.store, Table::Erasures, LAST)?;
        Ok(last.unwrap_or(0))
    }

    /// Erases again what the ledger says was erased.
    async fn replay(&self) -> Result<(), CustodyError> {
        let heads = self.0.store.scan(Table::Heads, &[]);
        let heads = heads.map(|row| row.map(|(key, _)| key));
        let heads: Vec<Vec<u8>> = heads.collect::<Result<_, _>>()?;
        let mut again = 0_usize;
        for (number, key) in heads.iter().enumerate() {
            let head: Option<Head> = self.0.home.keys.get(&self.0.store, Table::Heads, key)?;
            if let Some(doomed) = head.map(|head| self.marked(head)).transpose()?.flatten() {
                again = again.saturating_add(doomed.versions.len());
                self.erase_again(doomed).await?;
            }
            if number % STEP == STEP - 1 {
                tokio::task::yield_now().await;
            }
        }
        if again > 0 {
            self.purge_keys().await?;
        }
        self.note_last_erasure().await?;
        tracing::info!(
            versions = again,
            "what was erased after the backup is erased again"
        );
        Ok(())
    }

    /// The versions of a document that the ledger says were erased.
    fn marked(&self, head: Head) -> Result<Option<Doomed>, CustodyError> {
        let keyless = self.keyless(&head)?;
        let Some(doomed) = self.erasable(head)? else {
            return Ok(keyless);
        };
        let is_marked = |one: &DoomedVersion| {
            let mark = self.0.home.keys.erasure_mark(one.tags[1]);
            let place = self.0.anchor.locate(&self.0.home.member, mark);
            Ok::<_, CustodyError>(place?.is_some())
        };
        let mut versions = keyless.map_or_else(Vec::new, |keyless| keyless.versions);
        for one in doomed.versions {
            if is_marked(&one)? {
                versions.push(one);
            }
        }
        let takes_current = versions
            .iter()
            .any(|one| one.version == doomed.head.version);
        Ok((!versions.is_empty()).then_some(Doomed {
            versions,
            is_whole: takes_current,
            ..doomed
        }))
    }

    /// The versions of a document whose keys the key table has not, though their rows are here: they were erased between
    /// the backup of the rows and that of the keys.
    fn keyless(&self, head: &Head) -> Result<Option<Doomed>, CustodyError> {
        let document = self.0.home.keys.document(&head.resource_type, &head.id);
        let mut versions = Vec::new();
        for version in 1..=head.version {
            let key = version_key(&document, version);
            let has_row = self.0.store.get(Table::Versions, &key)?.is_some();
            if has_row && self.0.store.get(Table::EraseKeys, &key)?.is_none() {
                versions.push(DoomedVersion {
                    version,
                    tags: [random_tag(), random_tag()],
                    blob: None,
                });
            }
        }
        if versions.is_empty() {
            return Ok(None);
        }
        Ok(Some(Doomed {
            subject: self.0.subjects.load(&head.subject)?,
            is_whole: versions.iter().any(|one| one.version == head.version),
            head: head.clone(),
            document,
            versions,
        }))
    }

    /// A document with all its versions, as if all were to go; `None` if none has content.
    pub(super) fn erasable(&self, head: Head) -> Result<Option<Doomed>, CustodyError> {
        let subject = self.0.subjects.load(&head.subject)?;
        let document = self.0.home.keys.document(&head.resource_type, &head.id);
        let (mut versions, mut has_content) = (Vec::new(), false);
        for version in 1..=head.version {
            if let Some(loaded) = self.load(&document, version)? {
                has_content |= !loaded.row.facts.deleted;
                versions.push(doomed_version(&head, &subject, version, &loaded)?);
            }
        }
        Ok(has_content.then_some(Doomed {
            head,
            subject,
            document,
            versions,
            is_whole: true,
        }))
    }

    async fn erase_again(&self, doomed: Doomed) -> Result<(), CustodyError> {
        let blobs = doomed.versions.iter().filter_map(|one| one.blob.clone());
        let blobs: Vec<String> = blobs.collect();
        let (home, now) = (self.0.home.clone(), (self.0.options.clock)());
        let audit = self.change_found("system");
        self.0
            .store
            .transact(move |transaction| {
                home.append_tombstone(transaction, &doomed, ("system", audit), now)?;
                doomed.remove(transaction);
                Ok(())
            })
            .await?;
        for locator in blobs {
            self.0.payloads.delete(&locator).await?;
        }
        Ok(())
    }

    async fn note_last_erasure(&self) -> Result<(), CustodyError> {
        let mut last = self.last_erasure()?;
        let (home, anchor) = (self.0.home.clone(), &self.0.anchor);
        let stream = &home.keys.erasures;
        while anchor
            .locate(&home.member, stream.tag(last.saturating_add(1)))?
            .is_some()
        {
            last = last.saturating_add(1);
        }
        let home = self.0.home.clone();
        self.0
            .store
            .transact(move |transaction| {
                home.keys.put(transaction, Table::Erasures, LAST, &last);
                Ok(())
            })
            .await
    }
}

/// Replays whenever the ledger turns out to know more.
async fn watch(records: Weak<Inner>, opened_at: u64) {
    let Some(mut tips) = records.upgrade().map(|inner| inner.anchor.subscribe()) else {
        return;
    };
    loop {
        let time = tips.borrow_and_update().time.0;
        let Some(custody) = records.upgrade().map(Custody) else {
            return;
        };
        custody.replay_if_due(time >= opened_at).await;
        drop(custody);
        if tips.changed().await.is_err() {
            return;
        }
    }
}

impl Custody {
    async fn replay_if_due(&self, is_as_late: bool) {
        let state = &self.0.erasing.replay;
        let is_due = match self.replay_state() {
            ReplayState::Waiting => is_as_late,
            ReplayState::Replaying => true,
            ReplayState::Serving => !matches!(self.is_older_than_ledger(), Ok(false)),
        };
        if !is_due {
            return;
        }
        if self.replay_state() == ReplayState::Serving {
            tracing::warn!(
                "these records are older than the ledger: nothing is read until what was erased since is erased again"
            );
        }
        state.send_replace(ReplayState::Replaying);
        match self.replay().await {
            Ok(()) => {
                self.forget_restore();
                state.send_replace(ReplayState::Serving);
            }
            Err(error) => {
                tracing::error!(%error, "what was erased after the backup is not erased again yet")
            }
        }
    }

    fn forget_restore(&self) {
        if let Some(mark) = &self.0.options.restored
            && mark.exists()
            && let Err(error) = std::fs::remove_file(mark)
        {
            tracing::warn!(%error, "the mark of a restore stays: the next start replays erasures again");
        }
    }
}
