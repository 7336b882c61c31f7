//! Previews: what is permitted now, and what a consent would change, against what really happens.

use serde_json::{Value, json};

use crate::support::{Answer, Ask, Site, Wallet, consent, observation};

fn values<'a>(part: &'a Value, name: &str) -> Vec<&'a Value> {
    let all = part.as_array().into_iter().flatten();
    all.filter(|one| one["name"] == name).collect()
}

fn is(row: &Value, name: &str, element: &str, value: &str) -> bool {
    let found = values(&row["part"], name);
    found.first().is_some_and(|one| one[element] == value)
}

/// The line of a member, a purpose and a type.
fn line<'a>(body: &'a Value, (member, purpose, kind): (&str, &str, &str)) -> &'a Value {
    let rows = body["parameter"].as_array().unwrap().iter();
    let mut rows = rows.filter(|row| {
        is(row, "member", "valueString", member)
            && is(row, "purpose", "valueCode", purpose)
            && is(row, "type", "valueCode", kind)
            && values(&row["part"], "label").is_empty()
    });
    rows.next().unwrap()
}

fn count(part: &Value, name: &str) -> u64 {
    values(part, name)[0]["valueUnsignedInt"].as_u64().unwrap()
}

async fn record(site: &Site, patient: &str) -> Answer {
    let ehr = site.ehr().await;
    let mut body = observation(patient, "718-7");
    body["category"] = json!([{ "coding": [{
        "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory" }] }]);
    site.ask(&ehr, "POST", "/Observation", &body).await;
    site.ask(
        &ehr,
        "POST",
        "/Observation",
        &observation(patient, "55277-8"),
    )
    .await
}

async fn officer(site: &Site) -> String {
    let officer = Ask {
        role: "privacy-officer",
        ..Ask::default()
    };
    site.token(&officer).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_can_see_says_what_is_permitted_now_and_by_which_consent() {
    let site = Site::new();
    let wallet = Wallet::new(9);
    let patient = wallet.enroll(&site).await;
    assert_eq!(record(&site, &patient).await.status, 201);
    let own = wallet.token(&site, &patient).await;
    let path = format!("/Patient/{patient}/$who-can-see");
    let before = site.get(&own, &path).await;
    assert_eq!(before.status, 200, "{}", before.text);
    let before = before.json();
    assert_eq!(
        before["parameter"][0],
        json!({ "name": "complete", "valueBoolean": true })
    );
    let here = line(&before, ("clinic", "TREAT", "Observation"));
    assert_eq!(
        (
            count(&here["part"], "permitted"),
            count(&here["part"], "withheld")
        ),
        (1, 0)
    );
    assert!(is(here, "rule", "valueString", "network/own-care"));

    let filed = wallet.file(&site, &own, &consent(&patient)).await;
    let id = filed.json()["id"].as_str().unwrap().to_owned();
    let after = site.get(&own, &path).await.json();
    let there = line(&after, ("hospital", "TREAT", "Observation"));
    assert_eq!(count(&there["part"], "permitted"), 1);
    let rules = values(&there["part"], "rule");
    let rule = rules[0]["valueString"].as_str().unwrap();
    assert!(
        rule.starts_with(&format!("consent/clinic/{id}/1")),
        "{rule}"
    );
    let research = line(&after, ("hospital", "HRESCH", "Observation"));
    assert_eq!(count(&research["part"], "permitted"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_if_says_what_filing_then_does() {
    let site = Site::new();
    let wallet = Wallet::new(9);
    let patient = wallet.enroll(&site).await;
    record(&site, &patient).await;
    let own = wallet.token(&site, &patient).await;
    let proposed = consent(&patient);
    let answer = site.ask(&own, "POST", "/Consent/$what-if", &proposed).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    let first = &body["parameter"][1];
    assert!(
        is(first, "member", "valueString", "hospital"),
        "what differs is first"
    );
    let row = line(&body, ("hospital", "TREAT", "Observation"));
    let part = |name: &str| &values(&row["part"], name)[0]["part"];
    assert_eq!(
        (
            count(part("before"), "permitted"),
            count(part("after"), "permitted")
        ),
        (0, 1)
    );
    assert_eq!(values(&row["part"], "gained").len(), 1);
    let ehr = site.ehr().await;
    assert_eq!(site.count(&ehr, "Consent").await, 0, "nothing was filed");

    let filed = wallet.file(&site, &own, &proposed).await;
    let id = filed.json()["id"].as_str().unwrap().to_owned();
    let now = site
        .get(&own, &format!("/Patient/{patient}/$who-can-see"))
        .await
        .json();
    let really = line(&now, ("hospital", "TREAT", "Observation"));
    assert_eq!(count(&really["part"], "permitted"), 1, "as foretold");
    let mut withdrawn = proposed.clone();
    withdrawn["status"] = json!("inactive");
    let asked = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "consent", "resource": withdrawn }, { "name": "replaces", "valueId": id } ] });
    let body = site
        .ask(&own, "POST", "/Consent/$what-if", &asked)
        .await
        .json();
    let row = line(&body, ("hospital", "TREAT", "Observation"));
    assert_eq!(values(&row["part"], "lost").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn previews_are_for_the_patient_and_for_privacy_officers_who_leave_a_trace() {
    let site = Site::new();
    let wallet = Wallet::new(9);
    let patient = wallet.enroll(&site).await;
    let other = Wallet::new(10).enroll(&site).await;
    record(&site, &patient).await;
    let own = wallet.token(&site, &patient).await;
    let ehr = site.ehr().await;
    let path = format!("/Patient/{patient}/$who-can-see");
    site.get(&ehr, &path).await.problem(403, "forbidden");
    let foreign = format!("/Patient/{other}/$who-can-see");
    site.get(&own, &foreign).await.problem(403, "forbidden");
    site.ask(&own, "POST", "/Consent/$what-if", &consent(&other))
        .await
        .problem(403, "forbidden");
    let mut unclear = consent(&patient);
    unclear["provision"]["code"] = json!([{ "text": "whatever" }]);
    let refused = site.ask(&own, "POST", "/Consent/$what-if", &unclear).await;
    refused.problem(422, "business-rule");
    let wrong = json!({ "resourceType": "Parameters" });
    site.ask(&own, "POST", "/Consent/$what-if", &wrong)
        .await
        .problem(400, "value");

    let history = format!("/Patient/{patient}/$access-history");
    let trace = |answer: &Answer| answer.text.matches("$who-can-see").count();
    site.get(&own, &path).await;
    assert_eq!(
        trace(&site.get(&own, &history).await),
        0,
        "the patient's own"
    );
    let officer = officer(&site).await;
    let answer = site.get(&officer, &path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(trace(&site.get(&own, &history).await) > 0);
    let absent = site.get(&officer, "/Patient/absent/$who-can-see").await;
    absent.problem(404, "not-found");
}
