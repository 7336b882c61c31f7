//! Pruning: bodies of other members' statements go when they are old; what proves this member's own never does.
//!
//! Headers, certificates, log hashes, the state, the registry and checkpoints stay, and so do this member's statements:
//! a receipt of its own needs nothing else.

use std::num::ParseIntError;
use std::str::FromStr;

use ledger::codec;
use ledger::ids::{Height, MemberName};

use super::rows::Keyspace;
use super::snapshot::member_of;
use super::store::{REMOVED, Removed, Store, StoreError, Tip, key};
use super::{Chain, Inner};

/// Blocks that are pruned when one is applied, so that a policy that was just set does not stop the chain.
const BLOCKS_AT_ONCE: usize = 8;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Blocks that are kept whatever is said: others that were away for a while, or that join, ask for them.
const BLOCKS_MIN: u64 = 1_000;

/// Which bodies of other members' statements a node keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keep {
    /// All.
    #[default]
    All,
    /// Those of the last blocks.
    Blocks(u64),
    /// Those of blocks that are younger, in milliseconds of block time.
    Milliseconds(u64),
}

/// Why a text says of nothing how long it is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeepError {
    /// It has another form.
    #[error("`{0}` is neither `all` nor a number of `blocks` or `days`")]
    Unknown(String),
    /// The number is none.
    #[error("how much is kept: {0}")]
    Number(#[from] ParseIntError),
    /// Others may still need more.
    #[error("at least {BLOCKS_MIN} blocks or one day are kept, for nodes that were away")]
    TooFew,
}

/// What a node keeps, and whose statements it keeps for ever.
pub(super) struct Pruning {
    keep: Keep,
    member: MemberName,
}

impl FromStr for Keep {
    type Err = KeepError;

    fn from_str(text: &str) -> Result<Self, KeepError> {
        if text == "all" {
            return Ok(Self::All);
        }
        let unknown = || KeepError::Unknown(text.to_owned());
        let (number, unit) = text.split_once(' ').ok_or_else(unknown)?;
        let number: u64 = number.parse()?;
        match unit {
            "blocks" | "block" if number >= BLOCKS_MIN => Ok(Self::Blocks(number)),
            "days" | "day" if number > 0 => Ok(Self::Milliseconds(number.saturating_mul(DAY_MS))),
            "blocks" | "block" | "days" | "day" => Err(KeepError::TooFew),
            _ => Err(unknown()),
        }
    }
}

impl Chain {
    /// From now on keeps of other members what `keep` says, and all of `member`. Said once; without it all is kept.
    pub fn keep(&self, keep: Keep, member: MemberName) {
        // The first word counts: what is removed does not come back.
        let _said = self.0.pruning.set(Pruning { keep, member });
    }

    /// The lowest height from which on all bodies are here.
    pub fn kept_from(&self) -> Result<Height, StoreError> {
        Ok(self.0.store.removed()?.height.next())
    }
}

impl Inner {
    /// Removes what the policy lets go.
    pub(super) fn prune(&self, tip: &Tip) -> Result<(), StoreError> {
        let Some(pruning) = self.pruning.get() else {
            return Ok(());
        };
        for _ in 0..BLOCKS_AT_ONCE {
            if !self.store.prune_next(pruning, tip)? {
                break;
            }
        }
        Ok(())
    }
}

impl Store {
    /// Removes the bodies of the oldest block that has some, if the policy lets it go; says whether it did.
    fn prune_next(&self, pruning: &Pruning, tip: &Tip) -> Result<bool, StoreError> {
        let removed = self.removed()?;
        let height = removed.height.next();
        let is_kept = |age_blocks: u64| match pruning.keep {
            Keep::All => true,
            Keep::Blocks(blocks) => age_blocks < blocks,
            Keep::Milliseconds(_) => false,
        };
        let Some(age_blocks) = tip.height.0.checked_sub(height.0).filter(|age| *age > 0) else {
            return Ok(false);
        };
        if is_kept(age_blocks) {
            return Ok(false);
        }
        let block = self.block(height)?.ok_or(StoreError::Damaged("block"))?;
        if let Keep::Milliseconds(age) = pruning.keep
            && tip.time.0.saturating_sub(block.header.time.0) < age
        {
            return Ok(false);
        }
        let mut batch = self.0.batch();
        for row in self.statements_between(removed.log_size, block.header.log_size) {
            let (index, _, statement) = row?;
            if *member_of(&statement)?.member() != pruning.member {
                batch.remove_once(Keyspace::Statements, &key(index));
            }
        }
        let removed = Removed {
            height,
            log_size: block.header.log_size,
        };
        batch.insert(Keyspace::Tip, REMOVED, &codec::encode(&removed));
        batch.commit(false)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_said_in_words() {
        assert_eq!("all".parse(), Ok(Keep::All));
        assert_eq!("2000 blocks".parse(), Ok(Keep::Blocks(2_000)));
        assert_eq!("30 days".parse(), Ok(Keep::Milliseconds(30 * DAY_MS)));
        assert_eq!("999 blocks".parse::<Keep>(), Err(KeepError::TooFew));
        assert_eq!("0 days".parse::<Keep>(), Err(KeepError::TooFew));
        let unknown = "30 years".parse::<Keep>();
        assert_eq!(unknown, Err(KeepError::Unknown("30 years".to_owned())));
        assert!(matches!(
            "x days".parse::<Keep>(),
            Err(KeepError::Number(_))
        ));
    }
}
