//! Paths in the log, proofs about the state, tiles and bundles of entries.

use ledger::codec;
use ledger::ids::Tag;
use ledger::log::tile::{self, Tile};
use ledger::log::{ConsistencyPath, InclusionPath, leaf_hash};
use ledger::state::{StateKey, StateProof, StateRoot};

use crate::Target;
use crate::world::world;

/// The targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "inclusion-path",
        run: inclusion,
    },
    Target {
        name: "consistency-path",
        run: consistency,
    },
    Target {
        name: "state-proof",
        run: state,
    },
    Target {
        name: "tile-path",
        run: tile_path,
    },
    Target {
        name: "entry-bundle",
        run: bundle,
    },
];

fn inclusion(bytes: &[u8]) {
    let Ok(path) = codec::decode::<InclusionPath>("inclusion path", bytes) else {
        return;
    };
    assert_eq!(codec::encode(&path), bytes);
    let checkpoint = &world().note.checkpoint;
    for (at, statement) in (0_u64..).zip(&world().statements) {
        let leaf = leaf_hash(statement.envelope());
        let leads = path.verify(leaf, checkpoint.root).is_ok();
        assert_eq!(
            leads,
            path.root(leaf) == Ok(checkpoint.root),
            "two readings of one path"
        );
        if leads && path.size == checkpoint.size {
            assert_eq!(path.index, at, "a leaf at two places");
        }
    }
}

fn consistency(bytes: &[u8]) {
    let Ok(path) = codec::decode::<ConsistencyPath>("consistency path", bytes) else {
        return;
    };
    assert_eq!(codec::encode(&path), bytes);
    let (log, newest) = (world().log(), &world().note.checkpoint);
    for size in 0..=newest.size {
        let older = ledger::log::root(size, log).unwrap();
        let fits = path.verify(older, newest.root).is_ok();
        if fits && path.newer == newest.size {
            assert_eq!(path.older, size, "one root of two sizes");
        }
    }
}

fn state(bytes: &[u8]) {
    let Ok(proof) = codec::decode::<StateProof>("state proof", bytes) else {
        return;
    };
    assert_eq!(codec::encode(&proof), bytes);
    let root = world().header().state_root;
    for (at, statement) in (0_u64..).zip(&world().statements) {
        for tag in statement.items().iter().flat_map(|item| item.tags) {
            let key = StateKey::of_tag(statement.member(), tag);
            assert!(
                proof.verify_absent(root, key).is_err(),
                "a used tag is absent"
            );
            let other = (at + 1).to_be_bytes();
            assert!(
                proof.verify_present(root, key, &other).is_err(),
                "another value is present"
            );
        }
    }
    let unused = StateKey::of_tag(world().receipt_member(), Tag([0x77; 16]));
    assert!(
        proof.verify_present(root, unused, &[]).is_err(),
        "an unused tag is present"
    );
    if proof.verify_absent(StateRoot::EMPTY, unused).is_ok() {
        assert_eq!(bytes, [0x81, 0x40], "what is shown of nothing has one form");
    }
}

fn tile_path(bytes: &[u8]) {
    let Ok(path) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(tile) = path.parse::<Tile>() {
        assert_eq!(tile.to_string(), path);
        assert!((1..=256).contains(&tile.width));
        let leaves = tile.leaves();
        assert!(leaves.is_none_or(|(start, end)| start < end));
        let log = world().log();
        let _of_this_log = tile.hashes(log.size(), log);
        let _of_any_log = tile.hashes(u64::MAX, log);
    }
}

fn bundle(bytes: &[u8]) {
    if let Ok(entries) = tile::entries(bytes) {
        let entries: Vec<_> = entries.into_iter().map(<[u8]>::to_vec).collect();
        assert_eq!(tile::bundle(&entries).unwrap(), bytes);
    }
}
