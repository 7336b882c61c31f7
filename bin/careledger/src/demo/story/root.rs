//! Step 16: the recovered wallet's root was stolen, and another takes its place everywhere; what there was stays good.

use anyhow::Context as _;

use super::erasure::observed;
use super::recovery::{DELAY, GUARDIANS, MEMBER, is_forgotten};
use super::{PATIENCE, Story};
use crate::wallet::{Circle, clerk, rotate_root};

/// Whose root was stolen.
const WALLET: &str = "new-wallet";
/// Where a result is written before and after.
const HOME: &str = "hospital";

impl Story {
    pub(super) async fn root(&mut self) -> anyhow::Result<String> {
        let cards = self.cards()?;
        let circle = Circle {
            member: MEMBER,
            k: 2,
            cards: &cards,
            delay: DELAY,
        };
        let mut stolen = self.wallet(WALLET)?;
        stolen.set_guardians(&self.view, &circle).await?;
        self.wallets.save(&stolen)?;
        let former = self.settled_history(&stolen).await?.attempts.len();

        let others = stolen.state.patients.keys();
        let late = others.filter(|name| ![HOME, MEMBER].contains(&name.as_str()));
        let late: Vec<String> = late.take(1).cloned().collect();
        let rotated = rotate_root(&self.view, &self.wallets, WALLET, &late).await?;
        anyhow::ensure!(!rotated.is_resumed, "there is no rotation to go on with");
        let half = self.wallet(WALLET)?;
        self.settled_history(&half).await?;
        let rotated = rotate_root(&self.view, &self.wallets, WALLET, &[]).await?;
        anyhow::ensure!(
            rotated.is_resumed && rotated.guarded_at.is_empty(),
            "a rotation does not go on where it was cut off"
        );

        let wallet = self.wallet(WALLET)?;
        for (member, id) in &stolen.state.patients {
            let path = format!("Patient/{id}/$access-history");
            is_forgotten(&stolen.client(&self.view, member)?, &path).await?;
        }
        observed(&self.clinician(HOME)?, wallet.patient_at(HOME)?).await?;
        self.settle().await?;
        let history = self.settled_history(&wallet).await?;
        self.is_recorded(&history)?;
        anyhow::ensure!(
            history.attempts.len() > former,
            "the history ends where the root was rotated"
        );
        self.guardians_give_the_new_root().await?;
        Ok(format!(
            "a new root took the place of a stolen one at {} members, one of them late; the stolen one speaks for the patient \
             nowhere, the history has {former} accesses from before and {} since, and guardians give the new root back",
            rotated.members.len(),
            history.attempts.len().saturating_sub(former)
        ))
    }

    async fn guardians_give_the_new_root(&self) -> anyhow::Result<()> {
        let wallet = self.wallet(WALLET)?;
        let patient = wallet.patient_at(MEMBER)?.to_owned();
        let through = clerk(&self.view, &self.layout.member(MEMBER).credential("clerk"))?;
        let at = (&through, patient.as_str());
        self.wallets.create(&["newer-wallet".to_owned()])?;
        let newer = self.wallet("newer-wallet")?;
        newer.ask_recovery(&self.view, at).await?;
        for guardian in &GUARDIANS[..2] {
            let guardian = self.wallet(guardian)?;
            guardian.approve_recovery(&self.view, at).await?;
        }
        let lineage = newer.recover(at, PATIENCE).await?;
        anyhow::ensure!(
            wallet.is_of(&lineage),
            "guardians give another root back than the wallet's"
        );
        let ended = wallet.object(&self.view, MEMBER).await;
        ended.context("the patient objects, as the wallet is not lost")
    }
}
