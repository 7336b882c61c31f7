//! Genesis, headers, blocks, certificates of finality, dumps.

use contracts::membership::Registry;
use contracts::replay::Replay;
use ledger::block::{Block, Header};
use ledger::codec;
use ledger::dump::{self, Dump, DumpedBlock};
use ledger::fault::Claims;
use ledger::finality::FinalityCertificate;
use ledger::genesis::Genesis;
use ledger::limits::BLOCK_BYTES_MAX;

use crate::Target;
use crate::world::world;

/// The targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "genesis",
        run: genesis,
    },
    Target {
        name: "header",
        run: header,
    },
    Target {
        name: "block",
        run: block,
    },
    Target {
        name: "finality",
        run: finality,
    },
    Target {
        name: "dump",
        run: dump,
    },
    Target {
        name: "replay",
        run: replayed,
    },
];

fn genesis(bytes: &[u8]) {
    if let Ok(genesis) = Genesis::decode(bytes) {
        assert_eq!(genesis.encode(), bytes);
        let block = Block::genesis(&genesis);
        assert_eq!(block.header.network, genesis.network());
        let _policy = ledger::checkpoint::policy::Policy::of_validators(
            genesis.network(),
            &genesis.signatories(),
        );
        if let Ok(registry) = Registry::from_genesis(&genesis) {
            let again = Registry::decode(&registry.encode()).unwrap();
            assert_eq!(again.entry(), registry.entry());
        }
    }
}

fn header(bytes: &[u8]) {
    if let Ok(header) = Header::decode(bytes) {
        assert_eq!(header.encode(), bytes);
        assert_eq!(header.digest(), ledger::ids::Digest::of(bytes));
    }
}

/// The length of the header in two bytes, the header, the body. A body that the header does not name is read with
/// its digest put right, as a malicious proposer would.
fn block(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let length = usize::from(u16::from_be_bytes(*length));
    let Some((header, body)) = rest.split_at_checked(length) else {
        return;
    };
    let _as_it_came = Block::decode(header, body);
    let Ok(mut header) = Header::decode(header) else {
        return;
    };
    header.body = ledger::ids::Digest::of(body);
    if let Ok(block) = Block::decode(&header.encode(), body) {
        assert!(body.len() <= BLOCK_BYTES_MAX);
        assert_eq!(block.body(), body);
        assert_eq!(block.header, header);
    }
}

fn finality(bytes: &[u8]) {
    let Ok(certificate) = codec::decode::<FinalityCertificate>("finality", bytes) else {
        return;
    };
    assert_eq!(codec::encode(&certificate), bytes);
    let genesis = world().genesis();
    let (network, validators) = (genesis.network(), genesis.validators());
    let headers = world()
        .forge
        .blocks()
        .iter()
        .map(|one| one.block.header.digest());
    if certificate
        .verify(network, &validators, certificate.block)
        .is_ok()
    {
        assert!(
            headers.clone().any(|block| block == certificate.block),
            "not a final block"
        );
    }
    let mut claims = Claims::of(network, genesis.signatories(), validators.into());
    for forged in world().forge.blocks() {
        claims.add_finality(&forged.finality);
    }
    claims.add_finality(&certificate);
    assert!(
        claims.conflicts().is_empty(),
        "an honest validator is convicted"
    );
}

fn dump(bytes: &[u8]) {
    let Ok(read) = Dump::read(bytes) else {
        return;
    };
    let mut again = dump::start(read.network());
    for block in read {
        match block {
            Ok(DumpedBlock { block, finality }) => {
                again.extend(dump::entry(&block, finality.as_ref()));
            }
            Err(_) => {
                assert!(bytes.starts_with(&again));
                return;
            }
        }
    }
    assert_eq!(again, bytes);
}

/// A dump that replays tells of blocks that the network made final, and of no others.
fn replayed(bytes: &[u8]) {
    let Ok(dump) = Dump::read(bytes) else {
        return;
    };
    let mut replay = Replay::new(world().genesis()).unwrap();
    for block in dump {
        let Ok(DumpedBlock { block, finality }) = block else {
            return;
        };
        match replay.apply(&block, finality.as_ref()) {
            Ok(next) => replay = next,
            Err(_) => return,
        }
    }
    if let Ok(replayed) = replay.finish() {
        let headers = world().forge.blocks().iter().map(|one| &one.block.header);
        let is_first = replayed.tip.height.0 == 0;
        assert!(
            is_first || headers.clone().any(|header| *header == replayed.tip),
            "another history"
        );
    }
}
