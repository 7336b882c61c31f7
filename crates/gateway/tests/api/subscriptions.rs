//! Topic-based subscriptions: who is told what, in order, without gaps, until it was taken.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use futures::{SinkExt as _, StreamExt as _};
use gateway::SubscriptionConfig;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::notices::labelled;
use crate::patience::{PATIENCE, until};
use crate::support::{Ask, BASE, Site, Wallet, observation, patient};

const IG: &str = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition";

/// A subscriber's server: takes notifications, or refuses them.
#[derive(Clone, Default)]
struct Hook {
    got: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
    /// How many of the next notifications it refuses.
    refuses: Arc<AtomicUsize>,
}

impl Hook {
    async fn listen(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new()
            .route("/hook", axum::routing::post(take))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    fn refuse(&self, notifications: usize) {
        self.refuses.store(notifications, Ordering::SeqCst);
    }

    /// Numbers of the events that were taken, in order.
    fn numbers(&self) -> Vec<u64> {
        let got = self.got.lock().unwrap();
        got.iter().flat_map(|(_, body)| numbers(body)).collect()
    }

    fn kinds(&self) -> Vec<String> {
        let got = self.got.lock().unwrap();
        let kinds = got.iter().map(|(_, body)| said(body, "type", "valueCode"));
        kinds.collect()
    }

    fn text(&self) -> String {
        let got = self.got.lock().unwrap();
        got.iter().map(|(_, body)| body.to_string()).collect()
    }
}

async fn take(
    State(hook): State<Hook>,
    headers: HeaderMap,
    axum::Json(body): axum::Json<Value>,
) -> StatusCode {
    let order = Ordering::SeqCst;
    let refused = hook
        .refuses
        .fetch_update(order, order, |left| left.checked_sub(1));
    if refused.is_ok() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    hook.got.lock().unwrap().push((headers, body));
    StatusCode::OK
}

fn parameters(body: &Value) -> Vec<Value> {
    let status = &body["entry"][0]["resource"];
    status["parameter"].as_array().unwrap().clone()
}

fn said(body: &Value, name: &str, kind: &str) -> String {
    let parameters = parameters(body);
    let found = parameters.iter().find(|one| one["name"] == name);
    found.unwrap()[kind].as_str().unwrap().to_owned()
}

fn numbers(body: &Value) -> Vec<u64> {
    let parameters = parameters(body).into_iter();
    parameters
        .filter(|one| one["name"] == "notification-event")
        .map(|one| {
            one["part"][0]["valueString"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect()
}

fn asked(topic: &str, filter: Option<&str>, content: &str, channel: &Value) -> Value {
    let mut subscription = json!({
        "resourceType": "Subscription", "status": "requested", "reason": "test",
        "criteria": format!("urn:careledger:topic:{topic}"),
        "channel": channel,
    });
    subscription["channel"]["payload"] = json!("application/fhir+json");
    subscription["channel"]["_payload"] = json!({ "extension": [
        { "url": format!("{IG}/backport-payload-content"), "valueCode": content } ] });
    if let Some(filter) = filter {
        subscription["_criteria"] = json!({ "extension": [
            { "url": format!("{IG}/backport-filter-criteria"), "valueString": filter } ] });
    }
    subscription
}

fn hooked(origin: &str) -> Value {
    json!({ "type": "rest-hook", "endpoint": format!("{origin}/hook"),
        "header": ["X-Key: planted-7731"] })
}

fn telling(origin: &str) -> Site {
    Site::telling("clinic", BASE, 5, config(origin))
}

fn config(origin: &str) -> SubscriptionConfig {
    SubscriptionConfig {
        receivers: Vec::new(),
        rest_hooks: vec![origin.to_owned()],
        pause: Duration::from_millis(10),
        pause_max: Duration::from_millis(40),
        attempts_max: 3,
    }
}

async fn subscribe(site: &Site, token: &str, body: &Value) -> String {
    let answer = site.ask(token, "POST", "/Subscription", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let location = format!("{BASE}/fhir/Subscription/{id}");
    assert_eq!(answer.header("location"), location);
    id
}

pub(crate) async fn active(site: &Site, token: &str, id: &str) {
    until("the subscription is active", async || {
        let answer = site.get(token, &format!("/Subscription/{id}")).await;
        answer.json()["status"] == "active"
    })
    .await;
}

async fn observe(site: &Site, token: &str, patient: &str, code: &str) -> String {
    let body = observation(patient, code);
    let created = site.ask(token, "POST", "/Observation", &body).await;
    assert_eq!(created.status, 201, "{}", created.text);
    created.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn part2_2_a_notification_carries_the_notice_of_what_it_holds() {
    let hook = Hook::default();
    let origin = hook.listen().await;
    let site = telling(&origin);
    let ehr = site.ehr().await;
    site.patient(&ehr, "p1").await;
    let filter = Some("Observation?patient=p1");
    let body = asked("record", filter, "full-resource", &hooked(&origin));
    let id = subscribe(&site, &ehr, &body).await;
    active(&site, &ehr, &id).await;
    observe(&site, &ehr, "p1", "75626-2").await;
    until("an event", async || hook.numbers() == [1]).await;
    let got = hook.got.lock().unwrap().clone();
    let held: usize = got.iter().map(|(_, body)| labelled_within(body)).sum();
    assert_eq!(held, 1);
}

/// Resources in a notification that have a label of substance use, all of which carry the notice.
fn labelled_within(body: &Value) -> usize {
    let entries = body["entry"].as_array().unwrap().iter();
    entries.map(|entry| labelled(&entry["resource"])).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rest_hook_hears_of_what_matches_in_order_with_its_headers() {
    let hook = Hook::default();
    let origin = hook.listen().await;
    let site = telling(&origin);
    let ehr = site.ehr().await;
    site.patient(&ehr, "p1").await;
    site.patient(&ehr, "p2").await;
    let filter = Some("Observation?patient=p1&code=718-7");
    let body = asked("record", filter, "full-resource", &hooked(&origin));
    let id = subscribe(&site, &ehr, &body).await;
    active(&site, &ehr, &id).await;
    let shown = site.get(&ehr, &format!("/Subscription/{id}")).await;
    assert!(!shown.text.contains("X-Key"), "headers are not shown");

    let first = observe(&site, &ehr, "p1", "718-7").await;
    observe(&site, &ehr, "p2", "718-7").await;
    observe(&site, &ehr, "p1", "other").await;
    let mut amended = observation("p1", "718-7");
    amended["id"] = json!(first);
    amended["status"] = json!("amended");
    site.ask(&ehr, "PUT", &format!("/Observation/{first}"), &amended)
        .await;
    site.ask(
        &ehr,
        "DELETE",
        &format!("/Observation/{first}"),
        &Value::Null,
    )
    .await;
    until("three events", async || hook.numbers() == [1, 2, 3]).await;
    assert_eq!(hook.kinds()[0], "handshake");
    let got = hook.got.lock().unwrap().clone();
    assert!(
        got.iter()
            .all(|(headers, _)| headers["x-key"] == "planted-7731")
    );
    let text = hook.text();
    assert!(text.contains("amended") && !text.contains("p2"));
    let methods: Vec<Value> = got
        .iter()
        .flat_map(|(_, body)| body["entry"].as_array().unwrap()[1..].to_vec())
        .map(|entry| entry["request"]["method"].clone())
        .collect();
    assert_eq!(methods, ["POST", "PUT", "DELETE"]);
    let missed = format!("/Subscription/{id}/$events?eventsSinceNumber=2&content=id-only");
    let missed = site.get(&ehr, &missed).await;
    assert_eq!(numbers(&missed.json()), [2, 3], "{}", missed.text);
    assert!(!missed.text.contains("amended"));
    let status = site.get(&ehr, &format!("/Subscription/{id}/$status")).await;
    let events = said(
        &status.json(),
        "events-since-subscription-start",
        "valueString",
    );
    assert_eq!(events, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forbidden_is_not_told_and_leaves_no_gap() {
    let hook = Hook::default();
    let origin = hook.listen().await;
    let site = telling(&origin);
    let ehr = site.ehr().await;
    let marketing = Ask {
        purpose: Some("HMARKT"),
        ..Ask::default()
    };
    let marketing = site.token(&marketing).await;
    site.patient(&ehr, "p1").await;
    let body = asked("record", None, "id-only", &hooked(&origin));
    let id = subscribe(&site, &marketing, &body).await;
    active(&site, &marketing, &id).await;
    let denied = observe(&site, &ehr, "p1", "718-7").await;
    site.get(&marketing, &format!("/Observation/{denied}"))
        .await
        .problem(403, "forbidden");
    let organization = json!({ "resourceType": "Organization", "name": "A" });
    for _ in 0..2 {
        observe(&site, &ehr, "p1", "718-7").await;
        site.ask(&ehr, "POST", "/Organization", &organization).await;
    }
    let allowed = site.get(&marketing, "/Organization").await.json();
    let expected: Vec<u64> = (1..=allowed["total"].as_u64().unwrap()).collect();
    assert!(!expected.is_empty());
    until("what is allowed", async || hook.numbers() == expected).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(hook.numbers(), expected);
    assert!(!hook.text().contains("Observation"));
    assert!(!hook.text().contains(&denied));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_sent_again_then_kept_for_the_operator() {
    let hook = Hook::default();
    let origin = hook.listen().await;
    let site = telling(&origin);
    let ehr = site.ehr().await;
    site.patient(&ehr, "p1").await;
    let body = asked("record", Some("Observation"), "id-only", &hooked(&origin));
    let id = subscribe(&site, &ehr, &body).await;
    active(&site, &ehr, &id).await;
    hook.refuse(2);
    observe(&site, &ehr, "p1", "1").await;
    until("the first event", async || hook.numbers() == [1]).await;

    hook.refuse(usize::MAX);
    observe(&site, &ehr, "p1", "2").await;
    let dead = until("a dead letter", async || {
        let dead = site.get(&ehr, "/Subscription/$dead-letters").await.json();
        dead["parameter"].is_array().then_some(dead)
    })
    .await;
    let part = &dead["parameter"][0]["part"];
    assert_eq!(part[2]["valueString"], "2", "{dead}");
    let shown = site.get(&ehr, &format!("/Subscription/{id}")).await.json();
    assert_eq!(shown["status"], "error");
    let replay = format!("/Subscription/{id}/$replay");
    let refused = site.ask(&ehr, "POST", &replay, &Value::Null).await;
    assert_eq!(refused.status, 502);
    hook.refuse(0);
    let replayed = site.ask(&ehr, "POST", &replay, &Value::Null).await;
    assert_eq!(replayed.status, 200, "{}", replayed.text);
    assert_eq!(hook.numbers(), [1, 2]);
    let dead = site.get(&ehr, "/Subscription/$dead-letters").await.json();
    assert!(dead.get("parameter").is_none());
    observe(&site, &ehr, "p1", "3").await;
    until("the third event", async || hook.numbers() == [1, 2, 3]).await;
    active(&site, &ehr, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_taken_before_a_stop_is_sent_after_it_under_its_number() {
    let hook = Hook::default();
    let origin = hook.listen().await;
    let site = telling(&origin);
    let ehr = site.ehr().await;
    site.patient(&ehr, "p1").await;
    let body = asked("record", Some("Observation"), "id-only", &hooked(&origin));
    let id = subscribe(&site, &ehr, &body).await;
    active(&site, &ehr, &id).await;
    observe(&site, &ehr, "p1", "1").await;
    until("the first event", async || hook.numbers() == [1]).await;
    hook.refuse(usize::MAX);
    let second = observe(&site, &ehr, "p1", "2").await;
    let site = site.again(config(&origin));
    let ehr = site.ehr().await;
    let third = observe(&site, &ehr, "p1", "3").await;
    hook.refuse(0);
    let replay = format!("/Subscription/{id}/$replay");
    until("all of them", async || {
        // What was given up before the subscriber was back is the operator's to send.
        site.ask(&ehr, "POST", &replay, &Value::Null).await;
        let numbers = hook.numbers();
        [1, 2, 3].iter().all(|number| numbers.contains(number))
    })
    .await;
    let numbers = hook.numbers();
    assert!(numbers.iter().all(|one| *one <= 3), "{numbers:?}");
    let text = hook.text();
    assert!(text.contains(&second) && text.contains(&third));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_hears_of_accesses_over_a_websocket() {
    let site = Site::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(gateway::serve(
        listener,
        site.router(),
        std::future::pending(),
    ));
    let wallet = Wallet::new(3);
    let patient_id = wallet.enroll(&site).await;
    let (ehr, token) = (site.ehr().await, wallet.token(&site, &patient_id).await);
    let path = format!("/Patient/{patient_id}");
    site.ask(&ehr, "PUT", &path, &patient(&patient_id)).await;
    let body = asked(
        "access",
        None,
        "full-resource",
        &json!({ "type": "websocket" }),
    );
    site.ask(&ehr, "POST", "/Subscription", &body)
        .await
        .problem(403, "forbidden");
    let id = subscribe(&site, &token, &body).await;
    site.get(&ehr, &format!("/Subscription/{id}"))
        .await
        .problem(404, "not-found");

    let bind = format!("/Subscription/{id}/$get-ws-binding-token");
    let bound = site.get(&token, &bind).await.json();
    let secret = bound["parameter"][0]["valueString"].as_str().unwrap();
    let url = bound["parameter"][2]["valueUrl"].as_str().unwrap();
    assert_eq!(url, "ws://127.0.0.1:8101/subscriptions/websocket");
    let url = format!("ws://{address}/subscriptions/websocket");
    let (mut stranger, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    let wrong = Message::text("bind-with-token: 00");
    stranger.send(wrong).await.unwrap();
    let closed = stranger.next().await.unwrap().unwrap();
    assert!(closed.is_close(), "a wrong token ends the connection");

    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    let message = Message::text(format!("bind-with-token: {secret}"));
    socket.send(message).await.unwrap();
    let handshake = next(&mut socket).await;
    assert_eq!(said(&handshake, "type", "valueCode"), "handshake");
    site.get(&ehr, &path).await;
    let told = next(&mut socket).await;
    assert_eq!(numbers(&told), [1]);
    let event = &told["entry"][1]["resource"];
    assert_eq!(event["resourceType"], "AuditEvent");
    assert_eq!(event["agent"][0]["who"]["display"], "Practitioner/7");
    // The wallet's own reading is no news to it.
    site.get(&token, &path).await;
    site.get(&ehr, &path).await;
    assert_eq!(numbers(&next(&mut socket).await), [2]);
}

async fn next(
    socket: &mut (
             impl futures::Stream<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin
         ),
) -> Value {
    let message = tokio::time::timeout(PATIENCE, socket.next()).await;
    let message = message.unwrap().unwrap().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_can_be_discovered_and_what_is_not_allowed_is_refused() {
    let site = telling("https://ehr.example");
    let ehr = site.ehr().await;
    let topics = site.get(&ehr, "/Subscription/$topics").await.json();
    assert_eq!(topics["total"], 5);
    for endpoint in [
        "http://169.254.169.254",
        "https://ehr.example.org",
        "file:///etc",
    ] {
        let body = asked("record", None, "empty", &hooked(endpoint));
        site.ask(&ehr, "POST", "/Subscription", &body)
            .await
            .problem(422, "business-rule");
    }
    let unknown = asked("rubbish", None, "empty", &hooked("https://ehr.example"));
    site.ask(&ehr, "POST", "/Subscription", &unknown)
        .await
        .problem(422, "not-supported");
    let elsewhere = asked(
        "record-elsewhere",
        None,
        "empty",
        &hooked("https://ehr.example"),
    );
    site.ask(&ehr, "POST", "/Subscription", &elsewhere)
        .await
        .problem(422, "not-supported");
}
