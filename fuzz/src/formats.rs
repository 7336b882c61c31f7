//! Values of every wire format, drawn from fixed seeds: what `conformance.txt` holds the hashes of.
//!
//! The values are well-formed and mean nothing: what is pinned is how they are written.

use std::convert::Infallible;

use ledger::block::{Header, body_of};
use ledger::checkpoint::{Checkpoint, Cosignature, SignedCheckpoint};
use ledger::codec;
use ledger::dump;
use ledger::finality::{FinalityCertificate, Vote};
use ledger::genesis::{
    Genesis, Member, MlDsa44Key, PublicKey, Quota, Rules, Threshold, ValidatorSet,
};
use ledger::ids::{BlockTime, Digest, Epoch, Height, MemberName, NetworkId, Tag};
use ledger::item::{Item, Opening};
use ledger::log::{ConsistencyPath, InclusionPath, tile};
use ledger::node_key::{Algorithm, SigningNode};
use ledger::scitt::{Proof, RootSignature};
use ledger::state::StateRoot;
use ledger::statement::{Body, Payload, StatementId, SubmittedStatement};
use minicbor::bytes::ByteVec;

use contracts::access::{self, Delegation, Emergency, HeadRef, Limits, Link};
use contracts::descriptor::{
    AccessDescriptor, Decided, Descriptor, FurtherAccess, RecordDescriptor,
};
use contracts::emergency::{Declaration, EmergencyId};
use contracts::governance::{Action, Command};
use contracts::membership::{Endpoints, ValidatorKeys};
use contracts::rotation::MovedDescriptor;

use crate::draw::Draw;
use crate::seeds;

/// How many values of a format are hashed.
const VALUES: u64 = 64;

/// A format, and how a value of it is drawn and written.
type Format = (&'static str, fn(&mut Draw) -> Vec<u8>);

const FORMATS: [Format; 26] = [
    ("item", |draw| item(draw).to_bytes().to_vec()),
    ("statement-payload", |draw| codec::encode(&payload(draw))),
    ("genesis", |draw| genesis(draw).encode()),
    ("validator-set", |draw| codec::encode(&validators(draw))),
    ("header", |draw| header(draw).encode()),
    ("block-body", |draw| {
        body_of(&draw.list(4, |draw| draw.bytes(90)))
    }),
    ("finality", |draw| codec::encode(&finality(draw))),
    ("finality-signed-bytes", |draw| {
        finality(draw).signed_bytes(network(draw))
    }),
    ("dump-entry", dump_entry),
    ("inclusion-path", |draw| codec::encode(&inclusion(draw))),
    ("consistency-path", |draw| codec::encode(&consistency(draw))),
    ("root-signature", |draw| {
        codec::encode(&root_signature(draw))
    }),
    ("cose-receipt", cose_receipt),
    ("checkpoint", |draw| {
        let checkpoint = checkpoint(draw);
        SignedCheckpoint::unsigned(checkpoint)
            .checkpoint
            .text()
            .unwrap()
    }),
    ("cosignature", |draw| codec::encode(&cosignature(draw))),
    ("entry-bundle", |draw| {
        tile::bundle(&draw.list(4, |draw| draw.bytes(400))).unwrap()
    }),
    ("command", |draw| command(draw).encode()),
    ("record-descriptor", |draw| record(draw).encode()),
    ("access-descriptor", |draw| access(draw).encode()),
    ("moved-descriptor", |draw| moved(draw).encode()),
    ("opening", |draw| codec::encode(&Opening(draw.array()))),
    ("cose-key", |draw| {
        ledger::scitt::cose_key(digest(draw), (Algorithm::EdDsa, &draw.array::<32>()))
    }),
    ("es256/cose-key", |draw| {
        ledger::scitt::cose_key(digest(draw), (Algorithm::Es256, &draw.array::<65>()))
    }),
    ("es256/root-signature", |draw| {
        codec::encode(&es256_root_signature(draw))
    }),
    ("es256/cose-receipt", |draw| {
        let proof = Proof::Inclusion(inclusion(draw));
        es256_root_signature(draw).receipt(&proof)
    }),
    ("es256/statement", es256_statement),
];

/// Each format's name and the hash over its values' encodings, then those of the real artefacts that are always the
/// same, by the name of the target that reads them.
pub fn hashes() -> Vec<(String, Digest)> {
    let of_format = |(name, draw_value): &Format| {
        let encodings = (0..VALUES).map(|seed| draw_value(&mut Draw::named(name, seed)));
        ((*name).to_owned(), hash(&encodings.collect::<Vec<_>>()))
    };
    let artefacts = seeds::constant().into_iter();
    let of_artefacts = artefacts.map(|(name, bytes)| (format!("forged/{name}"), hash(&bytes)));
    FORMATS.iter().map(of_format).chain(of_artefacts).collect()
}

fn hash(encodings: &[Vec<u8>]) -> Digest {
    let parts: Vec<&[u8]> = encodings.iter().map(Vec::as_slice).collect();
    Digest::with_domain("careledger/conformance", &parts)
}

fn digest(draw: &mut Draw) -> Digest {
    Digest(draw.array())
}

fn network(draw: &mut Draw) -> NetworkId {
    NetworkId(digest(draw))
}

fn tag(draw: &mut Draw) -> Tag {
    Tag(draw.array())
}

fn name(draw: &mut Draw) -> MemberName {
    draw.word().parse().unwrap()
}

fn item(draw: &mut Draw) -> Item {
    Item {
        tags: [tag(draw), tag(draw)],
        commitment: digest(draw),
    }
}

fn payload(draw: &mut Draw) -> Payload {
    let body = if draw.flip() {
        Body::Items {
            root: digest(draw),
            count: u16::try_from(draw.below(1_025)).unwrap(),
        }
    } else {
        Body::Command {
            contract: u16::try_from(draw.below(70_000)).unwrap_or(1),
            command: draw.bytes(80),
        }
    };
    Payload {
        network: network(draw),
        id: StatementId(draw.array()),
        expires_at: Height(draw.number()),
        body,
    }
}

fn member(draw: &mut Draw) -> Member {
    Member {
        name: name(draw),
        authority: draw.bytes(300),
        node: draw.bytes(300),
        validator: draw.option(|draw| PublicKey(draw.array())),
        cosigner: draw.option(|draw| MlDsa44Key::from_bytes(draw.bytes(1_312))),
    }
}

fn rules(draw: &mut Draw) -> Rules {
    let mut threshold = || Threshold {
        numerator: u16::try_from(draw.below(300)).unwrap(),
        denominator: u16::try_from(draw.below(300)).unwrap(),
    };
    let [members, validators, settings] = [threshold(), threshold(), threshold()];
    Rules {
        epoch_blocks: draw.number(),
        proposal_blocks: draw.number(),
        members,
        validators,
        settings,
        quota: draw.option(|draw| Quota {
            items_per_second: u32::from_be_bytes(draw.array()),
            burst_items: u32::from_be_bytes(draw.array()),
        }),
    }
}

fn genesis(draw: &mut Draw) -> Genesis {
    Genesis {
        name: draw.word(),
        time: BlockTime(draw.number()),
        members: draw.list(3, member),
        rules: draw.option(rules),
    }
}

fn validators(draw: &mut Draw) -> ValidatorSet {
    ValidatorSet {
        keys: draw.list(5, |draw| PublicKey(draw.array())),
    }
}

fn header(draw: &mut Draw) -> Header {
    Header {
        network: network(draw),
        epoch: Epoch(draw.number()),
        height: Height(draw.number()),
        time: BlockTime(draw.number()),
        parent: digest(draw),
        validators: digest(draw),
        body: digest(draw),
        log_root: digest(draw),
        log_size: draw.number(),
        state_root: StateRoot(digest(draw)),
    }
}

fn finality(draw: &mut Draw) -> FinalityCertificate {
    let vote = |draw: &mut Draw| Vote {
        validator: u16::try_from(draw.below(400)).unwrap(),
        signature: draw.array().into(),
    };
    FinalityCertificate {
        epoch: draw.number(),
        view: draw.number(),
        parent_view: draw.number(),
        block: digest(draw),
        votes: draw.list(4, vote),
    }
}

fn dump_entry(draw: &mut Draw) -> Vec<u8> {
    let block = ledger::block::Block {
        header: header(draw),
        statements: draw.list(3, |draw| draw.bytes(90)),
    };
    dump::entry(&block, draw.option(finality).as_ref())
}

fn inclusion(draw: &mut Draw) -> InclusionPath {
    InclusionPath {
        index: draw.number(),
        size: draw.number(),
        siblings: draw.list(12, digest),
    }
}

fn consistency(draw: &mut Draw) -> ConsistencyPath {
    ConsistencyPath {
        older: draw.number(),
        newer: draw.number(),
        hashes: draw.list(12, digest),
    }
}

fn root_signature(draw: &mut Draw) -> RootSignature {
    RootSignature {
        member: name(draw),
        certificate: digest(draw),
        signature: draw.array().into(),
        algorithm: Algorithm::EdDsa,
    }
}

/// The same by a P-256 key.
fn es256_root_signature(draw: &mut Draw) -> RootSignature {
    RootSignature {
        algorithm: Algorithm::Es256,
        ..root_signature(draw)
    }
}

fn es256_statement(draw: &mut Draw) -> Vec<u8> {
    let member = name(draw);
    let signer = SigningNode {
        member: &member,
        certificate: digest(draw),
        algorithm: Algorithm::Es256,
    };
    let payload = payload(draw);
    let sign = |_: &[u8]| Ok::<_, Infallible>(draw.array());
    let signed = SubmittedStatement::sign(signer, payload, Vec::new(), sign);
    signed.unwrap().envelope().to_vec()
}

fn cose_receipt(draw: &mut Draw) -> Vec<u8> {
    let proof = if draw.flip() {
        Proof::Inclusion(inclusion(draw))
    } else {
        Proof::Consistency(consistency(draw))
    };
    root_signature(draw).receipt(&proof)
}

fn checkpoint(draw: &mut Draw) -> Checkpoint {
    Checkpoint::of(network(draw), draw.number(), digest(draw))
}

fn cosignature(draw: &mut Draw) -> Cosignature {
    Cosignature {
        size: draw.number(),
        root: digest(draw),
        receipt: root_signature(draw),
        timestamp: draw.number(),
        log: draw.array().into(),
        ed25519: draw.array().into(),
        ml_dsa_44: draw.option(|draw| ByteVec::from(draw.bytes(2_420))),
    }
}

fn endpoints(draw: &mut Draw) -> Endpoints {
    Endpoints {
        consensus: draw.word(),
        exchange: draw.word(),
    }
}

fn action(draw: &mut Draw) -> Action {
    match draw.below(10) {
        0 => Action::Admit {
            member: Box::new(member(draw)),
            endpoints: draw.option(endpoints),
        },
        1 => Action::Suspend(name(draw)),
        2 => Action::Reinstate(name(draw)),
        3 => Action::Remove(name(draw)),
        4 => Action::ReplaceAuthority {
            member: name(draw),
            authority: draw.bytes(300),
        },
        5 => Action::AddValidator(name(draw)),
        6 => Action::RemoveValidator(name(draw)),
        7 => Action::SetPolicies(draw.word()),
        8 => Action::SetRules(rules(draw)),
        _ => Action::SetFormat(u16::try_from(draw.below(400)).unwrap()),
    }
}

fn command(draw: &mut Draw) -> Command {
    match draw.below(7) {
        0 => Command::Propose(action(draw)),
        1 => Command::Vote {
            proposal: draw.number(),
            approves: draw.flip(),
        },
        2 => Command::Withdraw(draw.number()),
        3 => Command::RegisterCertificate(draw.bytes(300)),
        4 => Command::RevokeCertificate(digest(draw)),
        5 => Command::Announce(endpoints(draw)),
        _ => Command::RotateValidator(ValidatorKeys {
            vote: PublicKey(draw.array()),
            cosigner: draw.option(|draw| MlDsa44Key::from_bytes(draw.bytes(1_312))),
        }),
    }
}

fn record(draw: &mut Draw) -> Descriptor {
    Descriptor::Record(RecordDescriptor {
        resource_type: draw.word(),
        id: draw.word(),
        version: draw.number(),
        deleted: draw.flip(),
        content: digest(draw),
        media_type: draw.word(),
        author: draw.word(),
        recorded_at: draw.number(),
        labels: draw.list(3, Draw::word),
        supersedes: draw.option(tag),
        next: tag(draw),
    })
}

fn moved(draw: &mut Draw) -> Descriptor {
    Descriptor::Moved(MovedDescriptor {
        branch: draw.word(),
        epoch: u32::try_from(draw.below(70_000)).unwrap(),
        successor: digest(draw),
    })
}

fn access(draw: &mut Draw) -> Descriptor {
    let decided = |draw: &mut Draw| Decided {
        permitted: draw.list(3, Draw::word),
        withheld: u32::try_from(draw.below(70_000)).unwrap(),
        reason: draw.option(Draw::word),
        record: draw.option(|draw| draw.bytes(80)),
        documents: draw.option(|draw| draw.bytes(48)),
    };
    let further = |draw: &mut Draw| FurtherAccess {
        interaction: draw.word(),
        target: draw.word(),
        at: draw.number(),
        decision: draw.option(decided),
        audit: draw.option(digest),
    };
    Descriptor::Access(AccessDescriptor {
        requester: name(draw),
        principal: draw.word(),
        role: draw.option(Draw::word),
        purpose: draw.word(),
        interaction: draw.word(),
        target: draw.word(),
        at: draw.number(),
        custodian: name(draw),
        request: draw.option(digest),
        recipient: draw.option(|draw| draw.array::<32>().to_vec()),
        expires_at: draw.option(|draw| Height(draw.number())),
        decision: draw.option(decided),
        next: tag(draw),
        further: draw.option(|draw| draw.list(3, further)),
        audit: draw.option(digest),
        emergency: draw.option(declaration),
        on_behalf_of: draw.option(delegation),
    })
}

fn declaration(draw: &mut Draw) -> Declaration {
    Declaration {
        id: EmergencyId(draw.array()),
        emergency: Emergency {
            reason: draw.word(),
            from: i64::try_from(draw.below(70_000)).unwrap(),
            until: i64::try_from(draw.below(70_000)).unwrap(),
        },
        personnel: draw.word(),
        affiliation: draw.word(),
        discloser: draw.word(),
        nature: draw.word(),
        types: draw.list(3, Draw::word).into_iter().collect(),
        justification: draw.option(Draw::word),
    }
}

fn delegation(draw: &mut Draw) -> Delegation {
    let words = |draw: &mut Draw| draw.list(3, Draw::word).into_iter().collect();
    let time = |draw: &mut Draw| i64::try_from(draw.below(70_000)).unwrap();
    let link = |draw: &mut Draw| Link {
        consent: HeadRef {
            id: draw.word(),
            version: draw.number(),
        },
        delegate: draw.word(),
        limits: Limits {
            types: draw.option(words),
            labels: draw.option(words),
            purposes: draw.option(words),
            actions: draw.option(|_| [access::Action::Open].into()),
            from: draw.option(time),
            until: draw.option(time),
            majority: draw.option(time),
        },
    };
    Delegation {
        patient: draw.word(),
        links: draw.list(3, link),
    }
}
