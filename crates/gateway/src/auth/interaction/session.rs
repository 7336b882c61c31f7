//! The browser that asks, by its cookie, and the request that it answers (T9).

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::auth::desk::{Pending, Session};
use crate::auth::pages::{self, Form};
use crate::auth::secret;
use crate::auth::server::AuthorizationServer;

const COOKIE: &str = "careledger_session";

/// A browser, and the request for authorization that it is in the middle of.
pub(super) struct Visit {
    /// The name under which the session is kept.
    pub(super) name: String,
    pub(super) session: Session,
    pub(super) request: String,
    pub(super) pending: Pending,
    /// Whose node it is.
    pub(super) member: String,
}

/// A browser that is not in the middle of the request that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stray {
    Over,
    OtherForm,
}

impl Stray {
    pub(super) fn page(self) -> Response {
        let (status, text) = match self {
            Self::Over => (
                StatusCode::BAD_REQUEST,
                "This sign-in is over, or was begun in another browser. Start again from the app.",
            ),
            Self::OtherForm => (
                StatusCode::FORBIDDEN,
                "The form is not of this page. Start again from the app.",
            ),
        };
        pages::problem(status, text)
    }
}

impl Visit {
    pub(super) fn form(&self) -> Form {
        Form {
            request: self.request.clone(),
            csrf: self.session.csrf.clone(),
            member: self.member.clone(),
        }
    }
}

impl AuthorizationServer {
    /// The session of the browser's cookie.
    pub(super) fn session(&self, headers: &HeaderMap) -> Option<(String, Session)> {
        let name = secret::digest(&cookie(headers, &self.cookie_name())?);
        let session = self.desk.sessions.find(&name, self.clock.now())?;
        Some((name, session))
    }

    /// The request that this browser began.
    pub(super) fn visit(&self, headers: &HeaderMap, request: &str) -> Result<Visit, Stray> {
        let (name, session) = self.session(headers).ok_or(Stray::Over)?;
        let pending = self.desk.pending.find(request, self.clock.now());
        let pending = pending.filter(|pending| pending.session == name);
        Ok(Visit {
            name,
            session,
            request: request.to_owned(),
            pending: pending.ok_or(Stray::Over)?,
            member: self.member().to_string(),
        })
    }

    /// The same for a form, which must carry the session's token.
    pub(super) fn form_visit(
        &self,
        headers: &HeaderMap,
        form: &[(String, String)],
    ) -> Result<Visit, Stray> {
        let visit = self.visit(headers, field(form, "request"))?;
        if secret::is_same(field(form, "csrf"), &visit.session.csrf) {
            Ok(visit)
        } else {
            Err(Stray::OtherForm)
        }
    }

    /// Begins a session: its name, and the cookie that sets it.
    pub(super) fn begin(&self, session: Session) -> Option<(String, HeaderValue)> {
        let text = secret::fresh().ok()?;
        let name = secret::digest(&text);
        if !self.desk.sessions.put(&name, session, self.clock.now()) {
            return None;
        }
        let secure = if self.is_https() { "; Secure" } else { "" };
        let cookie = format!(
            "{}={text}; Path=/; HttpOnly; SameSite=Lax{secure}",
            self.cookie_name()
        );
        Some((name, HeaderValue::from_str(&cookie).ok()?))
    }

    /// The prefix makes browsers refuse a cookie that another host or an insecure page set.
    fn cookie_name(&self) -> String {
        let prefix = if self.is_https() { "__Host-" } else { "" };
        format!("{prefix}{COOKIE}")
    }
}

/// The value of a form's field.
pub(super) fn field<'a>(form: &'a [(String, String)], name: &str) -> &'a str {
    let mut pairs = form.iter();
    let found = pairs.find(|(one, _)| one == name);
    found.map_or("", |(_, value)| value)
}

/// A redirect by GET.
pub(super) fn see_other(url: &str) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    if let Ok(url) = HeaderValue::from_str(url) {
        headers.insert(header::LOCATION, url);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let no_referrer = HeaderValue::from_static("no-referrer");
    headers.insert(header::REFERRER_POLICY, no_referrer);
    response
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let values = headers.get_all(header::COOKIE).iter();
    let mut pairs = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let found = pairs.find(|(one, _)| *one == name);
    found.map(|(_, value)| value.to_owned())
}
