//! Previews: who could open what now, and what a consent would change, decided as a request would be.
//!
//! Documents that policies cannot tell apart share a group; one of each group is decided for each asker, so that a long
//! record costs as much as a short one of the same kinds, unless consents name documents one by one.

use std::collections::{BTreeMap, BTreeSet};

use super::{Actor, Consent, Provision, purpose};
use crate::access::{Decision, Document, Evaluator, Request};

/// Purposes that are looked at.
pub const PURPOSES: [&str; 7] = [
    purpose::TREATMENT,
    "HPAYMT",
    "HOPERAT",
    "PUBHLTH",
    "HRESCH",
    "HMARKT",
    "ETREAT",
];
/// Decisions that one preview makes at most.
pub const DECISIONS_MAX: usize = 20_000;
/// Documents that a row names at most.
pub const EXAMPLES_MAX: usize = 5;

/// Who asks in a preview, and why: a practitioner of a member.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asker {
    /// The member.
    pub member: String,
    /// The practitioner, where a consent names one.
    pub practitioner: Option<String>,
    /// The role, where a consent names one.
    pub role: Option<String>,
    /// Purpose of use.
    pub purpose: String,
}

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// FHIR type.
    pub resource_type: String,
    /// Codes of sensitivity labels.
    pub labels: BTreeSet<String>,
}

/// How many documents of a kind somebody could open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Those that would be opened.
    pub permitted: usize,
    /// Those that would be withheld.
    pub withheld: usize,
    /// The policies that determine it.
    pub rules: BTreeSet<String>,
}

/// One line of a preview of what is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Who.
    pub asker: Asker,
    /// What.
    pub kind: Kind,
    /// How much of it.
    pub tally: Tally,
}

/// One line of a preview of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Who.
    pub asker: Asker,
    /// What.
    pub kind: Kind,
    /// As it is.
    pub before: Tally,
    /// As it would be.
    pub after: Tally,
    /// Documents that would be opened and are withheld now: some of them.
    pub gained: Vec<String>,
    /// Documents that would be withheld and are opened now: some of them.
    pub lost: Vec<String>,
}

/// Lines, and whether all that was to be looked at is in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview<T> {
    /// The lines.
    pub rows: Vec<T>,
    /// Whether nothing was left out for its number.
    pub is_complete: bool,
}

/// A patient's documents by kind, and within a kind those together that policies do not tell apart.
pub struct Records(BTreeMap<Kind, Vec<Vec<Document>>>);

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Records({} kinds)", self.0.len())
    }
}

/// What holds for every decision of a preview.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// When, milliseconds since 1970.
    pub now: i64,
    /// Whether every consent of the patient that is on the ledger is known here.
    pub consents_known: bool,
}

/// Whom consents name.
#[derive(Default)]
struct Named<'a> {
    members: BTreeSet<&'a str>,
    /// Practitioners and roles.
    people: BTreeSet<(Option<&'a str>, Option<&'a str>)>,
}

/// Those who are worth asking for: these members and whom these consents name, for every purpose.
pub fn askers<'a>(
    members: impl IntoIterator<Item = &'a str>,
    consents: &[&'a Consent],
) -> BTreeSet<Asker> {
    let mut named = Named {
        members: members.into_iter().collect(),
        people: BTreeSet::from([(None, None)]),
    };
    let roots = consents.iter().filter_map(|one| one.provision.as_ref());
    roots.for_each(|root| named.collect(root));
    let mut all = BTreeSet::new();
    for member in named.members {
        for purpose in PURPOSES {
            let people = named.people.iter();
            all.extend(people.map(|(practitioner, role)| Asker {
                member: member.to_owned(),
                practitioner: practitioner.map(str::to_owned),
                role: role.map(str::to_owned),
                purpose: purpose.to_owned(),
            }));
        }
    }
    all
}

impl<'a> Named<'a> {
    fn collect(&mut self, rule: &'a Provision) {
        for actor in &rule.actors {
            match actor {
                Actor::Member(name) => _ = self.members.insert(name),
                Actor::Named(who) if who.starts_with("Practitioner/") => {
                    self.people.insert((Some(who), None));
                }
                Actor::Role(role) => _ = self.people.insert((None, Some(role))),
                Actor::Named(_) => {}
            }
        }
        rule.nested.iter().for_each(|rule| self.collect(rule));
    }
}

/// Who could open what now.
pub fn who_can_see(
    evaluator: &Evaluator,
    (askers, records): (&BTreeSet<Asker>, &Records),
    moment: Moment,
) -> Preview<Row> {
    let mut rows = Vec::new();
    let mut left = DECISIONS_MAX;
    for asker in askers {
        let request = asker.request(moment);
        let asked = evaluator.asked(&request);
        for (kind, alike) in &records.0 {
            let mut tally = Tally::default();
            for documents in alike {
                let (Some(first), Some(rest)) = (documents.first(), left.checked_sub(1)) else {
                    return Preview {
                        rows,
                        is_complete: false,
                    };
                };
                left = rest;
                tally.add(&asked.decide(first), documents.len());
            }
            rows.push(Row {
                asker: asker.clone(),
                kind: kind.clone(),
                tally,
            });
        }
    }
    Preview {
        rows,
        is_complete: true,
    }
}

/// What would change with other policies; lines that differ come first.
pub fn what_if(
    (before, after): (&Evaluator, &Evaluator),
    (askers, records): (&BTreeSet<Asker>, &Records),
    moment: Moment,
) -> Preview<Change> {
    let mut rows: Vec<Change> = Vec::new();
    let mut left = DECISIONS_MAX;
    let mut is_complete = true;
    'all: for asker in askers {
        let request = asker.request(moment);
        let (now, then) = (before.asked(&request), after.asked(&request));
        for (kind, alike) in &records.0 {
            let mut change = Change::of(asker, kind);
            for documents in alike {
                let (Some(first), Some(rest)) = (documents.first(), left.checked_sub(2)) else {
                    is_complete = false;
                    break 'all;
                };
                left = rest;
                change.add((&now.decide(first), &then.decide(first)), documents);
            }
            rows.push(change);
        }
    }
    rows.sort_by_key(|row| !row.differs());
    Preview { rows, is_complete }
}

impl Asker {
    fn request(&self, moment: Moment) -> Request {
        // Some practitioner: whom no consent names.
        let anybody = || "Practitioner/".to_owned();
        Request {
            member: self.member.clone(),
            practitioner: Some(self.practitioner.clone().unwrap_or_else(anybody)),
            role: self.role.clone(),
            purpose: self.purpose.clone(),
            now: moment.now,
            consents_known: moment.consents_known,
            ..Request::default()
        }
    }
}

impl Tally {
    fn add(&mut self, decision: &Decision, documents: usize) {
        let count = if decision.permitted {
            &mut self.permitted
        } else {
            &mut self.withheld
        };
        *count = count.saturating_add(documents);
        self.rules.extend(decision.determining.iter().cloned());
    }
}

impl Change {
    fn of(asker: &Asker, kind: &Kind) -> Self {
        Self {
            asker: asker.clone(),
            kind: kind.clone(),
            before: Tally::default(),
            after: Tally::default(),
            gained: Vec::new(),
            lost: Vec::new(),
        }
    }

    fn add(&mut self, (now, then): (&Decision, &Decision), documents: &[Document]) {
        self.before.add(now, documents.len());
        self.after.add(then, documents.len());
        let examples = match (now.permitted, then.permitted) {
            (false, true) => &mut self.gained,
            (true, false) => &mut self.lost,
            _ => return,
        };
        let ids = documents.iter().filter_map(|one| one.id.clone());
        let room = EXAMPLES_MAX.saturating_sub(examples.len());
        examples.extend(ids.take(room));
    }

    /// Whether anything of it would be decided otherwise.
    pub fn differs(&self) -> bool {
        self.before.permitted != self.after.permitted
            || !self.gained.is_empty()
            || !self.lost.is_empty()
    }
}

impl Records {
    /// Groups documents; `closely` keeps those apart that differ in nothing but when and which they are.
    pub fn of(documents: Vec<Document>, closely: bool) -> Self {
        let mut kinds: BTreeMap<Kind, BTreeMap<_, Vec<Document>>> = BTreeMap::new();
        for document in documents {
            let kind = Kind {
                resource_type: document.resource_type.clone(),
                labels: document.labels.clone(),
            };
            let which = closely.then(|| {
                let Document {
                    id,
                    related,
                    period,
                    date,
                    ..
                } = &document;
                (id.clone(), related.clone(), *period, *date)
            });
            let key = (document.codes.clone(), document.authors.clone(), which);
            let alike = kinds.entry(kind).or_default();
            alike.entry(key).or_default().push(document);
        }
        let kinds = kinds.into_iter();
        Self(
            kinds
                .map(|(kind, alike)| (kind, alike.into_values().collect()))
                .collect(),
        )
    }
}

/// Whether policies may tell documents apart by when or which they are.
pub fn looks_closely(consents: &[&Consent], evaluators: &[&Evaluator]) -> bool {
    let roots = consents.iter().filter_map(|one| one.provision.as_ref());
    evaluators.iter().any(|one| one.voted().is_some()) || roots.into_iter().any(names_some)
}

fn names_some(rule: &Provision) -> bool {
    !rule.data.is_empty() || rule.data_period.is_some() || rule.nested.iter().any(names_some)
}

#[cfg(test)]
mod tests;
