//! Operations: enrolment, consent, the access history, receipts, and what other members hold.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contracts::export::{Export, verify};
use ledger::receipt::Receipt;
use serde_json::{Value, json};

use crate::patience::until;
use crate::support::{Answer, Ask, Site, Wallet, consent, observation, patient};

fn parts(entry: &Value, name: &str) -> Vec<Value> {
    let parts = entry["part"].as_array().unwrap().iter();
    parts.filter(|part| part["name"] == name).cloned().collect()
}

#[tokio::test]
async fn p2_every_attempt_is_in_the_history_that_the_wallet_fetches() {
    let site = Site::new();
    let wallet = Wallet::new(3);
    let id = wallet.enroll(&site).await;
    let ehr = site.ehr().await;
    site.ask(
        &ehr,
        "PUT",
        &format!("/Patient/{id}"),
        &json!({ "resourceType": "Patient", "id": id }),
    )
    .await;
    let marketing = Ask {
        purpose: Some("HMARKT"),
        ..Ask::default()
    };
    let marketing = site.token(&marketing).await;
    site.get(&ehr, &format!("/Patient/{id}")).await;
    site.get(&marketing, &format!("/Patient/{id}"))
        .await
        .problem(403, "forbidden");

    let token = wallet.token(&site, &id).await;
    let path = format!("/Patient/{id}/$access-history");
    let history = site.get(&token, &path).await.json();
    let entries = history["parameter"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    for (entry, (purpose, permitted, withheld)) in
        entries.iter().zip([("TREAT", 1, 0), ("HMARKT", 0, 1)])
    {
        assert_eq!(entry["name"], "entry");
        assert_eq!(parts(entry, "purpose")[0]["valueString"], purpose);
        assert_eq!(
            parts(entry, "principal")[0]["valueString"],
            "Practitioner/7"
        );
        assert_eq!(parts(entry, "permitted").len(), permitted);
        assert_eq!(parts(entry, "withheld")[0]["valueUnsignedInt"], withheld);
    }
    eventually(&site, &token, &path, |answer| {
        let history = answer.json();
        let entries = history["parameter"].as_array().unwrap();
        entries
            .iter()
            .all(|entry| parts(entry, "receipt").len() == 1)
    })
    .await;
    let history = site.get(&token, &path).await.json();
    let receipt = parts(&history["parameter"][1], "receipt")[0].clone();
    let receipt = STANDARD
        .decode(receipt["valueBase64Binary"].as_str().unwrap())
        .unwrap();
    let recorded = Receipt::decode(&receipt)
        .unwrap()
        .verify(&site.ledger.trust())
        .unwrap();
    let tag = parts(&history["parameter"][1], "tag")[0].clone();
    assert!(
        recorded
            .item
            .tags
            .iter()
            .any(|one| tag["valueString"] == one.to_string().as_str())
    );

    site.get(&ehr, &path).await.problem(403, "forbidden");
    let other = Wallet::new(4);
    let other_id = other.enroll(&site).await;
    let other = other.token(&site, &other_id).await;
    site.get(&other, &path).await.problem(403, "forbidden");
    site.get(&other, &format!("/Patient/{id}"))
        .await
        .problem(403, "forbidden");
}

#[tokio::test]
async fn a_newer_branch_key_closes_the_stream_and_a_stale_one_is_refused() {
    let site = Site::new();
    let wallet = Wallet::new(3);
    let id = wallet.enroll(&site).await;
    let token = wallet.token(&site, &id).await;
    let path = format!("/Patient/{id}/$branches");
    let newer = wallet.parameters_in(&site, &["access/clinic", "index/clinic"], 2);
    for _ in 0..2 {
        let taken = site.ask(&token, "POST", &path, &newer).await;
        assert_eq!(taken.status, 200, "{}", taken.text);
    }
    let stale = wallet.parameters_in(&site, &["access/clinic"], 1);
    let refused = site.ask(&token, "POST", &path, &stale).await;
    assert!(
        refused.text.contains("stale branch keys"),
        "{}",
        refused.text
    );
    refused.problem(422, "conflict");
    let history = format!("/Patient/{id}/$access-history");
    let history = site.get(&token, &history).await.json();
    let entries = history["parameter"].as_array().unwrap();
    let part = |name: &str| {
        let parts = entries[0]["part"].as_array().unwrap();
        parts.iter().find(|part| part["name"] == name).cloned()
    };
    assert_eq!(part("interaction").unwrap()["valueString"], "moved");
    assert_eq!(part("epoch").unwrap()["valueUnsignedInt"], 2);
    assert!(part("successorSalt").is_some());
}

#[tokio::test]
async fn a_wallet_enrols_grants_more_branches_and_files_consents() {
    let site = Site::new();
    let wallet = Wallet::new(3);
    let ehr = site.ehr().await;
    let some = wallet.parameters(&site, &["index/clinic"]);
    site.ask(&ehr, "POST", "/Patient/$enroll", &some)
        .await
        .problem(422, "required");
    let id = wallet.enroll(&site).await;
    let token = wallet.token(&site, &id).await;
    let path = format!("/Patient/{id}/$branches");
    let more = wallet.parameters(&site, &["index/hospital", "consent/hospital"]);
    let granted = site.ask(&token, "POST", &path, &more).await;
    let patient = granted.json()["parameter"][0]["valueReference"]["reference"].clone();
    assert_eq!(patient, format!("Patient/{id}"));
    let foreign = Wallet::new(4).parameters(&site, &["index/payer"]);
    site.ask(&token, "POST", &path, &foreign)
        .await
        .problem(422, "security");
    site.ask(&ehr, "POST", &path, &more)
        .await
        .problem(403, "forbidden");
    site.ask(&token, "POST", "/Patient/$enroll", &more)
        .await
        .problem(403, "forbidden");
    let rubbish = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "branches", "valueString": "planted-7731 !" } ] });
    site.ask(&token, "POST", &path, &rubbish)
        .await
        .problem(400, "value");
    site.ask(
        &token,
        "POST",
        &path,
        &json!({ "resourceType": "Parameters" }),
    )
    .await
    .problem(400, "value");

    let filed = wallet.file(&site, &token, &consent(&id)).await;
    assert_eq!(filed.status, 201, "{}", filed.text);
    let consent_id = filed.json()["id"].as_str().unwrap().to_owned();
    let mut withdrawn = consent(&id);
    withdrawn["id"] = json!(consent_id);
    withdrawn["status"] = json!("inactive");
    let provenance = wallet.provenance(withdrawn.to_string().as_bytes());
    let headers = [
        ("x-provenance", provenance.as_str()),
        ("if-match", r#"W/"1""#),
    ];
    let path = format!("/Consent/{consent_id}");
    let updated = site
        .ask_with(&token, "PUT", &path, &withdrawn, &headers)
        .await;
    assert_eq!(
        (updated.status, updated.header("etag")),
        (200, r#"W/"2""#),
        "{}",
        updated.text
    );
    site.ask(&token, "POST", "/Observation", &observation(&id, "1"))
        .await
        .problem(403, "forbidden");
    let read = site.get(&token, &path).await;
    assert_eq!(read.json()["status"], "inactive", "{}", read.text);
}

#[tokio::test]
async fn a_wallet_reads_its_patients_record_and_no_other() {
    let site = Site::new();
    let wallet = Wallet::new(3);
    let id = wallet.enroll(&site).await;
    let (ehr, token) = (site.ehr().await, wallet.token(&site, &id).await);
    site.ask(&ehr, "PUT", &format!("/Patient/{id}"), &patient(&id))
        .await;
    site.patient(&ehr, "other").await;
    let mut ids = Vec::new();
    for patient in [id.as_str(), "other"] {
        let created = site
            .ask(&ehr, "POST", "/Observation", &observation(patient, "718-7"))
            .await;
        ids.push(created.json()["id"].as_str().unwrap().to_owned());
    }
    for path in [
        format!("/Patient/{id}"),
        format!("/Patient/{id}/_history"),
        format!("/Patient/{id}/_history/1"),
        format!("/Patient/{id}/$everything"),
        format!("/Observation/{}", ids[0]),
        format!("/Observation?patient={id}"),
    ] {
        let answer = site.get(&token, &path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert!(
            !answer.text.contains(&ids[1]) && !answer.text.contains("other"),
            "{path}"
        );
    }
    for path in [
        "/Patient/other".to_owned(),
        "/Patient/other/_history".to_owned(),
        "/Patient/other/$everything".to_owned(),
        "/Patient/other/$receipt".to_owned(),
        "/Patient/other/$open?member=hospital&reference=Observation/o1".to_owned(),
        "/Patient/other/$access-history".to_owned(),
        format!("/Observation/{}", ids[1]),
        format!("/Observation/{}/_history/1/$receipt", ids[1]),
        "/Observation".to_owned(),
        "/Observation?patient=other".to_owned(),
        format!("/Observation?patient={id},other"),
    ] {
        site.get(&token, &path).await.problem(403, "forbidden");
    }
    let own = format!("/Patient/{id}");
    site.ask(&token, "PUT", &own, &patient(&id))
        .await
        .problem(403, "forbidden");
    site.ask(&token, "DELETE", &own, &Value::Null)
        .await
        .problem(403, "forbidden");
}

#[tokio::test]
async fn a_receipt_is_pending_until_final_and_then_verifies() {
    let site = Site::new();
    let token = site.ehr().await;
    site.ledger.live(false);
    site.patient(&token, "p1").await;
    let versioned = "/Patient/p1/_history/1/$receipt";
    let pending = site.get(&token, versioned).await;
    assert_eq!((pending.status, pending.header("retry-after")), (202, "1"));
    assert_eq!(pending.json()["issue"][0]["severity"], "information");

    site.ledger.live(true);
    for path in [versioned, "/Patient/p1/$receipt"] {
        let cbor = eventually(&site, &token, path, |answer| answer.status == 200).await;
        assert_eq!(cbor.header("content-type"), "application/cbor");
        let verified = verify(&Export::decode(&cbor.bytes).unwrap(), &site.ledger.trust()).unwrap();
        assert_eq!((verified.id.as_str(), verified.version), ("p1", 1));
        assert!(verified.latest);
        let mut changed = Export::decode(&cbor.bytes).unwrap();
        changed.content[40] ^= 1;
        assert!(verify(&changed, &site.ledger.trust()).is_err());
    }
    let headers = [("accept", "application/fhir+json")];
    let fhir = site
        .ask_with(&token, "GET", versioned, &Value::Null, &headers)
        .await
        .json();
    assert_eq!(fhir["parameter"][0]["name"], "export");
    let export = fhir["parameter"][0]["valueBase64Binary"].as_str().unwrap();
    let export = Export::decode(&STANDARD.decode(export).unwrap()).unwrap();
    assert_eq!(verify(&export, &site.ledger.trust()).unwrap().version, 1);
    site.get(&token, "/Patient/p1/_history/2/$receipt")
        .await
        .problem(404, "not-found");
    site.get(&token, "/Patient/p2/$receipt")
        .await
        .problem(404, "not-found");
}

#[tokio::test]
async fn everything_is_what_all_members_grant_and_what_is_missing() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let mut theirs = observation("at-hospital", "718-7");
    theirs["id"] = json!("o1");
    site.others.grant("hospital", theirs);
    site.others
        .withhold("laboratory", 2, "no consent permits this");
    site.others.silence("payer");
    let record = site.get(&token, "/Patient/p1/$everything").await.json();
    assert_eq!(
        (&record["type"], &record["total"]),
        (&json!("searchset"), &json!(2))
    );
    let entries = record["entry"].as_array().unwrap();
    let url = |at: usize| entries[at]["fullUrl"].as_str().unwrap();
    assert_eq!(url(0), "http://127.0.0.1:8101/fhir/Patient/p1");
    assert_eq!(url(1), "https://hospital/fhir/Observation/o1");
    assert_eq!(entries[1]["extension"][0]["valueString"], "hospital");
    assert_eq!(entries[1]["resource"]["meta"]["versionId"], "3");
    let outcome = |at: usize| {
        assert_eq!(entries[at]["search"]["mode"], "outcome");
        let said = &entries[at]["resource"]["issue"][0]["diagnostics"];
        said.as_str().unwrap().to_owned()
    };
    let said = "laboratory withholds 2 documents: no consent permits this";
    assert_eq!(outcome(2), said);
    let gap = &entries[2]["extension"][0]["extension"];
    assert_eq!(
        (&gap[0]["valueString"], &gap[1]["valueUnsignedInt"]),
        (&json!("laboratory"), &json!(2))
    );
    assert!(outcome(3).starts_with("payer did not answer"));
    assert_eq!(entries.len(), 4);

    let some = site
        .get(&token, "/Patient/p1/$everything?_type=Observation")
        .await
        .json();
    assert_eq!(some["total"], 1);
    assert_eq!(some["entry"][0]["resource"]["resourceType"], "Observation");
}

#[tokio::test]
async fn p7_without_the_ledger_everything_is_what_is_here() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    site.others.lose_the_ledger();
    let record = site.get(&token, "/Patient/p1/$everything").await;
    assert_eq!((record.status, &record.json()["total"]), (200, &json!(1)));
    assert_eq!(
        record.json()["entry"][1]["resource"]["issue"][0]["code"],
        "incomplete"
    );
    let path = "/Patient/p1/$open?member=hospital&reference=Observation/o1";
    let answer = site.get(&token, path).await;
    answer.problem(503, "transient");
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn a_document_of_another_member_opens_or_says_why_not() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let open = |member: &str, reference: &str| {
        format!("/Patient/p1/$open?member={member}&reference={reference}")
    };
    let path = open("hospital", "Observation/o1");
    site.get(&token, &path).await.problem(404, "not-found");
    site.others
        .withhold("hospital", 1, "no consent permits this");
    let denied = site.get(&token, &path).await;
    assert_eq!(denied.problem(403, "forbidden"), "no consent permits this");
    let mut theirs = observation("at-hospital", "718-7");
    theirs["id"] = json!("o1");
    site.others.grant("hospital", theirs);
    let opened = site.get(&token, &path).await;
    assert_eq!(
        (opened.status, opened.header("etag")),
        (200, r#"W/"3""#),
        "{}",
        opened.text
    );
    let location = "https://hospital/fhir/Observation/o1";
    assert_eq!(opened.header("content-location"), location);
    assert_eq!(opened.json()["id"], "o1");
    site.get(&token, &open("clinic", "Observation/o1"))
        .await
        .problem(400, "value");
    site.get(&token, &open("hospital", "Plantedfamily/o1"))
        .await
        .problem(400, "value");
    site.get(&token, &open("planted_7731", "Observation/o1"))
        .await
        .problem(400, "value");
}

/// Asks until the answer is as wanted.
async fn eventually(
    site: &Site,
    token: &str,
    path: &str,
    wanted: impl Fn(&Answer) -> bool,
) -> Answer {
    until(path, async || {
        Some(site.get(token, path).await).filter(&wanted)
    })
    .await
}
