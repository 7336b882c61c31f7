//! vread: <https://hl7.org/fhir/R4/http.html#vread>

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::Fhir;
use super::address::VersionAddress;
use super::answer;
use super::caller::Caller;
use crate::auth::Permission;
use crate::problem::Problem;

pub(crate) async fn vread(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: VersionAddress,
) -> Result<Response, Problem> {
    let VersionAddress {
        resource_type,
        id,
        version,
    } = address;
    caller.may(resource_type, Permission::Read)?;
    caller.may_address(resource_type, &id)?;
    let opened = fhir
        .custody
        .vread(caller.requester(), resource_type, &id, version)
        .await?;
    caller.may_touch(&opened.resource)?;
    Ok(answer::opened(&opened))
}
