//! `Task/[id]/$review`: somebody other than who declared it finds whether an emergency was justified.
//!
//! In: `outcome` (`justified` or `not-justified`), `reason` (coded), if wished `comment`. Out: the task as it is then.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use node::custody::EmergencyReview;

use super::Desk;
use crate::auth::Permission;
use crate::fhir::{Caller, Given};
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

pub(super) async fn review(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    caller.may_type("Task", Permission::Update)?;
    let by = caller.requester();
    let role = by.role.as_ref();
    if !role.is_some_and(|role| desk.config.reviewers.contains(role)) {
        return Err(Problem::forbidden(
            "emergencies are reviewed by the roles that this member has named for it",
        ));
    }
    let given = Given::parse(&body)?;
    let is_justified = match given.string("outcome")?.as_deref() {
        Some("justified") => true,
        Some("not-justified") => false,
        _ => {
            let why = "the parameter `outcome` is `justified` or `not-justified`";
            return Err(Problem::malformed(why));
        }
    };
    let reason = given.string("reason")?;
    let review = EmergencyReview {
        is_justified,
        reason: reason.ok_or_else(|| Problem::malformed("the parameter `reason` is missing"))?,
        comment: given.string("comment")?,
    };
    let written = desk.custody.review_emergency(by, &id, review).await?;
    let closed = desk.custody.read(by, written.resource_type, &id).await?;
    Ok(fhir_json(StatusCode::OK, &closed.presented()))
}
