use serde_json::json;

use super::*;
use crate::custody::upstream::Content;

fn server(base_url: &str) -> Result<HttpServer, ServerConfigError> {
    HttpServer::new(HttpServerConfig {
        base_url: base_url.to_owned(),
        token_file: None,
    })
}

#[test]
fn only_a_base_with_https_or_of_this_machine_will_do() {
    for good in [
        "https://ehr.example/fhir",
        "http://127.0.0.1:8080/fhir/",
        "http://localhost:8080",
        "http://[::1]:8080/fhir",
    ] {
        assert!(server(good).is_ok(), "{good}");
    }
    for bad in [
        "http://ehr.example/fhir",
        "ftp://127.0.0.1/",
        "https://ehr.example/fhir?x=1",
        "https://user:secret@ehr.example/fhir",
        "fhir",
    ] {
        assert!(server(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_link_leads_to_the_same_server_or_nowhere() {
    let server = server("https://ehr.example/fhir").unwrap();
    for good in [
        "https://ehr.example/fhir?page=2",
        "https://ehr.example/fhir/Patient?page=2",
        "https://EHR.example:443/fhir/_history?page=2",
        "Patient?page=2",
    ] {
        assert!(server.further(good).is_ok(), "{good}");
    }
    for bad in [
        "https://other.example/fhir?page=2",
        "http://ehr.example/fhir?page=2",
        "https://ehr.example:8443/fhir?page=2",
        "https://ehr.example/admin?page=2",
        "//other.example/fhir",
    ] {
        assert!(server.further(bad).is_err(), "{bad}");
    }
}

#[test]
fn urls_are_made_of_what_is_asked() {
    let server = server("https://ehr.example/fhir").unwrap();
    let system = server.url_of(&Listing::System { since_ms: 0 }).unwrap();
    assert_eq!(
        system.as_str(),
        "https://ehr.example/fhir/_history?_since=1970-01-01T00%3A00%3A00.000Z&_count=200"
    );
    let document = Listing::Document {
        resource_type: ResourceType::PATIENT,
        id: "a/../b".to_owned(),
    };
    let document = server.url_of(&document).unwrap();
    assert_eq!(document.path(), "/fhir/Patient/a%2F..%2Fb/_history");
}

/// As HAPI, Helios and others write it, each in its own way.
#[test]
fn a_history_names_versions_deletions_and_what_it_cannot() {
    let at = "2026-06-01T00:00:00.000Z";
    let meta = json!({"versionId": "2", "lastUpdated": at});
    let bundle = json!({"resourceType": "Bundle", "type": "history",
        "link": [{"relation": "self", "url": "x"}, {"relation": "next", "url": "https://ehr.example/fhir?page=2"}],
        "entry": [
            {"resource": {"resourceType": "Patient", "id": "a", "meta": meta},
             "request": {"method": "PUT", "url": "Patient/a"}},
            {"fullUrl": "https://ehr.example/fhir/Patient/b",
             "request": {"method": "DELETE", "url": "Patient/b/_history/3"},
             "response": {"status": "204", "etag": "W/\"3\"", "lastModified": at}},
            {"fullUrl": "https://ehr.example/fhir/Patient/c",
             "request": {"method": "DELETE", "url": "Patient/c"},
             "response": {"status": "204", "lastModified": at}},
            {"request": {"method": "PUT", "url": "Patient/d"},
             "response": {"status": "200", "etag": "W/\"7\"", "lastModified": at}},
            {"resource": {"resourceType": "Invented", "id": "e", "meta": meta}},
            {"resource": {"resourceType": "Patient", "id": "no/id", "meta": meta}}]});
    let page = page_of(&bundle).unwrap();
    let said: Vec<(&str, &str, &str)> = page
        .found
        .iter()
        .map(|found| {
            let content = match found.content {
                Content::Is(_) => "is",
                Content::NotLoaded => "not loaded",
                Content::Deleted => "deleted",
            };
            (found.id.as_str(), found.version_id.as_str(), content)
        })
        .collect();
    let expected = [
        ("a", "2", "is"),
        ("b", "3", "deleted"),
        ("c", "deleted/2026-06-01T00:00:00.000Z", "deleted"),
        ("d", "7", "not loaded"),
    ];
    assert_eq!(said, expected);
    assert_eq!(page.unreadable, 2);
    assert_eq!(
        page.next.as_deref(),
        Some("https://ehr.example/fhir?page=2")
    );
    assert!(page_of(&json!({"resourceType": "OperationOutcome"})).is_none());
}

#[test]
fn a_transaction_is_answered_entry_by_entry_or_not_at_all() {
    let change = |id: &str, content: Option<Value>| Outgoing {
        resource_type: ResourceType::PATIENT,
        id: id.to_owned(),
        if_match: Some("1".to_owned()),
        content,
    };
    let patient = |id: &str| json!({"resourceType": "Patient", "id": id});
    let changes = [
        change("a", Some(patient("a"))),
        change("b", Some(patient("b"))),
        change("c", None),
    ];
    let sent = transaction_of(&changes);
    assert_eq!(sent["entry"][0]["request"]["ifMatch"], "W/\"1\"");
    assert_eq!(
        sent["entry"][2],
        json!({"request":
        {"method": "DELETE", "url": "Patient/c", "ifMatch": "W/\"1\""}})
    );
    let mut shown = patient("a");
    shown["meta"] = json!({"versionId": "2", "lastUpdated": "2026-06-01T00:00:00Z"});
    let mut answer = json!({"resourceType": "Bundle", "type": "transaction-response", "entry": [
        {"resource": shown, "response": {"status": "200 OK"}},
        {"response": {"status": "200", "location": "https://ehr.example/fhir/Patient/b/_history/5"}},
        {"response": {"status": "204"}}]});
    let stored = versions_of(&changes, &answer).unwrap();
    let names: Vec<Option<&str>> = stored.iter().map(|one| one.version_id.as_deref()).collect();
    assert_eq!(names, [Some("2"), Some("5"), None]);
    assert!(stored[0].content.is_some() && stored[1].content.is_none());
    answer["entry"][1]["response"]["status"] = "412".into();
    assert!(versions_of(&changes, &answer).is_none());
    answer["entry"].as_array_mut().unwrap().pop();
    assert!(versions_of(&changes, &answer).is_none());
}
