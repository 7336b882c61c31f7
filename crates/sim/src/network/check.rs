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
    /// What was acknowledged as final is gone.
    #[error("validator {0} lost what it had acknowledged: {1}")]
    Lost(usize, String),
    /// A validator that follows the rules voted against itself.
    #[error("validator {0} voted against itself in view {1}: {2}")]
    Contradiction(usize, u64, &'static str),
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
    /// What no rule permits became final, or was taken.
    #[error("validator {0} took what no rule permits: {1}")]
    Taken(usize, String),
    /// Validators make no progress though all faults are over.
    #[error("validator {0} stands still at height {1}")]
    Stuck(usize, Height),
    /// A valid statement does not become final though all faults are over.
    #[error("statement {0} is not final at validator {1}")]
    NotFinal(usize, usize),
    /// The same seed gave another run.
    #[error("the same seed gave two different runs")]
    NotRepeatable,
}

/// Checks each ledger by itself and against the others.
pub fn check(genesis: &Genesis, ledgers: &[Ledger]) -> Vec<Violation> {
    let mut violations: Vec<Violation> = disagreements(ledgers).into_iter().collect();
    for ledger in ledgers {
        violations.extend(rules(ledger));
        violations.extend(replay(genesis, ledger));
    }
    violations
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

fn replay(genesis: &Genesis, ledger: &Ledger) -> Option<Violation> {
    let fault = |why: String| Some(Violation::NotReplayed(ledger.validator, why));
    let mut replay = match Replay::new(genesis) {
        Ok(replay) => replay,
        Err(error) => return fault(error.to_string()),
    };
    for DumpedBlock { block, finality } in &ledger.blocks {
        replay = match replay.apply(block, finality.as_ref()) {
            Ok(replay) => replay,
            Err(found) => return fault(found.to_string()),
        };
    }
    None
}
