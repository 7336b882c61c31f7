//! Bulk import: each line once, whatever fails, from nowhere but where the operator allows.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, stream};
use gateway::SubscriptionConfig;
use serde_json::{Value, json};

use crate::patience::until;
use crate::support::{Answer, Ask, BASE, PLANTED, Site};

const ASYNC: [(&str, &str); 1] = [("prefer", "respond-async")];

/// What a file's server does with the first request, or for as long as it is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Answers,
    /// Ends the connection after so many bytes.
    Breaks(usize),
    /// Says no more after so many bytes of the file, whoever asks for them.
    Stalls(usize),
}

/// A server of files.
#[derive(Clone)]
struct Files {
    text: Arc<Mutex<String>>,
    first: First,
    stalls: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    ranges: Arc<Mutex<Vec<String>>>,
}

impl Files {
    async fn serve(text: String, first: First) -> (Self, String) {
        let files = Self {
            text: Arc::new(Mutex::new(text)),
            first,
            stalls: Arc::new(AtomicBool::new(true)),
            asked: Arc::default(),
            ranges: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new()
            .route("/{name}", axum::routing::get(give))
            .with_state(files.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (files, format!("http://{address}"))
    }

    fn stall(&self, stalls: bool) {
        self.stalls.store(stalls, Ordering::SeqCst);
    }

    fn times(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn give(
    State(files): State<Files>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let before = files.asked.fetch_add(1, Ordering::SeqCst);
    if name == "moved" {
        return (StatusCode::FOUND, [(header::LOCATION, "/file")]).into_response();
    }
    if name == "p9" {
        let patient = json!({ "resourceType": "Patient", "id": "p9" });
        return patient.to_string().into_response();
    }
    let text = files.text.lock().unwrap().clone();
    let etag = format!("\"{}\"", text.len());
    let range = headers.get(header::RANGE).and_then(|one| one.to_str().ok());
    let from: usize = range.map_or(0, |range| {
        files.ranges.lock().unwrap().push(range.to_owned());
        let from = range.trim_start_matches("bytes=");
        from.trim_end_matches('-').parse().unwrap()
    });
    let rest = Bytes::from(text[from..].to_owned());
    let first = match files.first {
        First::Stalls(_) if files.stalls.load(Ordering::SeqCst) => files.first,
        First::Breaks(_) if before == 0 => files.first,
        First::Answers | First::Breaks(_) | First::Stalls(_) => First::Answers,
    };
    let body = match first {
        First::Answers => Body::from(rest),
        First::Breaks(at) => {
            let some = stream::iter([Ok(rest.slice(..at))]);
            let broken = stream::once(async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                Err(std::io::Error::other("broken"))
            });
            Body::from_stream(some.chain(broken))
        }
        First::Stalls(at) => {
            let some = stream::iter([Ok::<_, Infallible>(rest.slice(..at.saturating_sub(from)))]);
            Body::from_stream(some.chain(stream::pending()))
        }
    };
    let range = format!("bytes {from}-{}/{}", text.len() - 1, text.len());
    let status = if from > 0 {
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    };
    let headers = [(header::ETAG, etag), (header::CONTENT_RANGE, range)];
    (status, headers, body).into_response()
}

pub(crate) fn manifest_of(inputs: &[(&str, String)]) -> Value {
    let inputs = inputs
        .iter()
        .map(|(kind, url)| json!({ "type": kind, "url": url }));
    json!({
        "inputFormat": "application/fhir+ndjson",
        "inputSource": "https://other.example",
        "storageDetail": { "type": "https" },
        "input": inputs.collect::<Vec<_>>(),
    })
}

pub(crate) async fn importer(site: &Site) -> String {
    let ask = Ask {
        scope: "system/*.cruds careledger/import",
        ..Ask::default()
    };
    site.token(&ask).await
}

async fn ask(site: &Site, token: &str, body: &Value) -> Answer {
    site.ask_with(token, "POST", "/$import", body, &ASYNC).await
}

pub(crate) async fn begun(site: &Site, token: &str, body: &Value) -> String {
    let answer = ask(site, token, body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    below(answer.header("content-location"))
}

pub(crate) fn below(url: &str) -> String {
    url.strip_prefix(&format!("{BASE}/fhir"))
        .unwrap()
        .to_owned()
}

pub(crate) async fn finished(site: &Site, token: &str, place: &str) -> Value {
    until("the import is finished", async || {
        let answer = site.get(token, place).await;
        if answer.status == 200 {
            return Some(answer.json());
        }
        assert_eq!(answer.status, 202, "{}", answer.text);
        assert!(answer.header("x-progress").contains(" files, "));
        None
    })
    .await
}

async fn refusals(site: &Site, token: &str, manifest: &Value, at: usize) -> Vec<(u64, String)> {
    let file = &manifest["error"][at];
    let answer = site.get(token, &below(file["url"].as_str().unwrap())).await;
    assert_eq!(answer.header("content-type"), "application/fhir+ndjson");
    for planted in PLANTED {
        assert!(!answer.text.contains(planted), "{}", answer.text);
    }
    let lines: Vec<Value> = answer
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(file["count"], lines.len());
    lines
        .iter()
        .map(|one| {
            assert_eq!(one["resourceType"], "OperationOutcome");
            let line = one["extension"][0]["valueUnsignedInt"].as_u64().unwrap();
            (line, one["issue"][0]["code"].as_str().unwrap().to_owned())
        })
        .collect()
}

fn organizations(count: usize) -> String {
    let line = |n| json!({ "resourceType": "Organization", "id": format!("o{n}"), "name": format!("Number {n}") });
    (0..count).map(|n| format!("{}\n", line(n))).collect()
}

async fn written_once(site: &Site, token: &str, count: usize) {
    let found = site.get(token, "/Organization?_summary=count").await;
    assert_eq!(found.json()["total"], count);
    for n in 0..count {
        let found = site.get(token, &format!("/Organization/o{n}")).await;
        assert_eq!(found.header("etag"), "W/\"1\"", "no line is written twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_is_written_or_refused_and_a_refusal_names_the_line_alone() {
    let lines = [
        json!({ "resourceType": "Patient", "id": "p1", "name": [{ "family": PLANTED[0] }] })
            .to_string(),
        json!({ "resourceType": "Patient", "id": "p2", "gender": PLANTED[1] }).to_string(),
        format!("{{ \"resourceType\": \"Patient\", \"{}\"", PLANTED[2]),
        String::new(),
        json!({ "resourceType": "Patient", "name": [{ "family": PLANTED[0] }] }).to_string(),
        json!({ "resourceType": "Group", "id": "g", "type": "person", "actual": true }).to_string(),
        json!({ "resourceType": "Patient", "id": "p1", "active": true,
            "meta": { "source": "https://first.example" } })
        .to_string(),
    ];
    let (_, patients) = Files::serve(lines.join("\r\n"), First::Answers).await;
    let site = Site::importing(&patients);
    let token = importer(&site).await;
    let body = manifest_of(&[
        ("Patient", format!("{patients}/patients?sig=secret")),
        ("Patient", format!("{patients}/moved")),
    ]);
    let place = begun(&site, &token, &body).await;
    let manifest = finished(&site, &token, &place).await;
    assert_eq!(manifest["output"][0]["count"], 2);
    assert_eq!(manifest["output"][1]["count"], 0);
    assert_eq!(manifest["requiresAccessToken"], true);
    let refused = refusals(&site, &token, &manifest, 0).await;
    let lines: Vec<u64> = refused.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 3, 5, 6]);
    let moved = refusals(&site, &token, &manifest, 1).await;
    assert_eq!(
        moved,
        [(0, "incomplete".to_owned())],
        "redirects are not followed"
    );
    let ehr = site.ehr().await;
    let patient = site.get(&ehr, "/Patient/p1").await.json();
    assert_eq!(patient["meta"]["versionId"], "2", "lines keep their order");
    assert_eq!(patient["meta"]["source"], "https://first.example");
    let first = site.get(&ehr, "/Patient/p1/_history/1").await.json();
    assert_eq!(first["meta"]["source"], "https://other.example");

    let ended = site.ask(&token, "DELETE", &place, &Value::Null).await;
    assert_eq!(ended.status, 202);
    site.get(&token, &place).await.problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn patients_come_first_and_parameters_say_the_same() {
    let observation = json!({ "resourceType": "Observation", "id": "b1", "status": "final",
        "subject": { "reference": "Patient/p9" }, "code": { "text": "a" } });
    let (_, one) = Files::serve(observation.to_string(), First::Answers).await;
    let site = Site::importing(&one);
    let token = importer(&site).await;
    let ehr = site.ehr().await;
    let body = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "inputFormat", "valueCode": "application/fhir+ndjson" },
        { "name": "inputSource", "valueUri": "https://other.example" },
        { "name": "storageDetail", "part": [{ "name": "type", "valueCode": "https" }] },
        { "name": "input", "part": [
            { "name": "type", "valueCode": "Observation" },
            { "name": "url", "valueUrl": format!("{one}/file") } ] },
        { "name": "input", "part": [
            { "name": "type", "valueCode": "Patient" },
            { "name": "url", "valueUrl": format!("{one}/p9") } ] },
    ] });
    let place = begun(&site, &token, &body).await;
    let manifest = finished(&site, &token, &place).await;
    assert_eq!(manifest["output"][0]["count"], 1, "{manifest}");
    assert_eq!(manifest["error"], json!([]));
    let found = site
        .get(&ehr, "/Observation?patient=p9&_summary=count")
        .await;
    assert_eq!(found.json()["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_is_not_fetched() {
    let (files, origin) = Files::serve(organizations(1), First::Answers).await;
    let site = Site::importing(&origin);
    let token = importer(&site).await;
    for url in [
        "http://169.254.169.254/latest",
        "http://localhost:1/file",
        "https://other.example/file",
        "file:///etc/passwd",
        &origin.replace("127.0.0.1", "user@127.0.0.1"),
    ] {
        let body = manifest_of(&[("Organization", url.to_owned())]);
        ask(&site, &token, &body)
            .await
            .problem(422, "business-rule");
    }
    let body = manifest_of(&[("Organization", format!("{origin}/file"))]);
    let ehr = site.ehr().await;
    ask(&site, &ehr, &body).await.problem(403, "forbidden");
    let narrow = Ask {
        scope: "system/Organization.c careledger/import",
        ..Ask::default()
    };
    let narrow = site.token(&narrow).await;
    ask(&site, &narrow, &body).await.problem(403, "forbidden");
    let direct = site.ask(&token, "POST", "/$import", &body).await;
    direct.problem(400, "value");
    for (name, value) in [
        ("inputFormat", json!("text/csv")),
        ("inputSource", Value::Null),
        ("storageDetail", json!({ "type": "aws-s3" })),
        ("input", json!([{ "type": "Rubbish", "url": origin }])),
    ] {
        let mut body = body.clone();
        body[name] = value;
        ask(&site, &token, &body).await.problem(400, "value");
    }
    assert_eq!(files.times(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_breaks_off_is_fetched_from_there_on() {
    let text = organizations(700);
    let half = text.len() / 2;
    let (files, origin) = Files::serve(text, First::Breaks(half)).await;
    let site = Site::importing(&origin);
    let token = importer(&site).await;
    let body = manifest_of(&[("Organization", format!("{origin}/file"))]);
    let place = begun(&site, &token, &body).await;
    let manifest = finished(&site, &token, &place).await;
    assert_eq!(manifest["output"][0]["count"], 700);
    assert_eq!(manifest["error"], json!([]));
    assert_eq!((files.times(), files.ranges.lock().unwrap().len()), (2, 1));
    written_once(&site, &token, 700).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_goes_on_where_it_was_and_a_changed_file_is_left() {
    let text = organizations(700);
    let most = text.len() - 1_000;
    let (files, origin) = Files::serve(text.clone(), First::Stalls(most)).await;
    let site = Site::importing(&origin);
    let token = importer(&site).await;
    let body = manifest_of(&[("Organization", format!("{origin}/file"))]);
    let place = begun(&site, &token, &body).await;
    let far = async |site: &Site, place: &str| {
        until("most of it is written", async || {
            let answer = site.get(&token, place).await;
            answer.header("x-progress").contains("512 resources")
        })
        .await;
    };
    far(&site, &place).await;
    files.stall(false);
    let site = site.again(SubscriptionConfig::default());
    let manifest = finished(&site, &token, &place).await;
    assert_eq!(manifest["output"][0]["count"], 700);
    written_once(&site, &token, 700).await;

    files.stall(true);
    let place = begun(&site, &token, &body).await;
    far(&site, &place).await;
    files.text.lock().unwrap().push_str("{}\n");
    files.stall(false);
    let site = site.again(SubscriptionConfig::default());
    let manifest = finished(&site, &token, &place).await;
    assert_eq!(manifest["output"][0]["count"], 512);
    let refused = refusals(&site, &token, &manifest, 0).await;
    assert_eq!(refused, [(512, "incomplete".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_stopped_while_it_writes_writes_no_line_twice() {
    let (_, origin) = Files::serve(organizations(600), First::Answers).await;
    let mut site = Site::importing(&origin);
    let token = importer(&site).await;
    let body = manifest_of(&[("Organization", format!("{origin}/file"))]);
    let place = begun(&site, &token, &body).await;
    for pause in [30, 60, 90, 120, 150] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        site = site.again(SubscriptionConfig::default());
    }
    let manifest = finished(&site, &token, &place).await;
    assert_eq!(manifest["output"][0]["count"], 600);
    assert_eq!(manifest["error"], json!([]));
    written_once(&site, &token, 600).await;
}
