//! Filing consents: what may follow what is filed already, and receipts of what was.

use std::collections::BTreeSet;

use contracts::consent::life::check_follows;
use contracts::consent::receipt::{Facts, Version, payload, signed, signing_input};
use contracts::consent::{Rejection, part2};
use interop::fhir::{Resource, ResourceType};
use serde_json::Value;

use super::append::Precondition;
use super::request::{HistoryEntry, ReceiptState, Requester};
use super::write::Named;
use super::{Custody, CustodyError};

/// What patients write beside a consent: the form that they filled in or signed.
const SOURCES: [&str; 2] = ["DocumentReference", "QuestionnaireResponse"];

/// The documents that consents among some changes name as their source, as `Type/id`.
pub(super) struct Sources(BTreeSet<String>);

impl Sources {
    pub(super) fn of(changes: &[Named]) -> Self {
        let consents = changes.iter().filter_map(|one| one.resource.as_ref());
        let consents = consents.filter(|one| one.resource_type() == ResourceType::CONSENT);
        let source = |consent: &Resource| {
            let source = consent.get("sourceReference")?.get("reference")?;
            source.as_str().map(str::to_owned)
        };
        Self(consents.filter_map(source).collect())
    }

    /// Whether a change adds such a document.
    pub(super) fn include(&self, change: &Named) -> bool {
        let kind = change.resource_type.as_str();
        let is_new = matches!(
            change.precondition,
            Precondition::New | Precondition::Absent
        );
        is_new && SOURCES.contains(&kind) && self.0.contains(&format!("{kind}/{}", change.id))
    }
}

impl Custody {
    /// Refuses a consent that lacks what the law demands, or cannot follow what is filed; one that is held against the
    /// current version replaces no other.
    pub(super) async fn check_filing(&self, change: &mut Named) -> Result<(), CustodyError> {
        let Some(resource) = &change.resource else {
            return Ok(());
        };
        if change.resource_type != ResourceType::CONSENT {
            return Ok(());
        }
        let after = value_of(resource);
        part2::check(&after, change.signed.is_some()).map_err(refused)?;
        let Some(head) = self.head(change.resource_type, &change.id)? else {
            return Ok(());
        };
        match change.precondition {
            Precondition::Current(None) => {}
            Precondition::Current(Some(version)) if version == head.version => {}
            // It is refused for that when it is written.
            _ => return Ok(()),
        }
        let current = self.current(&head)?;
        let Some(before) = self.open_content(&current).await? else {
            return Ok(());
        };
        check_follows(&value_of(&before), &after).map_err(refused)?;
        change.precondition = Precondition::Current(Some(head.version));
        Ok(())
    }

    /// A receipt of a version of a consent as of ISO/IEC TS 27560, signed by this node: a compact JWS
    /// (`contracts::consent::receipt`); `None` while the version is not final.
    pub async fn consent_receipt(
        &self,
        by: &Requester,
        id: &str,
        version: u64,
    ) -> Result<Option<String>, CustodyError> {
        let kind = ResourceType::CONSENT;
        let ReceiptState::Final(export) = self.receipt(by, kind, id, version).await? else {
            return Ok(None);
        };
        if export.content.is_empty() {
            return Err(CustodyError::Gone);
        }
        let entries = self.history(by, kind, id).await?.into_iter();
        let mut versions: Vec<Version> = entries.map(told).collect();
        versions.retain(|one| one.number <= version);
        versions.sort_by_key(|one| one.number);
        let (_, registry) = self.0.anchor.governed();
        let controllers = registry.members().map(|member| member.as_str().to_owned());
        let controllers: Vec<String> = controllers.collect();
        let home = &self.0.home.member;
        let payload = payload(&Facts {
            export: &export,
            home,
            at: (self.0.options.clock)(),
            versions: &versions,
            controllers: &controllers,
        });
        let speaker = self.0.options.signer.speaker();
        let input = signing_input(&payload.map_err(refused)?, &speaker.of(home));
        let signature = (speaker.sign)(input.as_bytes());
        let signature = signature.map_err(|_| CustodyError::Unavailable {
            what: "the key store",
        })?;
        let signature = speaker.algorithm.in_one_form(signature);
        Ok(Some(signed(&input, &signature)))
    }
}

pub(super) fn refused(rejection: Rejection) -> CustodyError {
    CustodyError::RefusedConsent {
        element: rejection.element().to_owned(),
        reason: rejection.to_string(),
    }
}

fn told(entry: HistoryEntry) -> Version {
    Version {
        number: entry.version,
        at: entry.last_updated_ms,
        content: entry.opened.map(|opened| value_of(&opened.resource)),
    }
}

fn value_of(resource: &Resource) -> Value {
    Value::Object(resource.object().clone())
}
