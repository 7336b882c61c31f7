//! The directory of care services: what one member writes is found at the other.

use interop::fhir::care_services::published_id;
use interop::fhir::{Resource, ResourceType};
use ledger::ids::Digest;
use node::Node;
use node::custody::{Change, CustodyError, Opened};
use serde_json::{Value, json};

use crate::founding::{Founding, clinician};
use crate::patience::until;
use crate::{NAMES, create};

fn kind(name: &str) -> ResourceType {
    ResourceType::parse(name).unwrap()
}

/// Where the clinic keeps what the hospital publishes.
fn kept(name: &str, id: &str) -> String {
    let digest = |text: &str| Digest::of(text.as_bytes()).to_string();
    published_id("hospital", (kind(name), id), &digest)
}

/// What there is at a node, once it is as wanted.
async fn read_until(
    node: &Node,
    (name, id): (&str, &str),
    wanted: impl Fn(&Result<Opened, CustodyError>) -> bool,
) -> Result<Opened, CustodyError> {
    let by = clinician("clinic");
    until(&format!("{name}/{id} is as wanted"), async || {
        let found = node.custody.read(&by, kind(name), id).await;
        wanted(&found).then_some(found)
    })
    .await
}

async fn put(node: &Node, resource: Value) {
    let resource = Resource::from_value(resource).unwrap();
    let change = Change::Update {
        resource,
        if_match: None,
    };
    let by = clinician("hospital");
    node.custody.write(&by, vec![change]).await.unwrap();
}

/// A practitioner with a role, a place, and two practitioners who stay at home; the ids of the first two.
async fn publish(hospital: &Node) -> (String, String) {
    let sister = clinician("hospital");
    let doctor = json!({"resourceType": "Practitioner", "name": [{"family": "Holm"}]});
    let doctor = create(hospital, &sister, doctor).await;
    let role = json!({"resourceType": "PractitionerRole",
        "practitioner": {"reference": format!("Practitioner/{doctor}")},
        "organization": {"reference": "Organization/network.hospital"}});
    let role = create(hospital, &sister, role).await;
    let telling = json!({"resourceType": "Practitioner", "id": "telling", "extension": [{
        "url": "http://example.org/treats", "valueReference": {"reference": "Patient/p1"}}]});
    put(hospital, telling).await;
    let labelled = json!({"resourceType": "Practitioner", "id": "labelled", "meta": {"security": [{
        "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}});
    put(hospital, labelled).await;
    put(
        hospital,
        json!({"resourceType": "Location", "id": "last", "name": "Ward"}),
    )
    .await;
    (doctor, role)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn iti_90_what_a_member_publishes_is_found_at_the_others() {
    let founding = Founding::of(&NAMES);
    let nodes = founding.start_all().await;
    let [clinic, hospital] = nodes.as_slice() else {
        panic!()
    };
    let (doctor, role) = publish(hospital).await;
    read_until(
        clinic,
        ("Location", &kept("Location", "last")),
        Result::is_ok,
    )
    .await
    .unwrap();
    let at_clinic = kept("PractitionerRole", &role);
    let found = read_until(clinic, ("PractitionerRole", &at_clinic), Result::is_ok).await;
    let found = found.unwrap().presented();
    let at_clinic = kept("Practitioner", &doctor);
    assert_eq!(
        found["practitioner"]["reference"],
        format!("Practitioner/{at_clinic}")
    );
    assert_eq!(
        found["meta"]["source"],
        format!("https://hospital.example/fhir/PractitionerRole/{role}/_history/1")
    );
    for held_back in ["telling", "labelled"] {
        let id = kept("Practitioner", held_back);
        let by = clinician("clinic");
        let read = clinic.custody.read(&by, kind("Practitioner"), &id).await;
        assert!(matches!(read, Err(CustodyError::NotFound)), "{held_back}");
    }

    // The hospital is listed, with what it says of itself.
    let endpoint = ("Endpoint", "network.hospital.fhir");
    let listed = read_until(clinic, endpoint, Result::is_ok).await.unwrap();
    assert_eq!(
        listed.presented()["address"],
        "https://hospital.example/fhir"
    );
    let endpoint = ("Endpoint", "network.hospital.exchange");
    read_until(clinic, endpoint, Result::is_ok).await.unwrap();

    changes_arrive((clinic, hospital), &doctor, &at_clinic).await;
}

/// What changes at the hospital changes at the clinic, where nobody changes it.
async fn changes_arrive((clinic, hospital): (&Node, &Node), doctor: &str, at_clinic: &str) {
    put(
        hospital,
        json!({"resourceType": "Practitioner", "id": doctor, "name": [{"family": "Berg"}]}),
    )
    .await;
    let renamed = |found: &Result<Opened, CustodyError>| {
        found
            .as_ref()
            .is_ok_and(|one| one.presented()["name"][0]["family"] == "Berg")
    };
    read_until(clinic, ("Practitioner", at_clinic), renamed)
        .await
        .unwrap();
    let change = Change::Delete {
        resource_type: kind("Practitioner"),
        id: at_clinic.to_owned(),
        if_match: None,
    };
    let by = clinician("clinic");
    let refused = clinic.custody.write(&by, vec![change]).await;
    assert!(matches!(refused, Err(CustodyError::Invalid(_))));
    let change = Change::Delete {
        resource_type: kind("Practitioner"),
        id: doctor.to_owned(),
        if_match: None,
    };
    hospital
        .custody
        .write(&clinician("hospital"), vec![change])
        .await
        .unwrap();
    let is_gone =
        |found: &Result<Opened, CustodyError>| matches!(found, Err(CustodyError::Deleted { .. }));
    let gone = read_until(clinic, ("Practitioner", at_clinic), is_gone).await;
    assert!(gone.is_err());
}
