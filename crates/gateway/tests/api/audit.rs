//! Audit events: retrieved by auditors and patients, fed by grouped systems, changed by nobody.

use serde_json::{Value, json};

use crate::support::{Ask, Browser, PASSWORD, PLANTED, Site, Wallet, jwt, observation, patient};

const JUNE: &str = "date=ge2026-06-01&date=lt2026-06-02";

impl Site {
    /// The token of the member's privacy officer.
    async fn auditor(&self) -> String {
        let claims = json!({
            "iss": "audit-desk", "sub": "audit-desk", "aud": Ask::default().audience,
            "exp": self.now() + 240, "jti": uuid::Uuid::new_v4().to_string(),
            "extensions": { "hl7-b2b": { "subject_id": "Practitioner/officer",
                "subject_role": "privacy-officer", "purpose_of_use": "HOPERAT" } },
        });
        let scope = "system/AuditEvent.rs system/Patient.rs";
        let answer = self.exchange(&jwt(&[9; 32], &claims), scope).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Events of a search, the newest first.
    async fn events(&self, token: &str, query: &str) -> Vec<Value> {
        let answer = self.get(token, &format!("/AuditEvent?{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let bundle = answer.json();
        let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
        entries
            .into_iter()
            .map(|entry| entry["resource"].clone())
            .collect()
    }
}

fn subtype(event: &Value) -> &str {
    event["subtype"][0]["code"].as_str().unwrap()
}

#[tokio::test]
async fn atna_1_events_are_found_by_date_and_patient_and_a_search_without_a_date_is_refused() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p1").await;
    site.patient(&ehr, "p2").await;
    let id = "6f2b6d8e-30cb-4a3e-9d2b-0a9a3c0d6b7e";
    let headers = [("x-request-id", id)];
    site.ask_with(&ehr, "GET", "/Patient/p1", &Value::Null, &headers)
        .await;
    site.get(&ehr, "/Patient?name=Plantedfamily").await;

    let auditor = site.auditor().await;
    site.get(&auditor, "/AuditEvent?patient=Patient/p1")
        .await
        .problem(400, "required");
    site.get(&ehr, &format!("/AuditEvent?{JUNE}"))
        .await
        .problem(403, "forbidden");
    let events = site
        .events(&auditor, &format!("{JUNE}&patient=Patient/p1&action=R"))
        .await;
    assert_eq!(events.len(), 1);
    let read = &events[0];
    assert_eq!((subtype(read), &read["outcome"]), ("read", &json!("0")));
    let entities = read["entity"].as_array().unwrap();
    let of_type = |code: &str| entities.iter().find(|one| one["type"]["code"] == code);
    assert_eq!(of_type("1").unwrap()["what"]["reference"], "Patient/p1");
    assert_eq!(
        of_type("XrequestId").unwrap()["what"]["identifier"]["value"],
        id
    );
    let policy = read["agent"][2]["policy"][0].as_str().unwrap();
    assert!(policy.starts_with("urn:ietf:params:oauth:jti:"), "{policy}");
    // A search that found two patients is an event of each.
    let searches = site
        .events(&auditor, &format!("{JUNE}&subtype=search-type"))
        .await;
    let about = |event: &Value| event["entity"][0]["what"]["reference"].clone();
    let found: Vec<Value> = searches
        .iter()
        .filter(|one| one["action"] == "E")
        .map(about)
        .collect();
    assert!(found.contains(&json!("Patient/p1")) && found.contains(&json!("Patient/p2")));
    // By the patient's identifier, as national profiles have it.
    let value = format!("urn:mrn%7C{}", PLANTED[1]);
    let by_identifier = site
        .events(
            &auditor,
            &format!("{JUNE}&entity.identifier={value}&action=R"),
        )
        .await;
    assert_eq!(by_identifier.len(), 1);
    assert!(site.events(&auditor, "date=lt2026-05-01").await.is_empty());
    // What an auditor does is in the log as well.
    let own = site.events(&auditor, &format!("{JUNE}&_count=1")).await;
    assert_eq!(own[0]["agent"][2]["who"]["display"], "Practitioner/officer");
}

#[tokio::test]
async fn atna_1_pages_follow_each_other_without_gaps() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p1").await;
    for _ in 0..5 {
        site.get(&ehr, "/Patient/p1").await;
    }
    let auditor = site.auditor().await;
    let mut path = format!("/AuditEvent?{JUNE}&patient=Patient/p1&subtype=read&_count=2");
    let mut ids = Vec::new();
    loop {
        let bundle = site.get(&auditor, &path).await.json();
        let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
        ids.extend(
            entries
                .iter()
                .map(|one| one["resource"]["id"].as_str().unwrap().to_owned()),
        );
        let links = bundle["link"].as_array().unwrap();
        let Some(next) = links.iter().find(|link| link["relation"] == "next") else {
            break;
        };
        let url = next["url"].as_str().unwrap();
        path = url.split_once("/fhir").unwrap().1.to_owned();
    }
    assert_eq!(ids.len(), 5);
    ids.dedup();
    assert_eq!(ids.len(), 5);
    let one = site.get(&auditor, &format!("/AuditEvent/{}", ids[0])).await;
    assert_eq!((one.status, &one.json()["id"]), (200, &json!(ids[0])));
    site.get(&auditor, "/AuditEvent/999999")
        .await
        .problem(404, "not-found");
}

#[tokio::test]
async fn p2_a_patient_sees_the_events_about_the_own_record_and_no_others() {
    let site = Site::new();
    let wallet = Wallet::new(3);
    let id = wallet.enroll(&site).await;
    let ehr = site.ehr().await;
    site.patient(&ehr, "p2").await;
    let own = json!({ "resourceType": "Patient", "id": id });
    site.ask(&ehr, "PUT", &format!("/Patient/{id}"), &own).await;
    site.get(&ehr, &format!("/Patient/{id}")).await;
    site.get(&ehr, "/Patient/p2").await;
    let token = wallet.token(&site, &id).await;
    let events = site.events(&token, "").await;
    assert!(events.iter().any(|event| subtype(event) == "read"));
    let on_records = events.iter().filter(|event| subtype(event) != "ITI-71");
    for event in on_records {
        let about = &event["entity"][0]["what"]["reference"];
        assert_eq!(about, &json!(format!("Patient/{id}")), "{event}");
    }
    site.get(&token, "/AuditEvent?patient=Patient/p2")
        .await
        .problem(403, "forbidden");
    let other = site
        .events(&site.auditor().await, &format!("{JUNE}&patient=Patient/p2"))
        .await;
    let number = other[0]["id"].as_str().unwrap();
    site.get(&token, &format!("/AuditEvent/{number}"))
        .await
        .problem(404, "not-found");
}

#[tokio::test]
async fn e6_1_nobody_changes_or_deletes_an_event_and_systems_feed_their_own() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p1").await;
    let fed = json!({ "resourceType": "AuditEvent", "action": "R", "recorded": "2026-06-01T00:00:00Z",
        "type": { "system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest" },
        "agent": [{ "requestor": true, "who": { "display": "ward 3" } }],
        "source": { "observer": { "display": "ward system" } },
        "entity": [{ "what": { "reference": "Patient/p1" } }] });
    let answer = site.ask(&ehr, "POST", "/AuditEvent", &fed).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert!(
        answer
            .header("location")
            .ends_with(&format!("/AuditEvent/{id}"))
    );
    let path = format!("/AuditEvent/{id}");
    for (method, path) in [
        ("PUT", &*path),
        ("DELETE", &*path),
        ("PATCH", &*path),
        ("DELETE", "/AuditEvent?action=R"),
    ] {
        let answer = site.ask(&ehr, method, path, &fed).await;
        answer.problem(405, "not-supported");
    }
    let auditor = site.auditor().await;
    let found = site
        .events(&auditor, &format!("{JUNE}&patient=Patient/p1"))
        .await;
    let mine = found.iter().find(|one| one["id"] == id.as_str()).unwrap();
    assert_eq!(mine["agent"][0]["who"]["display"], "ward 3");
    assert_eq!(mine["meta"]["tag"][0]["code"], "ehr", "who sent it");
    // A batch feeds several; a transaction, which could be undone, none.
    let entry = json!({ "resource": fed, "request": { "method": "POST", "url": "AuditEvent" } });
    let bundle = |kind: &str| json!({ "resourceType": "Bundle", "type": kind, "entry": [entry.clone(), entry.clone()] });
    let batch = site.ask(&ehr, "POST", "", &bundle("batch")).await.json();
    for one in batch["entry"].as_array().unwrap() {
        assert!(
            one["response"]["status"]
                .as_str()
                .unwrap()
                .starts_with("201"),
            "{one}"
        );
    }
    site.ask(&ehr, "POST", "", &bundle("transaction"))
        .await
        .problem(422, "not-supported");
    let rubbish = json!({ "resourceType": "AuditEvent" });
    let refused = site.ask(&ehr, "POST", "/AuditEvent", &rubbish).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
}

#[tokio::test]
async fn balp_a_token_is_in_the_log_when_it_is_issued_and_when_it_is_refused() {
    let site = Site::new();
    site.ehr().await;
    let refused = Ask {
        seed: [77; 32],
        ..Ask::default()
    };
    assert_eq!(site.ask_for_token(&refused).await.status, 401);
    let auditor = site.auditor().await;
    let events = site
        .events(&auditor, &format!("{JUNE}&subtype=ITI-71"))
        .await;
    let outcomes: Vec<&str> = events
        .iter()
        .map(|one| one["outcome"].as_str().unwrap())
        .collect();
    // The auditor's own, the refused one, the EHR's.
    assert_eq!(outcomes, ["0", "8", "0"]);
    assert_eq!(events[2]["agent"][0]["who"]["identifier"]["value"], "ehr");
}

#[tokio::test]
async fn e6_1_an_auditor_sees_that_nothing_is_missing_and_that_decisions_come_out_the_same() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p1").await;
    let written = site
        .ask(&ehr, "POST", "/Observation", &observation("p1", "718-7"))
        .await;
    let id = written.json()["id"].as_str().unwrap().to_owned();
    site.get(&ehr, &format!("/Observation/{id}")).await;
    site.get(&ehr, &format!("/Observation/{id}/_history/1"))
        .await;
    site.get(&ehr, "/Patient/p1/$everything").await;
    site.get(&ehr, "/Observation/none").await;
    site.ask(&ehr, "PUT", "/Patient/p1", &patient("p1")).await;
    site.get(&ehr, "/AuditEvent/$gaps")
        .await
        .problem(403, "forbidden");
    let auditor = site.auditor().await;
    let value = |answer: &Value, name: &str| {
        let parameters = answer["parameter"].as_array().unwrap();
        let found = parameters.iter().find(|one| one["name"] == name);
        found.cloned().unwrap_or_default()
    };
    let gaps = site.get(&auditor, "/AuditEvent/$gaps").await.json();
    assert_eq!(value(&gaps, "complete")["valueBoolean"], true, "{gaps}");
    let replay = site
        .get(&auditor, "/AuditEvent/$replay?from=2026-06-01")
        .await
        .json();
    assert_eq!(value(&replay, "diverged"), Value::Null, "{replay}");
    assert_eq!(
        value(&replay, "same")["valueDecimal"],
        value(&replay, "decisions")["valueDecimal"]
    );
    assert!(
        value(&replay, "same")["valueDecimal"].as_u64().unwrap() >= 3,
        "{replay}"
    );
}

#[tokio::test]
async fn balp_who_signs_in_and_who_is_not_let_in_is_in_the_log() {
    let site = Site::new();
    let mut browser = Browser::default();
    browser.authorize(&site, &[]).await;
    browser.login(&site, "alice", "wrong password").await;
    browser.login(&site, "alice", PASSWORD).await;
    let auditor = site.auditor().await;
    let events = site
        .events(&auditor, &format!("{JUNE}&subtype=110122"))
        .await;
    let outcomes: Vec<&str> = events
        .iter()
        .map(|one| one["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["0", "8"]);
    assert_eq!(events[0]["agent"][2]["who"]["reference"], "Practitioner/7");
    assert!(
        !events[1].to_string().contains("alice"),
        "it may be a password"
    );
}

/// `Parameters` of strings.
fn parameters(given: &[(&str, &str)]) -> Value {
    let given = given.iter();
    let given = given.map(|(name, value)| json!({ "name": name, "valueString": value }));
    json!({ "resourceType": "Parameters", "parameter": given.collect::<Vec<Value>>() })
}

/// A letter to a court.
fn court() -> Value {
    parameters(&[
        ("recipient", "District Court"),
        ("address", "1 Court Square"),
        ("description", "discharge letter, =1+1"),
        ("purpose", "subpoena 26-117"),
        ("class", "judicial"),
        ("at", "2026-05-30"),
    ])
}

#[tokio::test]
async fn hipaa_1_disclosures_are_recorded_and_accounted_for() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p1").await;
    site.get(&ehr, "/Patient/p1").await;
    let auditor = site.auditor().await;
    let court = court();
    let path = "/Patient/p1/$record-disclosure";
    let recorded = site.ask(&auditor, "POST", path, &court).await;
    assert_eq!(recorded.status, 201, "{}", recorded.text);
    site.ask(&ehr, "POST", path, &court)
        .await
        .problem(403, "forbidden");
    let unknown = parameters(&[
        ("recipient", "x"),
        ("description", "x"),
        ("purpose", "x"),
        ("class", "no"),
    ]);
    site.ask(&auditor, "POST", path, &unknown)
        .await
        .problem(400, "value");
    let police = parameters(&[
        ("recipient", "police"),
        ("description", "notes"),
        ("purpose", "investigation"),
        ("class", "law-enforcement"),
    ]);
    site.ask(&auditor, "POST", path, &police).await;
    let hold = parameters(&[("agency", "police")]);
    let held = site
        .ask(&auditor, "POST", "/Patient/p1/$suspend-accounting", &hold)
        .await;
    assert_eq!(held.status, 201, "{}", held.text);

    let report = site
        .get(&auditor, "/Patient/p1/$disclosures?requested=2026-06-01")
        .await;
    assert_eq!(report.status, 200, "{}", report.text);
    let report = report.json();
    let list = &report["entry"][0]["resource"];
    let lines = list["entry"].as_array().unwrap();
    assert_eq!(lines.len(), 1, "the one to the police is suspended: {list}");
    assert_eq!(lines[0]["date"], "2026-05-30T00:00:00.000Z");
    let said = lines[0]["item"]["display"].as_str().unwrap();
    assert_eq!(
        said,
        "District Court, 1 Court Square: discharge letter, =1+1 for subpoena 26-117"
    );
    let notes = list["note"].to_string();
    assert!(
        notes.contains("Owed until 2026-07-31") && notes.contains("free"),
        "{notes}"
    );
}

#[tokio::test]
async fn hipaa_1_the_report_is_also_a_table_and_a_page_to_print() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p1").await;
    let auditor = site.auditor().await;
    let police = parameters(&[
        ("recipient", "police"),
        ("description", "notes"),
        ("purpose", "investigation"),
        ("class", "law-enforcement"),
    ]);
    for disclosed in [court(), police] {
        let path = "/Patient/p1/$record-disclosure";
        site.ask(&auditor, "POST", path, &disclosed).await;
    }
    let hold = parameters(&[("agency", "police")]);
    site.ask(&auditor, "POST", "/Patient/p1/$suspend-accounting", &hold)
        .await;
    // Reading it is no disclosure; neither is care at home.
    let gdpr = site
        .get(&auditor, "/Patient/p1/$disclosures?regime=gdpr-15")
        .await
        .json();
    let lines = gdpr["entry"][0]["resource"]["entry"].as_array().unwrap();
    assert_eq!(lines.len(), 2, "no agency suspends this one");
    let csv = site
        .get(&auditor, "/Patient/p1/$disclosures?_format=csv")
        .await;
    assert!(
        csv.text.contains("\"discharge letter, =1+1\""),
        "{}",
        csv.text
    );
    let page = site
        .get(&auditor, "/Patient/p1/$disclosures?_format=html")
        .await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.text.contains("District Court") && !page.text.contains("police"));
    if let Ok(folder) = std::env::var("CARELEDGER_TEST_PAGES") {
        std::fs::write(format!("{folder}/disclosures.html"), &page.text).unwrap();
    }
    site.get(&ehr, "/Patient/p1/$disclosures")
        .await
        .problem(403, "forbidden");
    site.get(&auditor, "/Patient/p1/$disclosures?regime=none")
        .await
        .problem(400, "value");
}

#[tokio::test]
async fn atna_1_refused_tokens_are_in_the_log_and_do_not_flood_it() {
    let site = Site::new();
    let auditor = site.auditor().await;
    let query = format!("{JUNE}&subtype=110126");
    assert!(site.events(&auditor, &query).await.is_empty());
    for _ in 0..20 {
        site.get("forged", "/Patient").await.problem(401, "login");
        let request = axum::http::Request::get("/fhir/Patient").body(axum::body::Body::empty());
        site.send(request.unwrap()).await.problem(401, "login");
    }
    let events = site.events(&auditor, &query).await;
    assert_eq!(
        events.len(),
        1,
        "one of each reason, and of those without a token none"
    );
    assert_ne!(events[0]["outcome"], "0");
    assert_eq!(events[0]["outcomeDesc"], "the access token is malformed");
    assert!(!events[0].to_string().contains("forged"));
}
