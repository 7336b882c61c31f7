//! What a node that joins asks for, without a token: all of it is public, and checked by whoever takes it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ledger::ids::{Height, MemberName};
use ledger::snapshot::{EntryKey, LeafPage, Offer, StatePage, StatementPage};
use node::chain::{Snapshots, StoreError};
use tokio::sync::Semaphore;

use crate::log::{gone, refusal, unreadable};

/// Pages that are put together at a time: whoever wants more waits.
const PAGES_AT_ONCE: usize = 4;

/// What is served, and how much of it at once.
#[derive(Clone)]
pub(crate) struct Served {
    snapshots: Arc<dyn Snapshots>,
    turns: Arc<Semaphore>,
}

impl Served {
    pub(crate) fn new(snapshots: Arc<dyn Snapshots>) -> Self {
        Self {
            snapshots,
            turns: Arc::new(Semaphore::new(PAGES_AT_ONCE)),
        }
    }

    async fn page<F>(self, missing: &str, read: F) -> Response
    where
        F: FnOnce(&dyn Snapshots) -> Result<Option<Vec<u8>>, StoreError> + Send + 'static,
    {
        let Ok(turn) = self.turns.acquire_owned().await else {
            return unreadable();
        };
        let read = tokio::task::spawn_blocking(move || {
            let page = read(&*self.snapshots);
            drop(turn);
            page
        });
        match read.await {
            Ok(Ok(Some(bytes))) => cbor(bytes),
            Ok(Ok(None)) => refusal(StatusCode::NOT_FOUND, 0, missing),
            Ok(Err(error @ StoreError::NotKept(_))) => gone(&error),
            Ok(Err(error)) => {
                tracing::error!(%error, "a page of a snapshot cannot be read");
                unreadable()
            }
            Err(_) => unreadable(),
        }
    }
}

/// `GET /network/snapshot`: the newest snapshot (`docs/formats/snapshot.md`).
pub(crate) async fn offer(State(served): State<Served>) -> Response {
    let missing = "no block is a signed checkpoint yet: join by replay";
    let read = |snapshots: &dyn Snapshots| Ok(snapshots.offer()?.as_ref().map(Offer::encode));
    served.page(missing, read).await
}

/// `GET /network/snapshot/{height}/leaves/{from}`: leaf hashes of the log.
pub(crate) async fn leaves(
    State(served): State<Served>,
    Path((height, from)): Path<(u64, u64)>,
) -> Response {
    let read = move |snapshots: &dyn Snapshots| {
        let page = snapshots.leaves(Height(height), from)?;
        Ok(page.as_ref().map(LeafPage::encode))
    };
    served.page(NO_BLOCK, read).await
}

/// `GET /network/snapshot/{height}/state/{from}`: entries of the state, from a key in hex.
pub(crate) async fn state(
    State(served): State<Served>,
    Path((height, from)): Path<(u64, String)>,
) -> Response {
    let mut key = [0; 32];
    if hex::decode_to_slice(&from, &mut key).is_err() {
        let message = "a page of the state begins at a key of 64 hexadecimal digits";
        return refusal(StatusCode::BAD_REQUEST, 0, message);
    }
    let read = move |snapshots: &dyn Snapshots| {
        let page = snapshots.state(Height(height), EntryKey(key))?;
        Ok(page.as_ref().map(StatePage::encode))
    };
    served.page(NO_BLOCK, read).await
}

/// `GET /network/snapshot/{height}/statements/{member}/{from}`: a member's statements that are kept here.
pub(crate) async fn statements(
    State(served): State<Served>,
    Path((height, member, from)): Path<(u64, String, u64)>,
) -> Response {
    let Ok(member) = member.parse::<MemberName>() else {
        return refusal(StatusCode::BAD_REQUEST, 0, "this is no member's name");
    };
    let read = move |snapshots: &dyn Snapshots| {
        let page = snapshots.statements(Height(height), &member, from)?;
        Ok(page.as_ref().map(StatementPage::encode))
    };
    served.page(NO_BLOCK, read).await
}

/// `GET /network/statements/{index}`: a statement of the log with its items.
pub(crate) async fn statement(State(served): State<Served>, Path(index): Path<u64>) -> Response {
    let read = move |snapshots: &dyn Snapshots| snapshots.submitted(index);
    served.page("the log has no such statement yet", read).await
}

const NO_BLOCK: &str = "there is no snapshot of this height here";

fn cbor(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/cbor")], bytes).into_response()
}
