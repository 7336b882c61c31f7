//! Two whole nodes, a patient whom both know, and no wallet between them.

use contracts::consent::template::{DataClass, Grant, access};
use contracts::descriptor::Descriptor;
use contracts::linkage::Answers;
use interop::identity::LinkageSecret;
use minicbor::{Decoder, Encoder};
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

    /// Waits until the hospital has its patients in their buckets.
    async fn until_found(&self) {
        let hospital = &self.nodes[1].custody;
        until("all are in their buckets", async || {
            hospital.has_looked_at_all()
        })
        .await;
    }

    /// Asks all whose index is not read: the hospital, as soon as the ledger says so.
    async fn ask(&self) -> Discovered {
        self.until_found().await;
        let by = clinician("clinic");
        let exchange = &self.nodes[0].exchange;
        until("the hospital is asked", async || {
            let discovery = exchange.discover(&by, &self.at_clinic, None).await.unwrap();
            let [(member, discovered)] = discovery.members.as_slice() else {
                return None;
            };
            assert_eq!(*member, name("hospital"));
            Some(*discovered)
        })
        .await
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
async fn l6_a_link_that_is_withdrawn_leads_nowhere_until_it_is_approved() {
    let (world, _founding) = World::new([7, 7], Answers::Certain).await;
    let (hospital, sister) = (&world.nodes[1], clinician("hospital"));
    create(hospital, &sister, document(&world.at_hospital)).await;
    world.permit().await;
    assert_eq!(world.ask().await, Discovered::Linked);
    until_level(&world.nodes).await;
    let found = async || {
        let clinic = &world.nodes[0].exchange;
        let by = clinician("clinic");
        let all = clinic.everything(&by, &world.at_clinic).await.unwrap();
        let documents = all.entries.iter();
        let documents = documents.filter(|one| one.resource.get("content").is_some());
        (documents.count(), all.withheld.len())
    };
    assert_eq!(found().await.0, 1);

    let place = (world.at_hospital.as_str(), &name("clinic"));
    let withdrawn = hospital.custody.withdraw_link(&sister, place, "twin");
    withdrawn.await.unwrap();
    create(hospital, &sister, document(&world.at_hospital)).await;
    until_level(&world.nodes).await;
    assert_eq!(found().await, (0, 0));
    // Whose index goes on under another key is asked again.
    assert_eq!(world.ask().await, Discovered::Nothing);
    let seen = world.history(1, &world.at_hospital).await;
    assert_eq!(of(&seen, "link-withdrawn").len(), 1);

    let approved = hospital
        .custody
        .settle_link(&sister, place, (true, "no twin"));
    approved.await.unwrap();
    assert_eq!(world.ask().await, Discovered::Linked);
    until_level(&world.nodes).await;
    assert_eq!(found().await.0, 2);
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

/// The parts of a question, as `docs/formats/exchange.md` has them: ask, encoding, proof.
fn parts(question: &[u8]) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let mut decoder = Decoder::new(question);
    assert_eq!(decoder.array().unwrap(), Some(3));
    let start = decoder.position();
    decoder.skip().unwrap();
    let ask = question[start..decoder.position()].to_vec();
    let encoding = decoder.bytes().unwrap().to_vec();
    (ask, encoding, decoder.bytes().unwrap().to_vec())
}

fn question((ask, encoding, proof): &(Vec<u8>, Vec<u8>, Vec<u8>)) -> Vec<u8> {
    let mut bytes = vec![0x83];
    bytes.extend(ask);
    let mut encoder = Encoder::new(&mut bytes);
    encoder.bytes(encoding).unwrap().bytes(proof).unwrap();
    bytes
}

impl World {
    /// A question of the clinic's that is on record, and was not sent.
    async fn question(&self) -> Vec<u8> {
        let (by, hospital) = (clinician("clinic"), name("hospital"));
        let clinic = &self.nodes[0].exchange;
        let asked = clinic.question(&by, &self.at_clinic, &hospital).await;
        asked.unwrap()
    }

    /// What the hospital answers to bytes that one of the nodes sends.
    async fn answer(&self, from: usize, bytes: Vec<u8>) -> (u16, Vec<u8>) {
        let exchange = &self.nodes[from].exchange;
        let answer = exchange.send_question(&name("hospital"), bytes).await;
        answer.unwrap()
    }

    /// Whether the patient at the hospital was told that something was asked.
    async fn is_untold(&self) -> bool {
        let seen = self.history(1, &self.at_hospital).await;
        of(&seen, "discover").is_empty()
    }
}

const REFUSED_WITHOUT_A_WORD: Vec<u8> = Vec::new();

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p2_a_question_is_answered_once_to_the_member_that_asked_it() {
    let (world, _founding) = World::new([7, 7], Answers::Certain).await;
    world.permit().await;
    world.until_found().await;
    let question = world.question().await;
    // Another member has come by it.
    let strange = world.answer(1, question.clone()).await;
    assert_eq!(strange, (403, REFUSED_WITHOUT_A_WORD));
    assert!(world.is_untold().await);

    let (status, reply) = world.answer(0, question.clone()).await;
    assert_eq!(status, 200);
    assert!(reply.len() > 2_048);
    for _ in 0..2 {
        let again = world.answer(0, question.clone()).await;
        assert_eq!(again, (410, REFUSED_WITHOUT_A_WORD));
    }
    let seen = world.history(1, &world.at_hospital).await;
    assert_eq!(of(&seen, "discover"), [&("discover".to_owned(), true)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_question_that_is_oversized_or_is_not_what_was_signed_is_refused() {
    let (world, _founding) = World::new([7, 7], Answers::Certain).await;
    world.permit().await;
    world.until_found().await;
    let asked = world.question().await;
    let (ask, encoding, proof) = parts(&asked);
    assert_eq!(question(&parts(&asked)), asked);
    let with = |encoding, proof| question(&(ask.clone(), encoding, proof));

    let (status, _) = world.answer(0, vec![0; (1 << 20) + 1]).await;
    assert_eq!(status, 413);
    let longer = [encoding.as_slice(), &[0]].concat();
    for malformed in [
        with(longer, proof.clone()),
        with(encoding[1..].to_vec(), proof.clone()),
        with(vec![0; 1_000_000], proof.clone()),
        with(encoding.clone(), proof[1..].to_vec()),
        [asked.as_slice(), &[0]].concat(),
    ] {
        let refused = world.answer(0, malformed).await;
        assert_eq!(refused, (400, REFUSED_WITHOUT_A_WORD));
    }
    let other = vec![0xff; encoding.len()];
    let refused = world.answer(0, with(other, proof.clone())).await;
    assert_eq!(refused, (409, REFUSED_WITHOUT_A_WORD));
    let (ask, encoding, _) = parts(&world.question().await);
    let refused = world.answer(0, question(&(ask, encoding, proof))).await;
    assert_eq!(refused, (412, REFUSED_WITHOUT_A_WORD));
    assert!(world.is_untold().await);
    assert_eq!(world.ask().await, Discovered::Linked);
}
