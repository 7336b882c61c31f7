//! Replay: a whole ledger computed again from its genesis, to check what its validators signed.
//!
//! # Invariants
//! - **R1** Nothing is taken from a header: each of its fields is what follows from the genesis and the statements,
//!   but for the time, which only has to grow.
//! - **R2** What follows the last certified block is not final, and a replay does not end with it.

use ledger::block::{Block, Header, body_of};
use ledger::finality::{FinalityCertificate, FinalityError};
use ledger::genesis::Genesis;
use ledger::ids::{BlockTime, Digest, Height, NetworkId};
use ledger::limits::{BLOCK_BYTES_MAX, BLOCK_ITEMS_MAX};
use ledger::log::{Empty, LogAppend, leaf_hash};
use ledger::state::{MemoryState, StateKey, StateRoot};
use ledger::statement::{StatementError, SubmittedStatement};

use crate::machine::{self, Context, Draft, Signature};
use crate::membership::{MembershipError, Registry};
use crate::rejection::Rejection;

/// A ledger up to some block.
#[derive(Debug)]
pub struct Replay {
    network: NetworkId,
    registry: Registry,
    tip: Header,
    certified: Height,
    log: LogAppend,
    state: MemoryState,
    items: u64,
}

/// What a replay has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The last block's header.
    pub tip: Header,
    /// Items in all statements.
    pub items: u64,
}

/// Where a ledger is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("block {height}: {kind}")]
pub struct Fault {
    /// The block.
    pub height: Height,
    /// What is wrong with it.
    pub kind: FaultKind,
}

/// What is wrong with a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// It is of another network.
    #[error("it is of another network")]
    OtherNetwork,
    /// A block is missing before it, or comes twice.
    #[error("it is not the next block")]
    NotTheNextBlock,
    /// It does not follow the block before it.
    #[error("its parent is not the block before it")]
    OtherParent,
    /// Its time is not after its parent's.
    #[error("its time is not after its parent's")]
    TimeNotGreater,
    /// It names another validator set.
    #[error("its validators are not those that the members decided on")]
    OtherValidators,
    /// Its statements are not those of the header.
    #[error("its statements are not those that the header commits to")]
    OtherBody,
    /// It has more items or bytes than a block may have.
    #[error("it is larger than a block may be")]
    TooLarge,
    /// A statement is malformed.
    #[error("statement {0}: {1}")]
    StatementMalformed(usize, StatementError),
    /// A statement breaks a rule.
    #[error("statement {0}: {1}")]
    StatementRejected(usize, Rejection),
    /// The log does not follow from the statements.
    #[error("its log root does not follow from the statements")]
    LogRootDiffers,
    /// The state does not follow from the statements.
    #[error("its state root does not follow from the statements")]
    StateRootDiffers,
    /// Its certificate proves nothing.
    #[error("{0}")]
    NotFinal(FinalityError),
    /// No certificate covers it.
    #[error("no certificate shows that it is final")]
    Uncertified,
}

impl Replay {
    /// The ledger as `genesis` founds it.
    pub fn new(genesis: &Genesis) -> Result<Self, MembershipError> {
        Ok(Self {
            network: genesis.network(),
            registry: Registry::from_genesis(genesis)?,
            tip: Block::genesis(genesis).header,
            certified: Height(0),
            log: LogAppend::after(0),
            state: MemoryState::default(),
            items: 0,
        })
    }

    /// The members after the last block.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Computes the next block and compares.
    pub fn apply(
        mut self,
        block: &Block,
        finality: Option<&FinalityCertificate>,
    ) -> Result<Self, Fault> {
        let height = self.tip.height.next();
        match self.check(block, finality) {
            Ok(()) => Ok(self),
            Err(kind) => Err(Fault { height, kind }),
        }
    }

    /// Ends with the last block, which has to be certified (R2).
    pub fn finish(self) -> Result<Replayed, Fault> {
        if self.certified != self.tip.height {
            return Err(Fault {
                height: self.certified.next(),
                kind: FaultKind::Uncertified,
            });
        }
        Ok(Replayed {
            tip: self.tip,
            items: self.items,
        })
    }

    fn check(
        &mut self,
        block: &Block,
        finality: Option<&FinalityCertificate>,
    ) -> Result<(), FaultKind> {
        let header = &block.header;
        self.check_place(header)?;
        let body = body_of(&block.statements);
        if Digest::of(&body) != header.body {
            return Err(FaultKind::OtherBody);
        }
        let statements = block.statements.iter().enumerate().map(|(at, bytes)| {
            SubmittedStatement::decode(bytes).map_err(|e| FaultKind::StatementMalformed(at, e))
        });
        let statements: Vec<_> = statements.collect::<Result<_, _>>()?;
        let items = statements.iter().map(|one| one.items().len());
        let items: usize = items.sum();
        if body.len() > BLOCK_BYTES_MAX || items > BLOCK_ITEMS_MAX {
            return Err(FaultKind::TooLarge);
        }
        let entries = self.judge(&statements, (header.height, header.time))?;
        if header.validators != self.registry.validators_digest(header.height) {
            return Err(FaultKind::OtherValidators);
        }
        if header.log_size != self.log.size() || self.log.root(&Empty) != Ok(header.log_root) {
            return Err(FaultKind::LogRootDiffers);
        }
        if self.state_after(entries) != Some(header.state_root) {
            return Err(FaultKind::StateRootDiffers);
        }
        if let Some(finality) = finality {
            if finality.epoch != header.epoch.0 {
                return Err(FaultKind::NotFinal(FinalityError::OtherEpoch));
            }
            finality
                .verify(
                    self.network,
                    self.registry.validators(header.epoch),
                    header.digest(),
                )
                .map_err(FaultKind::NotFinal)?;
            self.certified = header.height;
        }
        self.tip = header.clone();
        self.items = self
            .items
            .saturating_add(u64::try_from(items).unwrap_or(u64::MAX));
        Ok(())
    }

    fn check_place(&self, header: &Header) -> Result<(), FaultKind> {
        let broken = [
            (header.network != self.network, FaultKind::OtherNetwork),
            (
                header.height != self.tip.height.next(),
                FaultKind::NotTheNextBlock,
            ),
            (header.parent != self.tip.digest(), FaultKind::OtherParent),
            (header.time <= self.tip.time, FaultKind::TimeNotGreater),
            (
                header.epoch != self.registry.rules().epoch_of(header.height),
                FaultKind::OtherValidators,
            ),
        ];
        let first = broken.into_iter().find(|(is_broken, _)| *is_broken);
        first.map_or(Ok(()), |(_, kind)| Err(kind))
    }

    /// Judges the statements, appends them to the log, and says what they add to the state.
    fn judge(
        &mut self,
        statements: &[SubmittedStatement],
        (height, time): (Height, BlockTime),
    ) -> Result<Vec<(StateKey, Vec<u8>)>, FaultKind> {
        let context = Context {
            network: self.network,
            height,
            time,
            registry: &self.registry,
        };
        let mut draft = Draft::default();
        let mut entries = Vec::new();
        for (at, statement) in statements.iter().enumerate() {
            let keys = machine::plan(statement);
            let used = keys.iter().filter(|key| self.state.contains(**key));
            draft.used.extend(used);
            machine::decide(&context, statement, Signature::Unchecked, &keys, &mut draft)
                .map_err(|rejection| FaultKind::StatementRejected(at, rejection))?;
            let index = self
                .log
                .push(leaf_hash(statement.envelope()), &Empty)
                .map_err(|_| FaultKind::LogRootDiffers)?;
            entries.extend(machine::entries(&keys, index));
        }
        if let Some(registry) = draft.finish(&self.registry) {
            entries.push(registry.entry());
            self.registry = registry;
        }
        Ok(entries)
    }

    fn state_after(&mut self, entries: Vec<(StateKey, Vec<u8>)>) -> Option<StateRoot> {
        if entries.is_empty() {
            Some(self.tip.state_root)
        } else {
            self.state.insert(entries).ok()
        }
    }
}
