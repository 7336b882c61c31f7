//! Rows of the state whose statements are not here: the state root alone says what they have to be.

use std::ops::Bound;

use ledger::state::storage::Node;
use ledger::state::{self, StateKey};

use super::Walk;
use super::compare::UNPROVEN_MAX;
use crate::chain::damage::{ChainFault, ChainPart};
use crate::chain::rows::Keyspace;
use crate::chain::store::{DIGEST_BYTES, Tip, key, position_of};

impl Walk<'_> {
    /// Proves each row of the state under the root that a quorum signed, and counts those that are not there.
    pub(super) fn check_unseen(&mut self, tip: &Tip) {
        let (from, to) = (Bound::Unbounded, Bound::Unbounded);
        let rows = self.store.0.range(Keyspace::Tags, from, to);
        let mut there = 0;
        for row in rows {
            let Ok((place, row)) = row else {
                self.note(ChainPart::Tag, ChainFault::Unreadable, self.log_size);
                return;
            };
            let Ok(place) = (*place).try_into().map(StateKey) else {
                self.note(ChainPart::Tag, ChainFault::Unexpected, 0);
                continue;
            };
            there += u64::from(self.is_in_state(place, &row));
        }
        let Some(due) = self.entries_due(tip) else {
            return;
        };
        let missing = due.saturating_sub(there + self.absent);
        if missing > 0 {
            let last = self.removed.log_size.saturating_sub(1);
            self.findings
                .note_some(ChainPart::Tag, ChainFault::Missing, (0, last), missing);
        }
    }

    /// Whether the state has an entry at a place; notes a row that is not the entry's.
    fn is_in_state(&mut self, place: StateKey, row: &[u8]) -> bool {
        let Some(tip) = self.root else { return true };
        if self.faulty.contains(&place) {
            return true;
        }
        let number = position_of(row).map_or(0, |position| position.statement);
        let Ok((_, proof)) = state::prove(self.store, tip.changes, place) else {
            self.note(ChainPart::StateNode, ChainFault::Unreadable, number);
            self.unproven += 1;
            if self.unproven >= UNPROVEN_MAX {
                self.root = None;
            }
            return true;
        };
        if proof.verify_present(tip.state_root, place, row).is_ok() {
            self.tags += u64::from(row.len() != DIGEST_BYTES && self.is_unseen(number));
            return true;
        }
        let is_absent = proof.verify_absent(tip.state_root, place).is_ok();
        let fault = if is_absent {
            ChainFault::Unexpected
        } else {
            ChainFault::Differs
        };
        self.note(ChainPart::Tag, fault, number);
        !is_absent
    }

    fn is_unseen(&self, index: u64) -> bool {
        let row = self.store.0.contains(Keyspace::Statements, &key(index));
        index < self.removed.log_size && matches!(row, Ok(false))
    }

    /// How many entries the state has, as the root of its tree says.
    fn entries_due(&self, tip: &Tip) -> Option<u64> {
        // Once the tree is known to be damaged, its root may be.
        self.root?;
        let (from, to) = (key(tip.changes.checked_sub(1)?), key(tip.changes));
        let mut rows = self.store.0.range(
            Keyspace::Nodes,
            Bound::Included(&from),
            Bound::Excluded(&to),
        );
        // The root is the first node of its change: its path is empty.
        let (_, root) = rows.next()?.ok()?;
        let leaves = match borsh::from_slice(&root).ok()? {
            Node::Null => 0,
            Node::Leaf(_) => 1,
            Node::Internal(node) => node.leaf_count(),
        };
        u64::try_from(leaves).ok()
    }
}
