//! Delegation: acting in the place of a patient.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};

use super::{HeadRef, Request};
use crate::consent::{Consent, Grant, grants, label, purpose};

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

impl Limits {
    /// What lies within both.
    pub fn and(&self, other: &Self) -> Self {
        Self {
            types: both(&self.types, &other.types),
            labels: both(&self.labels, &other.labels),
            purposes: both(&self.purposes, &other.purposes),
            actions: both(&self.actions, &other.actions),
            from: self.from.max(other.from),
            until: earlier(self.until, other.until),
            majority: earlier(self.majority, other.majority),
        }
    }

    /// Whether documents that minors keep to themselves are left out unless their label is named.
    pub(super) fn leaves_minors_alone(&self) -> bool {
        let named = self
            .labels
            .as_ref()
            .is_some_and(|labels| labels.contains(label::MINORS));
        self.majority.is_some() && !named
    }

    fn check(&self, request: &Request) -> Result<(), NotDelegated> {
        let now = request.now;
        let started = self.from.is_none_or(|from| now >= from);
        let ends = [self.until, self.majority];
        if !started || ends.into_iter().flatten().any(|end| now >= end) {
            return Err(NotDelegated::NotInForce);
        }
        let asked = purpose::with_broader(&request.purpose);
        let is_for = |purposes: &BTreeSet<String>| asked.iter().any(|one| purposes.contains(*one));
        if !self.purposes.as_ref().is_none_or(is_for) {
            return Err(NotDelegated::PurposeNotDelegated);
        }
        let does = |actions: &BTreeSet<Action>| actions.contains(&request.action);
        if !self.actions.as_ref().is_none_or(does) {
            return Err(NotDelegated::ActionNotDelegated);
        }
        Ok(())
    }
}

fn both<T: Ord + Clone>(
    one: &Option<BTreeSet<T>>,
    other: &Option<BTreeSet<T>>,
) -> Option<BTreeSet<T>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one & other),
        (one, other) => one.clone().or_else(|| other.clone()),
    }
}

fn earlier(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Why somebody does not stand in a patient's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotDelegated {
    /// There are no links, or too many.
    #[error("a chain of delegations has from one to three links")]
    ChainLength,
    /// Somebody is in the chain twice.
    #[error("a chain of delegations comes back to somebody in it")]
    Cyclic,
    /// Who asks is not the last delegate.
    #[error("the one who asks is not the last delegate of the chain")]
    NotTheDelegate,
    /// No consent in force grants a link.
    #[error("no consent in force grants a link of the chain")]
    NotGranted,
    /// It has not begun, or has ended.
    #[error("the delegation is not in force at this time")]
    NotInForce,
    /// It is for other purposes.
    #[error("the delegation is for other purposes")]
    PurposeNotDelegated,
    /// It is for other actions.
    #[error("the delegation is for other actions")]
    ActionNotDelegated,
}

/// The delegations that consents grant, by consent.
#[derive(Debug, Default)]
pub(super) struct Grants(BTreeMap<HeadRef, Vec<Grant>>);

impl Grants {
    pub(super) fn of(consents: &[Consent]) -> Self {
        let granted = consents
            .iter()
            .map(|consent| (HeadRef::of(consent), grants(consent)));
        Self(granted.filter(|(_, grants)| !grants.is_empty()).collect())
    }

    /// How far who asks stands in the patient's place: as far as every link goes, and what grants it.
    pub(super) fn limits(
        &self,
        delegation: &Delegation,
        request: &Request,
    ) -> Result<Limits, NotDelegated> {
        let links = &delegation.links;
        if links.is_empty() || links.len() > LINKS_MAX {
            return Err(NotDelegated::ChainLength);
        }
        let patient = format!("Patient/{}", delegation.patient);
        let mut met = BTreeSet::from([patient.as_str()]);
        if !links.iter().all(|link| met.insert(&link.delegate)) {
            return Err(NotDelegated::Cyclic);
        }
        let last = links.last().map(|link| link.delegate.as_str());
        if !names(request).any(|name| Some(name.as_str()) == last) {
            return Err(NotDelegated::NotTheDelegate);
        }
        let mut limits = Limits::default();
        let mut giver = None;
        for link in links {
            let granted = self.granted(link, giver, &request.member);
            let granted = granted.ok_or(NotDelegated::NotGranted)?;
            limits = limits.and(&granted.limits).and(&link.limits);
            giver = Some(link.delegate.as_str());
        }
        limits.check(request)?;
        Ok(limits)
    }

    fn granted(&self, link: &Link, giver: Option<&str>, member: &str) -> Option<&Grant> {
        let is_by = |grant: &Grant| match giver {
            None => grant.by.is_empty(),
            Some(giver) => grant.by.contains(giver),
        };
        let is_it = |grant: &&Grant| {
            grant.delegate == link.delegate && grant.member == member && is_by(grant)
        };
        self.0.get(&link.consent)?.iter().find(is_it)
    }
}

/// Who asks, by reference.
pub(super) fn names(request: &Request) -> impl Iterator<Item = String> {
    let patient = request.patient.as_ref().map(|id| format!("Patient/{id}"));
    let persons = [&request.practitioner, &request.device, &request.related];
    persons.into_iter().flatten().cloned().chain(patient)
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

impl Action {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Open, Self::Collect, Self::Correct];

    /// Its name in policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Collect => "collect",
            Self::Correct => "correct",
        }
    }
}
