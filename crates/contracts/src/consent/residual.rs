//! What a patient's consents say for somebody who asks, as IHE PCF puts it into an access token (ITI-71, extension
//! `ihe_pcf`): which consents count, and what of the patient's data they keep back or give.
//!
//! Every rule is put to the same evaluation that decides requests, with a document that has just what the rule names. So
//! a rule is told only where it decides. PCF lets a `permit` override every `forbid`, which consents here do not (any
//! deny wins): a permit that could do so is left out. What is told is never wider than what is decided.
//!
//! # Invariants
//! - **R1** A rule is told only if it determines the decision on what it names.
//! - **R2** No permit is told beside a forbid that it is no exception to, but for the one of everything.

use std::collections::BTreeSet;

use super::policy::{Rule, rules};
use super::{Consent, Data, Kind, Meaning, Provision, Span};
use crate::access::{Document, Evaluator, Request};

/// A type that no rule names: what is open to it is open whatever the type.
const NO_TYPE: &str = "";

/// What is left to enforce beside the scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Residual {
    /// Whether the data are given or kept back.
    pub kind: Kind,
    /// Codes of security labels; any if empty.
    pub labels: Vec<String>,
    /// When the documented thing happened.
    pub data_period: Option<Span>,
    /// Documents; any if empty.
    pub data: Vec<Data>,
}

/// What consents say for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Considered {
    /// The consents that count, by their names in decisions.
    pub consents: BTreeSet<String>,
    /// What is kept back of what the scopes reach, and what of that is given.
    pub residual: Vec<Residual>,
}

/// What `consents` say for a request; `None` if none of them matters. `evaluator` is made of them, `document` is one of
/// the patient's that nothing is known of but where it is.
pub fn considered(
    consents: &[Consent],
    evaluator: &Evaluator,
    request: &Request,
    document: &Document,
) -> Option<Considered> {
    let asked = evaluator.asked(request);
    let document = Document {
        resource_type: NO_TYPE.to_owned(),
        ..document.clone()
    };
    let plain = asked.decide(&document);
    let counts = |rule: &Rule<'_>| {
        let decision = asked.decide(&named_by(rule, &document));
        decision.determining.contains(&rule.id())
    };
    let rules: Vec<Rule<'_>> = consents.iter().flat_map(rules).filter(counts).collect();
    if rules.is_empty() {
        return None;
    }
    let mut residual = Vec::new();
    if !plain.permitted {
        residual.push(Residual::all(Kind::Deny));
    }
    let denies = rules.iter().filter(|rule| rule.kind == Kind::Deny).count();
    residual.extend(rules.iter().filter_map(|rule| {
        let is_exception = rule.around.iter().any(|one| one.kind == Some(Kind::Deny));
        let is_told = match rule.kind {
            Kind::Deny => plain.permitted,
            Kind::Permit if plain.permitted => is_exception && denies == 1 && is_told_whole(rule),
            Kind::Permit => denies == 0 && is_told_whole(rule),
        };
        is_told.then(|| Residual::of(rule))
    }));
    Some(Considered {
        consents: rules.iter().map(|rule| rule.consent.id.clone()).collect(),
        residual,
    })
}

impl Residual {
    fn all(kind: Kind) -> Self {
        Self {
            kind,
            labels: Vec::new(),
            data_period: None,
            data: Vec::new(),
        }
    }

    fn of(rule: &Rule<'_>) -> Self {
        Self {
            kind: rule.kind,
            labels: labels(rule),
            data_period: data_period(rule),
            data: data(rule).unwrap_or_default(),
        }
    }
}

/// The rules from the outermost to the rule itself.
fn chain<'a>(rule: &'a Rule<'_>) -> impl DoubleEndedIterator<Item = &'a Provision> {
    rule.around.iter().copied().chain([rule.own])
}

/// The nearest labels.
fn labels(rule: &Rule<'_>) -> Vec<String> {
    let named = chain(rule).rev().find(|one| !one.labels.is_empty());
    named.map(|one| one.labels.clone()).unwrap_or_default()
}

fn data_period(rule: &Rule<'_>) -> Option<Span> {
    let periods = chain(rule).filter_map(|one| one.data_period);
    periods.reduce(Span::and)
}

/// The documents of the one rule that names some; `None` if several do, all of which would have to hold.
fn data(rule: &Rule<'_>) -> Option<Vec<Data>> {
    let mut named = chain(rule).filter(|one| !one.data.is_empty());
    let data = named.next().map(|one| one.data.clone());
    named.next().is_none().then(|| data.unwrap_or_default())
}

/// Whether the token's words say all that the rule names: they have none for types and codes.
fn is_told_whole(rule: &Rule<'_>) -> bool {
    let is_told =
        |one: &Provision| one.types.is_empty() && one.documents.is_empty() && one.codes.is_empty();
    chain(rule).all(is_told) && data(rule).is_some()
}

/// A document that has what the rule and those around it name.
fn named_by(rule: &Rule<'_>, document: &Document) -> Document {
    let mut named = Document {
        labels: labels(rule).into_iter().collect(),
        ..document.clone()
    };
    for one in chain(rule) {
        if let Some(first) = one.types.first() {
            named.resource_type.clone_from(first);
        }
        let codes = one.codes.first().into_iter();
        let documents = one.documents.first().filter(|_| one.types.is_empty());
        named.codes.extend(codes.chain(documents).cloned());
        let Some(data) = one.data.first() else {
            continue;
        };
        match data.meaning {
            Meaning::Instance => named.id = Some(data.reference.clone()),
            Meaning::Dependents => _ = named.related.insert(data.reference.clone()),
            Meaning::AuthoredBy => _ = named.authors.insert(data.reference.clone()),
        }
        if let (Meaning::Instance, Some((kind, _))) = (data.meaning, data.reference.split_once('/'))
        {
            kind.clone_into(&mut named.resource_type);
        }
    }
    // Data without an id say not what they refer to.
    named
        .id
        .get_or_insert_with(|| format!("{}/-", named.resource_type));
    named.period = data_period(rule).map(|span| {
        let first = span.start.or(span.end.map(|end| end.saturating_sub(1)));
        let first = first.unwrap_or(0);
        (first, first)
    });
    named
}

#[cfg(test)]
mod tests;
