//! delete, also conditional: <https://hl7.org/fhir/R4/http.html#delete>

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::{IssueType, ResourceType};
use node::custody::Change;

use super::address::{ConditionalAddress, InstanceAddress};
use super::caller::Caller;
use super::preferences::{IfMatch, Preferences};
use super::{Fhir, answer};
use crate::auth::Permission;
use crate::http::pairs_of;
use crate::problem::Problem;

/// The most that one conditional delete takes away.
const DELETED_MAX: usize = 100;

pub(crate) async fn delete(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
    IfMatch(if_match): IfMatch,
    preferences: Preferences,
) -> Result<Response, Problem> {
    caller.may(resource_type, Permission::Delete)?;
    // A patient withdraws a consent by a new version; the record of it stays.
    caller.must_not_be_a_patient()?;
    let change = Change::Delete {
        resource_type,
        id,
        if_match,
    };
    let written = fhir.write_one(&caller, change).await?;
    Ok(answer::deleted(Some(&written), preferences.answer))
}

/// Deletes what matches the query: one resource, or as many as `_count` allows.
pub(crate) async fn delete_where(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    ConditionalAddress {
        resource_type,
        query,
    }: ConditionalAddress,
    IfMatch(if_match): IfMatch,
    preferences: Preferences,
) -> Result<Response, Problem> {
    caller.may(resource_type, Permission::Delete)?;
    caller.must_not_be_a_patient()?;
    let (query, limit) = limited(&query)?;
    let guards = fhir.conditional.hold(&[(resource_type, &query)]).await;
    let page = fhir.find(&caller, resource_type, &query, limit).await?;
    if page.further.is_some() {
        return Err(too_many(limit));
    }
    let changes = page
        .matches
        .into_iter()
        .map(|found| deletion(resource_type, found.id, if_match))
        .collect();
    let written = fhir.custody.write(caller.requester(), changes).await?;
    drop(guards);
    let only = match written.as_slice() {
        [only] => Some(only),
        _ => None,
    };
    Ok(answer::deleted(only, preferences.answer))
}

fn deletion(resource_type: ResourceType, id: String, if_match: Option<u64>) -> Change {
    Change::Delete {
        resource_type,
        id,
        if_match,
    }
}

/// The condition, and how many it may match: `_count`, else one.
fn limited(query: &str) -> Result<(String, usize), Problem> {
    let mut limit = 1;
    let mut rest = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs_of(query) {
        if name == "_count" {
            limit = value
                .parse()
                .ok()
                .filter(|count| (1..=DELETED_MAX).contains(count))
                .ok_or_else(|| {
                    Problem::malformed(format!("`_count` is a number from 1 to {DELETED_MAX}"))
                })?;
        } else {
            rest.append_pair(&name, &value);
        }
    }
    Ok((rest.finish(), limit))
}

fn too_many(limit: usize) -> Problem {
    let diagnostics = format!(
        "the condition matches more than {limit}; `_count` allows up to {DELETED_MAX} to be deleted"
    );
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        IssueType::MultipleMatches,
        diagnostics,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_deleted_unless_a_number_is_said() {
        let read = |query| limited(query).ok();
        assert_eq!(read("a=b"), Some(("a=b".to_owned(), 1)));
        assert_eq!(read("a=b&_count=7"), Some(("a=b".to_owned(), 7)));
        for wrong in ["_count=0", "_count=101", "_count=all"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
