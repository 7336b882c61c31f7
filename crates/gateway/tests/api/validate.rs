//! `$validate`, and invariants at writes.

use serde_json::{Value, json};

use crate::support::{Answer, PLANTED, Site, observation};

fn issues(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.repeats_nothing();
    let outcome = answer.json();
    let issues = outcome["issue"].as_array().unwrap().iter();
    issues
        .map(|issue| {
            let code = issue["code"].as_str().unwrap();
            let place = issue["expression"][0].as_str().unwrap_or_default();
            (code.to_owned(), place.to_owned())
        })
        .collect()
}

fn pair(code: &str, place: &str) -> (String, String) {
    (code.to_owned(), place.to_owned())
}

/// Without a value, and with a narrative.
fn sound() -> Value {
    let mut sound = observation("p1", "718-7");
    let div = "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>";
    sound["text"] = json!({"status": "generated", "div": div});
    sound
}

#[tokio::test]
async fn a_resource_is_validated_and_not_written() {
    let site = Site::new();
    let token = site.ehr().await;
    let path = "/Observation/$validate";
    let valid = site.ask(&token, "POST", path, &sound()).await;
    assert_eq!(issues(&valid), [pair("informational", "")]);
    let mut broken = sound();
    broken["valueString"] = json!(PLANTED[0]);
    broken["dataAbsentReason"] = json!({"text": "x"});
    let wrapped = json!({"resourceType": "Parameters", "parameter": [
        {"name": "resource", "resource": broken}, {"name": "mode", "valueCode": "create"}]});
    let answer = site.ask(&token, "POST", path, &wrapped).await;
    assert_eq!(issues(&answer), [pair("invariant", "Observation")]);
    let mut unsound = sound();
    unsound.as_object_mut().unwrap().remove("status");
    let answer = site.ask(&token, "POST", path, &unsound).await;
    assert_eq!(issues(&answer), [pair("required", "Observation.status")]);
    let other = site
        .ask(&token, "POST", "/Patient/$validate", &sound())
        .await;
    assert_eq!(issues(&other), [pair("invalid", "")]);
    let path = "/Observation/$validate?profile=http://example.org/with-method";
    let without = site.ask(&token, "POST", path, &sound()).await;
    assert_eq!(issues(&without), [pair("required", "Observation.method")]);
    let mut with = sound();
    with["method"] = json!({"text": "x"});
    let with = site.ask(&token, "POST", path, &with).await;
    assert_eq!(issues(&with), [pair("informational", "")]);
    let path = "/Observation/$validate?profile=http://example.org/none";
    let unknown = site.ask(&token, "POST", path, &sound()).await;
    assert_eq!(issues(&unknown), [pair("not-supported", "")]);
}

#[tokio::test]
async fn an_instance_is_validated_as_it_is_and_as_it_would_be() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let path = "/Patient/p1/$validate";
    let stored = site.get(&token, path).await;
    // It has no narrative: a warning.
    assert_eq!(issues(&stored), [pair("invariant", "Patient")]);
    assert_eq!(stored.json()["issue"][0]["severity"], "warning");
    let other = json!({"resourceType": "Patient", "id": "p2"});
    let update = format!("{path}?mode=update");
    let answer = site.ask(&token, "POST", &update, &other).await;
    assert!(issues(&answer).contains(&pair("value", "Patient.id")));
    let delete = json!({"resourceType": "Parameters",
        "parameter": [{"name": "mode", "valueCode": "delete"}]});
    let answer = site.ask(&token, "POST", path, &delete).await;
    assert_eq!(issues(&answer), [pair("informational", "")]);
    assert_eq!(site.get(&token, "/Patient/p1").await.status, 200);
}

#[tokio::test]
async fn a_write_that_breaks_an_invariant_is_refused() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let mut broken = observation("p1", "718-7");
    broken["effectivePeriod"] = json!({"start": "2026-05-02", "end": "2026-05-01"});
    broken.as_object_mut().unwrap().remove("effectiveDateTime");
    let answer = site.ask(&token, "POST", "/Observation", &broken).await;
    assert!(answer.problem(422, "invariant").starts_with("per-1"));
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": broken, "request": {"method": "POST", "url": "Observation"}}]});
    let answer = site.ask(&token, "POST", "", &bundle).await;
    answer.problem(422, "invariant");
    assert_eq!(site.count(&token, "Observation").await, 0);
}
