//! Asking one member for a record of another, and remembering that it was asked.

use anyhow::Context as _;

use super::Story;
use crate::client::Client;
use crate::import::Record;

/// A record that one member asked another for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Attempted {
    pub(super) requester: String,
    pub(super) custodian: String,
    pub(super) target: String,
    pub(super) purpose: String,
    pub(super) granted: bool,
}

impl Story {
    /// A clinician at the clinic opens a record that another member holds.
    pub(super) async fn open_at_clinic(&mut self, record: &Record) -> anyhow::Result<u16> {
        let client = self.clinician("clinic")?;
        Ok(self.open(&client, ("clinic", "TREAT"), record).await?.0)
    }

    /// Opens a record that another member holds; returns the status and, if it is denied, the reason.
    pub(super) async fn open(
        &mut self,
        client: &Client,
        (requester, purpose): (&str, &str),
        record: &Record,
    ) -> anyhow::Result<(u16, String)> {
        let wallet = self.wallet(&record.wallet)?;
        let path = format!(
            "Patient/{}/$open?member={}&reference={}",
            wallet.patient_at(requester)?,
            record.member,
            record.reference
        );
        let answer = client.get(&path).await?;
        match answer.status() {
            200 | 403 => self.attempts.push(Attempted {
                requester: requester.to_owned(),
                custodian: record.member.clone(),
                target: record.reference.clone(),
                purpose: purpose.to_owned(),
                granted: answer.status() == 200,
            }),
            404 => {}
            other => anyhow::bail!("an attempt ended with {other}: {}", answer.problem()),
        }
        let reason = if answer.status() == 200 {
            String::new()
        } else {
            answer.problem()
        };
        Ok((answer.status(), reason))
    }

    pub(super) async fn must_open(&mut self, record: &Record, why: &str) -> anyhow::Result<()> {
        let status = self.open_at_clinic(record).await?;
        anyhow::ensure!(
            status == 200,
            "{why}: a {} answered {status}",
            record.kind()
        );
        Ok(())
    }

    pub(super) async fn must_not_open(&mut self, record: &Record, why: &str) -> anyhow::Result<()> {
        let status = self.open_at_clinic(record).await?;
        anyhow::ensure!(status != 200, "{why}: a {} was opened", record.kind());
        Ok(())
    }

    /// The patient's wallet, changed and saved.
    pub(super) fn hero_wallet(&self) -> anyhow::Result<crate::wallet::Wallet> {
        self.wallet(&self.hero()?.wallet)
            .context("the patient's wallet")
    }
}
