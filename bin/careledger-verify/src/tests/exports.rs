use std::sync::LazyLock;

use contracts::descriptor::Descriptor;
use ledger::ids::{BlockTime, Height};
use ledger::log::InclusionPath;
use ledger::statement::SubmittedStatement;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::failure::Failure;
use crate::outcome::Facts;

struct Fixture {
    genesis: Genesis,
    forge: Forge,
    export: Export,
}

fn check(bytes: &[u8], genesis: &Genesis, latest: bool) -> Result<Facts, Failure> {
    crate::export::check(bytes, (&pinned(genesis), None), latest)
}

/// An export of the second and latest of two versions.
fn fixture() -> Fixture {
    let (forge, items) = recorded(&[Descriptor::Record(record(1)), Descriptor::Record(record(2))]);
    let export = export(&forge, &items[1], record(2), &[tag(3)]);
    Fixture {
        genesis: forge.genesis().clone(),
        forge,
        export,
    }
}

#[test]
fn p3_p4_an_export_shows_author_content_place_and_that_it_is_the_latest() {
    let Fixture {
        genesis, export, ..
    } = fixture();
    let facts = check(&export.encode(), &genesis, true).unwrap();
    let fact = |name: &str| {
        facts
            .iter()
            .find(|(one, _)| *one == name)
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(fact("record"), json!("Observation/17"));
    assert_eq!(fact("version"), json!(2));
    assert_eq!(fact("member"), json!("hospital"));
    assert_eq!(fact("author"), json!("Practitioner/7"));
    assert_eq!(fact("written at"), json!("2026-06-01T00:00:00.500Z"));
    assert_eq!(fact("final at height"), json!(2));
    assert_eq!(fact("latest"), json!(true));
}

#[test]
fn p4_a_superseded_version_cannot_be_shown_to_be_the_latest() {
    let Fixture { genesis, forge, .. } = fixture();
    let (_, items) = recorded(&[Descriptor::Record(record(1)), Descriptor::Record(record(2))]);
    assert!(
        forge.receipt(&items[0], &[tag(2)]).is_err(),
        "its tag is used"
    );
    let superseded = export(&forge, &items[0], record(1), &[]).encode();
    let facts = check(&superseded, &genesis, false).unwrap();
    assert!(facts.contains(&("latest", json!(false))));
    let failure = check(&superseded, &genesis, true).unwrap_err();
    assert_eq!(failure.name, "absence-proof-missing");
}

/// What is named when `change` is made to the export of the fixture.
fn failure(change: impl Fn(&mut Export)) -> &'static str {
    let Fixture {
        genesis,
        mut export,
        ..
    } = fixture();
    change(&mut export);
    check(&export.encode(), &genesis, true).unwrap_err().name
}

#[test]
fn p3_what_is_changed_in_content_descriptor_or_opening_is_named() {
    assert_eq!(failure(|export| export.content[20] ^= 1), "payload");
    assert_eq!(failure(|export| export.content.clear()), "payload");
    assert_eq!(
        failure(|export| export.descriptor[10] ^= 1),
        "descriptor-or-opening"
    );
    assert_eq!(
        failure(|export| export.opening.0[0] ^= 1),
        "descriptor-or-opening"
    );
    let author = "Practitioner/8".to_owned();
    let other = Descriptor::Record(RecordDescriptor {
        author,
        ..record(2)
    })
    .encode();
    assert_eq!(
        failure(|export| export.descriptor = other.clone()),
        "descriptor-or-opening"
    );
}

#[test]
fn p3_what_is_changed_in_the_proofs_of_inclusion_is_named() {
    assert_eq!(
        failure(|export| export.receipt.item[40] ^= 1),
        "item-inclusion-proof"
    );
    let break_path = |path: &mut InclusionPath| path.siblings[0].0[0] ^= 1;
    assert_eq!(
        failure(|export| break_path(&mut export.receipt.item_path)),
        "item-inclusion-proof"
    );
    assert_eq!(
        failure(|export| break_path(&mut export.receipt.log_path)),
        "log-inclusion-proof"
    );
    let break_last = |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(
        failure(|export| break_last(&mut export.receipt.statement)),
        "statement-signature"
    );
    assert_eq!(
        failure(|export| export.receipt.statement[0] ^= 1),
        "statement"
    );
}

#[test]
fn p3_p4_what_is_changed_in_header_votes_or_absence_is_named() {
    assert_eq!(
        failure(|export| export.receipt.header.time = BlockTime(1)),
        "block-header"
    );
    assert_eq!(
        failure(|export| export.receipt.header.height = Height(9)),
        "block-header"
    );
    let elsewhere = fixture().forge.blocks()[0].finality.clone();
    assert_eq!(
        failure(|export| export.receipt.finality = elsewhere.clone()),
        "block-header"
    );
    let break_vote = |export: &mut Export| export.receipt.finality.votes[1].signature[0] ^= 1;
    assert_eq!(failure(break_vote), "finality-votes");
    assert_eq!(
        failure(|export| export.receipt.finality.votes.truncate(2)),
        "finality-quorum"
    );
    assert_eq!(
        failure(|export| export.receipt.absent[0].tag = tag(2)),
        "absence-proof"
    );
    assert_eq!(
        failure(|export| export.receipt.absent.clear()),
        "absence-proof-missing"
    );
}

#[test]
fn what_is_not_a_records_export_of_this_network_is_refused() {
    let Fixture {
        genesis,
        forge,
        export: whole,
    } = fixture();
    let name = |bytes: &[u8], genesis: &Genesis| check(bytes, genesis, false).unwrap_err().name;
    assert_eq!(name(b"", &genesis), "export");
    assert_eq!(
        name(&[whole.encode(), vec![0]].concat(), &genesis),
        "export"
    );
    let other = Forge::found(&["clinic", "hospital"]).unwrap();
    assert_eq!(name(&whole.encode(), other.genesis()), "network");
    let mut nameless = genesis.clone();
    nameless.members.clear();
    assert_eq!(name(&whole.encode(), &nameless), "genesis");

    let (forge_of_accesses, items) = recorded(&[Descriptor::Access(access(1)), Descriptor::Void]);
    let mut of_access = export(&forge_of_accesses, &items[0], record(1), &[]);
    of_access.descriptor = Descriptor::Access(access(1)).encode();
    assert_eq!(name(&of_access.encode(), &genesis), "descriptor-kind");

    let statement = &forge.blocks()[1].block.statements[0];
    let of_clinic = SubmittedStatement::decode(statement).unwrap().items()[0];
    let mut of_clinic = export(&forge, &of_clinic, record(2), &[]);
    of_clinic.opening = opening(2);
    assert_eq!(
        name(&of_clinic.encode(), &genesis),
        "descriptor-or-opening",
        "the tag was copied"
    );
}

#[test]
fn p4_the_absence_of_another_tag_says_nothing_and_is_refused() {
    let Fixture { genesis, forge, .. } = fixture();
    let item = item(&forge, 2, &Descriptor::Record(record(2)));
    for absent in [&[tag(77)][..], &[tag(3), tag(77)]] {
        let export = export(&forge, &item, record(2), absent);
        let refused = check(&export.encode(), &genesis, false).unwrap_err();
        assert_eq!(refused.name, "absence-of-another");
    }
}

#[test]
fn a_version_that_deletes_has_no_content() {
    let deleted = RecordDescriptor {
        deleted: true,
        ..record(1)
    };
    let (forge, items) = recorded(&[Descriptor::Record(deleted.clone())]);
    let mut export = export(&forge, &items[0], deleted, &[tag(2)]);
    let refused = check(&export.encode(), forge.genesis(), true).unwrap_err();
    assert_eq!(refused.name, "payload");
    export.content.clear();
    let facts = check(&export.encode(), forge.genesis(), true).unwrap();
    assert!(facts.contains(&("content", json!("deleted"))));
}

static WHOLE: LazyLock<(Genesis, Vec<u8>)> = LazyLock::new(|| {
    let fixture = fixture();
    (fixture.genesis, fixture.export.encode())
});

#[test]
fn p3_one_changed_bit_anywhere_in_an_export_is_refused() {
    let (genesis, whole) = &*WHOLE;
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        let refused = check(&changed, genesis, false);
        assert!(
            refused.is_err_and(|failure| !failure.name.is_empty()),
            "byte {at}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn p3_one_changed_byte_anywhere_in_an_export_is_refused(
        at in any::<prop::sample::Index>(),
        flip in 1_u8..=255,
    ) {
        let (genesis, whole) = &*WHOLE;
        let mut changed = whole.clone();
        changed[at.index(whole.len())] ^= flip;
        prop_assert!(check(&changed, genesis, false).is_err());
    }
}
