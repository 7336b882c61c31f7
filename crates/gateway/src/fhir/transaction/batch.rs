//! Batches: each entry succeeds or fails alone.

use futures::StreamExt;
use futures::stream;
use interop::fhir::Resource;
use interop::fhir::transaction::{
    Action, BundleKind, EntryRequest, EntryResponse, Plan, response_bundle,
};
use serde_json::Value;

use super::Bundles;
use crate::fhir::caller::Caller;
use crate::fhir::preferences::Preferences;
use crate::problem::Problem;

/// Entries under way at once; their writes share an fsync.
const ENTRIES_AT_ONCE: usize = 16;

/// One request of a batch.
type Asked = (usize, EntryRequest, Option<Resource>);

impl Bundles {
    pub(super) async fn each_alone(
        &self,
        caller: &Caller,
        plan: Plan,
        preferences: Preferences,
    ) -> Value {
        let refused = plan.refused.iter().map(|refused| {
            let problem = Problem::of_entry(refused.index, &refused.problem);
            let status = problem.status().to_string();
            EntryResponse::failed(refused.index, &status, &problem.into_outcome())
        });
        let mut responses: Vec<EntryResponse> = refused.collect();
        // R4 has an order of methods, so that a batch can read what it wrote.
        let [mut deleted, mut created, mut updated] = [const { Vec::<Asked>::new() }; 3];
        for entry in plan.entries {
            let group = match entry.action {
                Action::Delete { .. } | Action::DeleteWhere { .. } | Action::Absent => &mut deleted,
                Action::Create { .. } | Action::Exists => &mut created,
                _ => &mut updated,
            };
            group.push((entry.index, entry.request, entry.resource));
        }
        let calls = plan.calls.into_iter();
        let called = calls.map(|call| (call.index, call.request, call.resource));
        for group in [deleted, created, updated, called.collect()] {
            let done = stream::iter(group).map(|(index, request, resource)| async move {
                self.entries
                    .ask(caller, index, &request, resource.as_ref(), preferences)
                    .await
            });
            let done: Vec<EntryResponse> = done.buffered(ENTRIES_AT_ONCE).collect().await;
            responses.extend(done);
        }
        response_bundle(BundleKind::Batch, responses)
    }
}
