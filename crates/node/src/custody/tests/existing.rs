//! An existing server in memory, which fails when it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use futures::future::{BoxFuture, FutureExt as _, ready};
use interop::fhir::ResourceType;
use serde_json::{Value, json};

use super::ledger::JUNE;
use crate::custody::upstream::{
    Content, ExistingServer, Found, Listing, Outgoing, Page, Stored, UpstreamError,
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Works,
    Down,
    /// It writes, and the answer is lost.
    LosesAnswers,
    Refuses(u16),
}

#[derive(Clone)]
struct Version {
    version_id: String,
    at_ms: u64,
    content: Option<Value>,
}

struct State {
    documents: BTreeMap<(ResourceType, String), Vec<Version>>,
    log: Vec<(ResourceType, String, usize)>,
    now: u64,
    mood: Mood,
    has_history: bool,
    page: usize,
}

/// A server whose versions are `1`, `2` … and whose clock ticks with each write.
#[derive(Clone)]
pub(super) struct Existing(Arc<Mutex<State>>);

impl Existing {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            documents: BTreeMap::new(),
            log: Vec::new(),
            now: JUNE,
            mood: Mood::Works,
            has_history: true,
            page: 2,
        })))
    }

    pub(super) fn without_history(self) -> Self {
        self.state().has_history = false;
        self
    }

    pub(super) fn is(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// Somebody writes past the node.
    pub(super) fn put(&self, content: Value) {
        let name = content["resourceType"].as_str().unwrap();
        let place = (
            ResourceType::parse(name).unwrap(),
            content["id"].as_str().unwrap().to_owned(),
        );
        self.state().push(place, Some(content));
    }

    /// Somebody deletes past the node.
    pub(super) fn delete(&self, name: &str, id: &str) {
        let place = (ResourceType::parse(name).unwrap(), id.to_owned());
        self.state().push(place, None);
    }

    /// Somebody changes the newest version without a new one.
    pub(super) fn tamper(&self, name: &str, id: &str, change: impl FnOnce(&mut Value)) {
        let place = (ResourceType::parse(name).unwrap(), id.to_owned());
        let mut state = self.state();
        let versions = state.documents.get_mut(&place).unwrap();
        change(versions.last_mut().unwrap().content.as_mut().unwrap());
    }

    /// The versions of a document.
    pub(super) fn versions(&self, name: &str, id: &str) -> usize {
        let place = (ResourceType::parse(name).unwrap(), id.to_owned());
        self.state().documents.get(&place).map_or(0, Vec::len)
    }

    pub(super) fn newest(&self, name: &str, id: &str) -> Option<Value> {
        let place = (ResourceType::parse(name).unwrap(), id.to_owned());
        let state = self.state();
        state.documents.get(&place)?.last()?.content.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The state, unless it is to be away.
    fn up(&self) -> Result<MutexGuard<'_, State>, UpstreamError> {
        let state = self.state();
        match state.mood {
            Mood::Down => Err(UpstreamError::Unreachable),
            _ => Ok(state),
        }
    }

    fn make(&self, changes: &[Outgoing]) -> Result<Vec<Stored>, UpstreamError> {
        let mut state = self.up()?;
        if let Mood::Refuses(status) = state.mood {
            return Err(UpstreamError::Refused(status));
        }
        for change in changes {
            let place = (change.resource_type, change.id.clone());
            let current = state.documents.get(&place).and_then(|all| all.last());
            let current = current.map(|version| version.version_id.clone());
            if change.if_match.is_some() && change.if_match != current {
                return Err(UpstreamError::Overtaken);
            }
        }
        let stored = changes
            .iter()
            .map(|change| {
                let place = (change.resource_type, change.id.clone());
                // Servers add what they like.
                let content = change.content.clone().map(|mut content| {
                    content["meta"]["source"] = json!("urn:existing");
                    content
                });
                let version = state.push(place, content);
                Stored {
                    version_id: version.content.is_some().then_some(version.version_id),
                    at_ms: version.at_ms,
                    content: version.content,
                }
            })
            .collect();
        match state.mood {
            Mood::LosesAnswers => Err(UpstreamError::OutcomeUnknown),
            _ => Ok(stored),
        }
    }

    fn page(&self, what: &Listing) -> Result<Page, UpstreamError> {
        let state = self.up()?;
        let since = |found: &Found, ms: u64| found.at_ms >= ms;
        let newest_first = state.log.iter().rev().map(|entry| state.found(entry));
        let all: Vec<Found> = match what {
            Listing::System { .. } | Listing::Type { .. } if !state.has_history => {
                return Err(UpstreamError::Missing);
            }
            Listing::System { since_ms } => newest_first
                .filter(|found| since(found, *since_ms))
                .collect(),
            Listing::Type {
                resource_type,
                since_ms,
            } => newest_first
                .filter(|found| found.resource_type == *resource_type && since(found, *since_ms))
                .collect(),
            Listing::Document { resource_type, id } => newest_first
                .filter(|found| found.resource_type == *resource_type && found.id == *id)
                .collect(),
            Listing::Current {
                resource_type,
                since_ms,
            } => {
                if resource_type.as_str() == "Practitioner" {
                    // One type that is closed to the node.
                    return Err(UpstreamError::Refused(403));
                }
                state.current(*resource_type, *since_ms, 0)
            }
            Listing::Further(next) => {
                let mut parts = next.split(' ');
                let resource_type = ResourceType::parse(parts.next().unwrap()).unwrap();
                let mut number = || parts.next().unwrap().parse::<u64>().unwrap();
                let (since_ms, skipped) = (number(), number());
                let skipped = usize::try_from(skipped).unwrap();
                let found = state.current(resource_type, since_ms, skipped);
                return Ok(state.paged(found, (resource_type, since_ms, skipped)));
            }
        };
        match what {
            Listing::Current {
                resource_type,
                since_ms,
            } => Ok(state.paged(all, (*resource_type, *since_ms, 0))),
            _ => Ok(Page {
                found: all,
                ..Page::default()
            }),
        }
    }
}

impl State {
    fn push(&mut self, place: (ResourceType, String), content: Option<Value>) -> Version {
        self.now += 1_000;
        let versions = self.documents.entry(place.clone()).or_default();
        let version_id = (versions.len() + 1).to_string();
        let content = content.map(|mut content| {
            content["meta"]["versionId"] = version_id.clone().into();
            let now = i64::try_from(self.now).unwrap();
            content["meta"]["lastUpdated"] = interop::fhir::timespan::format_instant(now).into();
            content
        });
        let version = Version {
            version_id,
            at_ms: self.now,
            content,
        };
        versions.push(version.clone());
        self.log.push((place.0, place.1, versions.len() - 1));
        version
    }

    fn found(&self, (resource_type, id, index): &(ResourceType, String, usize)) -> Found {
        let version = &self.documents[&(*resource_type, id.clone())][*index];
        Found {
            resource_type: *resource_type,
            id: id.clone(),
            version_id: version.version_id.clone(),
            at_ms: version.at_ms,
            content: version
                .content
                .clone()
                .map_or(Content::Deleted, Content::Is),
        }
    }

    fn current(&self, resource_type: ResourceType, since_ms: u64, skipped: usize) -> Vec<Found> {
        let documents = self.documents.iter();
        let mut current: Vec<Found> = documents
            .filter(|((one, _), _)| *one == resource_type)
            .map(|((_, id), versions)| self.found(&(resource_type, id.clone(), versions.len() - 1)))
            .filter(|found| !matches!(found.content, Content::Deleted) && found.at_ms >= since_ms)
            .collect();
        current.sort_by_key(|found| found.at_ms);
        current.split_off(skipped.min(current.len()))
    }

    fn paged(
        &self,
        mut found: Vec<Found>,
        (resource_type, since_ms, skipped): (ResourceType, u64, usize),
    ) -> Page {
        let next = (found.len() > self.page).then(|| {
            let skipped = skipped + self.page;
            format!("{resource_type} {since_ms} {skipped}")
        });
        found.truncate(self.page);
        Page {
            found,
            unreadable: 0,
            next,
        }
    }
}

impl ExistingServer for Existing {
    fn version<'a>(
        &'a self,
        resource_type: ResourceType,
        id: &'a str,
        version_id: &'a str,
    ) -> BoxFuture<'a, Result<Value, UpstreamError>> {
        let answer = self.up().and_then(|state| {
            let versions = state.documents.get(&(resource_type, id.to_owned()));
            let version = versions
                .into_iter()
                .flatten()
                .find(|one| one.version_id == version_id);
            let content = version.and_then(|version| version.content.clone());
            content.ok_or(UpstreamError::Missing)
        });
        ready(answer).boxed()
    }

    fn write<'a>(
        &'a self,
        changes: &'a [Outgoing],
    ) -> BoxFuture<'a, Result<Vec<Stored>, UpstreamError>> {
        ready(self.make(changes)).boxed()
    }

    fn list<'a>(&'a self, what: &'a Listing) -> BoxFuture<'a, Result<Page, UpstreamError>> {
        ready(self.page(what)).boxed()
    }

    fn types(&self) -> BoxFuture<'_, Result<Vec<ResourceType>, UpstreamError>> {
        let names = ["Observation", "Consent", "Patient", "Practitioner"];
        let types = names.map(|name| ResourceType::parse(name).unwrap());
        ready(self.up().map(|_| types.to_vec())).boxed()
    }

    fn purge<'a>(
        &'a self,
        resource_type: ResourceType,
        id: &'a str,
    ) -> BoxFuture<'a, Result<bool, UpstreamError>> {
        let place = (resource_type, id.to_owned());
        let answer = self.up().map(|mut state| {
            let Some(versions) = state.documents.get_mut(&place) else {
                return false;
            };
            versions
                .iter_mut()
                .for_each(|version| version.content = None);
            true
        });
        ready(answer).boxed()
    }
}
