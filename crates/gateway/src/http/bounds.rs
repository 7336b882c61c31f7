//! Bounds on what one client asks for, and on how long an answer takes.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use interop::fhir::IssueType;

use super::payload::BODY_BYTES_MAX;
use crate::problem::Problem;

/// Clients that are kept in mind before those that rest are forgotten.
const CLIENTS_KEPT: usize = 10_000;

/// How much a client may ask of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Requests of one client a second, sustained; as many may come at once.
    pub per_second: NonZeroU32,
    /// The longest time that a request may take.
    pub time: Duration,
    /// The longest body, in bytes; a Binary that is sent as it is has its own limit.
    pub body_bytes: usize,
}

impl Default for RequestLimits {
    /// 2,000 requests a second, two minutes, 16 MiB.
    fn default() -> Self {
        Self {
            per_second: NonZeroU32::new(2_000).unwrap_or(NonZeroU32::MAX),
            time: Duration::from_secs(120),
            body_bytes: BODY_BYTES_MAX,
        }
    }
}

/// The state of the limits, by client.
pub(crate) struct Bounds {
    time: Duration,
    clients: DefaultKeyedRateLimiter<String>,
    clock: DefaultClock,
}

impl Bounds {
    pub(crate) fn new(limits: RequestLimits) -> Self {
        Self {
            time: limits.time,
            clients: RateLimiter::keyed(Quota::per_second(limits.per_second)),
            clock: DefaultClock::default(),
        }
    }

    /// Counts a request of this client; refuses it beyond the rate.
    pub(crate) fn admit(&self, client: &str) -> Result<(), Problem> {
        if self.clients.len() > CLIENTS_KEPT {
            self.clients.retain_recent();
        }
        self.clients.check_key(&client.to_owned()).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            Problem::too_many_requests(wait.as_secs().saturating_add(1))
        })
    }
}

/// Ends a request that takes too long.
pub(crate) async fn in_time(
    State(bounds): State<Arc<Bounds>>,
    request: Request,
    next: Next,
) -> Response {
    match tokio::time::timeout(bounds.time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            IssueType::Timeout,
            "the request took too long; a change may have been made nevertheless",
        )
        .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_bounded_each_for_itself() {
        let bounds = Bounds::new(RequestLimits {
            per_second: NonZeroU32::new(3).unwrap(),
            ..RequestLimits::default()
        });
        for _ in 0..3 {
            bounds.admit("one").unwrap();
        }
        let refused = bounds.admit("one").unwrap_err();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        bounds.admit("other").unwrap();
    }
}
