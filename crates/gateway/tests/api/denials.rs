//! Denials name the exception that they rest on, to who asks and on record, and what is not denied is released.

use serde_json::{Value, json};

use crate::support::{Site, Wallet, observation};

const SYSTEM: &str = "urn:careledger:information-blocking-exception";
const HIV_TEST: &str = "55277-8";

/// Nobody but the patient sees conditions, nor what is about HIV.
fn denying(patient: &str) -> Value {
    let deny = |rest: Value| {
        let mut provision = json!({ "type": "deny" });
        provision
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        provision
    };
    let mut consent = crate::support::consent(patient);
    consent["provision"] = json!({ "provision": [
        deny(json!({ "class": [
            { "system": "http://hl7.org/fhir/resource-types", "code": "Condition" } ] })),
        deny(json!({ "securityLabel": [
            { "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV" } ] })),
    ] });
    consent
}

struct Record {
    site: Site,
    wallet: Wallet,
    ehr: String,
    patient: String,
    condition: String,
    secret: String,
    plain: String,
}

impl Record {
    async fn new() -> Self {
        let site = Site::new();
        let wallet = Wallet::new(9);
        let patient = wallet.enroll(&site).await;
        let ehr = site.ehr().await;
        let condition = json!({ "resourceType": "Condition",
            "subject": { "reference": format!("Patient/{patient}") },
            "code": { "text": "asthma" } });
        let mut ids = Vec::new();
        for (kind, body) in [
            ("Condition", condition),
            ("Observation", observation(&patient, HIV_TEST)),
            ("Observation", observation(&patient, "718-7")),
        ] {
            let answer = site.ask(&ehr, "POST", &format!("/{kind}"), &body).await;
            assert_eq!(answer.status, 201, "{}", answer.text);
            ids.push(answer.json()["id"].as_str().unwrap().to_owned());
        }
        let token = wallet.token(&site, &patient).await;
        let filed = wallet.file(&site, &token, &denying(&patient)).await;
        assert_eq!(filed.status, 201, "{}", filed.text);
        let [condition, secret, plain] = <[String; 3]>::try_from(ids).unwrap();
        Self {
            site,
            wallet,
            ehr,
            patient,
            condition,
            secret,
            plain,
        }
    }

    /// Documents of a type in a search's or `$everything`'s answer.
    async fn found(&self, path: &str, kind: &str) -> Vec<String> {
        let answer = self.site.get(&self.ehr, path).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let body = answer.json();
        let entries = body["entry"].as_array().into_iter().flatten();
        entries
            .filter(|one| one["resource"]["resourceType"] == kind)
            .map(|one| {
                one["resource"]["id"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect()
    }
}

#[tokio::test]
async fn cures_1_a_denial_is_coded_in_the_answer_and_on_record() {
    let record = Record::new().await;
    let path = format!("/Condition/{}", record.condition);
    let answer = record.site.get(&record.ehr, &path).await;
    assert_eq!(answer.problem(403, "forbidden"), "the patient denies it");
    let coding = answer.json()["issue"][0]["details"]["coding"][0].clone();
    assert_eq!(coding["system"], SYSTEM);
    assert_eq!(coding["code"], "171.202(e)");
    // What hides that it is there says nothing of why.
    let hidden = format!("/Observation/{}", record.secret);
    let hidden = record.site.get(&record.ehr, &hidden).await;
    hidden.problem(404, "not-found");
    assert!(!hidden.text.contains("171."), "{}", hidden.text);

    let token = record.wallet.token(&record.site, &record.patient).await;
    let path = format!("/Patient/{}/$access-history", record.patient);
    let history = record.site.get(&token, &path).await.text;
    let coded = history.matches("171.202(e): the patient denies it").count();
    assert_eq!(coded, 2, "both are on record with their code: {history}");
}

#[tokio::test]
async fn cures_3_what_is_not_denied_is_released() {
    let record = Record::new().await;
    let patient = &record.patient;
    let everything = format!("/Patient/{patient}/$everything");
    for path in [
        format!("/Observation?patient={patient}"),
        everything.clone(),
    ] {
        let found = record.found(&path, "Observation").await;
        assert_eq!(found, std::slice::from_ref(&record.plain), "{path}");
    }
    let conditions = format!("/Condition?patient={patient}");
    assert!(record.found(&conditions, "Condition").await.is_empty());
    assert!(record.found(&everything, "Condition").await.is_empty());
    // That something was withheld, and on what it rests, is told with the rest.
    let told = record.site.get(&record.ehr, &everything).await;
    assert!(
        told.text.contains("171.202(e): the patient denies it"),
        "{}",
        told.text
    );
    assert!(!told.text.contains(&record.secret));
}
