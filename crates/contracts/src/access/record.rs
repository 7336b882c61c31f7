//! Decision records: what a decision rested on, so that anybody who is given the inputs can decide again (P5).

use std::collections::BTreeSet;

use ledger::codec::{self, DecodeError};
use ledger::ids::{Digest, Height};
use minicbor::{Decode, Encode};

use super::{
    AccessError, Action, Decision, Delegation, Document, Emergency, Evaluator, Implicit, Request,
    Voted, rules_digest,
};
use crate::consent::Consent;

/// A consent that a decision rested on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct HeadRef {
    /// What decisions call it.
    #[n(0)]
    pub id: String,
    /// Its version.
    #[n(1)]
    pub version: u64,
}

impl HeadRef {
    pub(super) fn of(consent: &Consent) -> Self {
        Self {
            id: consent.id.clone(),
            version: consent.version,
        }
    }
}

/// A request as it was decided.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct RecordedRequest {
    /// The member whose user asked.
    #[n(0)]
    pub member: String,
    /// The practitioner.
    #[n(1)]
    pub practitioner: Option<String>,
    /// The role.
    #[n(2)]
    pub role: Option<String>,
    /// The patient, when asking for the own record.
    #[n(3)]
    pub patient: Option<String>,
    /// Purpose of use.
    #[n(4)]
    pub purpose: String,
    /// When, milliseconds since 1970.
    #[n(5)]
    pub now: i64,
    /// Whether the consents were known.
    #[n(6)]
    pub consents_known: bool,
    /// Further roles, if there were some.
    #[n(7)]
    pub roles: Option<BTreeSet<String>>,
    /// The device.
    #[n(8)]
    pub device: Option<String>,
    /// The related person.
    #[n(9)]
    pub related: Option<String>,
    /// Groups and teams, if there were some.
    #[n(10)]
    pub groups: Option<BTreeSet<String>>,
    /// What was to be done, unless it was to open.
    #[n(11)]
    pub action: Option<Action>,
    /// The declared emergency.
    #[n(12)]
    pub emergency: Option<Emergency>,
    /// In whose place it was asked.
    #[n(13)]
    pub on_behalf_of: Option<Delegation>,
}

impl RecordedRequest {
    fn of(request: &Request) -> Self {
        let some = |set: &BTreeSet<String>| Some(set.clone()).filter(|set| !set.is_empty());
        Self {
            member: request.member.clone(),
            practitioner: request.practitioner.clone(),
            role: request.role.clone(),
            patient: request.patient.clone(),
            purpose: request.purpose.clone(),
            now: request.now,
            consents_known: request.consents_known,
            roles: some(&request.roles),
            device: request.device.clone(),
            related: request.related.clone(),
            groups: some(&request.groups),
            action: Some(request.action).filter(|action| *action != Action::Open),
            emergency: request.emergency.clone(),
            on_behalf_of: request.on_behalf_of.clone(),
        }
    }

    fn asked(&self) -> Request {
        Request {
            member: self.member.clone(),
            practitioner: self.practitioner.clone(),
            role: self.role.clone(),
            roles: self.roles.clone().unwrap_or_default(),
            device: self.device.clone(),
            related: self.related.clone(),
            groups: self.groups.clone().unwrap_or_default(),
            patient: self.patient.clone(),
            purpose: self.purpose.clone(),
            now: self.now,
            consents_known: self.consents_known,
            action: self.action.unwrap_or_default(),
            emergency: self.emergency.clone(),
            on_behalf_of: self.on_behalf_of.clone(),
        }
    }
}

/// One document's outcome.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct RecordedRuling {
    /// Whether it was opened.
    #[n(0)]
    pub permitted: bool,
    /// The determining policies.
    #[n(1)]
    pub determining: Vec<String>,
}

/// The inputs and the outcome of one request's decisions, in the order of its documents.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DecisionRecord {
    /// Digest of schema, built-in policies and engine version.
    #[n(0)]
    pub rules: Digest,
    /// The consents in force or known, at `height`.
    #[n(1)]
    pub heads: Vec<HeadRef>,
    /// The last applied block.
    #[n(2)]
    pub height: Height,
    /// The request.
    #[n(3)]
    pub request: RecordedRequest,
    /// The outcomes.
    #[n(4)]
    pub rulings: Vec<RecordedRuling>,
    /// SHA-256 of the policies that members had voted, if there were some: the registry keeps their text.
    #[n(5)]
    pub voted: Option<Digest>,
    /// The member's implicit policy, unless it is the usual one.
    #[n(6)]
    pub implicit: Option<Implicit>,
}

impl DecisionRecord {
    /// Records what `evaluator` decided.
    pub fn of(
        evaluator: &Evaluator,
        height: Height,
        request: &Request,
        decisions: &[Decision],
    ) -> Self {
        let ruling = |decision: &Decision| RecordedRuling {
            permitted: decision.permitted,
            determining: decision.determining.clone(),
        };
        Self {
            rules: rules_digest(),
            heads: evaluator.heads().to_vec(),
            height,
            request: RecordedRequest::of(request),
            rulings: decisions.iter().map(ruling).collect(),
            voted: evaluator.voted(),
            implicit: Some(evaluator.implicit()).filter(|policy| *policy != Implicit::default()),
        }
    }

    /// Reads a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode("decision record", bytes)
    }

    /// The record's bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }
}

/// What deciding again shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// The same outcomes, by the same policies.
    Same,
    /// The same wherever it can still be told: these documents are erased.
    Erased(Vec<usize>),
    /// These documents come out differently.
    Diverged(Vec<usize>),
    /// The decisions rest on voted policies whose text, with this SHA-256, was not given.
    PoliciesMissing(Digest),
    /// Other rules, or other consents than those recorded, were given.
    OtherInputs,
}

/// Decides again from the recorded request, the text of the policies that members had voted, the consents and the
/// documents; `None` stands for an erased document.
pub fn replay(
    record: &DecisionRecord,
    voted: Option<&str>,
    consents: &[Consent],
    documents: &[Option<Document>],
) -> Result<Replay, AccessError> {
    let voted = voted.map(Voted::of);
    let voted = voted.filter(|voted| Some(voted.digest()) == record.voted);
    if let (Some(named), None) = (record.voted, &voted) {
        return Ok(Replay::PoliciesMissing(named));
    }
    let implicit = record.implicit.unwrap_or_default();
    let evaluator = match &voted {
        Some(voted) => Evaluator::governed(Some(voted), implicit, consents)
            .unwrap_or_else(|_| Evaluator::denying(voted, implicit, consents)),
        None => Evaluator::governed(None, implicit, consents)?,
    };
    Ok(replay_prepared(record, &evaluator, documents))
}

/// The same with consents and policies that are ready already, for many records that rest on the same.
pub fn replay_prepared(
    record: &DecisionRecord,
    evaluator: &Evaluator,
    documents: &[Option<Document>],
) -> Replay {
    let same_inputs = record.rules == rules_digest()
        && record.heads == evaluator.heads()
        && record.voted == evaluator.voted()
        && record.implicit.unwrap_or_default() == evaluator.implicit()
        && record.rulings.len() == documents.len();
    if !same_inputs {
        return Replay::OtherInputs;
    }
    let request = record.request.asked();
    let asked = evaluator.asked(&request);
    let diverges = |(at, (ruling, document)): (usize, (&RecordedRuling, &Option<Document>))| {
        let decision = asked.decide(document.as_ref()?);
        let same =
            decision.permitted == ruling.permitted && decision.determining == ruling.determining;
        (!same).then_some(at)
    };
    let diverged: Vec<usize> = record
        .rulings
        .iter()
        .zip(documents)
        .enumerate()
        .filter_map(diverges)
        .collect();
    let is_erased = |(at, document): (usize, &Option<Document>)| document.is_none().then_some(at);
    let erased: Vec<usize> = documents.iter().enumerate().filter_map(is_erased).collect();
    match (diverged.is_empty(), erased.is_empty()) {
        (false, _) => Replay::Diverged(diverged),
        (true, false) => Replay::Erased(erased),
        (true, true) => Replay::Same,
    }
}
