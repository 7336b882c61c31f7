//! Many seeds, each run twice, and what they amount to.

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sim::network::check::Violation;
use sim::network::plan::Plan;

use crate::cosigning;
use crate::run::{Outcome, run};
use crate::world::Mutation;

static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// Seeds run so far.
pub(crate) struct Campaign {
    began: Instant,
    seeds: u64,
    simulated_ms: u64,
    blocks: u64,
    epochs: u64,
    statements: u64,
    injected: BTreeMap<&'static str, u64>,
    failed: Vec<u64>,
}

impl Default for Campaign {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            seeds: 0,
            simulated_ms: 0,
            blocks: 0,
            epochs: 0,
            statements: 0,
            injected: BTreeMap::new(),
            failed: Vec::new(),
        }
    }
}

impl Campaign {
    /// Runs the plan of `seed` twice.
    pub(crate) fn run(&mut self, seed: u64) {
        let plan = Plan::draw(seed);
        cosigning::forget();
        self.seeds += 1;
        let Some(outcome) = attempt(&plan, None) else {
            return self.fail(seed, &last_panic());
        };
        let again = attempt(&plan, None).map(|again| again.trace);
        self.simulated_ms += outcome.simulated_ms;
        self.blocks += outcome.height;
        self.epochs += outcome.epochs;
        self.statements += u64::try_from(outcome.statements).unwrap();
        for (fault, count) in &outcome.injected {
            *self.injected.entry(fault).or_default() += count;
        }
        let mut violations = outcome.violations;
        if again != Some(outcome.trace) {
            violations.push(Violation::NotRepeatable);
        }
        for violation in &violations {
            self.fail(seed, &violation.to_string());
        }
    }

    fn fail(&mut self, seed: u64, why: &str) {
        self.failed.push(seed);
        println!("seed {seed}: {why}");
        println!(
            "  CARELEDGER_SEED={seed} cargo nextest run -p node --test simulation replay --no-capture"
        );
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Says what was done, and fails if anything was found.
    pub(crate) fn report(&self) {
        println!(
            "{} seeds, each run twice in {:.0} s: {:.2} simulated hours, {} epochs, {} blocks, {} statements",
            self.seeds,
            self.elapsed().as_secs_f64(),
            Duration::from_millis(self.simulated_ms).as_secs_f64() / 3_600.0,
            self.epochs,
            self.blocks,
            self.statements,
        );
        for (fault, count) in &self.injected {
            println!("  {count:>6} {fault}");
        }
        println!("violations {}", self.failed.len());
        assert!(self.failed.is_empty(), "seeds {:?} failed", self.failed);
    }
}

/// Runs a plan; nothing comes out if the driver itself panics.
///
/// Validators may: an error of their journals ends them so. What they say is kept, and not printed.
pub(crate) fn attempt(plan: &Plan, mutation: Option<Mutation>) -> Option<Outcome> {
    panic::set_hook(Box::new(|info| {
        let mut last = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner);
        *last = info.to_string();
    }));
    let outcome = catch_unwind(AssertUnwindSafe(|| run(plan, mutation))).ok();
    drop(panic::take_hook());
    outcome
}

/// What the last panic said.
pub(crate) fn last_panic() -> String {
    let last = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner);
    last.clone()
}
