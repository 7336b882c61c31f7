//! What an answer needs, gathered before it is made: what is loaded, and from the records what is not.

use std::collections::BTreeSet;
use std::sync::Arc;

use interop::fhir::{Resource, ResourceType};
use interop::terminology::{
    Canonical, Catalogue, Concepts, Library, TerminologyProblem, ValueSet, code_system,
};
use node::terminology::Shelf;
use serde_json::Value;

use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::caller::Caller;
use crate::problem::Problem;

/// Definitions that are fetched from the records for one answer at most.
const FETCHED_MAX: usize = 32;

/// What is at hand for one answer.
pub(super) struct Desk {
    shelf: Arc<Shelf>,
    systems: Vec<Arc<Catalogue>>,
    sets: Vec<Arc<ValueSet>>,
}

impl Library for Desk {
    fn code_system(&self, wanted: &Canonical) -> Option<Arc<dyn Concepts>> {
        let own = self.systems.iter().find(|one| wanted.means(one.about()));
        let own = own.map(|one| Arc::clone(one) as Arc<dyn Concepts>);
        own.or_else(|| self.shelf.code_system(wanted))
    }

    fn value_set(&self, wanted: &Canonical) -> Option<Arc<ValueSet>> {
        let own = self.sets.iter().find(|one| wanted.means(&one.about));
        own.cloned().or_else(|| self.shelf.value_set(wanted))
    }
}

impl Desk {
    /// Answers beside the requests: a vocabulary is read from a disk.
    pub(super) async fn answer(
        self,
        work: impl FnOnce(&Self) -> Result<Value, TerminologyProblem> + Send + 'static,
    ) -> Result<Value, Problem> {
        let answered = tokio::task::spawn_blocking(move || work(&self)).await;
        let answered = answered.map_err(|_| Problem::internal("an answer was not made"))?;
        Ok(answered?)
    }

    /// Takes a code system that came along or is one of the records.
    pub(super) fn take_system(&mut self, resource: &Value) -> Result<Canonical, Problem> {
        let (about, draft) = code_system(resource)?;
        let own = Canonical::of(&about.url).with_version(Some(&about.version));
        self.systems.push(Arc::new(draft.finish(about)));
        Ok(own)
    }
}

impl Fhir {
    /// What is loaded, and of the records the code system if it is not loaded.
    pub(super) async fn desk_for(
        &self,
        caller: &Caller,
        system: Option<&Canonical>,
    ) -> Result<Desk, Problem> {
        let mut desk = Desk {
            shelf: self.vocabularies.shelf(),
            systems: Vec::new(),
            sets: Vec::new(),
        };
        if let Some(wanted) = system {
            self.fetch_system(caller, &mut desk, wanted).await?;
        }
        Ok(desk)
    }

    /// The same, with all that a value set refers to.
    pub(super) async fn desk_with(
        &self,
        caller: &Caller,
        value_set: &ValueSet,
    ) -> Result<Desk, Problem> {
        let mut desk = self.desk_for(caller, None).await?;
        let mut seen = BTreeSet::new();
        let mut open = vec![Arc::new(value_set.clone())];
        while let Some(set) = open.pop() {
            for wanted in set.code_systems() {
                if seen.len() < FETCHED_MAX && seen.insert(wanted.clone()) {
                    self.fetch_system(caller, &mut desk, wanted).await?;
                }
            }
            for wanted in set.value_sets() {
                if seen.len() < FETCHED_MAX && seen.insert(wanted.clone()) {
                    let found = self.value_set_at(caller, &desk, wanted).await?;
                    if let Some(found) = found {
                        desk.sets.push(Arc::clone(&found));
                        open.push(found);
                    }
                }
            }
        }
        Ok(desk)
    }

    /// A value set by its URL: one that is loaded, one of the records, or one that is not written down.
    pub(super) async fn value_set(
        &self,
        caller: &Caller,
        wanted: &Canonical,
    ) -> Result<Arc<ValueSet>, Problem> {
        let desk = self.desk_for(caller, None).await?;
        let found = self.value_set_at(caller, &desk, wanted).await?;
        let found = found.or_else(|| ValueSet::implicit(&wanted.url).map(Arc::new));
        Ok(found.ok_or(TerminologyProblem::ValueSetUnknown)?)
    }

    async fn value_set_at(
        &self,
        caller: &Caller,
        desk: &Desk,
        wanted: &Canonical,
    ) -> Result<Option<Arc<ValueSet>>, Problem> {
        if let Some(loaded) = desk.value_set(wanted) {
            return Ok(Some(loaded));
        }
        let kind = ResourceType::VALUE_SET;
        let found = self.of_records(caller, kind, wanted).await?;
        let read = found.map(|resource| ValueSet::of(&resource.into_value()));
        Ok(read.transpose()?.map(Arc::new))
    }

    async fn fetch_system(
        &self,
        caller: &Caller,
        desk: &mut Desk,
        wanted: &Canonical,
    ) -> Result<(), Problem> {
        if desk.code_system(wanted).is_some() {
            return Ok(());
        }
        let kind = ResourceType::CODE_SYSTEM;
        if let Some(resource) = self.of_records(caller, kind, wanted).await? {
            let value = resource.into_value();
            // One of which not all concepts are there answers nothing.
            if value["content"] == "complete" {
                desk.take_system(&value)?;
            }
        }
        Ok(())
    }

    /// One of the records with this URL and version.
    pub(super) async fn of_records(
        &self,
        caller: &Caller,
        kind: ResourceType,
        wanted: &Canonical,
    ) -> Result<Option<Resource>, Problem> {
        let found = self.defined(caller, kind, &wanted.url).await?;
        let version = wanted.version.as_deref();
        Ok(found.into_iter().find(|one| {
            version
                .is_none_or(|version| one.get("version").and_then(Value::as_str) == Some(version))
        }))
    }

    /// A record by its id.
    pub(super) async fn instance(
        &self,
        caller: &Caller,
        (kind, id): (ResourceType, &str),
    ) -> Result<Value, Problem> {
        caller.may(kind, Permission::Read)?;
        caller.may_address(kind, id)?;
        let opened = self.custody.read(caller.requester(), kind, id).await?;
        caller.may_touch(&opened.resource)?;
        Ok(opened.resource.into_value())
    }
}
