//! Conditions on searches (`If-None-Exist`): found, not found, or ambiguous, and nothing between.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::StatusCode;
use interop::fhir::care_services::is_care_service;
use interop::fhir::search::{Handling, Query};
use interop::fhir::{IssueType, ResourceType};
use ledger::ids::Digest;
use node::custody::{Change, Opened, SearchPage, Written};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::Fhir;
use super::caller::Caller;
use crate::auth::Permission;
use crate::http::pairs_of;
use crate::problem::Problem;

const SHARDS: usize = 64;

/// Locks between the search of a condition and the write that depends on it, so that two requests
/// with one condition write one document.
#[derive(Debug)]
pub(crate) struct Conditions(Vec<Arc<Mutex<()>>>);

impl Default for Conditions {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Arc::default()).collect())
    }
}

impl Conditions {
    /// Waits until nobody else works on these conditions. Always in the order of shards: no
    /// deadlock.
    pub(super) async fn hold(
        &self,
        conditions: &[(ResourceType, &str)],
    ) -> Vec<OwnedMutexGuard<()>> {
        let shards: BTreeSet<usize> = conditions
            .iter()
            .map(|(resource_type, query)| {
                let key = [resource_type.as_str().as_bytes(), query.as_bytes()];
                let Digest([first, ..]) = Digest::with_domain("careledger/condition", &key);
                usize::from(first) % SHARDS
            })
            .collect();
        let mut guards = Vec::new();
        for lock in shards.into_iter().filter_map(|shard| self.0.get(shard)) {
            guards.push(Arc::clone(lock).lock_owned().await);
        }
        guards
    }
}

impl Fhir {
    /// The one match of a condition among what is written here; several are refused.
    pub(super) async fn find_one(
        &self,
        caller: &Caller,
        resource_type: ResourceType,
        query: &str,
    ) -> Result<Option<Opened>, Problem> {
        only(self.find(caller, resource_type, query, 1).await?)
    }

    /// What a conditional reference names: what is written here, or else what another member publishes.
    pub(super) async fn find_referred(
        &self,
        caller: &Caller,
        resource_type: ResourceType,
        query: &str,
    ) -> Result<Option<Opened>, Problem> {
        let own = self.find_one(caller, resource_type, query).await?;
        if own.is_some() || !is_care_service(resource_type) {
            return Ok(own);
        }
        let all = self.search_for(caller, resource_type, query, (1, false));
        only(all.await?)
    }

    /// Matches of a condition among what is written here, some of them opened.
    pub(super) async fn find(
        &self,
        caller: &Caller,
        resource_type: ResourceType,
        query: &str,
        opened_max: usize,
    ) -> Result<SearchPage, Problem> {
        self.search_for(caller, resource_type, query, (opened_max, true))
            .await
    }

    async fn search_for(
        &self,
        caller: &Caller,
        resource_type: ResourceType,
        query: &str,
        (opened_max, is_of_own): (usize, bool),
    ) -> Result<SearchPage, Problem> {
        caller.may(resource_type, Permission::Search)?;
        let pairs: Vec<(String, String)> = pairs_of(query).collect();
        if pairs.is_empty() {
            return Err(Problem::malformed("the condition has no parameter"));
        }
        let mut query = Query::parse(resource_type, &pairs, Handling::Strict)?;
        query.count = opened_max;
        query.is_of_own = is_of_own;
        caller.may_search(&query)?;
        let page = self.custody.search(caller.requester(), &query).await?;
        Ok(page)
    }

    /// Writes one change.
    pub(super) async fn write_one(
        &self,
        caller: &Caller,
        change: Change,
    ) -> Result<Written, Problem> {
        self.rules.check_change(&change)?;
        let written = self.custody.write(caller.requester(), vec![change]).await?;
        written
            .into_iter()
            .next()
            .ok_or_else(|| Problem::internal("custody wrote nothing and said nothing"))
    }
}

fn only(page: SearchPage) -> Result<Option<Opened>, Problem> {
    if page.further.is_some() {
        return Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            IssueType::MultipleMatches,
            "the condition matches several resources",
        ));
    }
    Ok(page.matches.into_iter().next())
}
