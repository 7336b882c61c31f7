//! Erasure, holds and amendment over HTTP.

use contracts::erasure::{Certificate, verify};
use serde_json::{Value, json};

use crate::patience::until;
use crate::support::{Ask, Site, observation};

async fn officer(site: &Site) -> String {
    let ask = Ask {
        scope: "careledger/erase",
        ..Ask::default()
    };
    site.token(&ask).await
}

fn grounds(basis: &str) -> Value {
    json!({ "resourceType": "Parameters", "parameter": [
        { "name": "basis", "valueCode": basis },
        { "name": "authority", "valueString": "District Court" },
        { "name": "justification", "valueString": "order of 12 May" },
    ] })
}

/// A patient with an observation; its path.
async fn observed(site: &Site) -> String {
    let ehr = site.ehr().await;
    site.patient(&ehr, "p").await;
    let created = site
        .ask(&ehr, "POST", "/Observation", &observation("p", "718-7"))
        .await;
    assert_eq!(created.status, 201, "{}", created.text);
    format!("/Observation/{}", created.json()["id"].as_str().unwrap())
}

#[tokio::test]
async fn p6_an_erased_record_is_gone_and_its_certificate_verifies() {
    let site = Site::new();
    let path = observed(&site).await;
    let (ehr, officer) = (site.ehr().await, officer(&site).await);
    let erase = format!("{path}/$erase");
    let refused = site.ask(&ehr, "POST", &erase, &grounds("gdpr-17")).await;
    refused.problem(403, "forbidden");
    let malformed = site
        .ask(&officer, "POST", &erase, &grounds("because"))
        .await;
    malformed.problem(400, "value");
    let erased = site
        .ask(&officer, "POST", &erase, &grounds("court-order"))
        .await;
    assert_eq!(erased.status, 200, "{}", erased.text);
    assert_eq!(erased.json()["parameter"][0]["name"], "erasure");
    site.get(&ehr, &path).await.problem(410, "deleted");
    site.get(&ehr, &format!("{path}/_history/1"))
        .await
        .problem(410, "deleted");
    let found = site.get(&ehr, "/Observation?code=718-7").await;
    assert_eq!(found.json()["total"], 0);
    let asked = format!("{path}/$erasure-certificate?grounds=true");
    let certificate = until("there is a certificate", async || {
        let cbor = [("accept", "application/cbor")];
        let answer = site.ask_with(&officer, "GET", &asked, &Value::Null, &cbor);
        let answer = answer.await;
        assert!(matches!(answer.status, 200 | 202), "{}", answer.text);
        (answer.status == 200).then_some(answer.bytes)
    })
    .await;
    let certificate = Certificate::decode(&certificate).unwrap();
    let verified = verify(&certificate.erasures[0], &site.ledger.trust()).unwrap();
    assert_eq!(verified.erased, 1);
    assert_eq!(verified.grounds.unwrap().basis, "court-order");
}

#[tokio::test]
async fn p6_a_hold_refuses_and_is_named() {
    let site = Site::new();
    let path = observed(&site).await;
    let (ehr, officer) = (site.ehr().await, officer(&site).await);
    let hold = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "authority", "valueString": "Public Prosecutor" },
        { "name": "reason", "valueString": "inquiry" },
        { "name": "until", "valueDateTime": "2030-01-01" },
    ] });
    let placed = site.ask(&officer, "POST", "/Patient/p/$hold", &hold).await;
    assert_eq!(placed.status, 201, "{}", placed.text);
    let hold = placed.json()["parameter"][0]["valueString"]
        .as_str()
        .unwrap()
        .to_owned();
    let erase = format!("{path}/$erase");
    let refused = site
        .ask(&officer, "POST", &erase, &grounds("gdpr-17"))
        .await;
    refused.problem(409, "business-rule");
    assert!(refused.text.contains(&hold), "the hold is named");
    site.get(&ehr, &path).await;
    let release = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "hold", "valueString": hold } ] });
    let released = site.ask(&officer, "POST", "/$release-hold", &release).await;
    assert_eq!(released.status, 200, "{}", released.text);
    let erased = site
        .ask(&officer, "POST", &erase, &grounds("gdpr-17"))
        .await;
    assert_eq!(erased.status, 200, "{}", erased.text);
}

fn decision(parameters: &[Value]) -> Value {
    json!({ "resourceType": "Parameters", "parameter": parameters })
}

async fn requested(site: &Site, path: &str) -> String {
    let ehr = site.ehr().await;
    let wish = decision(&[json!({ "name": "reason", "valueString": "the value is another's" })]);
    let asked = site
        .ask(&ehr, "POST", &format!("{path}/$request-amendment"), &wish)
        .await;
    assert_eq!(asked.status, 201, "{}", asked.text);
    let task = asked.json();
    assert_eq!(
        (&task["resourceType"], &task["status"]),
        (&json!("Task"), &json!("requested"))
    );
    assert_eq!(
        task["restriction"]["period"]["end"], "2026-07-31T00:00:00.000Z",
        "60 days"
    );
    format!("/Task/{}", task["id"].as_str().unwrap())
}

#[tokio::test]
async fn hipaa_7_gdpr_3_an_accepted_amendment_supersedes_and_the_answer_says_who_was_told() {
    let site = Site::new();
    let path = observed(&site).await;
    let task = requested(&site, &path).await;
    let ehr = site.ehr().await;
    let mut amended = observation("p", "789-8");
    amended["id"] = json!(path.rsplit('/').next().unwrap());
    let accept = decision(&[
        json!({ "name": "accept", "valueBoolean": true }),
        json!({ "name": "amended", "resource": amended }),
    ]);
    let decided = site
        .ask(&ehr, "POST", &format!("{task}/$decide-amendment"), &accept)
        .await;
    assert_eq!(decided.status, 200, "{}", decided.text);
    assert_eq!(decided.json()["status"], "completed");
    let now = site.get(&ehr, &path).await.json();
    assert_eq!(now["code"]["coding"][0]["code"], "789-8");
    assert_eq!(now["meta"]["versionId"], "2");
    let before = site.get(&ehr, &format!("{path}/_history/1")).await.json();
    assert_eq!(
        before["code"]["coding"][0]["code"], "718-7",
        "nothing is obscured"
    );
    let again = site
        .ask(&ehr, "POST", &format!("{task}/$decide-amendment"), &accept)
        .await;
    again.problem(422, "business-rule");
}

#[tokio::test]
async fn hipaa_7_a_denial_has_a_coded_reason_and_the_patient_may_disagree() {
    let site = Site::new();
    let path = observed(&site).await;
    let task = requested(&site, &path).await;
    let ehr = site.ehr().await;
    let decide = format!("{task}/$decide-amendment");
    let bare = decision(&[json!({ "name": "accept", "valueBoolean": false })]);
    site.ask(&ehr, "POST", &decide, &bare)
        .await
        .problem(400, "value");
    let deny = decision(&[
        json!({ "name": "accept", "valueBoolean": false }),
        json!({ "name": "reason", "valueCode": "accurate-and-complete" }),
    ]);
    let denied = site.ask(&ehr, "POST", &decide, &deny).await;
    assert_eq!(denied.json()["status"], "rejected");
    assert_eq!(
        denied.json()["statusReason"]["coding"][0]["code"],
        "accurate-and-complete"
    );
    let words = decision(&[json!({ "name": "statement", "valueString": "it is not mine" })]);
    let said = site
        .ask(&ehr, "POST", &format!("{task}/$disagree"), &words)
        .await;
    assert_eq!(said.status, 201, "{}", said.text);
    let statement = said.json();
    assert_eq!(statement["resourceType"], "Communication");
    let about: Vec<_> = statement["about"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["reference"].clone())
        .collect();
    assert_eq!(
        about,
        [
            json!(path.trim_start_matches('/')),
            json!(task.trim_start_matches('/'))
        ]
    );
}

#[tokio::test]
async fn hipaa_7_the_clock_is_extended_once_by_thirty_days() {
    let site = Site::new();
    let path = observed(&site).await;
    let task = requested(&site, &path).await;
    let ehr = site.ehr().await;
    let extend = format!("{task}/$extend-request");
    let why = decision(&[json!({ "name": "reason", "valueString": "records are off site" })]);
    let extended = site.ask(&ehr, "POST", &extend, &why).await;
    assert_eq!(
        extended.json()["restriction"]["period"]["end"],
        "2026-08-30T00:00:00.000Z"
    );
    site.ask(&ehr, "POST", &extend, &why)
        .await
        .problem(422, "business-rule");
}

#[tokio::test]
async fn hipaa_6_the_audit_log_is_pruned_on_record_and_never_below_six_years() {
    let site = Site::new();
    observed(&site).await;
    let (ehr, officer) = (site.ehr().await, officer(&site).await);
    let before = |day: &str| {
        decision(&[
            json!({ "name": "before", "valueDateTime": day }),
            json!({ "name": "authority", "valueString": "records office" }),
        ])
    };
    let prune = "/$retention-audit";
    let refused = site.ask(&ehr, "POST", prune, &before("2019-01-01")).await;
    refused.problem(403, "forbidden");
    let refused = site.ask(&officer, "POST", prune, &before("soon")).await;
    refused.problem(400, "value");
    let refused = site
        .ask(&officer, "POST", prune, &before("2020-06-03"))
        .await;
    assert!(refused.text.contains("six years"), "{}", refused.text);
    let done = site
        .ask(&officer, "POST", prune, &before("2020-05-01"))
        .await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(done.json()["parameter"][0]["valueString"], "0");
}
