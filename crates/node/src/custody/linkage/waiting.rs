//! Questions that wait for a person: may another member's patient be this one?

use std::collections::BTreeSet;
use std::sync::Arc;

use contracts::descriptor::AccessDescriptor;
use contracts::linkage::Standing;
use interop::identity::{Grade, Judgement};
use ledger::ids::{Digest, MemberName};
use minicbor::{Decode, Encode};

use crate::custody::access::AccessDraft;
use crate::custody::append::Home;
use crate::custody::matching::millionths;
use crate::custody::request::Requester;
use crate::custody::rows::SubjectId;
use crate::custody::store::{Table, Transaction};
use crate::custody::subject::Subject;
use crate::custody::{Custody, CustodyError};

/// A question on the list.
#[derive(Clone, PartialEq)]
pub struct WaitingLink {
    /// The id of the Patient here.
    pub patient: String,
    /// The member that asked.
    pub member: MemberName,
    /// Who asked there, and for which purpose of use.
    pub asked_by: (String, String),
    /// When it asked last, milliseconds since 1970, and how often.
    pub asked: (u64, u32),
    /// How sure it is.
    pub grade: Grade,
    /// The probability that it is the same person, from 0 to 1.
    pub score: f64,
    /// What somebody decided, who, when (milliseconds since 1970), and why.
    pub settled: Option<(bool, String, u64, String)>,
}

impl std::fmt::Debug for WaitingLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WaitingLink({})", self.grade.code())
    }
}

/// A question as it is stored, sealed: one for each patient and member.
#[derive(Clone, Encode, Decode)]
pub(in crate::custody) struct WaitingRow {
    #[n(0)]
    patient: String,
    #[n(1)]
    member: MemberName,
    #[n(2)]
    principal: String,
    #[n(3)]
    purpose: String,
    /// `Grade::code`
    #[n(4)]
    grade: String,
    /// Millionths.
    #[n(5)]
    score: u32,
    #[n(6)]
    at: u64,
    #[n(7)]
    times: u32,
    #[n(8)]
    settled: Option<SettledRow>,
}

#[derive(Clone, Encode, Decode)]
pub(super) struct SettledRow {
    #[n(0)]
    pub(super) approves: bool,
    #[n(1)]
    pub(super) by: String,
    #[n(2)]
    pub(super) at: u64,
    #[n(3)]
    pub(super) why: String,
}

impl WaitingRow {
    pub(super) fn of(by: &Requester, patient: &str, judgement: &Judgement, at: u64) -> Self {
        Self {
            patient: patient.to_owned(),
            member: by.member.clone(),
            principal: by.principal(),
            purpose: by.purpose.clone(),
            grade: judgement.grade.code().to_owned(),
            score: millionths(judgement.score),
            at,
            times: 1,
            settled: None,
        }
    }

    /// The question by which keys were handed over without waiting: that of the one certain match.
    pub(super) fn handed_over(asked: &AccessDescriptor, patient: &str) -> Self {
        Self {
            patient: patient.to_owned(),
            member: asked.requester.clone(),
            principal: asked.principal.clone(),
            purpose: asked.purpose.clone(),
            grade: Grade::Certain.code().to_owned(),
            score: millionths(1.0),
            at: asked.at,
            times: 1,
            settled: None,
        }
    }

    pub(super) fn settled(self, settled: SettledRow) -> Self {
        let settled = Some(settled);
        Self { settled, ..self }
    }

    fn shown(self) -> Result<WaitingLink, CustodyError> {
        let malformed = || CustodyError::Storage("a question's row has another form".to_owned());
        Ok(WaitingLink {
            grade: Grade::with_code(&self.grade).ok_or_else(malformed)?,
            score: f64::from(self.score) / 1e6,
            patient: self.patient,
            member: self.member,
            asked_by: (self.principal, self.purpose),
            asked: (self.at, self.times),
            settled: self.settled.map(|it| (it.approves, it.by, it.at, it.why)),
        })
    }
}

impl Custody {
    /// Questions of other members that wait for a person, the likeliest first; with those that were decided if `all` are asked
    /// for. One is there if the Patient may be seen.
    pub async fn waiting_links(
        &self,
        by: &Requester,
        all: bool,
    ) -> Result<Vec<WaitingLink>, CustodyError> {
        let keys = &self.0.home.keys;
        let mut waiting = Vec::new();
        for row in self.0.store.scan(Table::Linkage, b"w") {
            let (key, row) = row?;
            let row: WaitingRow = keys.open_row(Table::Linkage, &key, &row)?;
            if all || row.settled.is_none() {
                waiting.push(row);
            }
        }
        let named: BTreeSet<&String> = waiting.iter().map(|row| &row.patient).collect();
        let seen = self.seen(by, named).await?;
        self.audit_queries(by, "search", vec!["Patient/$waiting-links".to_owned()])
            .await?;
        waiting.retain(|row| seen.contains(&row.patient));
        waiting.sort_by_key(|row| std::cmp::Reverse(row.score));
        waiting.into_iter().map(WaitingRow::shown).collect()
    }

    /// Notes what somebody decided: whether a member that asked gets the keys of a patient's index when it asks again. It
    /// stands in the patient's access history.
    pub async fn settle_link(
        &self,
        by: &Requester,
        (patient_id, member): (&str, &MemberName),
        (approves, why): (bool, &str),
    ) -> Result<(), CustodyError> {
        let subject = self.to_settle(by, patient_id).await?;
        let interaction = if approves {
            "link-approved"
        } else {
            "link-refused"
        };
        let who = (by.principal(), by.role.clone(), by.purpose.as_str());
        let target = format!("Patient/{patient_id} for {member}");
        let home = self.0.home.clone();
        let draft = AccessDraft::at_home(&home.member, who, (interaction, &target), self.now());
        let event = by.audited_access(&subject, &draft);
        let key = waiting_key(&subject.id, member);
        let settled = SettledRow {
            approves,
            by: by.principal(),
            at: self.now(),
            why: why.to_owned(),
        };
        self.0
            .store
            .transact(move |transaction| {
                let row: Option<WaitingRow> =
                    home.keys.get_in(transaction, Table::Linkage, &key)?;
                let row = row.ok_or(CustodyError::NotFound)?.settled(settled);
                home.keys.put(transaction, Table::Linkage, &key, &row);
                home.append_audited(transaction, &subject, (draft, event))?;
                Ok(())
            })
            .await
    }

    /// The patient about whom somebody decides, who has to see the Patient.
    pub(super) async fn to_settle(
        &self,
        by: &Requester,
        patient_id: &str,
    ) -> Result<Arc<Subject>, CustodyError> {
        let wanted = patient_id.to_owned();
        let seen = self.seen(by, BTreeSet::from([&wanted])).await?;
        if !seen.contains(&wanted) {
            return Err(CustodyError::NotFound);
        }
        let subject = self.0.subjects.of_patient(patient_id)?;
        subject.ok_or(CustodyError::NotFound)
    }

    /// How it stands between a patient and a member.
    pub(super) fn standing(
        &self,
        subject: &Subject,
        member: &MemberName,
    ) -> Result<Standing, CustodyError> {
        let key = waiting_key(&subject.id, member);
        let keys = &self.0.home.keys;
        let row: Option<WaitingRow> = keys.get(&self.0.store, Table::Linkage, &key)?;
        Ok(match row.and_then(|row| row.settled) {
            None => Standing::Open,
            Some(settled) if settled.approves => Standing::Approved,
            Some(_) => Standing::Refused,
        })
    }
}

impl Home {
    /// Puts a question on the list, or notes that it was asked again.
    pub(super) fn put_waiting(
        &self,
        transaction: &mut Transaction<'_>,
        subject: &Subject,
        mut row: WaitingRow,
    ) -> Result<(), CustodyError> {
        let key = waiting_key(&subject.id, &row.member);
        let before: Option<WaitingRow> = self.keys.get_in(transaction, Table::Linkage, &key)?;
        if let Some(before) = before {
            row.times = before.times.saturating_add(1);
            // It may have been decided since the question was looked at.
            row.settled = before.settled;
        }
        self.keys.put(transaction, Table::Linkage, &key, &row);
        Ok(())
    }
}

pub(super) fn waiting_key(subject: &SubjectId, member: &MemberName) -> Vec<u8> {
    let name = Digest::of(member.as_str().as_bytes());
    [b"w".as_slice(), subject, &name.0].concat()
}
