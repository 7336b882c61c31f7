//! Takes the audit log to another repository (ITI-20, ATX: FHIR Feed): batches, in the order of the log, again and again
//! until they are taken. What an answer means, `contracts::forwarding` decides.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use contracts::forwarding::{Answer, Feed, Sent};
use interop::fhir::audit::{AuditEntry, AuditSite, events};
use node::custody::{Custody, CustodyError};
use reqwest::RequestBuilder;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use crate::http::{FHIR_JSON, Origins, backoff, outgoing};

const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer that is read; a status for each event is shorter.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Where the audit log goes beside this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardConfig {
    /// The address to which batches are posted, with https or of this machine.
    pub to: Option<String>,
    /// A file with the bearer token that is shown; read for each batch, so that it can be renewed beside the node.
    pub token: Option<PathBuf>,
    /// A file with the certificate that is shown, before its chain and its key (PEM); read at the start.
    pub certificate: Option<PathBuf>,
    /// A file with the authorities that certify the repository, instead of those of the system (PEM).
    pub authorities: Option<PathBuf>,
    /// The first pause after something was not taken; it doubles with each further one. Without news the log is looked at
    /// again after it.
    pub pause: Duration,
    /// The longest pause.
    pub pause_max: Duration,
}

impl Default for ForwardConfig {
    fn default() -> Self {
        Self {
            to: None,
            token: None,
            certificate: None,
            authorities: None,
            pause: Duration::from_secs(1),
            pause_max: Duration::from_mins(10),
        }
    }
}

/// Why the log cannot be forwarded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ForwardConfigError {
    /// The address is not one with https, or of this machine.
    #[error("the audit log goes to an address with https, or of this machine")]
    Address,
    /// What would be shown is shown to nobody.
    #[error("a credential for the audit repository is given, and no address that the log goes to")]
    NoAddress,
    /// The token cannot be used.
    #[error("{0} holds no bearer token: one line of visible ASCII")]
    Token(PathBuf),
    /// The certificate or the authorities cannot be used.
    #[error("{0} is not readable as certificates, with a key if it is the node's (PEM)")]
    Certificate(PathBuf),
    /// There is nothing to send with.
    #[error("the audit log cannot be sent to another repository")]
    Client,
}

struct Forwarder {
    custody: Custody,
    site: AuditSite,
    config: ForwardConfig,
    http: reqwest::Client,
}

/// Begins to forward the log, or to forget how far it was; it ends with the tasks.
pub(crate) fn start(
    custody: Custody,
    site: AuditSite,
    config: ForwardConfig,
) -> Result<JoinSet<()>, ForwardConfigError> {
    let http = config.client()?;
    let forwarder = Forwarder {
        custody,
        site,
        config,
        http,
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(forwarder.run());
    Ok(tasks)
}

impl ForwardConfig {
    /// What sends to the repository, and shows it the certificate.
    fn client(&self) -> Result<reqwest::Client, ForwardConfigError> {
        let Some(to) = &self.to else {
            let credentials = [&self.token, &self.certificate, &self.authorities];
            let is_lost = credentials.into_iter().any(Option::is_some);
            return match is_lost {
                true => Err(ForwardConfigError::NoAddress),
                false => outgoing().build().map_err(|_| ForwardConfigError::Client),
            };
        };
        if !Origins::new(std::slice::from_ref(to)).permit(to) {
            return Err(ForwardConfigError::Address);
        }
        self.bearer()?;
        let unusable = |path: &PathBuf| ForwardConfigError::Certificate(path.clone());
        let read = |path: &PathBuf| fs::read(path).map_err(|_| unusable(path));
        let mut client = outgoing().timeout(TIMEOUT);
        if let Some(path) = &self.certificate {
            let identity = reqwest::Identity::from_pem(&Zeroizing::new(read(path)?));
            client = client.identity(identity.map_err(|_| unusable(path))?);
        }
        if let Some(path) = &self.authorities {
            let authorities = reqwest::Certificate::from_pem_bundle(&read(path)?);
            let authorities = authorities.ok().filter(|all| !all.is_empty());
            client = client.tls_certs_only(authorities.ok_or_else(|| unusable(path))?);
        }
        client.build().map_err(|_| ForwardConfigError::Client)
    }

    /// The token as it is now, for the header.
    fn bearer(&self) -> Result<Option<HeaderValue>, ForwardConfigError> {
        let Some(path) = &self.token else {
            return Ok(None);
        };
        let unusable = || ForwardConfigError::Token(path.clone());
        let text = Zeroizing::new(fs::read_to_string(path).map_err(|_| unusable())?);
        let token = text.trim_end_matches(['\r', '\n']);
        let is_visible = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let value = is_visible.then(|| Zeroizing::new(format!("Bearer {token}")));
        let value = value.and_then(|value| HeaderValue::from_str(&value).ok());
        let mut value = value.ok_or_else(unusable)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl Forwarder {
    async fn run(self) {
        let to = self.config.to.as_deref();
        while let Err(error) = self.custody.forward_to(to).await {
            tracing::warn!(%error, "the audit log is not forwarded");
            tokio::time::sleep(self.config.pause_max).await;
        }
        let Some(to) = to else { return };
        let mut feed = Feed::default();
        loop {
            match self.step(to, &mut feed).await {
                Ok(true) => {}
                Ok(false) => tokio::time::sleep(self.pause(&feed)).await,
                Err(error) => {
                    tracing::warn!(%error, "the audit log is not forwarded");
                    tokio::time::sleep(self.config.pause_max).await;
                }
            }
        }
    }

    fn pause(&self, feed: &Feed) -> Duration {
        backoff(self.config.pause, self.config.pause_max, feed.attempts())
    }

    /// Sends what comes next; whether there may be more at once.
    async fn step(&self, to: &str, feed: &mut Feed) -> Result<bool, CustodyError> {
        let entries = self.custody.unforwarded(feed.most())?;
        if entries.is_empty() {
            return Ok(false);
        }
        let (sent, bundle) = self.batch(&entries);
        let answer = self.post(to, &bundle).await;
        let step = feed.after(&sent, &answer);
        if let Some(through) = step.through {
            if let Some(status) = step.given_up {
                tracing::error!(
                    number = through,
                    status,
                    "the audit repository refuses an entry, which is given up"
                );
            }
            let is_given_up = step.given_up.is_some();
            self.custody.forwarded(through, is_given_up).await?;
        }
        if step.waits {
            tracing::warn!(
                attempts = feed.attempts(),
                "the audit repository has not taken all"
            );
        }
        Ok(!step.waits)
    }

    fn batch(&self, entries: &[(u64, AuditEntry)]) -> (Vec<Sent>, Value) {
        let (mut sent, mut parts) = (Vec::new(), Vec::new());
        for (number, entry) in entries {
            let events = events(&self.site, *number, entry);
            sent.push(Sent {
                number: *number,
                events: events.len(),
            });
            parts.extend(events.into_iter().map(|event| {
                let id = event.get("id").and_then(Value::as_str).unwrap_or_default();
                json!({
                    "fullUrl": format!("{}/AuditEvent/{id}", self.site.base),
                    "resource": event,
                    "request": { "method": "POST", "url": "AuditEvent" },
                })
            }));
        }
        let bundle = json!({ "resourceType": "Bundle", "type": "batch", "entry": parts });
        (sent, bundle)
    }

    async fn post(&self, to: &str, bundle: &Value) -> Answer {
        let request = self.http.post(to).header(CONTENT_TYPE, FHIR_JSON);
        let mut request = request.header(ACCEPT, FHIR_JSON).body(bundle.to_string());
        match self.config.bearer() {
            Ok(token) => request = token.into_iter().fold(request, with_token),
            Err(error) => {
                tracing::warn!(%error, "the audit log waits");
                return Answer::Nothing;
            }
        }
        let Ok(mut answer) = request.send().await else {
            return Answer::Nothing;
        };
        let status = answer.status();
        if !status.is_success() {
            return Answer::Whole(status.as_u16());
        }
        let mut body = Vec::new();
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(_) => return Answer::Nothing,
            }
            if body.len() > ANSWER_BYTES_MAX {
                return Answer::Whole(status.as_u16());
            }
        }
        statuses(&body).map_or(Answer::Whole(status.as_u16()), Answer::Each)
    }
}

fn with_token(request: RequestBuilder, token: HeaderValue) -> RequestBuilder {
    request.header(AUTHORIZATION, token)
}

/// The statuses in a batch-response; `None` if it is none.
fn statuses(body: &[u8]) -> Option<Vec<u16>> {
    let bundle: Value = serde_json::from_slice(body).ok()?;
    if bundle.get("type")? != "batch-response" {
        return None;
    }
    let entries = bundle.get("entry")?.as_array()?.iter();
    let statuses = entries.map(|entry| {
        // "201 Created": https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.response.status
        let status = entry.pointer("/response/status")?.as_str()?;
        status.split(' ').next()?.parse().ok()
    });
    statuses.collect()
}
