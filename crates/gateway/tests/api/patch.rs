//! patch in its two forms, alone, conditional and in Bundles.

use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Answer, PLANTED, Site};

impl Site {
    async fn json_patch(&self, token: &str, path: &str, patch: &Value) -> Answer {
        let request = Request::patch(format!("/fhir{path}"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json-patch+json")
            .body(Body::from(patch.to_string()));
        self.send(request.unwrap()).await
    }
}

fn born(date: &str) -> Value {
    json!([{"op": "add", "path": "/birthDate", "value": date}])
}

#[tokio::test]
async fn a_json_patch_makes_a_version() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let patched = site
        .json_patch(&token, "/Patient/p1", &born("1980-05-01"))
        .await;
    assert_eq!((patched.status, patched.header("etag")), (200, r#"W/"2""#));
    assert_eq!(patched.json()["birthDate"], "1980-05-01");
    let read = site.get(&token, "/Patient/p1").await;
    assert_eq!(read.json()["birthDate"], "1980-05-01");
    assert_eq!(read.json()["name"][0]["family"], PLANTED[0]);
}

#[tokio::test]
async fn a_fhirpath_patch_makes_a_version() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let patch = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "add"}, {"name": "path", "valueString": "Patient"},
        {"name": "name", "valueString": "birthDate"}, {"name": "value", "valueDate": "1980"}]}]});
    let patched = site.ask(&token, "PATCH", "/Patient/p1", &patch).await;
    assert_eq!(patched.status, 200, "{}", patched.text);
    assert_eq!(patched.json()["birthDate"], "1980");
    let conditional = format!("/Patient?identifier=urn:mrn|{}", PLANTED[1]);
    let twice = site.ask(&token, "PATCH", &conditional, &patch).await;
    twice.problem(422, "processing");
}

#[tokio::test]
async fn a_patch_that_does_not_fit_changes_nothing_and_repeats_nothing() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let test = |value: &str| json!([{"op": "test", "path": "/name/0/family", "value": value}]);
    let path = "/Patient/p1";
    site.json_patch(&token, path, &test(PLANTED[1]))
        .await
        .problem(422, "conflict");
    site.json_patch(&token, path, &json!({}))
        .await
        .problem(400, "structure");
    let id = json!([{"op": "replace", "path": "/id", "value": "p2"}]);
    site.json_patch(&token, path, &id)
        .await
        .problem(422, "business-rule");
    let broken = json!([{"op": "add", "path": "/contact", "value": [{"gender": "male"}]}]);
    let said = site
        .json_patch(&token, path, &broken)
        .await
        .problem(422, "invariant");
    assert!(said.starts_with("pat-1"), "{said}");
    site.json_patch(&token, "/Patient/none", &born("1980"))
        .await
        .problem(404, "not-found");
    let none = "/Patient?identifier=urn:mrn|nobody";
    site.json_patch(&token, none, &born("1980"))
        .await
        .problem(404, "not-found");
    let stale = [("if-match", r#"W/"7""#)];
    let parameters = json!({"resourceType": "Parameters"});
    let stale = site
        .ask_with(&token, "PATCH", path, &parameters, &stale)
        .await;
    stale.problem(412, "conflict");
    assert_eq!(site.get(&token, path).await.header("etag"), r#"W/"1""#);
}

#[tokio::test]
async fn bundles_carry_patches() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    for (index, kind) in ["transaction", "batch"].into_iter().enumerate() {
        let date = format!("198{index}");
        let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": [{
            "resource": {"resourceType": "Binary", "contentType": "application/json-patch+json",
                "data": STANDARD.encode(born(&date).to_string())},
            "request": {"method": "PATCH", "url": "Patient/p1"}}]});
        let answer = site.ask(&token, "POST", "", &bundle).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let status = answer.json()["entry"][0]["response"]["status"].clone();
        assert_eq!(status, "200 OK", "{kind}: {}", answer.text);
        let read = site.get(&token, "/Patient/p1").await;
        assert_eq!(read.json()["birthDate"], json!(date));
    }
}
