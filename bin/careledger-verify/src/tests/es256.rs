//! Members whose nodes have P-256 keys: everything verifies as with Ed25519, and nothing changed does.

use ledger::log::prove_inclusion;
use ledger::receipt::Cosigned;
use ledger::scitt::transparent;

use super::*;
use crate::{fault, receipt};

fn ledger() -> (Forge, Vec<Item>) {
    let forge = Forge::found_es256(&MEMBERS).unwrap();
    recorded_by(forge, &[Descriptor::Record(record(1))])
}

fn statement(forge: &Forge, item: &Item) -> Vec<u8> {
    let receipt = forge.receipt(item, &[]).unwrap();
    let (note, signatures) = forge.checkpoint(3, None).unwrap();
    let cosigned = Cosigned {
        path: prove_inclusion(receipt.log_path.index, forge.log().size(), forge.log()).unwrap(),
        root: note.checkpoint.root,
        signatures,
    };
    transparent(&receipt.statement, &cosigned.receipts()).unwrap()
}

#[test]
fn p3_an_export_and_a_log_of_p256_nodes_verify_and_no_changed_byte_does() {
    let (forge, items) = ledger();
    let pinned = pinned(forge.genesis());
    let whole = export(&forge, &items[0], record(1), &[tag(2)]).encode();
    assert!(crate::export::check(&whole, (&pinned, None), true).is_ok());
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        let refused = crate::export::check(&changed, (&pinned, None), false);
        assert!(refused.is_err(), "byte {at}");
    }
    assert!(crate::log::check(&forge.dump(|_| true), forge.genesis()).is_ok());
}

#[test]
fn p10_receipts_of_p256_nodes_verify_and_no_changed_byte_does() {
    let (forge, items) = ledger();
    let pinned = pinned(forge.genesis());
    let bytes = statement(&forge, &items[0]);
    assert!(receipt::check(&bytes, &pinned, None).is_ok());
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(
            receipt::check(&changed, &pinned, None).is_err(),
            "byte {at}"
        );
    }
}

#[test]
fn p3_two_roots_that_a_p256_node_signed_convict_it() {
    let (forge, items) = ledger();
    let pinned = pinned(forge.genesis());
    let other = forge.checkpoint(1, Some(Digest([9; 32]))).unwrap().0;
    let evidence = [
        ("one".to_owned(), statement(&forge, &items[0])),
        ("other".to_owned(), other.encode().unwrap()),
    ];
    let facts = fault::check(&evidence, &pinned).unwrap();
    assert!(facts.contains(&("convicted", serde_json::json!(["clinic"]))));
}
