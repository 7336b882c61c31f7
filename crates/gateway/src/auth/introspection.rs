//! What a token is worth (RFC 7662), and that it is worth nothing any more (RFC 7009).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::authentication::{Authenticated, How};
use super::endpoint::{self, AnyForm, token_request};
use super::server::{AuthorizationServer, TokenError};

pub(crate) async fn introspect(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    form: AnyForm,
) -> Response {
    let said = match asked(&server, &headers, form).await {
        // Who cannot show who it is could try out tokens.
        Ok((by, _)) if by.how == How::Nothing => Err(TokenError::AuthenticationMissing),
        Ok((by, token)) => server.worth(&by, &token),
        Err(error) => Err(error),
    };
    endpoint::answer(said.map(|said| Json(said).into_response()))
}

pub(crate) async fn revoke(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    form: AnyForm,
) -> Response {
    let done = match asked(&server, &headers, form).await {
        Ok((by, token)) => server.revoke(&by, &token).await,
        Err(error) => Err(error),
    };
    endpoint::answer(done.map(|()| StatusCode::OK.into_response()))
}

/// Who asks, and about which token.
async fn asked(
    server: &AuthorizationServer,
    headers: &HeaderMap,
    form: AnyForm,
) -> Result<(Authenticated, String), TokenError> {
    let token = match &form {
        Ok(Form(pairs)) => {
            let mut tokens = pairs.iter().filter(|(name, _)| name == "token");
            match (tokens.next(), tokens.next()) {
                (Some((_, token)), None) => token.clone(),
                _ => return Err(TokenError::RequestMalformed),
            }
        }
        Err(_) => return Err(TokenError::RequestMalformed),
    };
    let request = token_request(headers, form)?;
    Ok((server.authenticate(&request.credentials).await?, token))
}

impl AuthorizationServer {
    /// A client learns of access tokens, and of its own refresh tokens; of others that they are worth nothing.
    fn worth(&self, by: &Authenticated, text: &str) -> Result<Value, TokenError> {
        if let Ok((token, expires_at)) = self.verified(text) {
            let mut said = json!({
                "active": true,
                "token_type": "Bearer",
                "iss": self.base_url,
                "aud": self.base_url,
                "client_id": token.client,
                "sub": token.client,
                "jti": token.jti,
                "exp": expires_at,
                "scope": token.scopes.to_string(),
            });
            if let Some(extensions) = &token.extensions {
                said["extensions"] = extensions.clone();
            }
            if let Some(patient) = token.patient_in_context() {
                said["patient"] = json!(patient);
            }
            if let Some(practitioner) = &token.practitioner {
                said["fhirUser"] = json!(format!("{}/fhir/{practitioner}", self.base_url));
            }
            return Ok(said);
        }
        let found = self.refreshable(text)?;
        let own = found.filter(|(_, grant)| grant.client == by.client.id);
        Ok(own.map_or_else(
            || json!({ "active": false }),
            |(_, grant)| {
                json!({
                    "active": true, "token_type": "refresh_token",
                    "client_id": grant.client, "scope": grant.scopes,
                })
            },
        ))
    }

    /// A client revokes its own tokens; what is not one is no error.
    async fn revoke(&self, by: &Authenticated, text: &str) -> Result<(), TokenError> {
        if let Some((id, grant)) = self.refreshable(text)?
            && grant.client == by.client.id
        {
            return self.revoke_grant(&id).await;
        }
        if let Ok((token, expires_at)) = self.verified(text)
            && token.client == by.client.id
        {
            let times = (self.clock.now(), expires_at);
            self.revoked.add(&self.kept, &token.jti, times).await?;
        }
        Ok(())
    }
}
