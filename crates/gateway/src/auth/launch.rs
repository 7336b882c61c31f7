//! The context of a launch: an EHR puts patient, encounter and user behind an opaque id, which the app brings along.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use interop::fhir::resource::is_id;
use serde::Deserialize;
use serde_json::json;

use super::authorize::Launch;
use super::rows::Kind;
use super::scope::Word;
use super::secret;
use super::server::{AuthorizationServer, TokenError, is_practitioner};
use super::token::TokenProblem;
use crate::problem::Problem;

const LAUNCH_SECONDS: u64 = 300;

/// What an EHR says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    patient: Option<String>,
    encounter: Option<String>,
    user: Option<String>,
    client_id: Option<String>,
}

pub(crate) async fn launch(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    body: Result<Json<Context>, JsonRejection>,
) -> Result<Response, Problem> {
    server.bearer_of(&headers, Word::Launches)?;
    let Json(context) = body.map_err(|_| malformed())?;
    let id = server.keep_launch(context).await?;
    let body = json!({ "launch": id, "expires_in": LAUNCH_SECONDS });
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, no_store, Json(body)).into_response())
}

impl AuthorizationServer {
    /// The client whose token this is, if the token has this scope.
    pub(super) fn bearer_of(&self, headers: &HeaderMap, word: Word) -> Result<String, Problem> {
        let value = headers.get(header::AUTHORIZATION);
        let text = value
            .ok_or(TokenProblem::Missing)
            .and_then(|value| value.to_str().map_err(|_| TokenProblem::NotBearer));
        let token = text.and_then(|text| self.verify(text));
        let token = token.map_err(Problem::unauthorized)?;
        if token.scopes.have(word) {
            Ok(token.client.clone())
        } else {
            Err(Problem::forbidden(format!(
                "the access token lacks the scope {word}"
            )))
        }
    }

    async fn keep_launch(&self, context: Context) -> Result<String, Problem> {
        let ids = [&context.patient, &context.encounter];
        let is_well_formed = ids.iter().all(|id| id.as_deref().is_none_or(is_id))
            && context.user.as_deref().is_none_or(is_practitioner);
        if !is_well_formed {
            return Err(malformed());
        }
        let unavailable = |_| Problem::unavailable("the authorization server");
        if let Some(id) = &context.client_id {
            let client = self.client(id).await.map_err(unavailable)?;
            client.ok_or_else(|| Problem::malformed("`client_id` is not registered here"))?;
        }
        let id = secret::fresh().map_err(|error| unavailable(TokenError::from(error)))?;
        let kept = Launch {
            client: context.client_id,
            user: context.user,
            patient: context.patient,
            encounter: context.encounter,
        };
        let until = self.clock.now().saturating_add(LAUNCH_SECONDS);
        let name = secret::digest(&id);
        let put = self.kept.put(Kind::Launch, &name, &kept, Some(until));
        put.await.map_err(|error| unavailable(error.into()))?;
        Ok(id)
    }
}

fn malformed() -> Problem {
    Problem::malformed(
        "a launch has `patient` and `encounter` (ids), `user` (Practitioner/ID) and `client_id`, or some of them",
    )
}
