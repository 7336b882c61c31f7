//! Records of a patient that went to somebody, as the log has them, each with its place on the ledger.

use std::collections::BTreeMap;

use contracts::disclosure::{Class, Disclosure, Suspension};
use interop::fhir::TimeSpan;
use interop::fhir::audit::{AuditEntry, AuditOutcome, Passing};
use interop::fhir::timespan::format_instant;
use ledger::codec;
use ledger::ids::{Digest, Tag};

use super::{AuditWanted, Held, event_digest};
use crate::custody::{Custody, CustodyError};

/// The interaction of an entry about records that left by other ways, such as a letter to a court.
pub const DISCLOSED: &str = "disclosure";
/// The interaction of an entry about an agency's request to suspend the accounting.
pub const SUSPENDED: &str = "suspension";

/// A disclosure and where the ledger commits to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disclosed {
    /// The disclosure.
    pub disclosure: Disclosure,
    /// Its entry in the patient's access stream, if it has one of its own.
    pub anchor: Option<AnchoredAt>,
}

/// A place on the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnchoredAt {
    /// The position in the member's access stream of the patient.
    pub position: u64,
    /// The item's tag.
    pub tag: Tag,
    /// The statement's index in the log; `None` while it is on its way.
    pub statement: Option<u64>,
}

/// What is known of a patient's disclosures.
#[derive(Debug, Clone, Default)]
pub struct Disclosures {
    /// The earliest first.
    pub made: Vec<Disclosed>,
    /// Suspensions that agencies asked for.
    pub suspensions: Vec<Suspension>,
    /// When reports by the rule of the same name were made.
    pub reports: Vec<(String, u64)>,
}

impl Custody {
    /// The disclosures of a patient's records, and what bears on reporting them.
    pub async fn disclosures(&self, patient_id: &str) -> Result<Disclosures, CustodyError> {
        let subject = self.0.subjects.of_patient(patient_id)?;
        let subject = subject.ok_or(CustodyError::UnknownPatient)?;
        let held = self.held().await?;
        let mut places: BTreeMap<Digest, AnchoredAt> = BTreeMap::new();
        for entry in held.entries(&subject.id)? {
            let Some(stored) = entry.stored else { continue };
            let tag = Held::access_tag(&subject, entry.position)?;
            let statement = held.anchor.locate(&held.member, tag)?;
            let place = AnchoredAt {
                position: entry.position,
                tag,
                statement: statement.map(|one| one.statement),
            };
            let events = stored.access.each().into_iter();
            places.extend(events.filter_map(|one| Some((one.audit?, place))));
        }
        let wanted = AuditWanted {
            patient: Some(patient_id.to_owned()),
            ..AuditWanted::all()
        };
        let mut found = Disclosures::default();
        for (number, entry) in self.audit_log(&wanted, usize::MAX)?.into_iter().rev() {
            let digest = event_digest(&codec::encode(&entry));
            match entry.interaction.as_str() {
                SUSPENDED => found.suspensions.extend(suspension(&entry)),
                "disclosures" => {
                    let regime = entry.detail("regime").unwrap_or_default();
                    found.reports.push((regime.to_owned(), entry.recorded));
                }
                _ => {
                    let made = disclosure(number, &entry).map(|disclosure| Disclosed {
                        disclosure,
                        anchor: places.get(&digest).copied(),
                    });
                    found.made.extend(made);
                }
            }
        }
        Ok(found)
    }
}

fn disclosure(number: u64, entry: &AuditEntry) -> Option<Disclosure> {
    let Some(Passing::To(recipient)) = &entry.passing else {
        return None;
    };
    let is_manual = entry.interaction == DISCLOSED;
    if entry.outcome != AuditOutcome::Done || (entry.documents.is_empty() && !is_manual) {
        return None;
    }
    let purpose = entry.agent.purpose.clone().unwrap_or_default();
    let class = entry.detail("class").and_then(Class::parse);
    let at = entry.detail("at").and_then(TimeSpan::parse);
    let at = at.and_then(|span| u64::try_from(span.start_ms).ok());
    Some(Disclosure {
        number,
        at: at.unwrap_or(entry.recorded),
        recipient: recipient.clone(),
        address: entry.detail("address").map(str::to_owned),
        description: match entry.detail("description") {
            Some(description) => description.to_owned(),
            None => described(&entry.documents),
        },
        class: class.unwrap_or_else(|| Class::of_purpose(&purpose)),
        purpose: entry.detail("purpose").map_or(purpose, str::to_owned),
        by_consent: entry.rules.iter().any(|rule| rule.starts_with("consent/")),
    })
}

fn suspension(entry: &AuditEntry) -> Option<Suspension> {
    let until = entry.detail("until").and_then(TimeSpan::parse);
    Some(Suspension {
        agency: entry.detail("agency")?.to_owned(),
        from: entry.recorded,
        written_until: until.and_then(|span| u64::try_from(span.end_ms).ok()),
    })
}

/// How many of which types.
fn described(documents: &[String]) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for document in documents {
        let kind = document.split('/').next().unwrap_or_default();
        let count = kinds.entry(kind).or_default();
        *count = count.saturating_add(1);
    }
    let kinds = kinds
        .into_iter()
        .map(|(kind, count)| format!("{kind} ({count})"));
    kinds.collect::<Vec<String>>().join(", ")
}

/// A moment, as the details of an entry have it.
pub fn moment(at: u64) -> String {
    format_instant(i64::try_from(at).unwrap_or(i64::MAX))
}
