//! What a node says about itself without a token: `/health`, `/ready`, `/.well-known/careledger`.

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ledger::ids::{Digest, MemberName, NetworkId};
use serde_json::{Value, json};

use crate::metrics::{Metrics, OPEN_METRICS};
use crate::problem::Problem;

/// How the node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeStatus {
    /// The last block applied here.
    pub height: u64,
    /// Statements on their way to the ledger: durable here, not yet final.
    pub outbox_depth: u64,
    /// Whether requests can be answered.
    pub is_ready: bool,
}

/// Tells how the node is.
#[derive(Clone)]
pub struct StatusSource(Arc<dyn Fn() -> NodeStatus + Send + Sync>);

/// Who the node is.
#[derive(Debug, Clone)]
pub struct NodeIdentity {
    /// The member.
    pub member: MemberName,
    /// The network.
    pub network: NetworkId,
    /// The member's X25519 public key, to which wallets wrap branch keys.
    pub hpke_key: [u8; 32],
    /// SHA-256 of the node's certificate.
    pub certificate: Digest,
    /// Whether the genesis allows the network's clock to be set.
    pub has_test_clock: bool,
}

impl StatusSource {
    /// A source that asks `status`.
    pub fn new(status: impl Fn() -> NodeStatus + Send + Sync + 'static) -> Self {
        Self(Arc::new(status))
    }

    fn now(&self) -> NodeStatus {
        (self.0)()
    }
}

impl fmt::Debug for StatusSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatusSource(..)")
    }
}

/// What the routes of this file need.
#[derive(Debug, Clone)]
pub(crate) struct StatusRoutes {
    pub(crate) source: StatusSource,
    pub(crate) identity: Arc<NodeIdentity>,
    pub(crate) metrics: Arc<Metrics>,
}

/// The process answers.
pub(crate) async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// The node can take requests.
pub(crate) async fn ready(State(routes): State<StatusRoutes>) -> Response {
    let status = routes.source.now();
    let code = if status.is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({
        "ready": status.is_ready,
        "height": status.height,
        "outboxDepth": status.outbox_depth,
    });
    (code, Json(body)).into_response()
}

pub(crate) async fn careledger(State(routes): State<StatusRoutes>) -> Json<Value> {
    let identity = &routes.identity;
    Json(json!({
        "member": identity.member.as_str(),
        "network": identity.network.0.to_string(),
        "hpkeKey": URL_SAFE_NO_PAD.encode(identity.hpke_key),
        "certificateThumbprint": identity.certificate.to_string(),
    }))
}

pub(crate) async fn metrics(State(routes): State<StatusRoutes>) -> Response {
    match routes.metrics.text(&routes.source.now()) {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => Problem::internal("metrics could not be written").into_response(),
    }
}
