//! Recovery of a patient's wallet by its guardians, at the member that keeps what their shares open.
//!
//! Everything that is accepted stands in the patient's access history, in the same batch: a patient whose wallet is there
//! hears of a request in time to object. Time is block time.

use contracts::recovery::{
    Approval, Command, Event, Guardianship, Refusal, Signed, decide, evolve,
};
use interop::fhir::audit::{AuditAgent, AuditEntry};
use ledger::ids::Digest;
use minicbor::{Decode, Encode};

use super::access::AccessDraft;
use super::append::Home;
use super::rows::SubjectId;
use super::store::{Table, Transaction};
use super::subject::Subject;
use super::{Custody, CustodyError};

/// What a guardianship looks like at rest.
#[derive(Clone, Encode, Decode)]
struct GuardedRow {
    #[n(0)]
    guardianship: Guardianship,
    /// What the guardians' shares open; noise to this member.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    sealed: Vec<u8>,
}

/// What a new wallet is given.
#[derive(Clone, PartialEq, Eq)]
pub struct HandedOut {
    /// What the guardians' shares open.
    pub sealed: Vec<u8>,
    /// The guardians' shares, sealed to the new wallet.
    pub approvals: Vec<Approval>,
}

impl std::fmt::Debug for HandedOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HandedOut(..)")
    }
}

/// Bytes of what guardians' shares open, at most.
const SEALED_BYTES_MAX: usize = 16 * 1024;

impl Custody {
    /// The patient's guardians, and the recovery under way; nothing before they are set up.
    pub fn guardianship(&self, patient_id: &str) -> Result<Option<Guardianship>, CustodyError> {
        let subject = self.0.subjects.of_patient(patient_id)?;
        let subject = subject.ok_or(CustodyError::UnknownPatient)?;
        let keys = &self.0.home.keys;
        let row: Option<GuardedRow> =
            keys.get(&self.0.store, Table::Release, &place(&subject.id))?;
        Ok(row.map(|row| row.guardianship))
    }

    /// What a guardian needs to approve a request: the sealed root, in which its own share is.
    pub fn guarded_root(
        &self,
        patient_id: &str,
        guardian: Digest,
    ) -> Result<Vec<u8>, CustodyError> {
        let subject = self.0.subjects.of_patient(patient_id)?;
        let subject = subject.ok_or(CustodyError::UnknownPatient)?;
        let keys = &self.0.home.keys;
        let row: Option<GuardedRow> =
            keys.get(&self.0.store, Table::Release, &place(&subject.id))?;
        let row = row.ok_or_else(|| refused(&Refusal::NoSuchGuardians))?;
        let terms = row.guardianship.terms();
        if terms.is_none_or(|terms| !terms.guardians.contains(&guardian)) {
            return Err(refused(&Refusal::NotAGuardian));
        }
        Ok(row.sealed)
    }

    /// Takes what a wallet or a guardian says. With a set-up comes `sealed`, what the guardians' shares open.
    pub async fn recovery(
        &self,
        patient_id: &str,
        signed: Signed,
        sealed: Option<Vec<u8>>,
    ) -> Result<(), CustodyError> {
        let subject = self.0.subjects.of_patient(patient_id)?;
        let subject = subject.ok_or(CustodyError::UnknownPatient)?;
        let home = self.0.home.clone();
        let now_ms = self.0.anchor.tip().time.0;
        let at = (self.0.options.clock)();
        let id = subject.id;
        let taken = self.0.store.transact(move |transaction| {
            // As the writer sees it: two commands never count on one state.
            let subject = Subject::clone(&subject);
            take(&home, transaction, subject, (now_ms, at), (&signed, sealed))
        });
        let taken = taken.await;
        if let Err(error) = &taken {
            tracing::warn!(target: "security", %error, "a step of a recovery is refused");
        }
        self.0.rulings.forget(&id);
        taken
    }

    /// What the new wallet is given, once the delay has passed and k guardians have approved; on record before it is.
    pub async fn hand_out(
        &self,
        patient_id: &str,
        request: Digest,
    ) -> Result<HandedOut, CustodyError> {
        let subject = self.0.subjects.of_patient(patient_id)?;
        let subject = subject.ok_or(CustodyError::UnknownPatient)?;
        let home = self.0.home.clone();
        let now_ms = self.0.anchor.tip().time.0;
        let at = (self.0.options.clock)();
        let handed = self.0.store.transact(move |transaction| {
            let row: Option<GuardedRow> =
                home.keys
                    .get_in(transaction, Table::Release, &place(&subject.id))?;
            let row = row.ok_or_else(|| refused(&Refusal::NoSuchGuardians))?;
            let approvals = row.guardianship.handed_out(request, now_ms);
            let approvals = approvals.map_err(|refusal| refused(&refusal))?.to_vec();
            let by = row.guardianship.recovery().map(|recovery| recovery.wallet);
            record(&home, transaction, &subject, (by, "recovery-hand-out", at))?;
            Ok(HandedOut {
                sealed: row.sealed,
                approvals,
            })
        });
        handed.await
    }
}

fn take(
    home: &Home,
    transaction: &mut Transaction<'_>,
    mut subject: Subject,
    (now_ms, at): (u64, u64),
    (signed, sealed): (&Signed, Option<Vec<u8>>),
) -> Result<(), CustodyError> {
    let place = place(&subject.id);
    let row: Option<GuardedRow> = home.keys.get_in(transaction, Table::Release, &place)?;
    let mut row = match (row, subject.wallet_key) {
        (Some(row), _) => row,
        (None, Some(wallet)) => GuardedRow {
            guardianship: Guardianship::of(home.network, Digest(wallet)),
            sealed: Vec::new(),
        },
        (None, None) => return Err(refused(&Refusal::NotTheWallet)),
    };
    let event = decide(&row.guardianship, now_ms, signed);
    let event = event.map_err(|refusal| refused(&refusal))?;
    match &event {
        Event::SetUp(terms) => {
            let sealed = sealed.filter(|sealed| sealed.len() <= SEALED_BYTES_MAX);
            let sealed = sealed.filter(|sealed| Digest::of(sealed) == terms.sealed);
            row.sealed = sealed.ok_or_else(|| refused(&Refusal::OtherSetUp))?;
        }
        Event::Finished(wallet) | Event::Replaced(wallet) => {
            subject.succeed(*wallet);
            subject.put(&home.keys, transaction);
        }
        _ => {}
    }
    let said = match &signed.command {
        Command::SetUp(_) => "recovery-set-up",
        Command::Request { .. } => "recovery-request",
        Command::Approve { .. } => "recovery-approve",
        Command::Object(_) => "recovery-object",
        Command::Finish(_) => "recovery-finish",
        Command::Replace { .. } => "wallet-replace",
    };
    evolve(&mut row.guardianship, event);
    home.keys.put(transaction, Table::Release, &place, &row);
    record(home, transaction, &subject, (Some(signed.signer), said, at))
}

/// Puts a step into the patient's access history.
fn record(
    home: &Home,
    transaction: &mut Transaction<'_>,
    subject: &Subject,
    (by, said, at): (Option<Digest>, &str, u64),
) -> Result<(), CustodyError> {
    let principal = by.map_or_else(|| "wallet".to_owned(), |key| format!("wallet {key}"));
    let target = subject.patient_id.as_deref().unwrap_or_default();
    let draft = AccessDraft::at_home(
        &home.member,
        (principal, None, "PATRQT"),
        (said, &format!("Patient/{target}")),
        at,
    );
    let agent = AuditAgent {
        client: "wallet".to_owned(),
        address: None,
        user: Some(draft.principal.clone()),
        role: None,
        purpose: Some(draft.purpose.clone()),
        organization: home.member.to_string(),
        token: None,
    };
    let event = AuditEntry {
        recorded: at,
        patient: subject.patient_id.clone(),
        target: draft.target.clone(),
        ..AuditEntry::new(said, agent)
    };
    home.append_audited(transaction, subject, (draft, event))?;
    Ok(())
}

fn place(subject: &SubjectId) -> Vec<u8> {
    [b"g".as_slice(), subject].concat()
}

fn refused(refusal: &Refusal) -> CustodyError {
    CustodyError::Denied {
        reason: refusal.to_string(),
        determining: Vec::new(),
    }
}
