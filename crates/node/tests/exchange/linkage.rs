//! Two whole nodes, a patient whom both know, and no wallet between them.

use contracts::consent::template::{DataClass, Grant, access};
use contracts::descriptor::Descriptor;
use contracts::linkage::Answers;
use interop::identity::LinkageSecret;
use node::custody::LinkageOptions;
use node::exchange::Discovered;

use super::*;

fn linkage(secret: u8, answers: Answers) -> LinkageOptions {
    LinkageOptions {
        secret: LinkageSecret::from_bytes([secret; 32]),
        answers,
        members: None,
        per_hour: 20,
    }
}

fn person(given: &str) -> Value {
    json!({ "resourceType": "Patient", "active": true,
        "name": [{ "family": "Winterbourne", "given": [given] }],
        "gender": "female", "birthDate": "1980-03-07",
        "telecom": [{ "system": "phone", "value": "+49 30 1234-5678" }],
        "address": [{ "line": ["12 Mill Lane"], "city": "Arborfield", "postalCode": "01001" }] })
}

fn document(patient: &str) -> Value {
    json!({ "resourceType": "DocumentReference", "status": "current",
        "subject": { "reference": format!("Patient/{patient}") },
        "type": { "coding": [{ "system": "http://loinc.org", "code": "18842-5" }] },
        "content": [{ "attachment": { "contentType": "text/plain", "data": "bm90aGluZw==" } }] })
}

/// A consent by which the clinic may see all that the hospital has of a patient who has no wallet.
fn permits_clinic(patient: &str) -> Value {
    let mut consent = access(&Grant {
        patient: &format!("Patient/{patient}"),
        grantee: "clinic",
        data: &[DataClass::All],
        purpose: "TREAT",
        start: "2026-01-01T00:00:00Z",
        end: "2036-01-01T00:00:00Z",
    });
    consent.as_object_mut().unwrap().remove("id");
    consent
}

struct World {
    nodes: Vec<Node>,
    at_clinic: String,
    at_hospital: String,
}

impl World {
    /// The clinic asks; the hospital answers as `answers` says, under its own secret.
    async fn new(secrets: [u8; 2], answers: Answers) -> (Self, Founding) {
        let founding = Founding::of(&NAMES)
            .linking("clinic", linkage(secrets[0], Answers::Off))
            .linking("hospital", linkage(secrets[1], answers));
        let nodes = founding.start_all().await;
        let at_clinic = create(&nodes[0], &clinician("clinic"), person("Elizabeth")).await;
        let at_hospital = create(&nodes[1], &clinician("hospital"), person("Liz")).await;
        until_level(&nodes).await;
        let world = Self {
            nodes,
            at_clinic,
            at_hospital,
        };
        (world, founding)
    }

    async fn permit(&self) {
        let consent = permits_clinic(&self.at_hospital);
        create(&self.nodes[1], &clinician("hospital"), consent).await;
    }

    /// Asks once the hospital has its patients in their buckets.
    async fn ask(&self) -> Discovered {
        let hospital = &self.nodes[1].custody;
        until("all are in their buckets", async || {
            hospital.has_looked_at_all()
        })
        .await;
        let by = clinician("clinic");
        let exchange = &self.nodes[0].exchange;
        let discovery = exchange.discover(&by, &self.at_clinic, None).await.unwrap();
        let [(member, discovered)] = discovery.members.as_slice() else {
            panic!("one member was asked")
        };
        assert_eq!(*member, name("hospital"));
        *discovered
    }

    /// What the patient sees at one of the nodes: interactions, and whether something was handed over.
    async fn history(&self, member: usize, patient: &str) -> Vec<(String, bool)> {
        let node = &self.nodes[member];
        let by = Requester {
            patient: Some(patient.to_owned()),
            practitioner: None,
            purpose: "PATRQT".to_owned(),
            ..clinician(NAMES[member])
        };
        let history = node.custody.access_history(&by).await.unwrap();
        let accesses = history.iter().flat_map(|entry| {
            let Ok(Descriptor::Access(access)) = Descriptor::decode(&entry.descriptor) else {
                panic!("an access history holds accesses")
            };
            access.each()
        });
        accesses
            .map(|one| {
                let decision = one.decision.as_ref();
                let is_given = decision.is_some_and(|it| !it.permitted.is_empty());
                (one.interaction.clone(), is_given)
            })
            .collect()
    }
}

fn of<'a>(history: &'a [(String, bool)], interaction: &str) -> Vec<&'a (String, bool)> {
    let named = history.iter().filter(|(named, _)| named == interaction);
    named.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn l1_a_patient_is_found_without_a_name_and_its_record_joins_the_other() {
    let (world, _founding) = World::new([7, 7], Answers::Certain).await;
    let hospital = &world.nodes[1];
    let sister = clinician("hospital");
    let letter = create(hospital, &sister, document(&world.at_hospital)).await;
    until_level(&world.nodes).await;

    // The patient has agreed to nothing: as if nobody were there, and the patient sees that somebody asked.
    assert_eq!(world.ask().await, Discovered::Nothing);
    let seen = world.history(1, &world.at_hospital).await;
    assert_eq!(of(&seen, "discover"), [&("discover".to_owned(), false)]);
    let everything = async || {
        let (doctor, clinic) = (clinician("clinic"), &world.nodes[0]);
        clinic
            .exchange
            .everything(&doctor, &world.at_clinic)
            .await
            .unwrap()
    };
    assert!(everything().await.entries.is_empty());

    world.permit().await;
    assert_eq!(world.ask().await, Discovered::Linked);
    until_level(&world.nodes).await;
    let seen = world.history(1, &world.at_hospital).await;
    assert_eq!(
        of(&seen, "discover").last(),
        Some(&&("discover".to_owned(), true))
    );
    let own = world.history(0, &world.at_clinic).await;
    assert_eq!(of(&own, "discover").len(), 2);
    assert_eq!(of(&own, "discovered").len(), 1);

    // XCA's query and retrieve: the other member's documents are in the record, and open.
    let documents = everything().await.entries;
    let found = documents
        .iter()
        .any(|one| one.id == letter && one.member == name("hospital"));
    assert!(found, "{} documents", documents.len());
    let kind = ResourceType::parse("DocumentReference").unwrap();
    let doctor = clinician("clinic");
    let exchange = &world.nodes[0].exchange;
    let opened = exchange
        .open(&doctor, &world.at_clinic, &name("hospital"), kind, &letter)
        .await
        .unwrap();
    assert_eq!(opened.id, letter);
    // Nobody is asked again whose index is read.
    let again = exchange
        .discover(&doctor, &world.at_clinic, None)
        .await
        .unwrap();
    assert!(again.members.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_person_approves_and_until_then_it_is_as_if_nobody_were_there() {
    let (world, _founding) = World::new([7, 7], Answers::Person).await;
    world.permit().await;
    assert_eq!(world.ask().await, Discovered::Nothing);
    let (hospital, registrar) = (&world.nodes[1].custody, clinician("hospital"));
    let waiting = hospital.waiting_links(&registrar, false).await.unwrap();
    let [one] = waiting.as_slice() else {
        panic!("{} questions wait", waiting.len())
    };
    assert_eq!(one.patient, world.at_hospital);
    assert_eq!(one.member, name("clinic"));
    let place = (world.at_hospital.as_str(), &name("clinic"));
    hospital
        .settle_link(&registrar, place, (false, "another person"))
        .await
        .unwrap();
    assert_eq!(world.ask().await, Discovered::Nothing);
    assert!(
        hospital
            .waiting_links(&registrar, false)
            .await
            .unwrap()
            .is_empty()
    );
    hospital
        .settle_link(&registrar, place, (true, "telephoned"))
        .await
        .unwrap();
    assert_eq!(world.ask().await, Discovered::Linked);
    let seen = world.history(1, &world.at_hospital).await;
    assert_eq!(of(&seen, "link-approved").len(), 1);
    let strange = ("nobody", &name("clinic"));
    let settled = hospital.settle_link(&registrar, strange, (true, "x")).await;
    assert!(matches!(settled, Err(CustodyError::NotFound)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_secret_finds_nobody_and_says_so() {
    let (world, _founding) = World::new([7, 8], Answers::Certain).await;
    world.permit().await;
    assert_eq!(world.ask().await, Discovered::OtherSecret);
    let seen = world.history(1, &world.at_hospital).await;
    assert!(of(&seen, "discover").is_empty());
}
