//! The test of the tests: each deliberately broken rule is found within a stated number of seeds.

use sim::network::check::Violation;
use sim::network::plan::Plan;

use crate::campaign::attempt;
use crate::disk::Flaw;
use crate::player::Role;
use crate::world::Mutation;

/// Runs seeds until the broken rule is found, and says with which one.
fn found(mutation: Mutation, seeds: u64, is_it: impl Fn(&Violation) -> bool) {
    for seed in 0..seeds {
        let Some(outcome) = attempt(&Plan::draw(seed), Some(mutation)) else {
            continue;
        };
        if let Some(violation) = outcome.violations.iter().find(|one| is_it(one)) {
            let count = seed + 1;
            println!("{mutation:?}: found with seed {count} of at most {seeds}: {violation}");
            return;
        }
    }
    panic!("{mutation:?} is not found within {seeds} seeds");
}

#[test]
fn a_store_that_forgets_tags_is_found() {
    found(Mutation::Store(Flaw::ForgetsTags), 5, |violation| {
        matches!(violation, Violation::TagTwice(..))
    });
}

#[test]
fn a_store_that_acknowledges_before_it_is_durable_is_found() {
    found(Mutation::Store(Flaw::AcknowledgesEarly), 5, |violation| {
        matches!(violation, Violation::Lost(..))
    });
}

#[test]
fn a_store_that_tears_batches_is_found() {
    found(Mutation::Store(Flaw::TearsBatches), 20, |violation| {
        matches!(violation, Violation::Stopped(..) | Violation::Lost(..))
    });
}

#[test]
fn a_log_that_is_not_append_only_is_found() {
    found(Mutation::Store(Flaw::SpoilsHashes), 5, |violation| {
        matches!(
            violation,
            Violation::LogNotAppended(..) | Violation::Stopped(..)
        )
    });
}

#[test]
fn validators_that_believe_every_proposal_are_found() {
    found(Mutation::Play(Role::Believer), 20, |violation| {
        matches!(
            violation,
            Violation::Stopped(..) | Violation::AheadOfTime(..) | Violation::NotReplayed(..)
        )
    });
}

#[test]
fn validators_that_believe_every_time_are_found() {
    found(Mutation::Play(Role::Timeless), 30, |violation| {
        matches!(violation, Violation::AheadOfTime(..))
    });
}

#[test]
fn validators_that_forget_their_votes_are_found() {
    found(Mutation::ForgetVotes, 10, |violation| {
        matches!(violation, Violation::Contradiction(..))
    });
}

#[test]
fn validators_that_propose_nothing_are_found() {
    found(Mutation::Play(Role::Idle), 1, |violation| {
        matches!(violation, Violation::Stuck(..) | Violation::NotFinal(..))
    });
}
