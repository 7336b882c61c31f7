use contracts::access::{DecisionRecord, Emergency, Replay, replay};
use contracts::consent::Consent;
use contracts::consent::template::{DataClass, Grant, access};
use contracts::descriptor::{AccessDescriptor, Descriptor};
use contracts::emergency::{Declaration, EmergencyId};
use contracts::governance::{Action, Command};
use interop::fhir::disclosure::DisclosureFacts;

use super::*;
use crate::custody::{RemoteRequest, Requester};

const MEMBERS: [&str; 2] = ["clinic", "hospital"];

/// A patient at the hospital with a laboratory result and a diagnosis, and the tags of both.
struct Record {
    custody: Custody,
    ledger: Ledger,
    wallet: Wallet,
    patient: String,
    tags: Vec<::ledger::ids::Tag>,
    _site: Site,
}

impl Record {
    async fn new() -> Self {
        let ledger = Ledger::of(&MEMBERS);
        let site = Site::at(&ledger, "hospital");
        let custody = site.open();
        let wallet = Wallet::new(5);
        let by = clinician("hospital");
        let network = Anchor::network(&ledger);
        let enrolment = wallet.enrolment(network, "hospital", &["clinic"]);
        let patient = custody.enroll(&by, enrolment).await.unwrap();
        let result = create(observation(&patient, "result"));
        let diagnosis = create(json!({"resourceType": "Condition",
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": "38341003"}]},
            "subject": {"reference": format!("Patient/{patient}")}}));
        custody.write(&by, vec![result, diagnosis]).await.unwrap();
        let index = wallet.branch(network, &Branch::Index("hospital".parse().unwrap()));
        let tags = (1..=2)
            .map(|position| index.entries().tag(position))
            .collect();
        Self {
            custody,
            ledger,
            wallet,
            patient,
            tags,
            _site: site,
        }
    }

    fn consent(&self) -> Value {
        access(&Grant {
            patient: &format!("Patient/{}", self.patient),
            grantee: "clinic",
            data: &[DataClass::Laboratory],
            purpose: "TREAT",
            start: "2026-01-01T00:00:00Z",
            end: "2036-01-01T00:00:00Z",
        })
    }

    async fn file(&self, consent: &Value) -> String {
        let signed = self.wallet.sign(consent);
        let by = clinician("hospital");
        let written = self
            .custody
            .write(&by, vec![Change::File(signed)])
            .await
            .unwrap();
        written[0].id.clone()
    }

    async fn ask(&self) -> crate::custody::RemoteAnswer {
        self.ask_in(clinician("clinic"), None).await
    }

    async fn ask_in(
        &self,
        requester: Requester,
        emergency: Option<Declaration>,
    ) -> crate::custody::RemoteAnswer {
        let request = RemoteRequest {
            requester,
            interaction: "everything".to_owned(),
            target: "Patient/there/$everything".to_owned(),
            documents: self.tags.clone(),
            request: ::ledger::ids::Digest([3; 32]),
            recipient: vec![4; 32],
            emergency,
        };
        self.custody.answer(&request).await.unwrap()
    }

    async fn accesses(&self) -> Vec<AccessDescriptor> {
        let by = Requester {
            patient: Some(self.patient.clone()),
            practitioner: None,
            purpose: "PATRQT".to_owned(),
            ..clinician("hospital")
        };
        let entries = self.custody.access_history(&by).await.unwrap();
        let access = |entry: crate::custody::AccessEntry| {
            let Ok(Descriptor::Access(access)) = Descriptor::decode(&entry.descriptor) else {
                panic!("an access history holds accesses")
            };
            access
        };
        entries.into_iter().map(access).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_an_answer_grants_what_the_consent_permits_and_is_on_record() {
    let record = Record::new().await;
    let denied = record.ask().await;
    assert!(denied.granted.is_empty());
    assert_eq!(denied.withheld.len(), 2);
    record.file(&record.consent()).await;
    let answer = record.ask().await;
    let granted: Vec<_> = answer.granted.iter().map(|one| one.tag).collect();
    assert_eq!(granted, [record.tags[0]]);
    assert_eq!(answer.withheld[0].tag, record.tags[1]);
    assert!(!answer.withheld[0].reason.is_empty());

    let accesses = record.accesses().await;
    assert!(
        accesses.iter().all(|one| one.audit.is_some()),
        "an answer names its event in the audit log"
    );
    let decisions: Vec<_> = accesses
        .iter()
        .filter_map(|one| one.decision.as_ref())
        .collect();
    assert_eq!(decisions.len(), 2, "the denial and the grant");
    assert_eq!(
        (decisions[0].permitted.len(), decisions[0].withheld),
        (0, 2)
    );
    assert_eq!(
        (decisions[1].permitted.len(), decisions[1].withheld),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_what_a_scope_does_not_reach_is_not_on_record_as_opened() {
    use crate::custody::Reach;

    let record = Record::new().await;
    let by = clinician("hospital");
    let found = record.custody.local_everything(&by, &record.patient).await;
    let found = found.unwrap().entries.remove(0);
    let (resource_type, id) = (found.resource.resource_type(), found.id);
    let beyond = Requester {
        reach: Reach::limited(|_, _| false),
        ..by.clone()
    };
    let recorded = record.accesses().await.len();
    let custody = &record.custody;
    assert!(custody.read(&beyond, resource_type, &id).await.is_err());
    assert!(custody.vread(&beyond, resource_type, &id, 1).await.is_err());
    assert!(custody.history(&beyond, resource_type, &id).await.is_err());
    assert_eq!(record.accesses().await.len(), recorded);
    custody.read(&by, resource_type, &id).await.unwrap();
    assert_eq!(record.accesses().await.len(), recorded + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_the_recorded_decision_replays_from_what_custody_had() {
    let record = Record::new().await;
    let filed = record.consent();
    let id = record.file(&filed).await;
    record.ask().await;
    let decision = record.accesses().await.pop().unwrap().decision.unwrap();
    let decision = DecisionRecord::decode(&decision.record.unwrap()).unwrap();
    let consent = Consent::read(&format!("hospital/{id}"), 1, &filed).unwrap();
    let by = clinician("hospital");
    let everything = record
        .custody
        .local_everything(&by, &record.patient)
        .await
        .unwrap();
    let document = |kind: &str| {
        let entries = &everything.entries;
        let one = entries
            .iter()
            .find(|one| one.resource.resource_type().as_str() == kind);
        let facts = DisclosureFacts::of(&one.unwrap().resource);
        Some(contracts::access::Document {
            home: "hospital".to_owned(),
            patient: Some(record.patient.clone()),
            resource_type: kind.to_owned(),
            codes: facts.codes.union(&facts.categories).cloned().collect(),
            labels: facts.labels,
            period: facts.period.map(|span| (span.start_ms, span.end_ms)),
            ..contracts::access::Document::default()
        })
    };
    let documents = [document("Observation"), document("Condition")];
    let consents = [consent];
    let again = |documents: &[_]| replay(&decision, None, &consents, documents);
    assert_eq!(again(&documents), Ok(Replay::Same));
    let swapped = [documents[1].clone(), documents[0].clone()];
    assert_ne!(again(&swapped), Ok(Replay::Same));
}

/// Members vote that observations leave no member any more.
const VOTED: &str = "@id(\"observations-stay\") forbid (principal, action, resource)
    when { resource.type == \"Observation\" && principal.member != resource.home };";

fn vote(record: &Record, text: &str, number: u64) {
    record.ledger.all_say(|member| {
        if member.as_str() == MEMBERS[0] {
            Command::Propose(Action::SetPolicies(text.to_owned()))
        } else {
            Command::Vote {
                proposal: number,
                approves: true,
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_a_vote_forbids_what_a_consent_permits_and_the_record_names_its_text() {
    let record = Record::new().await;
    let filed = record.consent();
    let id = record.file(&filed).await;
    assert_eq!(record.ask().await.granted.len(), 1);
    vote(&record, VOTED, 1);
    let answer = record.ask().await;
    assert!(answer.granted.is_empty());
    let forbidden = answer.withheld.iter().find(|one| one.tag == record.tags[0]);
    assert_eq!(
        forbidden.unwrap().reason,
        "171.202(b): the network's members have forbidden it"
    );
    let by = clinician("hospital");
    let everything = record.custody.local_everything(&by, &record.patient).await;
    let own = everything.unwrap().entries.len();
    assert_eq!(own, 3, "the hospital's own care goes on");

    let decision = record
        .accesses()
        .await
        .into_iter()
        .rev()
        .find_map(|access| {
            let is_asked = access.requester.as_str() == "clinic";
            is_asked.then(|| access.decision.unwrap().record.unwrap())
        });
    let decision = DecisionRecord::decode(&decision.unwrap()).unwrap();
    assert_eq!(decision.rulings[0].determining, ["voted/observations-stay"]);
    let consent = Consent::read(&format!("hospital/{id}"), 1, &filed).unwrap();
    let (_, registry) = record.ledger.governed();
    let text = registry.policies_with(decision.voted.unwrap());
    assert_eq!(text, Some(VOTED));
    // Erased documents leave the policies and the consents to agree with.
    let again = |text| {
        replay(
            &decision,
            text,
            std::slice::from_ref(&consent),
            &[None, None],
        )
    };
    assert_eq!(again(text), Ok(Replay::Erased(vec![0, 1])));
    assert_eq!(
        again(None),
        Ok(Replay::PoliciesMissing(decision.voted.unwrap()))
    );

    vote(&record, "", 2);
    assert_eq!(record.ask().await.granted.len(), 1, "taken back by a vote");
    let (_, registry) = record.ledger.governed();
    assert!(registry.policies_with(decision.voted.unwrap()).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_nothing_is_disclosed_while_a_consent_on_the_ledger_is_not_known() {
    let record = Record::new().await;
    record.file(&record.consent()).await;
    assert_eq!(record.ask().await.granted.len(), 1);
    // The patient files another consent through the clinic; the ledger has it, the hospital does not.
    let network = Anchor::network(&record.ledger);
    let branch = Branch::Consent("clinic".parse().unwrap());
    let tag = record.wallet.branch(network, &branch).entries().tag(1);
    let item = ::ledger::item::Item {
        tags: [tag, ::ledger::ids::Tag([9; 16])],
        commitment: ::ledger::ids::Digest([9; 32]),
    };
    record.ledger.record("clinic", vec![item]);
    let answer = record.ask().await;
    assert!(answer.granted.is_empty());
    assert_eq!(answer.withheld.len(), 2);
    let by = clinician("hospital");
    let own = record
        .custody
        .local_everything(&by, &record.patient)
        .await
        .unwrap();
    assert!(!own.entries.is_empty(), "the hospital's own care goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_with_a_wallet_behind_it_is_not_erased_without_the_wallet() {
    let record = Record::new().await;
    let id = record.file(&record.consent()).await;
    let by = clinician("hospital");
    let consent = interop::fhir::ResourceType::CONSENT;
    let erased = erase_whole(&record.custody, &by, consent, &id).await;
    assert!(matches!(erased, Err(CustodyError::ConsentNotSigned)));
    assert_eq!(record.ask().await.granted.len(), 1);
}

fn from_june() -> i64 {
    i64::try_from(JUNE).unwrap()
}

/// What the clinic's clinician has declared there: conditions, for an hour.
fn declared(id: u8) -> Declaration {
    Declaration {
        id: EmergencyId([id; 16]),
        emergency: Emergency {
            reason: "ETREAT".to_owned(),
            from: from_june(),
            until: from_june() + 3_600_000,
        },
        personnel: "Practitioner/p1".to_owned(),
        affiliation: "clinic".to_owned(),
        discloser: "hospital".to_owned(),
        nature: "unconscious".to_owned(),
        types: ["Condition".to_owned()].into(),
        justification: Some("nobody can be asked".to_owned()),
    }
}

fn in_emergency(member: &str, id: u8) -> Requester {
    Requester {
        purpose: crate::custody::BREAK_GLASS.to_owned(),
        emergency: Some(EmergencyId([id; 16])),
        ..clinician(member)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn part2_5_another_members_emergency_opens_its_types_and_is_told_and_reviewed_here_too() {
    let record = Record::new().await;
    let answer = record
        .ask_in(in_emergency("clinic", 1), Some(declared(1)))
        .await;
    let granted: Vec<_> = answer.granted.iter().map(|one| one.tag).collect();
    assert_eq!(
        granted,
        [record.tags[1]],
        "the condition, and no observation"
    );
    assert!(
        answer.withheld[0]
            .reason
            .contains("not declared for this kind")
    );
    let again = record
        .ask_in(in_emergency("clinic", 1), Some(declared(1)))
        .await;
    assert_eq!(again.granted.len(), 1);
    assert_eq!(
        record.custody.emergencies().open,
        1,
        "one review for one declaration"
    );
    let accesses = record.accesses().await;
    let named: Vec<_> = accesses
        .iter()
        .filter(|one| one.emergency.is_some())
        .collect();
    let interactions: Vec<_> = named.iter().map(|one| one.interaction.as_str()).collect();
    assert_eq!(interactions, ["break-glass", "everything", "everything"]);
    let told = |one: &&&AccessDescriptor| {
        one.emergency
            .as_ref()
            .is_some_and(|one| one.justification.is_some())
    };
    assert_eq!(named.iter().filter(told).count(), 1);

    // Nobody else uses a declaration, and one that lacks a field opens nothing and leaves nothing.
    let stolen = record
        .ask_in(in_emergency("laboratory", 1), Some(declared(1)))
        .await;
    assert!(stolen.granted.is_empty());
    let spoiled: [fn(&mut Declaration); 4] = [
        |one| one.nature.clear(),
        |one| one.emergency.until += 4 * 3_600_000,
        |one| one.emergency.from += 60_000,
        |one| one.personnel.clear(),
    ];
    for (id, spoil) in (2..).zip(spoiled) {
        let mut one = declared(id);
        spoil(&mut one);
        let answer = record.ask_in(in_emergency("clinic", id), Some(one)).await;
        assert!(answer.granted.is_empty());
    }
    assert_eq!(record.custody.emergencies().open, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_ends_by_the_ledgers_time_where_the_clock_stands_still() {
    let record = Record::new().await;
    record
        .ask_in(in_emergency("clinic", 1), Some(declared(1)))
        .await;
    record.ledger.pass(1, 3_600_000);
    let late = record
        .ask_in(in_emergency("clinic", 1), Some(declared(1)))
        .await;
    assert!(late.granted.is_empty());
}
