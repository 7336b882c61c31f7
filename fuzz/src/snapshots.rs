//! What a node that joins reads from its peers.

use ledger::snapshot::{LeafPage, Offer, StatePage, StatementPage};

use crate::Target;
use crate::world::world;

/// The targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "snapshot",
        run: snapshot,
    },
    Target {
        name: "leaf-page",
        run: leaves,
    },
    Target {
        name: "state-page",
        run: state,
    },
    Target {
        name: "statement-page",
        run: statements,
    },
];

fn snapshot(bytes: &[u8]) {
    let Ok(offer) = Offer::decode(bytes) else {
        return;
    };
    assert_eq!(offer.encode(), bytes);
    if offer.verify(world().genesis()).is_ok() {
        let mut known: Vec<_> = world()
            .forge
            .blocks()
            .iter()
            .map(|one| one.block.header.clone())
            .collect();
        let proven = world().succession.registry.as_ref().map(|one| &one.header);
        let changes = world().succession.transitions.iter();
        known.extend(changes.map(|one| one.header.clone()).chain(proven.cloned()));
        assert!(
            known.contains(&offer.block.header),
            "a header that is not final"
        );
    }
}

fn leaves(bytes: &[u8]) {
    if let Ok(page) = LeafPage::decode(bytes) {
        assert_eq!(page.encode(), bytes);
    }
}

fn state(bytes: &[u8]) {
    if let Ok(page) = StatePage::decode(bytes) {
        assert_eq!(page.encode(), bytes);
    }
}

fn statements(bytes: &[u8]) {
    if let Ok(page) = StatementPage::decode(bytes) {
        assert_eq!(page.encode(), bytes);
    }
}
