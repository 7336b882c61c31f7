//! Limits on clients, and the descriptions of what there is.

use std::num::NonZeroU32;

use axum::body::Body;
use axum::http::Request;
use futures::future::join_all;
use gateway::RequestLimits;

use crate::patience::until;
use crate::support::{BASE, Site};

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_when_to_ask_again() {
    let limits = RequestLimits {
        per_second: NonZeroU32::new(2).unwrap(),
        ..RequestLimits::default()
    };
    let site = Site::bounded("clinic", BASE, 5, limits);
    let token = site.ehr().await;
    for _ in 0..2 {
        site.get(&token, "/Patient/none")
            .await
            .problem(404, "not-found");
    }
    // On a slow machine it may ask again before it has asked: then more at once are too many.
    let refused = until("one of many at once is refused", async || {
        let asked = (0..8).map(|_| site.get(&token, "/Patient/none"));
        let answers = join_all(asked).await.into_iter();
        answers.rev().find(|answer| answer.status == 429)
    });
    let refused = refused.await;
    refused.problem(429, "throttled");
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=2).contains(&seconds));
    let request = Request::get("/fhir/metadata").body(Body::empty()).unwrap();
    assert_eq!(site.send(request).await.status, 200);
}

#[tokio::test]
async fn a_body_may_be_as_long_as_the_node_says() {
    let limits = RequestLimits {
        body_bytes: 2_000,
        ..RequestLimits::default()
    };
    let site = Site::bounded("clinic", BASE, 5, limits);
    let token = site.ehr().await;
    let of = |length: usize| {
        let body = r#"{"resourceType":"Organization","name":"Hill"}"#;
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    let taken = site
        .post_bytes(&token, "/Organization", of(2_000).as_bytes())
        .await;
    assert_eq!(taken.status, 201, "{}", taken.text);
    let refused = site
        .post_bytes(&token, "/Organization", of(2_001).as_bytes())
        .await;
    refused.problem(413, "too-long");
}

#[tokio::test]
async fn what_is_described_is_routed() {
    let site = Site::new();
    let token = site.ehr().await;
    let request = Request::get("/openapi.json").body(Body::empty()).unwrap();
    let described = site.send(request).await;
    assert_eq!(described.status, 200);
    let described = described.json();
    assert_eq!(described["openapi"], "3.1.0");
    let paths = described["paths"].as_object().unwrap();
    assert!(paths.len() > 146 * 4);
    let of_some = paths.iter().filter(|(path, _)| {
        [
            "/Patient",
            "/Observation",
            "/Composition",
            "/DocumentReference",
            "/_",
            "/metadata",
        ]
        .iter()
        .any(|start| path.starts_with(start))
    });
    for (path, methods) in of_some {
        for method in methods.as_object().unwrap().keys() {
            let path = path.replace("{id}", "none").replace("{version}", "1");
            let method = method.to_uppercase();
            let answer = site
                .ask(&token, &method, &path, &serde_json::Value::Null)
                .await;
            let is_routed = answer.status != 405 && !answer.text.contains("nothing at this URL");
            // A version that cannot be is not found either.
            assert!(
                is_routed || path.contains("_history/1"),
                "{method} {path}: {}",
                answer.text
            );
        }
    }
}
