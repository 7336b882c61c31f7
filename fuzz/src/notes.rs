//! Checkpoints, keys and policies: the text formats of C2SP.

use ledger::checkpoint::policy::Policy;
use ledger::checkpoint::witness::AddCheckpoint;
use ledger::checkpoint::{Cosignature, SignedCheckpoint, VerifierKey};
use ledger::codec;
use ledger::fault::Claims;
use ledger::succession::Validators;

use crate::Target;
use crate::world::world;

/// The targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "checkpoint",
        run: checkpoint,
    },
    Target {
        name: "signature-lines",
        run: lines,
    },
    Target {
        name: "add-checkpoint",
        run: add_checkpoint,
    },
    Target {
        name: "cosignature",
        run: cosignature,
    },
    Target {
        name: "verifier-key",
        run: key,
    },
    Target {
        name: "policy",
        run: policy,
    },
    Target {
        name: "evidence",
        run: evidence,
    },
];

fn claims() -> Claims {
    let genesis = world().genesis();
    let validators = Validators::founding(genesis);
    Claims::of(genesis.network(), genesis.signatories(), validators)
}

fn checkpoint(bytes: &[u8]) {
    let Ok(note) = SignedCheckpoint::decode(bytes) else {
        return;
    };
    assert_eq!(note.encode().unwrap(), bytes);
    check_note(&note);
}

/// Nobody in the network signed another checkpoint.
fn check_note(note: &SignedCheckpoint) {
    if world().policy().accept(note).is_ok() {
        assert_eq!(note.checkpoint, world().note.checkpoint);
    }
    let mut claims = claims();
    claims.add_checkpoint(&world().note).unwrap();
    let _added = claims.add_checkpoint(note);
    assert!(
        claims.conflicts().is_empty(),
        "an honest validator is convicted"
    );
}

fn lines(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut note = SignedCheckpoint::unsigned(world().note.checkpoint.clone());
    if let Ok(count) = note.add_lines(text) {
        assert_eq!(note.lines().lines().count(), count);
        check_note(&note);
        if count > 0 {
            let bytes = note.encode().unwrap();
            assert_eq!(SignedCheckpoint::decode(&bytes).as_ref(), Ok(&note));
        }
    }
}

fn add_checkpoint(bytes: &[u8]) {
    let Ok(request) = AddCheckpoint::decode(bytes) else {
        return;
    };
    assert_eq!(request.encode().unwrap(), bytes);
    let logs: Vec<VerifierKey> = world().log_keys();
    if request.judge(&logs, None).is_ok() {
        assert_eq!(request.signed.checkpoint, world().note.checkpoint);
    }
    let _with_a_past = request.judge(&logs, Some(&world().note.checkpoint));
}

fn cosignature(bytes: &[u8]) {
    let Ok(signed) = codec::decode::<Cosignature>("cosignature", bytes) else {
        return;
    };
    assert_eq!(codec::encode(&signed), bytes);
    let genesis = world().genesis();
    for (signatory, own) in genesis.signatories().iter().zip(0_u8..) {
        let keys = ledger::checkpoint::CosignerKeys::of(genesis.network(), signatory).unwrap();
        let receipt_key = ed25519_zebra::VerificationKey::from(&crate::world::node_key(own)).into();
        if signed
            .verify(genesis.network(), &keys, &receipt_key)
            .is_ok()
        {
            assert_eq!(
                signed,
                world().cosignature(),
                "a cosignature that nobody gave"
            );
        }
    }
}

fn key(bytes: &[u8]) {
    if let Some(key) = text_of(bytes).and_then(|text| text.parse::<VerifierKey>().ok()) {
        assert_eq!(key.to_string().as_bytes(), bytes);
        let _accepted = world().note.signed_by(&key);
    }
}

fn policy(bytes: &[u8]) {
    if let Some(policy) = text_of(bytes).and_then(|text| Policy::parse(text).ok()) {
        assert_eq!(Policy::parse(&policy.to_string()).as_ref(), Ok(&policy));
        let _accepted = policy.accept(&world().note);
    }
}

fn text_of(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// A transparent statement beside the network's checkpoint and those of all sizes before it.
fn evidence(bytes: &[u8]) {
    let mut claims = claims();
    if claims.add_transparent(bytes, &world().trust()).is_ok() {
        for stage in &world().stages {
            claims.add_checkpoint(&stage.note).unwrap();
        }
        assert!(
            claims.conflicts().is_empty(),
            "an honest member is convicted"
        );
    }
}
