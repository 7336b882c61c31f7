//! The steps of a request: who, which patient, what is granted.

use std::sync::Arc;

use axum::extract::{Form, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use node::custody::{Reach, Requester, Trail};
use reqwest::Url;

use super::session::{Visit, field, see_other};
use crate::auth::authorize::{AuthorizationRequest, Launch, Refused};
use crate::auth::desk::{Pending, Session};
use crate::auth::grant::{self, Grant};
use crate::auth::pages::{self, Consent};
use crate::auth::patients::PatientsUnavailable;
use crate::auth::rows::Kind;
use crate::auth::scope::{Scopes, Word};
use crate::auth::secret;
use crate::auth::server::AuthorizationServer;
use crate::auth::user::User;
use crate::http::pairs_of;

const BUSY: &str = "The server cannot answer at the moment. Try again later.";

pub(crate) async fn authorize(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let pairs: Vec<_> = pairs_of(query.as_deref().unwrap_or_default()).collect();
    server.begin_request(&headers, &pairs).await
}

pub(crate) async fn authorize_by_form(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Response {
    server.begin_request(&headers, &pairs).await
}

/// The next step.
pub(crate) async fn proceed(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let query: Vec<_> = pairs_of(query.as_deref().unwrap_or_default()).collect();
    match server.visit(&headers, field(&query, "request")) {
        Ok(visit) => server.next_step(&visit).await,
        Err(stray) => stray.page(),
    }
}

pub(crate) async fn patient(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    match server.form_visit(&headers, &form) {
        Ok(visit) => server.choose_patient(&visit, &form).await,
        Err(stray) => stray.page(),
    }
}

pub(crate) async fn consent(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    match server.form_visit(&headers, &form) {
        Ok(visit) => server.decide(&visit, &form).await,
        Err(stray) => stray.page(),
    }
}

impl AuthorizationServer {
    async fn begin_request(&self, headers: &HeaderMap, pairs: &[(String, String)]) -> Response {
        let request = match self.request(pairs).await {
            Ok(request) => request,
            Err(refused) => return self.refuse(&refused),
        };
        let (Ok(id), Ok(csrf)) = (secret::fresh(), secret::fresh()) else {
            return pages::problem(StatusCode::SERVICE_UNAVAILABLE, BUSY);
        };
        let (name, cookie) = match self.session(headers) {
            Some((name, session)) => {
                if !is_recent(&session, request.max_age, self.clock.now()) {
                    let signed_out = |session: &mut Session| session.user = None;
                    self.desk.sessions.change(&name, signed_out);
                }
                (name, None)
            }
            None => match self.begin(Session { user: None, csrf }) {
                Some((name, cookie)) => (name, Some(cookie)),
                None => return pages::problem(StatusCode::SERVICE_UNAVAILABLE, BUSY),
            },
        };
        let encounter = request.launch.as_ref();
        let pending = Pending {
            session: name,
            encounter: encounter.and_then(|(_, launch)| launch.encounter.clone()),
            request,
            patient: None,
            related: None,
        };
        if !self.desk.pending.put(&id, pending, self.clock.now()) {
            return pages::problem(StatusCode::SERVICE_UNAVAILABLE, BUSY);
        }
        let mut response = self.go_on(&id);
        if let Some(cookie) = cookie {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        response
    }

    async fn next_step(&self, visit: &Visit) -> Response {
        let request = &visit.pending.request;
        let Some((user, _)) = &visit.session.user else {
            return self.sign_in_page(visit, StatusCode::OK, None);
        };
        let Some(scopes) = scopes_for(request, user) else {
            return self.denied(visit, "access_denied");
        };
        if let Some((
            _,
            Launch {
                user: Some(expected),
                ..
            },
        )) = &request.launch
            && user.practitioner.as_ref() != Some(expected)
        {
            return self.denied(visit, "access_denied");
        }
        if visit.pending.patient.is_none() && (scopes.need_patient() || user.is_confined()) {
            return match in_context(request, user) {
                Some(id) => self.set_patient(visit, user, &id).await,
                None if !user.related.is_empty() => self.principals_page(visit, user).await,
                None => self.patient_page(visit, None),
            };
        }
        let each = scopes.each();
        let patient = visit.pending.patient.as_ref();
        let origin = Url::parse(&request.redirect_uri);
        let origin = origin.map_or_else(
            |_| String::new(),
            |url| url.host_str().unwrap_or(url.scheme()).to_owned(),
        );
        let asked = Consent {
            app: &request.client.name,
            origin: &origin,
            person: &user.name,
            patient: patient.map(|(_, label)| label.as_str()),
            scopes: &each,
        };
        let page = pages::consent(&visit.form(), &asked);
        pages::answer(StatusCode::OK, &page, Some(&request.redirect_uri))
    }

    async fn choose_patient(&self, visit: &Visit, form: &[(String, String)]) -> Response {
        let Some((user, _)) = &visit.session.user else {
            return self.go_on(&visit.request);
        };
        // Who is in context already is not chosen.
        if in_context(&visit.pending.request, user).is_some() {
            return self.go_on(&visit.request);
        }
        let id = field(form, "patient");
        if !id.is_empty() {
            return self.set_patient(visit, user, id).await;
        }
        if !user.related.is_empty() {
            return self.principals_page(visit, user).await;
        }
        let by = self.requester(&visit.pending.request, user, None);
        match self.patients.find(&by, field(form, "words")).await {
            Ok(found) => self.patient_page(visit, Some(&found)),
            Err(_) => pages::problem(StatusCode::SERVICE_UNAVAILABLE, BUSY),
        }
    }

    /// Puts a patient in context whose record this person may open.
    async fn set_patient(&self, visit: &Visit, user: &User, id: &str) -> Response {
        let Ok(related) = self.acting_for(user, id) else {
            return pages::problem(StatusCode::SERVICE_UNAVAILABLE, BUSY);
        };
        if related.is_none() && !user.related.is_empty() {
            return self.denied(visit, "access_denied");
        }
        let by = self.requester(&visit.pending.request, user, related.clone());
        let Ok(found) = self.patients.one(&by, id).await else {
            return pages::problem(StatusCode::SERVICE_UNAVAILABLE, BUSY);
        };
        let Some(one) = found.into_iter().find(|one| one.id == id) else {
            return self.denied(visit, "access_denied");
        };
        self.desk.pending.change(&visit.request, |pending| {
            pending.patient = Some((one.id, one.label));
            pending.related = related;
        });
        self.go_on(&visit.request)
    }

    async fn decide(&self, visit: &Visit, form: &[(String, String)]) -> Response {
        // Answered once.
        if self
            .desk
            .pending
            .take(&visit.request, self.clock.now())
            .is_none()
        {
            return pages::problem(StatusCode::BAD_REQUEST, "This was answered before.");
        }
        if field(form, "decision") != "approve" {
            return self.denied(visit, "access_denied");
        }
        let chosen: Vec<&str> = form
            .iter()
            .filter(|(name, _)| name == "scope")
            .map(|(_, value)| value.as_str())
            .collect();
        let Some((user, signed_in_at)) = &visit.session.user else {
            return self.denied(visit, "access_denied");
        };
        let request = &visit.pending.request;
        let granted = scopes_for(request, user)
            .zip(chosen.join(" ").parse::<Scopes>().ok())
            .and_then(|(allowed, chosen)| chosen.within(&allowed));
        let Some(scopes) = granted else {
            return self.denied(visit, "access_denied");
        };
        let patient = visit.pending.patient.as_ref().map(|(id, _)| id.clone());
        if patient.is_none() && (scopes.need_patient() || user.is_confined()) {
            return self.denied(visit, "access_denied");
        }
        if !self.use_up_launch(request).await {
            return self.denied(visit, "invalid_request");
        }
        let grant = Grant {
            client: request.client.id.clone(),
            purpose: grant::purpose(&request.client, user),
            user: user.clone(),
            patient,
            related: visit.pending.related.clone(),
            encounter: visit.pending.encounter.clone(),
            scopes: scopes.to_string(),
            nonce: request.nonce.clone(),
            signed_in_at: *signed_in_at,
        };
        let (uri, challenge) = (request.redirect_uri.clone(), request.challenge.clone());
        match self.code(grant, uri, challenge).await {
            Ok(code) => self.back(request, ("code", &code)),
            Err(_) => self.denied(visit, "temporarily_unavailable"),
        }
    }

    /// Whether the launch of the request had not been used.
    async fn use_up_launch(&self, request: &AuthorizationRequest) -> bool {
        let Some((name, _)) = &request.launch else {
            return true;
        };
        match self
            .kept
            .find::<Launch>(Kind::Launch, name, self.clock.now())
        {
            Ok(Some(found)) => self.kept.remove(&found).await.unwrap_or(false),
            _ => false,
        }
    }

    fn patient_page(
        &self,
        visit: &Visit,
        found: Option<&[crate::auth::patients::Choice]>,
    ) -> Response {
        let app = &visit.pending.request.client.name;
        let page = pages::choose_patient(&visit.form(), app, found);
        let redirect_uri = &visit.pending.request.redirect_uri;
        pages::answer(StatusCode::OK, &page, Some(redirect_uri))
    }

    /// As whom the person acts in the place of this patient, if that is so.
    fn acting_for(&self, user: &User, id: &str) -> Result<Option<String>, PatientsUnavailable> {
        for related in &user.related {
            if self.patients.principal_of(related)?.as_deref() == Some(id) {
                return Ok(Some(related.clone()));
            }
        }
        Ok(None)
    }

    /// The patients in whose place the person acts, as far as their records may be seen: one is not asked for.
    async fn principals_page(&self, visit: &Visit, user: &User) -> Response {
        let request = &visit.pending.request;
        let mut found = Vec::new();
        for related in &user.related {
            let Ok(principal) = self.patients.principal_of(related) else {
                return pages::problem(StatusCode::SERVICE_UNAVAILABLE, BUSY);
            };
            let Some(id) = principal else { continue };
            let by = self.requester(request, user, Some(related.clone()));
            match self.patients.one(&by, &id).await {
                Ok(one) => found.extend(one),
                Err(_) => return pages::problem(StatusCode::SERVICE_UNAVAILABLE, BUSY),
            }
        }
        match found.as_slice() {
            [] => self.denied(visit, "access_denied"),
            [one] => self.set_patient(visit, user, &one.id).await,
            several => {
                let page = pages::choose_principal(&visit.form(), &request.client.name, several);
                pages::answer(StatusCode::OK, &page, Some(&request.redirect_uri))
            }
        }
    }

    fn requester(
        &self,
        request: &AuthorizationRequest,
        user: &User,
        related: Option<String>,
    ) -> Requester {
        Requester {
            member: self.member.clone(),
            client: request.client.id.clone(),
            practitioner: user.practitioner.clone(),
            role: user.role.clone(),
            patient: user.patient.clone(),
            related,
            emergency: None,
            purpose: grant::purpose(&request.client, user),
            request_id: None,
            reach: Reach::default(),
            trail: Trail::default(),
        }
    }

    fn denied(&self, visit: &Visit, error: &str) -> Response {
        self.back(&visit.pending.request, ("error", error))
    }

    fn back(&self, request: &AuthorizationRequest, answer: (&str, &str)) -> Response {
        let state = Some(request.state.as_str());
        see_other(&self.redirect(&request.redirect_uri, state, &[answer]))
    }

    fn refuse(&self, refused: &Refused) -> Response {
        let said = refused.error.to_string();
        let Some((uri, state)) = &refused.back_to else {
            let said = format!("The app's request cannot be answered: {said}.");
            return pages::problem(StatusCode::BAD_REQUEST, &said);
        };
        let answer = [
            ("error", refused.error.code()),
            ("error_description", said.as_str()),
        ];
        see_other(&self.redirect(uri, state.as_deref(), &answer))
    }

    /// A redirect URI with an answer, the state, and who answers (RFC 9207).
    fn redirect(&self, uri: &str, state: Option<&str>, answer: &[(&str, &str)]) -> String {
        let Ok(mut url) = Url::parse(uri) else {
            return uri.to_owned();
        };
        url.query_pairs_mut()
            .extend_pairs(answer)
            .extend_pairs(state.map(|state| ("state", state)))
            .append_pair("iss", &self.base_url);
        url.into()
    }
}

/// Whether the request takes the sign-in that there is: with a `max_age` of nothing it takes one of its own.
fn is_recent(session: &Session, max_age: Option<u64>, now: u64) -> bool {
    match (&session.user, max_age) {
        (Some((_, at)), Some(seconds)) => seconds > 0 && now.saturating_sub(*at) <= seconds,
        _ => true,
    }
}

/// What this person can grant: a patient nothing but the own record.
fn scopes_for(request: &AuthorizationRequest, user: &User) -> Option<Scopes> {
    let scopes = request.scopes.clone();
    if user.is_confined() {
        scopes.of_a_patient()
    } else {
        Some(scopes)
    }
}

/// The patient whom nobody has to choose.
fn in_context(request: &AuthorizationRequest, user: &User) -> Option<String> {
    let own = user.patient.clone();
    let launched = || {
        let (_, launch) = request.launch.as_ref()?;
        launch
            .patient
            .clone()
            .filter(|_| request.scopes.have(Word::Launch))
    };
    own.or_else(launched)
}
