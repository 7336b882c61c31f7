//! Step 15: guardians give a lost wallet back, and not to a thief.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::{PATIENCE, Story};
use crate::client::Client;
use crate::wallet::{Circle, Wallet, clerk};

/// The member that keeps what the guardians' shares open.
pub(super) const MEMBER: &str = "clinic";
pub(super) const GUARDIANS: [&str; 3] = ["guardian-1", "guardian-2", "guardian-3"];
/// Long enough for the story's patient to object.
pub(super) const DELAY: Duration = Duration::from_secs(5);

impl Story {
    pub(super) async fn recovery(&mut self) -> anyhow::Result<String> {
        let mut lost = self.hero_wallet()?;
        let patient = lost.patient_at(MEMBER)?.to_owned();
        let through = clerk(&self.view, &self.layout.member(MEMBER).credential("clerk"))?;
        let at = (&through, patient.as_str());
        let names = GUARDIANS.iter().chain(&["thief", "new-wallet"]);
        let names: Vec<_> = names.map(|name| (*name).to_owned()).collect();
        self.wallets.create(&names)?;
        let cards = self.cards()?;
        let circle = Circle {
            member: MEMBER,
            k: 2,
            cards: &cards,
            delay: DELAY,
        };
        lost.set_guardians(&self.view, &circle).await?;

        // A thief has talked two guardians into it; the patient hears of it and objects.
        let thief = self.wallet("thief")?;
        thief.ask_recovery(&self.view, at).await?;
        for guardian in &GUARDIANS[..2] {
            let guardian = self.wallet(guardian)?;
            guardian.approve_recovery(&self.view, at).await?;
        }
        let early = thief.recover(at, Duration::ZERO).await;
        anyhow::ensure!(early.is_err(), "a root was handed out before the delay");
        lost.object(&self.view, MEMBER).await?;
        let ended = thief.recover(at, DELAY).await;
        anyhow::ensure!(ended.is_err(), "a root was handed out after an objection");

        let new = self.wallet("new-wallet")?;
        new.ask_recovery(&self.view, at).await?;
        for guardian in &GUARDIANS[1..] {
            let guardian = self.wallet(guardian)?;
            guardian.approve_recovery(&self.view, at).await?;
        }
        let lineage = new.recover(at, PATIENCE).await?;
        self.wallets.take_over("new-wallet", &lineage)?;
        new.finish_recovery(&self.view, at, &lineage).await?;
        let elsewhere = self.take_places(&lost, &thief).await?;
        Ok(format!(
            "a thief with two guardians got nothing, as the patient objected within {} s; 2 of 3 guardians gave the root \
             to a new wallet, which the clinic and {elsewhere} other members take for the patient's",
            DELAY.as_secs()
        ))
    }

    /// Has every member take the new wallet for the lost one.
    async fn take_places(&self, lost: &Wallet, thief: &Wallet) -> anyhow::Result<usize> {
        let mut new = self.wallet("new-wallet")?;
        let clinic = lost.patient_at(MEMBER)?.to_owned();
        new.state.patients.insert(MEMBER.to_owned(), clinic);
        new.learn_epochs(&self.view, MEMBER).await?;
        new.learn_consents(&self.view, MEMBER).await?;
        let others = lost.state.patients.iter();
        let others = others.filter(|(member, _)| *member != MEMBER);
        let mut taken = 0;
        for (member, id) in others {
            let path = format!("Patient/{id}/$access-history");
            let mut thief = self.wallet(&thief.name)?;
            let stolen = thief.take_place(&self.view, member, id).await;
            anyhow::ensure!(stolen.is_err(), "{member} takes a thief's wallet");
            lost.client(&self.view, member)?.get(&path).await?.ok()?;
            new.take_place(&self.view, member, id).await?;
            is_forgotten(&lost.client(&self.view, member)?, &path).await?;
            taken += 1;
        }
        is_forgotten(
            &lost.client(&self.view, MEMBER)?,
            &format!("Patient/{}/$access-history", new.patient_at(MEMBER)?),
        )
        .await?;
        self.wallets.save(&new)?;
        anyhow::ensure!(
            new.state.epochs == lost.state.epochs,
            "the new wallet does not know of the rotation"
        );
        let known = |wallet: &Wallet| -> BTreeSet<String> {
            let consents = wallet.state.consents.iter();
            consents.map(|filed| filed.id.clone()).collect()
        };
        anyhow::ensure!(
            known(lost).is_subset(&known(&new)),
            "the new wallet does not know of all consents"
        );
        let history = self.settled_history(&new).await?;
        self.is_recorded(&history)?;
        Ok(taken)
    }

    /// The guardians' cards, as they would give them to the patient.
    pub(super) fn cards(&self) -> anyhow::Result<Vec<PathBuf>> {
        let cards = GUARDIANS.iter().map(|name| {
            let path = self.wallets.path().join(format!("{name}.card"));
            let card = self.wallet(name)?.card();
            std::fs::write(&path, serde_json::to_vec(&card)?)?;
            Ok(path)
        });
        cards.collect()
    }
}

/// Whether a wallet does not speak for the patient any more.
pub(super) async fn is_forgotten(wallet: &Client, path: &str) -> anyhow::Result<()> {
    let answer = wallet.get(path).await;
    anyhow::ensure!(
        answer.is_err() || answer.is_ok_and(|answer| answer.ok().is_err()),
        "the lost wallet still speaks for the patient"
    );
    Ok(())
}
