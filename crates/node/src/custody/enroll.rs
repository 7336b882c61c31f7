//! Enrolment: a patient's wallet brings the branch keys that this member may use.

use std::collections::BTreeMap;
use std::sync::Arc;

use interop::fhir::IssueType;
use ledger::stream::{Branch, BranchKey};

use super::request::{Enrolment, Requester};
use super::subject::{Subject, is_taken};
use super::write::{fresh_id, invalid};
use super::{Custody, CustodyError};

impl Custody {
    pub(super) async fn enroll_patient(
        &self,
        by: &Requester,
        enrolment: Enrolment,
    ) -> Result<String, CustodyError> {
        if by.member != self.0.home.member {
            return Err(CustodyError::Denied {
                reason: "patients enrol at the member itself".to_owned(),
                determining: Vec::new(),
            });
        }
        let mut branches: BTreeMap<Branch, BranchKey> = BTreeMap::new();
        for (branch, key) in enrolment.branches {
            if branches.insert(branch, key).is_some() {
                return Err(invalid(IssueType::Duplicate, "a branch is granted twice"));
            }
        }
        match enrolment.patient_id {
            Some(patient_id) => {
                self.extend(by, patient_id, enrolment.wallet_key, branches)
                    .await
            }
            None => self.arrive(by, enrolment.wallet_key, branches).await,
        }
    }

    async fn arrive(
        &self,
        by: &Requester,
        wallet_key: [u8; 32],
        branches: BTreeMap<Branch, BranchKey>,
    ) -> Result<String, CustodyError> {
        let home = self.0.home.clone();
        let patient_id = fresh_id();
        let subject = Subject::enrolled(&home.member, patient_id.clone(), wallet_key, branches);
        let subject = subject.ok_or_else(|| {
            invalid(
                IssueType::Required,
                "a member needs its four branches: consent, index, index/restricted and access",
            )
        })?;
        self.put_subject(by, subject, true).await?;
        Ok(patient_id)
    }

    async fn extend(
        &self,
        by: &Requester,
        patient_id: String,
        wallet_key: [u8; 32],
        branches: BTreeMap<Branch, BranchKey>,
    ) -> Result<String, CustodyError> {
        if by.patient.as_ref().is_some_and(|own| *own != patient_id) {
            return Err(CustodyError::Denied {
                reason: "a patient grants branches of their own".to_owned(),
                determining: Vec::new(),
            });
        }
        let subject = self.0.subjects.of_patient(&patient_id)?;
        let subject = subject.ok_or(CustodyError::UnknownPatient)?;
        if subject.wallet_key != Some(wallet_key) {
            return Err(invalid(
                IssueType::BusinessRule,
                "the patient is enrolled with another wallet, or with none",
            ));
        }
        let extended = Arc::unwrap_or_clone(subject).extended(branches);
        let extended = extended
            .ok_or_else(|| invalid(IssueType::Conflict, "a branch is known here by another key"))?;
        self.put_subject(by, extended, false).await?;
        Ok(patient_id)
    }

    async fn put_subject(
        &self,
        by: &Requester,
        subject: Subject,
        is_new: bool,
    ) -> Result<(), CustodyError> {
        let mut event = by.audited(if is_new { "enroll" } else { "branches" });
        event.recorded = self.now();
        event.patient.clone_from(&subject.patient_id);
        event.target = format!(
            "Patient/{}",
            subject.patient_id.as_deref().unwrap_or_default()
        );
        let home = self.0.home.clone();
        let expecting = Arc::new(subject.clone());
        self.0
            .store
            .transact(move |transaction| {
                let patient_id = subject.patient_id.as_deref().unwrap_or_default();
                if is_new && is_taken(&home.keys, transaction, patient_id)? {
                    return Err(invalid(IssueType::Conflict, "the id is taken"));
                }
                subject.put(&home.keys, transaction);
                home.audit(transaction, Some(&subject.id), event)?;
                Ok(())
            })
            .await?;
        self.0.rulings.forget(&expecting.id);
        self.expect_consents_of(&expecting)
    }
}
