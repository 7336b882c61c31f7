//! `$set-aside`: versions of the existing server that cannot be recorded, for an operator. It names them and the rule that
//! each breaks, and shows nothing of what they say.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::caller::Caller;
use crate::http::fhir_json;
use crate::problem::Problem;

/// Versions of one answer at most.
const SHOWN_MAX: usize = 1_000;

pub(crate) async fn set_aside(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
) -> Result<Response, Problem> {
    caller.must_not_be_a_patient()?;
    caller.may_on_all_types(Permission::Read)?;
    let aside = fhir.custody.set_aside_versions()?;
    let total = u64::try_from(aside.len()).unwrap_or(u64::MAX);
    let mut parameters = vec![json!({ "name": "total", "valueUnsignedInt": total })];
    parameters.extend(aside.iter().take(SHOWN_MAX).map(|one| {
        let url = format!(
            "{}/{}/_history/{}",
            one.resource_type, one.id, one.version_id
        );
        json!({ "name": "version", "part": [
            { "name": "reference", "valueReference": { "reference": url } },
            { "name": "reason", "valueString": one.reason },
        ] })
    }));
    let parameters: Value = json!({ "resourceType": "Parameters", "parameter": parameters });
    Ok(fhir_json(StatusCode::OK, &parameters))
}
