//! Which epoch a block belongs to.

use commonware_consensus::types::FixedEpocher;
use std::num::NonZeroU64;

/// Epochs of a fixed number of blocks, numbered from zero; genesis counts as the first block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calendar(u64);

impl Calendar {
    /// An epoch has two blocks at least, as the settings are checked for.
    pub(super) fn new(epoch_blocks: u64) -> Self {
        Self(epoch_blocks.max(2))
    }

    /// The epoch of the block at `height`.
    pub(super) fn epoch_of(self, height: u64) -> u64 {
        height / self.0
    }

    /// The epoch of the block after the one at `height`.
    pub(super) fn epoch_after(self, height: u64) -> u64 {
        self.epoch_of(height.saturating_add(1))
    }

    /// Height of the last block of `epoch`.
    pub(super) fn last(self, epoch: u64) -> u64 {
        let blocks = epoch.saturating_add(1).saturating_mul(self.0);
        blocks - 1
    }

    /// Height of the block that `epoch` builds on: the last one of the epoch before, or genesis.
    pub(super) fn root(self, epoch: u64) -> u64 {
        epoch.checked_sub(1).map_or(0, |before| self.last(before))
    }

    /// The same for the library.
    pub(super) fn epocher(self) -> FixedEpocher {
        FixedEpocher::new(NonZeroU64::MIN.saturating_add(self.0 - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_starts_after_the_last_block_of_the_one_before() {
        let calendar = Calendar::new(8);
        assert_eq!((calendar.root(0), calendar.last(0)), (0, 7));
        assert_eq!((calendar.root(1), calendar.last(1)), (7, 15));
        assert_eq!((calendar.epoch_of(7), calendar.epoch_after(7)), (0, 1));
        assert_eq!((calendar.epoch_of(8), calendar.epoch_after(8)), (1, 1));
    }
}
