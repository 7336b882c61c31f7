//! The public log: where it stands, and statements for it. Neither takes a token: a statement's signature says whose it
//! is, and the ledger's rules say whether it counts.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ledger::statement::SubmittedStatement;
use node::chain::SubmitError;
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

/// `rule` is the number of the broken rule (`contracts::rejection`), or 0.
fn refusal(status: StatusCode, rule: u16, message: &str) -> Response {
    (status, Json(json!({ "rule": rule, "error": message }))).into_response()
}
