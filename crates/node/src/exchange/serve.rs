//! Being called by another member: `/exchange/descriptors`, `/exchange/consents`, `/exchange/statement`,
//! `/exchange/open`, `/exchange/discover`, `/exchange/erase`, `/exchange/care-services`, `/exchange/release/*`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use ledger::codec;
use ledger::ids::MemberName;
use minicbor::{Decode, Encode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::crowd::{Crowd, Guest};
use super::message::{Ask, Sealed, SealedEntry, StatementAt, StatementBytes, TAGS_MAX, Tags};
use super::tls::Peers;
use super::{Parts, care_services, discover, erase, open, release};
use crate::chain::{Snapshots as _, StoreError};
use crate::custody::CustodyError;

const HANDSHAKE: Duration = Duration::from_secs(10);
/// Tags and one access entry: far below this.
const BODY_BYTES_MAX: usize = 1 << 20;

/// The member at the other end of the connection.
#[derive(Debug, Clone)]
pub(super) struct Peer(pub(super) MemberName);

/// Why a call is refused; goes out as a status alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Malformed,
    NotRecorded,
    NotSigned,
    NotForThisMember,
    Expired,
    AnsweredBefore,
    NotKept,
    NoLinkage,
    OtherSecret,
    TooOften,
    Failed,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::NotSigned | Self::NotForThisMember => StatusCode::FORBIDDEN,
            Self::NotRecorded => StatusCode::CONFLICT,
            Self::Expired | Self::AnsweredBefore | Self::NotKept => StatusCode::GONE,
            Self::NoLinkage => StatusCode::NOT_IMPLEMENTED,
            Self::OtherSecret => StatusCode::PRECONDITION_FAILED,
            Self::TooOften => StatusCode::TOO_MANY_REQUESTS,
            Self::Failed => StatusCode::SERVICE_UNAVAILABLE,
        };
        status.into_response()
    }
}

impl From<CustodyError> for Refusal {
    fn from(error: CustodyError) -> Self {
        tracing::error!(%error, "the exchange cannot answer");
        Self::Failed
    }
}

pub(super) async fn run(listener: TcpListener, acceptor: TlsAcceptor, parts: Arc<Parts>) {
    let peers = Peers::new(parts.chain.clone());
    let router = Router::new()
        .route("/exchange/descriptors", post(descriptors))
        .route("/exchange/consents", post(consents))
        .route("/exchange/statement", post(statement))
        .route("/exchange/open", post(open))
        .route("/exchange/discover", post(discover))
        .route("/exchange/erase", post(erase))
        .route("/exchange/care-services", post(care_services))
        .merge(release::routes())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(parts);
    let crowd = Crowd::new();
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match stream {
            Ok((stream, _)) => {
                let Some(stranger) = crowd.stranger() else {
                    tracing::warn!(target: "security", "too many connections to the exchange are no member's yet");
                    continue;
                };
                let (acceptor, router) = (acceptor.clone(), router.clone());
                let at_door = (stranger, crowd.clone());
                connections.spawn(connection(stream, acceptor, peers.clone(), router, at_door));
            }
            Err(error) => {
                tracing::warn!(%error, "the exchange cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    peers: Peers,
    router: Router,
    (stranger, crowd): (OwnedSemaphorePermit, Crowd),
) {
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else {
        tracing::warn!(target: "security", "a connection to the exchange was not a member's");
        return;
    };
    let certificates = stream.get_ref().1.peer_certificates();
    let Some(certificate) = certificates.and_then(<[_]>::first).cloned() else {
        return;
    };
    let Some(member) = peers.member(&certificate) else {
        return;
    };
    drop(stranger);
    let Some(guest) = crowd.guest(&member) else {
        tracing::warn!(target: "security", %member, "a member has too many connections to the exchange");
        return;
    };
    let router = router
        .layer(from_fn_with_state(guest, in_turn))
        .layer(Extension(Peer(member.clone())));
    let service = TowerToHyperService::new(router);
    let server = auto::Builder::new(TokioExecutor::new());
    tokio::select! {
        // The peer closes when it likes.
        _closed = server.serve_connection(TokioIo::new(stream), service) => {}
        () = peers.until_unknown(&certificate) => {
            tracing::warn!(target: "security", %member, "a connection ends: its certificate speaks no more");
        }
    }
}

async fn in_turn(State(guest): State<Guest>, request: Request, next: Next) -> Response {
    let _served = guest.served().await;
    next.run(request).await
}

async fn descriptors(
    State(parts): State<Arc<Parts>>,
    Extension(Peer(from)): Extension<Peer>,
    body: Bytes,
) -> Result<Vec<u8>, Refusal> {
    let tags = tags(&body)?;
    let found = parts.custody.descriptors_for(&from, &tags)?;
    let found = found.into_iter().flatten();
    let entries = found.map(|one| SealedEntry {
        tag: one.tag,
        sealed: one.sealed,
    });
    Ok(codec::encode(&Sealed {
        entries: entries.collect(),
    }))
}

async fn consents(State(parts): State<Arc<Parts>>, body: Bytes) -> Result<Vec<u8>, Refusal> {
    let tags = tags(&body)?;
    let found = parts.custody.consents(&tags).await?.into_iter().flatten();
    let entries = found.map(|one| SealedEntry {
        tag: one.tag,
        sealed: one.sealed,
    });
    Ok(codec::encode(&Sealed {
        entries: entries.collect(),
    }))
}

async fn statement(State(parts): State<Arc<Parts>>, body: Bytes) -> Result<Vec<u8>, Refusal> {
    let StatementAt { index } = message(&body)?;
    match parts.chain.submitted(index) {
        Ok(Some(statement)) => Ok(codec::encode(&StatementBytes { statement })),
        Ok(None) | Err(StoreError::NotKept(_)) => Err(Refusal::NotKept),
        Err(error) => Err(CustodyError::from(error).into()),
    }
}

async fn open(
    State(parts): State<Arc<Parts>>,
    Extension(Peer(from)): Extension<Peer>,
    body: Bytes,
) -> Result<Vec<u8>, Refusal> {
    let ask: Ask = message(&body)?;
    let answer = open::answer(&parts, &from, &ask).await?;
    Ok(codec::encode(&answer))
}

async fn discover(
    State(parts): State<Arc<Parts>>,
    Extension(Peer(from)): Extension<Peer>,
    body: Bytes,
) -> Result<Vec<u8>, Refusal> {
    let reply = discover::answer(&parts, &from, message(&body)?).await?;
    Ok(codec::encode(&reply))
}

async fn erase(
    State(parts): State<Arc<Parts>>,
    Extension(Peer(from)): Extension<Peer>,
    body: Bytes,
) -> Result<Vec<u8>, Refusal> {
    let answer = erase::answer(&parts, &from, message(&body)?).await?;
    Ok(codec::encode(&answer))
}

async fn care_services(
    State(parts): State<Arc<Parts>>,
    Extension(Peer(from)): Extension<Peer>,
    body: Bytes,
) -> Result<Vec<u8>, Refusal> {
    let answer = care_services::answer(&parts, &from, &message(&body)?).await?;
    Ok(codec::encode(&answer))
}

fn tags(body: &[u8]) -> Result<Vec<ledger::ids::Tag>, Refusal> {
    let Tags { tags } = message(body)?;
    if tags.len() > TAGS_MAX {
        return Err(Refusal::Malformed);
    }
    Ok(tags)
}

pub(super) fn message<T>(body: &[u8]) -> Result<T, Refusal>
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    codec::decode("message", body).map_err(|_| Refusal::Malformed)
}
