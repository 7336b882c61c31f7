//! Decisions: who may open what, by the built-in policies, those that members have voted, and the consents known here.

mod current;
mod preview;
mod writing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use contracts::access::{
    Decision as Outcome, DecisionRecord, Document, Evaluator, Request, Voted, check_consent,
};
use contracts::blocking::coded;
use contracts::consent::Consent;
use contracts::consent::scope::Scopes;
use contracts::descriptor::{Decided, Descriptor};
use contracts::membership::Registry;
use interop::fhir::disclosure::DisclosureFacts;
use interop::fhir::labels::narrowest;
use interop::fhir::{ParseLimits, Resource, ResourceType};
use ledger::ids::{Height, MemberName};
use serde_json::Value;

use self::current::Current;
use super::delegate::Granted;
use super::filing::refused;
use super::labelling::bears_notice;
use super::request::Requester;
use super::rows::{AdoptedRow, SubjectId, adopted_key};
use super::store::Table;
use super::subject::Subject;
use super::{Custody, CustodyError};

/// Subjects whose prepared policies are kept at most.
const KEPT_MAX: usize = 4_096;
/// Subjects who are remembered to have no consents, at most.
const WITHOUT_MAX: usize = 262_144;

/// The outcome for one document.
#[derive(Clone)]
pub(super) struct Ruling {
    pub(super) permitted: bool,
    pub(super) reason: String,
    pub(super) determining: Vec<String>,
    /// What the consents cover on which a record of substance use disorder is disclosed (42 CFR 2.32).
    pub(super) scope: Option<Arc<str>>,
}

impl From<Outcome> for Ruling {
    /// What is denied names its exception wherever its reason goes: to the record, to who asks, to other members.
    fn from(outcome: Outcome) -> Self {
        let reason = match outcome.permitted {
            true => outcome.reason.to_owned(),
            false => coded(outcome.reason, &outcome.determining),
        };
        Self {
            permitted: outcome.permitted,
            reason,
            determining: outcome.determining,
            scope: None,
        }
    }
}

/// The outcome for the documents of one request and one subject.
pub(super) struct Decision {
    pub(super) rulings: Vec<Ruling>,
    record: Vec<u8>,
}

impl Decision {
    /// What goes on record, given what is opened.
    pub(super) fn decided(&self, permitted: Vec<String>) -> Decided {
        let withheld = self.rulings.iter().filter(|ruling| !ruling.permitted);
        let count = withheld.clone().count();
        Decided {
            permitted,
            withheld: u32::try_from(count).unwrap_or(u32::MAX),
            reason: withheld.map(|ruling| ruling.reason.clone()).next(),
            record: Some(self.record.clone()),
            documents: None,
        }
    }
}

/// What decides on one subject's records.
struct Rules {
    evaluator: Evaluator,
    /// Whether every consent that is stored here could be read.
    complete: bool,
    /// Who may act in the patient's place.
    granted: Granted,
    scopes: Scopes,
}

/// Policies that were prepared for subjects, until a consent or a vote changes them.
#[derive(Default)]
pub(crate) struct Rulings(Mutex<Prepared>);

#[derive(Default)]
struct Prepared {
    rules: BTreeMap<SubjectId, Arc<Rules>>,
    /// Subjects without consents, and what decides on their records.
    without: BTreeSet<SubjectId>,
    plain: Option<Arc<Rules>>,
    /// Counts the changes, so that what was read before one is not kept after it.
    changes: u64,
    /// The last change of a subject, and of all.
    changed: BTreeMap<SubjectId, u64>,
    changed_all: u64,
    /// What members have voted, as of the revision that was looked at last.
    revision: u64,
    text: Option<String>,
    voted: Option<Arc<Voted>>,
}

/// What is at hand for a decision.
struct Found {
    rules: Option<Arc<Rules>>,
    /// For subjects without consents.
    plain: Option<Arc<Rules>>,
    voted: Option<Arc<Voted>>,
    read_at: u64,
}

impl Prepared {
    fn clear(&mut self) {
        self.rules.clear();
        self.without.clear();
        self.plain = None;
        self.changed.clear();
        self.changes = self.changes.wrapping_add(1);
        self.changed_all = self.changes;
    }

    /// Lets go of the subject that follows this one: ids are random, so it is any.
    fn make_room(&mut self, subject: &SubjectId) {
        let follows = self.rules.range(*subject..).next();
        let any = follows.or_else(|| self.rules.first_key_value());
        if let Some(id) = any.map(|(id, _)| *id) {
            self.rules.remove(&id);
        }
    }

    fn forget(&mut self, subject: &SubjectId) {
        self.rules.remove(subject);
        self.without.remove(subject);
        self.changes = self.changes.wrapping_add(1);
        if self.changed.len() >= KEPT_MAX {
            self.changed.clear();
            self.changed_all = self.changes;
        }
        self.changed.insert(*subject, self.changes);
    }

    /// Whether the subject's consents are as they were when this many changes were counted.
    fn is_current(&self, subject: &SubjectId, read_at: u64) -> bool {
        let changed = self.changed.get(subject).copied().unwrap_or_default();
        changed.max(self.changed_all) <= read_at
    }

    /// Decisions rest on the policies of `registry` from here on.
    fn follow(&mut self, registry: &Registry) {
        if self.revision == registry.revision() {
            return;
        }
        self.revision = registry.revision();
        if self.text.as_deref() != registry.policies() {
            self.text = registry.policies().map(str::to_owned);
            self.voted = self.text.as_deref().map(|text| Arc::new(Voted::of(text)));
            self.clear();
        }
    }
}

impl Rulings {
    /// Some consent of the subject changed.
    pub(crate) fn forget(&self, subject: &SubjectId) {
        self.prepared().forget(subject);
    }

    fn find(&self, subject: &SubjectId, registry: &Registry) -> Found {
        let mut prepared = self.prepared();
        prepared.follow(registry);
        let plain = prepared.plain.clone();
        let is_plain = prepared.without.contains(subject);
        let rules = plain.clone().filter(|_| is_plain);
        Found {
            rules: rules.or_else(|| prepared.rules.get(subject).cloned()),
            plain,
            voted: prepared.voted.clone(),
            read_at: prepared.changes,
        }
    }

    /// The policies that members have voted, as of this registry.
    fn voted(&self, registry: &Registry) -> Option<Arc<Voted>> {
        let mut prepared = self.prepared();
        prepared.follow(registry);
        prepared.voted.clone()
    }

    fn keep(&self, subject: SubjectId, rules: &Arc<Rules>, read_at: u64) {
        let mut prepared = self.prepared();
        if !prepared.is_current(&subject, read_at) {
            return;
        }
        if prepared.rules.len() >= KEPT_MAX {
            prepared.make_room(&subject);
        }
        prepared.rules.insert(subject, Arc::clone(rules));
    }

    fn keep_without(&self, subject: SubjectId, plain: &Arc<Rules>, read_at: u64) {
        let mut prepared = self.prepared();
        if !prepared.is_current(&subject, read_at) {
            return;
        }
        if prepared.without.len() >= WITHOUT_MAX {
            prepared.without.clear();
        }
        prepared.without.insert(subject);
        prepared.plain = Some(Arc::clone(plain));
    }

    fn prepared(&self) -> std::sync::MutexGuard<'_, Prepared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Custody {
    /// Whether a consent can be enforced.
    pub(super) fn check_consent(&self, consent: &Resource) -> Result<(), CustodyError> {
        let value = Value::Object(consent.object().clone());
        let read = Consent::read("filed", 1, &value);
        let consent = read.map_err(|why| refused(&why))?;
        check_consent(&consent).map_err(|_| CustodyError::RefusedConsent {
            element: "Consent.provision".to_owned(),
            reason: "it does not compile to valid policies".to_owned(),
        })?;
        Ok(())
    }

    /// Decides documents of one subject for one request.
    pub(super) async fn decide(
        &self,
        by: &Requester,
        subject: &Subject,
        documents: &[&DisclosureFacts],
    ) -> Result<Decision, CustodyError> {
        self.decide_at(&self.0.home.member, by, subject, documents)
            .await
    }

    /// Decides documents that `home` holds, as its custodian would.
    pub(super) async fn decide_at(
        &self,
        home: &MemberName,
        by: &Requester,
        subject: &Subject,
        documents: &[&DisclosureFacts],
    ) -> Result<Decision, CustodyError> {
        self.must_serve()?;
        let (tip, registry) = self.0.anchor.governed();
        // Looked up before the consents are read: one that arrives in between is known in vain, never missed.
        let has_all = self.knows_all_consents(subject)?;
        let rules = self.rules(subject, &registry).await?;
        let evaluator = &rules.evaluator;
        let request = self.request(by, subject, (rules.as_ref(), has_all))?;
        let home = home.as_str();
        let patient = subject.patient_id.as_deref();
        let asked = evaluator.asked(&request);
        let decide = |facts: &&DisclosureFacts| asked.decide(&document(home, patient, facts));
        let outcomes: Vec<Outcome> = match documents {
            [first, ..] if evaluator.is_uniform(&request) => vec![decide(first); documents.len()],
            documents => documents.iter().map(decide).collect(),
        };
        let record = DecisionRecord::of(evaluator, tip.height, &request, &outcomes).encode();
        let scope = |outcome: &Outcome, facts: &DisclosureFacts| {
            let is_told = outcome.permitted && bears_notice(&facts.labels);
            is_told.then(|| rules.scopes.among(&outcome.determining))?
        };
        let rulings = outcomes.into_iter().zip(documents);
        let rulings = rulings.map(|(outcome, facts)| Ruling {
            scope: scope(&outcome, facts),
            ..Ruling::from(outcome)
        });
        Ok(Decision {
            rulings: rulings.collect(),
            record,
        })
    }

    /// What somebody asks of a subject's records, as the policies look at it.
    fn request(
        &self,
        by: &Requester,
        subject: &Subject,
        (rules, has_all): (&Rules, bool),
    ) -> Result<Request, CustodyError> {
        let declared = self.declared(by, subject)?;
        let now = match &declared {
            Some(_) => self.latest_time(),
            None => i64::try_from((self.0.options.clock)()).unwrap_or(i64::MAX),
        };
        Ok(Request {
            member: by.member.as_str().to_owned(),
            practitioner: by.practitioner.clone(),
            role: by.role.clone(),
            patient: by.patient.clone(),
            purpose: by.purpose.clone(),
            now,
            consents_known: rules.complete && has_all,
            related: by.related.clone(),
            on_behalf_of: self.on_behalf_of(by, subject, &rules.granted),
            emergency: declared.map(|declared| declared.emergency),
            ..Request::default()
        })
    }

    async fn rules(
        &self,
        subject: &Subject,
        registry: &Registry,
    ) -> Result<Arc<Rules>, CustodyError> {
        let found = self.0.rulings.find(&subject.id, registry);
        if let Some(rules) = found.rules {
            return Ok(rules);
        }
        let mut current = Current::default();
        self.filed_here(subject, &mut current).await?;
        for (from, _) in subject.foreign_consents(&self.0.home.member) {
            self.filed_at(subject, from, &mut current)?;
        }
        if current.is_empty() {
            let plain = match found.plain {
                Some(plain) => plain,
                None => Arc::new(current.rules(found.voted.as_deref(), self.0.options.implicit)?),
            };
            let rulings = &self.0.rulings;
            rulings.keep_without(subject.id, &plain, found.read_at);
            return Ok(plain);
        }
        let rules = Arc::new(current.rules(found.voted.as_deref(), self.0.options.implicit)?);
        self.0.rulings.keep(subject.id, &rules, found.read_at);
        Ok(rules)
    }

    async fn filed_here(
        &self,
        subject: &Subject,
        current: &mut Current,
    ) -> Result<(), CustodyError> {
        for (document, row) in self.current_of(ResourceType::CONSENT, &subject.id).await? {
            let Some(loaded) = self.load(&document, row.version)? else {
                continue;
            };
            if let Some(resource) = self.open_content(&loaded).await? {
                current.put(&self.0.home.member, &row.id, row.version, Some(resource));
            }
        }
        Ok(())
    }

    /// The later of two entries of the same consent replaces the earlier one; a deletion removes it.
    fn filed_at(
        &self,
        subject: &Subject,
        from: &MemberName,
        current: &mut Current,
    ) -> Result<(), CustodyError> {
        let keys = &self.0.home.keys;
        let prefix = adopted_key(&subject.id, from, None);
        for row in self.0.store.scan(Table::Adopted, &prefix) {
            let (key, sealed) = row?;
            let row: AdoptedRow = keys.open_row(Table::Adopted, &key, &sealed)?;
            match Descriptor::decode(&row.descriptor) {
                Ok(Descriptor::Record(record)) if record.deleted => {
                    current.remove(from, &record.id)
                }
                Ok(Descriptor::Record(record)) => {
                    let resource = Resource::parse(&row.content, &ParseLimits::stored());
                    current.put(from, &record.id, record.version, resource.ok());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The last applied height, for answers that name it.
    pub(super) fn height(&self) -> Height {
        self.0.anchor.tip().height
    }
}

pub(super) fn document(home: &str, patient: Option<&str>, facts: &DisclosureFacts) -> Document {
    let codes = facts.codes.union(&facts.categories).cloned();
    Document {
        home: home.to_owned(),
        patient: patient.map(str::to_owned),
        resource_type: facts.resource_type.clone(),
        codes: codes.collect(),
        labels: narrowest(&facts.labels),
        period: facts.period.map(|span| (span.start_ms, span.end_ms)),
        // Where it is not known what a document refers to, no id says that it were.
        id: facts.id.clone().filter(|_| facts.references.is_some()),
        authors: match &facts.authors {
            Some(authors) => authors.clone(),
            None => facts.author.iter().cloned().collect(),
        },
        related: facts.references.iter().flatten().cloned().collect(),
        date: None,
    }
}
