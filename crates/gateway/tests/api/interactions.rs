//! Interactions with one type or resource.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::{PLANTED, Site, observation, patient};

#[tokio::test]
async fn nothing_is_served_without_a_token_but_what_has_no_patient() {
    let site = Site::new();
    for path in [
        "/fhir/metadata",
        "/health",
        "/ready",
        "/.well-known/smart-configuration",
        "/.well-known/careledger",
        "/oauth2/jwks",
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(site.send(request).await.status, 200, "{path}");
    }
    for (method, path) in [
        ("GET", "/fhir/Patient/1"),
        ("GET", "/fhir/Patient"),
        ("POST", "/fhir/Patient/_search"),
        ("POST", "/fhir/Patient"),
        ("PUT", "/fhir/Patient/1"),
        ("DELETE", "/fhir/Patient/1"),
        ("GET", "/fhir/Patient/1/_history"),
        ("GET", "/fhir/Patient/1/_history/1"),
        ("GET", "/fhir/Patient/1/_history/1/$receipt"),
        ("GET", "/fhir/Patient/1/$receipt"),
        ("GET", "/fhir/Patient/1/$everything"),
        ("GET", "/fhir/Patient/1/$open"),
        ("GET", "/fhir/Patient/1/$access-history"),
        ("POST", "/fhir/Patient/1/$branches"),
        ("GET", "/fhir/Patient/1/$branches"),
        ("GET", "/fhir/Patient/1/$recovery"),
        ("POST", "/fhir/Patient/1/$recovery"),
        ("POST", "/fhir/Patient/1/$recovery-root"),
        ("POST", "/fhir/Patient/1/$recovery-hand-out"),
        ("POST", "/fhir/Patient/1/$escrow-offer"),
        ("POST", "/fhir/Patient/1/$escrow-taken"),
        ("POST", "/fhir/Patient/1/$share"),
        ("GET", "/fhir/Patient/1/$shares"),
        ("POST", "/fhir/Patient/1/$unshare"),
        ("POST", "/fhir/Patient/$enroll"),
        ("POST", "/fhir"),
    ] {
        let request = Request::builder().method(method).uri(path);
        let answer = site.send(request.body(Body::empty()).unwrap()).await;
        answer.problem(401, "login");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
}

#[tokio::test]
async fn the_capabilities_name_what_is_routed() {
    let site = Site::new();
    let request = Request::get("/fhir/metadata").body(Body::empty()).unwrap();
    let statement = site.send(request).await.json();
    assert_eq!(statement["fhirVersion"], "4.0.1");
    let rest = &statement["rest"][0];
    let resources = rest["resource"].as_array().unwrap();
    let patient = resources
        .iter()
        .find(|one| one["type"] == "Patient")
        .unwrap();
    let codes = |list: &Value, key: &str| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|one| one[key].as_str().unwrap().to_owned())
            .collect()
    };
    let interactions = codes(&patient["interaction"], "code");
    for code in [
        "read",
        "vread",
        "update",
        "delete",
        "history-instance",
        "create",
        "search-type",
    ] {
        assert!(interactions.iter().any(|one| one == code), "{code}");
    }
    let operations = codes(&patient["operation"], "name");
    for name in [
        "everything",
        "open",
        "enroll",
        "branches",
        "recovery",
        "access-history",
        "receipt",
    ] {
        assert!(operations.iter().any(|one| one == name), "{name}");
    }
}

#[tokio::test]
async fn a_resource_lives_from_create_to_delete() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let created = site
        .ask(&token, "POST", "/Observation", &observation("p1", "718-7"))
        .await;
    assert_eq!((created.status, created.header("etag")), (201, r#"W/"1""#));
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/Observation/{id}");
    let location = format!("http://127.0.0.1:8101/fhir{path}/_history/1");
    assert_eq!(created.header("location"), location);
    assert!(!created.header("last-modified").is_empty());

    let mut amended = observation("p1", "4548-4");
    amended["id"] = json!(id);
    let headers = [("if-match", r#"W/"1""#)];
    let updated = site
        .ask_with(&token, "PUT", &path, &amended, &headers)
        .await;
    assert_eq!((updated.status, updated.header("etag")), (200, r#"W/"2""#));
    let read = site.get(&token, &path).await;
    assert_eq!((read.status, read.header("etag")), (200, r#"W/"2""#));
    assert_eq!(read.json()["code"]["coding"][0]["code"], "4548-4");
    assert_eq!(read.json()["meta"]["versionId"], "2");
    let first = site.get(&token, &format!("{path}/_history/1")).await;
    assert_eq!(first.json()["code"]["coding"][0]["code"], "718-7");
    site.get(&token, &format!("{path}/_history/3"))
        .await
        .problem(404, "not-found");

    let headers = [("prefer", "return=OperationOutcome")];
    let deleted = site
        .ask_with(&token, "DELETE", &path, &Value::Null, &headers)
        .await;
    assert_eq!(deleted.status, 200, "{}", deleted.text);
    site.get(&token, &path).await.problem(410, "deleted");
    let history = site.get(&token, &format!("{path}/_history")).await.json();
    assert_eq!(
        (&history["type"], &history["total"]),
        (&json!("history"), &json!(3))
    );
    let entries = history["entry"].as_array().unwrap().iter();
    let methods: Vec<_> = entries
        .map(|entry| entry["request"]["method"].clone())
        .collect();
    assert_eq!(methods, ["DELETE", "PUT", "POST"]);
    assert_eq!(site.count(&token, "Observation").await, 0);
}

#[tokio::test]
async fn preferences_decide_what_a_write_answers() {
    let site = Site::new();
    let token = site.ehr().await;
    let headers = [("prefer", "return=minimal")];
    let minimal = site
        .ask_with(&token, "PUT", "/Patient/p1", &patient("p1"), &headers)
        .await;
    assert_eq!((minimal.status, minimal.text.as_str()), (201, ""));
    let whole = site.ask(&token, "PUT", "/Patient/p1", &patient("p1")).await;
    assert_eq!(whole.json()["name"][0]["family"], PLANTED[0]);
    assert_eq!(whole.json()["meta"]["versionId"], "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_of_concurrent_updates_with_one_if_match_one_wins_and_the_others_get_412() {
    let site = std::sync::Arc::new(Site::new());
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let mut updates = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (site, token) = (std::sync::Arc::clone(&site), token.clone());
        updates.spawn(async move {
            let headers = [("if-match", r#"W/"1""#)];
            site.ask_with(&token, "PUT", "/Patient/p1", &patient("p1"), &headers)
                .await
        });
    }
    let mut won = 0;
    for answer in updates.join_all().await {
        if answer.status == 200 {
            won += 1;
        } else {
            assert_eq!(answer.problem(412, "conflict"), "the current version is 2");
        }
    }
    assert_eq!(won, 1);
    let headers = [("if-match", r#"W/"9""#)];
    let stranger = patient("p9");
    site.ask_with(&token, "PUT", "/Patient/p9", &stranger, &headers)
        .await
        .problem(412, "conflict");
    let headers = [("if-match", "2")];
    site.ask_with(&token, "PUT", "/Patient/p1", &patient("p1"), &headers)
        .await
        .problem(400, "value");
}

#[tokio::test]
async fn a_conditional_create_writes_once() {
    let site = Site::new();
    let token = site.ehr().await;
    let condition = format!("identifier=urn:mrn|{}", PLANTED[1]);
    let headers = [("if-none-exist", condition.as_str())];
    let mut body = patient("x");
    body.as_object_mut().unwrap().remove("id");
    let first = site
        .ask_with(&token, "POST", "/Patient", &body, &headers)
        .await;
    assert_eq!(first.status, 201, "{}", first.text);
    let again = site
        .ask_with(&token, "POST", "/Patient", &body, &headers)
        .await;
    assert_eq!(
        (again.status, again.header("location")),
        (200, first.header("location"))
    );
    assert_eq!(site.count(&token, "Patient").await, 1);
    let second = site.ask(&token, "POST", "/Patient", &body).await;
    assert_eq!(second.status, 201);
    site.ask_with(&token, "POST", "/Patient", &body, &headers)
        .await
        .problem(412, "multiple-matches");
}

#[tokio::test]
async fn searches_find_by_the_parameters_of_the_story_and_page() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    site.patient(&token, "p2").await;
    for (patient, code) in [
        ("p1", "718-7"),
        ("p1", "718-7"),
        ("p1", "4548-4"),
        ("p2", "718-7"),
    ] {
        let body = observation(patient, code);
        assert_eq!(
            site.ask(&token, "POST", "/Observation", &body).await.status,
            201
        );
    }
    for (query, total) in [
        ("/Observation?patient=p1", 3),
        ("/Observation?patient=Patient/p1&code=718-7", 2),
        (
            "/Observation?subject=Patient/p1&code=http://loinc.org|4548-4",
            1,
        ),
        ("/Observation?category=laboratory&date=ge2026-01-01", 4),
        ("/Observation?date=lt2026-01-01", 0),
        ("/Observation?status=final&_id=none", 0),
        ("/Patient?identifier=urn:mrn|planted-7731", 2),
        ("/Patient?family=planted", 2),
        ("/Patient?_id=p1", 1),
    ] {
        let found = site.get(&token, query).await;
        assert_eq!(found.json()["total"], total, "{query}: {}", found.text);
    }
    let mut url = "/Observation?patient=p1&_count=2".to_owned();
    let mut pages = Vec::new();
    loop {
        let page = site.get(&token, &url).await.json();
        pages.push(page["entry"].as_array().unwrap().len());
        let links = page["link"].as_array().unwrap().iter();
        let next = links.clone().find(|link| link["relation"] == "next");
        let Some(next) = next else { break };
        let next = next["url"].as_str().unwrap();
        // The cursor is sealed: by chance it has any two letters.
        let (_, query) = next.split_once('?').unwrap();
        assert!(
            query.starts_with("_cursor=") && !query.contains('&'),
            "a link to a further page names the patient"
        );
        url = next
            .strip_prefix("http://127.0.0.1:8101/fhir")
            .unwrap()
            .to_owned();
    }
    assert_eq!(pages, [2, 1]);

    let request = Request::post("/fhir/Observation/_search")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from("patient=p2"));
    assert_eq!(site.send(request.unwrap()).await.json()["total"], 1);
    let strict = [("prefer", "handling=strict")];
    site.ask_with(
        &token,
        "GET",
        "/Patient?birthplace=1",
        &Value::Null,
        &strict,
    )
    .await
    .problem(400, "not-supported");
}
