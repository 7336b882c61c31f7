//! Statements in each of their forms, receipts, exports.

use std::collections::BTreeSet;

use contracts::export::{self, Export};
use contracts::machine;
use ledger::ids::Digest;
use ledger::limits::STATEMENT_BYTES_MAX;
use ledger::receipt::{Receipt, verify_transparent};
use ledger::scitt::{self, CoseReceipt};
use ledger::statement::{Envelope, SubmittedStatement};
use ledger::succession::{Succession, Validators};

use crate::Target;
use crate::world::{CONTENT, successors, world};

/// The targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "statement",
        run: statement,
    },
    Target {
        name: "envelope",
        run: envelope,
    },
    Target {
        name: "registration",
        run: registration,
    },
    Target {
        name: "transparent",
        run: transparent,
    },
    Target {
        name: "cose-receipt",
        run: cose_receipt,
    },
    Target {
        name: "receipt",
        run: receipt,
    },
    Target {
        name: "succession",
        run: succession,
    },
    Target {
        name: "export",
        run: export,
    },
];

fn statement(bytes: &[u8]) {
    if let Ok(statement) = SubmittedStatement::decode(bytes) {
        assert!(bytes.len() <= STATEMENT_BYTES_MAX);
        assert_eq!(statement.encode(), bytes);
        check_statement(&statement);
    }
}

/// What `sign` does with a statement of the network is done with no other.
fn check_statement(statement: &SubmittedStatement) {
    let _plan = machine::plan(statement);
    let trust = world().trust();
    let key = (trust.key_of)(statement.member(), statement.certificate());
    if key.is_some_and(|key| statement.verify(&key).is_ok()) {
        assert!(
            is_signed(&Digest::of(statement.envelope())),
            "a statement that nobody signed"
        );
        let known: BTreeSet<_> = world().items.iter().collect();
        assert!(statement.items().iter().all(|item| known.contains(item)));
    }
    if let Ok(index) = u16::try_from(statement.items().len().saturating_sub(1)) {
        let _path = statement.item_path(index);
    }
}

fn is_signed(envelope: &Digest) -> bool {
    let commands = world().commands();
    let commands = commands.iter().map(|command| world().command(command));
    let mut all = world().statements.iter().cloned().chain(commands);
    all.any(|one| Digest::of(one.envelope()) == *envelope)
}

fn envelope(bytes: &[u8]) {
    if let Ok(envelope) = Envelope::decode(bytes) {
        let key = (world().trust().key_of)(&envelope.member, envelope.certificate);
        let verifies = key.is_some_and(|key| envelope.verify(&key).is_ok());
        assert!(
            !verifies || is_signed(&Digest::of(bytes)),
            "an envelope that nobody signed"
        );
    }
}

fn registration(bytes: &[u8]) {
    if let Ok(statement) = scitt::registered(bytes) {
        assert!(bytes.len() <= STATEMENT_BYTES_MAX);
        check_statement(&statement);
        let again = scitt::registration(&statement).unwrap();
        assert_eq!(
            scitt::registered(&again).unwrap().encode(),
            statement.encode()
        );
    }
}

fn transparent(bytes: &[u8]) {
    if let Ok((envelope, receipts)) = scitt::take_apart(bytes) {
        let receipts: Vec<_> = receipts.iter().map(CoseReceipt::encode).collect();
        let again = scitt::transparent(&envelope, &receipts).unwrap();
        assert_eq!(scitt::take_apart(&again).unwrap().0, envelope);
    }
    if let Ok(shown) = verify_transparent(bytes, &world().trust()) {
        let (envelope, _) = scitt::take_apart(bytes).unwrap();
        assert!(
            is_signed(&Digest::of(&envelope)),
            "a statement that nobody signed"
        );
        let at = usize::try_from(shown.index).unwrap();
        assert_eq!(
            world().statements[at].envelope(),
            envelope,
            "another place in the log"
        );
        let sizes: Vec<_> = world()
            .stages
            .iter()
            .map(|stage| stage.note.checkpoint.size)
            .collect();
        assert!(
            shown
                .receipts
                .iter()
                .all(|(_, size, _)| sizes.contains(size))
        );
    }
}

fn cose_receipt(bytes: &[u8]) {
    if let Ok(receipt) = CoseReceipt::decode(bytes) {
        assert_eq!(receipt.encode(), bytes);
        let signature = &receipt.signature;
        let key = (world().trust().key_of)(&signature.member, signature.certificate);
        let root = world().note.checkpoint.root;
        if key.is_some_and(|key| {
            signature
                .verify((world().note.checkpoint.size, root), &key)
                .is_ok()
        }) {
            assert!(
                world().signatures.contains(signature),
                "a root that nobody signed"
            );
        }
    }
}

fn receipt(bytes: &[u8]) {
    let Ok(receipt) = Receipt::decode(bytes) else {
        return;
    };
    assert_eq!(receipt.encode(), bytes);
    let _transparent = receipt.transparent_statement();
    if let Ok(recorded) = receipt.verify(&world().trust()) {
        check_receipt(&receipt);
        assert!(
            world().items.contains(&recorded.item),
            "an item that nobody recorded"
        );
        let used = world()
            .statements
            .iter()
            .filter(|one| *one.member() == recorded.member);
        let used: BTreeSet<_> = used
            .flat_map(SubmittedStatement::items)
            .flat_map(|item| item.tags)
            .collect();
        assert!(
            recorded.absent.iter().all(|tag| !used.contains(tag)),
            "a used tag is absent"
        );
    }
}

/// Where statement and item are is in what was signed, so no other path is taken.
fn check_receipt(receipt: &Receipt) {
    let at = usize::try_from(receipt.log_path.index).unwrap();
    let statement = &world().statements[at];
    assert_eq!(statement.envelope(), receipt.statement);
    let at = usize::try_from(receipt.item_path.index).unwrap();
    assert_eq!(statement.items()[at].to_bytes(), receipt.item);
    let headers = world()
        .forge
        .blocks()
        .iter()
        .map(|forged| &forged.block.header);
    assert!(
        headers.clone().any(|header| *header == receipt.header),
        "a header that is not final"
    );
}

fn succession(bytes: &[u8]) {
    let Ok(succession) = Succession::decode(bytes) else {
        return;
    };
    assert_eq!(succession.encode(), bytes);
    let genesis = world().genesis();
    if let Ok(validators) = succession.verify(genesis) {
        let founding = Validators::founding(genesis);
        let epochs = [ledger::ids::Epoch(0), ledger::ids::Epoch(1)];
        assert_eq!(validators.of(epochs[0]), founding.of(epochs[0]));
        let next = validators.of(epochs[1]);
        assert!(*next == successors(genesis) || next == founding.of(epochs[1]));
        let registry = succession.registry.map(|proven| proven.registry);
        assert!(registry.is_none_or(|bytes| bytes == world().registry.encode()));
    }
}

fn export(bytes: &[u8]) {
    if let Ok(export) = Export::decode(bytes) {
        assert_eq!(export.encode(), bytes);
        if let Ok(verified) = export::verify(&export, &world().trust()) {
            assert_eq!(export.content, CONTENT);
            assert_eq!((verified.version, verified.id.as_str()), (1, "17"));
        }
    }
}
