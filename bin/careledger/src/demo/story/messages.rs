//! Step 14: a result that a laboratory's system sends by HL7 v2 is in the patient's notification and in the record at the
//! hospital.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use contracts::consent::template::DataClass;
use contracts::export::{Export, verify};
use serde_json::Value;

use super::subscriber::Subscriber;
use super::{PATIENCE, Story};
use crate::demo::interfaces;
use crate::mllp::{Connection, code};
use crate::receipt::fetch;
use crate::wallet::{Wallet, Wish};

const DAY: Duration = Duration::from_secs(86_400);
/// The order's number at the laboratory.
const ORDER: &str = "STORY-4711";
/// The hospital looks at the latest after so long.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

impl Story {
    pub(super) async fn messages(&mut self) -> anyhow::Result<String> {
        let mut wallet = self.hero_wallet()?;
        let wish = Wish {
            through: "laboratory",
            grantee: "hospital",
            data: &[DataClass::Laboratory],
            purpose: "TREAT",
            lasts: DAY,
        };
        wallet.grant(&self.view, &wish).await?;
        self.wallets.save(&wallet)?;
        let at_hospital = wallet.patient_at("hospital")?.to_owned();
        self.settle().await?;
        let identifier = self.identifier_at_laboratory().await?;
        let address = interfaces::address(&self.layout, "laboratory")?;
        let result = result(&identifier);
        let mut laboratory_system = Connection::to(address).await?;
        let (mut patient, mut ward) = self.subscribers(&wallet, &at_hospital).await?;
        let sent = Instant::now();
        let answer = laboratory_system.ask(&result).await?;
        anyhow::ensure!(code(&answer) == "AA", "the laboratory answered {answer:?}");
        let acknowledged = sent.elapsed();
        let told = async {
            let told = patient.next().await?;
            anyhow::Ok((told, sent.elapsed()))
        };
        let told = tokio::time::timeout(PATIENCE, told);
        let seen = async {
            let observation = self.until_seen(&at_hospital, &mut ward).await?;
            anyhow::Ok((observation, sent.elapsed()))
        };
        let (told, seen) = tokio::join!(told, seen);
        let (observation, seen) = seen?;
        let (told, heard) = told.context("the patient was not notified")??;
        anyhow::ensure!(
            is_glucose(&told["entry"][1]["resource"]) && is_glucose(&observation),
            "the local code has no LOINC beside it"
        );
        let id = observation["id"].as_str().context("it has no id")?;
        let laboratory = self.clinician("laboratory")?;
        let export = Export::decode(&fetch(&laboratory, &format!("Observation/{id}")).await?)?;
        let verified = verify(
            &export,
            &self.view.trust(export.receipt.succession.as_ref())?,
        )?;
        anyhow::ensure!(
            verified.member.as_str() == "laboratory" && verified.id == id,
            "the receipt is of something else"
        );
        let again = laboratory_system.ask(&result).await?;
        anyhow::ensure!(again == answer, "sent again, it was answered otherwise");
        Ok(format!(
            "an ORU^R01 over MLLP is acknowledged after {} ms, in the patient's notification after {} ms, and in the record \
             at the hospital after {} ms, coded in LOINC, with a receipt that verifies; sent again, it is answered the same",
            acknowledged.as_millis(),
            heard.as_millis(),
            seen.as_millis()
        ))
    }

    /// The patient, who hears of results at the laboratory, and the hospital, which hears of what others record.
    async fn subscribers(
        &self,
        wallet: &Wallet,
        at_hospital: &str,
    ) -> anyhow::Result<(Subscriber, Subscriber)> {
        let at_laboratory = wallet.client(&self.view, "laboratory")?;
        let own = wallet.patient_at("laboratory")?;
        let filter = format!("Observation?patient={own}");
        let patient = Subscriber::to(&at_laboratory, "record", &filter).await?;
        let filter = format!("Patient?_id={at_hospital}");
        let hospital = self.clinician("hospital")?;
        let ward = Subscriber::to(&hospital, "record-elsewhere", &filter).await?;
        Ok((patient, ward))
    }

    /// The result in the longitudinal record at the hospital, which looks when it hears of something.
    async fn until_seen(&self, patient: &str, ward: &mut Subscriber) -> anyhow::Result<Value> {
        let hospital = self.clinician("hospital")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            ward.wait(LOOK_AGAIN).await;
            let answer = hospital
                .get(&format!("Patient/{patient}/$everything"))
                .await?;
            let record = answer.ok()?.json()?;
            let entries = record["entry"].as_array().into_iter().flatten();
            let mut resources = entries.map(|entry| &entry["resource"]);
            let found = resources.find(|one| {
                let identifier = one["identifier"][0]["value"].as_str().unwrap_or_default();
                one["resourceType"] == "Observation" && identifier.contains(ORDER)
            });
            if let Some(found) = found {
                return Ok(found.clone());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "the hospital does not see the result"
            );
        }
    }

    /// PID-3 of the patient, as the laboratory knows them.
    async fn identifier_at_laboratory(&self) -> anyhow::Result<String> {
        let id = self.hero_wallet()?.patient_at("laboratory")?.to_owned();
        let answer = self
            .clinician("laboratory")?
            .get(&format!("Patient/{id}"))
            .await?;
        let patient = answer.ok()?.json()?;
        let identifier = &patient["identifier"][0];
        let system = identifier["system"]
            .as_str()
            .context("the patient has no identifier")?;
        let authority = match system.strip_prefix("urn:oid:") {
            Some(oid) => format!("&{oid}&ISO"),
            None => format!("&{system}&URI"),
        };
        let value = identifier["value"].as_str().unwrap_or_default();
        Ok(format!("{value}^^^{authority}^MR"))
    }
}

/// Whether a resource is of a glucose, by its code in LOINC.
fn is_glucose(resource: &Value) -> bool {
    let mut codings = resource["code"]["coding"].as_array().into_iter().flatten();
    codings.any(|one| one["system"] == "http://loinc.org" && one["code"] == "2345-7")
}

/// A glucose of an order, with a local code.
fn result(identifier: &str) -> String {
    format!(
        "MSH|^~\\&|LAB|LAB|EHR|HOSPITAL|20260601101500+0000||ORU^R01^ORU_R01|STORY1|P|2.5.1\r\
         PID|1||{identifier}\r\
         OBR|1||{ORDER}^LAB|GLU^Glucose^L|||20260601100000+0000|||||||||||||||20260601101500+0000||LAB|F\r\
         OBX|1|NM|GLU^Glucose^L||98|mg/dL^^UCUM|70-99|N|||F|||20260601100000+0000\r"
    )
}
