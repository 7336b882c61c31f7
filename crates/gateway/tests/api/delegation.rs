//! Delegation: who acts in a patient's place sees what the patient would, as far as the consents go, and is named.

use serde_json::{Value, json};

use crate::support::{Browser, PASSWORD, Site, observation};

const SCOPES: &str = "launch/patient patient/*.rs";

/// Lets a RelatedPerson act in the patient's place; `by` a delegate, else by the patient.
fn consent(patient: &str, to: &str, (role, by): (&str, Option<&str>), end: &str) -> Value {
    let class = |name| json!({ "system": "http://hl7.org/fhir/resource-types", "code": name });
    let mut consent = json!({
        "resourceType": "Consent", "status": "active",
        "scope": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/consentscope",
            "code": "patient-privacy" }] },
        "category": [{ "coding": [{ "system": "http://loinc.org", "code": "59284-0" }] }],
        "patient": { "reference": format!("Patient/{patient}") },
        "dateTime": "2026-05-01T00:00:00Z",
        "sourceReference": { "reference": "DocumentReference/evidence" },
        "policyRule": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
            "code": "OPTIN" }] },
        "provision": {
            "type": "permit",
            "period": { "start": "2026-05-01T00:00:00Z", "end": end },
            "actor": [{
                "role": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode",
                    "code": role }] },
                "reference": { "reference": to },
            }],
            "purpose": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
                "code": "PATRQT" }],
            "class": [class("Patient"), class("Observation")],
        },
    });
    if let Some(by) = by {
        consent["performer"] = json!([{ "reference": by }]);
    }
    consent
}

/// Two patients, an observation of the first, and `RelatedPerson/r1` and `r2` of them.
async fn family() -> (Site, String, String) {
    let site = Site::new();
    let ehr = site.ehr().await;
    for (patient, related) in [("p1", "r1"), ("p2", "r2")] {
        site.patient(&ehr, patient).await;
        let person = json!({ "resourceType": "RelatedPerson", "id": related,
            "patient": { "reference": format!("Patient/{patient}") } });
        let path = format!("/RelatedPerson/{related}");
        assert_eq!(site.ask(&ehr, "PUT", &path, &person).await.status, 201);
    }
    let body = observation("p1", "718-7");
    let answer = site.ask(&ehr, "POST", "/Observation", &body).await;
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    (site, ehr, id)
}

async fn file(site: &Site, ehr: &str, consent: &Value) -> String {
    let answer = site.ask(ehr, "POST", "/Consent", consent).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn token(site: &Site, principal: Option<&str>) -> Value {
    site.launched(("rita", principal), SCOPES).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delegate_sees_what_the_consent_gives_and_each_act_names_both() {
    let (site, ehr, id) = family().await;
    // Without a consent there is nobody to act for.
    let mut browser = Browser::default();
    browser.authorize(&site, &[("scope", SCOPES)]).await;
    let refused = browser.login(&site, "rita", PASSWORD).await;
    assert!(
        refused.header("location").contains("access_denied"),
        "{:?}",
        refused.headers
    );

    let filed = consent("p1", "RelatedPerson/r1", ("DELEGATEE", None), "2027-01-01");
    let filed = file(&site, &ehr, &filed).await;
    let granted = token(&site, None).await;
    assert_eq!(granted["patient"], "p1", "one principal is not asked for");
    let rita = granted["access_token"].as_str().unwrap();
    let opened = site.get(rita, &format!("/Observation/{id}")).await;
    assert_eq!(opened.status, 200, "{}", opened.text);
    let everything = site
        .get(rita, "/Patient/p2/$everything?_type=Observation")
        .await;
    everything.problem(403, "forbidden");
    let body = observation("p1", "718-7");
    site.ask(rita, "POST", "/Observation", &body)
        .await
        .problem(403, "forbidden");
    let withdrawn = site.get(rita, &format!("/Consent/{filed}")).await;
    withdrawn.problem(403, "forbidden");

    // The patient's history names who acted, and by which consent.
    let pat = site.launched(("pat", None), SCOPES).await;
    let pat = pat["access_token"].as_str().unwrap();
    let history = site.get(pat, "/Patient/p1/$access-history").await;
    let entries = history.json()["parameter"].as_array().unwrap().clone();
    let parts = |entry: &Value| entry["part"].as_array().unwrap().clone();
    let acts: Vec<Vec<Value>> = entries
        .iter()
        .map(parts)
        .filter(|parts| parts.iter().any(|one| one["name"] == "on-behalf-of"))
        .collect();
    assert!(!acts.is_empty(), "{}", history.text);
    for act in acts {
        let of = |name: &str| act.iter().find(|one| one["name"] == name).unwrap().clone();
        assert_eq!(of("principal")["valueString"], "RelatedPerson/r1");
        let link = of("on-behalf-of");
        assert_eq!(link["part"][0]["valueReference"]["reference"], "Patient/p1");
        assert_eq!(link["part"][1]["valueString"], "RelatedPerson/r1");
        assert_eq!(link["part"][2]["valueString"], format!("clinic/{filed}/1"));
    }

    // Revoked, the next read is denied.
    let mut ended = consent("p1", "RelatedPerson/r1", ("DELEGATEE", None), "2027-01-01");
    ended["id"] = filed.clone().into();
    ended["status"] = "inactive".into();
    let answer = site
        .ask(&ehr, "PUT", &format!("/Consent/{filed}"), &ended)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    site.get(rita, &format!("/Observation/{id}"))
        .await
        .problem(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_acts_for_several_says_for_whom_and_a_parent_ends_at_majority() {
    let (site, ehr, id) = family().await;
    let child = consent("p1", "RelatedPerson/r1", ("PRN", None), "2026-12-01");
    file(&site, &ehr, &child).await;
    let other = consent("p2", "RelatedPerson/r2", ("POWATT", None), "2027-01-01");
    file(&site, &ehr, &other).await;
    let mut browser = Browser::default();
    browser.authorize(&site, &[("scope", SCOPES)]).await;
    let page = browser.login(&site, "rita", PASSWORD).await;
    assert!(page.text.contains("You act for"), "{}", page.text);
    let granted = token(&site, Some("p1")).await;
    assert_eq!(granted["patient"], "p1");
    let rita = granted["access_token"].as_str().unwrap();
    assert_eq!(
        site.get(rita, &format!("/Observation/{id}")).await.status,
        200
    );

    // The child came of age before June: nobody acts for it any more.
    let grown = consent("p1", "RelatedPerson/r1", ("PRN", None), "2026-05-31");
    let (site, ehr, _) = family().await;
    file(&site, &ehr, &grown).await;
    let mut browser = Browser::default();
    browser.authorize(&site, &[("scope", SCOPES)]).await;
    let refused = browser.login(&site, "rita", PASSWORD).await;
    assert!(
        refused.header("location").contains("access_denied"),
        "{:?}",
        refused.headers
    );
}
