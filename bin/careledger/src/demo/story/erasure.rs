//! Step 12: a record is erased at every holder, and the certificate of it is checked offline.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use contracts::consent::template::DataClass;
use serde_json::{Value, json};

use super::Story;
use crate::client::{Client, Request};
use crate::erase::{certificate, officer, until_acknowledged};
use crate::network::read_json;
use crate::wallet::Wish;

impl Story {
    pub(super) async fn erasure(&mut self) -> anyhow::Result<String> {
        let (hospital, clinic) = (self.clinician("hospital")?, self.clinician("clinic")?);
        let patient = self.hero_wallet()?.patient_at("hospital")?.to_owned();
        let reference = observed(&hospital, &patient).await?;
        let at_clinic = self.hero_wallet()?.patient_at("clinic")?.to_owned();
        let open = format!("Patient/{at_clinic}/$open?member=hospital&reference={reference}");
        self.grant_laboratory().await?;
        self.settle().await?;
        let opened = clinic.get(&open).await?.status();
        anyhow::ensure!(opened == 200, "with a consent the answer was {opened}");
        let credential = self.layout.member("hospital").credential("privacy");
        let officer = officer(&read_json(&credential)?)?;
        let grounds = |basis: &str| {
            json!({ "resourceType": "Parameters", "parameter": [
                { "name": "basis", "valueCode": basis },
                { "name": "authority", "valueString": "the patient" },
                { "name": "justification", "valueString": "request under Art. 17" },
            ] })
        };
        let path = format!("{reference}/$erase");
        let refused = hospital
            .post(&path, &Request::json(&grounds("gdpr-17")))
            .await?;
        anyhow::ensure!(
            refused.status() == 403,
            "a clinician erased: {}",
            refused.status()
        );
        officer
            .post(&path, &Request::json(&grounds("gdpr-17")))
            .await?
            .ok()?;
        until_acknowledged(&officer, &reference).await?;
        let read = hospital.get(&reference).await?;
        anyhow::ensure!(
            read.status() == 410,
            "an erased record answered {}",
            read.status()
        );
        let outcome: Value = read.json()?;
        anyhow::ensure!(
            outcome["resourceType"] == "OperationOutcome",
            "410 says nothing"
        );
        let elsewhere = clinic.get(&open).await?;
        anyhow::ensure!(
            elsewhere.status() != 200,
            "another member opened an erased record"
        );
        self.settle().await?;
        let bytes = certificate(&officer, &reference, false).await?;
        let file = self.layout.scratch()?.join("deletion.cbor");
        fs::write(&file, &bytes)?;
        self.accepted("erasure", &file, &["--complete"])?;
        let mut changed = bytes.clone();
        let middle = changed.len() / 2;
        super::proofs::flip(&mut changed, middle)?;
        let found = self.refused("erasure", &file, &changed)?;
        Ok(format!(
            "a record that the clinic had opened answers 410 at home and opens nowhere; hospital and clinic have signed, \
             and the certificate ({} bytes) verifies offline; one changed byte is named: {found}",
            bytes.len()
        ))
    }

    /// The patient lets the clinic see laboratory results.
    async fn grant_laboratory(&mut self) -> anyhow::Result<()> {
        let mut wallet = self.hero_wallet()?;
        let wish = Wish {
            through: "clinic",
            grantee: "clinic",
            data: &[DataClass::Laboratory],
            purpose: "TREAT",
            lasts: Duration::from_secs(86_400),
        };
        wallet.grant(&self.view, &wish).await?;
        self.wallets.save(&wallet)
    }
}

/// A new result of the patient, as it is referred to.
pub(super) async fn observed(clinician: &Client, patient: &str) -> anyhow::Result<String> {
    let observation = json!({
        "resourceType": "Observation", "status": "final",
        "category": [{ "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/observation-category",
            "code": "laboratory" }] }],
        "code": { "coding": [{ "system": "http://loinc.org", "code": "718-7" }] },
        "subject": { "reference": format!("Patient/{patient}") },
    });
    let created = clinician
        .post("Observation", &Request::json(&observation))
        .await?
        .ok()?;
    let id = created.created_id().context("no Location")?;
    Ok(format!("Observation/{id}"))
}
