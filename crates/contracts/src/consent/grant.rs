//! Grants: whom a consent lets act in the patient's place, and how far.

use std::collections::BTreeSet;

use super::label::Labels;
use super::label::level_names;
use super::provision::Provision;
use super::{Consent, actor};
use crate::access::Limits;

/// A delegation that a consent grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// By whom: empty for the patient, else by one of these, in whose place the delegate then stands.
    pub by: BTreeSet<String>,
    /// To whom, as a reference at `member`.
    pub delegate: String,
    /// The member through which it was granted: references are of its records.
    pub member: String,
    /// How far.
    pub limits: Limits,
}

/// What an active consent delegates.
pub fn grants(consent: &Consent) -> Vec<Grant> {
    let mut found = Vec::new();
    if let (true, Some(root)) = (consent.is_active(), &consent.provision) {
        collect(consent, root, &mut found);
    }
    found
}

fn collect(consent: &Consent, rule: &Provision, found: &mut Vec<Grant>) {
    let grant = |delegate: &actor::Delegate| Grant {
        by: consent.given_by(),
        delegate: delegate.who.clone(),
        member: consent.home().to_owned(),
        limits: limits(rule, delegate.is_parent),
    };
    found.extend(rule.delegates.iter().map(grant));
    for nested in &rule.nested {
        collect(consent, nested, found);
    }
}

fn limits(rule: &Provision, is_parent: bool) -> Limits {
    let some = |values: &[String]| {
        let all: BTreeSet<String> = values.iter().cloned().collect();
        (!all.is_empty()).then_some(all)
    };
    let labels = || {
        let labels = Labels::of(&rule.labels);
        let mut names = labels.covered();
        names.extend(level_names(labels.level()));
        names
    };
    let period = rule.period.unwrap_or_default();
    Limits {
        types: some(&rule.types),
        labels: (!rule.labels.is_empty()).then(labels),
        purposes: some(&rule.purposes),
        actions: rule.actions.clone(),
        from: period.start,
        until: period.end,
        majority: period.end.filter(|_| is_parent),
    }
}
