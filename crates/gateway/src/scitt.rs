//! SCRAPI (draft-ietf-scitt-scrapi): keys, registration and receipts in the formats of SCITT, under `/scitt`.
//!
//! An entry's id is the state key that its statement is found by, in hexadecimal: that of its first tag, or of the command.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use contracts::machine;
use ledger::ids::{Digest, MemberName};
use ledger::scitt::{self, Proof, RECEIPT_MEDIA_TYPE, STATEMENT_MEDIA_TYPE};
use ledger::state::StateKey;
use minicbor::Encoder;
use node::chain::{PublicLog, StoreError, SubmitError, transparent_statement};
use node::custody::Anchor;

use crate::log::retry_after;

const KEYS_MEDIA_TYPE: &str = "application/cbor";
const PROBLEM_MEDIA_TYPE: &str = "application/concise-problem-details+cbor";
/// How long a registration is waited for before the answer is where to ask again.
const REGISTRATION_WAIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);
const ENTRIES: &str = "/scitt/entries";

/// What the routes of this file need.
#[derive(Clone)]
pub(crate) struct Scitt {
    pub(crate) member: MemberName,
    pub(crate) ledger: Arc<dyn Anchor>,
    pub(crate) log: Arc<dyn PublicLog>,
}

/// `GET /.well-known/scitt-keys`: all members' keys, as a COSE_KeySet.
pub(crate) async fn keys(State(scitt): State<Scitt>) -> Response {
    let registry = scitt.log.registry();
    let keys = registry.node_certificates();
    let set = scitt::cose_key_set(keys.map(|(_, one)| (one.thumbprint, one.key)));
    ([(header::CONTENT_TYPE, KEYS_MEDIA_TYPE)], set).into_response()
}

/// `GET /.well-known/scitt-keys/{kid}`: one key, by the SHA-256 of its certificate.
pub(crate) async fn key(State(scitt): State<Scitt>, Path(kid): Path<String>) -> Response {
    let registry = scitt.log.registry();
    let mut certificates = registry.node_certificates();
    match certificates.find(|(_, one)| one.thumbprint.to_string() == kid) {
        Some((_, one)) => {
            let key = scitt::cose_key(one.thumbprint, (one.key.algorithm(), &one.key.to_bytes()));
            ([(header::CONTENT_TYPE, KEYS_MEDIA_TYPE)], key).into_response()
        }
        None => problem(
            StatusCode::NOT_FOUND,
            "No such key",
            "no member has that certificate",
        ),
    }
}

/// `POST /scitt/entries`: registers a signed statement; its items are in its unprotected header.
pub(crate) async fn register(State(scitt): State<Scitt>, body: Bytes) -> Response {
    let statement = match scitt::registered(&body) {
        Ok(statement) => statement,
        Err(error) => {
            return problem(
                StatusCode::BAD_REQUEST,
                "Invalid statement",
                &error.to_string(),
            );
        }
    };
    let Some(key) = machine::plan(&statement).first().copied() else {
        let detail = "the statement carries nothing that can be looked up";
        return problem(StatusCode::BAD_REQUEST, "Invalid statement", detail);
    };
    match scitt.ledger.submit(statement) {
        Ok(()) => {}
        Err(SubmitError::Rejected(rule)) => {
            let title = format!("Rejected by rule {}", rule.code());
            return problem(StatusCode::BAD_REQUEST, &title, &rule.to_string());
        }
        Err(SubmitError::Full) => {
            let detail = "too many statements are waiting: send the same bytes again later";
            return problem(StatusCode::SERVICE_UNAVAILABLE, "Busy", detail);
        }
        Err(SubmitError::OverQuota { wait_ms }) => {
            let detail = "the member's quota is used up: send the same bytes again later";
            let later = problem(StatusCode::TOO_MANY_REQUESTS, "Too many requests", detail);
            return (retry_after(wait_ms), later).into_response();
        }
        Err(SubmitError::Store(error)) => return unavailable(&error),
    }
    let until = tokio::time::Instant::now() + REGISTRATION_WAIT;
    while tokio::time::Instant::now() < until {
        match scitt.receipt(key) {
            Ok(Resolved::Receipt(receipt)) => {
                return (StatusCode::CREATED, receipt_headers(key), receipt).into_response();
            }
            Ok(_) => tokio::time::sleep(POLL).await,
            Err(error) => return unavailable(&error),
        }
    }
    again(StatusCode::SEE_OTHER, key)
}

/// `GET /scitt/entries/{id}`: this member's receipt, or where to ask again.
pub(crate) async fn entry(State(scitt): State<Scitt>, Path(id): Path<String>) -> Response {
    let Some(key) = state_key(&id) else {
        return no_entry();
    };
    match scitt.receipt(key) {
        Ok(Resolved::Receipt(receipt)) => (receipt_headers(key), receipt).into_response(),
        Ok(Resolved::Running) => again(StatusCode::FOUND, key),
        Ok(Resolved::Unknown) => no_entry(),
        Err(error) => unavailable(&error),
    }
}

/// `GET /scitt/signed-statements/{id}`: the statement with the receipts of all members that signed.
pub(crate) async fn signed_statement(
    State(scitt): State<Scitt>,
    Path(id): Path<String>,
) -> Response {
    let found = state_key(&id).map(|key| scitt.log.find(key)).transpose();
    let found = found.map(Option::flatten);
    let transparent = found.and_then(|index| {
        let statement = index.map(|index| transparent_statement(&*scitt.log, index));
        statement.transpose().map(Option::flatten)
    });
    match transparent {
        Ok(Some(statement)) => {
            ([(header::CONTENT_TYPE, STATEMENT_MEDIA_TYPE)], statement).into_response()
        }
        Ok(None) => no_entry(),
        Err(error) => unavailable(&error),
    }
}

/// `GET /scitt/consistency/{size}`: this member's receipt that the log continues its first entries.
pub(crate) async fn consistency(State(scitt): State<Scitt>, Path(size): Path<u64>) -> Response {
    match scitt.log.consistency(size) {
        Ok(receipts) => match scitt.own(receipts) {
            Some(receipt) => {
                ([(header::CONTENT_TYPE, RECEIPT_MEDIA_TYPE)], receipt).into_response()
            }
            None => problem(
                StatusCode::NOT_FOUND,
                "No such size",
                "no checkpoint of that size or more is signed by a quorum",
            ),
        },
        Err(error) => unavailable(&error),
    }
}

enum Resolved {
    Receipt(Vec<u8>),
    /// It waits to be ordered, or for a quorum's signatures.
    Running,
    Unknown,
}

impl Scitt {
    fn receipt(&self, key: StateKey) -> Result<Resolved, StoreError> {
        let Some(index) = self.log.find(key)? else {
            let waits = self.log.is_waiting(key);
            return Ok(if waits {
                Resolved::Running
            } else {
                Resolved::Unknown
            });
        };
        let Some(cosigned) = self.log.cosigned(index)? else {
            return Ok(Resolved::Running);
        };
        let proof = Proof::Inclusion(cosigned.path);
        let receipts = cosigned.signatures.iter().map(|one| one.receipt(&proof));
        Ok(self
            .own(receipts.collect())
            .map_or(Resolved::Running, Resolved::Receipt))
    }

    /// This member's receipt, or the first where it runs no validator.
    fn own(&self, receipts: Vec<Vec<u8>>) -> Option<Vec<u8>> {
        let is_own = |receipt: &Vec<u8>| {
            let read = scitt::CoseReceipt::decode(receipt);
            read.is_ok_and(|read| read.signature.member == self.member)
        };
        let at = receipts.iter().position(is_own).unwrap_or_default();
        receipts.into_iter().nth(at)
    }
}

fn state_key(id: &str) -> Option<StateKey> {
    let id = Digest::from_hex(id)?;
    Some(StateKey(id.0))
}

fn location(key: StateKey) -> String {
    format!("{ENTRIES}/{}", Digest(key.0))
}

fn receipt_headers(key: StateKey) -> [(header::HeaderName, String); 2] {
    [
        (header::CONTENT_TYPE, RECEIPT_MEDIA_TYPE.to_owned()),
        (header::LOCATION, location(key)),
    ]
}

fn again(status: StatusCode, key: StateKey) -> Response {
    let headers = [
        (header::LOCATION, location(key)),
        (header::RETRY_AFTER, "1".to_owned()),
    ];
    (status, headers).into_response()
}

fn no_entry() -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "No such entry",
        "the log has no entry with that id",
    )
}

fn unavailable(error: &StoreError) -> Response {
    if let StoreError::NotKept(_) | StoreError::BlockNotKept(_) = error {
        return problem(StatusCode::GONE, "Not kept", &error.to_string());
    }
    tracing::error!(%error, "the log cannot be read");
    problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "Unavailable",
        "the log cannot be read now",
    )
}

/// Concise problem details (RFC 9290): title and detail.
fn problem(status: StatusCode, title: &str, detail: &str) -> Response {
    let mut encoder = Encoder::new(Vec::new());
    // INVARIANT: writing to memory does not fail.
    let _written = encoder
        .map(2)
        .and_then(|map| map.i8(-1)?.str(title)?.i8(-2)?.str(detail));
    let body = encoder.into_writer();
    let content_type = HeaderValue::from_static(PROBLEM_MEDIA_TYPE);
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}
