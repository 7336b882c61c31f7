use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use contracts::descriptor::Descriptor;
use contracts::rotation::{MovedDescriptor, Successor};
use serde_json::{Value, json};

use super::*;
use crate::access_history::check;

fn entry(forge: &Forge, items: &[Item], n: u8) -> Value {
    let binary = |name: &str, bytes: &[u8]| json!({ "name": name, "valueBase64Binary": BASE64_STANDARD.encode(bytes) });
    let receipt = forge.receipt(&items[usize::from(n) - 1], &[]).unwrap();
    json!({ "name": "entry", "part": [
        { "name": "position", "valueUnsignedInt": n },
        binary("descriptor", &Descriptor::Access(access(n)).encode()),
        binary("opening", &opening(n).0),
        binary("receipt", &receipt.encode()),
    ] })
}

fn answer(entries: &[Value]) -> Vec<u8> {
    json!({ "resourceType": "Parameters", "parameter": entries })
        .to_string()
        .into_bytes()
}

fn history() -> (Forge, Vec<Value>) {
    let descriptors = [1, 2, 3].map(|n| Descriptor::Access(access(n)));
    let (forge, items) = recorded(&descriptors);
    let entries = [1, 2, 3].map(|n| entry(&forge, &items, n));
    (forge, entries.to_vec())
}

#[test]
fn p2_every_entry_is_recorded_and_follows_the_one_before() {
    let (forge, entries) = history();
    let facts = check(&answer(&entries), &pinned(forge.genesis()), None).unwrap();
    assert!(facts.contains(&("member", json!("hospital"))));
    assert!(facts.contains(&("entries", json!(3))));
    let (_, lines) = facts.last().unwrap();
    let asked = "Practitioner/9 at clinic for TREAT: read Observation/17 at hospital, asked";
    assert_eq!(lines[0], json!(format!("2026-06-01T00:00:00.700Z {asked}")));
    assert!(lines[1].as_str().unwrap().ends_with("denied"));
    let empty = check(&answer(&[]), &pinned(forge.genesis()), None).unwrap();
    assert!(empty.contains(&("entries", json!(0))));
}

#[test]
fn p2_an_entry_left_out_changed_or_out_of_order_is_named() {
    let (forge, entries) = history();
    let name = |entries: &[Value]| {
        check(&answer(entries), &pinned(forge.genesis()), None)
            .unwrap_err()
            .name
    };
    assert_eq!(
        name(&[entries[0].clone(), entries[2].clone()]),
        "entry-missing"
    );
    assert_eq!(name(&entries[1..]), "entry-missing");
    let with = |at: usize, part: usize, value: Value| {
        let mut entries = entries.clone();
        entries[at]["part"][part]["valueBase64Binary"] = value;
        name(&entries)
    };
    let other = |at: usize, part: usize| entries[at]["part"][part]["valueBase64Binary"].clone();
    assert_eq!(with(1, 1, other(2, 1)), "descriptor-or-opening");
    assert_eq!(with(1, 2, other(2, 2)), "descriptor-or-opening");
    assert_eq!(with(1, 3, json!("AAAA")), "answer");
    let mut swapped = entries.clone();
    swapped[1]["part"][0]["valueUnsignedInt"] = json!(3);
    swapped[2]["part"][0]["valueUnsignedInt"] = json!(2);
    assert_eq!(name(&swapped), "entry-order");
    let mut pending = entries.clone();
    pending[1]["part"].as_array_mut().unwrap().pop();
    assert_eq!(
        name(&pending),
        "entry-order",
        "the third cannot be final before the second"
    );
    pending.pop();
    let facts = check(&answer(&pending), &pinned(forge.genesis()), None).unwrap();
    assert!(facts.contains(&("not final yet", json!(1))));
    assert_eq!(
        check(b"{}", &pinned(forge.genesis()), None)
            .unwrap_err()
            .name,
        "answer"
    );
}

/// The second entry closes the stream in favour of the third, which is under another key.
fn rotated(first: u8) -> (Forge, Vec<Value>) {
    let step = Successor {
        salt: [7; 32],
        tag: tag(first),
    };
    let moved = Descriptor::Moved(MovedDescriptor {
        branch: "access/hospital".to_owned(),
        epoch: 1,
        successor: step.commitment(),
    });
    let descriptors = [
        Descriptor::Access(access(1)),
        moved.clone(),
        Descriptor::Access(access(3)),
    ];
    let (forge, items) = recorded(&descriptors);
    let mut entries = [1, 2, 3].map(|n| entry(&forge, &items, n));
    entries[1]["part"][1]["valueBase64Binary"] = json!(BASE64_STANDARD.encode(moved.encode()));
    let salt =
        json!({ "name": "successorSalt", "valueBase64Binary": BASE64_STANDARD.encode([7; 32]) });
    entries[1]["part"].as_array_mut().unwrap().push(salt);
    (forge, entries.to_vec())
}

#[test]
fn p2_a_history_goes_on_where_its_closing_entry_leads() {
    let (forge, entries) = rotated(3);
    let facts = check(&answer(&entries), &pinned(forge.genesis()), None).unwrap();
    assert!(facts.contains(&("entries", json!(3))));
    assert!(facts.contains(&("rotations of the key", json!(1))));
    let name = |entries: &[Value]| {
        check(&answer(entries), &pinned(forge.genesis()), None)
            .unwrap_err()
            .name
    };
    assert_eq!(
        name(&[entries[0].clone(), entries[2].clone()]),
        "entry-missing"
    );
    let mut unsalted = entries.clone();
    unsalted[1]["part"].as_array_mut().unwrap().pop();
    assert_eq!(name(&unsalted), "entry-after-closing");
}

#[test]
fn p4_an_entry_behind_the_closing_one_under_the_former_key_is_named() {
    let (forge, entries) = rotated(9);
    let refused = check(&answer(&entries), &pinned(forge.genesis()), None).unwrap_err();
    assert_eq!(refused.name, "entry-after-closing");
    let facts = check(&answer(&entries[..2]), &pinned(forge.genesis()), None).unwrap();
    assert!(facts.contains(&("entries", json!(2))), "it may be the last");
}

#[test]
fn a_record_is_not_an_access() {
    let (forge, items) = recorded(&[Descriptor::Record(record(1))]);
    let mut entry = entry(&forge, &items, 1);
    let descriptor = Descriptor::Record(record(1)).encode();
    entry["part"][1]["valueBase64Binary"] = json!(BASE64_STANDARD.encode(descriptor));
    let refused = check(&answer(&[entry]), &pinned(forge.genesis()), None).unwrap_err();
    assert_eq!(refused.name, "descriptor-kind");
}
