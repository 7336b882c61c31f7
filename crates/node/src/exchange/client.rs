//! Calling another member.

use std::collections::BTreeMap;

use ledger::codec;
use ledger::ids::MemberName;
use minicbor::{Decode, Encode};
use reqwest::Url;

use super::message::MESSAGE_BYTES_MAX;
use super::tls::{self, Identity, Peers};
use super::{ExchangeConfig, ExchangeError};

/// Connections to the other members, each of which talks to that member alone.
pub(super) struct Client {
    peers: BTreeMap<MemberName, (Url, reqwest::Client)>,
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
}

impl Client {
    pub(super) fn new(
        identity: &Identity,
        peers: &Peers,
        config: &ExchangeConfig,
    ) -> Result<Self, ExchangeError> {
        let mut clients = BTreeMap::new();
        for (member, address) in &config.peers {
            let client = reqwest::Client::builder()
                .tls_backend_preconfigured(tls::client(identity, peers, member)?)
                .https_only(true)
                .no_proxy()
                .connect_timeout(config.timeout)
                .timeout(config.timeout)
                .build()?;
            let Ok(url) = Url::parse(&format!("https://{address}/exchange/")) else {
                continue;
            };
            clients.insert(member.clone(), (url, client));
        }
        Ok(Self { peers: clients })
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &MemberName> {
        self.peers.keys()
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
        let (url, client) = self.peers.get(member).ok_or(CallError::NoSuchPeer)?;
        let url = url.join(path).map_err(|_| CallError::NoSuchPeer)?;
        let request = client.post(url).body(codec::encode(message));
        let answer = request.send().await.map_err(|_| CallError::Unreachable)?;
        if !answer.status().is_success() {
            return Err(CallError::Refused(answer.status().as_u16()));
        }
        let bytes = limited(answer).await?;
        codec::decode("answer", &bytes).map_err(|_| CallError::Malformed)
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
