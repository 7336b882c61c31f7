use super::*;
use crate::fhir::compartment::is_in_compartment;

fn digest(text: &str) -> String {
    let sum = text.bytes().fold(7_u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    format!("{sum:016x}{sum:016x}")
}

fn resource(value: Value) -> Resource {
    Resource::from_value(value).unwrap()
}

fn source() -> Source<'static> {
    Source {
        member: "hospital",
        base: Some("https://hospital.example/fhir"),
        id: "d1",
        version: 3,
    }
}

#[test]
fn care_services_are_of_no_patient() {
    for name in TYPES {
        let kind = ResourceType::parse(name).unwrap();
        assert!(!is_in_compartment(kind), "{name}");
    }
}

#[test]
fn iti_90_a_member_is_an_organization_with_endpoints() {
    let member = MemberService {
        name: "hospital".to_owned(),
        is_active: true,
        exchange: Some("https://10.0.0.1:9000/exchange/".to_owned()),
        interfaces: Interfaces {
            fhir: Some("https://hospital.example/fhir".to_owned()),
            hl7v2: vec!["mllp://10.0.0.1:2575".to_owned()],
            dicom_web: Some("https://hospital.example/dicom-web".to_owned()),
        },
    };
    let listed = listed(&member).unwrap();
    let ids: Vec<&str> = listed.iter().filter_map(Resource::id).collect();
    assert_eq!(
        ids,
        [
            "network.hospital",
            "network.hospital.fhir",
            "network.hospital.exchange",
            "network.hospital.hl7v2-1",
            "network.hospital.dicom-web"
        ]
    );
    for one in &listed {
        let id = one.id().unwrap();
        assert!(is_of_network(one.resource_type(), id), "{id}");
        assert!(may_be_published(one), "{id}");
    }
    let possible: Vec<String> = endpoint_ids("hospital").collect();
    assert!(
        ids.iter()
            .skip(1)
            .all(|id| possible.iter().any(|one| one == id))
    );
    assert_eq!(
        listed[0].get("endpoint").unwrap()[3]["reference"],
        "Endpoint/network.hospital.dicom-web"
    );
}

#[test]
fn what_names_a_patient_is_not_published() {
    let plain = json!({"resourceType": "Practitioner", "id": "d1", "name": [{"family": "Holm"}]});
    assert!(may_be_published(&resource(plain.clone())));
    let told = |extension: Value| {
        let mut told = plain.clone();
        told["extension"] = json!([extension]);
        resource(told)
    };
    let url = "http://example.org/x";
    for named in [
        json!({"url": url, "valueReference": {"reference": "Patient/p1"}}),
        json!({"url": url, "valueReference": {"reference": "https://a.example/fhir/Patient/p1"}}),
        json!({"url": url, "valueReference": {"type": "Patient", "identifier": {"value": "7731"}}}),
        json!({"url": url, "valueReference": {"reference": "Observation/o1"}}),
    ] {
        assert!(!may_be_published(&told(named.clone())), "{named}");
        let refused = published(told(named), &source(), &digest).unwrap();
        assert!(refused.is_none());
    }
    let mut containing = plain.clone();
    containing["contained"] = json!([{"resourceType": "Patient", "id": "p"}]);
    assert!(!may_be_published(&resource(containing)));
    assert!(!may_be_published(&resource(
        json!({"resourceType": "Patient", "id": "p1"})
    )));
}

#[test]
fn what_is_published_names_its_member_and_leads_to_what_is_kept() {
    let role = json!({"resourceType": "PractitionerRole", "id": "d1",
        "meta": {"versionId": "3", "tag": [{"system": PUBLISHER, "code": "clinic"}, {"code": "own"}]},
        "practitioner": {"reference": "Practitioner/p9"},
        "organization": {"reference": "Organization/network.hospital"},
        "location": [{"reference": "https://hospital.example/fhir/Location/l1/_history/2"},
            {"reference": "https://elsewhere.example/fhir/Location/l1"}],
        "extension": [{"url": "http://example.org/x", "valueReference": {"reference": "Media/m1", "display": "photo"}},
            {"url": "http://example.org/y", "valueReference": {"reference": "Questionnaire/q1"}}]});
    let mut role = role;
    // Media can be a patient's.
    role["extension"].as_array_mut().unwrap().remove(0);
    let kept = published(resource(role), &source(), &digest)
        .unwrap()
        .unwrap();
    let kept = kept.into_value();
    let id = |kind: &str, id: &str| {
        published_id(
            "hospital",
            (ResourceType::parse(kind).unwrap(), id),
            &digest,
        )
    };
    assert_eq!(kept["id"], id("PractitionerRole", "d1"));
    assert_eq!(
        kept["meta"],
        json!({"source": "https://hospital.example/fhir/PractitionerRole/d1/_history/3",
            "tag": [{"code": "own"}, {"system": PUBLISHER, "code": "hospital"}]})
    );
    let practitioner = format!("Practitioner/{}", id("Practitioner", "p9"));
    assert_eq!(kept["practitioner"]["reference"], practitioner);
    assert_eq!(
        kept["organization"]["reference"],
        "Organization/network.hospital"
    );
    let location = format!("Location/{}", id("Location", "l1"));
    assert_eq!(kept["location"][0]["reference"], location);
    assert_eq!(
        kept["location"][1]["reference"],
        "https://elsewhere.example/fhir/Location/l1"
    );
    assert_eq!(
        kept["extension"][0]["valueReference"]["reference"],
        "https://hospital.example/fhir/Questionnaire/q1"
    );
}
