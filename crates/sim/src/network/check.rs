//! What has to hold of the ledgers that honest validators have at the end of a run.

use std::collections::BTreeMap;

use contracts::replay::Replay;
use ledger::block::Block;
use ledger::dump::DumpedBlock;
use ledger::genesis::Genesis;
use ledger::ids::{Digest, Height};
use ledger::statement::SubmittedStatement;

use super::model::{Tags, log_root};

/// The final blocks of one validator, from height one.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// The validator.
    pub validator: usize,
    /// Its blocks.
    pub blocks: Vec<DumpedBlock>,
    /// The registry that it has after them.
    pub registry: Vec<u8>,
}

/// The registry that a validator had at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Enrolled {
    /// The validator.
    pub validator: usize,
    /// The last block that it had applied.
    pub height: Height,
    /// Digest of the registry's bytes.
    pub registry: Digest,
}

/// A checkpoint that a validator published at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Published {
    /// The validator.
    pub validator: usize,
    /// Size of the log.
    pub size: u64,
    /// Its root.
    pub root: Digest,
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Two validators have different final blocks.
    #[error("validators {0} and {1} have different blocks at height {2}")]
    Disagreement(usize, usize, Height),
    /// A member used a tag twice.
    #[error("at height {1} validator {0} has a tag that its member used before: {2}")]
    TagTwice(usize, Height, String),
    /// A log root is not that of the statements so far.
    #[error("validator {0} has a log root at height {1} that does not follow from the log")]
    LogNotAppended(usize, Height),
    /// A ledger does not replay.
    #[error("the ledger of validator {0} does not replay: {1}")]
    NotReplayed(usize, String),
    /// A validator had another registry than what follows from the ledger.
    #[error("validator {0} had a registry at height {1} that does not follow from the ledger")]
    OtherRegistry(usize, Height),
    /// What was acknowledged as final is gone.
    #[error("validator {0} lost what it had acknowledged: {1}")]
    Lost(usize, String),
    /// A validator that follows the rules voted against itself.
    #[error("validator {0} voted against itself in epoch and view {1:?}: {2}")]
    Contradiction(usize, (u64, u64), &'static str),
    /// A validator that follows the rules stopped, and no fault of the plan explains it.
    #[error("validator {0} stopped: {1}")]
    Stopped(usize, String),
    /// A validator that follows the rules found a block invalid that became final.
    #[error("validator {0} refused the block at height {1}, which became final")]
    Refused(usize, Height),
    /// A block was final before its time.
    #[error("validator {0} has a block at height {1} that is {2} ms ahead of all clocks")]
    AheadOfTime(usize, Height, u64),
    /// A receipt does not verify, or cannot be made.
    #[error("validator {0} has no valid receipt of a final item: {1}")]
    NoReceipt(usize, String),
    /// Two validators, or one at two times, published different logs.
    #[error("validators {0} and {1} published different checkpoints of {2} entries")]
    SplitView(usize, usize, u64),
    /// A published checkpoint is not of the final log, or is not signed as it has to be.
    #[error("validator {0} published a checkpoint of {1} entries that is wrong: {2}")]
    WrongCheckpoint(usize, u64, String),
    /// What is final is under no published checkpoint though all faults are over.
    #[error("validator {0} publishes no checkpoint over entry {1}")]
    NotPublished(usize, u64),
    /// A validator that follows the rules is said to have signed another log than the final one.
    #[error("validator {0} holds a proof against the signatures of {1}, which follows the rules")]
    Convicted(usize, String),
    /// What no rule permits became final, or was taken.
    #[error("validator {0} took what no rule permits: {1}")]
    Taken(usize, String),
    /// Validators make no progress though all faults are over.
    #[error("validator {0} stands still at height {1}")]
    Stuck(usize, Height),
    /// A valid statement does not become final though all faults are over.
    #[error("statement {0} is not final at validator {1}")]
    NotFinal(usize, usize),
    /// What members decided has no effect though all faults are over.
    #[error("at validator {0}, what members saw to is not done: {1}")]
    NotGoverned(usize, String),
    /// The same seed gave another run.
    #[error("the same seed gave two different runs")]
    NotRepeatable,
}

/// Checks each ledger by itself and against the others.
pub fn check(genesis: &Genesis, ledgers: &[Ledger]) -> Vec<Violation> {
    let mut violations: Vec<Violation> = disagreements(ledgers).into_iter().collect();
    for ledger in ledgers {
        violations.extend(rules(ledger));
        violations.extend(replay(genesis, ledger).err());
    }
    violations
}

/// Checks that each validator had, at each height, the registry that follows from the longest ledger.
pub fn check_enrolled(
    genesis: &Genesis,
    ledgers: &[Ledger],
    enrolled: &[Enrolled],
) -> Option<Violation> {
    let longest = ledgers.iter().max_by_key(|ledger| ledger.blocks.len())?;
    // A ledger that does not replay is found without this.
    let registries = replay(genesis, longest).ok()?;
    let other = enrolled.iter().find(|one| {
        let mut before = registries.range(..=one.height);
        let expected = before.next_back().map(|(_, registry)| registry);
        expected != Some(&one.registry)
    })?;
    Some(Violation::OtherRegistry(other.validator, other.height))
}

/// Checks that whatever was published is the log of the ledgers, as it was at some time.
pub fn check_published(ledgers: &[Ledger], published: &[Published]) -> Option<Violation> {
    let longest = ledgers.iter().max_by_key(|ledger| ledger.blocks.len())?;
    let log: Vec<Vec<u8>> = statements(longest)
        .iter()
        .map(|(_, statement)| statement.envelope().to_vec())
        .collect();
    let mut seen: BTreeMap<u64, &Published> = BTreeMap::new();
    for one in published {
        let first = seen.entry(one.size).or_insert(one);
        if first.root != one.root {
            return Some(Violation::SplitView(
                first.validator,
                one.validator,
                one.size,
            ));
        }
        let size = usize::try_from(one.size).unwrap_or(usize::MAX);
        if log.get(..size).map(log_root) != Some(one.root) {
            let why = "it is not of the final log".to_owned();
            return Some(Violation::WrongCheckpoint(one.validator, one.size, why));
        }
    }
    None
}

/// The final statements of a ledger, in order.
pub fn statements(ledger: &Ledger) -> Vec<(Height, SubmittedStatement)> {
    let mut statements = Vec::new();
    for DumpedBlock { block, .. } in &ledger.blocks {
        let decoded = block.statements.iter().map(|bytes| {
            let statement = SubmittedStatement::decode(bytes).ok()?;
            Some((block.header.height, statement))
        });
        statements.extend(decoded.flatten());
    }
    statements
}

fn disagreements(ledgers: &[Ledger]) -> Option<Violation> {
    let mut seen: BTreeMap<Height, (usize, Digest)> = BTreeMap::new();
    for ledger in ledgers {
        for DumpedBlock { block, .. } in &ledger.blocks {
            let own = (ledger.validator, block.header.digest());
            let first = seen.entry(block.header.height).or_insert(own);
            if first.1 != own.1 {
                let height = block.header.height;
                return Some(Violation::Disagreement(first.0, own.0, height));
            }
        }
    }
    None
}

/// The rules of tags and log by their definitions, whatever the contracts say.
fn rules(ledger: &Ledger) -> Option<Violation> {
    let (mut tags, mut log) = (Tags::default(), Vec::new());
    let mut root = log_root::<Vec<u8>>(&[]);
    for DumpedBlock { block, .. } in &ledger.blocks {
        let Block { header, statements } = block;
        for bytes in statements {
            let Ok(statement) = SubmittedStatement::decode(bytes) else {
                let what = "a statement that does not decode".to_owned();
                return Some(Violation::Taken(ledger.validator, what));
            };
            if let Err(twice) = tags.record(&statement) {
                let tag = format!("{} {}", twice.member, twice.tag);
                return Some(Violation::TagTwice(ledger.validator, header.height, tag));
            }
            log.push(statement.envelope().to_vec());
        }
        let size = u64::try_from(log.len()).unwrap_or(u64::MAX);
        if !statements.is_empty() {
            root = log_root(&log);
        }
        if header.log_size != size || header.log_root != root {
            return Some(Violation::LogNotAppended(ledger.validator, header.height));
        }
    }
    None
}

/// Replays a ledger; gives the digests of its registries, by the heights at which they changed.
fn replay(genesis: &Genesis, ledger: &Ledger) -> Result<BTreeMap<Height, Digest>, Violation> {
    let fault = |why: String| Violation::NotReplayed(ledger.validator, why);
    let mut replay = Replay::new(genesis).map_err(|error| fault(error.to_string()))?;
    let mut registries = BTreeMap::new();
    let mut last = Height(0);
    for DumpedBlock { block, finality } in &ledger.blocks {
        registries.entry(last).or_insert_with(|| digest_of(&replay));
        let revision = replay.registry().revision();
        replay = replay
            .apply(block, finality.as_ref())
            .map_err(|found| fault(found.to_string()))?;
        if replay.registry().revision() != revision {
            last = block.header.height;
        }
    }
    registries.entry(last).or_insert_with(|| digest_of(&replay));
    if replay.registry().encode() != ledger.registry {
        let height = ledger.blocks.last().map(|last| last.block.header.height);
        let height = height.unwrap_or(Height(0));
        return Err(Violation::OtherRegistry(ledger.validator, height));
    }
    Ok(registries)
}

fn digest_of(replay: &Replay) -> Digest {
    Digest::of(&replay.registry().encode())
}
