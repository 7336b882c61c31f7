//! The member's own image archive (PACS), asked by WADO-RS.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use interop::dicom::Retrieval;
use interop::fhir::IssueType;
use thiserror::Error;

use crate::http::{Origins, outgoing, pairs_of};
use crate::problem::Problem;

/// The longest wait for the archive's next bytes: it may have to fetch a study from afar.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// What rendered images are asked for with (PS3.18 §8.3.5); nothing else is passed on.
const PARAMETERS: [&str; 5] = ["annotation", "quality", "viewport", "window", "iccprofile"];
const CREDENTIAL_BYTES_MAX: usize = 8_192;

/// Where the archive is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveConfig {
    /// The base of its DICOMweb services, with https or of this machine.
    pub url: Option<String>,
    /// A file with what the header `Authorization` says to it, such as `Bearer …`; read at the start.
    pub credential: Option<PathBuf>,
}

/// Why an archive cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArchiveConfigError {
    /// The address is not one with https, or of this machine.
    #[error("the image archive has an address with https, or of this machine, without a query")]
    Address,
    /// The credential would be shown to nobody.
    #[error("a credential for the image archive is given, and no address")]
    NoAddress,
    /// The file does not hold one line.
    #[error("{0} holds no credential: one line of visible ASCII")]
    Credential(PathBuf),
    /// There is nothing to ask with.
    #[error("the image archive cannot be asked")]
    Client,
}

/// A way to the archive.
pub(crate) struct Archive {
    base: String,
    authorization: Option<HeaderValue>,
    http: reqwest::Client,
}

impl Archive {
    pub(crate) fn open(config: &ArchiveConfig) -> Result<Option<Self>, ArchiveConfigError> {
        let Some(url) = &config.url else {
            return match config.credential {
                Some(_) => Err(ArchiveConfigError::NoAddress),
                None => Ok(None),
            };
        };
        let is_permitted = Origins::new(std::slice::from_ref(url)).permit(url);
        if !is_permitted || url.contains(['?', '#']) {
            return Err(ArchiveConfigError::Address);
        }
        let http = outgoing().read_timeout(SILENCE_MAX).build();
        Ok(Some(Self {
            base: url.trim_end_matches('/').to_owned(),
            authorization: config.credential.as_ref().map(authorization).transpose()?,
            http: http.map_err(|_| ArchiveConfigError::Client)?,
        }))
    }

    /// The archive's answer, which arrives as it is read.
    pub(super) async fn get(
        &self,
        asked: &Retrieval,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        let mut request = self.http.get(format!("{}{}", self.base, asked.path()));
        let passed: Vec<(String, String)> = query
            .into_iter()
            .flat_map(pairs_of)
            .filter(|(name, _)| PARAMETERS.contains(&name.as_str()))
            .collect();
        if !passed.is_empty() {
            request = request.query(&passed);
        }
        for accept in headers.get_all(header::ACCEPT) {
            request = request.header(header::ACCEPT, accept);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let answer = request.send().await.map_err(|_| away())?;
        match answer.status() {
            StatusCode::OK => Ok(passed_through(answer)),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(Problem::not_found()),
            StatusCode::NOT_ACCEPTABLE => Err(Problem::new(
                StatusCode::NOT_ACCEPTABLE,
                IssueType::NotSupported,
                "the image archive has it in no form that the request accepts",
            )),
            StatusCode::BAD_REQUEST => Err(Problem::malformed(
                "the image archive does not understand what is asked of it",
            )),
            refused => {
                tracing::warn!(
                    status = refused.as_u16(),
                    "the image archive does not answer a retrieval"
                );
                Err(away())
            }
        }
    }
}

fn authorization(path: &PathBuf) -> Result<HeaderValue, ArchiveConfigError> {
    let unusable = || ArchiveConfigError::Credential(path.clone());
    let text = fs::read_to_string(path).map_err(|_| unusable())?;
    let text = text.trim();
    let is_line = !text.is_empty() && text.len() <= CREDENTIAL_BYTES_MAX;
    let mut value = HeaderValue::from_str(text)
        .ok()
        .filter(|_| is_line && text.is_ascii())
        .ok_or_else(unusable)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The answer with what says of which form and length it is, and with what keeps browsers from doing more with it.
fn passed_through(answer: reqwest::Response) -> Response {
    const KEPT: [HeaderName; 2] = [header::CONTENT_TYPE, header::CONTENT_LENGTH];
    let kept = KEPT.map(|name| {
        let value = answer.headers().get(&name).cloned();
        value.map(|value| (name, value))
    });
    let pieces = futures::stream::try_unfold(answer, |mut answer| async {
        match answer.chunk().await {
            Ok(piece) => Ok::<_, io::Error>(piece.map(|piece: Bytes| (piece, answer))),
            Err(_) => {
                tracing::warn!("the image archive broke off");
                Err(io::Error::other("the image archive broke off"))
            }
        }
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.extend(kept.into_iter().flatten());
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "sandbox"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn away() -> Problem {
    Problem::new(
        StatusCode::BAD_GATEWAY,
        IssueType::Transient,
        "the image archive does not answer; ask again later",
    )
}
