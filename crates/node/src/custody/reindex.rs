//! Making the index anew: what search finds documents by, from their contents, while everything else goes on.
//!
//! It happens when rows were written under another form of the index, and when an operator asks for it. Documents are
//! taken in the order of their heads, a few in each transaction, which also notes where to go on: after a stop it does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use interop::fhir::search::index_format;
use ledger::codec;
use minicbor::{Decode, Encode};

use super::keys::EraseKey;
use super::postings::Posting;
use super::rows::{DocumentKey, Head, TermsRow, decode};
use super::search_rows::labelled;
use super::store::{Store, Table, Transaction};
use super::{Custody, CustodyError, Inner};

/// Documents in a transaction.
const STEP: usize = 64;
pub(super) const STATE_KEY: &[u8] = b"state";

/// How far the index is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexProgress {
    /// Whether it is being made anew.
    pub is_running: bool,
    /// Documents that are done.
    pub done: u64,
    /// Documents that there are, about.
    pub documents: u64,
}

/// What is known of the index.
#[derive(Default)]
pub(crate) struct Indexing {
    /// Whether every document has its postings.
    complete: AtomicBool,
    running: AtomicBool,
    /// The form under which the index is made.
    format: u64,
    done: AtomicU64,
    documents: AtomicU64,
}

/// Under which form the index is, and where making it anew goes on.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
struct StateRow {
    #[n(0)]
    format: u64,
    /// Documents before it are done; `None` when all are.
    #[n(1)]
    next: Option<Next>,
    /// Whether there was a whole index under this form before.
    #[n(2)]
    is_again: bool,
}

#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
struct Next(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>);

/// A document with its terms made anew.
struct Renewed {
    document: DocumentKey,
    head: Head,
    row: TermsRow,
    postings: Vec<Posting>,
    erase: EraseKey,
}

impl StateRow {
    fn is_whole(&self, format: u64) -> bool {
        self.format == format && (self.next.is_none() || self.is_again)
    }
}

impl Indexing {
    /// Reads the state; a store without documents has its index.
    pub(crate) fn read(store: &Store, format: u64) -> Result<Self, CustodyError> {
        let is_empty = store.scan(Table::Heads, &[]).next().is_none();
        let fresh = StateRow {
            format,
            next: None,
            is_again: false,
        };
        let state = state_of(store.get(Table::Indexing, STATE_KEY)?)?;
        if is_empty && state.as_ref() != Some(&fresh) {
            store.put_first(Table::Indexing, STATE_KEY, &codec::encode(&fresh))?;
        }
        let complete = is_empty || state.is_some_and(|state| state.is_whole(format));
        Ok(Self {
            complete: AtomicBool::new(complete),
            format,
            ..Self::default()
        })
    }

    /// Whether every document has its postings, with the words of everything or without.
    pub(crate) fn is_made(store: &Store) -> Result<bool, CustodyError> {
        let state = state_of(store.get(Table::Indexing, STATE_KEY)?)?;
        let formats = [false, true].map(index_format);
        let is_whole = |state: StateRow| formats.iter().any(|format| state.is_whole(*format));
        Ok(state.is_some_and(is_whole) || store.scan(Table::Heads, &[]).next().is_none())
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    pub(super) fn progress(&self) -> IndexProgress {
        IndexProgress {
            is_running: self.running.load(Ordering::Acquire),
            done: self.done.load(Ordering::Relaxed),
            documents: self.documents.load(Ordering::Relaxed),
        }
    }
}

impl Custody {
    /// Goes on where an earlier run was stopped, or begins if the index has another form.
    pub(super) fn go_on_indexing(&self) {
        let state = self.0.store.get(Table::Indexing, STATE_KEY);
        let is_done =
            |state: &StateRow| state.format == self.0.indexing.format && state.next.is_none();
        if matches!(state.and_then(state_of), Ok(Some(state)) if is_done(&state)) {
            return;
        }
        self.start_indexing();
    }

    pub(super) async fn make_index_anew(&self) -> Result<(), CustodyError> {
        if self.0.indexing.running.load(Ordering::Acquire) {
            return Ok(());
        }
        let state = StateRow {
            format: self.0.indexing.format,
            next: Some(Next(Vec::new())),
            is_again: self.0.indexing.is_complete(),
        };
        let put = move |transaction: &mut Transaction<'_>| {
            transaction.put(Table::Indexing, STATE_KEY, codec::encode(&state));
            Ok(())
        };
        self.0.store.transact(put).await?;
        self.start_indexing();
        Ok(())
    }

    fn start_indexing(&self) {
        let indexing = &self.0.indexing;
        if indexing.running.swap(true, Ordering::AcqRel) {
            return;
        }
        indexing.done.store(0, Ordering::Relaxed);
        let documents = self.0.store.about(Table::Heads);
        indexing.documents.store(documents, Ordering::Relaxed);
        tokio::spawn(index(Arc::downgrade(&self.0)));
    }

    /// Does the next documents; says whether there are more.
    async fn index_some(&self) -> Result<bool, CustodyError> {
        let state = state_of(self.0.store.get(Table::Indexing, STATE_KEY)?)?;
        let state = state.filter(|state| state.format == self.0.indexing.format);
        let (first, is_again) = match state {
            Some(StateRow { next: None, .. }) => return Ok(false),
            Some(state) => (state.next.map(|next| next.0), state.is_again),
            None => (None, false),
        };
        let view = self.0.store.view()?;
        let rows = view.scan_from(Table::Heads, &first.unwrap_or_default());
        let mut rows: Vec<_> = rows.take(STEP + 1).collect::<Result<_, _>>()?;
        drop(view);
        let next = rows.get(STEP).map(|(key, _)| Next(key.to_vec()));
        rows.truncate(STEP);
        let mut renewed = Vec::with_capacity(rows.len());
        for (key, row) in &rows {
            renewed.extend(self.renew(key, row).await?);
        }
        let has_more = next.is_some();
        let state = StateRow {
            format: self.0.indexing.format,
            next,
            is_again: is_again && has_more,
        };
        let home = self.0.home.clone();
        let put = move |transaction: &mut Transaction<'_>| {
            for one in renewed {
                let head: Option<Head> =
                    home.keys.get_in(transaction, Table::Heads, &one.document)?;
                // Another version has been written meanwhile, with its terms.
                if head.is_some_and(|head| head.version == one.row.version) {
                    let place = (&one.head.subject, &one.document);
                    let terms = (&one.row, one.postings.as_slice(), &one.erase);
                    home.put_terms(transaction, &one.head, place, terms)?;
                }
            }
            transaction.put(Table::Indexing, STATE_KEY, codec::encode(&state));
            Ok(())
        };
        self.0.store.transact(put).await?;
        let done = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        self.0.indexing.done.fetch_add(done, Ordering::Relaxed);
        Ok(has_more)
    }

    /// The terms of a document whose row is of an older form; `None` if it is deleted or cannot be opened.
    pub(super) async fn renewed_terms(
        &self,
        document: &DocumentKey,
    ) -> Result<Option<TermsRow>, CustodyError> {
        let Some(row) = self.0.store.get(Table::Heads, document)? else {
            return Ok(None);
        };
        let renewed = self.renew(document, &row).await?;
        Ok(renewed.map(|renewed| labelled(renewed.row)))
    }

    /// The terms of a document's current version; `None` if it is deleted or cannot be opened.
    async fn renew(&self, key: &[u8], row: &[u8]) -> Result<Option<Renewed>, CustodyError> {
        let keys = &self.0.home.keys;
        let head: Head = keys.open_row(Table::Heads, key, row)?;
        if head.deleted {
            return Ok(None);
        }
        let document = keys.document(&head.resource_type, &head.id);
        let Some(loaded) = self.load(&document, head.version)? else {
            return Ok(None);
        };
        let resource = match self.open_content(&loaded).await {
            Ok(Some(resource)) => resource,
            Ok(None) => return Ok(None),
            // Reading it answers the same; the other documents are not to suffer from it.
            Err(error) => {
                tracing::error!(%error, "a document cannot be indexed");
                return Ok(None);
            }
        };
        let terms = self.terms_of(&resource);
        Ok(Some(Renewed {
            document,
            postings: keys.postings(&head.resource_type, &terms),
            row: TermsRow {
                id: head.id.clone(),
                version: head.version,
                facts: loaded.row.facts,
                terms,
            },
            erase: loaded.erase,
            head,
        }))
    }
}

/// Goes on until all documents are done or nobody holds the records any more.
async fn index(records: Weak<Inner>) {
    loop {
        let Some(custody) = records.upgrade().map(Custody) else {
            return;
        };
        let indexing = &custody.0.indexing;
        match custody.index_some().await {
            Ok(true) => {}
            Ok(false) => {
                indexing.complete.store(true, Ordering::Release);
                indexing.running.store(false, Ordering::Release);
                let done = indexing.done.load(Ordering::Relaxed);
                tracing::info!(documents = done, "the index for searches is made");
                return;
            }
            Err(error) => {
                indexing.running.store(false, Ordering::Release);
                tracing::error!(%error, "the index for searches is not made: the next start goes on");
                return;
            }
        }
        drop(custody);
        tokio::task::yield_now().await;
    }
}

fn state_of(row: Option<Vec<u8>>) -> Result<Option<StateRow>, CustodyError> {
    row.map(|row| decode(Table::Indexing.name(), &row))
        .transpose()
}
