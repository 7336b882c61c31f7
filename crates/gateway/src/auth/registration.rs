//! Clients that an administrator registers while the node runs (RFC 7591), looks at and takes away (RFC 7592 in part). The
//! administrator shows a token with the scope `careledger/clients`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jsonwebtoken::jwk::JwkSet;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Client, ClientConfig};
use super::rows::Kind;
use super::scope::{Scopes, Word};
use super::secret;
use super::server::AuthorizationServer;
use crate::problem::Problem;

/// Client metadata (RFC 7591 §2), and what this server wants to know beside.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    client_name: Option<String>,
    #[serde(default)]
    redirect_uris: Vec<String>,
    token_endpoint_auth_method: Option<String>,
    jwks: Option<JwkSet>,
    scope: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    purposes: Vec<String>,
}

pub(crate) async fn register(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    body: Result<Json<Metadata>, JsonRejection>,
) -> Result<Response, Problem> {
    let by = server.bearer_of(&headers, Word::Clients)?;
    let Ok(Json(metadata)) = body else {
        return Ok(refused("the body is not the metadata of a client"));
    };
    let (config, client, secret) = match configured(metadata) {
        Ok(done) => done,
        Err(said) => return Ok(refused(&said)),
    };
    let put = server
        .kept
        .put(Kind::Client, &config.client_id, &config, None);
    let is_new = put.await.map_err(|_| unavailable())?;
    if !is_new {
        return Err(unavailable());
    }
    server.clients.add(client);
    tracing::info!(
        event = "client_registered",
        client = config.client_id,
        by,
        "security"
    );
    let mut body = described(&config);
    if let Some(secret) = secret {
        body["client_secret"] = json!(secret);
        body["client_secret_expires_at"] = json!(0);
    }
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, no_store, Json(body)).into_response())
}

pub(crate) async fn list(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    server.bearer_of(&headers, Word::Clients)?;
    let all = server
        .kept
        .all::<ClientConfig>(Kind::Client, server.clock.now());
    let all = all.map_err(|_| unavailable())?;
    let clients: Vec<Value> = all.iter().map(|(_, _, config)| described(config)).collect();
    Ok(Json(json!({ "clients": clients })))
}

pub(crate) async fn remove(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let by = server.bearer_of(&headers, Word::Clients)?;
    let now = server.clock.now();
    let found = server.kept.find::<ClientConfig>(Kind::Client, &id, now);
    let found = found.map_err(|_| unavailable())?;
    let found = found.ok_or_else(Problem::not_found)?;
    server.clients.remove(&id);
    server
        .kept
        .remove(&found)
        .await
        .map_err(|_| unavailable())?;
    server.revoke_all_of(&id).await.map_err(|_| unavailable())?;
    tracing::info!(event = "client_removed", client = id, by, "security");
    Ok(StatusCode::NO_CONTENT)
}

/// The client that the metadata describes, checked, and its secret if it gets one.
fn configured(metadata: Metadata) -> Result<(ClientConfig, Client, Option<String>), String> {
    let method = metadata.token_endpoint_auth_method.as_deref();
    let keys = metadata.jwks.map_or_else(Vec::new, |set| set.keys);
    let secret = match method.unwrap_or("client_secret_basic") {
        "none" => None,
        "private_key_jwt" if !keys.is_empty() => None,
        "private_key_jwt" => return Err("private_key_jwt needs `jwks`".to_owned()),
        "client_secret_basic" => Some(secret::fresh().map_err(|error| error.to_string())?),
        _ => return Err("the authentication method is not supported".to_owned()),
    };
    let purposes = if metadata.purposes.is_empty() {
        vec!["TREAT".to_owned()]
    } else {
        metadata.purposes
    };
    let scopes = metadata.scope.as_deref().unwrap_or_default();
    let scopes = Scopes::known(scopes).ok_or("`scope` names no scope that is known here")?;
    let config = ClientConfig {
        client_id: uuid::Uuid::new_v4().to_string(),
        name: metadata
            .client_name
            .map(|name| name.chars().take(80).collect()),
        keys: if secret.is_some() { Vec::new() } else { keys },
        secret_sha256: secret.as_deref().map(secret::digest),
        public: method == Some("none"),
        redirect_uris: metadata.redirect_uris,
        roles: metadata.roles,
        purposes,
        scopes: scopes.to_string(),
    };
    let client = Client::configured(config.clone()).map_err(|error| error.to_string())?;
    Ok((config, client, secret))
}

fn described(config: &ClientConfig) -> Value {
    let method = match (&config.secret_sha256, config.public) {
        (Some(_), _) => "client_secret_basic",
        (None, true) => "none",
        (None, false) => "private_key_jwt",
    };
    let mut said = json!({
        "client_id": config.client_id,
        "redirect_uris": config.redirect_uris,
        "token_endpoint_auth_method": method,
        "grant_types": if config.redirect_uris.is_empty() { json!(["client_credentials"]) }
            else { json!(["authorization_code", "refresh_token"]) },
        "scope": config.scopes,
        "purposes": config.purposes,
    });
    if let Some(name) = &config.name {
        said["client_name"] = json!(name);
    }
    said
}

/// RFC 7591 §3.2.2.
fn refused(said: &str) -> Response {
    let body = json!({ "error": "invalid_client_metadata", "error_description": said });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

fn unavailable() -> Problem {
    Problem::unavailable("the authorization server")
}
