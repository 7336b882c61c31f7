//! The log as strangers read it: checkpoint, tiles, entries, receipts in published formats.

use std::sync::Arc;

use contracts::membership::Registry;
use ledger::checkpoint::Cosignature;
use ledger::dump;
use ledger::ids::Height;
use ledger::log::tile::{self, Content, Tile};
use ledger::log::{self, ConsistencyPath, LogError};
use ledger::receipt::Cosigned;
use ledger::scitt::{self, Proof};
use ledger::state::StateKey;
use ledger::statement::SubmittedStatement;
use ledger::succession::Succession;

use super::{Chain, StoreError};

/// What is published of the log.
pub trait PublicLog: Send + Sync {
    /// The newest checkpoint that a quorum of validators cosigned: a signed note (C2SP `tlog-checkpoint`).
    fn checkpoint(&self) -> Option<Vec<u8>>;
    /// A tile or entry bundle (C2SP `tlog-tiles`); `None` if the log has none like it yet.
    fn tile(&self, tile: &Tile) -> Result<Option<Vec<u8>>, StoreError>;
    /// The index of the statement that used `key` in the state.
    fn find(&self, key: StateKey) -> Result<Option<u64>, StoreError>;
    /// Whether a statement that uses `key` waits to be ordered.
    fn is_waiting(&self, key: StateKey) -> bool;
    /// The log's entry at `index`.
    fn entry(&self, index: u64) -> Result<Option<Vec<u8>>, StoreError>;
    /// The final block at `height` with its statements and, if there is one, its certificate, as in a dump.
    fn block(&self, height: Height) -> Result<Option<Vec<u8>>, StoreError>;
    /// The first checkpoint that holds the entry at `index` and that a quorum signed.
    fn cosigned(&self, index: u64) -> Result<Option<Cosigned>, StoreError>;
    /// Receipts that the newest signed checkpoint continues the log as it was at `size`; empty if there is none.
    fn consistency(&self, size: u64) -> Result<Vec<Vec<u8>>, StoreError>;
    /// That the log of `newer` entries continues the one of `older`.
    fn consistency_path(&self, older: u64, newer: u64) -> Result<ConsistencyPath, StoreError>;
    /// The newest checkpoint that witnesses outside the network cosigned too.
    fn witnessed(&self) -> Result<Option<Vec<u8>>, StoreError>;
    /// Keeps such a checkpoint, a signed note.
    fn keep_witnessed(&self, note: &[u8]) -> Result<(), StoreError>;
    /// The members, as of the last applied block.
    fn registry(&self) -> Arc<Registry>;
    /// What a verifier needs beside the genesis; `None` while nothing has changed.
    fn succession(&self) -> Result<Option<Succession>, StoreError>;
}

impl PublicLog for Chain {
    fn checkpoint(&self) -> Option<Vec<u8>> {
        self.0.checkpoints.published()
    }

    fn tile(&self, tile: &Tile) -> Result<Option<Vec<u8>>, StoreError> {
        let size = self.tip().log_size;
        match tile.content {
            Content::Hashes(_) => {
                let hashes = tile.hashes(size, &self.0.store);
                self.0
                    .met(hashes.map_err(|_| StoreError::Damaged("log hash")))
            }
            Content::Entries => self.bundle(tile, size),
        }
    }

    fn find(&self, key: StateKey) -> Result<Option<u64>, StoreError> {
        let position = self.0.store.position(key)?;
        let behind_tip = position.filter(|position| position.statement < self.tip().log_size);
        Ok(behind_tip.map(|position| position.statement))
    }

    fn is_waiting(&self, key: StateKey) -> bool {
        self.0.mempool().has_key(key)
    }

    fn entry(&self, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if index >= self.tip().log_size {
            return Ok(None);
        }
        let statement: Option<SubmittedStatement> = self.statement(index)?;
        Ok(statement.map(|statement| statement.envelope().to_vec()))
    }

    fn block(&self, height: Height) -> Result<Option<Vec<u8>>, StoreError> {
        if height.0 == 0 || height > self.tip().height {
            return Ok(None);
        }
        let (block, finality) = self.0.met(self.dumped(height))?;
        Ok(Some(dump::entry(&block, finality.as_ref())))
    }

    fn cosigned(&self, index: u64) -> Result<Option<Cosigned>, StoreError> {
        for row in self.0.store.checkpoints_from(index.saturating_add(1)) {
            let (size, row) = row?;
            if row.signatures.is_empty() {
                continue;
            }
            return Ok(Some(Cosigned {
                path: log::prove_inclusion(index, size, &self.0.store).map_err(damaged)?,
                root: row.root,
                signatures: row.signatures,
            }));
        }
        Ok(None)
    }

    fn consistency(&self, size: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let Some(newest) = self.newest_cosigned()? else {
            return Ok(Vec::new());
        };
        let Some(row) = self.0.store.checkpoint(newest)?.filter(|_| size <= newest) else {
            return Ok(Vec::new());
        };
        let path = log::prove_consistency(size, newest, &self.0.store).map_err(damaged)?;
        let proof = Proof::Consistency(path);
        let signatures = row.signatures.iter();
        Ok(signatures.map(|one| one.receipt(&proof)).collect())
    }

    fn consistency_path(&self, older: u64, newer: u64) -> Result<ConsistencyPath, StoreError> {
        log::prove_consistency(older, newer, &self.0.store).map_err(damaged)
    }

    fn witnessed(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.store.witnessed_checkpoint()
    }

    fn keep_witnessed(&self, note: &[u8]) -> Result<(), StoreError> {
        self.0.store.keep_witnessed_checkpoint(note)
    }

    fn registry(&self) -> Arc<Registry> {
        Self::registry(self)
    }

    fn succession(&self) -> Result<Option<Succession>, StoreError> {
        Self::succession(self)
    }
}

impl Chain {
    /// What convicts validators: their signatures under a log that is not the final one.
    pub fn contradictions(&self) -> Result<Vec<Cosignature>, StoreError> {
        self.0.store.contradictions()
    }

    fn newest_cosigned(&self) -> Result<Option<u64>, StoreError> {
        let note = self.0.checkpoints.published();
        let note = note.map(|note| ledger::checkpoint::SignedCheckpoint::decode(&note));
        note.transpose()
            .map(|note| note.map(|note| note.checkpoint.size))
            .map_err(|_| StoreError::Damaged("checkpoint"))
    }

    fn bundle(&self, tile: &Tile, size: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((start, end)) = tile.leaves().filter(|(_, end)| *end <= size) else {
            return Ok(None);
        };
        let entries = (start..end)
            .map(|index| self.entry(index)?.ok_or(StoreError::Damaged("statement")))
            .collect::<Result<Vec<_>, _>>()?;
        tile::bundle(&entries)
            .map(Some)
            .map_err(|_| StoreError::Damaged("statement"))
    }
}

/// The statement at `index` with the receipts of all members that signed; `None` while too few have.
pub fn transparent_statement(
    log: &dyn PublicLog,
    index: u64,
) -> Result<Option<Vec<u8>>, StoreError> {
    let (Some(entry), Some(cosigned)) = (log.entry(index)?, log.cosigned(index)?) else {
        return Ok(None);
    };
    scitt::transparent(&entry, &cosigned.receipts())
        .map(Some)
        .map_err(|_| StoreError::Damaged("statement"))
}

fn damaged(_: LogError) -> StoreError {
    StoreError::Damaged("log hash")
}
