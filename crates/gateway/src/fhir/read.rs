//! read, also conditional: <https://hl7.org/fhir/R4/http.html#read>

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::Fhir;
use super::address::InstanceAddress;
use super::answer;
use super::caller::Caller;
use super::precondition::Known;
use super::shape::Shape;
use crate::auth::Permission;
use crate::problem::Problem;

pub(crate) async fn read(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
    known: Known,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let shape = Shape::of(query.as_deref().unwrap_or_default())?;
    caller.may(resource_type, Permission::Read)?;
    caller.may_address(resource_type, &id)?;
    let opened = fhir
        .custody
        .read(caller.requester(), resource_type, &id)
        .await?;
    caller.may_touch(&opened.resource)?;
    Ok(answer::opened_as(opened, &known, &shape))
}
