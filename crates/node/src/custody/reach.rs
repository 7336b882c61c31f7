//! How far a request reaches: what is beyond it is, for a search, not there; it is not opened, and not written.

use std::fmt;
use std::sync::Arc;

use interop::fhir::compartment::{Belonging, PatientReference, belonging};
use interop::fhir::search::IndexTerms;
use interop::fhir::{Resource, ResourceType};

use super::request::{Change, HistoryEntry, Opened, Requester};
use super::{Custody, CustodyError};

/// What a request is about to do with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Aim {
    Create,
    Read,
    Update,
    Delete,
    Search,
}

/// A version that a request has come across.
pub struct Reached<'a> {
    /// Its type.
    pub resource_type: ResourceType,
    /// The local id of the patient whose record it is in.
    pub patient_id: Option<&'a str>,
    /// What it is found by.
    pub terms: &'a IndexTerms,
    /// Its logical id.
    pub id: &'a str,
}

type Admits = dyn Fn(Aim, &Reached<'_>) -> bool + Send + Sync;

/// Which documents a request reaches, such as by the scopes of its token: all without a limit. What is beyond is neither
/// shown, counted nor named as withheld.
#[derive(Clone, Default)]
pub struct Reach(Option<Arc<Admits>>);

impl Reach {
    /// A reach of what `admits` says.
    pub fn limited(admits: impl Fn(Aim, &Reached<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(admits)))
    }

    /// Whether the version is within reach.
    pub fn admits(&self, aim: Aim, reached: &Reached<'_>) -> bool {
        self.0.as_ref().is_none_or(|admits| admits(aim, reached))
    }

    fn is_limited(&self) -> bool {
        self.0.is_some()
    }

    /// Whether content of this patient's record is within reach.
    pub fn admits_content(
        &self,
        aim: Aim,
        resource: &Resource,
        (patient_id, id): (Option<&str>, &str),
    ) -> bool {
        !self.is_limited()
            || self.admits(
                aim,
                &Reached {
                    resource_type: resource.resource_type(),
                    patient_id,
                    terms: &IndexTerms::of(resource),
                    id,
                },
            )
    }
}

impl Custody {
    /// What was opened, if it is within reach.
    pub(super) fn within(&self, by: &Requester, opened: Opened) -> Result<Opened, CustodyError> {
        let resource_type = opened.resource.resource_type();
        self.reach_version(by, Aim::Read, (resource_type, &opened.id), &opened.resource)?;
        Ok(opened)
    }

    /// Whether the current version is within reach. This is asked before a decision goes on record: what is beyond reach is
    /// opened to nobody, and the patient's history does not say that it was.
    pub(super) async fn current_within(
        &self,
        by: &Requester,
        (resource_type, id): (ResourceType, &str),
    ) -> Result<(), CustodyError> {
        if !by.reach.is_limited() {
            return Ok(());
        }
        match self.head(resource_type, id)? {
            Some(head) => {
                self.version_within(by, (resource_type, id), head.version)
                    .await
            }
            None => Ok(()),
        }
    }

    /// Whether a version of the document is within reach.
    pub(super) async fn some_version_within(
        &self,
        by: &Requester,
        (resource_type, id): (ResourceType, &str),
    ) -> Result<(), CustodyError> {
        let head = self.head(resource_type, id)?;
        let Some(head) = head.filter(|_| by.reach.is_limited()) else {
            return Ok(());
        };
        let mut within = Ok(());
        for version in (1..=head.version).rev() {
            within = self.version_within(by, (resource_type, id), version).await;
            if within.is_ok() {
                break;
            }
        }
        within
    }

    /// Whether a version is within reach; what is not there is for others to say.
    pub(super) async fn version_within(
        &self,
        by: &Requester,
        (resource_type, id): (ResourceType, &str),
        version: u64,
    ) -> Result<(), CustodyError> {
        if !by.reach.is_limited() {
            return Ok(());
        }
        let document = self.0.home.keys.document(resource_type.as_str(), id);
        let Some(loaded) = self.load(&document, version)? else {
            return Ok(());
        };
        match self.open_content(&loaded).await? {
            Some(resource) => self.reach_version(by, Aim::Read, (resource_type, id), &resource),
            None => Ok(()),
        }
    }

    /// The versions that are within reach; an error if there is none.
    pub(super) fn versions_within(
        &self,
        by: &Requester,
        (resource_type, id): (ResourceType, &str),
        mut versions: Vec<HistoryEntry>,
    ) -> Result<Vec<HistoryEntry>, CustodyError> {
        if !by.reach.is_limited() {
            return Ok(versions);
        }
        versions.retain(|version| {
            version.opened.as_ref().is_none_or(|opened| {
                let place = (resource_type, id);
                let reached = self.reach_version(by, Aim::Read, place, &opened.resource);
                reached.is_ok()
            })
        });
        if versions.iter().any(|version| version.opened.is_some()) {
            Ok(versions)
        } else {
            Err(beyond())
        }
    }

    /// The changes, each bound to the version that was found to be within reach; an error if one is beyond it.
    pub(super) async fn changes_within(
        &self,
        by: &Requester,
        mut changes: Vec<Change>,
    ) -> Result<Vec<Change>, CustodyError> {
        if by.reach.is_limited() {
            for change in &mut changes {
                self.reach_change(by, change).await?;
            }
        }
        Ok(changes)
    }

    async fn reach_change(&self, by: &Requester, change: &mut Change) -> Result<(), CustodyError> {
        match change {
            Change::Create { resource, id } => {
                let id = id.as_deref().unwrap_or_default();
                reach_content(by, Aim::Create, resource, id)
            }
            Change::CreateAs { resource } => {
                let id = resource.id().unwrap_or_default();
                reach_content(by, Aim::Update, resource, id)
            }
            Change::Update { resource, if_match } => {
                let id = resource.id().unwrap_or_default().to_owned();
                reach_content(by, Aim::Update, resource, &id)?;
                let place = (resource.resource_type(), &*id);
                self.reach_current(by, Aim::Update, place, if_match).await
            }
            Change::Answer { resource, if_match } => {
                let id = resource.id().unwrap_or_default().to_owned();
                reach_content(by, Aim::Update, resource, &id)?;
                let place = (resource.resource_type(), &*id);
                let mut if_match = Some(*if_match);
                self.reach_current(by, Aim::Update, place, &mut if_match)
                    .await
            }
            Change::Delete {
                resource_type,
                id,
                if_match,
            } => {
                let place = (*resource_type, id.as_str());
                self.reach_current(by, Aim::Delete, place, if_match).await
            }
            Change::File(signed) => {
                let limits = interop::fhir::ParseLimits::default();
                let resource = Resource::parse(&signed.body, &limits);
                let resource = resource.map_err(|_| beyond())?;
                let Some(id) = &signed.id else {
                    return reach_content(by, Aim::Create, &resource, "");
                };
                reach_content(by, Aim::Update, &resource, id)?;
                let place = (resource.resource_type(), id.as_str());
                self.reach_current(by, Aim::Update, place, &mut signed.if_match)
                    .await
            }
        }
    }

    /// The current version must be within reach, and still be current when it is replaced.
    async fn reach_current(
        &self,
        by: &Requester,
        aim: Aim,
        (resource_type, id): (ResourceType, &str),
        if_match: &mut Option<u64>,
    ) -> Result<(), CustodyError> {
        let Some(head) = self.head(resource_type, id)? else {
            return Ok(());
        };
        let loaded = self.current(&head)?;
        if let Some(resource) = self.open_content(&loaded).await? {
            self.reach_version(by, aim, (resource_type, id), &resource)?;
        }
        if_match.get_or_insert(head.version);
        Ok(())
    }

    pub(super) fn reach_version(
        &self,
        by: &Requester,
        aim: Aim,
        (resource_type, id): (ResourceType, &str),
        resource: &Resource,
    ) -> Result<(), CustodyError> {
        if !by.reach.is_limited() {
            return Ok(());
        }
        let head = self
            .head(resource_type, id)?
            .ok_or(CustodyError::NotFound)?;
        let subject = self.0.subjects.load(&head.subject)?;
        let place = (subject.patient_id.as_deref(), id);
        let is_reached = by.reach.admits_content(aim, resource, place);
        is_reached.then_some(()).ok_or_else(beyond)
    }
}

fn reach_content(
    by: &Requester,
    aim: Aim,
    resource: &Resource,
    id: &str,
) -> Result<(), CustodyError> {
    let patient = match belonging(resource) {
        Belonging::Patient(PatientReference::Id(id)) => Some(id),
        _ => None,
    };
    let is_reached = by
        .reach
        .admits_content(aim, resource, (patient.as_deref(), id));
    is_reached.then_some(()).ok_or_else(beyond)
}

fn beyond() -> CustodyError {
    CustodyError::Denied {
        reason: "the access token's scopes do not reach this document".to_owned(),
        determining: Vec::new(),
    }
}

impl PartialEq for Reach {
    /// Whether they are one limit, or none.
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl Eq for Reach {}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "Reach(all)",
            Some(_) => "Reach(limited)",
        })
    }
}

impl fmt::Debug for Reached<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reached(..)")
    }
}
