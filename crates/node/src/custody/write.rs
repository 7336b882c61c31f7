//! Writing: what can be prepared beside the writer is, then one transaction appends all versions or none.

mod binary;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use interop::fhir::care_services::is_of_network;
use interop::fhir::compartment::{Belonging, PatientReference, belonging};
use interop::fhir::disclosure::DisclosureFacts;
use interop::fhir::{Issue, IssueType, ParseLimits, Resource, ResourceType};
use ledger::ids::Digest;

use super::append::{Content, Draft, Precondition};
use super::consent;
use super::duties::DutyRow;
use super::filing::Sources;
use super::keys::EraseKey;
use super::labelling::{Labelled, Together};
use super::request::{Change, Requester, SignedConsent, Written};
use super::rows::{Head, Payload, SignedRow};
use super::store::Table;
use super::subject::{Subject, is_taken};
use super::{Custody, CustodyError, relabel};

pub use binary::{BinaryDraft, BinaryUpload};

const CONSENT: &str = "Consent";

/// A change whose document is named.
pub(super) struct Named {
    pub(super) resource_type: ResourceType,
    pub(super) id: String,
    pub(super) precondition: Precondition,
    pub(super) resource: Option<Resource>,
    pub(super) signed: Option<SignedConsent>,
    /// Whether an operation makes it that alone may: on a duty, or of the node itself.
    pub(super) by_node: bool,
}

/// Whose the changed documents are, and which patients are new.
#[derive(Default)]
pub(super) struct Ownership {
    pub(super) arriving: BTreeMap<String, Arc<Subject>>,
    owners: BTreeMap<(ResourceType, String), Arc<Subject>>,
}

impl Custody {
    pub(super) async fn write_all(
        &self,
        by: &Requester,
        changes: Vec<Change>,
    ) -> Result<Vec<Written>, CustodyError> {
        let changes = changes
            .into_iter()
            .map(named)
            .collect::<Result<Vec<_>, _>>()?;
        self.refuse_circles(&changes).await?;
        if self.0.payloads.upstream().is_some() {
            return self.write_through(by, changes).await;
        }
        self.write_named(by, changes).await
    }

    /// Writes all changes here, or none.
    pub(super) async fn write_named(
        &self,
        by: &Requester,
        changes: Vec<Named>,
    ) -> Result<Vec<Written>, CustodyError> {
        let (changes, absent) = self.without_absent(changes)?;
        let ownership = self.ownership(&changes)?;
        let mut consenting = Vec::new();
        let mut drafts = Vec::with_capacity(changes.len());
        let together = self.together(&changes);
        let sources = Sources::of(&changes);
        let mut noted = BTreeSet::new();
        for mut change in changes {
            let subject = ownership.of(&change)?;
            self.authorize(by, (&change, &sources), &subject)?;
            self.check_filing(&mut change).await?;
            if change.resource_type.as_str() == CONSENT {
                consenting.push(subject.id);
            }
            let of = subject.id;
            let place = (change.precondition, change.resource_type, change.id.clone());
            // Whoever arrives has no other documents yet.
            let arrives = ownership.arrives(&subject);
            if !arrives {
                let place = (&change, &sources);
                self.must_be_consented(by, place, &subject, &together)
                    .await?;
            }
            let draft = self.draft(by, change, subject, &together).await?;
            if !arrives && self.hands_on_others(place, draft.content.as_ref())? {
                noted.insert(of);
            }
            drafts.push(draft);
        }
        let now = (self.0.options.clock)();
        let home = self.0.home.clone();
        let has_noted = !noted.is_empty();
        let written = self
            .0
            .store
            .transact(move |transaction| {
                for (patient_id, subject) in &ownership.arriving {
                    if is_taken(&home.keys, transaction, patient_id)? {
                        return Err(invalid(
                            IssueType::Conflict,
                            "the patient arrived meanwhile",
                        ));
                    }
                    subject.put(&home.keys, transaction);
                }
                for subject in &noted {
                    relabel::note(transaction, subject);
                }
                let append = |draft| home.append(transaction, draft, now);
                drafts.into_iter().map(append).collect()
            })
            .await?;
        for subject in &consenting {
            self.0.rulings.forget(subject);
        }
        if has_noted {
            self.0.relabelling.wake();
        }
        Ok(in_place(written, absent))
    }

    /// Takes out deletions of what was never here: they change nothing. Each comes with its place among the changes.
    pub(super) fn without_absent(
        &self,
        changes: Vec<Named>,
    ) -> Result<(Vec<Named>, Absent), CustodyError> {
        let mut kept = Vec::with_capacity(changes.len());
        let mut absent = Vec::new();
        for (index, change) in changes.into_iter().enumerate() {
            let is_absent =
                change.resource.is_none() && self.head(change.resource_type, &change.id)?.is_none();
            if is_absent && change.precondition != Precondition::Current(None) {
                return Err(CustodyError::PreconditionFailed);
            }
            if is_absent {
                let written = Written {
                    resource_type: change.resource_type,
                    id: change.id,
                    version: 0,
                    last_updated_ms: 0,
                    created: false,
                    stored: None,
                };
                absent.push((index, written));
            } else {
                kept.push(change);
            }
        }
        Ok((kept, absent))
    }

    /// Who may write at all: the member's users, and a patient consents about themselves with their sources.
    pub(super) fn authorize(
        &self,
        by: &Requester,
        (change, sources): (&Named, &Sources),
        subject: &Subject,
    ) -> Result<(), CustodyError> {
        let denied = |reason: &str| CustodyError::Denied {
            reason: reason.to_owned(),
            determining: Vec::new(),
        };
        if by.member != self.0.home.member {
            return Err(denied("records are written at their home member"));
        }
        if self.is_of_emergency(change.resource_type, &change.id)? {
            return Err(denied("what an emergency leaves is closed by its review"));
        }
        if !change.by_node && self.is_duty(change.resource_type, &change.id)? {
            return Err(denied(
                "a request with a deadline is answered by its operations",
            ));
        }
        if !change.by_node && is_of_network(change.resource_type, &change.id) {
            return Err(invalid(
                IssueType::NotSupported,
                "it is the network's: derived from the ledger, or published by another member, where it is changed",
            ));
        }
        if change.resource_type == ResourceType::SUBSCRIPTION && change.resource.is_some() {
            // As a record it would tell nobody anything.
            return Err(invalid(
                IssueType::NotSupported,
                "a subscription is made by itself, not in a Bundle",
            ));
        }
        if change.resource_type == ResourceType::AUDIT_EVENT {
            return Err(invalid(
                IssueType::NotSupported,
                "audit events are fed by themselves, and are not changed",
            ));
        }
        let is_consent = change.resource_type.as_str() == CONSENT;
        if by.emergency.is_some() || by.related.is_some() {
            return Err(denied(
                "an emergency and a delegation open records, and change none",
            ));
        }
        let is_of_consent = is_consent || sources.include(change);
        if by.patient.is_some() && !(is_of_consent && by.patient == subject.patient_id) {
            return Err(denied("a patient writes consents about themselves"));
        }
        if !is_consent {
            return Ok(());
        }
        match (&subject.wallet_key, &change.signed) {
            (Some(key), Some(signed)) => consent::check_signature(key, &signed.body, &signed.jws),
            (Some(_), None) => Err(CustodyError::ConsentNotSigned),
            (None, _) => Ok(()),
        }
    }

    pub(super) async fn draft(
        &self,
        by: &Requester,
        change: Named,
        subject: Arc<Subject>,
        together: &Together,
    ) -> Result<Draft, CustodyError> {
        let erase = EraseKey::new();
        let content = match &change.resource {
            Some(resource) => {
                let signed = change.signed.map(|signed| SignedRow {
                    body: signed.body,
                    jws: signed.jws,
                });
                let labelled = self.label(resource, &subject, together)?;
                let sealing = self.content((resource, labelled), &change.id, &erase, signed);
                Some(sealing.await?)
            }
            None => None,
        };
        Ok(Draft {
            subject,
            document: self
                .0
                .home
                .keys
                .document(change.resource_type.as_str(), &change.id),
            resource_type: change.resource_type,
            id: change.id,
            precondition: change.precondition,
            author: by.principal(),
            audit: self.change_by(by),
            content,
            erases: false,
            erase,
        })
    }

    pub(super) async fn content(
        &self,
        (resource, labelled): (&Resource, Labelled),
        id: &str,
        erase: &EraseKey,
        signed: Option<SignedRow>,
    ) -> Result<Content, CustodyError> {
        let bytes = resource.stored(id).map_err(|error| unsound(&error))?;
        let payload = self.0.payloads.seal(erase, &bytes).await?;
        self.described((resource, labelled), (Digest::of(&bytes), payload), signed)
    }

    /// A content with what decisions and searches need of it.
    pub(super) fn described(
        &self,
        (resource, labelled): (&Resource, Labelled),
        (digest, payload): (Digest, Payload),
        signed: Option<SignedRow>,
    ) -> Result<Content, CustodyError> {
        let branch = self.place(resource, &labelled)?;
        let terms = self.terms_of(resource);
        let keys = &self.0.home.keys;
        Ok(Content {
            digest,
            payload,
            postings: keys.postings(resource.resource_type().as_str(), &terms),
            terms,
            disclosure: DisclosureFacts {
                labels: labelled.codes(),
                ..DisclosureFacts::of(resource)
            },
            labels: labelled.coded(),
            labelling: labelled.row,
            branch,
            signed,
            duty: DutyRow::of(resource),
        })
    }

    pub(super) fn ownership(&self, changes: &[Named]) -> Result<Ownership, CustodyError> {
        let mut ownership = Ownership::default();
        for change in changes {
            if change.resource_type == ResourceType::PATIENT && change.resource.is_some() {
                let subject = self.patient_or_new(&change.id, &mut ownership)?;
                ownership.owners.insert(change.place(), subject);
            }
        }
        let mut through = Vec::new();
        for change in changes {
            if ownership.owners.contains_key(&change.place()) {
                continue;
            }
            let Some(resource) = &change.resource else {
                let head = self.head(change.resource_type, &change.id)?;
                let subject = self
                    .0
                    .subjects
                    .load(&head.ok_or(CustodyError::NotFound)?.subject)?;
                ownership.owners.insert(change.place(), subject);
                continue;
            };
            let subject = match belonging(resource) {
                Belonging::Patient(patient) => self.patient_named(&patient, &ownership)?,
                Belonging::Through(target) => {
                    through.push((change.place(), target));
                    continue;
                }
                Belonging::Nobody | Belonging::Shared => self.0.subjects.directory(),
            };
            ownership.owners.insert(change.place(), subject);
        }
        for (place, target) in through {
            let subject = self.owner_of_target(&target, &ownership)?;
            ownership.owners.insert(place, subject);
        }
        Ok(ownership)
    }

    fn patient_or_new(
        &self,
        patient_id: &str,
        ownership: &mut Ownership,
    ) -> Result<Arc<Subject>, CustodyError> {
        if let Some(known) = self.0.subjects.of_patient(patient_id)? {
            return Ok(known);
        }
        let home = &self.0.home;
        let escrowed = Subject::escrowed(&home.member, home.network, patient_id.to_owned());
        let subject = Arc::new(escrowed);
        ownership
            .arriving
            .insert(patient_id.to_owned(), Arc::clone(&subject));
        Ok(subject)
    }

    fn patient_named(
        &self,
        patient: &PatientReference,
        ownership: &Ownership,
    ) -> Result<Arc<Subject>, CustodyError> {
        let PatientReference::Id(id) = patient else {
            return Err(CustodyError::UnknownPatient);
        };
        if let Some(subject) = ownership.arriving.get(id) {
            return Ok(Arc::clone(subject));
        }
        let known = self.0.subjects.of_patient(id)?;
        known.ok_or(CustodyError::UnknownPatient)
    }

    /// Whose the document is that a Provenance or an AuditEvent is about; the directory's if nobody's here.
    fn owner_of_target(
        &self,
        target: &str,
        ownership: &Ownership,
    ) -> Result<Arc<Subject>, CustodyError> {
        let named = target.split_once('/').and_then(|(name, id)| {
            let resource_type = ResourceType::parse(name)?;
            Some((resource_type, id.to_owned()))
        });
        let Some(place) = named else {
            return Ok(self.0.subjects.directory());
        };
        if let Some(subject) = ownership.owners.get(&place) {
            return Ok(Arc::clone(subject));
        }
        match self.head(place.0, &place.1)? {
            Some(head) => self.0.subjects.load(&head.subject),
            None => Ok(self.0.subjects.directory()),
        }
    }

    /// The head of a document, from the store.
    pub(super) fn head(
        &self,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<Option<Head>, CustodyError> {
        let keys = &self.0.home.keys;
        let document = keys.document(resource_type.as_str(), id);
        keys.get(&self.0.store, Table::Heads, &document)
    }
}

impl Ownership {
    pub(super) fn arrives(&self, subject: &Subject) -> bool {
        self.arriving.values().any(|one| one.id == subject.id)
    }

    pub(super) fn of(&self, change: &Named) -> Result<Arc<Subject>, CustodyError> {
        let owner = self.owners.get(&change.place()).cloned();
        owner.ok_or(CustodyError::UnknownPatient)
    }
}

impl Named {
    fn place(&self) -> (ResourceType, String) {
        (self.resource_type, self.id.clone())
    }
}

/// What was to be deleted and was never here, by its place.
pub(super) type Absent = Vec<(usize, Written)>;

pub(super) fn in_place(mut written: Vec<Written>, absent: Absent) -> Vec<Written> {
    for (index, one) in absent {
        written.insert(index.min(written.len()), one);
    }
    written
}

fn named(change: Change) -> Result<Named, CustodyError> {
    match change {
        Change::Create { resource, id } => Ok(Named {
            resource_type: resource.resource_type(),
            id: id.unwrap_or_else(fresh_id),
            precondition: Precondition::New,
            resource: Some(resource),
            signed: None,
            by_node: false,
        }),
        Change::Answer { resource, if_match } => {
            let placed = placed(resource, Precondition::Current(Some(if_match)))?;
            Ok(Named {
                by_node: true,
                ..placed
            })
        }
        Change::Update { resource, if_match } => placed(resource, Precondition::Current(if_match)),
        Change::CreateAs { resource } => placed(resource, Precondition::Absent),
        Change::Delete {
            resource_type,
            id,
            if_match,
        } => Ok(Named {
            resource_type,
            id,
            precondition: Precondition::Current(if_match),
            resource: None,
            signed: None,
            by_node: false,
        }),
        Change::File(signed) => filed(signed),
    }
}

fn placed(resource: Resource, precondition: Precondition) -> Result<Named, CustodyError> {
    let id = resource.id().map(str::to_owned);
    Ok(Named {
        resource_type: resource.resource_type(),
        id: id.ok_or_else(|| invalid(IssueType::Required, "the resource has no id"))?,
        precondition,
        resource: Some(resource),
        signed: None,
        by_node: false,
    })
}

fn filed(signed: SignedConsent) -> Result<Named, CustodyError> {
    let resource =
        Resource::parse(&signed.body, &ParseLimits::default()).map_err(|error| unsound(&error))?;
    if resource.resource_type().as_str() != CONSENT {
        return Err(invalid(IssueType::Invalid, "the resource is not a Consent"));
    }
    let (id, precondition) = match &signed.id {
        Some(id) => (id.clone(), Precondition::Current(signed.if_match)),
        None => (fresh_id(), Precondition::New),
    };
    Ok(Named {
        resource_type: resource.resource_type(),
        id,
        precondition,
        resource: Some(resource),
        signed: Some(signed),
        by_node: false,
    })
}

pub(super) fn fresh_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

pub(super) fn invalid(code: IssueType, diagnostics: &str) -> CustodyError {
    CustodyError::Invalid(Issue::error(code, diagnostics))
}

fn unsound(error: &interop::fhir::ResourceError) -> CustodyError {
    let first = error.issues().into_iter().next();
    CustodyError::Invalid(
        first.unwrap_or_else(|| Issue::error(IssueType::Invalid, "the resource is not sound")),
    )
}
