//! Step 11: the patient asks a member to whom it gave records, and the account names what the story has opened.

use ::node::custody::BREAK_GLASS;
use anyhow::Context as _;
use serde_json::{Value, json};

use super::Story;
use crate::client::{Client, Request};

const MEMBER: &str = "hospital";
/// Who got records by post, which no node has seen.
const COURT: &str = "District court";

impl Story {
    pub(super) async fn accounting(&mut self) -> anyhow::Result<String> {
        let wallet = self.hero_wallet()?;
        let patient = wallet.patient_at(MEMBER)?.to_owned();
        let own = wallet.client(&self.view, MEMBER)?;
        let officer = self.system(MEMBER, "audit", "HOPERAT", Some("privacy-officer"))?;
        by_post(&officer, &patient).await?;

        let recipients = account(&own, &patient, "gdpr-15").await?;
        let opened = self.attempts.iter();
        let opened = opened.filter(|one| one.granted && one.custodian == MEMBER);
        let mut named = 0;
        for attempt in opened {
            anyhow::ensure!(
                recipients.names(&attempt.requester, &attempt.target),
                "the account does not say that {} got a record",
                attempt.requester
            );
            named += 1;
        }
        anyhow::ensure!(named > 0, "the story has opened nothing at the {MEMBER}");
        let emergency = recipients
            .lines
            .iter()
            .any(|line| line.contains(BREAK_GLASS));
        anyhow::ensure!(emergency, "the account does not name the emergency");
        anyhow::ensure!(
            recipients.items > 0,
            "no line names its items on the ledger"
        );

        let hipaa = account(&own, &patient, "hipaa").await?;
        anyhow::ensure!(
            hipaa.lines.len() == 1 && hipaa.lines.iter().all(|line| line.contains(COURT)),
            "45 CFR 164.528 counts what went to the court alone, and the account has {} lines",
            hipaa.lines.len()
        );
        let other = self.somebody_else(&patient)?;
        let path = format!("Patient/{other}/$disclosures?regime=hipaa");
        let refused = own.get(&path).await?.status();
        anyhow::ensure!(refused == 403, "about somebody else it answered {refused}");
        Ok(format!(
            "the patient's account of the {MEMBER} names all {named} openings of the story and the emergency in {} lines, \
             with {} items of the ledger; that by 45 CFR 164.528 names what went to a court by post",
            recipients.lines.len(),
            recipients.items
        ))
    }
}

impl Story {
    /// Another patient's id at the hospital.
    fn somebody_else(&self, patient: &str) -> anyhow::Result<String> {
        let wallets = self.wallets.names().into_iter();
        let mut ids = wallets.filter_map(|name| {
            let wallet = self.wallet(&name).ok()?;
            wallet.patient_at(MEMBER).map(str::to_owned).ok()
        });
        let other = ids.find(|id| id != patient);
        other.context("the hospital has no other patient")
    }
}

/// An account as it is read.
struct Account {
    /// In words.
    lines: Vec<String>,
    /// Items of the ledger that the lines name.
    items: usize,
    /// What the lines stand for.
    events: Vec<Value>,
}

impl Account {
    /// Whether a line is about `recipient`, and an event about the document as well.
    fn names(&self, recipient: &str, document: &str) -> bool {
        let is_line = |line: &String| line.starts_with(recipient);
        let is_event = |event: &Value| {
            let text = event.to_string();
            text.contains(recipient) && text.contains(document)
        };
        self.lines.iter().any(is_line) && self.events.iter().any(is_event)
    }
}

async fn account(own: &Client, patient: &str, regime: &str) -> anyhow::Result<Account> {
    let path = format!("Patient/{patient}/$disclosures?regime={regime}&_format=json");
    let bundle = own.get(&path).await?.ok()?.json()?;
    let entries = bundle["entry"].as_array().context("no entries")?;
    let mut resources = entries.iter().map(|entry| &entry["resource"]);
    let list = resources.next().context("no List")?;
    let lines: Vec<&Value> = list["entry"].as_array().into_iter().flatten().collect();
    let words = lines
        .iter()
        .filter_map(|one| one["item"]["display"].as_str());
    let items = lines.iter().filter_map(|one| one["extension"].as_array());
    Ok(Account {
        lines: words.map(str::to_owned).collect(),
        items: items.map(Vec::len).sum(),
        events: resources.cloned().collect(),
    })
}

/// The hospital's privacy officer enters what went to a court by post.
async fn by_post(officer: &Client, patient: &str) -> anyhow::Result<()> {
    let said = |name: &str, value: &str| json!({ "name": name, "valueString": value });
    let entered = json!({ "resourceType": "Parameters", "parameter": [
        said("recipient", COURT),
        said("description", "discharge letter of May"),
        said("purpose", "order 17/2026"),
        { "name": "class", "valueCode": "judicial" },
    ] });
    let path = format!("Patient/{patient}/$record-disclosure");
    officer.post(&path, &Request::json(&entered)).await?.ok()?;
    Ok(())
}
