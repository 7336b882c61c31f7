//! Bodies that are not kept here and that another member has shown: checked against the log, and held for a while.

use std::collections::VecDeque;
use std::sync::Arc;

use ledger::ids::{MemberName, Tag};
use ledger::log::{self, leaf_hash};
use ledger::statement::SubmittedStatement;

use super::{Chain, StoreError};

/// Statements that are held: tens of megabytes at most.
const HELD_MAX: usize = 256;

/// The last statements that were shown, the newest at the end.
#[derive(Default)]
pub(super) struct Lent(VecDeque<(u64, Arc<SubmittedStatement>)>);

impl Lent {
    pub(super) fn get(&self, index: u64) -> Option<Arc<SubmittedStatement>> {
        let mut held = self.0.iter();
        let found = held.find(|(at, _)| *at == index);
        found.map(|(_, statement)| Arc::clone(statement))
    }

    fn add(&mut self, index: u64, statement: SubmittedStatement) {
        if self.0.len() >= HELD_MAX {
            self.0.pop_front();
        }
        self.0.push_back((index, Arc::new(statement)));
    }
}

impl Chain {
    /// The statement in which `member` used `tag`, if its body is not here: another member has to show it.
    pub fn lacks(&self, member: &MemberName, tag: Tag) -> Result<Option<u64>, StoreError> {
        let Some(position) = self.locate(member, tag)? else {
            return Ok(None);
        };
        match self.statement(position.statement) {
            Err(StoreError::NotKept(index)) => Ok(Some(index)),
            found => found.map(|_| None),
        }
    }

    /// Takes the statement at `index` of the log from whoever has it; says whether it is the one that the log has.
    pub fn lend(&self, index: u64, bytes: &[u8]) -> bool {
        let Ok(statement) = SubmittedStatement::decode(bytes) else {
            return false;
        };
        let leaf = leaf_hash(statement.envelope());
        let is_logged = log::leaf(index, &self.0.store) == Some(leaf);
        if is_logged {
            self.0.lent().add(index, statement);
        }
        is_logged
    }
}
