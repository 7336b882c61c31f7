//! update, also as create: <https://hl7.org/fhir/R4/http.html#update>

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use interop::fhir::Resource;
use node::custody::Change;

use super::address::InstanceAddress;
use super::caller::Caller;
use super::preferences::{IfMatch, Preferences};
use super::{Fhir, answer, limits, provenance};
use crate::auth::Permission;
use crate::http::Payload;
use crate::problem::Problem;

pub(crate) async fn update(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
    IfMatch(if_match): IfMatch,
    preferences: Preferences,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    caller.may(resource_type, Permission::Update)?;
    let resource = Resource::parse_as(resource_type, &body, &limits())?;
    if resource.id() != Some(&id) {
        return Err(Problem::malformed(
            "the resource's id is not that of the URL",
        ));
    }
    caller.may_touch(&resource)?;
    let change = match provenance::signature(&headers, resource_type)? {
        Some(jws) => provenance::filed(&body, jws, Some(id), if_match),
        None => Change::Update {
            resource: resource.clone(),
            if_match,
        },
    };
    let written = fhir.write_one(&caller, change).await?;
    let answer = preferences.answer;
    Ok(answer::written(&fhir.base, &written, &resource, answer))
}
