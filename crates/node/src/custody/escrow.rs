//! The end of an escrow: a patient's root goes from this member to the patient's wallet.
//!
//! It is sealed to the wallet and stays here until the wallet has said that it has it; a stop in between leaves it in both
//! places, and the wallet asks again. Each step stands in the patient's access history, in the same batch.

use std::sync::Arc;

use contracts::escrow::{Handover, Refusal, Taken, info, offer, root_digest, take};
use ledger::ids::Digest;
use minicbor::{Decode, Encode};
use vault::wrap::{HpkePublicKey, wrap_for};

use super::access::AccessDraft;
use super::append::Home;
use super::request::Requester;
use super::rows::{SubjectId, SubjectRow};
use super::store::{Table, Transaction};
use super::subject::Subject;
use super::{Custody, CustodyError};

/// A wallet that is to have a patient's root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EscrowOffer {
    /// Its Ed25519 key, which signs consents.
    pub wallet: Digest,
    /// Its HPKE key, to which the root is sealed.
    pub recipient: HpkePublicKey,
    /// Whether it takes the place of a wallet that was offered the root before.
    pub instead: bool,
}

/// To which wallet a root is on offer.
#[derive(Clone, Encode, Decode)]
struct OfferRow {
    #[n(0)]
    wallet: Digest,
}

impl Custody {
    /// The patient's root, sealed to a wallet: encapsulated key, then ciphertext. On record before it is given.
    pub async fn offer_escrow(
        &self,
        by: &Requester,
        patient_id: &str,
        offered: EscrowOffer,
    ) -> Result<Vec<u8>, CustodyError> {
        let subject = self.of_own_patient(by, patient_id)?;
        let recorded = self.step(by, &subject, "escrow-offer");
        let home = self.0.home.clone();
        let sealing = self.0.store.transact(move |transaction| {
            let (row, standing) = standing(&home, transaction, &subject.id)?;
            let allowed = offer(standing, offered.wallet, offered.instead);
            allowed.map_err(|refusal| refused(&refusal))?;
            let root = row
                .escrow_root
                .ok_or_else(|| refused(&Refusal::TakenBefore))?;
            let info = info(home.network, &home.member);
            let sealed = wrap_for(&offered.recipient, &info, &offered.wallet.0, &root.0);
            let sealed = sealed.map_err(|error| CustodyError::Denied {
                reason: error.to_string(),
                determining: Vec::new(),
            })?;
            let row = OfferRow {
                wallet: offered.wallet,
            };
            home.keys
                .put(transaction, Table::Release, &place(&subject.id), &row);
            home.append_audited(transaction, &subject, recorded)?;
            Ok([sealed.encapsulated.as_slice(), &sealed.ciphertext].concat())
        });
        sealing.await
    }

    /// Takes a wallet's word that it has the root, and destroys what is left of it here.
    pub async fn end_escrow(
        &self,
        by: &Requester,
        patient_id: &str,
        taken: Taken,
    ) -> Result<(), CustodyError> {
        let subject = self.of_own_patient(by, patient_id)?;
        let id = subject.id;
        let recorded = self.step(by, &subject, "escrow-taken");
        let home = self.0.home.clone();
        let ended = self.0.store.transact(move |transaction| {
            let (mut row, standing) = standing(&home, transaction, &subject.id)?;
            let root = row.escrow_root.as_ref().map(|root| root_digest(&root.0));
            let place_of = (home.network, &home.member, root);
            let is_new = take(standing, place_of, &taken).map_err(|refusal| refused(&refusal))?;
            if is_new {
                row.wallet_key = Some(taken.wallet);
                row.escrow_root = None;
                home.keys
                    .put(transaction, Table::Subjects, &subject.id, &row);
                transaction.remove(Table::Release, &place(&subject.id));
                home.append_audited(transaction, &subject, recorded)?;
            }
            Ok(())
        });
        ended.await?;
        self.0.rulings.forget(&id);
        // Again after each repetition: a stop may have come before the table was rewritten.
        let store = Arc::clone(&self.0.store);
        let purged = tokio::task::spawn_blocking(move || store.purge(Table::Subjects)).await;
        purged.map_err(|error| CustodyError::Storage(error.to_string()))?
    }

    /// A patient, for a system of this member.
    fn of_own_patient(
        &self,
        by: &Requester,
        patient_id: &str,
    ) -> Result<Arc<Subject>, CustodyError> {
        if by.member != self.0.home.member || by.patient.is_some() {
            return Err(CustodyError::Denied {
                reason: "a root in escrow is handed over at the member itself".to_owned(),
                determining: Vec::new(),
            });
        }
        let subject = self.0.subjects.of_patient(patient_id)?;
        subject.ok_or(CustodyError::UnknownPatient)
    }

    fn step(
        &self,
        by: &Requester,
        subject: &Subject,
        interaction: &str,
    ) -> (AccessDraft, interop::fhir::audit::AuditEntry) {
        let target = subject.patient_id.as_deref().unwrap_or_default();
        let draft = AccessDraft::at_home(
            &self.0.home.member,
            (by.principal(), by.role.clone(), &by.purpose),
            (interaction, &format!("Patient/{target}")),
            (self.0.options.clock)(),
        );
        let event = by.audited_access(subject, &draft);
        (draft, event)
    }
}

/// The patient's row as the writer sees it, and how far the handing over is.
fn standing(
    home: &Home,
    transaction: &Transaction<'_>,
    subject: &SubjectId,
) -> Result<(SubjectRow, Handover), CustodyError> {
    let keys = &home.keys;
    let row: Option<SubjectRow> = keys.get_in(transaction, Table::Subjects, subject)?;
    let row = row.ok_or(CustodyError::UnknownPatient)?;
    let standing = match row.wallet_key {
        Some(wallet) => Handover::Taken(wallet),
        None => {
            let offered: Option<OfferRow> =
                keys.get_in(transaction, Table::Release, &place(subject))?;
            Handover::Kept(offered.map(|offered| offered.wallet))
        }
    };
    Ok((row, standing))
}

fn place(subject: &SubjectId) -> Vec<u8> {
    [b"w".as_slice(), subject].concat()
}

fn refused(refusal: &Refusal) -> CustodyError {
    CustodyError::Denied {
        reason: refusal.to_string(),
        determining: Vec::new(),
    }
}
