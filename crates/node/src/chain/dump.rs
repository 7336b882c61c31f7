//! Dumping: every final block in one file, for whoever checks the ledger offline.

use std::io::Write;

use ledger::block::Block;
use ledger::dump::{entry, start};
use ledger::finality::FinalityCertificate;
use ledger::ids::{Digest, Height};

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
        for height in (1..=last.0).map(Height) {
            let (block, finality) = self.dumped(height)?;
            out.write_all(&entry(&block, finality.as_ref()))?;
        }
        out.flush()?;
        Ok(last)
    }

    /// An applied block, and the certificate of this very block if there is one.
    pub(super) fn dumped(
        &self,
        height: Height,
    ) -> Result<(Block, Option<FinalityCertificate>), StoreError> {
        let store = &self.0.store;
        let is_kept = height > store.removed()?.height;
        if !is_kept {
            return Err(StoreError::BlockNotKept(height));
        }
        let header = |height| {
            let stored = store.block(height)?.ok_or(StoreError::Damaged("block"))?;
            Ok::<_, StoreError>(stored.header)
        };
        let first = header(Height(height.0.saturating_sub(1)))?.log_size;
        let header = header(height)?;
        let mut statements = Vec::new();
        for index in first..header.log_size {
            let (_, bytes) = store
                .statement(index)?
                .ok_or(StoreError::Damaged("statement"))?;
            statements.push(bytes);
        }
        let block = Block { header, statements };
        if Digest::of(&block.body()) != block.header.body {
            return Err(StoreError::Damaged("statement"));
        }
        let certified = store.certified_from(height)?;
        let own = certified.filter(|(certified, _)| *certified == height);
        Ok((block, own.map(|(_, certificate)| certificate)))
    }
}
