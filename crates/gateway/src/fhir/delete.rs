//! delete: <https://hl7.org/fhir/R4/http.html#delete>

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use node::custody::Change;

use super::address::InstanceAddress;
use super::caller::Caller;
use super::preferences::{IfMatch, Preferences};
use super::{Fhir, answer};
use crate::auth::Permission;
use crate::problem::Problem;

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
    Ok(answer::deleted(&written, preferences.answer))
}
