//! Linkage: whether a patient of another member is one of this member's, asked and answered without names.
//!
//! The member that asks sends an encoding (`interop::identity::Encoding`), under a secret that members share. Candidates are
//! found by [`buckets`], judged by the rules of matching, and decided on as for a read of the Patient. What this member agrees
//! to hands over the keys of the patient's index branch; what a person has to look at first is on a list ([`waiting`]).
//!
//! # Invariants
//! - **L1** Each question leaves one access item at least: of each patient whom it matched, or of the member's own directory.
//! - **L2** The answer does not tell who is unknown from who is hidden, was refused, or waits for a person.
//!
//! What is handed over to whom, `contracts::linkage` decides (**L3** to **L6**).

mod buckets;
mod inquiry;
mod waiting;
mod withdraw;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use contracts::linkage::Answers;
use interop::fhir::search::IndexTerms;
use interop::fhir::{Issue, IssueType, ResourceType};
use interop::identity::{LinkageSecret, Traits};
use ledger::ids::{Digest, MemberName};
use ledger::stream::{Branch, GrantedBranch};

use super::access::AccessDraft;
use super::request::Requester;
use super::rotate::refused;
use super::write::invalid;
use super::{Custody, CustodyError};

pub use inquiry::Inquiry;
pub use waiting::WaitingLink;

const HOUR_MS: u64 = 3_600_000;

/// How this member takes part in linkage.
#[derive(Debug, Clone)]
pub struct LinkageOptions {
    /// The secret that members of the network share.
    pub secret: LinkageSecret,
    /// What becomes of questions.
    pub answers: Answers,
    /// Who may ask; everybody if `None`.
    pub members: Option<Vec<MemberName>>,
    /// Questions that one member may ask in an hour.
    pub per_hour: u32,
}

/// Why a question is not looked at; none of it depends on a patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InquiryRefusal {
    /// This member does not answer the one that asks.
    NotAnswered,
    /// The one that asks has another secret.
    OtherSecret,
    /// It has asked too often.
    TooOften,
}

/// What is known of linkage while the node runs.
#[derive(Default)]
pub(super) struct Linking {
    /// The change up to which patients have buckets.
    seen: AtomicU64,
    /// For each member when its hour began, and how often it has asked since.
    asked: Mutex<BTreeMap<MemberName, (u64, u32)>>,
}

impl Linking {
    /// Counts a question; says whether it is one of those that the hour has.
    fn counts(&self, from: &MemberName, now: u64, per_hour: u32) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, count) = asked.entry(from.clone()).or_insert((now, 0));
        if now.saturating_sub(*since) >= HOUR_MS {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= per_hour
    }
}

impl Custody {
    fn linkage(&self) -> Result<&LinkageOptions, CustodyError> {
        self.0.options.linkage.as_ref().ok_or_else(|| {
            invalid(
                IssueType::NotSupported,
                "this member takes no part in linkage: `[linkage]` in node.toml names no secret",
            )
        })
    }

    /// What of a patient is asked by. The Patient is read for it, and on record as that.
    pub async fn traits_to_ask(
        &self,
        by: &Requester,
        patient_id: &str,
    ) -> Result<Traits, CustodyError> {
        self.linkage()?;
        let opened = self.read(by, ResourceType::PATIENT, patient_id).await?;
        let traits = Traits::of(&IndexTerms::of(&opened.resource));
        if !traits.is_comparable() {
            return Err(CustodyError::Invalid(
                Issue::error(
                    IssueType::Incomplete,
                    "a question takes an identifier with its system, or a name with a date of birth, a telecom or an address",
                )
                .at("Patient.name"),
            ));
        }
        Ok(traits)
    }

    /// A patient's traits for one question, which `salt` names.
    pub fn encoded(&self, traits: &Traits, salt: &[u8]) -> Result<Vec<u8>, CustodyError> {
        Ok(self.linkage()?.secret.encode(traits, salt).to_bytes())
    }

    /// What shows another member that this one has the secret.
    pub fn linkage_proof(&self, question: Digest) -> Result<[u8; 32], CustodyError> {
        Ok(self.linkage()?.secret.proof(&question.0))
    }

    /// Whether a question of `from` is looked at; it counts as asked.
    pub fn admit_inquiry(
        &self,
        from: &MemberName,
        question: Digest,
        proof: &[u8],
    ) -> Result<(), InquiryRefusal> {
        let linkage = self.0.options.linkage.as_ref();
        let linkage = linkage.filter(|it| it.answers != Answers::Off);
        let linkage = linkage.ok_or(InquiryRefusal::NotAnswered)?;
        if linkage
            .members
            .as_ref()
            .is_some_and(|all| !all.contains(from))
        {
            return Err(InquiryRefusal::NotAnswered);
        }
        if !self.0.linking.counts(from, self.now(), linkage.per_hour) {
            tracing::warn!(target: "security", member = %from, "a member asks too often who is known here");
            return Err(InquiryRefusal::TooOften);
        }
        if !linkage.secret.is_proof(&question.0, proof) {
            tracing::error!(
                target: "security", member = %from,
                "a member's linkage secret is another than this member's: nobody can be found until both have the same"
            );
            return Err(InquiryRefusal::OtherSecret);
        }
        Ok(())
    }

    /// Joins what another member has handed over to a patient's record here: from now on its index is read as if the wallet
    /// had granted it. It stands in the patient's access history.
    pub async fn join_elsewhere(
        &self,
        by: &Requester,
        (patient_id, custodian): (&str, &MemberName),
        granted: Vec<GrantedBranch>,
    ) -> Result<(), CustodyError> {
        let subject = self.0.subjects.of_patient(patient_id)?;
        let subject = subject.ok_or(CustodyError::UnknownPatient)?;
        let index = Branch::Index(custodian.clone());
        if *custodian == self.0.home.member || granted.iter().any(|one| one.branch != index) {
            return Err(invalid(
                IssueType::BusinessRule,
                "a member hands over the keys of its own index alone",
            ));
        }
        let (principal, role) = (by.principal(), by.role.clone());
        let target = format!("Patient/{patient_id} at {custodian}");
        let home = self.0.home.clone();
        let draft = AccessDraft::at_home(
            &home.member,
            (principal, role, &by.purpose),
            ("discovered", &target),
            self.now(),
        );
        let event = by.audited_access(&subject, &draft);
        let joined = self.0.store.transact(move |transaction| {
            let mut subject = home.renewed(transaction, &subject)?;
            for one in granted {
                subject.bring(one).map_err(refused)?;
            }
            subject.put(&home.keys, transaction);
            home.append_audited(transaction, &subject, (draft, event))?;
            Ok(subject)
        });
        let subject = joined.await?;
        self.0.rulings.forget(&subject.id);
        self.expect_consents_of(&subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_of_an_hour_are_counted_for_each_member() {
        let linking = Linking::default();
        let (one, other) = ("clinic".parse().unwrap(), "payer".parse().unwrap());
        assert!(linking.counts(&one, 0, 2) && linking.counts(&one, 1, 2));
        assert!(!linking.counts(&one, HOUR_MS - 1, 2));
        assert!(
            linking.counts(&other, 1, 2),
            "another member's hour is its own"
        );
        assert!(linking.counts(&one, HOUR_MS, 2));
    }
}
