//! Step 2: a clinician is denied; the patient grants; what is granted opens and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use contracts::consent::template::DataClass;
use serde_json::Value;

use super::Story;
use crate::wallet::Wish;

const DAYS_30: Duration = Duration::from_secs(30 * 86_400);
const PERMITTED: [&str; 6] = [
    "Observation",
    "DiagnosticReport",
    "Medication",
    "MedicationRequest",
    "MedicationStatement",
    "MedicationDispense",
];

impl Story {
    pub(super) async fn consent(&mut self) -> anyhow::Result<String> {
        let hero = self.hero()?;
        let client = self.clinician("clinic")?;
        let (status, reason) = self
            .open(&client, ("clinic", "TREAT"), &hero.medication)
            .await?;
        anyhow::ensure!(status == 403, "without a consent the answer was {status}");
        let mut wallet = self.hero_wallet()?;
        let wish = Wish {
            through: "clinic",
            grantee: "clinic",
            data: &[DataClass::Laboratory, DataClass::Medications],
            purpose: "TREAT",
            lasts: DAYS_30,
        };
        wallet.grant(&self.view, &wish).await?;
        self.wallets.save(&wallet)?;
        self.must_open(&hero.medication, "with the consent").await?;
        self.must_open(&hero.result, "with the consent").await?;
        self.must_not_open(&hero.diagnosis, "a type that is not granted")
            .await?;
        let sensitive = match &hero.restricted {
            Some(record) => {
                self.must_not_open(record, "a sensitive record").await?;
                "sensitive records stay closed"
            }
            None => "this patient has no sensitive record elsewhere",
        };
        let (opened, withheld) = self.everything().await?;
        Ok(format!(
            "denied first ({reason}); then laboratory results and medications open, diagnoses do not, {sensitive}; \
             $everything at the clinic has {opened} and says that {withheld} are withheld"
        ))
    }

    /// The longitudinal record at the clinic: how many records of which members, and how many are withheld.
    async fn everything(&self) -> anyhow::Result<(String, u64)> {
        let hero = self.hero()?;
        let id = self.hero_wallet()?.patient_at("clinic")?.to_owned();
        let answer = self
            .clinician("clinic")?
            .get(&format!("Patient/{id}/$everything"))
            .await?;
        let body = answer.ok()?.json()?;
        let entries = body.get("entry").and_then(Value::as_array);
        let mut homes: BTreeMap<String, usize> = BTreeMap::new();
        let mut withheld = 0;
        for entry in entries.into_iter().flatten() {
            if let Some(count) = withheld_of(entry) {
                withheld += count;
                continue;
            }
            let home = entry
                .pointer("/extension/0/valueString")
                .and_then(Value::as_str);
            let home = home.unwrap_or_default();
            let kind = entry
                .pointer("/resource/resourceType")
                .and_then(Value::as_str);
            let kind = kind.unwrap_or_default();
            anyhow::ensure!(
                home == "clinic" || PERMITTED.contains(&kind),
                "a {kind} of {home} is in the record without a consent"
            );
            let id = entry
                .pointer("/resource/id")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let is_restricted = hero.restricted.as_ref().is_some_and(|record| {
                record.member == home && record.reference == format!("{kind}/{id}")
            });
            anyhow::ensure!(!is_restricted, "a sensitive record is in the record");
            *homes.entry(home.to_owned()).or_default() += 1;
        }
        for member in ["clinic", "hospital", "laboratory"] {
            anyhow::ensure!(
                homes.contains_key(member),
                "nothing of {member} is in the record"
            );
        }
        anyhow::ensure!(
            withheld > 0,
            "the record does not say that something is withheld"
        );
        let said: Vec<String> = homes
            .iter()
            .map(|(home, count)| format!("{count} of {home}"))
            .collect();
        Ok((said.join(", "), withheld))
    }
}

fn withheld_of(entry: &Value) -> Option<u64> {
    let extension = entry.pointer("/extension/0")?;
    let url = extension.get("url")?.as_str()?;
    if !url.ends_with(":withheld") {
        return None;
    }
    let parts = extension.get("extension")?.as_array()?;
    let count = parts
        .iter()
        .find(|part| part.get("url").and_then(Value::as_str) == Some("count"))?;
    count.get("valueUnsignedInt")?.as_u64()
}
