//! Step 13: branches go on under new keys; who has the former ones alone sees nothing new, and the history is whole.

use ledger::stream::Branch;
use serde_json::Value;

use super::Story;
use super::erasure::observed;

/// Whose branches are rotated.
const MEMBER: &str = "hospital";
/// Who gets the new key late.
const LEFT_OUT: &str = "clinic";

impl Story {
    pub(super) async fn rotation(&mut self) -> anyhow::Result<String> {
        let hero = self.hero()?;
        let mut wallet = self.hero_wallet()?;
        let patient = wallet.patient_at(MEMBER)?.to_owned();
        let (home, clinic) = (self.clinician(MEMBER)?, self.clinician(LEFT_OUT)?);
        let before = observed(&home, &patient).await?;
        self.settle().await?;
        anyhow::ensure!(
            self.lists(&before).await?,
            "with the key and a consent the {LEFT_OUT} does not see a result"
        );
        let former = self.settled_history(&wallet).await?.attempts.len();
        let name: ledger::ids::MemberName = MEMBER.parse()?;
        for branch in [Branch::Index(name.clone()), Branch::Access(name)] {
            let without = [LEFT_OUT.to_owned()];
            wallet.rotate(&self.view, branch, &without).await?;
            self.wallets.save(&wallet)?;
        }
        let after = observed(&home, &patient).await?;
        self.settle().await?;
        anyhow::ensure!(
            self.lists(&before).await? && !self.lists(&after).await?,
            "with the former key alone the {LEFT_OUT} sees more or less than before"
        );
        self.open(&clinic, (LEFT_OUT, "TREAT"), &hero.medication)
            .await?;
        let history = self.settled_history(&wallet).await?;
        self.is_recorded(&history)?;
        anyhow::ensure!(
            history.attempts.len() > former,
            "the history ends where the key was rotated"
        );
        wallet.share(&self.view, LEFT_OUT).await?;
        anyhow::ensure!(
            self.lists(&after).await?,
            "with the new key the {LEFT_OUT} does not see what is new"
        );
        Ok(format!(
            "two branches of the {MEMBER} go on under new keys; the {LEFT_OUT}, with a consent and the former key, sees no \
             result from then on until it has the new one; the history has {former} accesses from before and {} since",
            history.attempts.len().saturating_sub(former)
        ))
    }

    /// Whether the longitudinal record at the member that is left out holds a record.
    async fn lists(&self, reference: &str) -> anyhow::Result<bool> {
        let patient = self.hero_wallet()?.patient_at(LEFT_OUT)?.to_owned();
        let client = self.clinician(LEFT_OUT)?;
        let path = format!("Patient/{patient}/$everything");
        let body = client.get(&path).await?.ok()?.json()?;
        let entries = body.get("entry").and_then(Value::as_array);
        let mut resources = entries
            .into_iter()
            .flatten()
            .map(|entry| &entry["resource"]);
        Ok(resources.any(|resource| {
            let named = resource["resourceType"]
                .as_str()
                .zip(resource["id"].as_str());
            named.is_some_and(|(kind, id)| reference == format!("{kind}/{id}"))
        }))
    }
}
