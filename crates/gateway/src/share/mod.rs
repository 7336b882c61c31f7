//! SMART Health Links, for whoever has one: the manifest at `POST /shl/[secret]`, the only file at `GET /shl/[secret]`
//! (flag `U`), and files that are too large for a manifest at `GET /shl/[secret]/[ticket]`.
//!
//! Nobody signs in here. What is given is noise without the key, which is in the link and never comes here; each fetch is on
//! the patient's record before it is answered.

mod tickets;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use interop::shl::{ManifestFile, Place, manifest};
use node::custody::{Custody, CustodyError, Recipient, ShareGate, SharedFile};
use serde::Deserialize;
use serde_json::json;
use tower_http::cors::{Any, CorsLayer};
use vault::password;

use crate::auth::Clock;
use crate::problem::Problem;
use tickets::Tickets;

/// Bytes of a manifest request.
const ASKED_BYTES_MAX: usize = 4 * 1024;
/// Characters of a recipient's name that are kept.
const RECIPIENT_CHARS_MAX: usize = 128;
/// Fetches of one link a second: each takes an item on the ledger.
const FETCHES: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
/// Links that are kept in mind before those that rest are forgotten.
const LINKS_KEPT: usize = 10_000;
/// What a compact JWE is called.
const JOSE: &str = "application/jose";

/// Answers whoever has a link.
pub(crate) struct Desk {
    custody: Custody,
    clock: Clock,
    /// Without a slash at its end.
    base: String,
    tickets: Tickets,
    fetches: DefaultKeyedRateLimiter<[u8; 32]>,
}

/// A manifest request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    recipient: String,
    passcode: Option<String>,
    embedded_length_max: Option<usize>,
}

#[derive(Deserialize)]
struct AskedDirectly {
    recipient: String,
}

/// Where a request came from.
struct Address(Option<String>);

/// The routes of links. Readers run in browsers, at any origin.
pub(crate) fn routes(custody: Custody, clock: Clock, base: &str) -> Router {
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE]);
    let desk = Desk {
        custody,
        clock,
        base: base.to_owned(),
        tickets: Tickets::default(),
        fetches: RateLimiter::keyed(Quota::per_second(FETCHES)),
    };
    Router::new()
        .route("/shl/{secret}", get(direct).post(listed))
        .route("/shl/{secret}/{ticket}", get(file))
        .layer(DefaultBodyLimit::max(ASKED_BYTES_MAX))
        .layer(cors)
        .with_state(Arc::new(desk))
}

/// `POST /shl/[secret]`.
async fn listed(
    State(desk): State<Arc<Desk>>,
    Path(secret): Path<String>,
    address: Address,
    body: Bytes,
) -> Result<Response, Problem> {
    let secret = parsed(&secret)?;
    let asked: Asked = serde_json::from_slice(&body).map_err(|_| {
        Problem::malformed(
            "a manifest request is JSON with `recipient`, and `passcode` if there is one",
        )
    })?;
    let recipient = recipient(&asked.recipient, address)?;
    let gate = desk.knock(&secret).await?;
    if gate.is_direct {
        return Err(Problem::not_found());
    }
    if !is_right(gate.passcode, asked.passcode).await? {
        desk.custody.refuse_share(&secret, recipient).await?;
        let left = json!({ "remainingAttempts": gate.tries.unwrap_or_default() });
        return Ok((StatusCode::UNAUTHORIZED, Json(left)).into_response());
    }
    let files = desk.custody.fetch_share(&secret, recipient).await?;
    let longest = asked.embedded_length_max.unwrap_or(usize::MAX);
    let files = files.into_iter().enumerate();
    let files: Vec<_> = files
        .map(|(number, file)| desk.placed((&secret, number), file, longest))
        .collect();
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((no_store, Json(manifest(&files))).into_response())
}

/// `GET /shl/[secret]?recipient=…`, with the flag `U`.
async fn direct(
    State(desk): State<Arc<Desk>>,
    Path(secret): Path<String>,
    address: Address,
    asked: Result<Query<AskedDirectly>, QueryRejection>,
) -> Result<Response, Problem> {
    let secret = parsed(&secret)?;
    let Ok(Query(asked)) = asked else {
        return Err(Problem::malformed(
            "the query must say who the `recipient` is",
        ));
    };
    let recipient = recipient(&asked.recipient, address)?;
    let gate = desk.knock(&secret).await?;
    if !gate.is_direct {
        return Err(Problem::not_found());
    }
    let files = desk.custody.fetch_share(&secret, recipient).await?;
    let file = files.into_iter().next().ok_or_else(Problem::not_found)?;
    Ok(sealed(file))
}

/// `GET /shl/[secret]/[ticket]`: a file of a manifest, once.
async fn file(
    State(desk): State<Arc<Desk>>,
    Path((secret, ticket)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (secret, ticket) = (parsed(&secret)?, parsed(&ticket)?);
    let number = desk.tickets.spend(&ticket, &secret, desk.clock.now());
    let number = number.ok_or_else(Problem::not_found)?;
    let now = desk.now();
    Ok(sealed(desk.custody.shared_file(&secret, number, now)?))
}

impl Desk {
    fn now(&self) -> u64 {
        self.clock.now().saturating_mul(1_000)
    }

    async fn knock(&self, secret: &[u8; 32]) -> Result<ShareGate, Problem> {
        // Only links that are there are kept in mind.
        match self.custody.has_share(secret)? {
            true if self.fetches.check_key(secret).is_err() => {
                return Err(Problem::too_many_requests(1));
            }
            true => {}
            false => return Err(CustodyError::NotFound.into()),
        }
        if self.fetches.len() > LINKS_KEPT {
            self.fetches.retain_recent();
        }
        Ok(self.custody.knock(secret, self.now()).await?)
    }

    /// A file in the manifest, or a ticket for it if it is longer than the reader takes.
    fn placed(
        &self,
        (secret, number): (&[u8; 32], usize),
        file: SharedFile,
        longest: usize,
    ) -> ManifestFile {
        let place = if file.jwe.len() <= longest {
            Place::Embedded(file.jwe)
        } else {
            let ticket = self.tickets.issue(secret, number, self.clock.now());
            let [secret, ticket] = [*secret, ticket].map(|part| URL_SAFE_NO_PAD.encode(part));
            Place::At(format!("{}/shl/{secret}/{ticket}", self.base))
        };
        ManifestFile {
            content_type: file.content_type,
            place,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Address {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let address = address.map(|ConnectInfo(address)| address.ip().to_string());
        Ok(Self(address))
    }
}

fn sealed(file: SharedFile) -> Response {
    (
        [(header::CONTENT_TYPE, HeaderValue::from_static(JOSE))],
        file.jwe,
    )
        .into_response()
}

fn parsed(text: &str) -> Result<[u8; 32], Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(Problem::not_found)
}

/// Who fetches, as they say themselves: nobody checks it.
fn recipient(name: &str, Address(address): Address) -> Result<Recipient, Problem> {
    let name: String = name
        .trim()
        .chars()
        .filter(|one| !one.is_control())
        .take(RECIPIENT_CHARS_MAX)
        .collect();
    if name.is_empty() {
        return Err(Problem::malformed("`recipient` must say who fetches"));
    }
    Ok(Recipient { name, address })
}

/// Whether a link's passcode was given. It takes a while, on a thread of its own.
async fn is_right(hash: Option<String>, passcode: Option<String>) -> Result<bool, Problem> {
    let Some(hash) = hash else {
        return Ok(true);
    };
    let passcode = passcode.unwrap_or_default();
    let compared =
        tokio::task::spawn_blocking(move || password::is_right(passcode.as_bytes(), &hash)).await;
    compared.map_err(|_| Problem::internal("a passcode cannot be compared"))
}
