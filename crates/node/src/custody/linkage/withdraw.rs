//! The end of a link: what another member was handed is taken back.
//!
//! The index goes on under its next key, which that member does not get, and what the former key leads to is given to it no
//! more. Members that were linked by right ask again.

use std::collections::BTreeMap;

use contracts::descriptor::Descriptor;
use contracts::linkage::is_given;
use interop::fhir::IssueType;
use ledger::ids::{MemberName, Tag};
use ledger::stream::Branch;

use super::inquiry::INTERACTION;
use super::waiting::{SettledRow, WaitingRow, waiting_key};
use crate::custody::access::AccessDraft;
use crate::custody::request::{Requester, SealedDescriptor};
use crate::custody::rows::{AccessRow, EntryRow, SubjectId};
use crate::custody::store::Table;
use crate::custody::subject::Subject;
use crate::custody::write::invalid;
use crate::custody::{Custody, CustodyError};

impl Custody {
    /// Ends the link between a patient and a member that was handed the keys of the patient's index. It stands in the patient's
    /// access history, and holds until somebody approves a link with that member.
    ///
    /// # Errors
    ///
    /// `NotFound` for a patient whom the caller may not see or whose keys that member was not handed; `Invalid` for one who
    /// has a wallet, which rotates its keys itself.
    pub async fn withdraw_link(
        &self,
        by: &Requester,
        (patient_id, member): (&str, &MemberName),
        why: &str,
    ) -> Result<(), CustodyError> {
        let subject = self.to_settle(by, patient_id).await?;
        let handed = self.handed_over(&subject, (patient_id, member))?;
        let handed = handed.ok_or(CustodyError::NotFound)?;
        let who = (by.principal(), by.role.clone(), by.purpose.as_str());
        let target = format!("Patient/{patient_id} for {member}");
        let home = self.0.home.clone();
        let place = ("link-withdrawn", target.as_str());
        let draft = AccessDraft::at_home(&home.member, who, place, self.now());
        let event = by.audited_access(&subject, &draft);
        let key = waiting_key(&subject.id, member);
        let settled = SettledRow {
            approves: false,
            by: by.principal(),
            at: self.now(),
            why: why.to_owned(),
        };
        let withdrawn = self.0.store.transact(move |transaction| {
            let mut subject = home.renewed(transaction, &subject)?;
            let branch = Branch::Index(home.member.clone());
            let minted = subject.minted(home.network, &branch).ok_or_else(|| {
                invalid(
                    IssueType::BusinessRule,
                    "the patient has a wallet: `careledger wallet rotate` withdraws the member, and the consents that let it read",
                )
            })?;
            home.take_key(transaction, &mut subject, minted)?;
            subject.put(&home.keys, transaction);
            let row: Option<WaitingRow> = home.keys.get_in(transaction, Table::Linkage, &key)?;
            let row = row.unwrap_or(handed).settled(settled);
            home.keys.put(transaction, Table::Linkage, &key, &row);
            home.append_audited(transaction, &subject, (draft, event))?;
            Ok(subject)
        });
        let subject = withdrawn.await?;
        self.0.rulings.forget(&subject.id);
        self.expect_consents_of(&subject)
    }

    /// The question by which a member was handed the keys of a patient's index last.
    fn handed_over(
        &self,
        subject: &Subject,
        (patient_id, member): (&str, &MemberName),
    ) -> Result<Option<WaitingRow>, CustodyError> {
        let keys = &self.0.home.keys;
        let mut last = None;
        for row in self.0.store.scan(Table::Accesses, &subject.id) {
            let (key, row) = row?;
            let row: AccessRow = keys.open_row(Table::Accesses, &key, &row)?;
            let Ok(Descriptor::Access(access)) = Descriptor::decode(&row.descriptor) else {
                continue;
            };
            for one in access.each() {
                let decision = one.decision.as_ref();
                let is_handed = decision.is_some_and(|decided| !decided.permitted.is_empty());
                if is_handed && one.interaction == INTERACTION && one.requester == *member {
                    last = Some(WaitingRow::handed_over(&one, patient_id));
                }
            }
        }
        Ok(last)
    }

    /// Whether a member is given what it asks of a patient.
    pub(in crate::custody) fn is_given(
        &self,
        subject: &Subject,
        member: &MemberName,
    ) -> Result<bool, CustodyError> {
        let has_wallet = subject.wallet_key.is_some();
        Ok(is_given(has_wallet, self.standing(subject, member)?))
    }

    /// This member's entries with these tags, sealed for the holders of their branches, as far as another member is given
    /// anything of whom they belong to.
    pub fn descriptors_for(
        &self,
        member: &MemberName,
        tags: &[Tag],
    ) -> Result<Vec<Option<SealedDescriptor>>, CustodyError> {
        let mut found = self.descriptors(tags)?;
        // Most members have settled no question.
        if self.0.store.scan(Table::Linkage, b"w").next().is_none() {
            return Ok(found);
        }
        let mut known: BTreeMap<SubjectId, bool> = BTreeMap::new();
        for (tag, one) in tags.iter().zip(&mut found) {
            let subject = match one {
                Some(_) => self.subject_of_entry(*tag)?,
                None => None,
            };
            let Some(subject) = subject else {
                continue;
            };
            let is_given = match known.get(&subject) {
                Some(is_given) => *is_given,
                None => {
                    let is_given =
                        self.is_given(self.0.subjects.load(&subject)?.as_ref(), member)?;
                    known.insert(subject, is_given);
                    is_given
                }
            };
            if !is_given {
                *one = None;
            }
        }
        Ok(found)
    }

    fn subject_of_entry(&self, tag: Tag) -> Result<Option<SubjectId>, CustodyError> {
        Ok(match self.entry(tag)? {
            Some(EntryRow::Version { document, .. }) => Some(self.subject_of(&document)?.0.subject),
            Some(EntryRow::Access { subject, .. } | EntryRow::Closing { subject, .. }) => {
                Some(subject)
            }
            Some(EntryRow::Erasure { .. }) | None => None,
        })
    }
}
