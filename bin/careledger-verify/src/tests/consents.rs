//! Receipts of consents: what the ledger does not hold, a member cannot say in one.

use contracts::consent::receipt::{Facts, Version, payload, signed, signing_input};
use ed25519_zebra::SigningKey;
use ledger::node_key::{Algorithm, SigningNode};
use serde_json::{Value, json};

use super::*;
use crate::failure::Failure;
use crate::outcome::Facts as Outcome;

fn consent() -> Value {
    json!({
        "resourceType": "Consent", "id": "17", "status": "active",
        "scope": { "coding": [{ "code": "patient-privacy" }] },
        "patient": { "reference": "Patient/p", "display": "Ada" },
        "provision": {
            "type": "permit",
            "actor": [{ "role": { "coding": [{ "code": "IRCP" }] },
                "reference": { "reference": "Organization/clinic" } }],
            "purpose": [{ "code": "TREAT" }],
            "class": [{ "system": "http://hl7.org/fhir/resource-types", "code": "Observation" }],
        },
    })
}

/// The hospital's ledger, and the payload of a receipt of the consent that it holds there.
fn held() -> (Forge, Value) {
    let content = consent().to_string().into_bytes();
    let record = RecordDescriptor {
        resource_type: "Consent".to_owned(),
        content: Digest::of(&content),
        ..record(1)
    };
    let (forge, items) = recorded(&[Descriptor::Record(record.clone())]);
    let export = Export {
        content,
        ..export(&forge, &items[0], record, &[tag(2)])
    };
    let version = Version {
        number: 1,
        at: 1_780_272_000_500,
        content: Some(consent()),
    };
    let payload = payload(&Facts {
        export: &export,
        home: &hospital(),
        at: 1_780_272_000_900,
        versions: &[version],
        controllers: &["clinic".to_owned(), "hospital".to_owned()],
    });
    (forge, payload.unwrap())
}

fn sign(forge: &Forge, member: &str, payload: &Value) -> String {
    let (seed, certificate) = forge.node_seed(member).unwrap();
    let name: MemberName = member.parse().unwrap();
    let node = SigningNode {
        member: &name,
        certificate,
        algorithm: Algorithm::EdDsa,
    };
    let input = signing_input(payload, &node);
    let signature = SigningKey::from_bytes(&seed).sign(input.as_bytes());
    signed(&input, &signature.to_bytes())
}

fn check(forge: &Forge, receipt: &str) -> Result<Outcome, Failure> {
    let pinned = pinned(forge.genesis());
    crate::consent_receipt::check(receipt.as_bytes(), (&pinned, None), true)
}

#[test]
fn p10_a_consent_receipt_verifies_and_no_changed_byte_does() {
    let (forge, payload) = held();
    let receipt = sign(&forge, "hospital", &payload);
    let facts = check(&forge, &receipt).unwrap();
    let fact = |name: &str| {
        facts
            .iter()
            .find(|(one, _)| *one == name)
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(fact("record"), json!("Consent/17"));
    assert_eq!(
        fact("says")[1],
        "clinic may see test results and measurements to treat you."
    );
    assert_eq!(
        fact("events, as the member says")[0],
        "2026-06-01T00:00:00.500Z given"
    );
    for at in 0..receipt.len() {
        let mut changed = receipt.clone().into_bytes();
        changed[at] ^= 1;
        let changed = String::from_utf8(changed).unwrap();
        assert!(check(&forge, &changed).is_err(), "byte {at}");
    }
}

#[test]
fn p10_a_record_that_says_something_else_than_the_ledger_is_found_out() {
    let (forge, payload) = held();
    let says = |change: fn(&mut Value)| {
        let mut payload = payload.clone();
        change(&mut payload["dpv:hasRecordOfActivity"]);
        check(&forge, &sign(&forge, "hospital", &payload))
            .unwrap_err()
            .name
    };
    assert_eq!(
        says(|one| one["dpv:hasConsentStatus"] = json!("dpv:ConsentWithdrawn")),
        "consent-record"
    );
    assert_eq!(
        says(|one| one["dpv:hasProcess"][0]["dpv:hasRecipient"] = json!(["payer"])),
        "consent-record"
    );
    assert_eq!(
        says(|one| one["dct:hasVersion"] = json!(2)),
        "consent-record"
    );
    assert_eq!(
        says(|one| one["dpv:hasLegalBasis"] = json!("any")),
        "consent-record"
    );
    let other = check(&forge, &sign(&forge, "clinic", &payload)).unwrap_err();
    assert_eq!(other.name, "consent-receipt-of-another");
}

#[test]
fn p1_a_receipt_does_not_name_the_patient_outside_of_the_consent() {
    let (_, mut payload) = held();
    payload
        .as_object_mut()
        .unwrap()
        .remove("careledger:proof")
        .unwrap();
    assert!(!payload.to_string().contains("Ada"));
}
