//! What a decision is about: who asks, and for which document.

use std::collections::BTreeSet;

use super::{Action, Delegation, Emergency};
use crate::consent::purpose;

/// Who asks, why and when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The member whose user asks.
    pub member: String,
    /// The practitioner, as `Practitioner/id`.
    pub practitioner: Option<String>,
    /// The role claimed.
    pub role: Option<String>,
    /// Further roles, as `system|code` or a code.
    pub roles: BTreeSet<String>,
    /// The device, as `Device/id`.
    pub device: Option<String>,
    /// The person who is related to the patient, as `RelatedPerson/id`.
    pub related: Option<String>,
    /// Groups and teams that the one who asks belongs to, as `Group/id` or `CareTeam/id`.
    pub groups: BTreeSet<String>,
    /// The patient who asks for the own record.
    pub patient: Option<String>,
    /// Purpose of use (v3-ActReason code).
    pub purpose: String,
    /// When, milliseconds since 1970, by block time or the member's clock.
    pub now: i64,
    /// Whether every consent of the patient that is on the ledger is known here.
    pub consents_known: bool,
    /// What is to be done with the document.
    pub action: Action,
    /// An emergency that was declared for this request.
    pub emergency: Option<Emergency>,
    /// In whose place it is asked.
    pub on_behalf_of: Option<Delegation>,
}

/// What a decision looks at in a document.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// The member that holds it.
    pub home: String,
    /// The patient, unless it belongs to nobody.
    pub patient: Option<String>,
    /// FHIR type.
    pub resource_type: String,
    /// `system|code` of what it is about and of its categories.
    pub codes: BTreeSet<String>,
    /// Codes of its sensitivity labels.
    pub labels: BTreeSet<String>,
    /// When it happened, first and last millisecond.
    pub period: Option<(i64, i64)>,
    /// What names it at its home, as `Type/id`.
    pub id: Option<String>,
    /// Who is responsible for the content: references, or `system|value` of identifiers.
    pub authors: BTreeSet<String>,
    /// What it refers to: its encounter, its episode of care, what it is based on.
    pub related: BTreeSet<String>,
    /// When it was written, first and last millisecond; for documents that say not when they happened.
    pub date: Option<(i64, i64)>,
}

impl Request {
    /// Whether it breaks the glass: a practitioner's, for care, in an emergency that was declared for this time.
    pub fn breaks_glass(&self) -> bool {
        let declared = self.emergency.as_ref();
        declared.is_some_and(|emergency| emergency.covers(self.now))
            && self.practitioner.is_some()
            && self.is_of_staff()
            && purpose::with_broader(&self.purpose).contains(&purpose::TREATMENT)
    }

    /// Whether a member's staff or system asks, for the member.
    pub(super) fn is_of_staff(&self) -> bool {
        !self.is_in_patients_place() && self.related.is_none()
    }

    /// Whether the patient asks, or somebody who acts for the patient.
    pub(super) fn is_in_patients_place(&self) -> bool {
        self.patient.is_some() || self.on_behalf_of.is_some()
    }

    /// The purposes that it has: the one that is claimed and what that is a kind of.
    pub(super) fn purposes(&self) -> BTreeSet<String> {
        let claimed = purpose::with_broader(&self.purpose);
        let breaks = self.breaks_glass().then_some(purpose::BREAK_GLASS);
        claimed
            .into_iter()
            .chain(breaks)
            .map(str::to_owned)
            .collect()
    }
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Document({} at {})", self.resource_type, self.home)
    }
}
