use ledger::checkpoint::SignedCheckpoint;
use ledger::log::{prove_consistency, prove_inclusion};
use ledger::receipt::Cosigned;
use ledger::scitt::{Proof, transparent};

use super::*;
use crate::checkpoint::{check, consistency, policies};
use crate::{fault, receipt};

fn ledger(versions: u8) -> (Forge, Vec<Item>) {
    let records: Vec<_> = (1..=versions)
        .map(|n| Descriptor::Record(record(n)))
        .collect();
    recorded(&records)
}

fn note(forge: &Forge, signers: usize) -> Vec<u8> {
    forge.checkpoint(signers, None).unwrap().0.encode().unwrap()
}

/// The first statement with receipts of the first `signers` members.
fn statement(forge: &Forge, item: &Item, signers: usize) -> Vec<u8> {
    let receipt = forge.receipt(item, &[]).unwrap();
    let (note, signatures) = forge.checkpoint(signers, None).unwrap();
    let cosigned = Cosigned {
        path: prove_inclusion(receipt.log_path.index, forge.log().size(), forge.log()).unwrap(),
        root: note.checkpoint.root,
        signatures,
    };
    transparent(&receipt.statement, &cosigned.receipts()).unwrap()
}

#[test]
fn p10_a_transparent_statement_needs_receipts_of_a_quorum() {
    let (forge, items) = ledger(1);
    let pinned = &pinned(forge.genesis());
    assert!(receipt::check(&statement(&forge, &items[0], 3), pinned, None).is_ok());
    let few = receipt::check(&statement(&forge, &items[0], 2), pinned, None);
    assert_eq!(few.unwrap_err().name, "receipt-quorum");
    let none = receipt::check(&statement(&forge, &items[0], 0), pinned, None);
    assert_eq!(none.unwrap_err().name, "receipt-missing");
    let item_receipt = forge.receipt(&items[0], &[]).unwrap().encode();
    assert!(receipt::check(&item_receipt, pinned, None).is_ok());
    let bytes = statement(&forge, &items[0], 3);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(receipt::check(&changed, pinned, None).is_err(), "byte {at}");
    }
}

#[test]
fn p8_a_checkpoint_needs_what_its_policy_asks() {
    let (forge, _) = ledger(1);
    let quorum = policies(None, &pinned(forge.genesis())).unwrap();
    assert!(check(&note(&forge, 3), &quorum).is_ok());
    let name = |note: &[u8], policy| check(note, policy).unwrap_err().name;
    assert_eq!(name(&note(&forge, 2), &quorum), "checkpoint-quorum");
    assert_eq!(name(&note(&forge, 0), &quorum), "checkpoint");
    let all = quorum[0]
        .policy
        .to_string()
        .replace("Validators 3", "Validators all");
    let all = policies(Some(&all), &pinned(forge.genesis())).unwrap();
    assert_eq!(name(&note(&forge, 3), &all), "checkpoint-quorum");
    assert!(check(&note(&forge, 4), &all).is_ok());
    let wrong = policies(Some("quorum some\n"), &pinned(forge.genesis()));
    assert_eq!(wrong.unwrap_err().name, "policy");
}

#[test]
fn p3_a_log_continues_its_past_or_its_signers_are_named() {
    let (forge, _) = ledger(3);
    let pinned = &pinned(forge.genesis());
    let quorum = policies(None, pinned).unwrap();
    let (older, newer) = (note(&ledger(2).0, 4), note(&forge, 4));
    let (_, signatures) = forge.checkpoint(1, None).unwrap();
    let path = prove_consistency(4, 6, forge.log()).unwrap();
    let receipt = signatures[0].receipt(&Proof::Consistency(path));
    let compare = |older: &[u8], newer: &[u8], receipt: Option<&[u8]>| {
        consistency((older, newer), receipt, (&quorum, pinned))
    };
    assert!(compare(&older, &newer, Some(&receipt)).is_ok());
    assert!(
        compare(&newer, &newer, None).is_ok(),
        "a log continues itself"
    );
    let name =
        |older: &[u8], newer: &[u8], receipt| compare(older, newer, receipt).unwrap_err().name;
    assert_eq!(name(&older, &newer, None), "consistency-proof-missing");
    assert_eq!(name(&newer, &older, Some(&receipt)), "consistency-proof");
    let other_past = ledger(2).0.checkpoint(4, Some(Digest([9; 32])));
    let other_past = other_past.unwrap().0.encode().unwrap();
    assert_eq!(
        name(&other_past, &newer, Some(&receipt)),
        "consistency-proof"
    );
    let other_view = forge.checkpoint(3, Some(Digest([9; 32]))).unwrap().0;
    let split = compare(&newer, &other_view.encode().unwrap(), None).unwrap_err();
    assert_eq!(split.name, "split-view");
    for culprit in ["clinic", "hospital", "laboratory"] {
        assert!(
            split.message.contains(&format!("{culprit} signed")),
            "{}",
            split.message
        );
    }
    assert!(!split.message.contains("payer signed"));
}

#[test]
fn p3_two_signatures_that_contradict_each_other_convict_their_signer() {
    let (forge, items) = ledger(1);
    let pinned = &pinned(forge.genesis());
    let file = |name: &str, bytes| (name.to_owned(), bytes);
    let other: SignedCheckpoint = forge.checkpoint(1, Some(Digest([9; 32]))).unwrap().0;
    let other = other.encode().unwrap();
    let convicted = |evidence: &[(String, Vec<u8>)]| {
        let facts = fault::check(evidence, pinned).map_err(|failure| failure.name)?;
        let convicted = facts.into_iter().find(|(name, _)| *name == "convicted");
        Ok::<_, &str>(convicted.unwrap().1)
    };
    let notes = [file("one", note(&forge, 4)), file("other", other.clone())];
    assert_eq!(convicted(&notes), Ok(serde_json::json!(["clinic"])));
    let mixed = [
        file("one", statement(&forge, &items[0], 4)),
        file("other", other),
    ];
    assert_eq!(convicted(&mixed), Ok(serde_json::json!(["clinic"])));
    let honest = [
        file("one", note(&forge, 4)),
        file("dump", forge.dump(|_| true)),
    ];
    assert_eq!(convicted(&honest), Err("no-contradiction"));
    assert_eq!(
        convicted(&[file("x", b"rubbish".to_vec())]),
        Err("evidence")
    );
}
