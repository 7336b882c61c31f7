//! Step 4: every attempt is in the patient's access history, with a receipt.

use std::time::Instant;

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
             assembled with the patient's keys, each with a receipt",
            self.attempts.len(),
            history.attempts.len()
        ))
    }
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
