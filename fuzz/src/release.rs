//! What k of n open: messages between the members of a committee, and what guardians and wallets say.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use contracts::membership::Registry;
use contracts::recovery::{self, Guardianship, Signed};
use contracts::release::{self, Command};
use ed25519_zebra::{SigningKey, VerificationKey};
use ledger::codec;
use ledger::ids::{Digest, NetworkId};
use minicbor::bytes::{ByteArray, ByteVec};
use node::exchange::{ReleaseMessage, reread_release};
use vault::release::{Committee, KeyShare, PartialRelease, SealedToCommittee, deal};

use crate::Target;
use crate::world::{MEMBERS, world};

/// The targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "release-offer",
        run: |bytes| message(ReleaseMessage::Dealt, bytes),
    },
    Target {
        name: "release-acknowledged",
        run: |bytes| message(ReleaseMessage::Acknowledged, bytes),
    },
    Target {
        name: "release-copies",
        run: |bytes| message(ReleaseMessage::Copies, bytes),
    },
    Target {
        name: "release-copies-of",
        run: |bytes| message(ReleaseMessage::CopiesOf, bytes),
    },
    Target {
        name: "release-forget",
        run: |bytes| message(ReleaseMessage::Forget, bytes),
    },
    Target {
        name: "release-done",
        run: |bytes| message(ReleaseMessage::Done, bytes),
    },
    Target {
        name: "release-ask",
        run: |bytes| message(ReleaseMessage::ShareAsk, bytes),
    },
    Target {
        name: "release-shares",
        run: |bytes| message(ReleaseMessage::Shares, bytes),
    },
    Target {
        name: "release-fault",
        run: |bytes| message(ReleaseMessage::Fault, bytes),
    },
    Target {
        name: "release-command",
        run: command,
    },
    Target {
        name: "committee",
        run: committee,
    },
    Target {
        name: "release-share",
        run: share,
    },
    Target {
        name: "sealed-to-committee",
        run: sealed,
    },
    Target {
        name: "recovery",
        run: recovery,
    },
];

/// How many open.
pub const K: u32 = 2;
/// What is sealed to the committee.
pub const SECRET: [u8; 32] = [0x3c; 32];
/// For what it is sealed.
pub const IDENTITY: &[u8] = b"careledger/fuzz";
/// The network of guardianships.
pub const NETWORK: NetworkId = NetworkId(Digest([9; 32]));

/// A committee of three of which two open, as `seeds/committee.cbor` has it.
#[derive(Debug)]
pub struct Dealt {
    /// Its public part.
    pub committee: Committee,
    /// What its members hold.
    pub shares: BTreeMap<[u8; 32], KeyShare>,
    /// What is sealed to it.
    pub sealed: SealedToCommittee,
}

/// The one committee of all processes: what is in the corpus is sealed to it.
pub fn dealt() -> &'static Dealt {
    static DEALT: LazyLock<Dealt> = LazyLock::new(|| {
        let (committee, shares, sealed): (ByteVec, Vec<(ByteArray<32>, ByteVec)>, ByteVec) =
            codec::decode("committee", include_bytes!("../seeds/committee.cbor")).unwrap();
        let shares = shares.into_iter();
        let shares = shares.map(|(key, share)| (key.into(), KeyShare::decode(&share).unwrap()));
        Dealt {
            committee: Committee::decode(K, &committee).unwrap(),
            shares: shares.collect(),
            sealed: SealedToCommittee(sealed.into()),
        }
    });
    &DEALT
}

/// Another committee, as `seeds/committee.cbor` would have it.
pub fn deal_anew() -> Vec<u8> {
    let members: Vec<_> = (1..=3).map(|seed| public(seed).0).collect();
    let (committee, shares) = deal(K, &members).unwrap();
    let sealed = committee.seal(IDENTITY, &SECRET).unwrap();
    let shares = shares.iter();
    let shares = shares.map(|(key, share)| {
        let share: &[u8] = &share.encode();
        (ByteArray::from(*key), ByteVec::from(share.to_vec()))
    });
    let shares: Vec<_> = shares.collect();
    codec::encode(&(
        ByteVec::from(committee.encode()),
        shares,
        ByteVec::from(sealed.0),
    ))
}

/// A wallet's key.
pub fn wallet(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// By which a wallet is known.
pub fn public(seed: u8) -> Digest {
    Digest(VerificationKey::from(&wallet(seed)).into())
}

fn message(kind: ReleaseMessage, bytes: &[u8]) {
    assert!(reread_release(kind, bytes).is_none_or(|again| again == bytes));
}

/// Nobody is in a round that nobody voted for.
fn command(bytes: &[u8]) {
    if let Ok(command) = Command::decode(bytes) {
        assert_eq!(command.encode(), bytes);
        let member = MEMBERS[0].parse().unwrap();
        let registry: &Registry = &world().registry;
        assert!(release::decide(registry, &member, command).is_err());
    }
}

fn committee(bytes: &[u8]) {
    for k in [K, 3, 7] {
        if let Ok(committee) = Committee::decode(k, bytes) {
            assert_eq!(committee.encode(), bytes);
            assert!(2 * usize::try_from(k).unwrap() > committee.members().len());
        }
    }
}

/// No bytes are a member's share but those that it gives.
fn share(bytes: &[u8]) {
    let dealt = dealt();
    let given = PartialRelease(bytes.to_vec());
    for (member, share) in &dealt.shares {
        let own = share.give(IDENTITY);
        let is_right = dealt.committee.check(member, IDENTITY, &given).is_ok();
        assert_eq!(is_right, given == own, "another form of a share");
    }
}

/// What k shares open is what was sealed, in the one form in which it was sealed.
fn sealed(bytes: &[u8]) {
    let dealt = dealt();
    // Anything longer or shorter is not even read; the shares alone take milliseconds.
    if bytes.len() != dealt.sealed.0.len() {
        return;
    }
    let shares = dealt.shares.iter().take(usize::try_from(K).unwrap());
    let shares = shares.map(|(member, share)| (*member, share.give(IDENTITY)));
    let sealed = SealedToCommittee(bytes.to_vec());
    let opened = dealt.committee.open(IDENTITY, &sealed, &shares.collect());
    assert_eq!(
        opened.is_ok(),
        sealed == dealt.sealed,
        "something else opened"
    );
    assert!(opened.is_err() || opened.is_ok_and(|key| *key == SECRET));
}

/// Nothing moves a guardianship but what its wallet has signed.
fn recovery(bytes: &[u8]) {
    let Ok(signed) = codec::decode::<Signed>("recovery", bytes) else {
        return;
    };
    assert_eq!(codec::encode(&signed), bytes);
    let mut guarded = Guardianship::of(NETWORK, public(1));
    if let Ok(event) = recovery::decide(&guarded, 1_000, &signed) {
        assert_eq!(signed.signer, public(1));
        recovery::evolve(&mut guarded, event);
        let kept = codec::encode(&guarded);
        let again: Guardianship = codec::decode("guardianship", &kept).unwrap();
        assert_eq!(codec::encode(&again), kept);
    }
}
