//! IHE mCSD 4.0: care services are found (ITI-90), and updates of them told (ITI-91).

use interop::fhir::care_services::{Interfaces, MemberService};
use serde_json::{Value, json};

use crate::support::Site;

fn hospital() -> MemberService {
    MemberService {
        name: "hospital".to_owned(),
        is_active: true,
        exchange: Some("https://127.0.0.1:9102/exchange/".to_owned()),
        interfaces: Interfaces {
            fhir: Some("https://hospital.example/fhir".to_owned()),
            hl7v2: vec!["mllp://127.0.0.1:2575".to_owned()],
            dicom_web: None,
        },
    }
}

async fn with_the_hospital() -> (Site, String) {
    let site = Site::new();
    let token = site.ehr().await;
    site.records().list_members(vec![hospital()]).await.unwrap();
    (site, token)
}

/// The ids that a search finds, and those that come along.
async fn found(site: &Site, token: &str, query: &str) -> Vec<String> {
    let answer = site.get(token, query).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    let bundle = answer.json();
    let entries = bundle["entry"].as_array().into_iter().flatten();
    let mut ids: Vec<String> = entries
        .map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn iti_90_members_are_organizations_with_endpoints() {
    let (site, token) = with_the_hospital().await;
    let query =
        "/Organization?identifier=urn:careledger:member%7Chospital&_include=Organization:endpoint";
    assert_eq!(
        found(&site, &token, query).await,
        [
            "network.hospital",
            "network.hospital.exchange",
            "network.hospital.fhir",
            "network.hospital.hl7v2-1"
        ]
    );
    let query = "/Endpoint?organization=Organization/network.hospital&connection-type=hl7v2-mllp";
    assert_eq!(
        found(&site, &token, query).await,
        ["network.hospital.hl7v2-1"]
    );
    let query = "/Organization?active=true&endpoint.connection-type=hl7-fhir-rest";
    assert_eq!(found(&site, &token, query).await, ["network.hospital"]);

    // Listed again without a listener, and as suspended.
    let mut changed = hospital();
    changed.is_active = false;
    changed.interfaces.hl7v2.clear();
    site.records().list_members(vec![changed]).await.unwrap();
    assert!(
        found(&site, &token, "/Organization?active=true")
            .await
            .is_empty()
    );
    assert_eq!(found(&site, &token, "/Endpoint?status=off").await.len(), 2);
    let gone = site.get(&token, "/Endpoint/network.hospital.hl7v2-1").await;
    assert_eq!(gone.status, 410);
}

#[tokio::test]
async fn iti_90_the_capability_statement_names_the_types_of_the_directory() {
    let site = Site::new();
    let statement = site.get("", "/metadata").await.json();
    let types = statement["rest"][0]["resource"].as_array().unwrap();
    let listed = types.iter().filter(|one| {
        let said = one["documentation"].as_str();
        said.is_some_and(|said| said.contains("mCSD"))
    });
    let listed: Vec<&str> = listed.map(|one| one["type"].as_str().unwrap()).collect();
    assert_eq!(listed.len(), 7, "{listed:?}");
    assert!(listed.contains(&"OrganizationAffiliation"));
}

#[tokio::test]
async fn iti_90_nobody_writes_what_is_the_network_s() {
    let (site, token) = with_the_hospital().await;
    let own = json!({"resourceType": "Organization", "id": "network.hospital", "name": "Mine"});
    let place = "/Organization/network.hospital";
    let entry = |method: &str| {
        json!({"resourceType": "Bundle", "type": "transaction", "entry": [{
            "resource": own, "request": {"method": method, "url": &place[1..]}}]})
    };
    for (method, path, body) in [
        ("PUT", place, own.clone()),
        ("DELETE", place, Value::Null),
        ("POST", "", entry("PUT")),
        (
            "PUT",
            "/Practitioner/network.012",
            json!({"resourceType": "Practitioner", "id": "network.012"}),
        ),
    ] {
        let refused = site.ask(&token, method, path, &body).await;
        refused.problem(422, "not-supported");
    }
    let kept = site.get(&token, place).await.json();
    assert_eq!(kept["name"], "hospital");
    assert_eq!(kept["meta"]["versionId"], "1");
}

#[tokio::test]
async fn iti_90_conditions_are_about_what_is_written_here() {
    let (site, token) = with_the_hospital().await;
    let named = "identifier=urn:careledger:member%7Chospital";
    let role = json!({"resourceType": "Bundle", "type": "transaction", "entry": [{
        "resource": {"resourceType": "PractitionerRole",
            "organization": {"reference": "Organization?identifier=urn:careledger:member|hospital"}},
        "request": {"method": "POST", "url": "PractitionerRole"}}]});
    let organization = async || {
        let written = site.ask(&token, "POST", "", &role).await;
        assert_eq!(written.status, 200, "{}", written.text);
        let place = written.json()["entry"][0]["response"]["location"].clone();
        let place = place.as_str().unwrap().split("/_history").next().unwrap();
        let place = place.rsplit('/').next().unwrap().to_owned();
        let kept = site
            .get(&token, &format!("/PractitionerRole/{place}"))
            .await;
        kept.json()["organization"]["reference"].clone()
    };
    assert_eq!(organization().await, "Organization/network.hospital");
    let own = json!({"resourceType": "Organization", "name": "The hospital that we know",
        "identifier": [{"system": "urn:careledger:member", "value": "hospital"}]});
    let condition = [("if-none-exist", named)];
    let created = site.ask_with(&token, "POST", "/Organization", &own, &condition);
    let created = created.await;
    assert_eq!(created.status, 201, "{}", created.text);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(organization().await, format!("Organization/{id}"));
    let path = format!("/Organization?{named}");
    let updated = site.ask(&token, "PUT", &path, &own).await;
    assert_eq!(updated.status, 200, "{}", updated.text);
    let gone = site.ask(&token, "DELETE", &path, &Value::Null).await;
    assert!(gone.status < 300, "{}", gone.text);
    assert_eq!(found(&site, &token, &path).await, ["network.hospital"]);
}

#[tokio::test]
async fn iti_91_updates_are_told_since_a_time() {
    let (site, token) = with_the_hospital().await;
    for kind in [
        "Organization",
        "Location",
        "Practitioner",
        "PractitionerRole",
        "HealthcareService",
        "Endpoint",
        "OrganizationAffiliation",
    ] {
        let mut one = json!({"resourceType": kind, "id": "s1", "identifier": [{"value": "1"}]});
        if kind == "Endpoint" {
            one["status"] = json!("active");
            one["connectionType"] = json!({"code": "hl7-fhir-rest"});
            one["payloadType"] = json!([{"text": "any"}]);
            one["address"] = json!("https://a.example/fhir");
        }
        let place = format!("/{kind}/s1");
        let written = site.ask(&token, "PUT", &place, &one).await;
        assert_eq!(written.status, 201, "{}", written.text);
        let gone = site.ask(&token, "DELETE", &place, &Value::Null).await;
        assert!(gone.status < 300, "{}", gone.text);
        let told = site
            .get(
                &token,
                &format!("/{kind}/_history?_since=2026-05-01T00:00:00Z"),
            )
            .await;
        assert_eq!(told.status, 200, "{}", told.text);
        let told = told.json();
        let entries = told["entry"].as_array().unwrap();
        let own: Vec<&Value> = entries
            .iter()
            .filter(|entry| entry["fullUrl"].as_str().unwrap().ends_with("/s1"))
            .collect();
        let methods: Vec<&Value> = own
            .iter()
            .map(|entry| &entry["request"]["method"])
            .collect();
        assert_eq!(methods, ["DELETE", "POST"], "{kind}");
        let none = site
            .get(
                &token,
                &format!("/{kind}/_history?_since=2026-12-31T00:00:00Z"),
            )
            .await;
        assert_eq!(
            none.json()["entry"].as_array().map_or(0, Vec::len),
            0,
            "{kind}"
        );
    }
}
