//! What the authorization server answers where.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post};

use super::server::AuthorizationServer;
use super::{endpoint, interaction, introspection, launch, origin, pages, registration};
use crate::gateway::method_not_allowed;

/// A token request is a few kilobytes.
const FORM_BYTES_MAX: usize = 64 << 10;

/// The routes of the authorization server.
pub(crate) fn routes(server: Arc<AuthorizationServer>) -> Router {
    let configuration = get(endpoint::smart_configuration);
    let called = Router::new()
        .route("/oauth2/token", post(endpoint::token))
        .route("/oauth2/introspect", post(introspection::introspect))
        .route("/oauth2/revoke", post(introspection::revoke))
        .route("/oauth2/jwks", get(endpoint::jwks))
        .route("/.well-known/smart-configuration", configuration.clone())
        .route("/fhir/.well-known/smart-configuration", configuration)
        .route(
            "/.well-known/openid-configuration",
            get(endpoint::openid_configuration),
        )
        .method_not_allowed_fallback(method_not_allowed)
        .layer(origin::cors(Arc::clone(&server)));
    let administered = Router::new()
        .route("/oauth2/launches", post(launch::launch))
        .route(
            "/oauth2/clients",
            post(registration::register).get(registration::list),
        )
        .route("/oauth2/clients/{id}", delete(registration::remove));
    let visited = Router::new()
        .route(
            "/oauth2/authorize",
            get(interaction::authorize).post(interaction::authorize_by_form),
        )
        .route("/oauth2/continue", get(interaction::proceed))
        .route("/oauth2/login", post(interaction::login))
        .route("/oauth2/logout", post(interaction::logout))
        .route("/oauth2/provider", get(interaction::provider))
        .route("/oauth2/callback", get(interaction::callback))
        .route("/oauth2/patient", post(interaction::patient))
        .route("/oauth2/consent", post(interaction::consent))
        .route("/oauth2/style.css", get(pages::style));
    called
        .merge(administered)
        .merge(visited)
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .with_state(server)
}
