//! The audit log on its way to another repository: all of it, in order, over failures and stops.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use gateway::{ForwardConfig, SubscriptionConfig};
use serde_json::{Value, json};

use crate::support::Site;

const TAKES: u8 = 0;
const IS_DOWN: u8 = 1;
/// It keeps what comes, and no answer arrives.
const IS_SILENT: u8 = 2;

/// An Audit Record Repository.
#[derive(Clone, Default)]
struct Repository {
    mode: Arc<AtomicU8>,
    /// The ids of events, as they came.
    got: Arc<Mutex<Vec<String>>>,
    /// The event that it will not have.
    refused: Option<&'static str>,
}

impl Repository {
    async fn listen(&self) -> ForwardConfig {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new()
            .route("/fhir", axum::routing::post(take))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        ForwardConfig {
            to: Some(format!("http://{address}/fhir")),
            pause: Duration::from_millis(2),
            pause_max: Duration::from_millis(10),
        }
    }

    fn be(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }

    fn got(&self) -> Vec<String> {
        self.got.lock().unwrap().clone()
    }
}

async fn take(State(repository): State<Repository>, Json(bundle): Json<Value>) -> Response {
    let mode = repository.mode.load(Ordering::SeqCst);
    if mode == IS_DOWN {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    assert_eq!(bundle["type"], "batch");
    let mut said = Vec::new();
    for entry in bundle["entry"].as_array().unwrap() {
        assert_eq!(
            entry["request"],
            json!({ "method": "POST", "url": "AuditEvent" })
        );
        assert_eq!(entry["resource"]["resourceType"], "AuditEvent");
        let id = entry["resource"]["id"].as_str().unwrap();
        let is_refused = repository.refused == Some(id);
        if !is_refused {
            repository.got.lock().unwrap().push(id.to_owned());
        }
        let status = if is_refused { "422" } else { "201 Created" };
        said.push(json!({ "response": { "status": status } }));
    }
    if mode == IS_SILENT {
        std::future::pending::<()>().await;
    }
    let answer = json!({ "resourceType": "Bundle", "type": "batch-response", "entry": said });
    Json(answer).into_response()
}

async fn metric(site: &Site, name: &str) -> u64 {
    let request = axum::http::Request::get("/metrics").body(axum::body::Body::empty());
    let text = site.send(request.unwrap()).await.text;
    let name = format!("careledger_audit_forward_{name} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&*name));
    line.unwrap().parse().unwrap()
}

async fn all_taken(site: &Site) {
    for _ in 0..1_000 {
        if metric(site, "waiting").await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("some of the log still waits");
}

/// The numbers of the entries whose events came, each as it came first.
fn numbers(got: &[String]) -> Vec<u64> {
    let mut seen = BTreeSet::new();
    let numbers = got.iter().map(|id| id.trim_end_matches("-authz"));
    let numbers = numbers.map(|number| number.parse().unwrap());
    numbers.filter(|number| seen.insert(*number)).collect()
}

/// Writes and reads, which are entries of the log.
async fn work(site: &Site, patient: &str) {
    let ehr = site.ehr().await;
    site.patient(&ehr, patient).await;
    for _ in 0..3 {
        let read = site.get(&ehr, &format!("/Patient/{patient}")).await;
        assert_eq!(read.status, 200, "{}", read.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn atna_1_every_event_goes_to_another_repository_in_the_order_of_the_log() {
    let repository = Repository::default();
    let site = Site::forwarding(repository.listen().await);
    work(&site, "p").await;
    all_taken(&site).await;
    work(&site, "q").await;
    all_taken(&site).await;
    let got = repository.got();
    let numbers = numbers(&got);
    assert!(numbers.len() >= 8, "{got:?}");
    let last = u64::try_from(numbers.len()).unwrap();
    assert_eq!(numbers, (1..=last).collect::<Vec<u64>>());
    let once: BTreeSet<&String> = got.iter().collect();
    assert_eq!(once.len(), got.len(), "without a failure each comes once");
}

#[tokio::test(flavor = "multi_thread")]
async fn atna_1_nothing_is_lost_while_the_repository_is_down_or_the_node_is_stopped() {
    let repository = Repository::default();
    repository.be(IS_DOWN);
    let config = repository.listen().await;
    let site = Site::forwarding(config);
    work(&site, "p").await;
    assert!(metric(&site, "waiting").await >= 4);
    let site = site.again(SubscriptionConfig::default());
    repository.be(IS_SILENT);
    for _ in 0..1_000 {
        if !repository.got().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let before = repository.got().len();
    assert!(before > 0);
    // Stopped after the repository has them, and before the node knows.
    repository.be(TAKES);
    let site = site.again(SubscriptionConfig::default());
    work(&site, "q").await;
    all_taken(&site).await;
    let got = repository.got();
    let numbers = numbers(&got);
    let last = u64::try_from(numbers.len()).unwrap();
    assert_eq!(numbers, (1..=last).collect::<Vec<u64>>());
    assert!(last >= 8, "{got:?}");
    // And what was taken is not sent again.
    let site = site.again(SubscriptionConfig::default());
    work(&site, "r").await;
    all_taken(&site).await;
    let later = repository.got();
    assert!(!later[got.len()..].contains(&"1".to_owned()));
    assert_eq!(metric(&site, "given_up").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn atna_1_an_event_that_is_refused_for_good_is_given_up_and_counted() {
    let repository = Repository {
        refused: Some("2"),
        ..Repository::default()
    };
    let site = Site::forwarding(repository.listen().await);
    work(&site, "p").await;
    all_taken(&site).await;
    assert_eq!(metric(&site, "given_up").await, 1);
    let numbers = numbers(&repository.got());
    assert!(!repository.got().contains(&"2".to_owned()));
    assert!(numbers.contains(&1) && numbers.contains(&3), "{numbers:?}");
}
