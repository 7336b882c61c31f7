//! Who asks: the bearer of the request's token.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use interop::fhir::ResourceType;
use interop::fhir::audit::AuditToken;
use ledger::ids::MemberName;
use node::custody::{Aim, Reach, Requester, Trail};

use crate::auth::{AccessToken, AuthorizationServer, Permission, Scopes, TokenProblem, Word};
use crate::http::RequestId;
use crate::problem::Problem;

/// Characters of a request line that are kept.
const LINE_MAX: usize = 2_048;

/// The bearer of a valid token.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    token: Arc<AccessToken>,
    requester: Arc<Requester>,
}

/// Lets nothing through without a valid token.
pub(crate) async fn authenticate(
    State(server): State<Arc<AuthorizationServer>>,
    mut request: Request,
    next: Next,
) -> Response {
    let authorization = request.headers().get(header::AUTHORIZATION);
    let token = match authorization.map(|value| value.to_str()) {
        None => Err(TokenProblem::Missing),
        Some(Err(_)) => Err(TokenProblem::NotBearer),
        Some(Ok(text)) => server.verify(text),
    };
    match token {
        Ok(token) => {
            let id = request.extensions().get::<RequestId>();
            let id = id.map(|id| id.logged().to_owned());
            let trail = trail(&request, &token, server.issuer());
            let caller = Caller::of(server.member(), token, id, trail);
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => {
            let mut response = Problem::unauthorized(problem).into_response();
            response.extensions_mut().insert(problem);
            response
        }
    }
}

/// What the audit log keeps of a request beside who asks.
fn trail(request: &Request, token: &AccessToken, issuer: &str) -> Trail {
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let line = format!("{} {}", request.method(), request.uri());
    Trail {
        token: Some(AuditToken::Minimal {
            jti: token.jti.clone(),
            issuer: issuer.to_owned(),
        }),
        address: address.map(|ConnectInfo(address)| address.ip().to_string()),
        query: Some(line.chars().take(LINE_MAX).collect()),
    }
}

impl Caller {
    /// Whoever bears the token, at this member.
    pub(crate) fn of(
        member: &MemberName,
        token: Arc<AccessToken>,
        request_id: Option<String>,
        trail: Trail,
    ) -> Self {
        let requester = Requester {
            member: member.clone(),
            client: token.client.clone(),
            practitioner: token.practitioner.clone(),
            role: token.role.clone(),
            patient: token.patient.clone(),
            related: token.related.clone(),
            emergency: token.emergency,
            purpose: token.purpose.clone(),
            request_id,
            reach: reach(&token.scopes, token.patient_in_context()),
            trail,
        };
        Self {
            token,
            requester: Arc::new(requester),
        }
    }

    pub(crate) fn requester(&self) -> &Requester {
        &self.requester
    }

    pub(crate) fn token(&self) -> &AccessToken {
        &self.token
    }

    /// What the token may be used for, as in the token.
    pub(crate) fn scopes(&self) -> String {
        self.token.scopes.to_string()
    }

    pub(crate) fn client(&self) -> &str {
        &self.token.client
    }

    /// The types that an emergency was declared for, with a token of one.
    pub(crate) fn declared_types(&self) -> Option<Vec<ResourceType>> {
        self.token.emergency?;
        let may_read = |one: &ResourceType| self.token.scopes.permit(*one, Permission::Read);
        Some(ResourceType::all().filter(may_read).collect())
    }

    /// The one patient whom the token is bound to, if it is a patient's.
    pub(crate) fn patient(&self) -> Option<&str> {
        self.token.patient.as_deref()
    }

    pub(crate) fn may(
        &self,
        resource_type: ResourceType,
        permission: Permission,
    ) -> Result<(), Problem> {
        if self.token.scopes.permit(resource_type, permission) {
            Ok(())
        } else {
            let name = resource_type.as_str();
            Err(Problem::insufficient_scope(name, permission))
        }
    }

    pub(crate) fn may_type(&self, name: &str, permission: Permission) -> Result<(), Problem> {
        let resource_type = ResourceType::parse(name);
        self.may(resource_type.ok_or_else(Problem::not_found)?, permission)
    }

    /// Whether the token has a scope that is a word.
    pub(crate) fn may_do(&self, word: Word) -> Result<(), Problem> {
        if self.token.scopes.have(word) {
            Ok(())
        } else {
            let said = format!("the access token lacks the scope {word}");
            Err(Problem::forbidden(said))
        }
    }

    pub(crate) fn may_on_all_types(&self, permission: Permission) -> Result<(), Problem> {
        if self.token.scopes.permit_all_types(permission) {
            Ok(())
        } else {
            Err(Problem::insufficient_scope("*", permission))
        }
    }
}

/// What scopes reach (T10), with this patient in context.
pub(crate) fn reach(scopes: &Scopes, patient: Option<&str>) -> Reach {
    if scopes.reach_all() {
        return Reach::default();
    }
    let (scopes, patient) = (scopes.clone(), patient.map(str::to_owned));
    Reach::limited(move |aim, reached| {
        let permission = match aim {
            Aim::Create => Permission::Create,
            Aim::Read => Permission::Read,
            Aim::Update => Permission::Update,
            Aim::Delete => Permission::Delete,
            Aim::Search => Permission::Search,
        };
        scopes.admit(reached, permission, patient.as_deref())
    })
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // A route that is not behind `authenticate` has no caller: it answers nobody.
        let caller = parts.extensions.get::<Self>();
        caller
            .cloned()
            .ok_or_else(|| Problem::unauthorized(TokenProblem::Missing))
    }
}
