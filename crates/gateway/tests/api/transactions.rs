//! Every verb and condition of Bundles, their order, and that a transaction is whole or nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{PLANTED, Site, observation, patient};

fn entry(method: &str, url: &str, resource: &Value) -> Value {
    let mut entry = json!({ "request": { "method": method, "url": url } });
    if !resource.is_null() {
        entry["resource"] = resource.clone();
    }
    entry
}

fn with(mut entry: Value, name: &str, value: &str) -> Value {
    entry["request"][name] = json!(value);
    entry
}

fn bundle(kind: &str, entries: &[Value]) -> Value {
    json!({ "resourceType": "Bundle", "type": kind, "entry": entries })
}

fn statuses(answer: &Value) -> Vec<String> {
    let entries = answer["entry"].as_array().unwrap().iter();
    let status = |entry: &Value| entry["response"]["status"].as_str().unwrap()[..3].to_owned();
    entries.map(status).collect()
}

fn named(mut resource: Value, id: &str) -> Value {
    resource["id"] = json!(id);
    resource
}

#[tokio::test]
async fn a_transaction_deletes_creates_updates_and_then_reads_what_it_wrote() {
    let site = Site::new();
    let token = site.ehr().await;
    for id in ["p1", "p2", "p3"] {
        site.patient(&token, id).await;
    }
    let mut changed = patient("p1");
    changed["active"] = json!(true);
    let entries = [
        entry("GET", "Patient/p1", &Value::Null),
        entry("GET", "Patient?_summary=count", &Value::Null),
        entry("HEAD", "Patient/p3", &Value::Null),
        with(entry("PUT", "Patient/p1", &changed), "ifMatch", "W/\"1\""),
        entry("POST", "Patient", &patient("ignored")),
        entry("DELETE", "Patient/p2", &Value::Null),
        entry("DELETE", "Patient/unknown", &Value::Null),
        with(
            entry("GET", "Patient/p3", &Value::Null),
            "ifNoneMatch",
            "W/\"1\"",
        ),
        entry("GET", "Patient/p3/_history", &Value::Null),
    ];
    let answer = site
        .ask(&token, "POST", "", &bundle("transaction", &entries))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(
        statuses(&answer),
        [
            "200", "200", "200", "200", "201", "204", "204", "304", "200"
        ]
    );
    assert_eq!(answer["entry"][0]["resource"]["active"], true);
    assert_eq!(answer["entry"][0]["response"]["etag"], "W/\"2\"");
    assert_eq!(answer["entry"][1]["resource"]["total"], 3);
    assert!(answer["entry"][2].get("resource").is_none());
    assert_eq!(answer["entry"][8]["resource"]["type"], "history");
}

#[tokio::test]
async fn a_read_that_fails_leaves_nothing_written() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let post = entry("POST", "Observation", &observation("p1", "718-7"));
    for (name, bad, status, code) in [
        (
            "absent",
            entry("GET", "Patient/none", &Value::Null),
            404,
            "processing",
        ),
        (
            "search",
            entry("GET", "Observation?status:rubbish=1", &Value::Null),
            400,
            "not-supported",
        ),
        (
            "deleted",
            entry("GET", "Patient/p1", &Value::Null),
            400,
            "value",
        ),
        (
            "operation",
            entry("POST", "Patient/$enroll", &Value::Null),
            501,
            "not-supported",
        ),
    ] {
        let mut entries = vec![post.clone(), bad];
        if name == "deleted" {
            entries = vec![
                entries.pop().unwrap(),
                entry("DELETE", "Patient/p1", &Value::Null),
            ];
        }
        let answer = site
            .ask(&token, "POST", "", &bundle("transaction", &entries))
            .await;
        println!("{name}: {} {}", answer.status, answer.text);
        answer.problem(status, code);
        assert_eq!(site.count(&token, "Observation").await, 0, "{name}");
        assert_eq!(site.count(&token, "Patient").await, 1, "{name}");
    }
}

#[tokio::test]
async fn conditions_of_entries_are_kept() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let query = format!("Patient?identifier=urn:mrn|{}", PLANTED[1]);
    let mut unnamed = patient("x");
    unnamed.as_object_mut().unwrap().remove("id");
    let mut put = entry("PUT", &query, &unnamed);
    put["fullUrl"] = json!("urn:uuid:05f67a5e-5dc5-4d2f-a8c8-6a7b8f6f0001");
    let mut result = observation("x", "718-7");
    result["subject"]["reference"] = put["fullUrl"].clone();
    let entries = [
        put,
        entry("POST", "Observation", &result),
        entry("DELETE", "Observation?code=none", &Value::Null),
    ];
    let answer = site
        .ask(&token, "POST", "", &bundle("transaction", &entries))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(statuses(&answer), ["200", "201", "204"]);
    assert_eq!(
        answer["entry"][0]["response"]["location"],
        "Patient/p1/_history/2"
    );
    let found = site.get(&token, "/Observation?patient=p1").await.json();
    assert_eq!(
        found["total"], 1,
        "the reference follows the patient that was found"
    );

    for (name, bad, status) in [
        (
            "stale",
            with(
                entry("DELETE", "Patient/p1", &Value::Null),
                "ifMatch",
                "W/\"1\"",
            ),
            412,
        ),
        (
            "exists",
            with(
                entry("PUT", "Patient/p1", &patient("p1")),
                "ifNoneMatch",
                "*",
            ),
            412,
        ),
        (
            "overlap",
            entry("DELETE", "Patient?_id=p1", &Value::Null),
            400,
        ),
    ] {
        let touch = if name == "overlap" {
            entry("PUT", "Patient/p1", &patient("p1"))
        } else {
            entry("POST", "Observation", &observation("p1", "1-1"))
        };
        let answer = site
            .ask(&token, "POST", "", &bundle("transaction", &[touch, bad]))
            .await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text);
        assert_eq!(site.count(&token, "Observation").await, 1, "{name}");
        let read = site.get(&token, "/Patient/p1").await;
        assert_eq!(read.header("etag"), r#"W/"2""#, "{name}");
    }
}

#[tokio::test]
async fn urns_are_resolved_in_attachments_and_narrative_too() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let (binary, document) = (
        "urn:uuid:05f67a5e-5dc5-4d2f-a8c8-6a7b8f6f0001",
        "urn:uuid:2",
    );
    let mut attached = entry(
        "POST",
        "DocumentReference",
        &json!({ "resourceType": "DocumentReference", "status": "current",
            "subject": { "reference": "Patient/p1" },
            "text": { "status": "generated", "div": format!(
                "<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"{binary}\">scan</a></div>") },
            "content": [{ "attachment": { "url": binary } }] }),
    );
    attached["fullUrl"] = json!(document);
    let mut scan = entry(
        "POST",
        "Binary",
        &json!({ "resourceType": "Binary", "contentType": "text/plain",
            "data": STANDARD.encode("scan"), "securityContext": { "reference": "Patient/p1" } }),
    );
    scan["fullUrl"] = json!(binary);
    let provenance = entry(
        "POST",
        "Provenance",
        &json!({ "resourceType": "Provenance", "target": [{ "reference": document }],
            "recorded": "2026-06-01T00:00:00Z", "agent": [{ "who": { "reference": "Patient/p1" } }] }),
    );
    let headers = [("prefer", "return=representation")];
    let body = bundle("transaction", &[attached, scan, provenance]);
    let answer = site.ask_with(&token, "POST", "", &body, &headers).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(
        !answer.text.contains("urn:uuid:05f67a5e"),
        "{}",
        answer.text
    );
    let answer = answer.json();
    let place = |at: usize| {
        let location = answer["entry"][at]["response"]["location"].as_str();
        location
            .unwrap()
            .split("/_history")
            .next()
            .unwrap()
            .to_owned()
    };
    let resource = &answer["entry"][0]["resource"];
    assert_eq!(
        resource["content"][0]["attachment"]["url"],
        place(1).as_str()
    );
    assert!(
        resource["text"]["div"]
            .as_str()
            .unwrap()
            .contains(&place(1))
    );
    let target = &answer["entry"][2]["resource"]["target"][0]["reference"];
    assert_eq!(*target, place(0).as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_come_at_once_create_what_they_share_once() {
    let site = std::sync::Arc::new(Site::new());
    let token = site.ehr().await;
    let shared = [
        json!({"resourceType": "Organization", "identifier": [{"system": "urn:org", "value": "1"}]}),
        json!({"resourceType": "Medication", "identifier": [{"system": "urn:drug", "value": "1"}]}),
    ];
    let conditions = ["identifier=urn:org|1", "identifier=urn:drug|1"];
    let entries = [0, 1].map(|at: usize| {
        let url = shared[at]["resourceType"].as_str().unwrap();
        with(
            entry("POST", url, &shared[at]),
            "ifNoneExist",
            conditions[at],
        )
    });
    let mut sent = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (site, token) = (std::sync::Arc::clone(&site), token.clone());
        let body = bundle("transaction", &entries);
        sent.spawn(async move { site.ask(&token, "POST", "", &body).await });
    }
    let mut created = [0, 0];
    for answer in sent.join_all().await {
        assert_eq!(answer.status, 200, "{}", answer.text);
        let statuses = statuses(&answer.json());
        for (status, count) in statuses.iter().zip(&mut created) {
            *count += u32::from(status == "201");
        }
    }
    assert_eq!(created, [1, 1]);
}

#[tokio::test]
async fn entries_of_a_batch_have_all_verbs_and_fail_alone() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let query = format!("Patient?identifier=urn:mrn|{}", PLANTED[1]);
    let entries = [
        entry("GET", "Patient/p1/_history/1", &Value::Null),
        entry("GET", "_history?_count=1", &Value::Null),
        entry("HEAD", "Patient/p1", &Value::Null),
        entry("GET", "Patient/none", &Value::Null),
        with(
            entry("POST", "Patient", &patient("x")),
            "ifNoneExist",
            &query,
        ),
        entry(
            "PUT",
            "Observation/o1",
            &named(observation("p1", "718-7"), "o1"),
        ),
        with(
            entry("PUT", "Patient/p1", &patient("p1")),
            "ifMatch",
            "W/\"9\"",
        ),
        entry("DELETE", "Observation?code=none", &Value::Null),
        with(
            entry("GET", "Patient/p1", &Value::Null),
            "ifModifiedSince",
            "2026-12-01T00:00:00Z",
        ),
        entry("GET", "Patient/p1/$nothing", &Value::Null),
        entry("GET", "Observation?patient=p1", &Value::Null),
    ];
    let answer = site
        .ask(&token, "POST", "", &bundle("batch", &entries))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(
        statuses(&answer),
        [
            "200", "200", "200", "404", "200", "201", "412", "204", "304", "404", "200"
        ]
    );
    let entries = answer["entry"].as_array().unwrap();
    for (at, entry) in entries.iter().enumerate() {
        let outcome = &entry["response"]["outcome"];
        assert_eq!(outcome.is_object(), [3, 6, 9].contains(&at), "{at}");
    }
    assert_eq!(
        entries[10]["resource"]["total"], 1,
        "a batch reads what it wrote"
    );
    assert_eq!(
        entries[5]["response"]["location"],
        "Observation/o1/_history/1"
    );
}

#[tokio::test]
async fn preferences_decide_what_entries_answer() {
    let site = Site::new();
    let token = site.ehr().await;
    let put = [entry("PUT", "Patient/p1", &patient("p1"))];
    for kind in ["batch", "transaction"] {
        for (prefer, resource, outcome) in [
            ("return=minimal", false, false),
            ("return=representation", true, false),
            ("return=OperationOutcome", false, true),
        ] {
            let headers = [("prefer", prefer)];
            let body = bundle(kind, &put);
            let answer = site
                .ask_with(&token, "POST", "", &body, &headers)
                .await
                .json();
            let entry = &answer["entry"][0];
            assert_eq!(entry.get("resource").is_some(), resource, "{kind} {prefer}");
            let said = entry["response"].get("outcome").is_some();
            assert_eq!(said, outcome, "{kind} {prefer}");
        }
    }
}
