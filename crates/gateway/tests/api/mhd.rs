//! IHE MHD 4.2: documents are provided (ITI-65), found (ITI-66, ITI-67) and retrieved (ITI-68).

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::{Answer, Site, Wallet};

const LIST_TYPES: &str = "https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes";
const EXTENSIONS: &str = "https://profiles.ihe.net/ITI/MHD/StructureDefinition";

/// A Provide Document Bundle (Minimal Metadata) of one document of this patient.
fn provided(patient: &str) -> Value {
    let uuid = |number: u8| format!("urn:uuid:aaaaaaaa-bbbb-4ccc-8ddd-e0011110000{number}");
    let loinc = |code: &str| json!({"coding": [{"system": "http://loinc.org", "code": code}]});
    let subject = json!({"reference": patient});
    let list = json!({
        "resourceType": "List",
        "extension": [
            {"url": format!("{EXTENSIONS}/ihe-sourceId"), "valueIdentifier": {"value": "urn:oid:1.2.3.4"}},
            {"url": format!("{EXTENSIONS}/ihe-designationType"), "valueCodeableConcept": loinc("34133-9")}],
        "identifier": [{"use": "usual", "system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.840.9.1"}],
        "status": "current", "mode": "working", "date": "2026-05-02T10:00:00Z",
        "code": {"coding": [{"system": LIST_TYPES, "code": "submissionset"}]},
        "subject": subject, "entry": [{"item": {"reference": uuid(2)}}]});
    let document = json!({
        "resourceType": "DocumentReference", "status": "current", "subject": subject,
        "masterIdentifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.840.9.2"},
        "type": loinc("34133-9"), "category": [loinc("11503-0")], "date": "2026-05-02T10:00:00Z",
        "author": [{"reference": uuid(4)}],
        "securityLabel": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}]}],
        "content": [{
            "format": {"system": "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode",
                "code": "urn:ihe:iti:xds-sd:text:2008"},
            "attachment": {"contentType": "text/plain", "url": uuid(3), "size": 11,
                "hash": "Ck1VqNd45QIvq3AZd8XYQLvEhtA=", "creation": "2026-05-01"}}],
        "context": {
            "period": {"start": "2026-05-01", "end": "2026-05-01"},
            "event": [loinc("29554-3")],
            "facilityType": {"coding": [{"system": "http://snomed.info/sct", "code": "22232009"}]},
            "practiceSetting": {"coding": [{"system": "http://snomed.info/sct", "code": "408443003"}]},
            "related": [{"reference": uuid(5)}]}});
    let entry = |number: u8, resource: Value| {
        let kind = resource["resourceType"].clone();
        json!({"fullUrl": uuid(number), "resource": resource, "request": {"method": "POST", "url": kind}})
    };
    let encounter = json!({"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, "subject": subject});
    json!({
        "resourceType": "Bundle", "type": "transaction",
        "meta": {"profile": [format!("{EXTENSIONS}/IHE.MHD.Minimal.ProvideBundle")]},
        "entry": [entry(1, list), entry(2, document),
            entry(3, json!({"resourceType": "Binary", "contentType": "text/plain", "data": "SGVsbG8gV29ybGQ="})),
            entry(4, json!({"resourceType": "Practitioner", "name": [{"family": "Holm", "given": ["Ansgar"]}]})),
            entry(5, encounter)]})
}

async fn with_a_document() -> (Site, String, Value) {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let answer = site.ask(&token, "POST", "", &provided("Patient/p1")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    (site, token, answer.json())
}

fn location(answer: &Value, entry: usize) -> String {
    let location = answer["entry"][entry]["response"]["location"]
        .as_str()
        .unwrap();
    location.split("/_history").next().unwrap().to_owned()
}

async fn retrieve(site: &Site, token: &str, place: &str) -> Answer {
    let request = Request::get(format!("/fhir/{place}"))
        .header("authorization", format!("Bearer {token}"))
        .header("accept", "text/plain")
        .body(Body::empty());
    site.send(request.unwrap()).await
}

#[tokio::test]
async fn iti_65_a_bundle_of_documents_is_taken_whole() {
    let (site, token, answer) = with_a_document().await;
    assert_eq!(answer["type"], "transaction-response");
    let kinds = [
        "List",
        "DocumentReference",
        "Binary",
        "Practitioner",
        "Encounter",
    ];
    for (number, kind) in kinds.iter().enumerate() {
        let response = &answer["entry"][number]["response"];
        assert!(response["status"].as_str().unwrap().starts_with("201"));
        assert!(location(&answer, number).starts_with(&format!("{kind}/")));
    }
    let document = site
        .get(&token, &format!("/{}", location(&answer, 1)))
        .await
        .json();
    assert_eq!(
        document["content"][0]["attachment"]["url"],
        location(&answer, 2)
    );
    let mut wrong = provided("Patient/p1");
    wrong["entry"][0]["resource"]["status"] = json!("open");
    let refused = site.ask(&token, "POST", "", &wrong).await;
    refused.problem(400, "invalid");
    assert_eq!(
        site.count(&token, "List").await,
        1,
        "nothing of it is written"
    );
}

#[tokio::test]
async fn iti_65_a_size_and_a_hash_have_to_be_those_of_the_document() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let with = |element: &str, value: Value| {
        let mut bundle = provided("Patient/p1");
        bundle["entry"][1]["resource"]["content"][0]["attachment"][element] = value;
        bundle
    };
    for (element, value) in [
        ("size", json!(12)),
        ("size", json!(0)),
        ("hash", json!("2jmj7l5rSw0yVb/vlWAYkK/YBwk=")),
        ("hash", json!("SGVsbG8gV29ybGQ=")),
    ] {
        let refused = site.ask(&token, "POST", "", &with(element, value)).await;
        refused.problem(400, "value");
        let place = format!("Bundle.entry[1].resource.content[0].attachment.{element}");
        assert_eq!(refused.json()["issue"][0]["expression"][0], place);
        for kind in ["List", "DocumentReference", "Practitioner"] {
            assert_eq!(site.count(&token, kind).await, 0, "{kind} is written");
        }
    }
    // As IHE's own examples have it, and as XDS has it.
    let digits = "MGE0ZDU1YThkNzc4ZTUwMjJmYWI3MDE5NzdjNWQ4NDBiYmM0ODZkMA==";
    for hash in [digits, "0A4D55A8D778E5022FAB701977C5D840BBC486D0"] {
        let taken = site
            .ask(&token, "POST", "", &with("hash", json!(hash)))
            .await;
        assert_eq!(taken.status, 200, "{}", taken.text);
    }
    let mut silent = provided("Patient/p1");
    let attachment = &mut silent["entry"][1]["resource"]["content"][0]["attachment"];
    attachment
        .as_object_mut()
        .unwrap()
        .retain(|name, _| !["size", "hash"].contains(&name.as_str()));
    let taken = site.ask(&token, "POST", "", &silent).await;
    assert_eq!(taken.status, 200, "{}", taken.text);
}

#[tokio::test]
async fn iti_66_submission_sets_are_found() {
    let (site, token, _) = with_a_document().await;
    let required = "code=submissionset&status=current";
    for query in [
        format!("patient=p1&{required}"),
        format!("patient=p1&code={LIST_TYPES}|submissionset&status=current"),
        format!("patient=p1&{required}&date=ge2026-05-01"),
        format!("patient=p1&{required}&identifier=urn:oid:1.2.840.9.1"),
        format!("patient=p1&{required}&designationType=http://loinc.org|34133-9"),
        format!("patient=p1&{required}&sourceId=urn:oid:1.2.3.4"),
    ] {
        found(&site, &token, ("List", &query), 1).await;
    }
    for other in [
        format!("patient=p2&{required}"),
        format!("patient=p1&{required}&designationType=http://loinc.org|0"),
        format!("patient=p1&{required}&sourceId=urn:oid:9"),
    ] {
        found(&site, &token, ("List", &other), 0).await;
    }
    found(
        &site,
        &token,
        ("List", "patient=p1&code=folder&status=current"),
        0,
    )
    .await;
}

#[tokio::test]
async fn iti_67_documents_are_found_by_each_parameter() {
    let (site, token, answer) = with_a_document().await;
    for query in [
        "category=http://loinc.org|11503-0",
        "creation=2026-05-01",
        "type=http://loinc.org|34133-9",
        "date=2026-05-02",
        "event=29554-3",
        "facility=http://snomed.info/sct|22232009",
        "setting=http://snomed.info/sct|408443003",
        "format=urn:ihe:iti:xds-sd:text:2008",
        "identifier=urn:ietf:rfc:3986|urn:oid:1.2.840.9.2",
        "period=2026-05-01",
        "security-label=N",
        "author.family=Holm",
        "author.given=Ansgar",
    ] {
        let query = format!("patient=p1&status=current&{query}");
        found(&site, &token, ("DocumentReference", &query), 1).await;
    }
    let related = format!("patient=p1&status=current&related={}", location(&answer, 4));
    found(&site, &token, ("DocumentReference", &related), 1).await;
    for other in [
        "patient=p1&status=superseded",
        "patient=p1&status=current&creation=2020-01-01",
    ] {
        found(&site, &token, ("DocumentReference", other), 0).await;
    }
}

/// By GET and by POST.
async fn found(site: &Site, token: &str, (kind, query): (&str, &str), count: u64) {
    let encoded = query.replace('|', "%7C");
    let got = site.get(token, &format!("/{kind}?{encoded}")).await;
    assert_eq!(got.status, 200, "{query}: {}", got.text);
    assert_eq!(got.json()["total"], count, "{query}");
    let request = Request::post(format!("/fhir/{kind}/_search"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(encoded));
    let posted = site.send(request.unwrap()).await;
    assert_eq!(posted.json()["total"], count, "{query}: {}", posted.text);
}

#[tokio::test]
async fn iti_68_a_document_is_retrieved_in_its_own_form() {
    let (site, token, answer) = with_a_document().await;
    let document = retrieve(&site, &token, &location(&answer, 2)).await;
    assert_eq!(
        (document.status, document.text.as_str()),
        (200, "Hello World")
    );
    assert_eq!(document.header("content-type"), "text/plain");
}

#[tokio::test]
async fn a_document_without_a_context_is_its_patients_all_the_same() {
    let (site, token, answer) = with_a_document().await;
    let place = location(&answer, 2);
    let form = [("accept", "application/fhir+json")];
    let path = format!("/{place}");
    let binary = site.ask_with(&token, "GET", &path, &Value::Null, &form);
    let binary = binary.await.json();
    assert_eq!(binary["securityContext"]["reference"], "Patient/p1");
    let wallet = Wallet::new(3);
    let other = wallet.enroll(&site).await;
    let another = wallet.token(&site, &other).await;
    let refused = retrieve(&site, &another, &place).await;
    assert!([403, 404].contains(&refused.status), "{}", refused.text);
}
