//! `Patient/[id]/$share`, `$shares` and `$unshare`: links by which a patient shares something (SMART Health Links). They take
//! the patient's own token.
//!
//! `$share` in: `file` (a JWE that the wallet sealed; once or more), `passcode`, `expires` (seconds since 1970), `label`,
//! `direct` (boolean: flag `U`); out: `url` and `id`. `$shares` out: `share` with parts. `$unshare` in: `id`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use interop::fhir::ResourceType;
use interop::shl::{LABEL_CHARS_MAX, URL_CHARS_MAX};
use node::custody::{ListedShare, ShareDraft, SharedFile};
use serde_json::{Value, json};
use vault::{jwe, password};

use super::parameters::{Given, parameters, text};
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::caller::Caller;
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

/// Characters of a passcode at most.
pub(crate) const PASSCODE_CHARS_MAX: usize = 128;

/// `POST Patient/[id]/$share`.
pub(crate) async fn share(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let id = admitted(&caller, address, Permission::Update)?;
    let draft = drafted(&Given::parse(&body)?).await?;
    let custody = &fhir.custody;
    let made = custody.share(caller.requester(), &id, draft, custody.now_ms());
    let (secret, named) = made.await?;
    let base = fhir.base.strip_suffix("/fhir").unwrap_or(&fhir.base);
    let url = format!("{base}/shl/{}", URL_SAFE_NO_PAD.encode(secret));
    if url.chars().count() > URL_CHARS_MAX {
        tracing::warn!(
            "the base URL is longer than SMART Health Links allow: some do not read them"
        );
    }
    let answer = parameters(vec![text("url", url), text("id", named)]);
    Ok(fhir_json(StatusCode::OK, &answer))
}

/// `GET Patient/[id]/$shares`.
pub(crate) async fn shares(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
) -> Result<Response, Problem> {
    let id = admitted(&caller, address, Permission::Read)?;
    let custody = &fhir.custody;
    let shares = custody.shares(&id, custody.now_ms())?;
    let answer = parameters(shares.iter().map(said).collect());
    Ok(fhir_json(StatusCode::OK, &answer))
}

/// `POST Patient/[id]/$unshare`.
pub(crate) async fn unshare(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let id = admitted(&caller, address, Permission::Update)?;
    let named = Given::parse(&body)?.words("id")?;
    let custody = &fhir.custody;
    custody.unshare(caller.requester(), &id, &named).await?;
    Ok(fhir_json(StatusCode::OK, &parameters(Vec::new())))
}

fn admitted(
    caller: &Caller,
    address: InstanceAddress,
    permission: Permission,
) -> Result<String, Problem> {
    let id = address.patient()?;
    caller.may(ResourceType::PATIENT, permission)?;
    caller.must_be_patient(&id)?;
    Ok(id)
}

async fn drafted(given: &Given) -> Result<ShareDraft, Problem> {
    let files = given.all("file", &["valueString"]);
    let files: Vec<SharedFile> = files.iter().map(sealed).collect::<Result<_, _>>()?;
    let label = given.string("label")?;
    let is_long = |text: &String, most| text.chars().count() > most;
    if label
        .as_ref()
        .is_some_and(|label| is_long(label, LABEL_CHARS_MAX))
    {
        return Err(Problem::malformed(
            "the parameter `label` has 80 characters at most",
        ));
    }
    let passcode = given.string("passcode")?;
    let passcode = passcode.filter(|passcode| !passcode.is_empty());
    if passcode
        .as_ref()
        .is_some_and(|code| is_long(code, PASSCODE_CHARS_MAX))
    {
        return Err(Problem::malformed(
            "the parameter `passcode` has 128 characters at most",
        ));
    }
    let until = given.numbers("expires")?.first().copied();
    Ok(ShareDraft {
        files,
        label,
        until: until.map(|seconds| seconds.saturating_mul(1_000)),
        passcode: hashed(passcode).await?,
        is_direct: given.value("direct", &["valueBoolean"]) == Some(Value::Bool(true)),
    })
}

/// A file as the wallet sealed it: what is in clear is not taken.
fn sealed(value: &Value) -> Result<SharedFile, Problem> {
    let jwe = value.as_str().unwrap_or_default();
    let content_type = jwe::content_type(jwe).ok().flatten();
    let content_type = content_type.ok_or_else(|| {
        Problem::malformed("the parameter `file` is no JWE with `dir`, `A256GCM` and a `cty`")
    })?;
    Ok(SharedFile {
        content_type,
        jwe: jwe.to_owned(),
    })
}

async fn hashed(passcode: Option<String>) -> Result<Option<String>, Problem> {
    let Some(passcode) = passcode else {
        return Ok(None);
    };
    let hash = tokio::task::spawn_blocking(move || password::hash(passcode.as_bytes())).await;
    match hash {
        Ok(Ok(hash)) => Ok(Some(hash)),
        _ => Err(Problem::internal("a passcode cannot be hashed")),
    }
}

fn said(share: &ListedShare) -> Value {
    let mut part = vec![
        text("id", &share.id),
        text("created", (share.created / 1_000).to_string()),
        text("fetched", share.fetched.to_string()),
    ];
    part.extend(share.label.as_ref().map(|label| text("label", label)));
    let until = share.terms.until.map(|until| until / 1_000);
    part.extend(until.map(|until| text("expires", until.to_string())));
    let tries = share.terms.tries;
    part.extend(tries.map(|tries| text("tries", tries.to_string())));
    json!({ "name": "share", "part": part })
}
