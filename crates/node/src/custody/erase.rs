//! Erasure: the erase keys of a document's versions go, then its rows and payloads; the gap stays on the ledger.

use interop::fhir::ResourceType;

use super::append::{Draft, Precondition};
use super::keys::EraseKey;
use super::request::{Requester, Written};
use super::rows::version_key;
use super::store::Table;
use super::{Custody, CustodyError};

impl Custody {
    pub(super) async fn erase_document(
        &self,
        by: &Requester,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<Written, CustodyError> {
        if by.member != self.0.home.member || by.patient.is_some() {
            return Err(CustodyError::Denied {
                reason: "records are erased by their home member".to_owned(),
                determining: Vec::new(),
            });
        }
        let head = self.known(by, resource_type, id)?;
        let subject = self.0.subjects.load(&head.subject)?;
        let is_consent = resource_type == ResourceType::CONSENT;
        if is_consent && subject.wallet_key.is_some() {
            // To erase a consent is to revoke it.
            return Err(CustodyError::ConsentNotSigned);
        }
        let keys = &self.0.home.keys;
        let document = keys.document(resource_type.as_str(), id);
        let mut blobs = Vec::new();
        for version in 1..=head.version {
            if let Some(loaded) = self.load(&document, version)?
                && let Some(locator) = loaded.row.payload.locator()
            {
                blobs.push(locator.to_owned());
            }
        }
        let draft = Draft {
            subject,
            document,
            resource_type,
            id: id.to_owned(),
            precondition: Precondition::Current(Some(head.version)),
            author: by.principal(),
            audit: self.change_by(by),
            content: None,
            erases: true,
            erase: EraseKey::new(),
        };
        // First there: when that fails, everything is as it was.
        let (there, held) = self.delete_there(&head).await?.unzip();
        let home = self.0.home.clone();
        let now = (self.0.options.clock)();
        let written = self
            .0
            .store
            .transact(move |transaction| {
                let written = home.append(transaction, draft, now)?;
                if let Some(there) = there {
                    there.know(&home.keys, transaction, written.version);
                }
                for version in 1..written.version {
                    let key = version_key(&document, version);
                    transaction.remove(Table::EraseKeys, &key);
                    transaction.remove(Table::Versions, &key);
                }
                Ok(written)
            })
            .await?;
        drop(held);
        if is_consent {
            self.0.rulings.forget(&head.subject);
        }
        self.0.store.purge(Table::EraseKeys)?;
        for locator in blobs {
            // Its key is gone already: what cannot be deleted now is noise, and is swept later.
            if let Err(error) = self.0.payloads.delete(&locator).await {
                tracing::warn!(%error, "an erased payload is still in its store");
            }
        }
        Ok(written)
    }
}
