//! A Binary as it is, piece by piece: <https://hl7.org/fhir/R4/binary.html#rest>
//!
//! What says or accepts FHIR's own JSON goes on to where every resource is served.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use interop::fhir::labels::{NOTICE, needs_notice};
use interop::fhir::resource::is_id;
use interop::fhir::{IssueType, ResourceType};
use node::custody::{BinaryDraft, Change, OpenedBinary, Written};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::answer::{self, Version};
use super::caller::Caller;
use super::preferences::{IfMatch, Preferences, Return};
use super::{Fhir, provenance};
use crate::auth::Permission;
use crate::http::{accepts, is_fhir, names_fhir, pairs_of};
use crate::problem::Problem;

const TYPE: &str = "Binary";
const X_SECURITY_CONTEXT: HeaderName = HeaderName::from_static("x-security-context");
/// What accompanies content that has no place for it (42 CFR 2.32).
const X_REDISCLOSURE_NOTICE: HeaderName = HeaderName::from_static("x-redisclosure-notice");
/// What the consent covers on which the content is disclosed; UTF-8.
const X_CONSENT_SCOPE: HeaderName = HeaderName::from_static("x-consent-scope");
/// A content up to this size is written like every other resource.
const SMALL_BYTES_MAX: usize = 256 << 10;
/// The longest wait for the next piece of a body.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Each upload holds some parts of five megabytes.
static UPLOADS: Semaphore = Semaphore::const_new(16);

/// What is asked for in its own form.
enum Native {
    Write { id: Option<String> },
    Read { id: String, version: Option<u64> },
}

/// Whether a Binary in its own form is what is asked for.
pub(crate) fn is_native(request: &Request) -> bool {
    Native::asked(request).is_some()
}

/// Serves a Binary in its own form.
pub(crate) async fn native(State(fhir): State<Arc<Fhir>>, request: Request) -> Response {
    let Some(asked) = Native::asked(&request) else {
        return Problem::not_found().into_response();
    };
    let answer = match asked {
        Native::Write { id } => write(&fhir, id, request).await,
        Native::Read { id, version } => read(&fhir, (&id, version), request).await,
    };
    answer.unwrap_or_else(IntoResponse::into_response)
}

impl Native {
    fn asked(request: &Request) -> Option<Self> {
        let path = request.uri().path().strip_prefix("/fhir/Binary")?;
        let mut segments = path.split('/').skip(1);
        let id = segments.next().map(str::to_owned);
        let history = (segments.next(), segments.next(), segments.next());
        if id.as_deref().is_some_and(|id| !is_id(id)) || path.starts_with(|first| first != '/') {
            return None;
        }
        let method = request.method();
        match (id, history) {
            (None, _) if method == Method::POST && is_raw(request.headers()) => {
                Some(Self::Write { id: None })
            }
            (Some(id), (None, ..)) if method == Method::PUT && is_raw(request.headers()) => {
                Some(Self::Write { id: Some(id) })
            }
            (Some(id), (None, ..)) if method == Method::GET && wants_raw(request) => {
                Some(Self::Read { id, version: None })
            }
            (Some(id), (Some("_history"), Some(version), None))
                if method == Method::GET && wants_raw(request) =>
            {
                let version = Some(version.parse().ok()?);
                Some(Self::Read { id, version })
            }
            _ => None,
        }
    }
}

fn is_raw(headers: &HeaderMap) -> bool {
    headers.contains_key(header::CONTENT_TYPE) && !is_fhir(headers)
}

fn wants_raw(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let ranges = request.headers().get_all(header::ACCEPT).iter();
    let mut ranges = ranges
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    pairs_of(query).all(|(name, _)| name != "_format") && !ranges.any(names_fhir)
}

async fn write(fhir: &Fhir, id: Option<String>, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, &()).await?;
    let permission = match &id {
        Some(_) => Permission::Update,
        None => Permission::Create,
    };
    caller.may(binary()?, permission)?;
    let Preferences { answer, .. } = Preferences::from_request_parts(&mut parts, &()).await?;
    let IfMatch(if_match) = IfMatch::from_request_parts(&mut parts, &()).await?;
    if parts.headers.contains_key("if-none-exist") {
        return Err(Problem::not_supported(
            "If-None-Exist is for resources in JSON: a Binary has nothing to be found by",
        ));
    }
    // It is refused for what is no Consent.
    provenance::signature(&parts.headers, binary()?)?;
    let draft = BinaryDraft {
        content_type: text(&parts.headers, &header::CONTENT_TYPE)?.unwrap_or_default(),
        security_context: text(&parts.headers, &X_SECURITY_CONTEXT)?,
        id,
        if_match,
    };
    let written = take(fhir, &caller, draft.clone(), body).await?;
    let answer = match answer {
        Some(Return::OperationOutcome) => Return::OperationOutcome,
        Some(Return::Minimal | Return::Representation) | None => Return::Minimal,
    };
    let without_content = draft.resource(&[])?;
    let (base, answer) = (&fhir.base, (Some(answer), Vec::new()));
    Ok(answer::written(base, &written, &without_content, answer))
}

/// Takes a body: a small one whole, another piece by piece.
async fn take(
    fhir: &Fhir,
    caller: &Caller,
    draft: BinaryDraft,
    body: Body,
) -> Result<Written, Problem> {
    let mut body = body.into_data_stream();
    let mut first = Vec::new();
    while first.len() <= SMALL_BYTES_MAX {
        let Some(piece) = piece(&mut body).await? else {
            return fhir.write_one(caller, small(&draft, &first)?).await;
        };
        first.extend_from_slice(&piece);
    }
    let _room = UPLOADS
        .try_acquire()
        .map_err(|_| Problem::unavailable("room for another large upload"))?;
    let mut upload = fhir.custody.upload(caller.requester(), draft).await?;
    upload.write(&first).await?;
    drop(first);
    while let Some(piece) = piece(&mut body).await? {
        upload.write(&piece).await?;
    }
    Ok(upload.finish().await?)
}

fn small(draft: &BinaryDraft, content: &[u8]) -> Result<Change, Problem> {
    let resource = draft.resource(content)?;
    Ok(match &draft.id {
        None => Change::Create { resource, id: None },
        Some(id) => {
            let mut named = resource.into_value();
            named["id"] = Value::from(id.as_str());
            Change::Update {
                resource: interop::fhir::Resource::from_value(named)?,
                if_match: draft.if_match,
            }
        }
    })
}

async fn piece(body: &mut BodyDataStream) -> Result<Option<Bytes>, Problem> {
    match tokio::time::timeout(SILENCE_MAX, body.next()).await {
        Ok(None) => Ok(None),
        Ok(Some(Ok(piece))) => Ok(Some(piece)),
        Ok(Some(Err(_))) => Err(Problem::malformed("the body did not arrive whole")),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            IssueType::Timeout,
            "the body was silent for too long",
        )),
    }
}

async fn read(
    fhir: &Fhir,
    (id, version): (&str, Option<u64>),
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, &()).await?;
    caller.may(binary()?, Permission::Read)?;
    let by = caller.requester();
    let opened = fhir.custody.download(by, id, version).await?;
    caller.may_touch(&opened.resource)?;
    let content_type = opened.resource.get("contentType").and_then(Value::as_str);
    let content_type = content_type.unwrap_or("application/octet-stream");
    if !accepts(&parts.headers, content_type) {
        return Err(Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            IssueType::NotSupported,
            "the content is of another type than the request accepts",
        ));
    }
    let mut response = StatusCode::OK.into_response();
    let version = Version {
        resource_type: binary()?,
        id: &opened.id,
        version: opened.version,
        last_updated_ms: opened.last_updated_ms,
    };
    version.label(response.headers_mut());
    describe(&opened, content_type, response.headers_mut());
    *response.body_mut() = content(opened);
    Ok(response)
}

/// What a browser does with content that somebody uploaded is not left to the content.
fn describe(opened: &OpenedBinary, content_type: &str, headers: &mut HeaderMap) {
    let content_type = HeaderValue::from_str(content_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(opened.bytes));
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "sandbox"),
        (header::CONTENT_DISPOSITION, "attachment"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let context = opened.resource.get("securityContext");
    let context = context.and_then(|context| context.get("reference")?.as_str());
    let context = context.and_then(|context| HeaderValue::from_str(context).ok());
    headers.extend(context.map(|context| (X_SECURITY_CONTEXT, context)));
    disclosed_with(&opened.labels, opened.scope.as_deref(), headers);
}

/// What goes with a content that has no place for it, if its labels ask for that.
pub(crate) fn disclosed_with(labels: &[String], scope: Option<&str>, headers: &mut HeaderMap) {
    if needs_notice(labels.iter().map(String::as_str)) {
        headers.insert(X_REDISCLOSURE_NOTICE, HeaderValue::from_static(NOTICE));
        let scope = scope.map(str::as_bytes);
        let scope = scope.and_then(|scope| HeaderValue::from_bytes(scope).ok());
        headers.extend(scope.map(|scope| (X_CONSENT_SCOPE, scope)));
    }
}

/// An answer that breaks off says so by its length alone: its head is sent before its end is known.
fn content(opened: OpenedBinary) -> Body {
    let pieces = futures::stream::try_unfold(opened, |mut opened| async {
        match opened.next().await {
            Ok(piece) => Ok(piece.map(|piece| (Bytes::from(piece), opened))),
            Err(error) => {
                tracing::error!(%error, "a download broke off");
                Err(io::Error::other("the content cannot be read to its end"))
            }
        }
    });
    Body::from_stream(pieces)
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Problem> {
    let value = headers.get(name).map(|value| value.to_str());
    let value = value.transpose();
    let value = value.map_err(|_| Problem::malformed(format!("the header {name} is not ASCII")))?;
    Ok(value.map(str::to_owned))
}

fn binary() -> Result<ResourceType, Problem> {
    ResourceType::parse(TYPE).ok_or_else(|| Problem::internal("R4 has no Binary"))
}
