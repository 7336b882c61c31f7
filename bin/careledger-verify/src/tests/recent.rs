//! What is checked stands in the log of a checkpoint of the auditor's own, and former validators sign no later log.

use contracts::governance::{self, Action, Command};
use contracts::machine::{self, Context, Draft};
use contracts::membership::Registry;
use ledger::block::Header;
use ledger::ids::{BlockTime, Epoch, Height};
use ledger::log::{LogAppend, prove_consistency, prove_inclusion};
use ledger::receipt::Cosigned;
use ledger::scitt::{Proof, transparent};
use ledger::state::{MemoryState, StateKey};
use ledger::succession::{ProvenRegistry, Succession, Transition};

use super::*;
use crate::checkpoint::policies;
use crate::recent::Recent;
use crate::{failure::Failure, receipt};

fn ledger(versions: u8) -> (Forge, Vec<Item>) {
    let records: Vec<_> = (1..=versions)
        .map(|n| Descriptor::Record(record(n)))
        .collect();
    recorded(&records)
}

fn note(forge: &Forge, root: Option<Digest>) -> Vec<u8> {
    forge.checkpoint(4, root).unwrap().0.encode().unwrap()
}

fn consistency(forge: &Forge, log: &LogAppend, older: u64) -> Vec<u8> {
    let (_, signatures) = forge.checkpoint(1, None).unwrap();
    let path = prove_consistency(older, log.size(), log).unwrap();
    signatures[0].receipt(&Proof::Consistency(path))
}

/// The export of the first version of `of`, checked against the checkpoint `note`.
fn check(of: &(Forge, Vec<Item>), note: &[u8], paths: &[Vec<u8>]) -> Result<(), Failure> {
    let (forge, items) = of;
    let pinned = pinned(forge.genesis());
    let asked = policies(None, &pinned).unwrap();
    let recent = Recent::read(note, &asked, paths)?;
    let export = export(forge, &items[0], record(1), &[]).encode();
    crate::export::check(&export, (&pinned, Some(&recent)), false).map(|_| ())
}

#[test]
fn p3_an_export_stands_in_the_log_of_the_auditors_checkpoint_or_it_says_what_is_missing() {
    let (older, newer) = (ledger(2), ledger(3));
    let name = |checked: Result<(), Failure>| checked.unwrap_err().name;
    assert_eq!(check(&older, &note(&older.0, None), &[]), Ok(()));
    let to_newer = consistency(&newer.0, newer.0.log(), 4);
    let paths = [to_newer.clone()];
    assert_eq!(check(&older, &note(&newer.0, None), &paths), Ok(()));
    assert_eq!(
        check(&newer, &note(&older.0, None), &paths),
        Ok(()),
        "a checkpoint that is older than the export"
    );
    let missing = check(&older, &note(&newer.0, None), &[]).unwrap_err();
    assert_eq!(missing.name, "consistency-proof-missing");
    assert!(missing.message.contains("from 4 to 6"), "{missing:?}");
    let other = note(&older.0, Some(Digest([9; 32])));
    assert_eq!(name(check(&older, &other, &paths)), "split-view");
    let other = note(&newer.0, Some(Digest([9; 32])));
    assert_eq!(name(check(&older, &other, &paths)), "consistency-proof");
    let few = older.0.checkpoint(2, None).unwrap().0.encode().unwrap();
    assert_eq!(name(check(&older, &few, &[])), "checkpoint-quorum");
    let no_path = [b"rubbish".to_vec()];
    assert_eq!(
        name(check(&older, &note(&newer.0, None), &no_path)),
        "consistency"
    );
}

/// The registry once three members have voted that the clinic validates no more.
fn without_the_clinic(forge: &mut Forge) -> Registry {
    let mut registry = Registry::from_genesis(forge.genesis()).unwrap();
    let network = forge.genesis().network();
    let clinic = "clinic".parse().unwrap();
    let vote = || Command::Vote {
        proposal: 1,
        approves: true,
    };
    let propose = Command::Propose(Action::RemoveValidator(clinic));
    let said = [
        ("hospital", propose),
        ("laboratory", vote()),
        ("payer", vote()),
    ];
    for (member, command) in said {
        let statement = forge
            .command(member, governance::CONTRACT, command.encode())
            .unwrap();
        let context = Context {
            network,
            height: Height(9),
            time: BlockTime(forge.genesis().time.0 + 9_000),
            registry: &registry,
        };
        let keys = machine::plan(&statement);
        let mut draft = Draft::default();
        let unchecked = machine::Signature::Unchecked;
        machine::decide(&context, &statement, unchecked, &keys, &mut draft).unwrap();
        registry = draft.finish(&registry).unwrap();
    }
    registry
}

/// That the clinic stopped validating when the log had `size` statements.
fn succession(forge: &mut Forge, size: u64) -> Succession {
    let registry = without_the_clinic(forge);
    let genesis = forge.genesis();
    let next = registry.validators(Epoch(1)).clone();
    let mut state = MemoryState::default();
    let state_root = state.insert([registry.entry()]).unwrap();
    let header = Header {
        height: Height(genesis.rules().epoch_blocks - 1),
        validators: genesis.validators().digest(&next),
        log_size: size,
        state_root,
        ..forge.blocks()[0].block.header.clone()
    };
    let finality = forge.certify(&header);
    let revision = registry.revision();
    Succession {
        transitions: vec![Transition {
            header: header.clone(),
            finality: finality.clone(),
            next,
        }],
        registry: Some(ProvenRegistry {
            header,
            finality,
            revision,
            registry: registry.encode(),
            proof: state.prove(StateKey::of_registry(revision)).unwrap().1,
            newest: state
                .prove_absent(StateKey::of_registry(revision + 1))
                .unwrap(),
        }),
    }
}

#[test]
fn p8_former_validators_sign_no_log_that_went_on_without_them() {
    let (mut forge, items) = ledger(2);
    // The first three of four: a quorum of the founders, and one short of one of those who followed.
    let item_receipt = forge.receipt(&items[0], &[]).unwrap();
    let (note, signatures) = forge.checkpoint(3, None).unwrap();
    let cosigned = Cosigned {
        path: prove_inclusion(item_receipt.log_path.index, 4, forge.log()).unwrap(),
        root: note.checkpoint.root,
        signatures,
    };
    let bytes = transparent(&item_receipt.statement, &cosigned.receipts()).unwrap();
    for (ended_at, is_theirs) in [(3, false), (4, true), (5, true)] {
        let pinned = Pinned {
            genesis: forge.genesis().clone(),
            succession: Some(succession(&mut forge, ended_at)),
        };
        let shown = receipt::check(&bytes, &pinned, None);
        let asked = policies(None, &pinned).unwrap();
        let stood_by = crate::checkpoint::check(&note.encode().unwrap(), &asked);
        assert_eq!(
            (shown.is_ok(), stood_by.is_ok()),
            (is_theirs, is_theirs),
            "{ended_at}"
        );
    }
}

#[test]
fn p3_a_succession_of_another_log_than_the_checkpoints_is_refused() {
    let (mut forge, _) = ledger(2);
    let succession = succession(&mut forge, 4);
    let pinned = Pinned {
        genesis: forge.genesis().clone(),
        succession: Some(succession),
    };
    let asked = policies(None, &pinned).unwrap();
    let recent = Recent::read(&note(&forge, None), &asked, &[]).unwrap();
    // Its header says 4 statements under the root of the first block's log.
    let refused = recent.compare(&[pinned.view().unwrap()]).unwrap_err();
    assert_eq!(refused.name, "split-view");
}
