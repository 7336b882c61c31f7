//! Sealed release between members: forming the committee, keeping copies, giving shares, and asking for them.
//!
//! A committee's member decides for itself, on its own ledger and its own knowledge of what the patient permits, and
//! records what it decides. Its share opens the version that was asked for, and nothing else.

mod ask;
pub(super) mod copies;
mod forming;
mod give;
mod message;
mod state;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::post;
use axum::{Extension, Router};
use ledger::codec;

use super::Parts;
use super::serve::{Peer, Refusal, message};

pub(super) use copies::place_copies;
pub(super) use forming::take_part;
pub use message::{ReleaseFault, ReleaseMessage, WrongShare, reread_release};

/// Bytes of a message with copies at most.
const COPIES_BYTES_MAX: usize = 48 << 20;

/// The routes of release.
pub(super) fn routes() -> Router<Arc<Parts>> {
    let keeping = Router::new()
        .route("/exchange/release/keep", post(keep))
        .layer(DefaultBodyLimit::max(COPIES_BYTES_MAX));
    Router::new()
        .route("/exchange/release/offer", post(offer))
        .route("/exchange/release/copies", post(copies))
        .route("/exchange/release/forget", post(forget))
        .route("/exchange/release/share", post(share))
        .merge(keeping)
}

async fn offer(
    State(parts): State<Arc<Parts>>,
    Extension(Peer(from)): Extension<Peer>,
    body: Bytes,
) -> Result<Vec<u8>, Refusal> {
    let dealt = message(&body)?;
    let acknowledged = forming::acknowledge(&parts, &from, &dealt).await?;
    Ok(codec::encode(&acknowledged))
}

async fn keep(
    State(parts): State<Arc<Parts>>,
    Extension(Peer(from)): Extension<Peer>,
    body: Bytes,
) -> Result<Vec<u8>, Refusal> {
    let done = copies::keep(&parts, &from, message(&body)?).await?;
    Ok(codec::encode(&done))
}

async fn copies(State(parts): State<Arc<Parts>>, body: Bytes) -> Result<Vec<u8>, Refusal> {
    let found = copies::kept(&parts, &message(&body)?)?;
    Ok(codec::encode(&found))
}

async fn forget(
    State(parts): State<Arc<Parts>>,
    Extension(Peer(from)): Extension<Peer>,
    body: Bytes,
) -> Result<Vec<u8>, Refusal> {
    let done = copies::forget(&parts, &from, message(&body)?).await?;
    Ok(codec::encode(&done))
}

async fn share(
    State(parts): State<Arc<Parts>>,
    Extension(Peer(from)): Extension<Peer>,
    body: Bytes,
) -> Result<Vec<u8>, Refusal> {
    let ask = message(&body)?;
    let shares = give::shares(&parts, &from, &ask).await?;
    Ok(codec::encode(&shares))
}
