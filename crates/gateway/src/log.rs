//! The public log: where it stands, its checkpoint and tiles, and statements for it. None takes a token: a statement's
//! signature says whose it is, and the ledger's rules say whether it counts.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ledger::ids::Height;
use ledger::log::tile::Tile;
use ledger::statement::SubmittedStatement;
use node::chain::{PublicLog, StoreError, SubmitError};
use node::custody::Anchor;
use serde_json::{Value, json};

/// A statement of 1,024 items is far below this.
pub(crate) const STATEMENT_BYTES_MAX: usize = 256 << 10;

/// `GET /log/tip`: the last applied block.
pub(crate) async fn tip(State(ledger): State<Arc<dyn Anchor>>) -> Json<Value> {
    let tip = ledger.tip();
    Json(json!({
        "network": ledger.network().0.to_string(),
        "height": tip.height.0,
        "time": tip.time.0,
        "block": tip.digest.to_string(),
        "logSize": tip.log_size,
        "stateRoot": tip.state_root.0.to_string(),
    }))
}

/// `GET /log/checkpoint`: the newest signed note (C2SP `tlog-tiles`).
pub(crate) async fn checkpoint(State(log): State<Arc<dyn PublicLog>>) -> Response {
    let missing = "no checkpoint is signed by a quorum of validators yet";
    note(Ok(log.checkpoint()), missing)
}

/// `GET /log/witnessed`: the newest signed note with the lines of witnesses outside the network.
pub(crate) async fn witnessed(State(log): State<Arc<dyn PublicLog>>) -> Response {
    note(log.witnessed(), "no witness has cosigned a checkpoint yet")
}

fn note(note: Result<Option<Vec<u8>>, StoreError>, missing: &str) -> Response {
    match note {
        Ok(Some(note)) => {
            let headers = [
                (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
                (header::CACHE_CONTROL, "max-age=1"),
            ];
            (headers, note).into_response()
        }
        Ok(None) => refusal(StatusCode::NOT_FOUND, 0, missing),
        Err(error) => {
            tracing::error!(%error, "a checkpoint cannot be read");
            unreadable()
        }
    }
}

/// `GET /log/tile/…`: hashes or entries (C2SP `tlog-tiles`); what is there never changes.
pub(crate) async fn tile(
    State(log): State<Arc<dyn PublicLog>>,
    Path(path): Path<String>,
) -> Response {
    let tile: Tile = match format!("tile/{path}").parse() {
        Ok(tile) => tile,
        Err(error) => return refusal(StatusCode::NOT_FOUND, 0, &format!("{error}")),
    };
    match log.tile(&tile) {
        Ok(Some(bytes)) => {
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ];
            (headers, bytes).into_response()
        }
        Ok(None) => refusal(StatusCode::NOT_FOUND, 0, "the log has no such tile yet"),
        Err(error @ StoreError::NotKept(_)) => gone(&error),
        Err(error) => {
            tracing::error!(%error, "a tile cannot be read");
            unreadable()
        }
    }
}

/// `GET /log/blocks/HEIGHT`: a final block as in a dump (`docs/formats/dump.md`), for members that lost theirs.
pub(crate) async fn block(
    State(log): State<Arc<dyn PublicLog>>,
    Path(height): Path<u64>,
) -> Response {
    match log.block(Height(height)) {
        Ok(Some(bytes)) => {
            ([(header::CONTENT_TYPE, "application/cbor-seq")], bytes).into_response()
        }
        Ok(None) => refusal(StatusCode::NOT_FOUND, 0, "there is no such block yet"),
        Err(error @ StoreError::BlockNotKept(_)) => gone(&error),
        Err(error) => {
            tracing::error!(%error, "a block cannot be read: run `careledger verify --self`");
            unreadable()
        }
    }
}

/// `POST /log/statements`: a signed statement with its items, in the form of `docs/formats/statement.md`.
pub(crate) async fn submit(State(ledger): State<Arc<dyn Anchor>>, body: Bytes) -> Response {
    let statement = match SubmittedStatement::decode(&body) {
        Ok(statement) => statement,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, 1, &error.to_string()),
    };
    match ledger.submit(statement) {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(SubmitError::Rejected(rule)) => {
            refusal(StatusCode::CONFLICT, rule.code(), &rule.to_string())
        }
        Err(SubmitError::Full) => {
            let message = "too many statements are waiting: send the same bytes again later";
            refusal(StatusCode::SERVICE_UNAVAILABLE, 0, message)
        }
        Err(SubmitError::OverQuota { wait_ms }) => {
            let message = "the member's quota is used up: send the same bytes again later";
            let later = refusal(StatusCode::TOO_MANY_REQUESTS, 0, message);
            (retry_after(wait_ms), later).into_response()
        }
        Err(SubmitError::Store(error)) => {
            tracing::error!(%error, "a statement cannot be taken");
            refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                0,
                "the ledger is unavailable",
            )
        }
    }
}

/// What was there, and is not kept at this node.
pub(crate) fn gone(error: &StoreError) -> Response {
    refusal(StatusCode::GONE, 0, &error.to_string())
}

/// `Retry-After` (RFC 9110), in whole seconds.
pub(crate) fn retry_after(wait_ms: u64) -> [(HeaderName, String); 1] {
    [(header::RETRY_AFTER, wait_ms.div_ceil(1_000).to_string())]
}

pub(crate) fn unreadable() -> Response {
    let message = "the log cannot be read now";
    refusal(StatusCode::SERVICE_UNAVAILABLE, 0, message)
}

/// `rule` is the number of the broken rule (`contracts::rejection`), or 0.
pub(crate) fn refusal(status: StatusCode, rule: u16, message: &str) -> Response {
    (status, Json(json!({ "rule": rule, "error": message }))).into_response()
}
