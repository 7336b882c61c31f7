//! `/oauth2/*` and `/.well-known/smart-configuration`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::assertion::AssertionError;
use super::server::{AuthorizationServer, TokenError, TokenRequest};

pub(crate) async fn token(
    State(server): State<Arc<AuthorizationServer>>,
    form: Result<Form<Vec<(String, String)>>, FormRejection>,
) -> Response {
    let request = form
        .map_err(|_| TokenError::RequestMalformed)
        .and_then(|Form(pairs)| token_request(pairs));
    let issued = match request {
        Ok(request) => server.issue(&request).await,
        Err(error) => Err(error),
    };
    let mut response = match issued {
        Ok(body) => Json(body).into_response(),
        Err(error) => refusal(error),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

pub(crate) async fn jwks(State(server): State<Arc<AuthorizationServer>>) -> Json<Value> {
    Json(server.jwks())
}

pub(crate) async fn smart_configuration(
    State(server): State<Arc<AuthorizationServer>>,
) -> Json<Value> {
    Json(server.smart_configuration())
}

fn token_request(pairs: Vec<(String, String)>) -> Result<TokenRequest, TokenError> {
    let mut request = TokenRequest::default();
    for (name, value) in pairs {
        let field = match name.as_str() {
            "grant_type" => &mut request.grant_type,
            "client_assertion_type" => &mut request.assertion_type,
            "client_assertion" => &mut request.assertion,
            "client_id" => &mut request.client_id,
            "scope" => &mut request.scope,
            // RFC 6749 §3.2: unrecognized parameters are ignored.
            _ => continue,
        };
        if field.replace(value).is_some() {
            return Err(TokenError::RequestMalformed);
        }
    }
    Ok(request)
}

fn refusal(error: TokenError) -> Response {
    let (status, code) = match error {
        TokenError::RequestMalformed => (StatusCode::BAD_REQUEST, "invalid_request"),
        TokenError::GrantTypeUnsupported => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        TokenError::Unavailable | TokenError::Assertion(AssertionError::WalletsUnavailable) => {
            (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
        }
        TokenError::AssertionMissing | TokenError::Assertion(_) => {
            (StatusCode::UNAUTHORIZED, "invalid_client")
        }
        TokenError::OtherOrganization
        | TokenError::PractitionerMalformed
        | TokenError::RoleRefused
        | TokenError::PurposeRefused
        | TokenError::PurposeMissing => (StatusCode::BAD_REQUEST, "invalid_grant"),
        TokenError::ScopeRefused => (StatusCode::BAD_REQUEST, "invalid_scope"),
    };
    let body = json!({ "error": code, "error_description": error.to_string() });
    (status, Json(body)).into_response()
}
