//! Own statements out of the store of a former chain, which may be damaged: each is checked as one of a peer's is.

use std::path::Path;
use std::sync::Arc;

use ledger::ids::{Height, MemberName};
use ledger::snapshot::{Final, LoggedStatement, StatementPage};
use ledger::statement::SubmittedStatement;

use super::super::disk::Disk;
use super::super::store::Store;
use super::{JoinError, Joining};

impl Joining {
    /// Takes what the chain in `former` still has of `member`'s statements and no peer had; says how many those are.
    pub fn add_kept(&mut self, member: &MemberName, former: &Path) -> Result<u64, JoinError> {
        if !former.exists() {
            return Ok(0);
        }
        // A store that does not open keeps nothing.
        let Ok(disk) = Disk::open(former) else {
            return Ok(0);
        };
        let former = Store::new(Arc::new(disk));
        let mut kept = 0;
        for index in 0..self.header().log_size {
            if matches!(self.store.statement(index), Ok(Some(_))) {
                continue;
            }
            let Some(page) = page_of(&former, member, index) else {
                continue;
            };
            match self.add_statements(member, &page) {
                Ok(_) => kept += 1,
                // It is damaged, or of behind the snapshot.
                Err(error) if error.is_of_peer() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(kept)
    }
}

fn page_of(former: &Store, member: &MemberName, index: u64) -> Option<StatementPage> {
    let (height, statement) = former.statement(index).ok()??;
    let decoded = SubmittedStatement::decode(&statement).ok()?;
    if decoded.member() != member {
        return None;
    }
    let covering = covering(former, height)?;
    Some(StatementPage {
        blocks: vec![covering],
        statements: vec![LoggedStatement {
            index,
            block: 0,
            statement,
        }],
        next: None,
    })
}

fn covering(former: &Store, height: Height) -> Option<Final> {
    let (at, finality) = former.certified_from(height).ok()??;
    let header = former.block(at).ok()??.header;
    Some(Final { header, finality })
}
