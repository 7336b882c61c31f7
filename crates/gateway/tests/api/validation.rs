//! Writes are held against R4 and the profiles that they claim, strictly or leniently.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::{Answer, Site, observation, patient};

const PREFERS_OUTCOME: [(&str, &str); 1] = [("prefer", "return=OperationOutcome")];

/// An Observation without the method that the profile asks for.
fn claiming() -> Value {
    let mut one = observation("p1", "718-7");
    one["meta"] =
        json!({"profile": ["http://example.org/with-method", "http://example.org/unknown"]});
    one
}

/// An Observation with an element that R4 does not define.
fn with_rest() -> Value {
    let mut one = observation("p1", "718-7");
    one["localScore"] = json!(7);
    one
}

fn transaction(resource: &Value) -> Value {
    json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"request": {"method": "POST", "url": "Observation"}, "resource": resource}]})
}

/// Severity and element of each issue but the one that says that it is done.
fn remarks(outcome: &Value) -> Vec<String> {
    let issues = outcome["issue"].as_array().unwrap().iter();
    let issues = issues.filter(|issue| issue["severity"] != "information");
    let shown = issues.map(|issue| {
        let severity = issue["severity"].as_str().unwrap();
        let element = issue["expression"][0].as_str().unwrap_or_default();
        format!("{severity} {element}")
    });
    shown.collect()
}

async fn create(site: &Site, token: &str, resource: &Value) -> Answer {
    site.ask_with(token, "POST", "/Observation", resource, &PREFERS_OUTCOME)
        .await
}

async fn documentation(site: &Site, token: &str) -> String {
    let statement = site.get(token, "/metadata").await.json();
    let types = statement["rest"][0]["resource"].as_array().unwrap();
    let supported: Vec<&Value> = types
        .iter()
        .map(|one| &one["supportedProfile"])
        .filter(|one| !one.is_null())
        .collect();
    assert_eq!(supported, [&json!(["http://example.org/with-method"])]);
    statement["rest"][0]["documentation"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_strict_node_refuses_what_breaks_a_claimed_profile() {
    let site = Site::new();
    let token = site.ehr().await;
    site.ask(&token, "PUT", "/Patient/p1", &patient("p1")).await;
    assert!(documentation(&site, &token).await.contains("strict"));
    let refused = create(&site, &token, &claiming()).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert_eq!(remarks(&refused.json()), ["error Observation.method"]);
    let refused = site
        .ask(&token, "POST", "/", &transaction(&claiming()))
        .await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert_eq!(create(&site, &token, &with_rest()).await.status, 400);
    let mut kept = claiming();
    kept["method"] = json!({"text": "by hand"});
    let created = create(&site, &token, &kept).await;
    assert_eq!(created.status, 201, "{}", created.text);
    assert!(remarks(&created.json()).is_empty());
    let id = created.headers["location"]
        .to_str()
        .unwrap()
        .split('/')
        .nth(5)
        .unwrap()
        .to_owned();
    let patch = json!([{"op": "remove", "path": "/method"}]);
    let request = Request::patch(format!("/fhir/Observation/{id}"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json-patch+json")
        .body(Body::from(patch.to_string()));
    let patched = site.send(request.unwrap()).await;
    assert_eq!(patched.status, 422, "{}", patched.text);
    assert_eq!(site.count(&token, "Observation").await, 1);
}

#[tokio::test]
async fn a_lenient_node_takes_it_and_warns() {
    let site = Site::lenient();
    let token = site.ehr().await;
    site.ask(&token, "PUT", "/Patient/p1", &patient("p1")).await;
    assert!(documentation(&site, &token).await.contains("lenient"));
    for (resource, element) in [
        (claiming(), "Observation.method"),
        (with_rest(), "Observation.*"),
    ] {
        let created = create(&site, &token, &resource).await;
        assert_eq!(created.status, 201, "{}", created.text);
        let expected = format!("warning {element}");
        assert_eq!(remarks(&created.json()), [expected.as_str()]);
        let bundle = transaction(&resource);
        let answer = site
            .ask_with(&token, "POST", "/", &bundle, &PREFERS_OUTCOME)
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let outcome = &answer.json()["entry"][0]["response"]["outcome"];
        assert_eq!(remarks(outcome), [expected.as_str()]);
    }
    // What could not be kept is refused still.
    let mut broken = with_rest();
    broken.as_object_mut().unwrap().remove("status");
    assert_eq!(create(&site, &token, &broken).await.status, 400);
    let kept = site.get(&token, "/Observation?code=718-7").await.json();
    assert!(kept.to_string().contains("\"localScore\":7"));
}
