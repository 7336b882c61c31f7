//! Provisions: the tree of rules in a consent.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Rejection;
use super::actor::{self, Actor, Delegate, Read};
use super::data::{self, Data};
use super::span::{Span, span};
use crate::access::Action;

/// Depth of nesting that is read.
const DEPTH_MAX: usize = 8;
/// Rules in one consent.
const PROVISIONS_MAX: usize = 256;
/// Repetitions of one element of a rule.
const REPETITIONS_MAX: usize = 256;

const RESOURCE_TYPES: &str = "http://hl7.org/fhir/resource-types";
const LOINC: &str = "http://loinc.org";

/// One rule and its exceptions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provision {
    /// Permit or deny; a root without a kind only carries conditions for those in it.
    pub kind: Option<Kind>,
    /// When the rule is in force.
    pub period: Option<Span>,
    /// To whom it applies; to everybody if empty.
    pub actors: Vec<Actor>,
    /// Whom it lets act in the patient's place; such a rule lets nobody else in.
    pub delegates: Vec<Delegate>,
    /// What it is about; opening if no rule around it says anything else.
    pub actions: Option<BTreeSet<Action>>,
    /// Purposes of use; any if empty.
    pub purposes: Vec<String>,
    /// Resource types; any if these and `documents` are empty.
    pub types: Vec<String>,
    /// Kinds of documents, as `system|code`, beside `types`.
    pub documents: Vec<String>,
    /// `system|code` of what the document is about or of its category; any if empty.
    pub codes: Vec<String>,
    /// Codes of security labels; see C4.
    pub labels: Vec<String>,
    /// When the documented thing happened.
    pub data_period: Option<Span>,
    /// Documents that it is about; any if empty.
    pub data: Vec<Data>,
    /// Exceptions.
    pub nested: Vec<Provision>,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Lets the actors in.
    Permit,
    /// Keeps the actors out.
    Deny,
}

/// What the rules around one are like.
#[derive(Clone, Copy)]
struct Around {
    /// Some of them names somebody.
    names_somebody: bool,
    /// None of them says anything but that there are rules in it.
    is_bare: bool,
    /// How much deeper rules may nest.
    depth: usize,
}

impl Provision {
    /// Whether a rule in it is about writing.
    pub(super) fn names_writing(&self) -> bool {
        let mut actions = self.actions.iter().flatten();
        actions.any(|action| *action != Action::Open) || self.nested.iter().any(Self::names_writing)
    }

    /// Reads `Consent.provision`.
    pub(super) fn read(provision: &Value) -> Result<Self, Rejection> {
        let path = "Consent.provision";
        let around = Around {
            names_somebody: false,
            is_bare: true,
            depth: DEPTH_MAX,
        };
        let provision = read_at(path, provision, around)?;
        if provision.rules() > PROVISIONS_MAX {
            return Err(Rejection::CannotEnforce(format!("{path}.provision")));
        }
        Ok(provision)
    }

    fn rules(&self) -> usize {
        let nested = self.nested.iter().map(Self::rules);
        nested.fold(1, usize::saturating_add)
    }

    /// Whether somebody is to act in the patient's place by it.
    pub(super) fn delegates(&self) -> bool {
        !self.delegates.is_empty() || self.nested.iter().any(Self::delegates)
    }

    /// Whether it is about a purpose and nothing else: it holds for everybody and everything that the rules around it do.
    pub(super) fn keeps_from(&self, purpose: &str) -> bool {
        let alone = Self {
            kind: self.kind,
            purposes: self.purposes.clone(),
            ..Self::default()
        };
        self.purposes.iter().any(|one| one == purpose) && *self == alone
    }
}

fn read_at(path: &str, value: &Value, around: Around) -> Result<Provision, Rejection> {
    let elements = value
        .as_object()
        .ok_or_else(|| Rejection::Malformed(path.to_owned()))?;
    let mut provision = Provision::default();
    for (element, value) in elements {
        let cannot = || Rejection::CannotEnforce(format!("{path}.{element}"));
        if value
            .as_array()
            .is_some_and(|all| all.len() > REPETITIONS_MAX)
        {
            return Err(cannot());
        }
        read_element(&mut provision, element, value)
            .map_err(|fault| fault.at(&format!("{path}.{element}")))?;
    }
    if provision.kind == Some(Kind::Permit) {
        let names_somebody = around.names_somebody
            || !provision.actors.is_empty()
            || !provision.delegates.is_empty();
        if !names_somebody {
            return Err(Rejection::NamesNobody(path.to_owned()));
        }
    }
    check_delegates(path, &provision, elements, around)?;
    if let Some(value) = elements.get("provision") {
        let around = Around {
            names_somebody: around.names_somebody || !provision.actors.is_empty(),
            is_bare: around.is_bare && provision == Provision::default(),
            depth: around.depth,
        };
        provision.nested = nested(path, value, around)?;
    }
    Ok(provision)
}

/// What is wrong with an element.
enum Fault {
    Malformed,
    CannotEnforce,
}

impl Fault {
    fn at(self, path: &str) -> Rejection {
        match self {
            Self::Malformed => Rejection::Malformed(path.to_owned()),
            Self::CannotEnforce => Rejection::CannotEnforce(path.to_owned()),
        }
    }
}

fn read_element(rule: &mut Provision, element: &str, value: &Value) -> Result<(), Fault> {
    use Fault::{CannotEnforce, Malformed};
    match element {
        "id" | "provision" => {}
        "type" => rule.kind = Some(kind(value).ok_or(Malformed)?),
        "period" => rule.period = Some(span(value).ok_or(Malformed)?),
        "dataPeriod" => rule.data_period = Some(span(value).ok_or(Malformed)?),
        "actor" => {
            for read in each(value, actor::read).ok_or(CannotEnforce)? {
                match read {
                    Read::Actor(actor) => rule.actors.push(actor),
                    Read::Delegate(delegate) => rule.delegates.push(delegate),
                }
            }
        }
        "action" => rule.actions = Some(actions(value).ok_or(CannotEnforce)?),
        "purpose" => rule.purposes = each(value, code).ok_or(Malformed)?,
        "class" => {
            for (system, code) in each(value, class).ok_or(CannotEnforce)? {
                match system {
                    RESOURCE_TYPES => rule.types.push(code),
                    system => rule.documents.push(format!("{system}|{code}")),
                }
            }
        }
        "code" => rule.codes = each(value, concept).ok_or(Malformed)?.concat(),
        "securityLabel" => rule.labels = each(value, code).ok_or(Malformed)?,
        "data" => rule.data = each(value, data::read).ok_or(CannotEnforce)?,
        _ => return Err(CannotEnforce),
    }
    Ok(())
}

/// A delegation is a permit at the root, or directly in a root without conditions; it is limited by what a request
/// can be held against, and a parent's ends at a date: the child's coming of age.
fn check_delegates(
    path: &str,
    rule: &Provision,
    elements: &Map<String, Value>,
    around: Around,
) -> Result<(), Rejection> {
    if rule.delegates.is_empty() {
        return Ok(());
    }
    let cannot = |element: &str| Err(Rejection::CannotEnforce(format!("{path}.{element}")));
    if rule.kind != Some(Kind::Permit) || !rule.actors.is_empty() || !around.is_bare {
        return cannot("actor");
    }
    let cannot_limit = ["code", "data", "dataPeriod", "provision"];
    if let Some(element) = cannot_limit.iter().find(|one| elements.contains_key(**one)) {
        return cannot(element);
    }
    if !rule.documents.is_empty() {
        return cannot("class");
    }
    let ends = rule.period.is_some_and(|period| period.end.is_some());
    let has_parent = rule.delegates.iter().any(|delegate| delegate.is_parent);
    if has_parent && !ends {
        return cannot("period");
    }
    Ok(())
}

fn nested(path: &str, value: &Value, around: Around) -> Result<Vec<Provision>, Rejection> {
    let path = format!("{path}.provision");
    let provisions = value
        .as_array()
        .ok_or_else(|| Rejection::Malformed(path.clone()))?;
    let depth = around
        .depth
        .checked_sub(1)
        .ok_or_else(|| Rejection::CannotEnforce(path.clone()))?;
    let around = Around { depth, ..around };
    let read = |one| match read_at(&path, one, around) {
        // R4 requires a type in every rule but the root.
        Ok(read) if read.kind.is_none() => Err(Rejection::Malformed(format!("{path}.type"))),
        read => read,
    };
    provisions.iter().map(read).collect()
}

/// Every repetition of an element, if they are within bounds; an empty list must not read as "any".
fn each<'a, T>(value: &'a Value, read: impl Fn(&'a Value) -> Option<T>) -> Option<Vec<T>> {
    let repetitions = value.as_array()?;
    let within = 1..=REPETITIONS_MAX;
    let all = || repetitions.iter().map(read).collect();
    within.contains(&repetitions.len()).then(all).flatten()
}

fn kind(value: &Value) -> Option<Kind> {
    match value.as_str()? {
        "permit" => Some(Kind::Permit),
        "deny" => Some(Kind::Deny),
        _ => None,
    }
}

fn code(coding: &Value) -> Option<String> {
    Some(coding.get("code")?.as_str()?.to_owned())
}

fn class(coding: &Value) -> Option<(&str, String)> {
    let system = coding.get("system")?.as_str()?;
    let is_known = [RESOURCE_TYPES, LOINC].contains(&system);
    is_known
        .then(|| code(coding))
        .flatten()
        .map(|code| (system, code))
}

fn concept(concept: &Value) -> Option<Vec<String>> {
    let coding = |coding: &Value| {
        let system = coding
            .get("system")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Some(format!("{system}|{}", code(coding)?))
    };
    each(concept.get("coding")?, coding)
}

/// R4 value set consent-action. Access, use and disclosure are one: a document that was opened is read, used and passed
/// on.
fn actions(actions: &Value) -> Option<BTreeSet<Action>> {
    let action = |coding: &Value| match code(coding)?.as_str() {
        "access" | "use" | "disclose" => Some(Action::Open),
        "collect" => Some(Action::Collect),
        "correct" => Some(Action::Correct),
        _ => None,
    };
    let all = each(actions, |concept| each(concept.get("coding")?, action))?;
    Some(all.into_iter().flatten().collect())
}
