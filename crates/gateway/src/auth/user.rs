//! People who sign in.

use serde::{Deserialize, Serialize};

use super::secret;

/// A person who has signed in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct User {
    /// Where the person signed in, and as whom: `local:NAME` or `provider:SUBJECT`.
    pub(super) subject: String,
    /// What pages show.
    pub(super) name: String,
    /// `Practitioner/ID`.
    pub(super) practitioner: Option<String>,
    pub(super) role: Option<String>,
    /// The local id, when the person is a patient.
    pub(super) patient: Option<String>,
    /// `RelatedPerson/ID`, one for each patient in whose place the person acts.
    #[serde(default)]
    pub(super) related: Vec<String>,
}

impl User {
    /// Whether nothing but records of patients in context is granted by this person.
    pub(super) fn is_confined(&self) -> bool {
        self.patient.is_some() || !self.related.is_empty()
    }

    /// `sub` of ID tokens: the same for the same person, and no name.
    pub(super) fn opaque_subject(&self) -> String {
        secret::digest(&self.subject).split_off(32)
    }

    /// The resource that is the person.
    pub(super) fn fhir_user(&self) -> Option<String> {
        let patient = self.patient.as_ref();
        let patient = patient.map(|id| format!("Patient/{id}"));
        patient
            .or_else(|| self.practitioner.clone())
            .or_else(|| self.related.first().cloned())
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("User(..)")
    }
}

/// Who has signed in by the request that this answers, for the audit log.
#[derive(Clone, Default)]
pub(crate) struct SignedIn {
    pub(crate) practitioner: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) patient: Option<String>,
}

impl SignedIn {
    pub(super) fn of(user: &User) -> Self {
        Self {
            practitioner: user.practitioner.clone(),
            role: user.role.clone(),
            patient: user.patient.clone(),
        }
    }
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignedIn(..)")
    }
}
