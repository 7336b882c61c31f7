use aws_lc_rs::signature::{KeyPair as _, ML_DSA_44_SIGNING, PqdsaKeyPair};
use ed25519_zebra::{SigningKey, VerificationKey};
use proptest::prelude::*;
use signed_note::{StandardVerifier, VerifierList};

use super::policy::{Policy, PolicyRule, PolicyViolation};
use super::*;
use crate::genesis::{MlDsa44Key, PublicKey, Signatory};
use crate::node_key::NodeKey;

const NETWORK: NetworkId = NetworkId(Digest([1; 32]));

struct Keys {
    ed25519: SigningKey,
    ml_dsa_44: PqdsaKeyPair,
}

impl Keys {
    fn of(seed: u8) -> Self {
        Self {
            ed25519: SigningKey::from_bytes(&[seed; 32]),
            ml_dsa_44: PqdsaKeyPair::from_seed(&ML_DSA_44_SIGNING, &[seed; 32]).unwrap(),
        }
    }

    fn public(&self) -> NodeKey {
        VerificationKey::from(&self.ed25519).into()
    }

    fn cosigner(&self, member: &str) -> CosignerKeys {
        let ml_dsa_44 = self.ml_dsa_44.public_key().as_ref().to_vec();
        let signatory = Signatory {
            member: member.parse().unwrap(),
            vote: PublicKey(VerificationKey::from(&self.ed25519).into()),
            cosigner: Some(MlDsa44Key::from_bytes(ml_dsa_44)),
        };
        CosignerKeys::of(NETWORK, &signatory).unwrap()
    }
}

impl CosignerSigner for Keys {
    type Error = CheckpointError;

    fn sign_ed25519(&self, bytes: &[u8]) -> Result<[u8; 64], CheckpointError> {
        Ok(self.ed25519.sign(bytes).to_bytes())
    }

    fn sign_ml_dsa_44(&self, bytes: &[u8]) -> Result<Vec<u8>, CheckpointError> {
        let mut signature = vec![0; 2_420];
        self.ml_dsa_44.sign(bytes, &mut signature).unwrap();
        Ok(signature)
    }
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint::of(NETWORK, size, Digest([u8::try_from(size).unwrap(); 32]))
}

fn cosignature(member: &str, seed: u8, size: u64) -> (Cosignature, CosignerKeys) {
    let keys = Keys::of(seed);
    let cosigner = keys.cosigner(member);
    let signer = (member.parse().unwrap(), Digest([seed; 32]));
    let sign = |bytes: &[u8]| Ok(keys.ed25519.sign(bytes).to_bytes());
    let signer = ((&signer.0, signer.1).into(), sign);
    let signed = Cosignature::sign(signer, &cosigner, &checkpoint(size), 1_700_000_000, &keys);
    (signed.unwrap(), cosigner)
}

/// A checkpoint of size 7 that the first `count` of four members cosigned.
fn signed_by(count: usize) -> (SignedCheckpoint, Vec<CosignerKeys>) {
    let members = [
        ("clinic", 1),
        ("hospital", 2),
        ("laboratory", 3),
        ("payer", 4),
    ];
    let mut note = SignedCheckpoint::unsigned(checkpoint(7));
    let mut all = Vec::new();
    for (at, (member, seed)) in members.into_iter().enumerate() {
        let (cosignature, keys) = cosignature(member, seed, 7);
        if at < count {
            cosignature.add_to(&mut note, &keys);
        }
        all.push(keys);
    }
    (note, all)
}

fn policy(keys: &[CosignerKeys], kind: fn(&CosignerKeys) -> &VerifierKey) -> String {
    let mut text = String::from("# who stands by the log\n\n");
    for (at, keys) in keys.iter().enumerate() {
        text += &format!(
            "log {} http://127.0.0.1/log\nwitness w{at} {}\n",
            keys.log,
            kind(keys)
        );
    }
    text + "group members 3 w0 w1 w2 w3\nquorum\tmembers\n"
}

#[test]
fn a_note_reads_as_it_was_written() {
    let (note, keys) = signed_by(2);
    let bytes = note.encode().unwrap();
    let read = SignedCheckpoint::decode(&bytes).unwrap();
    assert_eq!(read, note);
    let text = String::from_utf8(bytes).unwrap();
    let origin = format!("careledger/{}\n7\n", "01".repeat(32));
    assert!(text.starts_with(&origin), "{text}");
    assert_eq!(
        text.lines().filter(|line| line.starts_with("— ")).count(),
        6
    );
    assert_eq!(read.signed_by(&keys[0].ed25519), Ok(Some(1_700_000_000)));
    assert_eq!(read.signed_by(&keys[0].log), Ok(Some(0)));
    assert_eq!(read.signed_by(&keys[2].log), Ok(None));
}

#[test]
fn p10_what_is_signed_is_what_the_specification_says() {
    let keys = Keys::of(1).cosigner("clinic");
    let message = keys.ed25519.message(&checkpoint(7), 1_679_315_147).unwrap();
    let text = checkpoint(7).text().unwrap();
    assert_eq!(
        message,
        [b"cosignature/v1\ntime 1679315147\n".as_slice(), &text].concat()
    );
    let message = keys
        .ml_dsa_44
        .as_ref()
        .unwrap()
        .message(&checkpoint(7), 5)
        .unwrap();
    let name = format!("careledger/{}/clinic", "01".repeat(32));
    let origin = origin(NETWORK);
    let expected = [
        b"subtree/v1\n\0".as_slice(),
        &[u8::try_from(name.len()).unwrap()],
        name.as_bytes(),
        &5_u64.to_be_bytes(),
        &[75],
        origin.as_bytes(),
        &[0; 8],
        &7_u64.to_be_bytes(),
        &[7; 32],
    ];
    assert_eq!(message, expected.concat());
    let id = Digest::of(&[name.as_bytes(), b"\n\x04", keys.ed25519.key()].concat());
    assert_eq!(keys.ed25519.id().to_be_bytes(), id.0[..4]);
}

#[test]
fn p10_another_library_verifies_the_log_line_and_refuses_any_change() {
    let (note, keys) = signed_by(1);
    let note = note.signed_by_only(&[keys[0].log.clone()]);
    let verifier = StandardVerifier::new(&keys[0].log.to_string()).unwrap();
    let known = VerifierList::new(vec![Box::new(verifier)]);
    let bytes = note.encode().unwrap();
    let verifies =
        |bytes: &[u8]| Note::from_bytes(bytes).is_ok_and(|note| note.verify(&known).is_ok());
    assert!(verifies(&bytes));
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(!verifies(&changed), "byte {at}");
    }
}

#[test]
fn keys_read_as_they_were_written() {
    let keys = Keys::of(3).cosigner("payer");
    for key in [keys.log, keys.ed25519, keys.ml_dsa_44.unwrap()] {
        let text = key.to_string();
        assert_eq!(text.parse(), Ok(key.clone()));
        let other_name = text.replacen("careledger", "caresledger", 1);
        assert_eq!(other_name.parse::<VerifierKey>(), Err(KeyError::OtherId));
    }
    assert_eq!("a+b".parse::<VerifierKey>(), Err(KeyError::Malformed));
    assert_eq!(
        "a+00000000+/w==".parse::<VerifierKey>(),
        Err(KeyError::UnknownKind)
    );
}

#[test]
fn p3_a_cosignature_is_of_one_checkpoint_one_member_and_its_keys() {
    let (signed, keys) = cosignature("clinic", 1, 7);
    let own = Keys::of(1).public();
    assert_eq!(signed.verify(NETWORK, &keys, &own), Ok(()));
    let refused = |changed: &Cosignature| changed.verify(NETWORK, &keys, &own).is_err();
    assert!(refused(&Cosignature {
        size: 8,
        ..signed.clone()
    }));
    assert!(refused(&Cosignature {
        root: Digest([9; 32]),
        ..signed.clone()
    }));
    assert!(refused(&Cosignature {
        timestamp: 1,
        ..signed.clone()
    }));
    assert!(refused(&Cosignature {
        ml_dsa_44: None,
        ..signed.clone()
    }));
    assert!(refused(&Cosignature {
        log: signed.ed25519,
        ..signed.clone()
    }));
    let without_key = CosignerKeys {
        ml_dsa_44: None,
        ..keys.clone()
    };
    let unverified = signed.verify(NETWORK, &without_key, &own);
    assert!(unverified.is_err(), "a signature that no key checks");
    let other = Keys::of(2);
    assert!(
        signed
            .verify(NETWORK, &other.cosigner("clinic"), &own)
            .is_err()
    );
    assert!(signed.verify(NETWORK, &keys, &other.public()).is_err());
    let elsewhere = NetworkId(Digest([2; 32]));
    assert!(signed.verify(elsewhere, &keys, &own).is_err());
}

#[test]
fn p8_a_policy_accepts_with_a_quorum_of_either_kind_and_not_without() {
    let kinds: [fn(&CosignerKeys) -> &VerifierKey; 2] = [
        |keys| &keys.ed25519,
        |keys| keys.ml_dsa_44.as_ref().unwrap(),
    ];
    for kind in kinds {
        let (note, keys) = signed_by(3);
        let policy = Policy::parse(&policy(&keys, kind)).unwrap();
        let accepted = policy.accept(&note).unwrap();
        assert_eq!(accepted.logs.len(), 3);
        assert_eq!(
            accepted.witnesses.keys().collect::<Vec<_>>(),
            ["w0", "w1", "w2"]
        );
        assert_eq!(Policy::parse(&policy.to_string()).unwrap(), policy);
        let (note, _) = signed_by(2);
        let expected = PolicyViolation::NoQuorum {
            quorum: "members".to_owned(),
            signed: 2,
        };
        assert_eq!(policy.accept(&note), Err(expected));
        let (note, _) = signed_by(0);
        assert_eq!(policy.accept(&note), Err(PolicyViolation::NoLog));
    }
}

#[test]
fn a_group_of_groups_is_satisfied_from_below() {
    let (note, keys) = signed_by(3);
    let [a, b, c, d] = [0, 1, 2, 3].map(|at: usize| keys[at].ed25519.to_string());
    let rule = |groups: &str| {
        let text = format!("witness a {a}\nwitness b {b}\nwitness c {c}\nwitness d {d}\n{groups}");
        Policy::parse(&text).unwrap().accept(&note).is_ok()
    };
    assert!(rule(
        "group x any c d\ngroup y all a b\ngroup z all x y\nquorum z\n"
    ));
    assert!(!rule(
        "group x all c d\ngroup y all a b\ngroup z all x y\nquorum z\n"
    ));
    assert!(rule("quorum a\n") && !rule("quorum d\n") && rule("quorum none\n"));
}

#[test]
fn each_rule_of_the_policy_format_is_named_with_its_line() {
    let (_, keys) = signed_by(0);
    let (log, key, other) = (&keys[0].log, &keys[0].ed25519, &keys[1].ed25519);
    let refused = |text: &str| {
        let error = Policy::parse(text).unwrap_err();
        (error.line, error.rule)
    };
    assert_eq!(
        refused("quorum none\nlogs x\n"),
        (2, PolicyRule::UnknownKeyword)
    );
    assert_eq!(refused("log\n"), (1, PolicyRule::WrongWords));
    assert_eq!(refused("\u{1}\n"), (1, PolicyRule::ControlCharacter));
    assert_eq!(refused("log x\n"), (1, PolicyRule::KeyUnusable));
    assert_eq!(
        refused(&format!("witness a {log}\n")),
        (1, PolicyRule::KeyUnusable)
    );
    assert_eq!(
        refused(&format!("witness a {key}\nwitness b {key}\n")),
        (2, PolicyRule::Duplicate)
    );
    assert_eq!(
        refused(&format!("witness a {key}\nwitness a {other}\n")),
        (2, PolicyRule::Duplicate)
    );
    assert_eq!(
        refused(&format!("witness none {key}\n")),
        (1, PolicyRule::Duplicate)
    );
    assert_eq!(
        refused(&format!("log {log}\nlog {log}\n")),
        (2, PolicyRule::Duplicate)
    );
    assert_eq!(refused("quorum a\n"), (1, PolicyRule::NameUndefined));
    assert_eq!(refused("group g any a\n"), (1, PolicyRule::NameUndefined));
    assert_eq!(
        refused(&format!("witness a {key}\ngroup g 2 a\n")),
        (2, PolicyRule::ThresholdOutOfRange)
    );
    assert_eq!(
        refused(&format!("witness a {key}\ngroup g 0 a\n")),
        (2, PolicyRule::ThresholdOutOfRange)
    );
    assert_eq!(
        refused(&format!("witness a {key}\ngroup g 1 a a\n")),
        (2, PolicyRule::MemberTwice)
    );
    assert_eq!(
        refused("quorum none\nquorum none\n"),
        (2, PolicyRule::NotOneQuorum)
    );
    assert_eq!(refused(""), (0, PolicyRule::NotOneQuorum));
}

#[test]
fn a_wrong_signature_of_a_known_key_spoils_the_note() {
    let (note, keys) = signed_by(4);
    let mut forged = SignedCheckpoint::unsigned(checkpoint(8));
    forged.signatures.clone_from(&note.signatures);
    let policy = Policy::parse(&policy(&keys, |keys| &keys.ed25519)).unwrap();
    let refused = policy.accept(&forged);
    assert!(matches!(
        refused,
        Err(PolicyViolation::Checkpoint(
            CheckpointError::SignatureInvalid(_)
        ))
    ));
}

#[test]
fn lines_that_spoil_a_note_are_not_added() {
    let (mut note, keys) = signed_by(1);
    let whole = note.clone();
    let name = keys[0].ed25519.name();
    let line = |name: &str| format!("\u{2014} {name} AAAAAAEC\n");
    let spoiled = note.add_lines(&line("a\u{1}b"));
    assert_eq!(spoiled, Err(CheckpointError::Malformed));
    let too_many = note.add_lines(&line(name).repeat(200));
    assert_eq!(too_many, Err(CheckpointError::Malformed));
    assert_eq!(note, whole);
    assert_eq!(note.add_lines(&line(name)), Ok(1));
}

proptest! {
    #[test]
    fn p3_a_changed_byte_of_a_note_never_passes(at in any::<prop::sample::Index>(), flip in 1_u8..=255) {
        let (note, keys) = signed_by(3);
        let policy = Policy::parse(&policy(&keys, |keys| &keys.ed25519)).unwrap();
        let mut bytes = note.signed_by_only(&[keys[0].log.clone(), keys[0].ed25519.clone(),
            keys[1].ed25519.clone(), keys[2].ed25519.clone()]).encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let accepted = SignedCheckpoint::decode(&bytes).is_ok_and(|note| policy.accept(&note).is_ok());
        prop_assert!(!accepted);
    }

    #[test]
    fn arbitrary_notes_are_refused_without_a_panic(text in "[a-z0-9=\\n —]{0,200}") {
        prop_assert!(SignedCheckpoint::decode(text.as_bytes()).is_err());
    }

    #[test]
    fn arbitrary_policies_do_not_panic(text in "((log|witness|group|quorum|none|all|any|[0-9]|a|b)[ \\n]){0,30}") {
        let _parsed = Policy::parse(&text);
    }
}
