//! What custody's tests wait for: records that nobody has open, items that are final.

use std::fs::File;
use std::sync::Arc;

use contracts::export::Export;

use super::free::when_free;
use super::patience::{Look, until};
use super::{Site, clinician};
use crate::custody::inspect::{RecordsReport, inspect};
use crate::custody::request::{ReceiptState, Written};
use crate::custody::store::Table;
use crate::custody::{Anchor, Custody, RecordsConfig};

impl Site {
    /// Waits until nobody has the records open: nothing is written to them any more.
    pub(super) fn let_go(&self) {
        let RecordsConfig::Local { folder } = self.records() else {
            return drop(self.store());
        };
        let lock = File::open(folder.join("lock")).unwrap();
        when_free(|| lock.try_lock());
    }

    /// What an operator finds in records that no node has open.
    pub(super) async fn inspected(&self) -> RecordsReport {
        let options = self.options();
        until("the records open", async || {
            let anchor: Arc<dyn Anchor> = Arc::new(self.ledger.clone());
            let keys = (&options.member, &options.root, &*options.wrapping);
            inspect(&options.records, &options.blobs, keys, anchor, |_| ()).await
        })
        .await
    }
}

/// Waits until a look that needs no waiting itself finds it.
pub(super) async fn eventually<L: Look>(what: &str, mut look: impl FnMut() -> L) -> L::Found {
    until(what, async || look()).await
}

/// Waits until everything that was acknowledged is on the ledger, and the outbox has let go of it.
pub(super) async fn settled(custody: &Custody) {
    eventually("everything is final", || {
        let has_rows = |table| custody.0.store.scan(table, &[]).next().is_some();
        custody.outbox().in_flight == 0 && !has_rows(Table::Outbox)
    })
    .await;
}

/// Waits until every request that is on record has an entry: the registrar writes nothing more then.
pub(super) async fn entered(custody: &Custody) {
    eventually("every request has an entry", || {
        custody.0.store.scan(Table::Pending, &[]).next().is_none()
    })
    .await;
}

/// The export of a version, once the ledger has it.
pub(super) async fn exported(custody: &Custody, of: &Written) -> Export {
    let by = clinician("hospital");
    until("the version is final", async || {
        let state = custody.receipt(&by, of.resource_type, &of.id, of.version);
        match state.await.unwrap() {
            ReceiptState::Final(export) => Some(*export),
            ReceiptState::Pending => None,
        }
    })
    .await
}
