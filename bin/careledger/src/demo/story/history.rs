//! Step 4: every attempt is in the patient's access history, with a receipt.

use std::collections::BTreeSet;
use std::time::Instant;

use contracts::blocking::split;

use super::attempt::Attempted;
use super::{PATIENCE, POLL, Story};
use crate::wallet::Attempt;

impl Story {
    pub(super) async fn history(&mut self) -> anyhow::Result<String> {
        let wallet = self.hero_wallet()?;
        let deadline = Instant::now() + PATIENCE;
        let history = loop {
            let history = wallet.history(&self.view).await?;
            if history.pending == 0 {
                break history;
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "{} entries have no receipt",
                history.pending
            );
            tokio::time::sleep(POLL).await;
        };
        let mut recorded: Vec<Attempted> = history.attempts.iter().filter_map(attempted).collect();
        for expected in &self.attempts {
            let found = recorded.iter().position(|one| one == expected);
            let found = found.ok_or_else(|| {
                anyhow::anyhow!(
                    "{} asked {} and it is not recorded",
                    expected.requester,
                    expected.custodian
                )
            })?;
            recorded.swap_remove(found);
        }
        let reasons = denials(&history.attempts)?;
        anyhow::ensure!(
            history.attempts.iter().any(is_limited),
            "the history has no access of which a part was withheld"
        );
        let asked = history
            .attempts
            .iter()
            .filter(|one| one.outcome().is_none())
            .count();
        anyhow::ensure!(
            asked >= self.attempts.len(),
            "the members that asked did not record it"
        );
        let denied = self.attempts.iter().filter(|one| !one.granted).count();
        Ok(format!(
            "all {} attempts across members, {denied} of them denied, are in the history of {} accesses, \
             assembled with the patient's keys, each with a receipt; each denial has its reason, such as `{}`",
            self.attempts.len(),
            history.attempts.len(),
            reasons.first().map_or("", String::as_str),
        ))
    }
}

/// Why the patient's records were denied, each reason once and with the code of its exception.
fn denials(attempts: &[Attempt]) -> anyhow::Result<BTreeSet<String>> {
    let denied = attempts.iter().filter(|one| {
        let outcome = one.outcome();
        outcome.is_some_and(|(opened, withheld)| opened == 0 && withheld > 0)
    });
    let mut reasons = BTreeSet::new();
    for one in denied {
        let reason = one.reason().unwrap_or_default();
        anyhow::ensure!(
            split(reason).0.is_some(),
            "a denial at {} has no coded reason in the patient's history",
            one.access.custodian
        );
        reasons.insert(reason.to_owned());
    }
    Ok(reasons)
}

/// Whether a part was opened, and a part withheld.
fn is_limited(attempt: &Attempt) -> bool {
    let outcome = attempt.outcome();
    outcome.is_some_and(|(opened, withheld)| opened > 0 && withheld > 0)
}

/// What the custodian recorded of another member's request for one document.
fn attempted(attempt: &Attempt) -> Option<Attempted> {
    let access = &attempt.access;
    let (opened, _) = attempt.outcome()?;
    let is_remote = access.requester != access.custodian;
    is_remote.then(|| Attempted {
        requester: access.requester.as_str().to_owned(),
        custodian: access.custodian.as_str().to_owned(),
        target: access.target.clone(),
        purpose: access.purpose.clone(),
        granted: opened > 0,
    })
}
