//! The exchange: what members' nodes say to each other beside consensus, over mutually authenticated TLS.
//!
//! A member asks another one in three steps. It finds on the ledger which versions exist in the branches whose keys it
//! holds; it fetches their descriptors, which are noise without those keys; and it opens what it may: it puts its
//! signed request on record, and only when that access is final does the other member decide, record and answer, with
//! the data keys wrapped to a key pair that serves this request alone.

mod care_services;
mod client;
mod collect;
mod consents;
mod crowd;
mod discover;
mod erase;
mod message;
mod open;
mod release;
mod serve;
mod shown;
mod tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ledger::ids::{Digest, Height, MemberName};
use ledger::node_key::NodeKey;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::chain::Chain;
use crate::custody::{Custody, CustodyError};
use crate::identity::Identity;
use crate::outbox::Signer;

pub use care_services::ServicesConfig;
pub use collect::Elsewhere;
pub use discover::{Discovered, Discovery};
#[doc(hidden)]
pub use message::{MessageKind, reread};
pub use release::{ReleaseFault, ReleaseMessage, WrongShare, reread_release};

/// What the exchange of one node needs.
pub struct ExchangeConfig {
    /// This member.
    pub member: MemberName,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where other members' exchanges listen, unless they have said otherwise on the ledger.
    pub peers: BTreeMap<MemberName, SocketAddr>,
    /// The node's certificate and key: for connections, and to sign requests.
    pub identity: Identity,
    /// How long another member may take to answer.
    pub timeout: Duration,
    /// Members that keep copies of what is written here, which a committee can release.
    pub copies_at: Vec<MemberName>,
    /// What of this member is in the directory of care services.
    pub services: ServicesConfig,
}

impl std::fmt::Debug for ExchangeConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExchangeConfig")
            .field("member", &self.member)
            .field("listen", &self.listen)
            .field("peers", &self.peers)
            .finish_non_exhaustive()
    }
}

/// Why an exchange does not start.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The address cannot be bound.
    #[error("the exchange cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The certificate or its key cannot be used for TLS.
    #[error("the node's certificate cannot be used for TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP client cannot be built.
    #[error("the exchange's client cannot be built: {0}")]
    Client(#[from] reqwest::Error),
}

/// A handle to the exchange; clones share it, and the last one to go ends it.
#[derive(Clone)]
pub struct Exchange(Arc<Inner>);

struct Inner {
    parts: Arc<Parts>,
    _tasks: JoinSet<()>,
}

/// What all sides of the exchange share.
struct Parts {
    member: MemberName,
    chain: Chain,
    custody: Custody,
    client: client::Client,
    signer: Signer,
    timeout: Duration,
    answered: Answered,
    copies_at: Vec<MemberName>,
    services: ServicesConfig,
}

/// Requests that were answered: each is answered once, until it expires.
#[derive(Debug, Default)]
struct Answered(Mutex<BTreeMap<Digest, Height>>);

impl Answered {
    /// Notes a request; says whether it is the first time. Those that have expired by `now` are let go of.
    fn first(&self, request: Digest, expires_at: Height, now: Height) -> bool {
        let mut answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answered.retain(|_, expires_at| *expires_at >= now);
        answered.insert(request, expires_at).is_none()
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange")
            .field("member", &self.0.parts.member)
            .finish_non_exhaustive()
    }
}

impl Exchange {
    /// Starts to listen, and to follow consents that are filed through other members.
    pub async fn start(
        config: ExchangeConfig,
        chain: Chain,
        custody: Custody,
    ) -> Result<Self, ExchangeError> {
        let peers = tls::Peers::new(chain.clone());
        let acceptor = tls::server(&config.identity, &peers)?;
        let client = client::Client::new(peers, &config);
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|error| ExchangeError::Listen(config.listen, error))?;
        let parts = Arc::new(Parts {
            member: config.member,
            chain,
            custody,
            client,
            signer: config.identity.signer(),
            timeout: config.timeout,
            answered: Answered::default(),
            copies_at: config.copies_at,
            services: config.services,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve::run(listener, acceptor, Arc::clone(&parts)));
        tasks.spawn(consents::follow(Arc::clone(&parts)));
        tasks.spawn(erase::follow(Arc::clone(&parts)));
        tasks.spawn(care_services::follow(Arc::clone(&parts)));
        tasks.spawn(release::take_part(Arc::clone(&parts)));
        tasks.spawn(release::place_copies(Arc::clone(&parts)));
        Ok(Self(Arc::new(Inner {
            parts,
            _tasks: tasks,
        })))
    }
}

impl Parts {
    /// The key with which a member signs statements and requests, as it stands now.
    fn key_of(&self, member: &MemberName, certificate: Digest) -> Option<NodeKey> {
        let time = self.chain.tip().time;
        let registry = self.chain.registry();
        registry.key_at(member, certificate, time).ok().copied()
    }
}

fn unavailable(what: &'static str) -> CustodyError {
    CustodyError::Unavailable { what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p2_a_request_is_answered_once() {
        let answered = Answered::default();
        let (one, other) = (Digest([1; 32]), Digest([2; 32]));
        assert!(answered.first(one, Height(10), Height(1)));
        assert!(!answered.first(one, Height(10), Height(10)));
        assert!(answered.first(other, Height(30), Height(11)));
        let kept = answered.0.lock().unwrap().len();
        assert_eq!(kept, 1, "what has expired is let go of");
    }
}
