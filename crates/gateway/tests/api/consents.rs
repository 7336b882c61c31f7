//! Consents: filed and revoked with the form that was signed, through their life, and acknowledged by receipts.

use contracts::consent::life::{resumed, suspended, withdrawn};
use contracts::consent::part2::SECTION;
use contracts::consent::receipt::{ReceiptError, verify};
use contracts::consent::template::Template;
use serde_json::{Value, json};

use crate::patience::until;
use crate::support::{Answer, Site, Wallet, consent};

fn form(patient: &str) -> Value {
    json!({ "resourceType": "DocumentReference", "status": "current",
        "type": { "coding": [{ "system": "http://loinc.org", "code": "64292-6" }] },
        "subject": { "reference": format!("Patient/{patient}") },
        "content": [{ "attachment": { "contentType": "application/pdf", "data": "JVBERi0=" } }] })
}

fn filing(consent: &Value, document: &Value) -> Value {
    json!({ "resourceType": "Parameters", "parameter": [
        { "name": "consent", "resource": consent }, { "name": "document", "resource": document } ] })
}

fn revoking(id: &str, patient: &str) -> Value {
    json!({ "resourceType": "Parameters", "parameter": [
        { "name": "consent", "valueReference": { "reference": format!("Consent/{id}") } },
        { "name": "patient", "valueReference": { "reference": format!("Patient/{patient}") } } ] })
}

/// The id in `Location`.
fn filed_id(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["resourceType"], "OperationOutcome");
    let (_, rest) = answer.header("location").split_once("/Consent/").unwrap();
    rest.split('/').next().unwrap().to_owned()
}

/// The next version of a consent, as the wallet signs it.
async fn follow(site: &Site, wallet: &Wallet, token: &str, (id, next): (&str, Value)) -> Answer {
    let mut next = next;
    next["id"] = json!(id);
    let provenance = wallet.provenance(next.to_string().as_bytes());
    let headers = [("x-provenance", provenance.as_str())];
    let path = format!("/Consent/{id}");
    site.ask_with(token, "PUT", &path, &next, &headers).await
}

#[track_caller]
fn refused_at(answer: &Answer, element: &str) {
    answer.problem(422, "business-rule");
    assert_eq!(answer.json()["issue"][0]["expression"][0], element);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_is_filed_and_revoked_with_the_form_that_was_signed() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p").await;
    let body = filing(&consent("p"), &form("p"));
    for path in ["/Consent/$file-consent", "/Consent/$fileConsent"] {
        let answer = site.ask(&ehr, "POST", path, &body).await;
        let id = filed_id(&answer);
        let filed = site.get(&ehr, &format!("/Consent/{id}")).await.json();
        assert_eq!(filed["status"], "active");
        let source = filed["sourceReference"]["reference"].as_str().unwrap();
        let kept = site.get(&ehr, &format!("/{source}")).await.json();
        assert_eq!(kept["content"][0]["attachment"]["data"], "JVBERi0=");

        let mut asked = revoking(&id, "p");
        let mut paper = form("p");
        paper["id"] = json!(format!("revocation-{}", path.len()));
        let document = json!({ "name": "document", "resource": paper });
        asked["parameter"].as_array_mut().unwrap().push(document);
        let answer = site
            .ask(&ehr, "POST", "/Consent/$revokeConsent", &asked)
            .await;
        assert_eq!(filed_id(&answer), id);
        let revoked = site.get(&ehr, &format!("/Consent/{id}")).await.json();
        assert_eq!(
            (&revoked["status"], &revoked["meta"]["versionId"]),
            (&json!("inactive"), &json!("2"))
        );
        let source = format!("DocumentReference/revocation-{}", path.len());
        assert_eq!(revoked["sourceReference"]["reference"], source.as_str());

        let again = revoking(&id, "p");
        let again = site
            .ask(&ehr, "POST", "/Consent/$revokeConsent", &again)
            .await;
        assert_eq!(filed_id(&again), id);
        assert_eq!(again.header("etag"), "W/\"2\"", "no further version");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_files_its_form_and_signs_that_it_is_the_source() {
    let site = Site::new();
    let wallet = Wallet::new(9);
    let patient = wallet.enroll(&site).await;
    let own = wallet.token(&site, &patient).await;
    let mut paper = form(&patient);
    paper["id"] = json!("form");
    let mut given = consent(&patient);
    let ask = async |given: &Value, paper: &Value| {
        let provenance = wallet.provenance(given.to_string().as_bytes());
        let headers = [("x-provenance", provenance.as_str())];
        let body = filing(given, paper);
        site.ask_with(&own, "POST", "/Consent/$fileConsent", &body, &headers)
            .await
    };
    refused_at(&ask(&given, &paper).await, "Consent.sourceReference");
    given["sourceReference"] = json!({ "reference": "DocumentReference/form" });
    let unsigned = site
        .ask(
            &own,
            "POST",
            "/Consent/$fileConsent",
            &filing(&consent(&patient), &form(&patient)),
        )
        .await;
    unsigned.problem(422, "security");
    let id = filed_id(&ask(&given, &paper).await);
    let kept = site.get(&own, "/DocumentReference/form").await;
    assert_eq!(kept.status, 200, "{}", kept.text);
    let alone = site
        .ask(&own, "POST", "/DocumentReference", &form(&patient))
        .await;
    assert_eq!(
        alone.status, 403,
        "a form goes with a consent: {}",
        alone.text
    );

    let without = site
        .ask(
            &own,
            "POST",
            "/Consent/$revokeConsent",
            &revoking(&id, &patient),
        )
        .await;
    without.problem(422, "security");
    let mut revoked = withdrawn(given.clone());
    revoked["id"] = json!(id);
    let mut asked = revoking(&id, &patient);
    let parameter = json!({ "name": "revoked", "resource": revoked });
    asked["parameter"].as_array_mut().unwrap().push(parameter);
    let provenance = wallet.provenance(revoked.to_string().as_bytes());
    let headers = [("x-provenance", provenance.as_str())];
    let answer = site
        .ask_with(&own, "POST", "/Consent/$revokeConsent", &asked, &headers)
        .await;
    assert_eq!(filed_id(&answer), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_filing_or_a_revocation_is_refused_and_leaves_nothing() {
    let site = Site::new();
    let ehr = site.ehr().await;
    for id in ["p", "q"] {
        site.patient(&ehr, id).await;
    }
    let file = async |body: &Value| site.ask(&ehr, "POST", "/Consent/$file-consent", body).await;
    let mut alone = filing(&consent("p"), &form("p"));
    alone["parameter"].as_array_mut().unwrap().pop();
    file(&alone).await.problem(400, "value");
    file(&filing(&form("p"), &form("p")))
        .await
        .problem(400, "value");
    file(&filing(&consent("p"), &consent("p")))
        .await
        .problem(400, "value");
    let other = file(&filing(&consent("p"), &form("q"))).await;
    refused_at(&other, "DocumentReference.subject");
    let mut unread = consent("p");
    unread["provision"]["type"] = json!("maybe");
    assert!(file(&filing(&unread, &form("p"))).await.status >= 400);
    assert_eq!(site.count(&ehr, "Consent").await, 0);
    assert_eq!(
        site.count(&ehr, "DocumentReference").await,
        0,
        "all or none"
    );

    let id = filed_id(&file(&filing(&consent("p"), &form("p"))).await);
    let revoke = async |body: &Value| {
        site.ask(&ehr, "POST", "/Consent/$revokeConsent", body)
            .await
    };
    revoke(&revoking(&id, "q"))
        .await
        .problem(422, "business-rule");
    revoke(&revoking("unknown", "p"))
        .await
        .problem(404, "not-found");
    let elsewhere = site
        .ask(
            &ehr,
            "POST",
            "/Observation/$revokeConsent",
            &revoking(&id, "p"),
        )
        .await;
    elsewhere.problem(501, "not-supported");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_is_suspended_resumed_and_withdrawn_and_does_not_come_back() {
    let site = Site::new();
    let wallet = Wallet::new(9);
    let patient = wallet.enroll(&site).await;
    let own = wallet.token(&site, &patient).await;
    let given = consent(&patient);
    let filed = wallet.file(&site, &own, &given).await;
    let id = filed.json()["id"].as_str().unwrap().to_owned();
    let next = async |next: Value| follow(&site, &wallet, &own, (&id, next)).await;
    assert_eq!(next(suspended(given.clone())).await.status, 200);
    assert_eq!(next(resumed(suspended(given.clone()))).await.status, 200);
    assert_eq!(next(withdrawn(given.clone())).await.status, 200);
    refused_at(&next(given.clone()).await, "Consent.status");
    let history = site
        .get(&own, &format!("/Consent/{id}/_history"))
        .await
        .json();
    assert_eq!(history["total"], 4, "history keeps all");
}

#[tokio::test(flavor = "multi_thread")]
async fn part2_1_a_consent_that_lacks_an_element_is_refused_at_filing() {
    let site = Site::new();
    let wallet = Wallet::new(9);
    let patient = wallet.enroll(&site).await;
    let own = wallet.token(&site, &patient).await;
    let act_code = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
    let mut given = consent(&patient);
    given["category"] = json!([{ "coding": [{ "system": act_code, "code": "42CFRPart2CD" }] }]);
    given["patient"]["display"] = json!("Ada");
    given["provision"]["securityLabel"] = json!([{ "system": act_code, "code": "SUD" }]);
    given["policy"] = ["(a)(6)", "(a)(4)(iii)", "(a)(10)(i)", "(a)(10)(ii)"]
        .map(|paragraph| json!({ "uri": format!("{SECTION}{paragraph}") }))
        .to_vec()
        .into();
    refused_at(
        &wallet.file(&site, &own, &given).await,
        "Consent.organization",
    );
    given["organization"] = json!([{ "display": "The clinic" }]);
    let filed = wallet.file(&site, &own, &given).await;
    assert_eq!(filed.status, 201, "{}", filed.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_served_in_plain_words_and_its_answers_make_a_consent_that_is_filed() {
    let site = Site::new();
    let wallet = Wallet::new(9);
    let patient = wallet.enroll(&site).await;
    let own = wallet.token(&site, &patient).await;
    let served = site.get(&own, "/Consent/$templates").await.json();
    let forms = served["entry"].as_array().unwrap();
    assert_eq!(forms.len(), Template::all().len());
    let form = &forms[1]["resource"];
    assert_eq!(form["resourceType"], "Questionnaire");
    assert_eq!(form["item"][0]["type"], "display");
    let mut response = json!({ "resourceType": "QuestionnaireResponse", "status": "completed",
        "questionnaire": form["url"], "authored": "2026-05-15T00:00:00Z",
        "subject": { "reference": format!("Patient/{patient}") },
        "item": [{ "linkId": "to", "answer": [{ "valueString": "hospital" }] },
            { "linkId": "data", "answer": [{ "valueCoding": { "code": "laboratory" } }] }] });
    let ask = async |response: &Value| {
        site.ask(&own, "POST", "/Consent/$from-template", response)
            .await
    };
    let lacking = ask(&response).await;
    lacking.problem(422, "business-rule");
    assert!(lacking.text.contains("`end`"), "{}", lacking.text);
    let end = json!({ "linkId": "end", "answer": [{ "valueDate": "2026-06-15" }] });
    response["item"].as_array_mut().unwrap().push(end);
    let made = ask(&response).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let text = made.json()["text"]["div"].as_str().unwrap().to_owned();
    assert!(
        text.contains("Hospital may see lab tests to treat you."),
        "{text}"
    );
    let filed = wallet.file(&site, &own, &made.json()).await;
    assert_eq!(filed.status, 201, "{}", filed.text);
    response["questionnaire"] = json!("urn:careledger:consent-template:none");
    ask(&response).await.problem(422, "business-rule");
    assert_eq!(
        site.count(&site.ehr().await, "Consent").await,
        1,
        "answers store nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_tells_what_was_agreed_and_one_changed_byte_is_found() {
    let site = Site::new();
    let wallet = Wallet::new(9);
    let patient = wallet.enroll(&site).await;
    let own = wallet.token(&site, &patient).await;
    let given = consent(&patient);
    let filed = wallet.file(&site, &own, &given).await;
    let id = filed.json()["id"].as_str().unwrap().to_owned();
    follow(&site, &wallet, &own, (&id, suspended(given.clone()))).await;
    let receipt_of = async |path: &str| {
        let answer = until("it is final", async || {
            Some(site.get(&own, path).await).filter(|answer| answer.status != 202)
        });
        let answer = answer.await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.text
    };
    let first = receipt_of(&format!("/Consent/{id}/_history/1/$consent-receipt")).await;
    let receipt = receipt_of(&format!("/Consent/{id}/$consent-receipt")).await;
    let trust = site.ledger.trust();
    let verified = verify(&receipt, &trust).unwrap();
    assert_eq!((verified.export.version, verified.export.latest), (2, true));
    let events: Vec<&str> = verified
        .events
        .iter()
        .filter_map(|one| one.split(' ').nth(1))
        .collect();
    assert_eq!(events, ["given", "suspended"]);
    assert!(
        verified.sentences[1].starts_with("hospital may see"),
        "{:?}",
        verified.sentences
    );
    assert_eq!(verify(&first, &trust).unwrap().events.len(), 1);

    let shown = contracts::consent::receipt::peek(&first).unwrap();
    let record = &shown["dpv:hasRecordOfActivity"];
    assert_eq!(record["dpv:hasConsentStatus"], "dpv:ConsentGiven");
    assert_eq!(record["dpv:hasDataSubject"], format!("Patient/{patient}"));
    assert_eq!(record["dpv:hasDataController"], json!(["clinic"]));
    assert_eq!(
        record["dpv:hasProcess"][0]["dpv:hasRecipient"],
        json!(["hospital"])
    );

    let path = format!("/Consent/{id}/_history/1/$consent-receipt");
    for (accept, piece) in [
        ("application/jose", "eyJ"),
        ("application/ld+json", "{\"@context\""),
        ("application/fhir+json", "{\"resourceType\":\"Parameters\""),
    ] {
        let headers = [("accept", accept)];
        let answer = site
            .ask_with(&own, "GET", &path, &Value::Null, &headers)
            .await;
        assert!(answer.text.starts_with(piece), "{accept}: {}", answer.text);
    }

    for at in (0..first.len()).step_by(97) {
        let mut changed = first.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(verify(&changed, &trust).is_err(), "byte {at}");
    }
    let other = Site::new();
    let elsewhere = verify(&first, &other.ledger.trust());
    assert!(matches!(
        elsewhere,
        Err(ReceiptError::UnknownCertificate(_))
    ));
}
