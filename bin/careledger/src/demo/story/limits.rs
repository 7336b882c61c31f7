//! Step 3: the purpose counts, the time counts, and a revoked grant counts no more.

use std::time::Duration;

use anyhow::Context as _;
use contracts::consent::template::DataClass;

use super::Story;
use crate::wallet::Wish;

const SHORT: Duration = Duration::from_secs(4);

impl Story {
    pub(super) async fn limits(&mut self) -> anyhow::Result<String> {
        let hero = self.hero()?;
        let marketing = self.system("payer", "claims", "HMARKT", Some("adjuster"))?;
        let asked = self
            .open(&marketing, ("payer", "HMARKT"), &hero.medication)
            .await?;
        anyhow::ensure!(asked.0 == 403, "for marketing, the answer was {}", asked.0);

        let mut wallet = self.hero_wallet()?;
        let wish = Wish {
            through: "hospital",
            grantee: "clinic",
            data: &[DataClass::Conditions],
            purpose: "TREAT",
            lasts: SHORT,
        };
        wallet.grant(&self.view, &wish).await?;
        self.wallets.save(&wallet)?;
        self.must_open(&hero.diagnosis, "with a grant of seconds")
            .await?;
        tokio::time::sleep(SHORT).await;
        self.must_not_open(&hero.diagnosis, "after the grant's end")
            .await?;

        let mut wallet = self.hero_wallet()?;
        let grants = &wallet.state.consents;
        let grant = grants.iter().find(|filed| filed.member == "clinic");
        let grant = grant
            .context("the grant of step 2 is not known")?
            .id
            .clone();
        wallet.revoke(&self.view, &grant).await?;
        self.wallets.save(&wallet)?;
        self.must_not_open(&hero.medication, "after the revocation")
            .await?;
        self.must_not_open(&hero.result, "after the revocation")
            .await?;
        let own = self.hero_wallet()?.client(&self.view, "clinic")?;
        let withdrawn = own.get(&format!("Consent/{grant}")).await?.ok()?.json()?;
        anyhow::ensure!(
            withdrawn["status"] == "inactive",
            "the patient sees the consent as {}",
            withdrawn["status"]
        );
        Ok(format!(
            "the payer is denied for marketing ({}); a grant of {} s, filed through the hospital, denies after its end; \
             a revoked grant denies at the next read, at the hospital and at the laboratory",
            asked.1,
            SHORT.as_secs()
        ))
    }
}
