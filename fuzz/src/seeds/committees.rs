//! Seeds of what k of n open, and of erasures.

use contracts::recovery::{self, Signed, Terms};
use contracts::release::Command;
use ledger::codec;
use ledger::ids::{Digest, MemberName, Tag};
use ledger::item::Opening;
use minicbor::bytes::{ByteArray, ByteVec};
use vault::release::{Dealing, MemberKey, Round};

use super::Seeds;
use super::messages::ask;
use crate::erasure::erased;
use crate::release::{IDENTITY, NETWORK, dealt as dealt_key, public, wallet};
use crate::world::{MEMBERS, world};

const TAG: Tag = Tag([1; 16]);
/// Within which a wallet may object.
const DELAY_MS: u64 = 72 * 3_600 * 1_000;

/// The same each time.
pub(super) fn constant() -> Seeds {
    let erasure = &erased().certificate.erasures[0];
    let notice = (
        TAG,
        ByteVec::from(erasure.descriptor.clone()),
        Opening([2; 32]),
    );
    let share = (ByteArray::from([6; 32]), ByteVec::from(vec![7; 64]));
    let given = (TAG, share, Digest([5; 32]), ByteArray::from([4; 64]));
    let shares = (vec![given], vec![(Tag([2; 16]), "171.202(b): no")]);
    let home: MemberName = MEMBERS[1].parse().unwrap();
    let digest = Digest([5; 32]);
    let fault = (&home, digest, digest, 3_u64, digest, bytes(50), signature());
    vec![
        ("exchange-erase-notice", vec![codec::encode(&notice)]),
        (
            "exchange-erase-answer",
            vec![codec::encode(&erasure.acknowledgements[1])],
        ),
        ("erasure-certificate", vec![erased().certificate.encode()]),
        ("release-acknowledged", vec![codec::encode(&(bytes(64),))]),
        (
            "release-copies",
            vec![codec::encode(&(vec![(
                TAG,
                bytes(80),
                bytes(70),
                bytes(90),
                bytes(200),
            )],))],
        ),
        (
            "release-copies-of",
            vec![codec::encode(&(&home, vec![TAG, Tag([9; 16])], true))],
        ),
        (
            "release-forget",
            vec![codec::encode(&(vec![TAG, Tag([9; 16])],))],
        ),
        ("release-done", vec![codec::encode(&(300_u64,))]),
        ("release-ask", vec![share_ask()]),
        ("release-shares", vec![codec::encode(&shares)]),
        ("release-fault", vec![codec::encode(&fault)]),
        (
            "release-command",
            commands().iter().map(Command::encode).collect(),
        ),
        ("recovery", said()),
    ]
}

/// What belongs to a committee that is dealt anew each time.
pub(super) fn dealt() -> Seeds {
    let dealt = dealt_key();
    let shares = dealt.shares.values();
    let keys: Vec<_> = (1..=3)
        .map(|seed| MemberKey::from_seed([seed; 32]))
        .collect();
    let publics: Vec<_> = keys.iter().map(MemberKey::public).collect();
    let round = Round::new(b"fuzz", 1, 2, None, &publics, &publics).unwrap();
    let (_, offers) = Dealing::start(&round, &keys[0], &[8; 32], None).unwrap();
    let offers = offers.values().take(1);
    vec![
        (
            "release-offer",
            offers.map(|offer| codec::encode(&(1_u64, offer))).collect(),
        ),
        ("committee", vec![dealt.committee.encode()]),
        (
            "release-share",
            shares.map(|share| share.give(IDENTITY).0).collect(),
        ),
        ("sealed-to-committee", vec![dealt.sealed.0.clone()]),
    ]
}

fn bytes(length: usize) -> ByteVec {
    ByteVec::from(vec![0x81; length])
}

fn signature() -> ByteArray<64> {
    ByteArray::from([4; 64])
}

fn share_ask() -> Vec<u8> {
    let facts = ("Observation", vec!["a|b"], vec!["c|d"], Vec::<&str>::new());
    let (kind, categories, codes, labels) = facts;
    let none = None::<&str>;
    let facts = (
        kind,
        categories,
        codes,
        labels,
        none,
        none,
        Some("Observation/17"),
    );
    let terms = (
        world().genesis().network(),
        MEMBERS[1],
        TAG,
        3_u64,
        Tag([2; 16]),
        Digest([6; 32]),
        "Observation/17",
        facts,
    );
    let terms = codec::encode(&vec![terms]);
    // A message of two parts, both of which are written already.
    [&[0x82], ask().as_slice(), &terms].concat()
}

fn commands() -> Vec<Command> {
    vec![
        Command::Join {
            round: 1,
            key: public(1),
        },
        Command::Deal {
            round: 1,
            log: vec![7; 90],
        },
        Command::Confirm {
            round: 1,
            outcome: vec![8; 120],
        },
    ]
}

/// A set-up by the wallet, a request, an approval, and a key that gives way before there are guardians.
fn said() -> Vec<Vec<u8>> {
    let mut guardians: Vec<_> = (11..=13).map(public).collect();
    guardians.sort_unstable();
    let terms = Terms {
        k: 2,
        guardians,
        delay_ms: DELAY_MS,
        sealed: Digest([7; 32]),
    };
    let ask = recovery::Command::Request {
        recipient: Digest([6; 32]),
        nonce: Digest([1; 32]),
    };
    let approve = recovery::Command::Approve {
        request: Digest([2; 32]),
        share: vec![5; 60],
    };
    let place = |number| (NETWORK, public(1), number);
    let replace = recovery::Command::replace(place(0), (public(1), public(2)), |bytes| {
        wallet(2).sign(bytes).into()
    });
    let says = |number, seed: u8, command| {
        let place = place(number);
        let sign = |bytes: &[u8]| wallet(seed).sign(bytes).into();
        codec::encode(&Signed::sign(place, command, public(seed), sign))
    };
    vec![
        says(1, 1, recovery::Command::SetUp(terms)),
        says(1, 2, ask),
        says(1, 11, approve),
        says(0, 1, replace),
    ]
}
