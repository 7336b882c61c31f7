//! The client's assertion (RFC 7523): who asks, and for which of its users.

use serde::Deserialize;
use thiserror::Error;

use super::client::Client;
use super::jws::{JwsError, Unverified};

/// SMART: an assertion lives no longer than five minutes.
const LIFETIME_MAX: u64 = 300;
/// How far clocks may differ.
const SKEW: u64 = 30;
const JTI_BYTES_MAX: usize = 128;

/// A valid assertion.
pub(super) struct Assertion {
    pub(super) jti: String,
    pub(super) expires_at: u64,
    pub(super) user: User,
}

/// Whom the client speaks for (extension `hl7-b2b`).
#[derive(Default)]
pub(super) struct User {
    pub(super) practitioner: Option<String>,
    pub(super) role: Option<String>,
    pub(super) purpose: Option<String>,
    pub(super) organization: Option<String>,
}

/// Why an assertion is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AssertionError {
    #[error("the assertion is not a signed JWT with the claims that are needed")]
    Malformed,
    #[error("the client is not registered here")]
    ClientUnknown,
    #[error("`iss`, `sub` and `client_id` do not name one client")]
    NotOneClient,
    #[error("the assertion is signed with an algorithm that the client has no key for")]
    AlgorithmRefused,
    #[error("the signature is not the client's")]
    SignatureInvalid,
    #[error("the assertion is for another server")]
    WrongAudience,
    #[error("the assertion has expired")]
    Expired,
    #[error("the assertion lives longer than five minutes")]
    LivesTooLong,
    #[error("the assertion is from the future")]
    NotYetValid,
    #[error("`jti` is missing or too long")]
    JtiUnusable,
    #[error("the assertion was used before")]
    Replayed,
    #[error("the enrolments cannot be read at the moment")]
    WalletsUnavailable,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: OneOrMany,
    exp: u64,
    nbf: Option<u64>,
    iat: Option<u64>,
    jti: Option<String>,
    extensions: Option<Extensions>,
}

#[derive(Deserialize)]
struct Extensions {
    #[serde(rename = "hl7-b2b")]
    b2b: Option<B2b>,
}

#[derive(Deserialize)]
struct B2b {
    subject_id: Option<String>,
    subject_role: Option<String>,
    purpose_of_use: Option<OneOrMany>,
    organization_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn contains(&self, text: &str) -> bool {
        match self {
            Self::One(one) => one == text,
            Self::Many(many) => many.iter().any(|one| one == text),
        }
    }

    fn single(self) -> Option<String> {
        match self {
            Self::One(one) => Some(one),
            Self::Many(many) => <[String; 1]>::try_from(many).ok().map(|[one]| one),
        }
    }
}

/// The client that an assertion names, before anything about it was checked.
pub(super) fn claimed_client(
    text: &str,
    client_id: Option<&str>,
) -> Result<String, AssertionError> {
    let unverified: Claims = Unverified::parse(text)?.claims()?;
    let is_one = unverified.iss == unverified.sub;
    if !is_one || client_id.is_some_and(|id| id != unverified.sub) {
        return Err(AssertionError::NotOneClient);
    }
    Ok(unverified.sub)
}

/// Checks everything about an assertion of the client but whether it was used before.
pub(super) fn check(
    text: &str,
    client: &Client,
    audience: &[String],
    now: u64,
) -> Result<Assertion, AssertionError> {
    let claims: Claims = Unverified::parse(text)?.verify(&client.keys)?;
    if claims.iss != client.id || claims.sub != client.id {
        return Err(AssertionError::NotOneClient);
    }
    if !audience.iter().any(|url| claims.aud.contains(url)) {
        return Err(AssertionError::WrongAudience);
    }
    check_times(&claims, now)?;
    let jti = claims
        .jti
        .filter(|jti| (1..=JTI_BYTES_MAX).contains(&jti.len()))
        .ok_or(AssertionError::JtiUnusable)?;
    Ok(Assertion {
        jti,
        expires_at: claims.exp.saturating_add(SKEW),
        user: user(claims.extensions.and_then(|extensions| extensions.b2b))?,
    })
}

fn check_times(claims: &Claims, now: u64) -> Result<(), AssertionError> {
    if claims.exp.saturating_add(SKEW) <= now {
        return Err(AssertionError::Expired);
    }
    if claims.exp > now.saturating_add(LIFETIME_MAX + SKEW) {
        return Err(AssertionError::LivesTooLong);
    }
    let starts_at = claims.nbf.into_iter().chain(claims.iat).max();
    if starts_at.is_some_and(|time| time > now.saturating_add(SKEW)) {
        return Err(AssertionError::NotYetValid);
    }
    Ok(())
}

fn user(b2b: Option<B2b>) -> Result<User, AssertionError> {
    let Some(b2b) = b2b else {
        return Ok(User::default());
    };
    let purpose = match b2b.purpose_of_use {
        None => None,
        Some(stated) => {
            let stated = stated.single().ok_or(AssertionError::Malformed)?;
            // UDAP writes the code after its system: `urn:oid:2.16.840.1.113883.5.8#TREAT`.
            let code = stated.rsplit_once('#').map_or(&*stated, |(_, code)| code);
            Some(code.to_owned())
        }
    };
    Ok(User {
        practitioner: b2b.subject_id,
        role: b2b.subject_role,
        purpose,
        organization: b2b.organization_id,
    })
}

impl From<JwsError> for AssertionError {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::Malformed | JwsError::Critical | JwsError::Claims => Self::Malformed,
            JwsError::Algorithm => Self::AlgorithmRefused,
            JwsError::Signature => Self::SignatureInvalid,
        }
    }
}
