//! Calling another member.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ledger::codec;
use ledger::ids::MemberName;
use minicbor::{Decode, Encode};
use reqwest::Url;

use super::message::MESSAGE_BYTES_MAX;
use super::tls::{self, Peers};
use super::{ExchangeConfig, ExchangeError};
use crate::identity::Identity;

/// Connections to the other members, each of which talks to that member alone.
pub(super) struct Client {
    own: MemberName,
    identity: Identity,
    peers: Peers,
    addresses: BTreeMap<MemberName, SocketAddr>,
    timeout: Duration,
    opened: Mutex<BTreeMap<MemberName, Line>>,
}

/// The way to one member.
#[derive(Clone)]
struct Line {
    address: SocketAddr,
    url: Url,
    client: reqwest::Client,
}

/// Why another member's answer is not there. Never holds what was asked or answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("the member has no exchange here")]
    NoSuchPeer,
    #[error("the member does not answer")]
    Unreachable,
    #[error("the member answered with status {0}")]
    Refused(u16),
    #[error("the answer is malformed")]
    Malformed,
    #[error(transparent)]
    NoLine(#[from] ExchangeError),
}

impl Client {
    pub(super) fn new(peers: Peers, config: &ExchangeConfig) -> Self {
        let mut addresses = config.peers.clone();
        if !config.listen.ip().is_unspecified() {
            addresses.insert(config.member.clone(), config.listen);
        }
        Self {
            own: config.member.clone(),
            identity: config.identity.clone(),
            peers,
            addresses,
            timeout: config.timeout,
            opened: Mutex::default(),
        }
    }

    /// The other members that are heard and whose exchange is known.
    pub(super) fn members(&self) -> Vec<MemberName> {
        let registry = self.peers.registry();
        let others = registry.members().filter(|member| **member != self.own);
        others
            .filter(|member| self.address(member).is_some())
            .cloned()
            .collect()
    }

    /// Sends a message and reads the answer.
    pub(super) async fn call<Q, A>(
        &self,
        member: &MemberName,
        path: &str,
        message: &Q,
    ) -> Result<A, CallError>
    where
        Q: Encode<()> + Sync,
        A: for<'b> Decode<'b, ()> + Encode<()>,
    {
        let answer = self.post(member, path, codec::encode(message)).await?;
        if !answer.status().is_success() {
            return Err(CallError::Refused(answer.status().as_u16()));
        }
        let bytes = limited(answer).await?;
        codec::decode("answer", &bytes).map_err(|_| CallError::Malformed)
    }

    /// Sends bytes, whatever they are.
    pub(super) async fn post(
        &self,
        member: &MemberName,
        path: &str,
        body: Vec<u8>,
    ) -> Result<reqwest::Response, CallError> {
        let line = self.line(member)?;
        let url = line.url.join(path).map_err(|_| CallError::NoSuchPeer)?;
        let request = line.client.post(url).body(body);
        request.send().await.map_err(|_| CallError::Unreachable)
    }

    /// The way to `member`, opened anew if it has moved.
    fn line(&self, member: &MemberName) -> Result<Line, CallError> {
        let address = self.address(member).ok_or(CallError::NoSuchPeer)?;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = opened.get(member).filter(|line| line.address == address) {
            return Ok(line.clone());
        }
        let url = Url::parse(&format!("https://{address}/exchange/"));
        let line = Line {
            address,
            url: url.map_err(|_| CallError::NoSuchPeer)?,
            client: self.connect(member)?,
        };
        opened.insert(member.clone(), line.clone());
        Ok(line)
    }

    fn connect(&self, member: &MemberName) -> Result<reqwest::Client, ExchangeError> {
        let tls = tls::client(&self.identity, &self.peers, member)?;
        Ok(reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .connect_timeout(self.timeout)
            .timeout(self.timeout)
            .build()?)
    }

    /// The URL of a member's exchange, this member's too.
    pub(super) fn url(&self, member: &MemberName) -> Option<String> {
        let address = self.address(member)?;
        Some(format!("https://{address}/exchange/"))
    }

    /// What the member has said on the ledger, or else what this node was started with; nothing if it is not heard.
    fn address(&self, member: &MemberName) -> Option<SocketAddr> {
        let registry = self.peers.registry();
        if !registry.members().any(|heard| heard == member) {
            return None;
        }
        let said = registry.seat(member)?.endpoints.as_ref();
        let said = said.and_then(|endpoints| endpoints.exchange.parse().ok());
        said.or_else(|| self.addresses.get(member).copied())
    }
}

async fn limited(mut answer: reqwest::Response) -> Result<Vec<u8>, CallError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| CallError::Unreachable)? {
        if bytes.len().saturating_add(chunk.len()) > MESSAGE_BYTES_MAX {
            return Err(CallError::Malformed);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
