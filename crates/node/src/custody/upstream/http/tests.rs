use super::*;

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
