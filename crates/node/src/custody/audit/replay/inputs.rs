//! What decisions were made of: consents at the versions that they name, documents as they were.

use std::collections::{BTreeMap, BTreeSet};

use contracts::access::{DecisionRecord, Document};
use contracts::consent::Consent;
use contracts::descriptor::{AccessDescriptor, Decided, Descriptor};
use interop::fhir::{ParseLimits, Resource};

use super::Replaying;
use crate::custody::CustodyError;
use crate::custody::audit::held::Held;
use crate::custody::decide::document;
use crate::custody::read::Loaded;
use crate::custody::rows::{
    AdoptedRow, ChangeRow, DocumentKey, RowKind, SubjectId, adopted_key, version_key,
};
use crate::custody::store::{Table, sequence};
use crate::custody::subject::Subject;

/// One version of a consent that was filed here.
pub(super) struct Filed {
    pub(super) document: DocumentKey,
    pub(super) id: String,
    pub(super) version: u64,
    pub(super) recorded_at: u64,
    pub(super) kind: RowKind,
}

/// The versions of all consents that were filed here, oldest first.
pub(super) fn filed(held: &Held) -> Result<BTreeMap<SubjectId, Vec<Filed>>, CustodyError> {
    let mut filed: BTreeMap<SubjectId, Vec<Filed>> = BTreeMap::new();
    for row in held.view.scan(Table::Changes, &[]) {
        let (key, row) = row?;
        if sequence(&key).is_ok_and(|number| number == 0) {
            continue;
        }
        let change: ChangeRow = held.keys.open_row(Table::Changes, &key, &row)?;
        if change.resource_type == "Consent" {
            filed.entry(change.subject).or_default().push(Filed {
                document: change.document,
                id: change.id,
                version: change.version,
                recorded_at: change.recorded_at,
                kind: change.kind,
            });
        }
    }
    Ok(filed)
}

impl Replaying<'_> {
    /// The consents that a decision rests on, or which is not here.
    pub(super) async fn consents(
        &self,
        subject: &Subject,
        record: &DecisionRecord,
    ) -> Result<Result<Vec<Consent>, String>, CustodyError> {
        let mut consents = Vec::with_capacity(record.heads.len());
        for head in &record.heads {
            let content = match head.id.split_once('/') {
                Some((home, id)) if home == self.held.member.as_str() => {
                    let document = self.held.keys.document("Consent", id);
                    self.content(&document, head.version).await?
                }
                Some((home, id)) => self.adopted(subject, home, (id, head.version))?,
                None => None,
            };
            let consent = content.and_then(|resource| {
                Consent::read(&head.id, head.version, &resource.into_value()).ok()
            });
            match consent {
                Some(consent) => consents.push(consent),
                None => return Ok(Err(format!("consent {} is not here", head.id))),
            }
        }
        Ok(Ok(consents))
    }

    fn adopted(
        &self,
        subject: &Subject,
        home: &str,
        (id, version): (&str, u64),
    ) -> Result<Option<Resource>, CustodyError> {
        let Ok(from) = home.parse() else {
            return Ok(None);
        };
        let prefix = adopted_key(&subject.id, &from, None);
        for row in self.held.view.scan(Table::Adopted, &prefix) {
            let (key, row) = row?;
            let row: AdoptedRow = self.held.keys.open_row(Table::Adopted, &key, &row)?;
            if let Ok(Descriptor::Record(one)) = Descriptor::decode(&row.descriptor)
                && one.id == id
                && one.version == version
            {
                return Ok(Resource::parse(&row.content, &ParseLimits::stored()).ok());
            }
        }
        Ok(None)
    }

    async fn content(
        &self,
        document: &DocumentKey,
        version: u64,
    ) -> Result<Option<Resource>, CustodyError> {
        let Some(loaded) = self.load(document, version)? else {
            return Ok(None);
        };
        let payloads = &self.held.payloads;
        let content = payloads.open(&loaded.erase, &loaded.row.payload).await?;
        Ok(Resource::parse(&content, &ParseLimits::stored()).ok())
    }

    fn load(&self, document: &DocumentKey, version: u64) -> Result<Option<Loaded>, CustodyError> {
        let (store, keys) = (&self.held.store, &self.held.keys);
        let Some(erase) = keys.erase_key(store, document, version)? else {
            return Ok(None);
        };
        let key = version_key(document, version);
        let Some(row) = store.get(Table::Versions, &key)? else {
            return Ok(None);
        };
        let row = erase.open(Table::Versions, &key, &row)?;
        Ok(Some(Loaded { row, erase }))
    }

    /// The documents as they were decided; `None` for one that is erased.
    pub(super) fn documents(
        &self,
        subject: &Subject,
        access: &AccessDescriptor,
        decided: &Decided,
        record: &DecisionRecord,
    ) -> Result<Option<Vec<Option<Document>>>, CustodyError> {
        let Some(named) = &decided.documents else {
            return Ok(None);
        };
        if named.len() != record.rulings.len().saturating_mul(24) {
            return Ok(None);
        }
        let now = u64::try_from(record.request.now).unwrap_or(u64::MAX);
        let with_later = access.request.is_some() || access.interaction == "notify";
        let mut documents = Vec::with_capacity(record.rulings.len());
        for key in named.chunks_exact(24) {
            let (Some(document_key), Some(version)) =
                (key.first_chunk::<16>(), key.last_chunk::<8>())
            else {
                return Ok(None);
            };
            let version = u64::from_be_bytes(*version);
            let Some(loaded) = self.load(document_key, version)? else {
                documents.push(None);
                continue;
            };
            let mut facts = loaded.row.facts.disclosure;
            if with_later {
                let later = self.labels_after((document_key, version), now)?;
                facts.labels.extend(later);
            }
            let (home, patient) = (self.held.member.as_str(), subject.patient_id.as_deref());
            documents.push(Some(document(home, patient, &facts)));
        }
        Ok(Some(documents))
    }

    /// Labels of later versions that were there at a time: what had become sensitive by then was so in older ones too.
    fn labels_after(
        &self,
        (document, version): (&DocumentKey, u64),
        now: u64,
    ) -> Result<BTreeSet<String>, CustodyError> {
        let mut labels = BTreeSet::new();
        let mut later = version.saturating_add(1);
        while let Some(one) = self.load(document, later)? {
            if one.row.facts.recorded_at > now {
                break;
            }
            labels.extend(one.row.facts.disclosure.labels);
            later = later.saturating_add(1);
        }
        Ok(labels)
    }
}
