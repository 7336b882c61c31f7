//! Step 9: an emergency opens what the patient has not granted; the patient sees who, why and under which rule; somebody else
//! reviews it, and then it opens nothing any more.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::Story;
use crate::client::{Client, Request, User};
use crate::emergencies::{Said, declare};
use crate::network::read_json;

impl Story {
    pub(super) async fn emergency(&mut self) -> anyhow::Result<String> {
        let hero = self.hero()?;
        let patient = self.hero_wallet()?.patient_at("clinic")?.to_owned();
        let client = self.clinician("clinic")?;
        let place = format!(
            "Patient/{patient}/$open?member={}&reference={}",
            hero.diagnosis.member, hero.diagnosis.reference
        );
        let before = client.get(&place).await?.status();
        anyhow::ensure!(before != 200, "without an emergency it was opened");
        let said = Said {
            reason: "ETREAT".to_owned(),
            justification: "no other way to learn of conditions".to_owned(),
            nature: "unconscious after a fall".to_owned(),
            minutes: Some(MINUTES),
        };
        let declared = declare(&client, &patient, &said).await?.ok()?.json()?;
        let token = part(&declared, "access_token")?;
        let opened = client.get_with(&token, &place).await?.ok()?;
        anyhow::ensure!(opened.status() == 200, "the emergency did not open it");

        self.told("network/break-glass").await?;
        let history = self.hero_wallet()?.history(&self.view).await?;
        let of_it: Vec<_> = history
            .attempts
            .iter()
            .filter(|one| one.access.emergency.is_some())
            .collect();
        let recorded_by = |member: &str| {
            let mut found = of_it.iter();
            found.any(|one| one.access.custodian.as_str() == member)
        };
        anyhow::ensure!(
            recorded_by("clinic") && recorded_by(&hero.diagnosis.member),
            "the patient's history does not name the emergency at both members"
        );

        let task = part(&declared, "review")?;
        let path = format!("{task}/$review");
        let refused = self.reviewer("Practitioner/clinic-1")?;
        let refused = refused.post(&path, &Request::json(&review())).await?;
        anyhow::ensure!(refused.status() == 403, "who declared it reviewed it");
        let officer = self.reviewer("Practitioner/clinic-90")?;
        officer.post(&path, &Request::json(&review())).await?.ok()?;
        self.told("not justified").await?;
        let after = client.get_with(&token, &place).await?.status();
        anyhow::ensure!(after == 403, "after its review it answered {after}");
        Ok(format!(
            "a {} at {} opened for {} minutes; the patient was told, sees it in {} entries of the history, and was told of \
             the review that closed it",
            hero.diagnosis.kind(),
            hero.diagnosis.member,
            MINUTES,
            of_it.len()
        ))
    }

    /// Whether the patient was told, in a notice with these words.
    async fn told(&self, words: &str) -> anyhow::Result<()> {
        let notices = self.hero_wallet()?.notices(&self.view).await?;
        let told = notices.iter().any(|one| one.text.contains(words));
        anyhow::ensure!(told, "no notice to the patient says `{words}`");
        Ok(())
    }

    /// Somebody at the clinic who reviews.
    fn reviewer(&self, practitioner: &str) -> anyhow::Result<Client> {
        let credential = read_json(&self.layout.member("clinic").credential("ehr"))?;
        let user = User {
            purpose: "HOPERAT".to_owned(),
            practitioner: Some(practitioner.to_owned()),
            role: Some("privacy-officer".to_owned()),
        };
        Client::of_system(&self.view.http, &credential, user, "system/*.cruds")
    }
}

const MINUTES: u32 = 15;

fn review() -> Value {
    json!({ "resourceType": "Parameters", "parameter": [
        { "name": "outcome", "valueCode": "not-justified" },
        { "name": "reason", "valueCode": "more-than-needed" },
    ] })
}

fn part(declared: &Value, name: &str) -> anyhow::Result<String> {
    let parts = declared["parameter"].as_array().into_iter().flatten();
    let found = parts.filter(|one| one["name"] == name).find_map(|one| {
        let text = one.get("valueString");
        text.or_else(|| one.pointer("/valueReference/reference"))?
            .as_str()
    });
    let found = found.with_context(|| format!("the declaration has no `{name}`"))?;
    Ok(found.to_owned())
}
