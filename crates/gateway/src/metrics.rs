//! Counts and durations for Prometheus. Labels are names of interactions, classes of statuses and members.

use std::fmt;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use node::custody::upstream::UpstreamStatus;
use node::health::Health;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the histogram, in seconds: from a read in memory to an import.
const BOUNDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// The media type of OpenMetrics text.
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is counted.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Outcome, Counter>,
    durations: Family<Interaction, Histogram>,
    gauges: Vec<(Reading, Gauge)>,
    waiting: Family<Submitter, Gauge>,
    missing: Family<Submitter, Gauge>,
    duties: Family<Owed, Gauge>,
    messages: Family<Message, Counter>,
    upstream: UpstreamMetrics,
}

/// What is read of the existing server, where there is one.
#[derive(Default)]
struct UpstreamMetrics {
    unattributed: Counter,
    diverged: Counter,
    set_aside: Gauge,
    is_reachable: Gauge,
}

/// Reads a number out of a node's health.
type Reading = fn(&Health) -> u64;

/// What is read at each scrape: name, help, where from.
const GAUGES: [(&str, &str, Reading); 22] = [
    (
        "labelling_documents_left",
        "Documents that are still to be labelled by the rules in force, about",
        |health| {
            let labelling = health.labelling;
            let left = labelling.documents.saturating_sub(labelling.done);
            if labelling.is_running { left } else { 0 }
        },
    ),
    ("height", "The last block applied here", |health| {
        health.height.0
    }),
    (
        "final_height",
        "The last block known to be final",
        |health| health.final_height.0,
    ),
    ("epoch", "The epoch of the last applied block", |health| {
        health.epoch.0
    }),
    (
        "validates",
        "Whether this member validates in that epoch",
        |health| health.validates.into(),
    ),
    (
        "ledger_age_milliseconds",
        "Since the last applied block's time",
        |health| health.age_ms,
    ),
    (
        "peers",
        "Nodes connected to this one's validator",
        |health| count(health.peers),
    ),
    (
        "outbox_depth",
        "Statements that are durable here and not yet final",
        |health| count(health.outbox.in_flight),
    ),
    (
        "outbox_stopped",
        "Statements that broke a rule of the ledger and wait for somebody to look",
        |health| count(health.outbox.stopped),
    ),
    (
        "certificate_expires_timestamp_seconds",
        "When the node's certificate expires",
        |health| health.certificate_expires.0 / 1_000,
    ),
    (
        "certificate_expires_soon",
        "Whether it expires within four weeks",
        |health| health.expires_soon().into(),
    ),
    ("ledger_bytes", "Bytes of the ledger on disk", |health| {
        health.ledger_bytes
    }),
    (
        "contradictions",
        "Times that a validator was seen to contradict itself",
        |health| health.contradictions,
    ),
    (
        "damaged_rows",
        "Times that a damaged row of the ledger was met since the node started",
        |health| health.damaged_rows,
    ),
    (
        "open_erasures",
        "Erasures that not every holder has acknowledged",
        |health| health.erasures.open,
    ),
    (
        "open_proposals",
        "Proposals that can be voted on",
        |health| count(health.open_proposals),
    ),
    (
        "emergency_reviews_open",
        "Declared emergencies whose review waits",
        |health| count(health.emergencies.open),
    ),
    (
        "emergency_reviews_overdue",
        "Those whose deadline has passed",
        |health| count(health.emergencies.overdue),
    ),
    (
        "consents_missing",
        "Consents that the ledger has of patients here, and that this member does not have yet",
        |health| count(health.consents_missing),
    ),
    (
        "audit_forward_waiting",
        "Entries of the audit log that are not forwarded yet",
        |health| health.forward.unwrap_or_default().waiting,
    ),
    (
        "audit_forward_waiting_milliseconds",
        "Since the first of them was recorded",
        |health| health.forward.unwrap_or_default().waiting_ms,
    ),
    (
        "audit_forward_given_up",
        "Entries of the audit log that the repository refused for good",
        |health| health.forward.unwrap_or_default().given_up,
    ),
];

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    interaction: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Interaction {
    interaction: &'static str,
}

/// A message of HL7 v2, at a listener of `node.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Message {
    listener: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Submitter {
    member: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Owed {
    state: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("careledger");
        let requests = Family::default();
        let durations = Family::new_with_constructor(histogram as fn() -> Histogram);
        registry.register(
            "http_requests",
            "Requests answered, by interaction and class of status",
            requests.clone(),
        );
        registry.register(
            "http_request_seconds",
            "Seconds from a request's head to its answer's, by interaction",
            durations.clone(),
        );
        let waiting = Family::default();
        registry.register(
            "waiting_bytes",
            "Bytes of statements that wait to be ordered, by the member that submitted them",
            waiting.clone(),
        );
        let missing = Family::default();
        registry.register(
            "erasures_unacknowledged",
            "Erasures that a holder has not acknowledged, by the holder",
            missing.clone(),
        );
        let duties = Family::default();
        registry.register(
            "duties",
            "Answers and reviews that are owed to patients: due within ten days, or overdue",
            duties.clone(),
        );
        let gauges = GAUGES.map(|(name, help, reading)| {
            let gauge: Gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            (reading, gauge)
        });
        let messages = Family::default();
        registry.register(
            "v2_messages",
            "Messages of HL7 v2, by listener and what came of them",
            messages.clone(),
        );
        let upstream = UpstreamMetrics::default();
        upstream.register(&mut registry);
        Self {
            registry,
            requests,
            durations,
            gauges: gauges.to_vec(),
            waiting,
            missing,
            duties,
            messages,
            upstream,
        }
    }

    pub(crate) fn count(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let interaction = interaction(method, route);
        let outcome = Outcome {
            interaction,
            status: class(status),
        };
        self.requests.get_or_create(&outcome).inc();
        self.durations
            .get_or_create(&Interaction { interaction })
            .observe(took.as_secs_f64());
    }

    pub(crate) fn count_message(&self, listener: &str, outcome: &'static str) {
        let message = Message {
            listener: listener.to_owned(),
            outcome,
        };
        self.messages.get_or_create(&message).inc();
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self, health: &Health) -> Result<String, fmt::Error> {
        for (reading, gauge) in &self.gauges {
            gauge.set(i64::try_from(reading(health)).unwrap_or(i64::MAX));
        }
        if let Some(status) = health.upstream {
            self.upstream.read(status);
        }
        for (member, bytes) in &health.waiting_bytes {
            let submitter = Submitter {
                member: member.to_string(),
            };
            let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX);
            self.waiting.get_or_create(&submitter).set(bytes);
        }
        let owed = [
            ("due", health.duties.due),
            ("overdue", health.duties.overdue),
        ];
        for (state, number) in owed {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            self.duties.get_or_create(&Owed { state }).set(number);
        }
        // Who has acknowledged all is not named any more.
        self.missing.clear();
        for (member, count) in &health.erasures.missing {
            let submitter = Submitter {
                member: member.to_string(),
            };
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            self.missing.get_or_create(&submitter).set(count);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl UpstreamMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "unattributed_versions",
            "Versions that were found at the existing server without an author",
            self.unattributed.clone(),
        );
        registry.register(
            "diverged_reads",
            "Reads for which the existing server no longer held what was anchored",
            self.diverged.clone(),
        );
        registry.register(
            "set_aside_versions",
            "Versions of the existing server that cannot be recorded",
            self.set_aside.clone(),
        );
        registry.register(
            "existing_server_reachable",
            "Whether the existing server answers",
            self.is_reachable.clone(),
        );
    }

    fn read(&self, status: UpstreamStatus) {
        // They count for as long as the node runs, as these do.
        let raise = |counter: &Counter, to: u64| {
            counter.inc_by(to.saturating_sub(counter.get()));
        };
        raise(&self.unattributed, status.unattributed);
        raise(&self.diverged, status.diverged);
        let waiting = i64::try_from(status.set_aside).unwrap_or(i64::MAX);
        self.set_aside.set(waiting);
        self.is_reachable.set(status.is_reachable.into());
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(..)")
    }
}

fn histogram() -> Histogram {
    Histogram::new(BOUNDS)
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

/// The interaction's name in R4, or the operation's.
fn interaction(method: &Method, route: &str) -> &'static str {
    match (method.as_str(), route) {
        ("GET" | "HEAD", "/fhir/metadata") => "capabilities",
        ("POST", "/fhir" | "/fhir/") => "transaction",
        ("GET" | "HEAD", "/fhir/{type}") | ("POST", "/fhir/{type}/_search") => "search-type",
        ("POST", "/fhir/{type}") => "create",
        ("GET" | "HEAD", "/fhir/{type}/{id}") => "read",
        ("PUT", "/fhir/{type}/{id}") => "update",
        ("DELETE", "/fhir/{type}/{id}") => "delete",
        ("GET" | "HEAD", "/fhir/{type}/{id}/_history") => "history-instance",
        ("GET" | "HEAD", "/fhir/{type}/{id}/_history/{version}") => "vread",
        (_, "/fhir/{type}/{id}/_history/{version}/$receipt") => "$receipt",
        (_, "/fhir/{type}/{id}/$everything") => "$everything",
        (_, "/fhir/{type}/{id}/$branches") => "$branches",
        (_, "/fhir/{type}/{id}/$access-history") => "$access-history",
        (_, "/fhir/{type}/{id}/$who-can-see") => "$who-can-see",
        (_, "/fhir/{type}/$what-if") => "$what-if",
        (_, "/fhir/{type}/$file-consent" | "/fhir/{type}/$fileConsent") => "$file-consent",
        (_, "/fhir/{type}/$revokeConsent") => "$revokeConsent",
        (_, "/fhir/{type}/{id}/$erase") => "$erase",
        (_, "/fhir/Patient/{id}/$break-glass") => "$break-glass",
        (_, "/fhir/Task/{id}/$review") => "$review",
        (_, "/fhir/{type}/$enroll") => "$enroll",
        (_, "/oauth2/token") => "token",
        (_, route) if route.starts_with("/fhir") => "other-fhir",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_interaction_and_class() {
        let metrics = Metrics::new();
        let route = "/fhir/{type}/{id}";
        for status in [StatusCode::OK, StatusCode::OK, StatusCode::FORBIDDEN] {
            metrics.count(&Method::GET, route, status, Duration::from_millis(3));
        }
        let mut status = crate::status::tests::health();
        status.duties.overdue = 2;
        status.consents_missing = 5;
        status.upstream = Some(UpstreamStatus {
            unattributed: 4,
            set_aside: 2,
            ..UpstreamStatus::default()
        });
        metrics.text(&status).unwrap();
        let text = metrics.text(&status).unwrap();
        for line in [
            r#"careledger_http_requests_total{interaction="read",status="2xx"} 2"#,
            r#"careledger_http_requests_total{interaction="read",status="4xx"} 1"#,
            r#"careledger_http_request_seconds_count{interaction="read"} 3"#,
            "careledger_height 7",
            "careledger_outbox_depth 2",
            r#"careledger_waiting_bytes{member="payer"} 512"#,
            "careledger_open_erasures 1",
            r#"careledger_erasures_unacknowledged{member="payer"} 1"#,
            "careledger_certificate_expires_timestamp_seconds 1800000000",
            "careledger_certificate_expires_soon 1",
            "careledger_damaged_rows 3",
            "careledger_consents_missing 5",
            r#"careledger_duties{state="due"} 0"#,
            r#"careledger_duties{state="overdue"} 2"#,
            "careledger_unattributed_versions_total 4",
            "careledger_set_aside_versions 2",
            "careledger_existing_server_reachable 0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
