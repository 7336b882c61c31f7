//! In which epochs this node may vote, and where the votes of each are kept.
//!
//! A vote is written down before it is sent, so that a restarted validator does not contradict
//! itself. Where that record is gone, because the epoch is long final or because the directory was
//! lost, the node must not vote.

use super::{calendar::Calendar, wiring::Runtime};
use commonware_runtime::Error as RuntimeError;
use commonware_storage::metadata::{self, Error as MetadataError, Metadata};
use commonware_utils::sequence::U64;
use thiserror::Error;

/// Why the record of epochs failed.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The list of epochs could not be read or written.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// Votes of an epoch long final could not be removed.
    #[error(transparent)]
    Storage(#[from] RuntimeError),
}

/// Epochs entered and not yet forgotten, each with whether this node may vote there.
pub(super) struct Journals<E: Runtime> {
    context: E,
    partition: String,
    entered: Metadata<E, U64, bool>,
    /// The last epoch in which this node may have voted without a record.
    lost: Option<u64>,
}

impl<E: Runtime> Journals<E> {
    /// Reads the record; `applied` is the height of the application's last block.
    pub(super) async fn open(
        context: E,
        partition: String,
        calendar: Calendar,
        applied: u64,
    ) -> Result<Self, JournalError> {
        let settings = metadata::Config {
            partition: format!("{partition}-epochs"),
            codec_config: (),
        };
        let entered = Metadata::init(context.child("epochs"), settings).await?;
        let mut journals = Self {
            context,
            partition,
            entered,
            lost: None,
        };
        // A block is final here only after its epoch was entered, so an application that is ahead
        // of this record tells that the record is not the last one.
        if applied > 0 && journals.newest() < Some(calendar.epoch_of(applied)) {
            tracing::warn!(
                "there is no record of this epoch's votes, for the node has joined in its middle or lost the engine's \
                 directory: no votes before the next epoch"
            );
            journals.lost = Some(calendar.epoch_after(applied));
        }
        Ok(journals)
    }

    /// Notes that `epoch` is entered, durably, and says whether this node may vote there.
    pub(super) async fn enter(mut self, epoch: u64) -> Result<(Self, bool), JournalError> {
        let key = U64::new(epoch);
        if let Some(may_vote) = self.entered.get(&key) {
            let may_vote = *may_vote;
            return Ok((self, may_vote));
        }
        let may_vote = Some(epoch) > self.newest() && Some(epoch) > self.lost;
        self.entered = self.entered.put_sync(key, may_vote).await?;
        Ok((self, may_vote))
    }

    /// Removes the votes of the epochs before `epoch`, in which this node votes no more.
    pub(super) async fn forget(mut self, epoch: u64) -> Result<Self, JournalError> {
        let before = |key: &&U64| u64::from(*key) < epoch;
        let old: Vec<U64> = self.entered.keys().filter(before).cloned().collect();
        if old.is_empty() {
            return Ok(self);
        }
        for key in &old {
            self.entered.put(key.clone(), false);
        }
        self.entered = self.entered.sync().await?;
        for key in &old {
            match self.context.remove(&self.name(key.into()), None).await {
                Ok(()) | Err(RuntimeError::PartitionMissing(_)) => {}
                Err(error) => return Err(error.into()),
            }
            self.entered.remove(key);
        }
        self.entered = self.entered.sync().await?;
        Ok(self)
    }

    /// Where the votes of `epoch` are kept.
    pub(super) fn name(&self, epoch: u64) -> String {
        format!("{}-consensus-{epoch}", self.partition)
    }

    fn newest(&self) -> Option<u64> {
        self.entered.keys().map(u64::from).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_runtime::{Runner as _, Storage as _, Supervisor as _, deterministic};

    async fn open(
        context: &deterministic::Context,
        applied: u64,
    ) -> Journals<deterministic::Context> {
        let calendar = Calendar::new(8);
        let context = context.child("journals");
        let journals = Journals::open(context, "votes".to_owned(), calendar, applied);
        journals.await.unwrap()
    }

    #[test]
    fn an_epoch_is_voted_in_again_only_while_its_votes_are_kept() {
        deterministic::Runner::default().start(|context| async move {
            let mut journals = open(&context, 0).await;
            for epoch in 0..3 {
                let may_vote;
                (journals, may_vote) = journals.enter(epoch).await.unwrap();
                assert!(may_vote);
                let partition = journals.name(epoch);
                let (blob, _) = context.open(&partition, b"vote").await.unwrap();
                drop(blob);
            }
            drop(journals.forget(2).await.unwrap());
            for (epoch, kept) in [(0, false), (1, false), (2, true)] {
                let journals = open(&context, 16).await;
                let votes = context.scan(&journals.name(epoch)).await;
                assert_eq!(votes.is_ok(), kept);
                let (_, may_vote) = journals.enter(epoch).await.unwrap();
                assert_eq!(may_vote, kept);
            }
        });
    }

    #[test]
    fn a_node_that_lost_its_votes_waits_for_the_next_epoch() {
        deterministic::Runner::default().start(|context| async move {
            // Block 20 is of epoch two, in which this node may have voted.
            for (epoch, expected) in [(0, false), (2, false), (3, true)] {
                let journals = open(&context, 20).await;
                let (_, may_vote) = journals.enter(epoch).await.unwrap();
                assert_eq!(may_vote, expected, "epoch {epoch}");
            }
        });
    }
}
