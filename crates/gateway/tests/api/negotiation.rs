//! Forms of resources, and of bodies.

use std::io::Write;
use std::process::{Command, Stdio};

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;

use crate::support::{Site, patient};

const GET: Value = Value::Null;

#[tokio::test]
async fn the_accepted_form_is_answered_in_problems_too() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    for (path, status) in [("/Patient/p1", 200), ("/Patient/p2", 404)] {
        for (query, accept, form) in [
            ("", "*/*", "application/fhir+json"),
            ("", "application/fhir+xml", "application/fhir+xml"),
            (
                "",
                "text/xml;q=0.4, application/json;q=0.8",
                "application/fhir+json",
            ),
            (
                "?_format=xml",
                "application/fhir+json",
                "application/fhir+xml",
            ),
            (
                "?_format=application/fhir%2Bxml",
                "*/*",
                "application/fhir+xml",
            ),
            (
                "?_format=json",
                "application/fhir+xml",
                "application/fhir+json",
            ),
        ] {
            let path = format!("{path}{query}");
            let headers = [("accept", accept)];
            let answer = site.ask_with(&token, "GET", &path, &GET, &headers).await;
            assert_eq!(answer.status, status, "{path} {accept}");
            assert_eq!(answer.header("content-type"), form, "{path} {accept}");
        }
    }
    for (path, accept) in [
        ("/Patient/p1", "text/turtle"),
        ("/Patient/p1?_format=ttl", "*/*"),
    ] {
        site.ask_with(&token, "GET", path, &GET, &[("accept", accept)])
            .await
            .problem(406, "not-supported");
    }
    let request = Request::get("/fhir/Patient/p1").header("accept", "application/fhir+xml");
    let answer = site.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (401, "application/fhir+xml")
    );
}

#[tokio::test]
async fn pretty_is_indented_and_the_same() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let plain = site.get(&token, "/Patient/p1").await;
    let pretty = site.get(&token, "/Patient/p1?_pretty=true").await;
    assert_eq!(plain.json(), pretty.json());
    assert!(pretty.text.contains("\n  \"id\""), "{}", pretty.text);
}

#[tokio::test]
async fn bodies_of_other_types_are_refused() {
    let site = Site::new();
    let token = site.ehr().await;
    for content_type in ["text/turtle", "application/json; charset=latin1"] {
        let request = Request::post("/fhir/Patient")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", content_type)
            .body(Body::from(patient("x").to_string()));
        site.send(request.unwrap())
            .await
            .problem(415, "not-supported");
    }
    let request = Request::post("/fhir/Patient")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/fhir+xml")
        .body(Body::from("<Patient><planted-7731"));
    site.send(request.unwrap()).await.problem(400, "structure");
}

/// What `gzip` makes of these bytes.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.stdout
}

#[tokio::test]
async fn gzip_goes_both_ways_and_a_bomb_is_refused() {
    let site = Site::new();
    let token = site.ehr().await;
    let post = async |body: Vec<u8>| {
        let request = Request::post("/fhir/Patient")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/fhir+json")
            .header("content-encoding", "gzip")
            .body(Body::from(body));
        site.send(request.unwrap()).await
    };
    let answer = post(gzip(patient("x").to_string().as_bytes())).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let bomb = gzip(&vec![b' '; 17 << 20]);
    assert!(bomb.len() < 100_000);
    post(bomb).await.problem(413, "too-long");
    post(b"planted-7731".to_vec()).await.problem(400, "value");
    let headers = [("accept-encoding", "gzip")];
    let answer = site
        .ask_with(&token, "GET", "/Patient", &GET, &headers)
        .await;
    assert_eq!(answer.header("content-encoding"), "gzip");
    assert_eq!(answer.bytes[..2], [0x1f, 0x8b]);
}
