//! Conditions on searches (`If-None-Exist`): found, not found, or ambiguous, and nothing between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use interop::fhir::care_services::is_care_service;
use interop::fhir::search::{Handling, Query};
use interop::fhir::{IssueType, ResourceType};
use ledger::ids::Digest;
use node::custody::{Change, Opened, SearchPage, Written};
use tokio::sync::OwnedMutexGuard;

use super::Fhir;
use super::caller::Caller;
use crate::auth::Permission;
use crate::http::pairs_of;
use crate::problem::Problem;

/// Where locks that nobody holds are forgotten.
const LOCKS_MAX: usize = 1_024;

/// Locks between the search of a condition and the write that depends on it, so that two requests
/// with one condition write one document.
#[derive(Debug, Default)]
pub(crate) struct Conditions(Mutex<BTreeMap<Digest, Arc<tokio::sync::Mutex<()>>>>);

/// A condition that nobody else works on.
pub(super) type Held = OwnedMutexGuard<()>;

impl Conditions {
    /// Waits until nobody else works on these conditions. Always in the same order: no deadlock.
    pub(super) async fn hold(&self, conditions: &[(ResourceType, &str)]) -> Vec<Held> {
        let keys: BTreeSet<Digest> = conditions
            .iter()
            .map(|(resource_type, query)| {
                let key = [resource_type.as_str().as_bytes(), query.as_bytes()];
                Digest::with_domain("careledger/condition", &key)
            })
            .collect();
        let locks = self.locks(keys);
        let mut held = Vec::with_capacity(locks.len());
        for lock in locks {
            held.push(lock.lock_owned().await);
        }
        held
    }

    fn locks(&self, keys: BTreeSet<Digest>) -> Vec<Arc<tokio::sync::Mutex<()>>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= LOCKS_MAX {
            known.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        let locks = keys.into_iter();
        locks
            .map(|key| Arc::clone(known.entry(key).or_default()))
            .collect()
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

    /// [`Self::find_one`] for each of some conditions, in their order.
    pub(super) async fn find_one_each(
        &self,
        caller: &Caller,
        conditions: &[(ResourceType, &str)],
    ) -> Result<Vec<Option<Opened>>, Problem> {
        let queries = conditions.iter().map(|(resource_type, query)| {
            let mut query = condition(caller, *resource_type, query)?;
            query.count = 1;
            query.is_of_own = true;
            Ok::<_, Problem>(query)
        });
        let queries: Vec<Query> = queries.collect::<Result<_, _>>()?;
        let pages = self.custody.search_each(caller.requester(), &queries);
        pages.await?.into_iter().map(only).collect()
    }

    /// What conditional references name: what is written here, or else what another member publishes.
    pub(super) async fn find_referred_each(
        &self,
        caller: &Caller,
        conditions: &[(ResourceType, &str)],
    ) -> Result<Vec<Option<Opened>>, Problem> {
        let mut each = self.find_one_each(caller, conditions).await?;
        for (found, (resource_type, query)) in each.iter_mut().zip(conditions) {
            if found.is_none() && is_care_service(*resource_type) {
                let all = self.search_for(caller, *resource_type, query, (1, false));
                *found = only(all.await?)?;
            }
        }
        Ok(each)
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
        let mut query = condition(caller, resource_type, query)?;
        query.count = opened_max;
        query.is_of_own = is_of_own;
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

fn condition(caller: &Caller, resource_type: ResourceType, query: &str) -> Result<Query, Problem> {
    caller.may(resource_type, Permission::Search)?;
    let pairs: Vec<(String, String)> = pairs_of(query).collect();
    if pairs.is_empty() {
        return Err(Problem::malformed("the condition has no parameter"));
    }
    let query = Query::parse(resource_type, &pairs, Handling::Strict)?;
    caller.may_search(&query)?;
    Ok(query)
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
