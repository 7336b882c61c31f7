//! Requests that are owed an answer by a time: filed, put off, closed, counted.

use serde_json::{Value, json};

use crate::support::{Ask, Site, observation};

fn words(pairs: &[(&str, &str)]) -> Value {
    let parameters: Vec<Value> = pairs
        .iter()
        .map(|(name, text)| {
            let element = if *name == "received" {
                "valueDateTime"
            } else {
                "valueString"
            };
            json!({ "name": name, element: text })
        })
        .collect();
    json!({ "resourceType": "Parameters", "parameter": parameters })
}

/// A node with a patient, at the first of June 2026, and its EHR's token.
async fn site() -> (Site, String) {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p").await;
    (site, ehr)
}

async fn filed(site: &Site, ehr: &str, code: &str, received: &str) -> Value {
    let body = words(&[("code", code), ("received", received)]);
    let answer = site.ask(ehr, "POST", "/Patient/p/$file-request", &body);
    let answer = answer.await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

fn path(task: &Value) -> String {
    format!("/Task/{}", task["id"].as_str().unwrap())
}

fn end(task: &Value) -> &str {
    task["restriction"]["period"]["end"].as_str().unwrap()
}

/// How many answers are due and overdue, as the node's metrics say.
async fn owed(site: &Site) -> (u64, u64) {
    let request = axum::http::Request::get("/metrics").body(axum::body::Body::empty());
    let text = site.send(request.unwrap()).await.text;
    let of = |state: &str| {
        let name = format!(r#"careledger_duties{{state="{state}"}} "#);
        let line = text.lines().find_map(|line| line.strip_prefix(&*name));
        line.unwrap().parse().unwrap()
    };
    (of("due"), of("overdue"))
}

#[tokio::test]
async fn hipaa_5_an_accounting_is_listed_alarms_and_is_extended_once_with_its_reason() {
    let (site, ehr) = site().await;
    let task = filed(&site, &ehr, "accounting-request", "2026-04-05").await;
    assert_eq!(end(&task), "2026-06-04T00:00:00.000Z", "60 days");
    assert_eq!(task["input"][0]["valueBoolean"], true, "the first is free");
    let list = "/Task?code=accounting-request&status=requested";
    let listed = site.get(&ehr, list).await.json();
    assert_eq!(listed["entry"][0]["resource"]["id"], task["id"]);
    assert_eq!(owed(&site).await, (1, 0));

    let extend = format!("{}/$extend-request", path(&task));
    let bare = words(&[("comment", "later")]);
    let bare = site.ask(&ehr, "POST", &extend, &bare).await;
    bare.problem(400, "value");
    let why = words(&[("reason", "records are off site")]);
    let extended = site.ask(&ehr, "POST", &extend, &why).await.json();
    assert_eq!(end(&extended), "2026-07-04T00:00:00.000Z", "30 more");
    assert_eq!(
        extended["extension"][0]["valueString"],
        "records are off site"
    );
    let again = site.ask(&ehr, "POST", &extend, &why).await;
    again.problem(422, "business-rule");
    assert_eq!(owed(&site).await, (0, 0));

    let late = filed(&site, &ehr, "accounting-request", "2026-03-01").await;
    assert_eq!(owed(&site).await, (0, 1));
    let extend = format!("{}/$extend-request", path(&late));
    let passed = site.ask(&ehr, "POST", &extend, &why).await;
    passed.problem(422, "business-rule");
    let close = format!("{}/$close-request", path(&late));
    let done = words(&[("outcome", "fulfilled")]);
    let closed = site.ask(&ehr, "POST", &close, &done).await;
    assert_eq!(closed.json()["status"], "completed");
    assert_eq!(owed(&site).await, (0, 0));
    let listed = site.get(&ehr, list).await.json();
    assert_eq!(listed["total"], 1, "what is done is not listed");
}

#[tokio::test]
async fn hipaa_5_a_second_report_within_twelve_months_is_not_free() {
    let (site, ehr) = site().await;
    let ask = Ask {
        client: "audit-desk".to_owned(),
        seed: [9; 32],
        purpose: Some("HOPERAT"),
        role: "privacy-officer",
        scope: "system/AuditEvent.rs system/Patient.rs",
        ..Ask::default()
    };
    let desk = site.token(&ask).await;
    let report = site.get(&desk, "/Patient/p/$disclosures").await;
    assert_eq!(report.status, 200, "{}", report.text);
    site.pass(60);
    let body = words(&[("code", "accounting-request")]);
    let task = site.ask(&ehr, "POST", "/Patient/p/$file-request", &body);
    assert_eq!(task.await.json()["input"][0]["valueBoolean"], false);
}

#[tokio::test]
async fn hipaa_7_access_is_owed_in_thirty_days_and_thirty_more_once() {
    let (site, ehr) = site().await;
    let task = filed(&site, &ehr, "access-request", "2026-05-20").await;
    assert_eq!(end(&task), "2026-06-19T00:00:00.000Z");
    let extend = format!("{}/$extend-request", path(&task));
    let why = words(&[("reason", "in an archive")]);
    let extended = site.ask(&ehr, "POST", &extend, &why).await.json();
    assert_eq!(end(&extended), "2026-07-19T00:00:00.000Z");
    for (name, value) in [("code", "amendment-request"), ("code", "anything")] {
        let body = words(&[(name, value)]);
        let refused = site.ask(&ehr, "POST", "/Patient/p/$file-request", &body);
        refused.await.problem(400, "value");
    }
    let ahead = words(&[("code", "access-request"), ("received", "2026-07-01")]);
    let refused = site.ask(&ehr, "POST", "/Patient/p/$file-request", &ahead);
    refused.await.problem(400, "value");
}

#[tokio::test]
async fn gdpr_3_access_and_rectification_are_owed_in_a_month_and_two_more_once() {
    let (site, ehr) = site().await;
    let access = filed(&site, &ehr, "gdpr-access-request", "2026-05-31").await;
    assert_eq!(end(&access), "2026-06-30T00:00:00.000Z");
    let sent = observation("p", "718-7");
    let created = site.ask(&ehr, "POST", "/Observation", &sent).await;
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let body = words(&[("reason", "it is another's"), ("regime", "gdpr-16")]);
    let asked = format!("/Observation/{id}/$request-amendment");
    let task = site.ask(&ehr, "POST", &asked, &body).await.json();
    assert_eq!(end(&task), "2026-07-01T00:00:00.000Z");
    let extend = format!("{}/$extend-request", path(&task));
    let why = words(&[("reason", "many records")]);
    let extended = site.ask(&ehr, "POST", &extend, &why).await.json();
    assert_eq!(end(&extended), "2026-09-01T00:00:00.000Z");
}

#[tokio::test]
async fn cures_1_cures_2_infeasibility_is_answered_in_ten_business_days_with_facts_and_reviewer() {
    let (site, ehr) = site().await;
    // From the 14th of May, with Memorial Day on the 25th.
    let task = filed(&site, &ehr, "infeasibility-reply", "2026-05-14").await;
    assert_eq!(end(&task), "2026-05-29T23:59:59.999Z");
    assert_eq!(owed(&site).await, (0, 1));
    let close = format!("{}/$close-request", path(&task));
    let denied = ("outcome", "denied");
    let (code, facts) = (("exception", "171.204"), ("facts", "no copy exists"));
    for lacking in [vec![denied, facts], vec![denied, code]] {
        let refused = site.ask(&ehr, "POST", &close, &words(&lacking)).await;
        refused.problem(422, "business-rule");
    }
    let other = words(&[denied, ("exception", "171.203"), facts]);
    let refused = site.ask(&ehr, "POST", &close, &other).await;
    refused.problem(422, "business-rule");
    let whole = words(&[denied, code, facts]);
    let closed = site.ask(&ehr, "POST", &close, &whole).await;
    assert_eq!(closed.status, 200, "{}", closed.text);
    let closed = closed.json();
    assert_eq!(closed["status"], "rejected");
    assert_eq!(closed["statusReason"]["coding"][0]["code"], "171.204");
    assert_eq!(closed["output"][0]["valueString"], "Practitioner/7");
    assert_eq!(closed["output"][1]["valueString"], "no copy exists");
    assert_eq!(owed(&site).await, (0, 0));
}

#[tokio::test]
async fn hipaa_5_a_deadline_is_changed_by_its_operations_alone() {
    let (site, ehr) = site().await;
    let task = filed(&site, &ehr, "access-request", "2026-05-20").await;
    let mut later = task.clone();
    later["restriction"]["period"]["end"] = "2030-01-01T00:00:00Z".into();
    later.as_object_mut().unwrap().remove("meta");
    let refused = site.ask(&ehr, "PUT", &path(&task), &later).await;
    refused.problem(403, "forbidden");
    let refused = site.ask(&ehr, "DELETE", &path(&task), &Value::Null).await;
    refused.problem(403, "forbidden");
    // What another system files counts by the law, whatever it says.
    later["id"] = "filed-elsewhere".into();
    later["authoredOn"] = "2026-01-01T00:00:00Z".into();
    let written = site.ask(&ehr, "PUT", "/Task/filed-elsewhere", &later).await;
    assert_eq!(written.status, 201, "{}", written.text);
    assert_eq!(owed(&site).await, (0, 1));
}
