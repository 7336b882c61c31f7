//! C-CDA documents that come in: once, whole, for whom they are.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::{Answer, Ask, Site};

const CCD: &str = include_str!("../../../interop/tests/fixtures/ccda/ccd.xml");
const ROUTE: &str = "/fhir/DocumentReference/$import-ccda";

async fn post(site: &Site, token: &str, query: &str, content: impl Into<Body>) -> Answer {
    posted(
        site,
        token,
        (&format!("{ROUTE}{query}"), "application/cda+xml"),
        content,
    )
    .await
}

async fn posted(
    site: &Site,
    token: &str,
    (path, content_type): (&str, &str),
    content: impl Into<Body>,
) -> Answer {
    let request = Request::post(path)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", content_type)
        .body(content.into());
    site.send(request.unwrap()).await
}

fn part<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let mut parts = answer["parameter"].as_array().unwrap().iter();
    parts.find(|part| part["name"] == name).unwrap()
}

#[tokio::test]
async fn a_document_is_in_the_record_and_kept_as_it_came() {
    let site = Site::new();
    let token = site.ehr().await;
    let unknown = CCD.replace("20.22.4.41\"", "20.22.4.999\"");
    let answer = post(&site, &token, "", unknown.clone()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let told = answer.json();
    let entries = &part(&told, "response")["resource"]["entry"];
    assert!(entries.as_array().unwrap().iter().all(|entry| {
        entry["response"]["status"]
            .as_str()
            .unwrap()
            .starts_with("201")
    }));
    let issues = &part(&told, "outcome")["resource"]["issue"];
    assert_eq!(
        issues[1]["expression"][0],
        "ClinicalDocument.component[0].structuredBody.component[6].section.entry[1].procedure"
    );
    for (kind, count) in [
        ("Patient", 1),
        ("Condition", 3),
        ("MedicationRequest", 1),
        ("Composition", 1),
    ] {
        assert_eq!(site.count(&token, kind).await, count, "{kind}");
    }
    let whose = "patient.identifier=urn:oid:2.16.840.1.113883.3.9999.10|MRN-5512";
    let found = site
        .get(&token, &format!("/AllergyIntolerance?{whose}"))
        .await
        .json();
    assert_eq!(found["total"], 1);
    let place = part(&told, "document")["valueReference"]["reference"]
        .as_str()
        .unwrap();
    assert_eq!(answer.header("content-location"), place);
    let document = site.get(&token, &format!("/{place}")).await.json();
    assert_eq!(document["masterIdentifier"]["value"], "CCD-2026-001");
    assert_eq!(document["meta"]["security"][0]["code"], "R");
    let binary = document["content"][0]["attachment"]["url"]
        .as_str()
        .unwrap();
    let request = Request::get(format!("/fhir/{binary}"))
        .header("authorization", format!("Bearer {token}"))
        .header("accept", "application/cda+xml")
        .body(Body::empty());
    assert_eq!(site.send(request.unwrap()).await.text, unknown);
    let target = document["subject"]["reference"].as_str().unwrap();
    let provenance = site
        .get(&token, &format!("/Provenance?target={target}"))
        .await
        .json();
    let source = &provenance["entry"][0]["resource"]["entity"][0]["what"]["reference"];
    assert_eq!(source, place);
}

#[tokio::test]
async fn the_same_document_twice_is_one_and_a_later_one_finds_the_patient() {
    let site = Site::new();
    let token = site.ehr().await;
    let first = post(&site, &token, "", CCD).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let again = post(&site, &token, "", CCD).await;
    assert_eq!(again.status, 200, "{}", again.text);
    assert_eq!(
        again.header("content-location"),
        first.header("content-location")
    );
    assert_eq!(site.count(&token, "Provenance").await, 1);
    let later = CCD
        .replace("CCD-2026-001", "CCD-2026-002")
        .replace("extension=\"AL-1\"", "extension=\"AL-2\"");
    let later = post(&site, &token, "", later).await;
    assert_eq!(later.status, 201, "{}", later.text);
    for (kind, count) in [
        ("Patient", 1),
        ("AllergyIntolerance", 2),
        ("Observation", 9),
        ("Composition", 2),
    ] {
        assert_eq!(site.count(&token, kind).await, count, "{kind}");
    }
}

#[tokio::test]
async fn at_the_same_time_too() {
    let site = Site::new();
    let token = site.ehr().await;
    let both = futures::join!(post(&site, &token, "", CCD), post(&site, &token, "", CCD));
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 201], "{} {}", both.0.text, both.1.text);
    assert_eq!(site.count(&token, "Provenance").await, 1);
}

#[tokio::test]
async fn numbers_that_two_systems_gave_twice_join_no_two_records() {
    let site = Site::new();
    let token = site.ehr().await;
    assert_eq!(post(&site, &token, "", CCD).await.status, 201);
    let other = CCD
        .replace("MRN-5512", "MRN-9")
        .replace("999-00-1234", "999-00-9")
        .replace("CCD-2026-001", "CCD-2026-009");
    assert_eq!(post(&site, &token, "", other).await.status, 201);
    assert_eq!(site.count(&token, "Patient").await, 2);
    assert_eq!(site.count(&token, "AllergyIntolerance").await, 2);
    for mrn in ["MRN-5512", "MRN-9"] {
        let path = format!("/AllergyIntolerance?patient.identifier={mrn}");
        assert_eq!(site.get(&token, &path).await.json()["total"], 1, "{mrn}");
    }
}

#[tokio::test]
async fn it_is_filed_for_the_patient_that_is_named() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let answer = post(&site, &token, "?patient=Patient/p1", CCD).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(site.count(&token, "Patient").await, 1);
    let found = site.get(&token, "/Composition?patient=p1").await.json();
    assert_eq!(found["total"], 1);
    let patient = site.get(&token, "/Patient/p1").await.json();
    assert_eq!(
        patient["meta"]["versionId"], "1",
        "nothing is written to the Patient"
    );
    post(&site, &token, "?patient=a%20b", CCD)
        .await
        .problem(400, "value");
    post(&site, &token, "?for=p1", CCD)
        .await
        .problem(501, "not-supported");
}

#[tokio::test]
async fn what_is_wrong_is_said_by_its_path_and_nothing_is_written() {
    let site = Site::new();
    let token = site.ehr().await;
    for (from, to, code, path) in [
        (
            "<recordTarget>",
            "<!DOCTYPE x><recordTarget>",
            "structure",
            "ClinicalDocument",
        ),
        (
            "Hives,",
            "&planted-7731;",
            "structure",
            "ClinicalDocument.component[0].structuredBody.component[0].section.text.table.tbody.tr[0].td[1]",
        ),
        (
            "<effectiveTime value=\"20260310093000",
            "<effectiveTime value=\"Planted",
            "required",
            "ClinicalDocument",
        ),
    ] {
        let answer = post(&site, &token, "", CCD.replace(from, to)).await;
        answer.problem(422, code);
        assert_eq!(answer.json()["issue"][0]["expression"][0], path);
    }
    for kind in ["Patient", "DocumentReference", "Provenance"] {
        assert_eq!(site.count(&token, kind).await, 0, "{kind}");
    }
    let json = (ROUTE, "application/fhir+json");
    posted(&site, &token, json, "{}")
        .await
        .problem(415, "not-supported");
    let elsewhere = ("/fhir/Patient/$import-ccda", "text/xml");
    posted(&site, &token, elsewhere, CCD)
        .await
        .problem(501, "not-supported");
    let large = vec![b' '; (16 << 20) + 1];
    post(&site, &token, "", large)
        .await
        .problem(413, "too-long");
}

#[tokio::test]
async fn a_value_that_cannot_be_read_is_left_out_and_named() {
    let site = Site::new();
    let token = site.ehr().await;
    let text = CCD.replace("value=\"13.20\"", "value=\"Plantedfamily\"");
    let answer = post(&site, &token, "", text).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let told = answer.json();
    let issue = &part(&told, "outcome")["resource"]["issue"][1];
    assert_eq!(issue["severity"], "warning");
    assert_eq!(
        issue["expression"][0],
        "ClinicalDocument.component[0].structuredBody.component[3].section.entry[0].organizer.component[0].observation.value"
    );
    assert!(!issue.to_string().contains("Planted"));
    let path = "/Observation?_tag=urn:careledger:ccda|incomplete";
    let found = site.get(&token, path).await.json();
    assert_eq!(found["total"], 1);
    let observation = &found["entry"][0]["resource"];
    assert_eq!(
        observation["dataAbsentReason"]["coding"][0]["code"],
        "error"
    );
}

#[tokio::test]
async fn a_document_that_does_not_say_whose_it_is_is_filed_for_whom_the_caller_names() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let text = CCD
        .replace("extension=\"MRN-5512\"", "nullFlavor=\"UNK\"")
        .replace(
            "root=\"2.16.840.1.113883.4.1\"",
            "root=\"1.2\" nullFlavor=\"MSK\"",
        );
    let answer = post(&site, &token, "", text.clone()).await;
    answer.problem(422, "required");
    let path = "ClinicalDocument.recordTarget[0].patientRole";
    assert_eq!(answer.json()["issue"][0]["expression"][0], path);
    let answer = post(&site, &token, "?patient=p1", text).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(site.count(&token, "Patient").await, 1);
}

#[tokio::test]
async fn a_token_has_to_cover_what_the_document_says() {
    let site = Site::new();
    let ask = Ask {
        scope: "system/DocumentReference.cruds system/Patient.cruds",
        ..Ask::default()
    };
    let narrow = site.token(&ask).await;
    post(&site, &narrow, "", CCD)
        .await
        .problem(403, "forbidden");
    let ask = Ask {
        scope: "system/*.rs",
        ..Ask::default()
    };
    let reader = site.token(&ask).await;
    post(&site, &reader, "", CCD)
        .await
        .problem(403, "forbidden");
    let token = site.ehr().await;
    assert_eq!(site.count(&token, "Patient").await, 0);
    let named = json!({"resourceType": "Patient"});
    assert_eq!(
        site.ask(&token, "POST", "/Patient", &named).await.status,
        201
    );
}

#[tokio::test]
async fn a_record_goes_out_as_a_ccd_and_comes_in_elsewhere() {
    let site = Site::new();
    let token = site.ehr().await;
    assert_eq!(post(&site, &token, "", CCD).await.status, 201);
    let found = site
        .get(&token, "/Patient?identifier=MRN-5512")
        .await
        .json();
    let id = found["entry"][0]["resource"]["id"].as_str().unwrap();
    let path = format!("/Patient/{id}/$ccd");
    let request = Request::get(format!("/fhir{path}"))
        .header("authorization", format!("Bearer {token}"))
        .header("accept", "application/cda+xml")
        .body(Body::empty());
    let document = site.send(request.unwrap()).await;
    assert_eq!(document.status, 200, "{}", document.text);
    assert_eq!(
        document.header("content-type"),
        "application/cda+xml; charset=utf-8"
    );
    assert!(
        document
            .text
            .contains("<td>Penicillin G &amp; relatives</td>")
    );
    let other = Site::at("hospital", "http://127.0.0.1:8102", 6);
    let ask = Ask {
        audience: "http://127.0.0.1:8102/oauth2/token".to_owned(),
        ..Ask::default()
    };
    let there = other.token(&ask).await;
    let answer = post(&other, &there, "", document.text.clone()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    for (kind, count) in [
        ("AllergyIntolerance", 1),
        ("Condition", 3),
        ("Observation", 9),
        ("Immunization", 2),
        ("DocumentReference", 2),
    ] {
        assert_eq!(other.count(&there, kind).await, count, "{kind}");
    }
    let written = "/Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|9999999901";
    let found = other.get(&there, written).await.json();
    assert_eq!(found["entry"][0]["resource"]["name"][0]["family"], "Holm");
    site.get(&token, "/Patient/none/$ccd")
        .await
        .problem(404, "not-found");
    site.get(&token, "/Condition/none/$ccd")
        .await
        .problem(501, "not-supported");
}

#[tokio::test]
async fn a_ccd_says_who_could_not_be_reached() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    site.others.silence("hospital");
    let document = site.get(&token, "/Patient/p1/$ccd").await;
    assert!(
        document.text.contains("hospital did not answer"),
        "{}",
        document.text
    );
}
