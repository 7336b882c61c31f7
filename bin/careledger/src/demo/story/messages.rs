//! Step 14: a result that a laboratory's system sends by HL7 v2 is in the record at the hospital.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use contracts::consent::template::DataClass;
use contracts::export::{Export, verify};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{PATIENCE, POLL, Story};
use crate::demo::interfaces;
use crate::receipt::fetch;
use crate::wallet::Wish;

const DAY: Duration = Duration::from_secs(86_400);
/// The order's number at the laboratory.
const ORDER: &str = "STORY-4711";
/// How long an acknowledgement may take.
const ACKNOWLEDGED: Duration = Duration::from_secs(30);

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
        let sent = Instant::now();
        let answer = send(address, &result).await?;
        anyhow::ensure!(
            answer.contains("\rMSA|AA|"),
            "the laboratory answered {answer:?}"
        );
        let acknowledged = sent.elapsed();
        let observation = self.until_seen(&at_hospital).await?;
        let seen = sent.elapsed();
        let coding = &observation["code"]["coding"];
        anyhow::ensure!(
            coding.as_array().into_iter().flatten().any(|coding| {
                coding["system"] == "http://loinc.org" && coding["code"] == "2345-7"
            }),
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
        let again = send(address, &result).await?;
        anyhow::ensure!(again == answer, "sent again, it was answered otherwise");
        Ok(format!(
            "an ORU^R01 over MLLP is acknowledged after {} ms, is in the record at the hospital, coded in LOINC, after {} ms, \
             with a receipt that verifies; sent again, it is answered the same",
            acknowledged.as_millis(),
            seen.as_millis()
        ))
    }

    /// The result in the longitudinal record at the hospital.
    async fn until_seen(&self, patient: &str) -> anyhow::Result<Value> {
        let hospital = self.clinician("hospital")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
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
            tokio::time::sleep(POLL).await;
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

/// A glucose of an order, with a local code.
fn result(identifier: &str) -> String {
    format!(
        "MSH|^~\\&|LAB|LAB|EHR|HOSPITAL|20260601101500+0000||ORU^R01^ORU_R01|STORY1|P|2.5.1\r\
         PID|1||{identifier}\r\
         OBR|1||{ORDER}^LAB|GLU^Glucose^L|||20260601100000+0000|||||||||||||||20260601101500+0000||LAB|F\r\
         OBX|1|NM|GLU^Glucose^L||98|mg/dL^^UCUM|70-99|N|||F|||20260601100000+0000\r"
    )
}

/// Sends a message in a frame of MLLP; answers the acknowledgement.
async fn send(address: SocketAddr, message: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let frame = [b"\x0b", message.as_bytes(), b"\x1c\r"].concat();
    stream.write_all(&frame).await?;
    let mut answer = Vec::new();
    let read = async {
        while !answer.ends_with(b"\x1c\r") {
            answer.push(stream.read_u8().await?);
        }
        anyhow::Ok(())
    };
    let in_time = tokio::time::timeout(ACKNOWLEDGED, read).await;
    in_time.context("no acknowledgement came")??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
