//! What is wrong is refused with a problem that helps, loses nothing, and repeats nothing.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::{PLANTED, Site, Wallet, consent, observation, patient};

#[tokio::test]
async fn every_truncation_of_a_resource_is_refused() {
    let site = Site::new();
    let token = site.ehr().await;
    let whole = patient("p1").to_string();
    for end in 0..whole.len() {
        let answer = site
            .post_bytes(&token, "/Patient", &whole.as_bytes()[..end])
            .await;
        assert_eq!(answer.status, 400, "{end}: {}", answer.text);
        answer.repeats_nothing();
        assert_eq!(answer.json()["resourceType"], "OperationOutcome");
    }
    assert_eq!(site.count(&token, "Patient").await, 0);
    assert_eq!(
        site.post_bytes(&token, "/Patient", whole.as_bytes())
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn bodies_that_are_no_such_resource_are_refused() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let duplicate = br#"{"resourceType":"Patient","plantedkey":1,"plantedkey":2}"#;
    for (name, body) in [
        ("array", b"[\"planted-7731\"]".as_slice()),
        ("text", b"\"planted-7731\""),
        ("no type", b"{\"id\":\"planted-7731\"}"),
        ("type of another kind", b"{\"resourceType\":1}"),
        ("unknown type", b"{\"resourceType\":\"Plantedfamily\"}"),
        (
            "another type",
            b"{\"resourceType\":\"Observation\",\"id\":\"planted-7731\"}",
        ),
        (
            "not UTF-8",
            b"{\"resourceType\":\"Patient\",\"id\":\"\xff\"}",
        ),
        ("key twice", duplicate),
        (
            "active is text",
            b"{\"resourceType\":\"Patient\",\"active\":\"planted-7731\"}",
        ),
        (
            "name is text",
            b"{\"resourceType\":\"Patient\",\"name\":\"Plantedfamily\"}",
        ),
        ("null", b"{\"resourceType\":\"Patient\",\"name\":null}"),
        ("empty list", b"{\"resourceType\":\"Patient\",\"name\":[]}"),
    ] {
        let answer = site.post_bytes(&token, "/Patient", body).await;
        println!("{name}: {} {}", answer.status, answer.text);
        assert_eq!(answer.status, 400, "{name}");
        assert_eq!(answer.json()["resourceType"], "OperationOutcome");
        answer.repeats_nothing();
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = format!(r#"{{"resourceType":"Patient","extension":{deep}}}"#);
    let answer = site.post_bytes(&token, "/Patient", deep.as_bytes()).await;
    assert_eq!(answer.status, 400);
    assert_eq!(site.count(&token, "Patient").await, 1);
}

#[tokio::test]
async fn urls_that_name_nothing_are_refused() {
    let site = Site::new();
    let token = site.ehr().await;
    site.get(&token, "/Plantedfamily")
        .await
        .problem(404, "not-supported");
    site.get(&token, "/Plantedfamily/1")
        .await
        .problem(404, "not-supported");
    site.get(&token, "/patient/1")
        .await
        .problem(404, "not-supported");
    site.get(&token, "/Patient/plantedkey")
        .await
        .problem(404, "not-found");
    site.get(&token, "/Patient/plantedkey_")
        .await
        .problem(400, "value");
    site.get(&token, "/Patient/p1/_history/planted-7731")
        .await
        .problem(404, "not-found");
    site.get(&token, "/Patient/p1/planted-7731/x")
        .await
        .problem(404, "not-found");
    site.get(&token, "/Observation/p1/$everything")
        .await
        .problem(501, "not-supported");
    site.get(&token, "/Patient/p1/$everything?_since=planted-7731")
        .await
        .problem(400, "value");
    site.get(&token, "/Patient/p1/$everything?mrn=planted-7731")
        .await
        .problem(501, "not-supported");
    site.get(&token, "/Patient/p1/$everything?_type=Plantedfamily")
        .await
        .problem(400, "value");
    site.get(&token, "/Patient/plantedkey/$everything")
        .await
        .problem(404, "not-found");
    site.get(&token, "/Observation?date=planted-7731")
        .await
        .problem(400, "value");
    site.ask(&token, "PATCH", "/Patient/p1", &Value::Null)
        .await
        .problem(400, "structure");
    site.ask(&token, "PUT", "/Patient", &patient("p1"))
        .await
        .problem(400, "value");
    site.ask(&token, "PATCH", "/Patient", &patient("p1"))
        .await
        .problem(400, "structure");
    let other_id = site
        .ask(&token, "PUT", "/Patient/p2", &patient("plantedkey"))
        .await;
    other_id.problem(400, "value");
}

#[tokio::test]
async fn a_reference_to_an_unknown_patient_is_refused() {
    let site = Site::new();
    let token = site.ehr().await;
    let body = observation("plantedkey", "718-7");
    site.ask(&token, "POST", "/Observation", &body)
        .await
        .problem(422, "not-found");
    let mut body = observation("p1", "718-7");
    body["subject"]["reference"] = json!("https://elsewhere.example/Patient/plantedkey");
    site.ask(&token, "POST", "/Observation", &body)
        .await
        .problem(422, "not-found");
    assert_eq!(site.count(&token, "Observation").await, 0);
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_announced_or_not() {
    let site = Site::new();
    let token = site.ehr().await;
    let request = || {
        Request::post("/fhir/Patient")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/fhir+json")
    };
    let announced = request()
        .header("content-length", (16 << 20) + 1)
        .body(Body::from(PLANTED[0]));
    site.send(announced.unwrap()).await.problem(413, "too-long");
    let chunk = Bytes::from(PLANTED[0].repeat(1 << 16));
    let chunks = (0..30).map(|_| Ok::<_, Infallible>(chunk.clone()));
    let chunks: Vec<_> = chunks.collect();
    let streamed = request()
        .body(Body::from_stream(futures::stream::iter(chunks)))
        .unwrap();
    site.send(streamed).await.problem(413, "too-long");
}

#[tokio::test]
async fn other_media_types_are_refused() {
    let site = Site::new();
    let token = site.ehr().await;
    let turtle = Request::post("/fhir/Patient")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "text/turtle")
        .body(Body::from("<Patient>"));
    site.send(turtle.unwrap())
        .await
        .problem(415, "not-supported");
    let headers = [("accept", "text/turtle")];
    site.ask_with(&token, "GET", "/Patient", &Value::Null, &headers)
        .await
        .problem(406, "not-supported");
}

#[tokio::test]
async fn a_consent_that_cannot_be_enforced_is_refused_with_the_element() {
    let site = Site::new();
    let wallet = Wallet::new(3);
    let id = wallet.enroll(&site).await;
    let token = wallet.token(&site, &id).await;
    let mut nobody = consent(&id);
    nobody["provision"].as_object_mut().unwrap().remove("actor");
    let refused = wallet.file(&site, &token, &nobody).await;
    refused.problem(422, "business-rule");
    let element = refused.json()["issue"][0]["expression"][0].clone();
    assert_eq!(element, "Consent.provision.provision");
    let mut narrow = consent(&id);
    let one = json!({ "reference": "Observation/plantedkey" });
    narrow["provision"]["data"] = json!([{ "meaning": "related", "reference": one }]);
    let refused = wallet.file(&site, &token, &narrow).await;
    refused.problem(422, "business-rule");
    assert_eq!(site.count(&site.ehr().await, "Consent").await, 0);
}

#[tokio::test]
async fn a_consent_takes_the_signature_of_its_wallet_over_its_bytes() {
    let site = Site::new();
    let wallet = Wallet::new(3);
    let id = wallet.enroll(&site).await;
    let token = wallet.token(&site, &id).await;
    let body = consent(&id);
    site.ask(&token, "POST", "/Consent", &body)
        .await
        .problem(422, "security");
    Wallet::new(4)
        .file(&site, &token, &body)
        .await
        .problem(422, "security");
    let provenance = wallet.provenance(b"{}");
    let headers = [("x-provenance", provenance.as_str())];
    site.ask_with(&token, "POST", "/Consent", &body, &headers)
        .await
        .problem(422, "security");
    let headers = [("x-provenance", "{\"planted-7731\"")];
    site.ask_with(&token, "POST", "/Consent", &body, &headers)
        .await
        .problem(400, "value");
    assert_eq!(site.count(&site.ehr().await, "Consent").await, 0);
    assert_eq!(wallet.file(&site, &token, &body).await.status, 201);
}
