//! Bulk export: what a client may read, patient by patient, on record, and nothing of anybody else's.

use serde_json::{Value, json};

use crate::patience::until;
use crate::support::{Answer, Ask, BASE, Site, Wallet, observation, patient};

const ASYNC: [(&str, &str); 1] = [("prefer", "respond-async")];

pub(crate) async fn kick_off(site: &Site, token: &str, path: &str) -> String {
    let answer = site
        .ask_with(token, "GET", path, &Value::Null, &ASYNC)
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let place = answer.header("content-location");
    place
        .strip_prefix(&format!("{BASE}/fhir"))
        .unwrap()
        .to_owned()
}

pub(crate) async fn finished(site: &Site, token: &str, place: &str) -> Value {
    until("the export is finished", async || {
        let answer = site.get(token, place).await;
        if answer.status == 200 {
            return Some(answer.json());
        }
        assert_eq!(answer.status, 202, "{}", answer.text);
        assert!(answer.header("x-progress").ends_with("patients"));
        assert_eq!(answer.header("retry-after"), "2");
        None
    })
    .await
}

pub(crate) async fn lines(site: &Site, token: &str, manifest: &Value, kind: &str) -> Vec<Value> {
    let output = manifest["output"].as_array().unwrap();
    let Some(file) = output.iter().find(|file| file["type"] == kind) else {
        return Vec::new();
    };
    let url = file["url"].as_str().unwrap();
    let path = url.strip_prefix(&format!("{BASE}/fhir")).unwrap();
    let answer = site.get(token, path).await;
    assert_eq!(answer.header("content-type"), "application/fhir+ndjson");
    let lines: Vec<Value> = answer
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(file["count"], lines.len());
    lines
}

async fn observe(site: &Site, token: &str, patient: &str, code: &str) -> Answer {
    let body = observation(patient, code);
    site.ask(token, "POST", "/Observation", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_what_is_asked_for_until_it_expires() {
    let site = Site::new();
    let ehr = site.ehr().await;
    for id in ["p1", "p2"] {
        site.patient(&ehr, id).await;
        observe(&site, &ehr, id, "718-7").await;
        observe(&site, &ehr, id, "other").await;
    }
    let organization = json!({ "resourceType": "Organization", "name": "A" });
    site.ask(&ehr, "POST", "/Organization", &organization).await;
    site.ask(&ehr, "GET", "/$export", &Value::Null)
        .await
        .problem(400, "value");

    let all = kick_off(&site, &ehr, "/$export").await;
    let manifest = finished(&site, &ehr, &all).await;
    assert_eq!(manifest["requiresAccessToken"], true);
    assert_eq!(lines(&site, &ehr, &manifest, "Patient").await.len(), 2);
    assert_eq!(lines(&site, &ehr, &manifest, "Observation").await.len(), 4);
    assert_eq!(lines(&site, &ehr, &manifest, "Organization").await.len(), 1);

    let some = "/Patient/$export?_type=Observation&_typeFilter=Observation%3Fcode%3D718-7&_elements=status";
    let some = kick_off(&site, &ehr, some).await;
    let manifest = finished(&site, &ehr, &some).await;
    assert_eq!(manifest["output"].as_array().unwrap().len(), 1);
    let found = lines(&site, &ehr, &manifest, "Observation").await;
    assert_eq!(found.len(), 2);
    assert!(found[0].get("code").is_none() && found[0]["status"] == "final");

    let later = kick_off(&site, &ehr, "/$export?_since=2030-01-01T00:00:00Z").await;
    let manifest = finished(&site, &ehr, &later).await;
    assert_eq!(manifest["output"], json!([]));

    let group = json!({ "resourceType": "Group", "id": "g", "type": "person", "actual": true,
        "member": [{ "entity": { "reference": "Patient/p2" } }] });
    site.ask(&ehr, "PUT", "/Group/g", &group).await;
    let group = kick_off(&site, &ehr, "/Group/g/$export").await;
    let manifest = finished(&site, &ehr, &group).await;
    let patients = lines(&site, &ehr, &manifest, "Patient").await;
    assert_eq!((patients.len(), &patients[0]["id"]), (1, &json!("p2")));

    let cancelled = site.ask(&ehr, "DELETE", &some, &Value::Null).await;
    assert_eq!(cancelled.status, 202);
    site.get(&ehr, &some).await.problem(404, "not-found");
    site.pass(25 * 60 * 60);
    let ehr = site.ehr().await;
    site.get(&ehr, &all).await.problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_consent_decides_an_export_and_the_patient_sees_it() {
    let site = Site::new();
    let wallet = Wallet::new(3);
    let id = wallet.enroll(&site).await;
    let ehr = site.ehr().await;
    let path = format!("/Patient/{id}");
    site.ask(&ehr, "PUT", &path, &patient(&id)).await;
    observe(&site, &ehr, &id, "718-7").await;
    let marketing = Ask {
        purpose: Some("HMARKT"),
        ..Ask::default()
    };
    let marketing = site.token(&marketing).await;
    let place = kick_off(&site, &marketing, "/$export").await;
    let manifest = finished(&site, &marketing, &place).await;
    assert!(
        lines(&site, &marketing, &manifest, "Observation")
            .await
            .is_empty()
    );
    assert!(!manifest.to_string().contains("Observation"));

    let place = kick_off(&site, &ehr, "/$export?_type=Observation").await;
    let manifest = finished(&site, &ehr, &place).await;
    assert_eq!(lines(&site, &ehr, &manifest, "Observation").await.len(), 1);
    let token = wallet.token(&site, &id).await;
    let history = site.get(&token, &format!("{path}/$access-history")).await;
    let history = history.json();
    let entries = history["parameter"].as_array().unwrap();
    let exports = entries.iter().filter(|entry| {
        let parts = entry["part"].as_array().unwrap();
        parts
            .iter()
            .any(|part| part["name"] == "interaction" && part["valueString"] == "export")
    });
    assert_eq!(exports.count(), 2, "the denied one too");
    let refused = site
        .ask_with(&token, "GET", "/$export", &Value::Null, &ASYNC)
        .await;
    refused.problem(403, "forbidden");
    site.get(&token, &place).await.problem(404, "not-found");
}
