//! Enrolment: a patient's wallet brings the branch keys that this member may use.

use std::collections::BTreeSet;
use std::sync::Arc;

use interop::fhir::IssueType;
use ledger::stream::GrantedBranch;

use super::request::{Enrolment, Requester};
use super::rotate::refused;
use super::subject::{NotEnrolled, Subject, in_order, is_taken};
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
        let mut named = BTreeSet::new();
        for one in &enrolment.branches {
            if !named.insert((&one.branch, one.epoch)) {
                return Err(invalid(IssueType::Duplicate, "a branch is granted twice"));
            }
        }
        let branches = in_order(enrolment.branches);
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
        branches: Vec<GrantedBranch>,
    ) -> Result<String, CustodyError> {
        let home = self.0.home.clone();
        let patient_id = fresh_id();
        let subject = Subject::enrolled(&home.member, patient_id.clone(), wallet_key, branches);
        let subject = subject.map_err(|why| match why {
            NotEnrolled::Key(brought) => refused(brought),
            NotEnrolled::Lacking => invalid(
                IssueType::Required,
                "a member needs its four branches: consent, index, index/restricted and access",
            ),
        })?;
        let mut event = by.audited("enroll");
        event.recorded = self.now();
        event.patient = Some(patient_id.clone());
        event.target = format!("Patient/{patient_id}");
        let expecting = Arc::new(subject.clone());
        let taken = patient_id.clone();
        self.0
            .store
            .transact(move |transaction| {
                if is_taken(&home.keys, transaction, &taken)? {
                    return Err(invalid(IssueType::Conflict, "the id is taken"));
                }
                subject.put(&home.keys, transaction);
                home.audit(transaction, Some(&subject.id), event)?;
                Ok(())
            })
            .await?;
        self.0.rulings.forget(&expecting.id);
        self.expect_consents_of(&expecting)?;
        Ok(patient_id)
    }

    async fn extend(
        &self,
        by: &Requester,
        patient_id: String,
        wallet_key: [u8; 32],
        branches: Vec<GrantedBranch>,
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
        self.take_keys(by, subject, branches).await?;
        Ok(patient_id)
    }
}
