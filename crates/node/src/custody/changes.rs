//! The change feed: every version that was appended, numbered in the order in which the writer appended it.
//!
//! A row is written in the batch that holds its version, so feed and versions agree after any crash. Numbers start at 1
//! and have no gaps.

use interop::fhir::ResourceType;
use ledger::codec;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::keys::Keys;
use super::rows::{
    ChangeRow, DocumentKey, Head, RowKind, SubjectId, VersionRow, type_of, version_key,
};
use super::store::{Store, Table, Transaction, sequence};
use super::{Custody, CustodyError};

/// The row that says that the feed holds all versions that were there before it.
pub(super) const COMPLETE: u64 = 0;
/// Rows of the feed that are put into one batch when it is filled.
const FILLED_AT_ONCE: usize = 10_000;

/// What a change did to its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The version has content.
    Written,
    /// The version deletes the document.
    Deleted,
    /// The version says that those before it were erased.
    Erased,
}

/// One version, as the feed names it. Whoever presents it decides first, as for a read.
#[derive(Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its number in the feed: from 1, without gaps.
    pub number: u64,
    /// The type.
    pub resource_type: ResourceType,
    /// The logical id.
    pub id: String,
    /// The version.
    pub version: u64,
    /// What it did.
    pub effect: Effect,
    /// FHIR `meta.lastUpdated`, milliseconds since 1970.
    pub recorded_at_ms: u64,
    pub(crate) document: DocumentKey,
    pub(crate) subject: SubjectId,
}

impl std::fmt::Debug for Changed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changed")
            .field("number", &self.number)
            .field("effect", &self.effect)
            .finish_non_exhaustive()
    }
}

impl Custody {
    /// The changes after number `after`, the oldest first, `limit` at most.
    pub fn changes(&self, after: u64, limit: usize) -> Result<Vec<Changed>, CustodyError> {
        let first = after.saturating_add(1);
        let rows = self.0.store.scan_from(Table::Changes, first).take(limit);
        let keys = &self.0.home.keys;
        rows.map(|row| {
            let (key, row) = row?;
            changed(&key, keys.open_row(Table::Changes, &key, &row)?)
        })
        .collect()
    }

    /// The number of the newest change; 0 before the first one.
    pub fn newest_change(&self) -> u64 {
        *self.0.store.changes().borrow()
    }

    /// Tells the number of the newest change, once it is durable.
    pub fn watch_changes(&self) -> watch::Receiver<u64> {
        self.0.store.changes()
    }
}

/// Puts a version into the feed.
pub(super) fn note(
    keys: &Keys,
    transaction: &mut Transaction<'_>,
    document: DocumentKey,
    head: &Head,
    erases: bool,
) {
    let key = transaction.next_change().to_be_bytes();
    let kind = match (erases, head.deleted) {
        (true, _) => RowKind::Erased,
        (false, true) => RowKind::Deleted,
        (false, false) => RowKind::Written,
    };
    let row = ChangeRow {
        resource_type: head.resource_type.clone(),
        id: head.id.clone(),
        document,
        version: head.version,
        kind,
        subject: head.subject,
        recorded_at: head.recorded_at,
    };
    keys.put(transaction, Table::Changes, &key, &row);
}

/// Fills the feed of a store that was written before there was one, in the order of time.
pub(super) fn fill(store: &Store, keys: &Keys) -> Result<(), CustodyError> {
    let complete = COMPLETE.to_be_bytes();
    if store.get(Table::Changes, &complete)?.is_some() {
        return Ok(());
    }
    // What a fill that was interrupted left.
    let stale = store.scan(Table::Changes, &[]);
    let stale = stale.map(|row| row.map(|(key, _)| (key, None)));
    store.fill_changes(stale.collect::<Result<Vec<_>, _>>()?)?;
    let mut rows = Vec::new();
    for head in store.scan(Table::Heads, &[]) {
        let (key, head) = head?;
        // What is damaged is found by the inspection; the others are in the feed.
        if let Ok(head) = keys.open_row(Table::Heads, &key, &head) {
            versions_of(store, keys, &head, &mut rows);
        }
    }
    rows.sort_by_key(|row| (row.recorded_at, row.document, row.version));
    let numbered: Vec<_> = (1_u64..).zip(rows).collect();
    for some in numbered.chunks(FILLED_AT_ONCE) {
        store.fill_changes(some.iter().map(|(number, row)| {
            let key = number.to_be_bytes();
            let row = Zeroizing::new(codec::encode(row));
            let sealed = keys.seal_row(Table::Changes, &key, &row);
            (key.to_vec(), Some(sealed))
        }))?;
    }
    store.fill_changes([(complete.to_vec(), Some(vec![1]))])
}

fn versions_of(store: &Store, keys: &Keys, head: &Head, rows: &mut Vec<ChangeRow>) {
    let document = keys.document(&head.resource_type, &head.id);
    let mut follows_gap = false;
    for version in 1..=head.version {
        let key = version_key(&document, version);
        let erase = keys.erase_key(store, &document, version).ok().flatten();
        let row = store.get(Table::Versions, &key).ok().flatten();
        let row: Option<VersionRow> = erase
            .zip(row)
            .and_then(|(erase, row)| erase.open(Table::Versions, &key, &row).ok());
        let Some(row) = row else {
            follows_gap = true;
            continue;
        };
        let kind = match (row.facts.deleted, follows_gap) {
            (true, true) => RowKind::Erased,
            (true, false) => RowKind::Deleted,
            (false, _) => RowKind::Written,
        };
        follows_gap = false;
        rows.push(ChangeRow {
            resource_type: head.resource_type.clone(),
            id: head.id.clone(),
            document,
            version,
            kind,
            subject: head.subject,
            recorded_at: row.facts.recorded_at,
        });
    }
}

/// A row of the feed by its key.
fn changed(key: &[u8], row: ChangeRow) -> Result<Changed, CustodyError> {
    Ok(Changed {
        number: sequence(key)?,
        resource_type: type_of(&row.resource_type)?,
        id: row.id,
        version: row.version,
        effect: match row.kind {
            RowKind::Written => Effect::Written,
            RowKind::Deleted => Effect::Deleted,
            RowKind::Erased => Effect::Erased,
        },
        recorded_at_ms: row.recorded_at,
        document: row.document,
        subject: row.subject,
    })
}
