//! Delegation: acting in the place of a patient.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};

use super::HeadRef;

/// Links of a chain at most.
pub const LINKS_MAX: usize = 3;

/// On whose behalf somebody asks: a chain of delegations from the patient to who asks.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Delegation {
    /// The patient's id at the member that is asked, as in `Request::patient`.
    #[n(0)]
    pub patient: String,
    /// The first is given by the patient, each further one by the delegate before it; the last delegate asks.
    #[n(1)]
    pub links: Vec<Link>,
}

/// One delegation, as a consent grants it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Link {
    /// The consent that grants it.
    #[n(0)]
    pub consent: HeadRef,
    /// To whom: `RelatedPerson/id`, `Patient/id` or `Practitioner/id` at the member that is asked.
    #[n(1)]
    pub delegate: String,
    /// Within what.
    #[n(2)]
    pub limits: Limits,
}

/// How far a delegation goes; `None` is without a limit of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Limits {
    /// Resource types.
    #[n(0)]
    pub types: Option<BTreeSet<String>>,
    /// Codes of security labels that documents may have.
    #[n(1)]
    pub labels: Option<BTreeSet<String>>,
    /// Purposes of use.
    #[n(2)]
    pub purposes: Option<BTreeSet<String>>,
    /// What may be done.
    #[n(3)]
    pub actions: Option<BTreeSet<Action>>,
    /// The first millisecond since 1970 at which it holds.
    #[n(4)]
    pub from: Option<i64>,
    /// The first millisecond at which it does not hold any more.
    #[n(5)]
    pub until: Option<i64>,
    /// For a parent: when the patient comes of age.
    #[n(6)]
    pub majority: Option<i64>,
}

/// What is done to a document.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, minicbor::Encode, minicbor::Decode,
)]
#[cbor(index_only)]
pub enum Action {
    /// Reading it, using it, and passing it on: where it was opened, a node cannot tell them apart.
    #[default]
    #[n(0)]
    Open,
    /// Adding a document to the record.
    #[n(1)]
    Collect,
    /// Changing a document of the record.
    #[n(2)]
    Correct,
}
