//! Deletion certificates: receipts of what was there, of the erasure, and what every holder has signed.

use contracts::erasure::{Certificate, CertifiedErasure};
use ledger::ids::Tag;
use ledger::receipt::Receipt;

use super::rows::ErasureRow;
use super::standing::erasure_in;
use crate::custody::{Custody, CustodyError};

impl Custody {
    /// The certificate of all erasures of a document, or of a patient's documents if the patient is named; `None` while
    /// one of them is not final. The grounds are in it only if they are to be given away.
    pub fn erasure_certificate(
        &self,
        (resource_type, id): (&str, &str),
        with_grounds: bool,
    ) -> Result<Option<Certificate>, CustodyError> {
        let mut rows = if resource_type == "Patient" {
            let subject = self.0.subjects.of_patient(id)?;
            let subject = subject.ok_or(CustodyError::NotFound)?;
            let mut rows = self.erasure_rows(&[])?;
            rows.retain(|(_, row)| row.subject == subject.id);
            rows
        } else {
            let document = self.0.home.keys.document(resource_type, id);
            self.erasure_rows(&document)?
        };
        if rows.is_empty() {
            return Err(CustodyError::NotFound);
        }
        rows.sort_by_key(|(key, _)| key.last_chunk::<8>().copied());
        let mut erasures = Vec::new();
        for (_, row) in rows {
            let Some(one) = self.certified(row, with_grounds)? else {
                return Ok(None);
            };
            erasures.push(one);
        }
        Ok(Some(Certificate { erasures }))
    }

    fn certified(
        &self,
        row: ErasureRow,
        with_grounds: bool,
    ) -> Result<Option<CertifiedErasure>, CustodyError> {
        let descriptor = erasure_in(&row.descriptor)?;
        let receipt =
            |tag: Tag| -> Result<Option<Receipt>, CustodyError> { self.item_receipt(tag, &[]) };
        let Some(own) = receipt(row.tag)? else {
            return Ok(None);
        };
        let tombstone = match descriptor.tombstone.map(receipt).transpose()? {
            Some(None) => return Ok(None),
            Some(Some(receipt)) => Some(receipt),
            None => None,
        };
        let mut erased = Vec::with_capacity(descriptor.erased.len());
        for [tag, _] in &descriptor.erased {
            match receipt(*tag)? {
                Some(receipt) => erased.push(receipt),
                None => return Ok(None),
            }
        }
        let said = row.holders.into_iter().filter_map(|one| one.acknowledged);
        Ok(Some(CertifiedErasure {
            descriptor: row.descriptor,
            opening: row.opening,
            receipt: own,
            erased,
            tombstone,
            acknowledgements: said.collect(),
            grounds: with_grounds.then_some(row.grounds),
        }))
    }
}
