//! Dumping: every final block in one file, for whoever checks the ledger offline.

use std::io::Write;

use ledger::block::Block;
use ledger::dump::{entry, start};
use ledger::ids::Height;

use super::{Chain, StoreError};

/// Why a dump is not complete.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Some bodies are not here.
    #[error("the bodies of blocks up to {0} are not kept here: dump at a member that keeps all")]
    NotKept(Height),
    /// The dump cannot be written.
    #[error("the dump cannot be written")]
    Write(#[from] std::io::Error),
}

impl Chain {
    /// Writes all blocks up to the last certified one (`docs/formats/dump.md`); returns its height.
    pub fn dump(&self, mut out: impl Write) -> Result<Height, DumpError> {
        let store = &self.0.store;
        let removed = store.removed()?.height;
        if removed > Height(0) {
            return Err(DumpError::NotKept(removed));
        }
        out.write_all(&start(self.network()))?;
        let last = store
            .certified_until(self.tip().height)?
            .map_or(Height(0), |(last, _)| last);
        let mut log_size = 0;
        for height in (1..=last.0).map(Height) {
            let header = store
                .block(height)?
                .ok_or(StoreError::Damaged("block"))?
                .header;
            let mut statements = Vec::new();
            for index in log_size..header.log_size {
                let (_, bytes) = store
                    .statement(index)?
                    .ok_or(StoreError::Damaged("statement"))?;
                statements.push(bytes);
            }
            log_size = header.log_size;
            let certified = store.certified_from(height)?;
            let own = certified.filter(|(certified, _)| *certified == height);
            let finality = own.map(|(_, certificate)| certificate);
            out.write_all(&entry(&Block { header, statements }, finality.as_ref()))?;
        }
        out.flush()?;
        Ok(last)
    }
}
