//! Seeds: real artefacts of every kind, from which the corpus is written.

mod committees;
mod messages;
mod samples;

use contracts::governance::Command;
use ledger::checkpoint::witness::AddCheckpoint;
use ledger::checkpoint::{Cosignature, SignedCheckpoint};
use ledger::codec;
use ledger::ids::{Digest, Height};
use ledger::log::{self, tile};
use ledger::snapshot::{
    Entry, EntryKey, Final, LeafPage, LoggedStatement, Offer, StatePage, StatementPage,
};
use ledger::statement::SubmittedStatement;
use minicbor::bytes::ByteVec;
use vault::seal;
use vault::secret::DataKey;
use vault::wrap::{HpkeKeyPair, wrap_for};
use zeroize::Zeroizing;

use crate::sealed::{CLEAR, KEY, PLACE};
use crate::world::{World, access, log_paths, moved, world};

/// Valid inputs by the target that reads them.
pub type Seeds = Vec<(&'static str, Vec<Vec<u8>>)>;

/// All seeds. What is sealed differs each time, as its salts are random.
pub fn all() -> Seeds {
    [
        constant(),
        sealed(),
        fhir(),
        samples::hl7v2(),
        samples::ccda(),
        committees::dealt(),
    ]
    .concat()
}

/// Artefacts of the ledger, the same each time.
pub fn constant() -> Seeds {
    [
        statements(),
        blocks(),
        proofs(),
        notes(),
        registry(),
        messages::all(),
        snapshots(),
        committees::constant(),
    ]
    .concat()
}

fn statements() -> Seeds {
    let world = world();
    let submitted = world.statements.iter().map(SubmittedStatement::encode);
    let commands = world.commands();
    let mut commands = commands
        .iter()
        .map(|command| world.command(command).encode());
    let envelopes = world.statements.iter().map(|one| one.envelope().to_vec());
    let mut with_succession = world.receipt.clone();
    with_succession.succession = Some(world.succession.clone());
    let mut bare = world.receipt.clone();
    bare.cosigned = None;
    let mut short = world.succession.clone();
    short.registry = None;
    let receipts = world.signatures.iter().map(|one| one.receipt(&inclusion()));
    vec![
        ("statement", submitted.chain(commands.next()).collect()),
        ("envelope", envelopes.take(3).collect()),
        ("registration", world.registrations()),
        ("transparent", vec![world.transparent.clone()]),
        (
            "cose-receipt",
            receipts
                .chain([world.signatures[0].receipt(&continuation())])
                .collect(),
        ),
        (
            "receipt",
            vec![
                bare.encode(),
                world.receipt.encode(),
                with_succession.encode(),
            ],
        ),
        (
            "succession",
            vec![world.succession.encode(), short.encode()],
        ),
        ("export", vec![world.export.encode()]),
    ]
}

fn snapshots() -> Seeds {
    let world = world();
    let proven = world.succession.registry.as_ref().unwrap();
    let block = Final {
        header: proven.header.clone(),
        finality: proven.finality.clone(),
    };
    let transition = &world.succession.transitions[0];
    let offer = Offer {
        block: block.clone(),
        transitions: world.succession.transitions.clone(),
        boundary: Some(Final {
            header: transition.header.clone(),
            finality: transition.finality.clone(),
        }),
        registry: Some(ByteVec::from(proven.registry.clone())),
        signatures: world.signatures.clone(),
        kept_from: Height(1),
    };
    let entry = |byte: u8, length| Entry {
        key: EntryKey([byte; 32]),
        value: vec![byte; length],
    };
    let state = StatePage {
        entries: vec![entry(1, 10), entry(2, 32)],
        next: Some(EntryKey([3; 32])),
    };
    let leaves = world.statements.iter();
    let leaves = leaves.map(|one| log::leaf_hash(one.envelope())).collect();
    let statements = StatementPage {
        blocks: vec![block],
        statements: vec![LoggedStatement {
            index: 1,
            block: 0,
            statement: world.statements[1].encode(),
        }],
        next: Some(9),
    };
    vec![
        ("snapshot", vec![offer.encode()]),
        ("leaf-page", vec![LeafPage { leaves }.encode()]),
        ("state-page", vec![state.encode()]),
        ("statement-page", vec![statements.encode()]),
    ]
}

fn inclusion() -> ledger::scitt::Proof {
    ledger::scitt::Proof::Inclusion(world().receipt.log_path.clone())
}

fn continuation() -> ledger::scitt::Proof {
    ledger::scitt::Proof::Consistency(log_paths().1.swap_remove(3))
}

fn blocks() -> Seeds {
    let forged = world().forge.blocks();
    let headers = forged.iter().map(|one| one.block.header.encode());
    let framed = forged.iter().map(|one| {
        let header = one.block.header.encode();
        let length = u16::try_from(header.len()).unwrap().to_be_bytes();
        [length.as_slice(), &header, &one.block.body()].concat()
    });
    let whole = world().forge.dump(|_| true);
    let sparse = world().forge.dump(|height| height.0 == forged.len() as u64);
    vec![
        ("genesis", vec![world().genesis().encode()]),
        ("header", headers.take(2).collect()),
        ("block", framed.collect()),
        (
            "finality",
            forged
                .iter()
                .map(|one| codec::encode(&one.finality))
                .collect(),
        ),
        ("dump", vec![whole.clone(), sparse.clone()]),
        ("replay", vec![whole, sparse]),
    ]
}

fn proofs() -> Seeds {
    let (inclusion, consistency) = log_paths();
    let absence = world().receipt.absent[0].proof.clone();
    let registry = world().succession.registry.as_ref().unwrap().proof.clone();
    let paths = [
        "tile/0/000.p/6",
        "tile/1/x001/x234/067",
        "tile/entries/x001/002.p/3",
    ];
    let entries: Vec<_> = world()
        .statements
        .iter()
        .map(|one| one.envelope().to_vec())
        .collect();
    vec![
        (
            "inclusion-path",
            inclusion.iter().map(codec::encode).collect(),
        ),
        (
            "consistency-path",
            consistency.iter().map(codec::encode).collect(),
        ),
        (
            "state-proof",
            vec![
                codec::encode(&absence),
                codec::encode(&registry),
                vec![0x81, 0x40],
            ],
        ),
        (
            "tile-path",
            paths.map(|path| path.as_bytes().to_vec()).to_vec(),
        ),
        (
            "entry-bundle",
            vec![tile::bundle(&entries[..2]).unwrap(), vec![0; 4]],
        ),
    ]
}

fn notes() -> Seeds {
    let world = world();
    let keys = world.log_keys();
    let log_line = world.note.signed_by_only(&keys[..1]);
    let policy = world.policy().to_string();
    let by_hand = format!(
        "# either\nlog {}\nwitness w1 {}\ngroup g 1 w1\nquorum g\n",
        keys[0],
        policy_key(&policy),
    );
    let evidence = world
        .stages
        .iter()
        .flat_map(|stage| stage.transparent.clone());
    vec![
        (
            "checkpoint",
            vec![world.note.encode().unwrap(), log_line.encode().unwrap()],
        ),
        ("signature-lines", vec![world.note.lines().into_bytes()]),
        (
            "add-checkpoint",
            vec![request(&world.note, 0), request(&log_line, 3)],
        ),
        (
            "cosignature",
            vec![
                codec::encode(&world.cosignature()),
                codec::encode(&hybrid(world)),
            ],
        ),
        (
            "verifier-key",
            vec![
                keys[0].to_string().into_bytes(),
                policy_key(&policy).into_bytes(),
            ],
        ),
        ("policy", vec![policy.into_bytes(), by_hand.into_bytes()]),
        ("evidence", evidence.collect()),
    ]
}

fn hybrid(world: &World) -> Cosignature {
    Cosignature {
        ml_dsa_44: Some(ByteVec::from(vec![3; 80])),
        ..world.cosignature()
    }
}

/// The key of the first witness of a policy, as it is written there.
fn policy_key(policy: &str) -> String {
    let mut lines = policy.lines().filter(|line| line.starts_with("witness "));
    lines
        .next()
        .and_then(|line| line.split(' ').nth(2))
        .unwrap_or_default()
        .to_owned()
}

fn request(signed: &SignedCheckpoint, old_size: u64) -> Vec<u8> {
    let path = log::prove_consistency(old_size, world().log().size(), world().log()).unwrap();
    let request = AddCheckpoint {
        old_size,
        proof: path.hashes,
        signed: signed.clone(),
    };
    request.encode().unwrap()
}

fn registry() -> Seeds {
    let genesis = world().genesis();
    let member = &genesis.members[0];
    let descriptor = contracts::descriptor::Descriptor::decode(&world().export.descriptor).unwrap();
    let asked = (
        "clinic",
        Some("7"),
        Some("physician"),
        None::<&str>,
        "TREAT",
        1_780_272_000_000_i64,
        true,
    );
    let rulings = vec![(true, vec!["network/emergency"]), (false, vec![])];
    let heads = vec![("consent-1", 2_u64)];
    let decision = (Digest([1; 32]), heads, Height(7), asked, rulings);
    vec![
        (
            "command",
            world().commands().iter().map(Command::encode).collect(),
        ),
        ("registry", vec![world().registry.encode()]),
        (
            "certificate",
            vec![member.node.clone(), member.authority.clone()],
        ),
        (
            "descriptor",
            vec![descriptor.encode(), access().encode(), moved().encode()],
        ),
        ("decision-record", vec![codec::encode(&decision)]),
    ]
}

fn sealed() -> Seeds {
    let key = DataKey::from_bytes(KEY);
    let payload = |clear: &[u8]| seal::seal(&key, PLACE, clear).into_bytes();
    let pair = HpkeKeyPair::from_private(Zeroizing::new(KEY));
    let wrapped = wrap_for(&pair.public_key(), PLACE, &[], &KEY).unwrap();
    vec![
        (
            "sealed-payload",
            vec![payload(CLEAR), payload(&CLEAR.repeat(40))],
        ),
        ("sealed-small", vec![seal::seal_small(&KEY, PLACE, CLEAR)]),
        ("wrapped-key", vec![codec::encode(&wrapped)]),
    ]
}

fn fhir() -> Seeds {
    let own = |text: &[&str]| text.iter().map(|one| one.as_bytes().to_vec()).collect();
    vec![
        (
            "fhir-resource",
            own(&[
                include_str!("../seeds/patient.json"),
                include_str!("../seeds/observation.json"),
            ]),
        ),
        (
            "fhir-bundle",
            own(&[
                include_str!("../seeds/transaction.json"),
                include_str!("../seeds/batch.json"),
            ]),
        ),
        (
            "fhir-query",
            own(&include_str!("../seeds/queries.txt")
                .lines()
                .collect::<Vec<_>>()),
        ),
        (
            "fhir-consent",
            own(&[include_str!("../seeds/consent.json")]),
        ),
        ("fhir-xml", own(&[include_str!("../seeds/patient.xml")])),
        (
            "fhirpath",
            own(&include_str!("../seeds/expressions.txt")
                .lines()
                .collect::<Vec<_>>()),
        ),
        (
            "json-patch",
            own(&[include_str!("../seeds/json-patch.json")]),
        ),
        (
            "fhirpath-patch",
            own(&[include_str!("../seeds/fhirpath-patch.json")]),
        ),
        (
            "subscription",
            own(&[include_str!("../seeds/subscription.json")]),
        ),
        (
            "label-rules",
            own(&[include_str!("../seeds/label-rules.json")]),
        ),
        ("etag", own(&["W/\"7\"", "W/\"18446744073709551615\""])),
    ]
}
