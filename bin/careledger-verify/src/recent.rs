//! `--checkpoint`: what is checked stands in the very log that a checkpoint of the auditor's own is of.
//!
//! The keys of former validators can sign another history than the one that was. Nobody can have it cosigned by
//! witnesses who have seen the real one: a log that leads to their checkpoint, or continues it, is that one.

use ledger::checkpoint::SignedCheckpoint;
use ledger::ids::Digest;
use ledger::log::ConsistencyPath;
use ledger::receipt::Receipt;
use ledger::scitt::{CoseReceipt, Proof};

use crate::checkpoint::{Asked, accepted};
use crate::failure::Failure;

/// A state of the log that somebody vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) size: u64,
    pub(crate) root: Digest,
}

/// The auditor's checkpoint, and how other states of the log hang together with it.
#[derive(Debug)]
pub(crate) struct Recent {
    checkpoint: View,
    paths: Vec<ConsistencyPath>,
}

impl View {
    /// What a verified receipt shows: the log at its header, and at the checkpoint that members signed.
    pub(crate) fn of(receipt: &Receipt) -> Vec<Self> {
        let header = Self {
            size: receipt.header.log_size,
            root: receipt.header.log_root,
        };
        let cosigned = receipt.cosigned.as_ref().map(|cosigned| Self {
            size: cosigned.path.size,
            root: cosigned.root,
        });
        std::iter::once(header).chain(cosigned).collect()
    }
}

impl Recent {
    /// Checks the auditor's checkpoint; `consistency` are COSE Receipts whose paths alone count.
    pub(crate) fn read(
        note: &[u8],
        asked: &[Asked],
        consistency: &[Vec<u8>],
    ) -> Result<Self, Failure> {
        let SignedCheckpoint { checkpoint, .. } = accepted(note, asked)?.0;
        let path = |bytes: &Vec<u8>| {
            let receipt = CoseReceipt::decode(bytes);
            let receipt = receipt.map_err(|error| Failure::new("consistency", error))?;
            match receipt.proof {
                Proof::Consistency(path) => Ok(path),
                Proof::Inclusion(_) => {
                    let message = "a receipt given for consistency is of inclusion";
                    Err(Failure::new("consistency", message))
                }
            }
        };
        Ok(Self {
            checkpoint: View {
                size: checkpoint.size,
                root: checkpoint.root,
            },
            paths: consistency.iter().map(path).collect::<Result<_, _>>()?,
        })
    }

    /// How many statements the checkpoint's log holds.
    pub(crate) fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// Whether one of `views`, which are all of one log, is shown to be of the checkpoint's log.
    pub(crate) fn compare(&self, views: &[View]) -> Result<(), Failure> {
        let mut is_shown = false;
        for view in views {
            is_shown |= self.compare_one(view)?;
        }
        if is_shown {
            return Ok(());
        }
        let pinned = self.checkpoint.size;
        let needed = |view: &View| {
            let (older, newer) = (view.size.min(pinned), view.size.max(pinned));
            format!("from {older} to {newer}")
        };
        let needed: Vec<_> = views.iter().map(needed).collect();
        let message = format!(
            "nothing shows that this log and the checkpoint's, of {pinned} statements, are one: a receipt of \
             consistency {} is missing (--consistency)",
            needed.join(", or ")
        );
        Err(Failure::new("consistency-proof-missing", message))
    }

    /// Whether it is shown; an error if it is shown to be of another log.
    fn compare_one(&self, view: &View) -> Result<bool, Failure> {
        let pinned = &self.checkpoint;
        if view.size == pinned.size {
            if view.root == pinned.root {
                return Ok(true);
            }
            let size = view.size;
            let message = format!(
                "of the log of {size} statements, this shows another than the checkpoint: `careledger-verify fault` \
                 names whoever signed both"
            );
            return Err(Failure::new("split-view", message));
        }
        let (older, newer) = if view.size < pinned.size {
            (view, pinned)
        } else {
            (pinned, view)
        };
        let fits = |path: &&ConsistencyPath| (path.older, path.newer) == (older.size, newer.size);
        let Some(path) = self.paths.iter().find(fits) else {
            return Ok(false);
        };
        path.verify(older.root, newer.root)
            .map_err(|error| Failure::new("consistency-proof", error))?;
        Ok(true)
    }
}
