//! Tokens that are issued or refused: each goes into the log before its answer leaves.

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use interop::fhir::audit::{AuditAgent, AuditEntry, AuditOutcome, AuditToken};
use ledger::ids::MemberName;
use node::custody::Custody;
use serde_json::Value;
use std::net::SocketAddr;

use crate::auth::SignedIn;
use crate::http::RequestId;
use crate::problem::Problem;

const TOKEN: &str = "/oauth2/token";
/// Where people sign in: with a password, or on their way back from an identity provider.
const SIGN_IN: [&str; 2] = ["/oauth2/login", "/oauth2/callback"];
/// An answer of the token endpoint is a few kilobytes.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// The log, and the member whose log it is.
#[derive(Clone)]
pub(crate) struct Sessions {
    custody: Custody,
    member: String,
}

impl Sessions {
    pub(crate) fn of(custody: &Custody, member: &MemberName) -> Self {
        Self {
            custody: custody.clone(),
            member: member.to_string(),
        }
    }
}

/// Puts what the token endpoint answers into the log; without that, nobody gets a token.
pub(crate) async fn keep_sessions(
    State(sessions): State<Sessions>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let is_token = request.method() == Method::POST && path == TOKEN;
    if !is_token && !SIGN_IN.contains(&path.as_str()) {
        return next.run(request).await;
    }
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = address.map(|ConnectInfo(address)| address.ip().to_string());
    let id = request.extensions().get::<RequestId>();
    let id = id.map(|id| id.logged().to_owned());
    if !is_token {
        let response = next.run(request).await;
        let Some(mut entry) = sign_in(&response, &sessions.member) else {
            return response;
        };
        entry.agent.address = address;
        entry.request_id = id;
        path.clone_into(&mut entry.target);
        return match sessions.custody.audit(entry).await {
            Ok(_) => response,
            Err(error) => Problem::from(error).into_response(),
        };
    }
    let (parts, body) = next.run(request).await.into_parts();
    let Ok(body) = to_bytes(body, ANSWER_BYTES_MAX).await else {
        return Problem::internal("the answer of the token endpoint").into_response();
    };
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut entry = entry(&answer, &sessions.member);
    entry.agent.address = address;
    entry.request_id = id;
    match sessions.custody.audit(entry).await {
        Ok(_) => Response::from_parts(parts, Body::from(body)),
        Err(error) => Problem::from(error).into_response(),
    }
}

/// Somebody signed in, or was not let in; anything else is no sign-in yet.
fn sign_in(response: &Response, member: &str) -> Option<AuditEntry> {
    let person = response.extensions().get::<SignedIn>();
    if person.is_none() && response.status() != StatusCode::UNAUTHORIZED {
        return None;
    }
    let user = person.cloned().unwrap_or_default();
    let patient = user.patient.clone();
    let agent = AuditAgent {
        client: "browser".to_owned(),
        address: None,
        user: user
            .practitioner
            .or_else(|| patient.as_ref().map(|id| format!("Patient/{id}"))),
        role: user.role,
        purpose: None,
        organization: member.to_owned(),
        token: None,
    };
    let mut entry = AuditEntry::new("sign-in", agent);
    entry.patient = patient;
    if person.is_none() {
        // What was typed may be a password: it is not repeated.
        entry.outcome = AuditOutcome::Denied;
        entry.reason = Some("the sign-in was refused".to_owned());
    }
    Some(entry)
}

fn entry(answer: &Value, member: &str) -> AuditEntry {
    let word = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
    let token = word(answer, "access_token");
    let claims = token.as_deref().and_then(claims).unwrap_or_default();
    let bearer = claims.get("careledger").cloned().unwrap_or_default();
    let patient = word(&bearer, "patient");
    let user = word(&bearer, "practitioner");
    let jti = word(&claims, "jti").zip(word(&claims, "iss"));
    let agent = AuditAgent {
        client: word(&claims, "sub").unwrap_or_else(|| "unknown".to_owned()),
        address: None,
        user: user.or_else(|| patient.as_ref().map(|id| format!("Patient/{id}"))),
        role: word(&bearer, "role"),
        purpose: word(&bearer, "purpose"),
        organization: member.to_owned(),
        token: jti.map(|(jti, issuer)| AuditToken::Minimal { jti, issuer }),
    };
    let mut entry = AuditEntry::new("token", agent);
    entry.target = word(answer, "scope").unwrap_or_default();
    entry.query = Some(format!("POST {TOKEN}"));
    entry.patient = patient;
    if token.is_none() {
        entry.outcome = AuditOutcome::Denied;
        entry.reason = word(answer, "error_description").or_else(|| word(answer, "error"));
    }
    entry
}

/// What our own token says: its signature is not in question.
fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}
