//! Break-glass: declared, on record, told and up for review, all in one transaction, before anything is opened because of
//! it. At the member where it is declared, and at each that is asked because of it.

mod notice;

use std::sync::Arc;

use contracts::access::Emergency;
use contracts::emergency::{Declaration, EmergencyId, Undeclared};
use interop::fhir::{IssueType, Resource, ResourceType};
use ledger::ids::MemberName;
use minicbor::{Decode, Encode};
use uuid::Uuid;

use super::access::AccessDraft;
use super::append::{Draft, Home, Precondition};
use super::keys::{EraseKey, random};
use super::labelling::Together;
use super::request::{Requester, Written};
use super::rows::SubjectId;
use super::store::{Table, Transaction};
use super::subject::Subject;
use super::write::invalid;
use super::{Custody, CustodyError};

pub use notice::{JUSTIFIED, NOT_JUSTIFIED, REVIEW_CODE, TASK_SYSTEM};

/// The purpose of use of everything that is opened because of a declaration.
pub const BREAK_GLASS: &str = "BTG";
/// How far ahead another member's clock may be.
const SKEW_MS: i64 = 2_000;
/// What the id of a review begins with; the declaration's follows.
const REVIEW: &str = "break-glass-review-";
/// The same of what the patient is told of the declaration,
const NOTICE: &str = "break-glass-notice-";
/// and of its review.
const OUTCOME: &str = "break-glass-outcome-";

/// What somebody says who declares an emergency.
#[derive(Clone)]
pub struct EmergencyAsk {
    /// The patient's id here.
    pub patient_id: String,
    /// Why (v3-ActReason).
    pub reason: String,
    /// For how many milliseconds.
    pub lasts_ms: i64,
    /// The medical personnel.
    pub personnel: String,
    /// Their affiliation.
    pub affiliation: String,
    /// Who discloses.
    pub discloser: String,
    /// The nature of the emergency.
    pub nature: String,
    /// The types that are needed.
    pub types: std::collections::BTreeSet<String>,
    /// Why nothing less would do.
    pub justification: String,
}

/// What a reviewer finds.
#[derive(Clone)]
pub struct EmergencyReview {
    /// Whether breaking the glass was justified.
    pub is_justified: bool,
    /// The coded reason, one of [`JUSTIFIED`] or [`NOT_JUSTIFIED`].
    pub reason: String,
    /// In the reviewer's words.
    pub comment: Option<String>,
}

/// Declarations that wait for their review.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EmergencyCount {
    /// All of them.
    pub open: usize,
    /// Those whose deadline has passed.
    pub overdue: usize,
}

/// A declaration at one member.
#[derive(Clone, Encode, Decode)]
pub(crate) struct EmergencyRow {
    #[n(0)]
    pub(crate) declaration: Declaration,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) subject: SubjectId,
    /// The patient's id here.
    #[n(2)]
    pub(crate) patient_id: String,
    /// The member where it was declared.
    #[n(3)]
    pub(crate) requester: MemberName,
    /// The practitioner who declared it.
    #[n(4)]
    pub(crate) practitioner: String,
    /// When its review has to be done, milliseconds since 1970.
    #[n(5)]
    pub(crate) deadline: u64,
    #[n(6)]
    pub(crate) review: Option<ReviewRow>,
}

/// What the review found.
#[derive(Clone, Encode, Decode)]
pub(crate) struct ReviewRow {
    #[n(0)]
    pub(crate) by: String,
    #[n(1)]
    pub(crate) at: u64,
    #[n(2)]
    pub(crate) is_justified: bool,
    #[n(3)]
    pub(crate) reason: String,
    #[n(4)]
    pub(crate) comment: Option<String>,
}

impl Custody {
    /// Declares an emergency. When this returns it is on record, told to the patient, and up for review.
    pub async fn declare_emergency(
        &self,
        by: &Requester,
        ask: EmergencyAsk,
    ) -> Result<Declaration, CustodyError> {
        let denied = |reason: &str| CustodyError::Denied {
            reason: reason.to_owned(),
            determining: Vec::new(),
        };
        if by.member != self.0.home.member || by.patient.is_some() || by.related.is_some() {
            return Err(denied(
                "an emergency is declared by the member's own practitioners",
            ));
        }
        if by.practitioner.is_none() {
            return Err(denied("an emergency is declared by a practitioner"));
        }
        let subject = self.0.subjects.of_patient(&ask.patient_id)?;
        let Some(subject) = subject else {
            tracing::warn!(
                target: "security", client = %by.client, member = %by.member,
                "an emergency was declared for a patient who is not here"
            );
            return Err(CustodyError::NotFound);
        };
        let from = self.latest_time();
        let declaration = Declaration {
            id: EmergencyId(random()),
            emergency: Emergency {
                reason: ask.reason,
                from,
                until: from.saturating_add(ask.lasts_ms),
            },
            personnel: ask.personnel,
            affiliation: ask.affiliation,
            discloser: ask.discloser,
            nature: ask.nature,
            types: ask.types,
            justification: Some(ask.justification),
        };
        declaration.check().map_err(undeclared)?;
        self.put_declaration(by, &subject, declaration.clone())
            .await?;
        Ok(declaration)
    }

    /// A declaration that is known here.
    pub fn emergency(&self, id: EmergencyId) -> Result<Option<Declaration>, CustodyError> {
        Ok(self.emergency_row(id)?.map(|row| row.declaration))
    }

    /// Closes the review of an emergency. Who declared it does not review it.
    pub async fn review_emergency(
        &self,
        by: &Requester,
        task_id: &str,
        review: EmergencyReview,
    ) -> Result<Written, CustodyError> {
        let denied = |reason: &str| CustodyError::Denied {
            reason: reason.to_owned(),
            determining: Vec::new(),
        };
        let id = reviewed_by(task_id).ok_or(CustodyError::NotFound)?;
        let mut row = self.emergency_row(id)?.ok_or(CustodyError::NotFound)?;
        let own = by.member == self.0.home.member && by.patient.is_none();
        let reviewer = by.practitioner.clone().filter(|_| own);
        let reviewer = reviewer.ok_or_else(|| denied("a review names who reviews"))?;
        if row.requester == by.member && row.practitioner == reviewer {
            return Err(denied("who declared an emergency does not review it"));
        }
        if row.review.is_some() {
            return Err(invalid(
                IssueType::Conflict,
                "the emergency was reviewed before",
            ));
        }
        notice::check_reason(&review)?;
        row.review = Some(ReviewRow {
            by: reviewer,
            at: (self.0.options.clock)(),
            is_justified: review.is_justified,
            reason: review.reason,
            comment: review.comment,
        });
        let subject = self.0.subjects.load(&row.subject)?;
        let task = self
            .emergency_draft(by, &subject, notice::task(&row)?)
            .await?;
        let told = self
            .emergency_draft(by, &subject, notice::outcome(&row)?)
            .await?;
        let home = self.0.home.clone();
        let now = (self.0.options.clock)();
        let written = self
            .0
            .store
            .transact(move |transaction| {
                let known = row_in(&home, transaction, id)?;
                if known.is_none_or(|known| known.review.is_some()) {
                    return Err(invalid(
                        IssueType::Conflict,
                        "the emergency was reviewed before",
                    ));
                }
                home.keys.put(transaction, Table::Emergencies, &id.0, &row);
                let written = home.append(transaction, task, now)?;
                home.append(transaction, told, now)?;
                Ok(written)
            })
            .await?;
        Ok(written)
    }

    /// What another member has declared, before it is asked for anything because of it.
    pub(super) async fn note_emergency(
        &self,
        by: &Requester,
        subject: &Arc<Subject>,
        declaration: &Declaration,
    ) -> Result<(), CustodyError> {
        if self.emergency_row(declaration.id)?.is_some() {
            return Ok(());
        }
        let ahead = declaration.emergency.from > self.latest_time().saturating_add(SKEW_MS);
        if declaration.check().is_err() || ahead || by.practitioner.is_none() {
            return Ok(());
        }
        self.put_declaration(by, subject, declaration.clone()).await
    }

    /// The emergency under which somebody asks for records of this subject, and what it is narrowed to.
    pub(super) fn declared(
        &self,
        by: &Requester,
        subject: &Subject,
    ) -> Result<Option<Declaration>, CustodyError> {
        let Some(id) = by.emergency else {
            return Ok(None);
        };
        let row = self.emergency_row(id)?;
        let row = row.filter(|row| {
            row.subject == subject.id
                && row.requester == by.member
                && Some(&row.practitioner) == by.practitioner.as_ref()
                && row.review.as_ref().is_none_or(|review| review.is_justified)
        });
        Ok(row.map(|row| row.declaration))
    }

    /// The later of the member's clock and the ledger's time: who sets a clock back does not make an emergency last.
    pub(super) fn latest_time(&self) -> i64 {
        let blocks = self.0.anchor.tip().time.0;
        i64::try_from((self.0.options.clock)().max(blocks)).unwrap_or(i64::MAX)
    }

    /// Whether a document is a review, or what a patient was told: they are written here alone.
    pub(super) fn is_of_emergency(
        &self,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<bool, CustodyError> {
        if !matches!(resource_type.as_str(), "Task" | "Communication") {
            return Ok(false);
        }
        Ok(self.left_by(id)?.is_some())
    }

    /// Whether a document says something of an emergency that nobody has reviewed yet.
    pub(super) fn is_under_review(&self, id: &str) -> Result<bool, CustodyError> {
        Ok(self.left_by(id)?.is_some_and(|row| row.review.is_none()))
    }

    /// The emergency that left a document, by its id.
    fn left_by(&self, id: &str) -> Result<Option<EmergencyRow>, CustodyError> {
        let prefixes = [REVIEW, NOTICE, OUTCOME];
        let rest = prefixes.iter().find_map(|prefix| id.strip_prefix(prefix));
        match rest.and_then(parsed) {
            Some(id) => self.emergency_row(id),
            None => Ok(None),
        }
    }

    fn emergency_row(&self, id: EmergencyId) -> Result<Option<EmergencyRow>, CustodyError> {
        let keys = &self.0.home.keys;
        keys.get(&self.0.store, Table::Emergencies, &id.0)
    }

    async fn put_declaration(
        &self,
        by: &Requester,
        subject: &Arc<Subject>,
        declaration: Declaration,
    ) -> Result<(), CustodyError> {
        let now = (self.0.options.clock)();
        let patient_id = subject.patient_id.clone().ok_or(CustodyError::NotFound)?;
        let row = EmergencyRow {
            subject: subject.id,
            patient_id,
            requester: by.member.clone(),
            practitioner: by.practitioner.clone().unwrap_or_default(),
            deadline: now.saturating_add(self.0.options.review_ms),
            review: None,
            declaration,
        };
        let task = self
            .emergency_draft(by, subject, notice::task(&row)?)
            .await?;
        let told = self
            .emergency_draft(by, subject, notice::notice(&row)?)
            .await?;
        let draft = AccessDraft {
            requester: by.member.clone(),
            principal: by.principal(),
            role: by.role.clone(),
            purpose: BREAK_GLASS.to_owned(),
            interaction: "break-glass".to_owned(),
            target: format!("Patient/{}", row.patient_id),
            at: now,
            custodian: self.0.home.member.clone(),
            request: None,
            recipient: None,
            expires_at: None,
            decision: None,
            audit: None,
            emergency: Some(row.declaration.clone()),
            on_behalf_of: None,
        };
        let event = by.audited_access(subject, &draft);
        let id = row.declaration.id;
        let (home, subject) = (self.0.home.clone(), Arc::clone(subject));
        self.0
            .store
            .transact(move |transaction| {
                if row_in(&home, transaction, id)?.is_some() {
                    return Ok(());
                }
                home.append_audited(transaction, &subject, (draft, event))?;
                home.keys.put(transaction, Table::Emergencies, &id.0, &row);
                home.append(transaction, task, now)?;
                home.append(transaction, told, now)?;
                Ok(())
            })
            .await?;
        tracing::warn!(target: "security", event = "break_glass", member = %by.member, client = %by.client,
            "an emergency was declared: its review is due");
        Ok(())
    }

    async fn emergency_draft(
        &self,
        by: &Requester,
        subject: &Arc<Subject>,
        resource: Resource,
    ) -> Result<Draft, CustodyError> {
        let erase = EraseKey::new();
        let id = resource.id().unwrap_or_default().to_owned();
        let resource_type = resource.resource_type();
        let labelled = self.label(&resource, subject, &Together::default())?;
        let content = self.content((&resource, labelled), &id, &erase, None);
        let content = content.await?;
        Ok(Draft {
            subject: Arc::clone(subject),
            document: self.0.home.keys.document(resource_type.as_str(), &id),
            resource_type,
            precondition: Precondition::Current(None),
            author: by.principal(),
            audit: self.change_by(by),
            content: Some(content),
            erases: false,
            erase,
            id,
        })
    }
}

fn row_in(
    home: &Home,
    transaction: &Transaction<'_>,
    id: EmergencyId,
) -> Result<Option<EmergencyRow>, CustodyError> {
    home.keys.get_in(transaction, Table::Emergencies, &id.0)
}

/// The declaration that a review is of.
fn reviewed_by(task_id: &str) -> Option<EmergencyId> {
    task_id.strip_prefix(REVIEW).and_then(parsed)
}

/// Whether a document is the review of an emergency, by its id.
pub fn is_review(resource_type: ResourceType, id: &str) -> bool {
    resource_type.as_str() == "Task" && reviewed_by(id).is_some()
}

fn parsed(text: &str) -> Option<EmergencyId> {
    let id = Uuid::parse_str(text).ok()?;
    Some(EmergencyId(id.into_bytes()))
}

fn undeclared(rule: Undeclared) -> CustodyError {
    invalid(IssueType::Required, &rule.to_string())
}

impl std::fmt::Debug for EmergencyRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EmergencyRow(..)")
    }
}

impl std::fmt::Debug for EmergencyAsk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EmergencyAsk(..)")
    }
}

impl std::fmt::Debug for EmergencyReview {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EmergencyReview(..)")
    }
}
