//! Step 10: a caregiver signs in and reads in the patient's place, as far as the patient lets her; what she did names both.

use anyhow::Context as _;
use gateway::auth::{Account, hash_password};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::Story;
use super::erasure::observed;
use crate::client::{Client, Request};
use crate::demo::people::accounts;
use crate::users;
use crate::wallet::Power;

const MEMBER: &str = "clinic";
const CAREGIVER: &str = "rita";
const PERSON: &str = "RelatedPerson/rita";

impl Story {
    pub(super) async fn delegation(&mut self) -> anyhow::Result<String> {
        let mut wallet = self.hero_wallet()?;
        let patient = wallet.patient_at(MEMBER)?.to_owned();
        let clinic = self.clinician(MEMBER)?;
        let result = observed(&clinic, &patient).await?;
        let other = self.condition(&clinic, &patient).await?;
        let password = self.caregiver(&clinic, &patient).await?;
        let app = self
            .register_app(MEMBER, "launch/patient patient/*.rs")
            .await?;
        let early = app.sign_in(CAREGIVER, &password).await;
        anyhow::ensure!(early.is_err(), "she signed in before the patient let her");

        let types = ["Patient", "Observation"].map(str::to_owned);
        let until = OffsetDateTime::now_utc().date() + Duration::days(30);
        let power = Power {
            through: MEMBER,
            to: PERSON,
            role: "DELEGATEE",
            types: &types,
            until: &until.to_string(),
            by: None,
        };
        let filed = wallet.delegate(&self.view, &power).await?;
        self.wallets.save(&wallet)?;
        let token = app.sign_in(CAREGIVER, &password).await?;
        let status = async |path: &str| anyhow::Ok(clinic.get_with(&token, path).await?.status());
        anyhow::ensure!(
            status(&result).await? == 200,
            "what the patient gave did not open"
        );
        let beyond = status(&other).await?;
        anyhow::ensure!(
            beyond == 403,
            "what the patient did not give answered {beyond}"
        );
        let acts = self.acts().await?;

        wallet.revoke(&self.view, &filed.id).await?;
        self.wallets.save(&wallet)?;
        let after = status(&result).await?;
        anyhow::ensure!(after == 403, "after the withdrawal it answered {after}");
        Ok(format!(
            "{PERSON} signed in and read a result, not a diagnosis, in the patient's place; {acts} entries of the \
             patient's history name her beside the patient; withdrawn, it ended at the next read"
        ))
    }

    /// How many accesses the patient's history has in which the caregiver is named, an opened and a denied one among them.
    async fn acts(&self) -> anyhow::Result<usize> {
        let history = self.hero_wallet()?.history(&self.view).await?;
        let by_her = history.attempts.iter();
        let by_her = by_her.filter(|one| {
            one.access.principal == PERSON && one.delegates().last() == Some(&PERSON)
        });
        let outcomes: Vec<_> = by_her.filter_map(|one| one.outcome()).collect();
        let opened = outcomes.iter().any(|(opened, _)| *opened > 0);
        let denied = outcomes.iter().any(|(opened, _)| *opened == 0);
        anyhow::ensure!(
            opened && denied,
            "the patient's history does not name what the caregiver opened, and was denied"
        );
        Ok(outcomes.len())
    }

    /// The caregiver is on file at the clinic, and has an account; gives its password.
    async fn caregiver(&self, clinic: &Client, patient: &str) -> anyhow::Result<String> {
        let person = json!({
            "resourceType": "RelatedPerson",
            "id": PERSON.split('/').nth(1),
            "patient": { "reference": format!("Patient/{patient}") },
        });
        clinic.put(PERSON, &Request::json(&person)).await?.ok()?;
        let password = hex::encode(rand::random::<[u8; 8]>());
        let account = Account {
            name: "Rita".to_owned(),
            password: hash_password(&password)?,
            practitioner: None,
            role: None,
            patient: None,
            related: vec![PERSON.to_owned()],
        };
        let path = accounts(&self.layout.member(MEMBER));
        users::put(&path, CAREGIVER, account)?;
        Ok(password)
    }

    /// A diagnosis of the patient at the clinic, as it is referred to.
    async fn condition(&self, clinic: &Client, patient: &str) -> anyhow::Result<String> {
        let condition = json!({
            "resourceType": "Condition",
            "code": { "coding": [{ "system": "http://snomed.info/sct", "code": "38341003" }] },
            "subject": { "reference": format!("Patient/{patient}") },
        });
        let request = Request::json(&condition);
        let created = clinic.post("Condition", &request).await?.ok()?;
        let id = created.created_id().context("no Location")?;
        Ok(format!("Condition/{id}"))
    }
}
