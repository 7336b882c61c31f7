//! Access tokens that are refused: in the log, and no lever to flood it. Of each reason the first is an entry at once, and
//! those of the minute after it are one entry together.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use interop::fhir::audit::{AuditAgent, AuditEntry, AuditOutcome};
use node::custody::Custody;

use crate::auth::TokenProblem;
use crate::http::RequestId;

const TOGETHER: Duration = Duration::from_secs(60);

/// What is refused, until it is in the log.
#[derive(Clone)]
pub(crate) struct Refusals {
    custody: Custody,
    member: String,
    gathered: Arc<Mutex<Gathered>>,
}

/// How many were refused for each reason since an entry said so.
#[derive(Default)]
struct Gathered(BTreeMap<String, u64>);

impl Gathered {
    /// Whether it is the first for its reason, which is noted by itself.
    fn is_first(&mut self, reason: &str) -> bool {
        if let Some(count) = self.0.get_mut(reason) {
            *count = count.saturating_add(1);
            return false;
        }
        self.0.insert(reason.to_owned(), 0);
        true
    }

    /// How many came since; with none, the next one is a first again.
    fn together(&mut self, reason: &str) -> Option<u64> {
        let count = self.0.get_mut(reason).map(std::mem::take)?;
        if count == 0 {
            self.0.remove(reason);
        }
        Some(count).filter(|count| *count > 0)
    }
}

impl Refusals {
    pub(crate) fn of(custody: &Custody, member: &str) -> Self {
        Self {
            custody: custody.clone(),
            member: member.to_owned(),
            gathered: Arc::default(),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Gathered) -> T) -> T {
        work(&mut self.gathered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn note(&self, reason: String, address: Option<String>, id: Option<String>) {
        if !self.with(|gathered| gathered.is_first(&reason)) {
            return;
        }
        let mut first = self.entry(&reason);
        first.agent.address = address;
        first.request_id = id;
        self.keep(first).await;
        let rest = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(TOGETHER).await;
                let Some(count) = rest.with(|gathered| gathered.together(&reason)) else {
                    return;
                };
                let entry = rest.entry(&reason);
                rest.keep(entry.with("count", count.to_string())).await;
            }
        });
    }

    fn entry(&self, reason: &str) -> AuditEntry {
        let agent = AuditAgent {
            // What a refused token says of its bearer is worth nothing.
            client: "unknown".to_owned(),
            address: None,
            user: None,
            role: None,
            purpose: None,
            organization: self.member.clone(),
            token: None,
        };
        let mut entry = AuditEntry::new("refused-token", agent);
        "/fhir".clone_into(&mut entry.target);
        entry.outcome = AuditOutcome::Denied;
        entry.reason = Some(reason.to_owned());
        entry
    }

    async fn keep(&self, entry: AuditEntry) {
        if let Err(error) = self.custody.audit(entry).await {
            tracing::error!(%error, "a refused token is not in the audit log");
        }
    }
}

/// Puts refused tokens into the log.
pub(crate) async fn note_refusals(
    State(refusals): State<Refusals>,
    request: Request,
    next: Next,
) -> Response {
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = address.map(|ConnectInfo(address)| address.ip().to_string());
    let id = request.extensions().get::<RequestId>();
    let id = id.map(|id| id.logged().to_owned());
    let response = next.run(request).await;
    let refused = response.extensions().get::<TokenProblem>().copied();
    match refused {
        // Who shows no token has not tried to.
        None | Some(TokenProblem::Missing) => {}
        Some(problem) => refusals.note(problem.to_string(), address, id).await,
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_noted_by_itself_and_what_follows_together() {
        let mut gathered = Gathered::default();
        assert!(gathered.is_first("expired"));
        for _ in 0..1_000 {
            assert!(!gathered.is_first("expired"));
        }
        assert!(gathered.is_first("forged"));
        assert_eq!(gathered.together("expired"), Some(1_000));
        assert!(!gathered.is_first("expired"));
        assert_eq!(gathered.together("expired"), Some(1));
        assert_eq!(gathered.together("expired"), None);
        assert!(gathered.is_first("expired"));
    }
}
