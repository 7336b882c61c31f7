//! The test of the tests: each deliberately broken rule is found within a stated number of seeds.

use sim::network::check::Violation;
use sim::network::motion::MotionKind;
use sim::network::plan::{Fault, FaultKind, Plan, Treason};

use crate::campaign::attempt;
use crate::disk::Flaw;
use crate::player::Role;
use crate::world::Mutation;

/// Draws plans that `may_show` it until the broken rule is found, and says with which one it was.
fn found(
    mutation: Mutation,
    plans_max: usize,
    may_show: impl Fn(&Plan) -> bool,
    is_it: impl Fn(&Violation) -> bool,
) {
    let plans = (0..).map(Plan::draw).filter(may_show);
    for (before, plan) in plans.take(plans_max).enumerate() {
        let Some(outcome) = attempt(&plan, Some(mutation)) else {
            continue;
        };
        if let Some(violation) = outcome.violations.iter().find(|one| is_it(one)) {
            let (seed, count) = (plan.seed, before + 1);
            println!("{mutation:?}: found by run {count} of at most {plans_max} (seed {seed})");
            let what = violation.to_string();
            println!("  {}", what.chars().take(160).collect::<String>());
            return;
        }
        for violation in &outcome.violations {
            println!("seed {}, not what is looked for: {violation}", plan.seed);
        }
    }
    panic!("{mutation:?} is not found in {plans_max} runs");
}

fn any(_: &Plan) -> bool {
    true
}

/// Nothing is torn where no write is cut off.
fn loses_power(plan: &Plan) -> bool {
    let cut = |fault: &&Fault| matches!(fault.kind, FaultKind::CrashAtWrite { .. });
    plan.faults.iter().filter(cut).count() > 2
}

/// Nobody is misled where nobody lies.
fn has_liar(plan: &Plan) -> bool {
    let mut treasons = plan.traitors.values();
    treasons.any(|treason| *treason == Treason::Liar)
}

/// Nothing is ignored where nobody comes or goes.
fn changes_validators(plan: &Plan) -> bool {
    let mut kinds = plan.motions.iter().map(|motion| motion.kind);
    kinds.any(|kind| matches!(kind, MotionKind::Rotation(_) | MotionKind::Departure { .. }))
}

#[test]
fn a_store_that_forgets_tags_is_found() {
    found(Mutation::Store(Flaw::ForgetsTags), 5, any, |violation| {
        matches!(violation, Violation::TagTwice(..))
    });
}

#[test]
fn a_store_that_acknowledges_before_it_is_durable_is_found() {
    found(
        Mutation::Store(Flaw::AcknowledgesEarly),
        5,
        any,
        |violation| matches!(violation, Violation::Lost(..)),
    );
}

#[test]
fn a_store_that_tears_batches_is_found() {
    let flaw = Flaw::TearsBatches;
    found(Mutation::Store(flaw), 10, loses_power, |violation| {
        matches!(violation, Violation::Stopped(..) | Violation::Lost(..))
    });
}

#[test]
fn a_log_that_is_not_append_only_is_found() {
    found(Mutation::Store(Flaw::SpoilsHashes), 5, any, |violation| {
        matches!(
            violation,
            Violation::LogNotAppended(..) | Violation::Stopped(..)
        )
    });
}

#[test]
fn a_store_that_changes_checkpoints_is_found() {
    let mutation = Mutation::Store(Flaw::SpoilsCheckpoints);
    found(mutation, 5, any, |violation| {
        matches!(
            violation,
            Violation::Convicted(..) | Violation::SplitView(..) | Violation::WrongCheckpoint(..)
        )
    });
}

#[test]
fn validators_that_believe_every_proposal_are_found() {
    found(Mutation::Play(Role::Believer), 5, has_liar, |violation| {
        matches!(
            violation,
            Violation::Stopped(..) | Violation::AheadOfTime(..) | Violation::NotReplayed(..)
        )
    });
}

#[test]
fn validators_that_believe_every_time_are_found() {
    found(Mutation::Play(Role::Timeless), 5, has_liar, |violation| {
        matches!(violation, Violation::AheadOfTime(..))
    });
}

#[test]
fn validators_that_forget_their_votes_are_found() {
    found(Mutation::ForgetVotes, 5, any, |violation| {
        matches!(violation, Violation::Contradiction(..))
    });
}

#[test]
fn validators_that_propose_nothing_are_found() {
    let nobody_else = |plan: &Plan| plan.traitors.is_empty();
    found(Mutation::Play(Role::Idle), 1, nobody_else, |violation| {
        matches!(violation, Violation::Stuck(..) | Violation::NotFinal(..))
    });
}

#[test]
fn validators_that_ignore_a_change_of_validators_are_found() {
    let mutation = Mutation::Play(Role::Stubborn);
    found(mutation, 5, changes_validators, |violation| {
        matches!(
            violation,
            Violation::NotReplayed(..) | Violation::NotGoverned(..) | Violation::Stuck(..)
        )
    });
}
