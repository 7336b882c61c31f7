//! Which pages of other origins may call this server (CORS): those of registered apps, and those that are configured. No
//! cookie is ever sent along: a page needs a token like everybody.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use reqwest::Url;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::server::AuthorizationServer;

const PREFLIGHT: Duration = Duration::from_mins(10);

/// What browsers are told.
pub(crate) fn cors(server: Arc<AuthorizationServer>) -> CorsLayer {
    let exposed = [
        "location",
        "content-location",
        "etag",
        "last-modified",
        "x-request-id",
    ];
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| {
            server.knows_origin(origin)
        }))
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::ACCEPT,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            header::IF_MODIFIED_SINCE,
            HeaderName::from_static("if-none-exist"),
            HeaderName::from_static("prefer"),
            HeaderName::from_static("x-provenance"),
            HeaderName::from_static("x-request-id"),
        ])
        .expose_headers(exposed.map(HeaderName::from_static))
        .max_age(PREFLIGHT)
}

impl AuthorizationServer {
    fn knows_origin(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        let is_of = |uri: &String| {
            Url::parse(uri).is_ok_and(|url| {
                url.origin().is_tuple() && url.origin().ascii_serialization() == origin
            })
        };
        self.sign_in.origins.iter().any(|known| known == origin)
            || self.clients.has_redirect_uri(is_of)
    }
}
