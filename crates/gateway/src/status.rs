//! What a node says about itself without a token: `/health`, `/ready`, `/.well-known/careledger`.

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ledger::ids::{Digest, MemberName, NetworkId};
use node::health::Health;
use serde_json::{Value, json};

use crate::enrolment::MemberKey;
use crate::members::instant;
use crate::metrics::{Metrics, OPEN_METRICS};
use crate::problem::Problem;

/// Tells how the node is.
#[derive(Clone)]
pub struct StatusSource(Arc<dyn Fn() -> Health + Send + Sync>);

/// Who the node is.
#[derive(Debug, Clone)]
pub struct NodeIdentity {
    /// The member.
    pub member: MemberName,
    /// The network.
    pub network: NetworkId,
    /// SHA-256 of the node's certificate.
    pub certificate: Digest,
    /// Whether the genesis allows the network's clock to be set.
    pub has_test_clock: bool,
}

impl StatusSource {
    /// A source that asks `health`.
    pub fn new(health: impl Fn() -> Health + Send + Sync + 'static) -> Self {
        Self(Arc::new(health))
    }

    fn now(&self) -> Health {
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
    pub(crate) member_key: MemberKey,
    pub(crate) metrics: Arc<Metrics>,
}

impl StatusRoutes {
    pub(crate) fn of(
        source: StatusSource,
        (identity, member_key): (Arc<NodeIdentity>, MemberKey),
        metrics: &Arc<Metrics>,
    ) -> Self {
        Self {
            source,
            identity,
            member_key,
            metrics: Arc::clone(metrics),
        }
    }
}

/// The process answers.
pub(crate) async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// The node can take requests: it has applied what is known to be final. Whether the ledger moves, `ageMs` tells; a node
/// serves its own records without it.
pub(crate) async fn ready(State(routes): State<StatusRoutes>) -> Response {
    let health = routes.source.now();
    let code = if health.is_caught_up() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, Json(described(&routes.identity.member, &health))).into_response()
}

fn described(member: &MemberName, health: &Health) -> Value {
    let upstream = health.upstream.map(|upstream| {
        json!({
            "reachable": upstream.is_reachable,
            "takingIn": upstream.is_taking_in,
            "unattributed": upstream.unattributed,
            "setAside": upstream.set_aside,
            "diverged": upstream.diverged,
        })
    });
    let forward = health.forward.map(|forward| {
        json!({
            "waiting": forward.waiting,
            "waitingMs": forward.waiting_ms,
            "givenUp": forward.given_up,
        })
    });
    json!({
        "member": member.as_str(),
        "ready": health.is_caught_up(),
        "height": health.height.0,
        "finalHeight": health.final_height.0,
        "epoch": health.epoch.0,
        "validates": health.validates,
        "ageMs": health.age_ms,
        "peers": health.peers,
        "outboxDepth": health.outbox.in_flight,
        "outboxStopped": health.outbox.stopped,
        "certificateExpires": instant(health.certificate_expires),
        "certificateExpiresSoon": health.expires_soon(),
        "ledgerBytes": health.ledger_bytes,
        "contradictions": health.contradictions,
        "openProposals": health.open_proposals,
        "openErasures": health.erasures.open,
        "erasuresUnacknowledged": unacknowledged(health),
        "existingServer": upstream,
        "labelling": health.labelling.is_running,
        "openReviews": health.emergencies.open,
        "overdueReviews": health.emergencies.overdue,
        "dutiesDue": health.duties.due,
        "dutiesOverdue": health.duties.overdue,
        "consentsMissing": health.consents_missing,
        "auditForward": forward,
    })
}

/// Who has not acknowledged erasures of this member, and how many.
fn unacknowledged(health: &Health) -> Value {
    let missing = health.erasures.missing.iter();
    missing
        .map(|(member, count)| (member.to_string(), Value::from(*count)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

pub(crate) async fn careledger(State(routes): State<StatusRoutes>) -> Json<Value> {
    let identity = &routes.identity;
    Json(json!({
        "member": identity.member.as_str(),
        "network": identity.network.0.to_string(),
        "hpkeKey": routes.member_key.published(),
        "certificateThumbprint": identity.certificate.to_string(),
    }))
}

pub(crate) async fn metrics(State(routes): State<StatusRoutes>) -> Response {
    match routes.metrics.text(&routes.source.now()) {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => Problem::internal("metrics could not be written").into_response(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ledger::ids::{BlockTime, Epoch, Height};
    use node::custody::ErasureStanding;
    use node::custody::LabelProgress;
    use node::outbox::OutboxStatus;

    use super::*;

    pub(crate) fn health() -> Health {
        Health {
            height: Height(7),
            final_height: Height(9),
            epoch: Epoch(0),
            validates: true,
            age_ms: 250,
            peers: 3,
            outbox: OutboxStatus {
                in_flight: 2,
                stopped: 0,
            },
            certificate_expires: BlockTime(1_800_000_000_000),
            certificate_left_ms: 86_400_000,
            ledger_bytes: 1,
            contradictions: 0,
            damaged_rows: 3,
            open_proposals: 0,
            erasures: ErasureStanding {
                open: 1,
                missing: vec![("payer".parse().unwrap(), 1)],
            },
            upstream: None,
            labelling: LabelProgress::default(),
            emergencies: node::custody::EmergencyCount::default(),
            duties: node::custody::DutyCount::default(),
            consents_missing: 0,
            forward: None,
            waiting_bytes: vec![("payer".parse().unwrap(), 512)],
        }
    }

    #[test]
    fn a_node_far_behind_is_not_ready() {
        let member = "clinic".parse().unwrap();
        let mut health = health();
        assert_eq!(described(&member, &health)["ready"], true);
        health.final_height = Height(40);
        assert_eq!(described(&member, &health)["ready"], false);
        assert_eq!(described(&member, &health)["certificateExpiresSoon"], true);
    }
}
