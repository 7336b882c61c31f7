//! history of an instance: <https://hl7.org/fhir/R4/http.html#history>

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::bundle;
use interop::fhir::timespan::format_instant;

use super::Fhir;
use super::address::InstanceAddress;
use super::caller::Caller;
use crate::auth::Permission;
use crate::http::fhir_json;
use crate::problem::Problem;

pub(crate) async fn history(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
) -> Result<Response, Problem> {
    caller.may(resource_type, Permission::Read)?;
    caller.may_address(resource_type, &id)?;
    let versions = fhir
        .custody
        .history(caller.requester(), resource_type, &id)
        .await?;
    for opened in versions
        .iter()
        .filter_map(|version| version.opened.as_ref())
    {
        caller.may_touch(&opened.resource)?;
    }
    let entries = versions.iter().map(|version| bundle::HistoryEntry {
        resource_type,
        id: id.clone(),
        version: version.version,
        last_updated: format_instant(i64::try_from(version.last_updated_ms).unwrap_or(i64::MAX)),
        resource: version
            .opened
            .as_ref()
            .map(node::custody::Opened::presented),
    });
    let link = format!("{}/{resource_type}/{id}/_history", fhir.base);
    let body = bundle::history(&fhir.base, &[("self", link)], entries.collect());
    Ok(fhir_json(StatusCode::OK, &body))
}
