//! `/oauth2/token` and what is published beside it.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::assertion::AssertionError;
use super::authentication::Basic;
use super::server::{AuthorizationServer, TokenError, TokenRequest};

/// A form, or that the body is none.
pub(super) type AnyForm = Result<Form<Vec<(String, String)>>, FormRejection>;

pub(crate) async fn token(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    form: AnyForm,
) -> Response {
    let issued = match token_request(&headers, form) {
        Ok(request) => server.issue(&request).await,
        Err(error) => Err(error),
    };
    answer(issued.map(|body| Json(body).into_response()))
}

pub(crate) async fn jwks(State(server): State<Arc<AuthorizationServer>>) -> Json<Value> {
    Json(server.jwks())
}

pub(crate) async fn smart_configuration(
    State(server): State<Arc<AuthorizationServer>>,
) -> Json<Value> {
    Json(server.smart_configuration())
}

pub(crate) async fn openid_configuration(
    State(server): State<Arc<AuthorizationServer>>,
) -> Json<Value> {
    Json(server.openid_configuration())
}

/// An answer that nobody keeps (RFC 6749 §5).
pub(super) fn answer(outcome: Result<Response, TokenError>) -> Response {
    let mut response = outcome.unwrap_or_else(refusal);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

pub(super) fn token_request(
    headers: &HeaderMap,
    form: AnyForm,
) -> Result<TokenRequest, TokenError> {
    let Form(pairs) = form.map_err(|_| TokenError::RequestMalformed)?;
    let mut request = TokenRequest::default();
    request.credentials.basic = Basic::of(headers)?;
    for (name, value) in pairs {
        let credentials = &mut request.credentials;
        let field = match name.as_str() {
            "grant_type" => &mut request.grant_type,
            "client_assertion_type" => &mut credentials.assertion_type,
            "client_assertion" => &mut credentials.assertion,
            "client_id" => &mut credentials.client_id,
            "scope" => &mut request.scope,
            "code" => &mut request.code,
            "redirect_uri" => &mut request.redirect_uri,
            "code_verifier" => &mut request.code_verifier,
            "refresh_token" => &mut request.refresh_token,
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
        TokenError::RequestMalformed | TokenError::SeveralAuthentications => {
            (StatusCode::BAD_REQUEST, "invalid_request")
        }
        TokenError::GrantTypeUnsupported => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        TokenError::GrantTypeRefused => (StatusCode::BAD_REQUEST, "unauthorized_client"),
        TokenError::Unavailable | TokenError::Assertion(AssertionError::WalletsUnavailable) => {
            (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
        }
        TokenError::AuthenticationMissing
        | TokenError::SecretRefused
        | TokenError::Assertion(_) => (StatusCode::UNAUTHORIZED, "invalid_client"),
        TokenError::OtherOrganization
        | TokenError::PractitionerMalformed
        | TokenError::RoleRefused
        | TokenError::PurposeRefused
        | TokenError::PurposeMissing
        | TokenError::CodeRefused
        | TokenError::RefreshRefused => (StatusCode::BAD_REQUEST, "invalid_grant"),
        TokenError::ScopeRefused => (StatusCode::BAD_REQUEST, "invalid_scope"),
    };
    let body = json!({ "error": code, "error_description": error.to_string() });
    let mut response = (status, Json(body)).into_response();
    if matches!(error, TokenError::SecretRefused) {
        let challenge = HeaderValue::from_static(r#"Basic realm="careledger""#);
        let headers = response.headers_mut();
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}
