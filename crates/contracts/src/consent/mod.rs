//! Consent: what a patient permits or denies, read from a FHIR R4 `Consent` and compiled to Cedar policies.
//!
//! ```text
//!   draft, proposed ──> active ⇄ suspended ──> withdrawn        an entry of the consent's stream carries one version
//! ```
//! `life` has all states and what may follow what, `part2` what 42 CFR 2.31 demands besides.
//!
//! # Invariants
//! - **C1** Only a consent whose status is `active` permits or denies anything.
//! - **C2** What cannot be enforced is refused when the consent is filed, with the element named; nothing that
//!   restricts is passed over.
//! - **C3** A permit names whom it permits.
//! - **C4** A permit opens a sensitive document only if every one of the document's labels is named by it or, where
//!   it names none, by the nearest rule around it that does. Marketing and research are named the same way.
//!
//! Elements within a provision all have to match; repetitions of an element are alternatives (R4 §6.2). A nested
//! provision is an exception to the one around it: it applies only where that one does, and the deepest one that
//! matches counts. Several consents: any deny wins, else the union of permits (ADR 0004).

mod actor;
mod data;
pub mod explain;
mod expression;
mod gate;
mod grant;
pub(crate) mod label;
pub mod life;
pub mod part2;
mod policy;
pub mod preview;
mod provision;
pub(crate) mod purpose;
pub mod receipt;
mod residual;
pub mod scope;
mod span;
pub mod template;

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

pub use actor::{Actor, Delegate};
pub use data::{Data, Meaning};
pub(crate) use gate::Gate;
pub use grant::{Grant, grants};
pub use policy::policies;
pub(crate) use policy::rules;
pub use provision::{Kind, Provision};
pub use residual::{Considered, Residual, considered};
pub use span::Span;

/// The identifier system for names of members.
pub const MEMBER_SYSTEM: &str = "urn:careledger:member";

/// A consent that can be enforced.
#[derive(Clone, PartialEq, Eq)]
pub struct Consent {
    /// What names it in decisions: its home member and id.
    pub id: String,
    /// FHIR `meta.versionId`.
    pub version: u64,
    /// Where it is in its life.
    pub status: Status,
    /// The patient's reference, at the member through which it was filed.
    pub patient: String,
    /// Who agreed to it, by reference; the patient if it says nothing.
    pub performers: BTreeSet<String>,
    /// The rules; none for a consent that only withdraws.
    pub provision: Option<Provision>,
}

impl fmt::Debug for Consent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Consent({}, version {}, {:?})",
            self.id, self.version, self.status
        )
    }
}

/// `Consent.status` (R4 value set consent-state-codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Being drawn up.
    Draft,
    /// Offered, not agreed.
    Proposed,
    /// In force.
    Active,
    /// Not agreed.
    Rejected,
    /// Withdrawn or replaced.
    Inactive,
    /// Filed by mistake.
    EnteredInError,
}

/// Why a consent is not accepted for filing. Values never appear, only the names of elements.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// An element is missing, or of the wrong kind.
    #[error("`{0}` is missing or malformed")]
    Malformed(String),
    /// An element says something that cannot be enforced here.
    #[error("`{0}` says something that this network cannot enforce")]
    CannotEnforce(String),
    /// A permit is for nobody in particular.
    #[error("`{0}` permits, but names nobody")]
    NamesNobody(String),
    /// A new version says what cannot come after the version before it.
    #[error("`{0}` cannot follow what the version before says")]
    DoesNotFollow(String),
    /// A consent under 42 CFR part 2 lacks what § 2.31 demands.
    #[error("`{element}` has to say what 42 CFR 2.31{paragraph} demands")]
    LacksPart2 {
        /// The element.
        element: String,
        /// The paragraph of § 2.31.
        paragraph: &'static str,
    },
    /// A consent under 42 CFR part 2 combines what has to stand in a consent of its own.
    #[error("`{element}` combines what 42 CFR 2.31{paragraph} keeps apart")]
    CombinesPart2 {
        /// The element.
        element: String,
        /// The paragraph of § 2.31.
        paragraph: &'static str,
    },
}

impl Rejection {
    /// The element at fault.
    pub fn element(&self) -> &str {
        match self {
            Self::Malformed(element)
            | Self::CannotEnforce(element)
            | Self::NamesNobody(element)
            | Self::DoesNotFollow(element)
            | Self::LacksPart2 { element, .. }
            | Self::CombinesPart2 { element, .. } => element,
        }
    }
}

/// Elements that describe a consent without restricting it, or that are read here.
const KNOWN: [&str; 20] = [
    "resourceType",
    "id",
    "meta",
    "language",
    "text",
    "extension",
    "identifier",
    "status",
    "scope",
    "category",
    "patient",
    "dateTime",
    "performer",
    "organization",
    "sourceAttachment",
    "sourceReference",
    "policy",
    "policyRule",
    "verification",
    "provision",
];

impl Consent {
    /// Reads version `version` of the consent that decisions will name `id`.
    pub fn read(id: &str, version: u64, consent: &Value) -> Result<Self, Rejection> {
        let malformed = |element: &str| Rejection::Malformed(format!("Consent.{element}"));
        let elements = consent
            .as_object()
            .ok_or_else(|| malformed("resourceType"))?;
        let is_unknown = |element: &&String| !KNOWN.contains(&element.as_str());
        if let Some(element) = elements.keys().find(is_unknown) {
            return Err(Rejection::CannotEnforce(format!("Consent.{element}")));
        }
        life::State::of(consent)?;
        let status = consent
            .get("status")
            .and_then(Value::as_str)
            .and_then(Status::parse);
        let patient = consent
            .pointer("/patient/reference")
            .and_then(Value::as_str);
        if !is_patient_privacy(consent.get("scope")) {
            return Err(Rejection::CannotEnforce("Consent.scope".to_owned()));
        }
        let provision = consent.get("provision");
        let provision = provision.map(Provision::read).transpose()?;
        let performers = consent.get("performer").map(references);
        let performers = match performers {
            Some(Some(performers)) => performers,
            None => BTreeSet::new(),
            // Whose power a delegate gets has to be known.
            Some(None) if provision.as_ref().is_some_and(Provision::delegates) => {
                return Err(Rejection::CannotEnforce("Consent.performer".to_owned()));
            }
            Some(None) => BTreeSet::new(),
        };
        Ok(Self {
            id: id.to_owned(),
            version,
            status: status.ok_or_else(|| malformed("status"))?,
            patient: patient.ok_or_else(|| malformed("patient"))?.to_owned(),
            performers,
            provision,
        })
    }

    /// The member through which it was filed.
    pub(crate) fn home(&self) -> &str {
        self.id.split_once('/').map_or(&self.id, |(home, _)| home)
    }

    /// Who gave it if not the patient.
    pub(crate) fn given_by(&self) -> BTreeSet<String> {
        if self.performers.contains(&self.patient) {
            return BTreeSet::new();
        }
        self.performers.clone()
    }

    /// Whether it counts at all (C1).
    pub fn is_active(&self) -> bool {
        self.status == Status::Active
    }

    /// Whether it counts, and says who collects or corrects documents.
    pub(crate) fn names_writing(&self) -> bool {
        self.is_active()
            && self
                .provision
                .as_ref()
                .is_some_and(Provision::names_writing)
    }
}

impl Status {
    fn parse(code: &str) -> Option<Self> {
        Some(match code {
            "draft" => Self::Draft,
            "proposed" => Self::Proposed,
            "active" => Self::Active,
            "rejected" => Self::Rejected,
            "inactive" => Self::Inactive,
            "entered-in-error" => Self::EnteredInError,
            _ => return None,
        })
    }
}

fn references(all: &Value) -> Option<BTreeSet<String>> {
    let reference = |one: &Value| Some(one.get("reference")?.as_str()?.to_owned());
    all.as_array()?.iter().map(reference).collect()
}

fn is_patient_privacy(scope: Option<&Value>) -> bool {
    let codings = scope
        .and_then(|scope| scope.get("coding"))
        .and_then(Value::as_array);
    codings
        .into_iter()
        .flatten()
        .any(|coding| coding.get("code").and_then(Value::as_str) == Some("patient-privacy"))
}

#[cfg(test)]
pub(crate) mod tests;
