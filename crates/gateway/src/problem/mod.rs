//! Every error that leaves the gateway: a status, an `OperationOutcome`, and headers.

mod custody;
mod resource;

use std::any::Any;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use contracts::blocking::{Exception, SYSTEM};
use interop::fhir::{Details, Issue, IssueType, OperationOutcome};

use crate::auth::{Permission, TokenProblem};
use crate::http::fhir_json;

/// An answer that is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    outcome: OperationOutcome,
    retry_after_seconds: Option<u64>,
    challenge: Option<String>,
    /// The version that the answer is about.
    version: Option<u64>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: IssueType, diagnostics: impl Into<String>) -> Self {
        Self::with_outcome(status, OperationOutcome::error(code, diagnostics))
    }

    pub(crate) fn with_outcome(status: StatusCode, outcome: OperationOutcome) -> Self {
        Self {
            status,
            outcome,
            retry_after_seconds: None,
            challenge: None,
            version: None,
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn into_outcome(self) -> OperationOutcome {
        self.outcome
    }

    /// A request that cannot be read.
    pub(crate) fn malformed(diagnostics: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, IssueType::Value, diagnostics)
    }

    /// A header that cannot be read; its value is not repeated.
    pub(crate) fn header(name: &'static str) -> Self {
        Self::malformed(format!("the header {name} is malformed"))
    }

    pub(crate) fn not_found() -> Self {
        let code = IssueType::NotFound;
        Self::new(StatusCode::NOT_FOUND, code, "there is nothing at this URL")
    }

    /// What the token or the role does not let its bearer do.
    pub(crate) fn forbidden(diagnostics: impl Into<String>) -> Self {
        let issue = Issue::error(IssueType::Forbidden, diagnostics);
        let outcome = OperationOutcome::of(issue.with_details(details(Exception::Security)));
        Self::with_outcome(StatusCode::FORBIDDEN, outcome)
    }

    /// A request that is understood, and against the rules.
    pub(crate) fn unprocessable(diagnostics: impl Into<String>) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self::new(status, IssueType::BusinessRule, diagnostics)
    }

    /// Something of FHIR that this server does not do.
    pub(crate) fn not_supported(diagnostics: impl Into<String>) -> Self {
        let status = StatusCode::NOT_IMPLEMENTED;
        Self::new(status, IssueType::NotSupported, diagnostics)
    }

    pub(crate) fn unavailable(what: &str) -> Self {
        let diagnostics = format!("{what} is unavailable; ask again later");
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let mut problem = Self::new(status, IssueType::Transient, diagnostics);
        problem.retry_after_seconds = Some(1);
        problem
    }

    /// More requests than the client may make.
    pub(crate) fn too_many_requests(retry_after_seconds: u64) -> Self {
        let diagnostics = "the client makes too many requests; ask again later";
        let status = StatusCode::TOO_MANY_REQUESTS;
        let mut problem = Self::new(status, IssueType::Throttled, diagnostics);
        problem.retry_after_seconds = Some(retry_after_seconds);
        problem
    }

    /// A fault of this server. What happened is logged, not answered.
    pub(crate) fn internal(what: &str) -> Self {
        tracing::error!(what, "internal error");
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(status, IssueType::Exception, "the server failed")
    }

    /// RFC 6750 §3.
    pub(crate) fn unauthorized(problem: TokenProblem) -> Self {
        let code = match problem {
            TokenProblem::Expired => IssueType::Expired,
            TokenProblem::Missing
            | TokenProblem::NotBearer
            | TokenProblem::Malformed
            | TokenProblem::OtherIssuer
            | TokenProblem::OtherAudience
            | TokenProblem::Revoked
            | TokenProblem::SignatureInvalid => IssueType::Login,
        };
        let mut answer = Self::new(StatusCode::UNAUTHORIZED, code, problem.to_string());
        answer.challenge = Some(match problem {
            TokenProblem::Missing => r#"Bearer realm="careledger""#.to_owned(),
            _ => format!(
                r#"Bearer realm="careledger", error="invalid_token", error_description="{}""#,
                problem.to_string().replace('`', "")
            ),
        });
        answer
    }

    /// RFC 9470: who asks has to sign in again.
    pub(crate) fn insufficient_authentication(why: &str) -> Self {
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, IssueType::Login, why);
        problem.challenge = Some(format!(
            r#"Bearer realm="careledger", error="insufficient_user_authentication", error_description="{}", max_age="{}""#,
            why.replace('`', ""),
            crate::auth::FRESH_SECONDS
        ));
        problem
    }

    /// RFC 6750 §3.1.
    pub(crate) fn insufficient_scope(resource_type: &str, permission: Permission) -> Self {
        let scope = format!("system/{resource_type}.{}", permission.letter());
        let mut problem = Self::forbidden(format!("the access token lacks the scope {scope}"));
        problem.challenge = Some(format!(
            r#"Bearer realm="careledger", error="insufficient_scope", scope="{scope}""#
        ));
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = fhir_json(self.status, &self.outcome.to_value());
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        let etag = self.version.map(interop::fhir::etag::format);
        if let Some(Ok(etag)) = etag.as_deref().map(HeaderValue::from_str) {
            headers.insert(header::ETAG, etag);
        }
        let challenge = self.challenge.as_deref().map(HeaderValue::from_str);
        if let Some(Ok(challenge)) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// The exception to information blocking that a denial rests on, as the code of its issue.
fn details(exception: Exception) -> Details {
    Details {
        system: SYSTEM,
        code: exception.code(),
        display: exception.name(),
    }
}

/// A handler panicked. The message may hold anything, so it goes nowhere.
pub(crate) fn of_panic(_: Box<dyn Any + Send>) -> Response {
    Problem::internal("a handler panicked").into_response()
}

/// An issue that names what was not understood but was passed over.
pub(crate) fn ignored(names: &[String]) -> OperationOutcome {
    let names = names.join(", ");
    let issue = Issue::error(
        IssueType::NotSupported,
        format!("parameters that are not known here were ignored: {names}"),
    );
    OperationOutcome::of(issue.with_severity(interop::fhir::Severity::Warning))
}
