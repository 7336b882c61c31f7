//! create, also conditional: <https://hl7.org/fhir/R4/http.html#create>

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use interop::fhir::Resource;

use super::Fhir;
use super::address::TypeAddress;
use super::answer::{self, Version};
use super::caller::Caller;
use super::preferences::Preferences;
use crate::auth::Permission;
use crate::http::Payload;
use crate::problem::Problem;

pub(crate) async fn create(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    preferences: Preferences,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    caller.may(resource_type, Permission::Create)?;
    let resource = Resource::parse_as(resource_type, &body, &fhir.rules.limits())?;
    caller.may_touch(&resource)?;
    let condition = match headers.get("if-none-exist") {
        None => None,
        Some(value) => Some(
            value
                .to_str()
                .map_err(|_| Problem::header("If-None-Exist"))?,
        ),
    };
    let mut guards = Vec::new();
    if let Some(query) = condition {
        guards = fhir.conditional.hold(&[(resource_type, query)]).await;
        if let Some(found) = fhir.find_one(&caller, resource_type, query).await? {
            return Ok(answer::existing(
                &fhir.base,
                &Version {
                    resource_type,
                    id: &found.id,
                    version: found.version,
                    last_updated_ms: found.last_updated_ms,
                },
            ));
        }
    }
    let answer = fhir
        .introduce(&caller, &headers, preferences, body, resource)
        .await;
    drop(guards);
    answer
}
