//! Labels that come later: rules that are voted or configured, and labels that come from other documents.

use std::collections::BTreeSet;

use ::ledger::ids::{Digest, Tag};
use contracts::descriptor::{Descriptor, RecordDescriptor};
use contracts::governance::{Action, Command};
use interop::fhir::ResourceType;
use interop::fhir::labels::RuleSet;
use interop::fhir::search::{Handling, Query};

use super::*;
use crate::custody::rows::Own;
use crate::custody::store::Table;
use crate::custody::{RemoteRequest, SealedDescriptor, open_descriptor};

const MEMBERS: [&str; 2] = ["clinic", "hospital"];
/// Haemoglobin, which no rule of the release knows.
const RULES: &str = r#"{"version": "7", "valueSets": {"v": {"codes": {"http://loinc.org": ["718-7"]}}},
    "rules": [{"id": "r", "labels": ["PSY"], "codes": ["v"]}]}"#;

/// A patient at the hospital with a laboratory result.
struct Record {
    custody: Custody,
    ledger: Ledger,
    wallet: Wallet,
    patient: String,
    id: String,
    site: Site,
}

impl Record {
    async fn new() -> Self {
        let ledger = Ledger::of(&MEMBERS);
        let site = Site::at(&ledger, "hospital");
        let custody = site.open();
        let wallet = Wallet::new(5);
        let by = clinician("hospital");
        let enrolment = wallet.enrolment(Anchor::network(&ledger), "hospital", &["clinic"]);
        let patient = custody.enroll(&by, enrolment).await.unwrap();
        let result = vec![create(observation(&patient, "result"))];
        let written = custody.write(&by, result).await.unwrap();
        Self {
            custody,
            ledger,
            wallet,
            patient,
            id: written[0].id.clone(),
            site,
        }
    }

    fn vote(&self, rules: &str, number: u64) {
        self.ledger.all_say(|member| {
            if member.as_str() == MEMBERS[0] {
                Command::Propose(Action::SetLabelRules(rules.to_owned()))
            } else {
                Command::Vote {
                    proposal: number,
                    approves: true,
                }
            }
        });
    }

    fn tag(&self, own: Own, position: u64) -> Tag {
        let branch = own.of(&"hospital".parse().unwrap());
        let key = self.wallet.branch(Anchor::network(&self.ledger), &branch);
        key.entries().tag(position)
    }

    fn sealed(&self, tag: Tag) -> Option<SealedDescriptor> {
        self.custody.descriptors(&[tag]).unwrap().remove(0)
    }

    /// The descriptor under a tag, if it is shown; it must be what the ledger's item commits to.
    fn listed(&self, own: Own, position: u64) -> Option<(RecordDescriptor, Digest)> {
        let tag = self.tag(own, position);
        let sealed = self.sealed(tag)?;
        let network = Anchor::network(&self.ledger);
        let member: MemberName = "hospital".parse().unwrap();
        let key = self.wallet.branch(network, &own.of(&member));
        let open = open_descriptor(network, &member, &key, &sealed).unwrap();
        let position = self.ledger.locate(&member, tag).unwrap().expect("anchored");
        let (_, item) = self.ledger.item(position).unwrap();
        let digest = Digest::of(&open.descriptor);
        assert!(item.opens_to(network, &member, &open.opening, digest));
        let Ok(Descriptor::Record(record)) = Descriptor::decode(&open.descriptor) else {
            panic!("no record")
        };
        Some((record, item.commitment))
    }

    async fn moved(&self, from: (Own, u64), to: (Own, u64)) {
        eventually("moved", || {
            let tag = self.tag(to.0, to.1);
            let member: MemberName = "hospital".parse().unwrap();
            self.sealed(tag).is_some()
                && self.ledger.locate(&member, tag).unwrap().is_some()
                && (from.0 == Own::Restricted || self.sealed(self.tag(from.0, from.1)).is_none())
        })
        .await;
    }

    async fn labels(&self) -> Vec<String> {
        let by = clinician("hospital");
        let opened = self.custody.read(&by, observations(), &self.id).await;
        let shown = opened.unwrap().presented();
        let security = shown["meta"]["security"].as_array().cloned();
        let codes = security.unwrap_or_default().into_iter();
        codes
            .map(|one| one["code"].as_str().unwrap().to_owned())
            .collect()
    }

    async fn ask(&self, tag: Tag) -> crate::custody::RemoteAnswer {
        let request = RemoteRequest {
            requester: clinician("clinic"),
            interaction: "everything".to_owned(),
            target: "Patient/there/$everything".to_owned(),
            documents: vec![tag],
            request: Digest([3; 32]),
            recipient: vec![4; 32],
            emergency: None,
        };
        self.custody.answer(&request).await.unwrap()
    }

    async fn file(&self, provision: Value) {
        let consent = json!({"resourceType": "Consent", "status": "active",
            "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope",
                "code": "patient-privacy"}]},
            "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
            "patient": {"reference": format!("Patient/{}", self.patient)},
            "policyRule": {"text": "x"}, "provision": provision});
        let signed = self.wallet.sign(&consent);
        let by = clinician("hospital");
        self.custody
            .write(&by, vec![Change::File(signed)])
            .await
            .unwrap();
    }
}

fn permit_clinic() -> Value {
    json!({"type": "permit", "actor": [{"role": {"coding": [{"code": "IRCP"}]}, "reference":
        {"identifier": {"system": "urn:careledger:member", "value": "clinic"}}}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_what_a_voted_rule_makes_sensitive_leaves_the_index_and_nothing_links_the_two_items() {
    let record = Record::new().await;
    record.file(permit_clinic()).await;
    let index = record.tag(Own::Index, 1);
    eventually("anchored", || {
        record
            .ledger
            .locate(&"hospital".parse().unwrap(), index)
            .unwrap()
            .is_some()
    })
    .await;
    let (before, first) = record.listed(Own::Index, 1).unwrap();
    assert!(before.labels.is_empty());
    assert_eq!(record.ask(index).await.granted.len(), 1);
    assert!(record.labels().await.is_empty());

    record.vote(RULES, 1);
    record.moved((Own::Index, 1), (Own::Restricted, 1)).await;
    let (after, second) = record.listed(Own::Restricted, 1).unwrap();
    let labels: BTreeSet<&str> = after
        .labels
        .iter()
        .filter_map(|one| one.rsplit('|').next())
        .collect();
    assert_eq!(labels, BTreeSet::from(["PSY", "R"]));
    assert_eq!(
        (after.version, after.content),
        (before.version, before.content)
    );
    assert_eq!(record.labels().await, ["PSY", "R"]);
    let old = record.ask(index).await;
    assert_eq!(
        (old.granted.len(), old.withheld[0].reason.as_str()),
        (0, "no such document")
    );
    let new = record.ask(record.tag(Own::Restricted, 1)).await;
    assert!(new.granted.is_empty(), "the consent names no label");

    // Back, and away again: each item has a commitment of its own.
    record.vote("", 2);
    record.moved((Own::Restricted, 1), (Own::Index, 2)).await;
    let (_, third) = record.listed(Own::Index, 2).unwrap();
    assert_eq!(record.ask(record.tag(Own::Index, 2)).await.granted.len(), 1);
    assert!(record.labels().await.is_empty());
    assert_eq!(BTreeSet::from([first.0, second.0, third.0]).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_what_became_sensitive_is_hidden_in_every_answer_from_whoever_may_not_see_it() {
    let record = Record::new().await;
    let label =
        json!({"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"});
    record
        .file(
            json!({"type": "permit", "actor": permit_clinic()["actor"], "provision": [
        {"type": "deny", "securityLabel": [label]}]}),
        )
        .await;
    record
        .file(json!({"type": "deny", "securityLabel": [label]}))
        .await;
    record.vote(RULES, 1);
    let index = record.tag(Own::Index, 1);
    eventually("moved", || record.sealed(index).is_none()).await;
    let (by, custody) = (clinician("hospital"), &record.custody);
    let kind = observations();
    let not_found =
        |error: CustodyError| assert!(matches!(error, CustodyError::NotFound), "{error}");
    not_found(custody.read(&by, kind, &record.id).await.unwrap_err());
    not_found(custody.vread(&by, kind, &record.id, 1).await.unwrap_err());
    not_found(custody.history(&by, kind, &record.id).await.unwrap_err());
    not_found(
        custody
            .read(&by, kind, "no-such-document")
            .await
            .unwrap_err(),
    );
    let pairs = [("patient", record.patient.as_str()), ("_total", "accurate")];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let query = Query::parse(kind, &pairs, Handling::Strict).unwrap();
    let page = custody.search(&by, &query).await.unwrap();
    assert_eq!((page.total, page.matches.len()), (Some(0), 0));
    let all = custody
        .local_everything(&by, &record.patient)
        .await
        .unwrap();
    let types: Vec<_> = all
        .entries
        .iter()
        .map(|one| one.resource.resource_type())
        .collect();
    assert!(!types.contains(&kind));
    assert!(
        all.withheld.is_empty(),
        "how many are withheld tells that there are some"
    );
    let newest = custody.newest_change();
    for change in custody
        .changes(0, usize::try_from(newest).unwrap())
        .unwrap()
    {
        if change.resource_type == kind {
            assert!(!custody.concerns(&by, &change, &[]).await.unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_members_own_rules_count_from_the_next_start_and_a_stop_loses_nothing() {
    let record = Record::new().await;
    let Record {
        custody, site, id, ..
    } = record;
    let by = clinician("hospital");
    let many = (0..100).map(|number| {
        let mut one = observation("alone", "x");
        one["id"] = format!("o{number}").into();
        update(one, None)
    });
    let changes = std::iter::once(update(patient("alone"), None)).chain(many);
    custody.write(&by, changes.collect()).await.unwrap();
    drop(custody);
    let open = |rules: &str| {
        let mut options = site.options();
        options.label_rules = vec![RuleSet::parse(rules.as_bytes()).unwrap()];
        site.open_with(&options)
    };
    // Stopped in the middle, or before it began.
    drop(open(RULES));
    let custody = open(RULES);
    let kind = observations();
    for id in [id, "o0".to_owned(), "o99".to_owned()] {
        let opened = until("it has its labels", async || {
            let opened = custody.read(&by, kind, &id).await.unwrap();
            (opened.labels.len() == 2).then_some(opened)
        })
        .await;
        assert_eq!(opened.version, 1, "no version was written");
        let explained = custody
            .explain_labels(&opened.resource, Some((kind, &id)))
            .unwrap();
        assert_eq!(explained.versions.last().map(String::as_str), Some("7"));
        assert_eq!(explained.labels, opened.labels);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_come_from_what_is_referred_to_and_references_in_circles_end() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    let by = clinician("hospital");
    let linked = |id: &str, to: &str, code: &str| {
        let mut one = observation("p", "x");
        one["id"] = id.into();
        one["code"]["coding"][0]["code"] = code.into();
        one["hasMember"] = json!([{"reference": format!("Observation/{to}")}]);
        one
    };
    let hiv = "55277-8";
    // In one transaction: a → b → c → a, and only c is sensitive by itself.
    let changes = [("a", "b", "718-7"), ("b", "c", "718-7"), ("c", "a", hiv)];
    let changes = changes.map(|(id, to, code)| update(linked(id, to, code), None));
    let first = std::iter::once(update(patient("p"), None));
    custody
        .write(&by, first.chain(changes).collect())
        .await
        .unwrap();
    let kind = observations();
    for id in ["a", "b", "c"] {
        assert_eq!(
            custody.read(&by, kind, id).await.unwrap().labels.len(),
            2,
            "{id}"
        );
    }
    // No circle keeps a label alive that nothing in it has.
    let plain = update(linked("c", "a", "718-7"), None);
    custody.write(&by, vec![plain]).await.unwrap();
    until_each_has(&custody, &["a", "b", "c"], 0).await;
    let again = update(linked("b", "c", hiv), None);
    custody.write(&by, vec![again]).await.unwrap();
    until_each_has(&custody, &["a", "b", "c"], 2).await;
}

fn contraception() -> Value {
    json!({"resourceType": "Condition", "id": "c", "recordedDate": "2026-05-01",
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "Z30.0"}]},
        "subject": {"reference": "Patient/p"}})
}

/// Records with a minor whose care came in one transaction with the patient.
async fn with_care(site: &Site) -> Custody {
    let custody = site.open();
    let both = vec![
        update(born("2012-01-01"), None),
        update(contraception(), None),
    ];
    custody.write(&clinician("hospital"), both).await.unwrap();
    custody
}

fn born(date: &str) -> Value {
    let mut one = patient("p");
    one["birthDate"] = date.into();
    one
}

async fn labels_of_care(custody: &Custody) -> usize {
    let kind = ResourceType::parse("Condition").unwrap();
    let by = clinician("hospital");
    custody.read(&by, kind, "c").await.unwrap().labels.len()
}

async fn until_care_has(custody: &Custody, labels: usize) {
    until("labels follow the date of birth", async || {
        labels_of_care(custody).await == labels
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minors_care_is_labelled_by_the_patients_birth_date_in_the_same_transaction_too() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = with_care(&site).await;
    let noted = custody.0.store.scan(Table::Labelling, &[]).count();
    assert_eq!(noted, 1, "who arrives has nothing to label anew");
    assert_eq!(labels_of_care(&custody).await, 3, "ADOL, SEX, R");
    let corrected = vec![update(born("1990-01-01"), None)];
    let by = clinician("hospital");
    custody.write(&by, corrected).await.unwrap();
    until_care_has(&custody, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_while_labels_are_made_anew_is_not_forgotten() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = with_care(&site).await;
    let by = clinician("hospital");
    for round in 0..12 {
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        for (date, labels) in [("1990-01-01", 2), ("2012-01-01", 3)] {
            let there_and_back = [date, "2000-01-01", "2012-01-01", date];
            for date in there_and_back {
                let change = vec![update(born(date), None)];
                custody.write(&by, change).await.unwrap();
            }
            until_care_has(&custody, labels).await;
        }
    }
}

async fn until_each_has(custody: &Custody, ids: &[&str], labels: usize) {
    let by = clinician("hospital");
    until("each has its labels", async || {
        let mut has_all = true;
        for id in ids {
            let opened = custody.read(&by, observations(), id).await.unwrap();
            has_all &= opened.labels.len() == labels;
        }
        has_all
    })
    .await;
}

fn observations() -> ResourceType {
    ResourceType::parse("Observation").unwrap()
}
