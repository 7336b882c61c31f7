//! Batches: each entry succeeds or fails alone.

use futures::StreamExt;
use futures::stream;
use interop::fhir::transaction::{
    Action, BundleKind, EntryResponse, Plan, PlannedEntry, response_bundle,
};
use serde_json::Value;

use super::super::Fhir;
use super::{entry, failed, is_read, may};
use crate::fhir::caller::Caller;
use crate::fhir::preferences::Preferences;
use crate::http::pairs_of;
use crate::problem::Problem;

/// Entries under way at once; their writes share an fsync.
const ENTRIES_AT_ONCE: usize = 16;

impl Fhir {
    pub(super) async fn each_alone(
        &self,
        caller: &Caller,
        plan: Plan,
        preferences: Preferences,
    ) -> Value {
        let refused = plan.refused.iter().map(|refused| {
            let problem = Problem::of_entry(refused.index, &refused.problem);
            failed(refused.index, problem)
        });
        let mut responses: Vec<EntryResponse> = refused.collect();
        // R4 has an order of methods, so that a batch can read what it wrote.
        let (reads, writes): (Vec<_>, Vec<_>) = plan.entries.into_iter().partition(is_read);
        for entries in [writes, reads] {
            let done = stream::iter(entries).map(|planned| async move {
                let index = planned.index;
                let done = self.one(caller, planned, preferences).await;
                done.unwrap_or_else(|problem| failed(index, problem))
            });
            let done: Vec<EntryResponse> = done.buffered(ENTRIES_AT_ONCE).collect().await;
            responses.extend(done);
        }
        response_bundle(BundleKind::Batch, responses)
    }

    async fn one(
        &self,
        caller: &Caller,
        planned: PlannedEntry,
        preferences: Preferences,
    ) -> Result<EntryResponse, Problem> {
        may(caller, &planned)?;
        if is_read(&planned) {
            let resource = self.read_entry(caller, &planned, preferences).await?;
            return Ok(entry::read(&planned, resource));
        }
        let mut plan = Plan {
            kind: BundleKind::Batch,
            entries: vec![planned],
            refused: Vec::new(),
        };
        let guards = self.hold_conditions(&plan).await;
        let found = self.resolve(caller, &mut plan).await?;
        let planned = plan
            .entries
            .pop()
            .ok_or_else(|| Problem::internal("a plan lost its entry"))?;
        if let Some(existing) = found.get(&planned.index) {
            return Ok(entry::existing(&planned, existing));
        }
        if let Some(content) = &planned.resource {
            caller.may_touch(content)?;
        }
        let change =
            entry::change(&planned).ok_or_else(|| Problem::internal("an entry changes nothing"))?;
        let written = self.write_one(caller, change).await?;
        drop(guards);
        Ok(entry::written(&planned, &written, preferences.answer))
    }

    /// A read or search in a Bundle.
    pub(super) async fn read_entry(
        &self,
        caller: &Caller,
        planned: &PlannedEntry,
        preferences: Preferences,
    ) -> Result<Value, Problem> {
        let resource_type = planned.resource_type;
        let Some(id) = &planned.id else {
            let query = match &planned.action {
                Action::Read(url) => url.split_once('?').map(|(_, query)| query),
                _ => None,
            };
            let pairs = query.into_iter().flat_map(pairs_of).collect();
            return self
                .searchset(caller, resource_type, pairs, preferences.handling)
                .await;
        };
        caller.may_address(resource_type, id)?;
        let opened = self
            .custody
            .read(caller.requester(), resource_type, id)
            .await?;
        caller.may_touch(&opened.resource)?;
        Ok(opened.presented())
    }
}
