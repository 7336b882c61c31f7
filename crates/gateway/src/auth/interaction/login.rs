//! Signing in, here or at the identity provider, and out.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Form, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use super::session::{Visit, field, see_other};
use crate::auth::desk::{Away, Session};
use crate::auth::pages::{self, Failed, Ways};
use crate::auth::provider::{Provider, Question};
use crate::auth::secret;
use crate::auth::server::AuthorizationServer;
use crate::auth::user::{SignedIn, User};
use crate::http::pairs_of;

const REFUSED: &str =
    "The user name or the password is not right, or there were too many attempts.";

/// The address of whoever connected; none in a test without a connection.
pub(crate) struct Address(Option<SocketAddr>);

impl Address {
    fn name(&self) -> String {
        self.0
            .map_or_else(String::new, |address| address.ip().to_string())
    }
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Address {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(address.map(|info| info.0)))
    }
}

pub(crate) async fn login(
    State(server): State<Arc<AuthorizationServer>>,
    address: Address,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let visit = match server.form_visit(&headers, &form) {
        Ok(visit) => visit,
        Err(stray) => return stray.page(),
    };
    let (name, password) = (field(&form, "username"), field(&form, "password"));
    match server.account(name, password, &address).await {
        Some(user) => server.signed_in(&visit, user, server.clock.now()),
        None => {
            let failed = Failed { why: REFUSED, name };
            server.sign_in_page(&visit, StatusCode::UNAUTHORIZED, Some(failed))
        }
    }
}

pub(crate) async fn logout(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    match server.form_visit(&headers, &form) {
        Ok(visit) => {
            let signed_out = |session: &mut Session| session.user = None;
            server.desk.sessions.change(&visit.name, signed_out);
            server.desk.pending.change(&visit.request, |pending| {
                pending.patient = None;
                pending.related = None;
            });
            server.go_on(&visit.request)
        }
        Err(stray) => stray.page(),
    }
}

/// To the identity provider.
pub(crate) async fn provider(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let query: Vec<_> = pairs_of(query.as_deref().unwrap_or_default()).collect();
    let visit = match server.visit(&headers, field(&query, "request")) {
        Ok(visit) => visit,
        Err(stray) => return stray.page(),
    };
    let unavailable = "The identity provider cannot be reached. Try again later.";
    match server.send_away(&visit).await {
        Some(url) => see_other(&url),
        None => server.sign_in_page(&visit, StatusCode::BAD_GATEWAY, Some(failed(unavailable))),
    }
}

/// Back from the identity provider.
pub(crate) async fn callback(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let query: Vec<_> = pairs_of(query.as_deref().unwrap_or_default()).collect();
    let now = server.clock.now();
    let state = field(&query, "state");
    let away = server.desk.away.take(state, now);
    let request = away.as_ref().map_or("", |away| &away.pending);
    let visit = match server.visit(&headers, request) {
        Ok(visit) => visit,
        Err(stray) => return stray.page(),
    };
    let away = away.filter(|away| away.session == visit.name);
    let (Some(away), Some(provider)) = (away, &server.sign_in.provider) else {
        return server.sign_in_page(&visit, StatusCode::BAD_REQUEST, Some(failed(REFUSED)));
    };
    let callback = server.url("/oauth2/callback");
    let code = field(&query, "code");
    match provider.person(code, &away.question, &callback, now).await {
        Ok((user, at)) => server.signed_in(&visit, user, at),
        Err(error) => {
            tracing::warn!(event = "provider_sign_in_refused", %error, "security");
            let said = format!("Signing in with {} did not work: {error}.", provider.name());
            server.sign_in_page(&visit, StatusCode::UNAUTHORIZED, Some(failed(&said)))
        }
    }
}

/// What failed without a name that was typed here.
fn failed(why: &str) -> Failed<'_> {
    Failed { why, name: "" }
}

impl AuthorizationServer {
    /// The person with this name and password, unless there were too many attempts.
    async fn account(&self, name: &str, password: &str, address: &Address) -> Option<User> {
        let accounts = self.sign_in.accounts.clone()?;
        let now = self.clock.now();
        let address = address.name();
        let of_account = format!("account/{}", secret::digest(name));
        // The address first: whoever guesses from one address must not lock out the accounts of others.
        let is_in_time = self.addresses.attempt(&address, now).is_ok()
            && self.guesses.attempt(&of_account, now).is_ok();
        if !is_in_time {
            tracing::warn!(event = "sign_in_delayed", address, "security");
            return None;
        }
        // Hashes take memory: few are made at once.
        let _turn = self.hashing.acquire().await.ok()?;
        let (typed, secret) = (
            name.to_owned(),
            zeroize::Zeroizing::new(password.to_owned()),
        );
        let checked = tokio::task::spawn_blocking(move || accounts.check(&typed, &secret));
        let Some(user) = checked.await.ok().flatten() else {
            // What was typed may be a password: it is not repeated.
            tracing::warn!(event = "sign_in_refused", address, "security");
            return None;
        };
        self.signed_in_right((&of_account, &address), name);
        Some(user)
    }

    fn signed_in_right(&self, (of_account, address): (&str, &str), name: &str) {
        self.guesses.succeeded(of_account);
        // Not more than itself: the next guess may come from the same place.
        self.addresses.forgive(address);
        tracing::info!(event = "signed_in", account = name, address, "security");
    }

    /// A new session for whoever has signed in: the old name may be known to somebody.
    fn signed_in(&self, visit: &Visit, user: User, at: u64) -> Response {
        let now = self.clock.now();
        let person = SignedIn::of(&user);
        let Ok(csrf) = secret::fresh() else {
            return self.sign_in_page(visit, StatusCode::SERVICE_UNAVAILABLE, None);
        };
        let session = Session {
            user: Some((user, at)),
            csrf,
        };
        let Some((name, cookie)) = self.begin(session) else {
            return self.sign_in_page(visit, StatusCode::SERVICE_UNAVAILABLE, None);
        };
        self.desk.sessions.take(&visit.name, now);
        self.desk.pending.change(&visit.request, |pending| {
            pending.session = name;
        });
        let mut response = self.go_on(&visit.request);
        response.headers_mut().insert(header::SET_COOKIE, cookie);
        response.extensions_mut().insert(person);
        response
    }

    async fn send_away(&self, visit: &Visit) -> Option<String> {
        let question = Question {
            state: secret::fresh().ok()?,
            nonce: secret::fresh().ok()?,
            verifier: secret::fresh().ok()?,
        };
        let provider = self.sign_in.provider.as_ref()?;
        let callback = self.url("/oauth2/callback");
        let max_age = visit.pending.request.max_age;
        let url = provider.sign_in_url(&question, &callback, max_age).await;
        let url = url
            .inspect_err(|error| tracing::warn!(%error, "identity provider"))
            .ok()?;
        let away = Away {
            session: visit.name.clone(),
            pending: visit.request.clone(),
            question: question.clone(),
        };
        let has_room = self.desk.away.put(&question.state, away, self.clock.now());
        has_room.then_some(url)
    }

    pub(super) fn sign_in_page(
        &self,
        visit: &Visit,
        status: StatusCode,
        failed: Option<Failed<'_>>,
    ) -> Response {
        let provider = self.sign_in.provider.as_ref();
        let provider = provider.map(Provider::name);
        let ways = Ways {
            has_accounts: self.sign_in.accounts.is_some(),
            provider,
        };
        let app = &visit.pending.request.client.name;
        let page = pages::sign_in(&visit.form(), app, ways, failed);
        let redirect_uri = &visit.pending.request.redirect_uri;
        pages::answer(status, &page, Some(redirect_uri))
    }

    pub(super) fn go_on(&self, request: &str) -> Response {
        see_other(&format!("/oauth2/continue?request={request}"))
    }
}
