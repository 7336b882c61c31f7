//! Decisions: who may open what, by the network's policies and the consents known here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use contracts::access::{Decision as Outcome, DecisionRecord, Document, Evaluator, Request};
use contracts::consent::Consent;
use contracts::descriptor::{Decided, Descriptor};
use interop::fhir::disclosure::DisclosureFacts;
use interop::fhir::{ParseLimits, Resource, ResourceType};
use ledger::ids::{Height, MemberName};
use serde_json::Value;

use super::request::Requester;
use super::rows::{AdoptedRow, SubjectId, adopted_key};
use super::store::Table;
use super::subject::Subject;
use super::{Custody, CustodyError};

/// Subjects whose prepared policies are kept at most.
const KEPT_MAX: usize = 1_024;

/// The outcome for one document.
#[derive(Clone)]
pub(super) struct Ruling {
    pub(super) permitted: bool,
    pub(super) reason: String,
    pub(super) determining: Vec<String>,
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
        }
    }
}

/// What decides on one subject's records.
struct Rules {
    evaluator: Evaluator,
    /// Whether every consent that is stored here could be read.
    complete: bool,
}

/// Policies that were prepared for subjects, until a consent changes.
#[derive(Default)]
pub(crate) struct Rulings(Mutex<Prepared>);

#[derive(Default)]
struct Prepared {
    rules: BTreeMap<SubjectId, Arc<Rules>>,
    /// Counts the changes, so that what was read before one is not kept after it.
    changes: u64,
}

impl Rulings {
    /// Some consent changed.
    pub(crate) fn forget(&self) {
        let mut prepared = self.prepared();
        prepared.rules.clear();
        prepared.changes = prepared.changes.wrapping_add(1);
    }

    fn find(&self, subject: &SubjectId) -> (Option<Arc<Rules>>, u64) {
        let prepared = self.prepared();
        let found = prepared.rules.get(subject).cloned();
        (found, prepared.changes)
    }

    fn keep(&self, subject: SubjectId, rules: &Arc<Rules>, read_at: u64) {
        let mut prepared = self.prepared();
        if prepared.changes != read_at {
            return;
        }
        if prepared.rules.len() >= KEPT_MAX {
            prepared.rules.clear();
        }
        prepared.rules.insert(subject, Arc::clone(rules));
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
        let consent = read.map_err(|rejection| CustodyError::RefusedConsent {
            element: rejection.element().to_owned(),
            reason: rejection.to_string(),
        })?;
        let compiled = Evaluator::new(std::slice::from_ref(&consent));
        compiled.map_err(|_| CustodyError::RefusedConsent {
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
        let height = self.0.anchor.tip().height;
        // Looked up before the consents are read: one that arrives in between is known in vain, never missed.
        let has_all = self.missing(subject)?.is_empty();
        let rules = self.rules(subject).await?;
        let evaluator = &rules.evaluator;
        let request = Request {
            member: by.member.as_str().to_owned(),
            practitioner: by.practitioner.clone(),
            role: by.role.clone(),
            patient: by.patient.clone(),
            purpose: by.purpose.clone(),
            now: i64::try_from((self.0.options.clock)()).unwrap_or(i64::MAX),
            consents_known: rules.complete && has_all,
        };
        let home = self.0.home.member.as_str();
        let patient = subject.patient_id.as_deref();
        let decide =
            |facts: &&DisclosureFacts| evaluator.decide(&request, &document(home, patient, facts));
        let outcomes: Vec<Outcome> = documents.iter().map(decide).collect();
        let record = DecisionRecord::of(evaluator, height, &request, &outcomes).encode();
        let rulings = outcomes.into_iter().map(|outcome| Ruling {
            permitted: outcome.permitted,
            reason: outcome.reason.to_owned(),
            determining: outcome.determining,
        });
        Ok(Decision {
            rulings: rulings.collect(),
            record,
        })
    }

    async fn rules(&self, subject: &Subject) -> Result<Arc<Rules>, CustodyError> {
        let (found, read_at) = self.0.rulings.find(&subject.id);
        if let Some(found) = found {
            return Ok(found);
        }
        let mut current = Current::default();
        self.filed_here(subject, &mut current).await?;
        for (from, _) in subject.foreign_consents(&self.0.home.member) {
            self.filed_at(subject, from, &mut current)?;
        }
        let rules = Arc::new(current.rules()?);
        self.0.rulings.keep(subject.id, &rules, read_at);
        Ok(rules)
    }

    async fn filed_here(
        &self,
        subject: &Subject,
        current: &mut Current,
    ) -> Result<(), CustodyError> {
        for (document, row) in self.current_of(ResourceType::CONSENT, &subject.id)? {
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
                    let resource = Resource::parse(&row.content, &ParseLimits::default());
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

fn document(home: &str, patient: Option<&str>, facts: &DisclosureFacts) -> Document {
    let codes = facts.codes.union(&facts.categories).cloned();
    Document {
        home: home.to_owned(),
        patient: patient.map(str::to_owned),
        resource_type: facts.resource_type.clone(),
        codes: codes.collect(),
        labels: facts.labels.clone(),
        period: facts.period.map(|span| (span.start_ms, span.end_ms)),
    }
}

/// The current version of every consent that is known here, by name.
#[derive(Default)]
struct Current {
    consents: BTreeMap<String, Option<Consent>>,
}

impl Current {
    /// What cannot be read, such as a form that this release refuses, is kept as a gap.
    fn put(&mut self, member: &MemberName, id: &str, version: u64, resource: Option<Resource>) {
        let name = named(member, id);
        let consent = resource.and_then(|resource| {
            let read = Consent::read(&name, version, &resource.into_value()).ok()?;
            Evaluator::new(std::slice::from_ref(&read)).ok()?;
            Some(read)
        });
        self.consents.insert(name, consent);
    }

    fn remove(&mut self, member: &MemberName, id: &str) {
        self.consents.remove(&named(member, id));
    }

    /// A gap denies disclosure to others, and leaves the member's own care alone.
    fn rules(self) -> Result<Rules, CustodyError> {
        let complete = self.consents.values().all(Option::is_some);
        if !complete {
            tracing::error!(
                "a stored consent cannot be read: the patient's records are not disclosed"
            );
        }
        let readable: Vec<Consent> = self.consents.into_values().flatten().collect();
        let evaluator = Evaluator::new(&readable).map_err(|error| {
            CustodyError::Storage(format!("the policies do not compile: {error}"))
        })?;
        Ok(Rules {
            evaluator,
            complete,
        })
    }
}

fn named(member: &MemberName, id: &str) -> String {
    format!("{}/{id}", member.as_str())
}
