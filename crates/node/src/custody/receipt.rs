//! Receipts of versions, and the patient's access history.

use contracts::descriptor::Descriptor;
use contracts::export::Export;
use interop::fhir::ResourceType;
use ledger::ids::Tag;
use ledger::receipt::Receipt;

use super::read::{Loaded, facts_of};
use super::request::{AccessEntry, ReceiptState, Requester};
use super::rows::{AccessRow, Head, Own};
use super::store::Table;
use super::subject::Subject;
use super::{Custody, CustodyError};

impl Custody {
    pub(super) async fn export(
        &self,
        by: &Requester,
        resource_type: ResourceType,
        id: &str,
        version: u64,
    ) -> Result<ReceiptState, CustodyError> {
        let head = self.known(by, resource_type, id)?;
        let subject = self.0.subjects.load(&head.subject)?;
        let document = self.0.home.keys.document(&head.resource_type, &head.id);
        let loaded = self.load(&document, version)?;
        let current = self.current(&head)?;
        let facts = facts_of(&head, (version, loaded.as_ref()), &current);
        self.admit(by, "receipt", &subject, &head, facts).await?;
        if version == 0 || version > head.version {
            return Err(CustodyError::NotFound);
        }
        let loaded = loaded.ok_or(CustodyError::Gone)?;
        let receipt = self.version_receipt(&subject, &head, version, &loaded)?;
        let moves = match version == head.version {
            true => self.moves_behind(&subject, &head, version)?,
            false => Some(Vec::new()),
        };
        let (Some(receipt), Some(moves)) = (receipt, moves) else {
            return Ok(ReceiptState::Pending);
        };
        let payloads = &self.0.payloads;
        let content = if loaded.row.facts.deleted {
            Vec::new()
        } else {
            payloads
                .open(&loaded.erase, &loaded.row.payload)
                .await?
                .to_vec()
        };
        Ok(ReceiptState::Final(Box::new(Export {
            descriptor: loaded.row.descriptor.clone(),
            opening: loaded.erase.opening(),
            content,
            receipt,
            moves: Some(moves).filter(|moves| !moves.is_empty()),
        })))
    }

    /// The receipt of a version; that of the current one shows that there is no later one.
    pub(super) fn version_receipt(
        &self,
        subject: &Subject,
        head: &Head,
        version: u64,
        loaded: &Loaded,
    ) -> Result<Option<Receipt>, CustodyError> {
        let tag = subject.key(loaded.row.facts.branch)?.tag(loaded.row.entry);
        self.entry_receipt(tag, (subject, head), version, loaded)
    }

    /// The receipt of the version's item with this tag.
    pub(super) fn entry_receipt(
        &self,
        tag: Tag,
        (subject, head): (&Subject, &Head),
        version: u64,
        loaded: &Loaded,
    ) -> Result<Option<Receipt>, CustodyError> {
        let next = match Descriptor::decode(&loaded.row.descriptor) {
            Ok(Descriptor::Record(record)) => record.next,
            _ => return Err(CustodyError::Storage("a version's descriptor".to_owned())),
        };
        let next = [self.next_tag(subject, head, version, next)?];
        let is_current = version == head.version;
        self.item_receipt(tag, if is_current { next.as_slice() } else { &[] })
    }

    pub(super) fn item_receipt(
        &self,
        tag: Tag,
        absent: &[Tag],
    ) -> Result<Option<Receipt>, CustodyError> {
        let anchor = &self.0.anchor;
        match anchor.locate(&self.0.home.member, tag)? {
            Some(position) => Ok(anchor.receipt(position, absent)?),
            None => Ok(None),
        }
    }

    /// Who asked this member, or asked through it, about the patient whose token this is.
    pub async fn access_history(&self, by: &Requester) -> Result<Vec<AccessEntry>, CustodyError> {
        let patient_id = by.patient.as_ref().ok_or_else(|| CustodyError::Denied {
            reason: "the access history is the patient's own".to_owned(),
            determining: Vec::new(),
        })?;
        let subject = self.0.subjects.of_patient(patient_id)?;
        let subject = subject.ok_or(CustodyError::NotFound)?;
        // In a task of its own: a caller that goes away does not keep requests from being entered.
        let registrar = self.0.registrar.clone();
        let entered = tokio::spawn(async move { registrar.enter().await }).await;
        entered.map_err(|error| CustodyError::Storage(error.to_string()))??;
        let entries = subject.key(Own::Access)?;
        let rows = self.0.store.scan(Table::Accesses, &subject.id);
        let stored = rows.map(|row| {
            let (key, sealed) = row?;
            let row: AccessRow = self.0.home.keys.open_row(Table::Accesses, &key, &sealed)?;
            let position = key.last_chunk().map_or(0, |last| u64::from_be_bytes(*last));
            let tag = entries.tag(position);
            Ok(AccessEntry {
                position,
                tag,
                descriptor: row.descriptor,
                opening: row.opening,
                receipt: self.item_receipt(tag, &[])?,
                successor: None,
            })
        });
        let stored = stored.collect::<Result<_, CustodyError>>()?;
        self.with_closings(&subject, stored)
    }
}
