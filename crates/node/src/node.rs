//! One member's node: chain, consensus, records and exchange, started and stopped together.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ledger::checkpoint::CosignerSigner;
use ledger::genesis::Genesis;
use ledger::ids::{Digest, MemberName};
use ledger::stream::RootKey;
use tokio::task::JoinHandle;
use vault::keystore::{KeyStore, KeyStoreError, SecretName};

use crate::chain::{CannotCosign, Chain, Clock, Cosigner, OpenError};
use crate::custody::{Custody, CustodyError, CustodyOptions};
use crate::engine::{
    Engine, EngineConfig, EngineError, EngineHandle, EngineStatus, StartError, Validator,
};
use crate::exchange::{Exchange, ExchangeConfig, ExchangeError};
use crate::outbox::{CannotSign, OutboxConfig, Signer};

/// The epoch of the wrapping key that is the root of the records' keys.
const ROOT_EPOCH: u32 = 1;

/// Where another member's node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress {
    /// Of its validator.
    pub consensus: SocketAddr,
    /// Of its exchange.
    pub exchange: SocketAddr,
}

/// What a node is started with.
pub struct NodeConfig {
    /// This member.
    pub member: MemberName,
    /// The folder of this node's data.
    pub directory: PathBuf,
    /// What the network started from.
    pub genesis: Genesis,
    /// All members' addresses, this one's too.
    pub addresses: BTreeMap<MemberName, PeerAddress>,
    /// The node's keys.
    pub keys: Arc<dyn KeyStore>,
    /// How items leave for the ledger.
    pub outbox: OutboxConfig,
    /// How long an idle proposer waits before it proposes an empty block.
    pub block_interval: Duration,
    /// How long another member may take to answer.
    pub exchange_timeout: Duration,
    /// Milliseconds since 1970.
    pub clock: Clock,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The genesis or the addresses do not fit this member.
    #[error("{0}")]
    Settings(String),
    /// A key is missing.
    #[error("the key store: {0}")]
    Keys(#[from] KeyStoreError),
    /// The chain does not open.
    #[error(transparent)]
    Chain(#[from] OpenError),
    /// The records do not open.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// Consensus does not start.
    #[error(transparent)]
    Engine(#[from] StartError),
    /// The exchange does not start.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

/// A running node.
pub struct Node {
    /// The replicated side.
    pub chain: Chain,
    /// The records.
    pub custody: Custody,
    /// The other members.
    pub exchange: Exchange,
    engine: EngineHandle,
    gossip: JoinHandle<()>,
    cosigning: JoinHandle<()>,
}

/// A validator's keys in its key store.
struct KeyStoreCosigner(Arc<dyn KeyStore>);

impl std::fmt::Debug for NodeConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeConfig")
            .field("member", &self.member)
            .field("directory", &self.directory)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("chain", &self.chain)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Starts a node, which continues where its folder was left.
    pub async fn start(config: NodeConfig) -> Result<Self, NodeError> {
        let certificate = certificate(&config)?;
        let signer = signer(&config, &certificate);
        let chain = Chain::open(
            config.genesis.clone(),
            &config.directory.join("chain"),
            Arc::clone(&config.clock),
        )?;
        let engine = Engine::start(engine_config(&config)?, chain.application())?;
        let (gossiping, gossip) = (chain.clone(), engine.gossip());
        let gossip = tokio::spawn(async move { gossiping.gossip(gossip).await });
        let (cosigning, signatures) = (chain.clone(), engine.gossip());
        let cosigner = Cosigner {
            member: config.member.clone(),
            certificate: signer.certificate,
            signer: Arc::new(KeyStoreCosigner(Arc::clone(&config.keys))),
        };
        let cosigning = tokio::spawn(async move { cosigning.cosign(cosigner, signatures).await });
        let custody = Custody::open(
            CustodyOptions {
                directory: config.directory.join("records"),
                blobs: config.directory.join("blobs"),
                member: config.member.clone(),
                root: RootKey::from_bytes(*config.keys.expose(&SecretName::wrapping(ROOT_EPOCH))?),
                signer: signer.clone(),
                outbox: config.outbox.clone(),
                clock: Arc::clone(&config.clock),
            },
            Arc::new(chain.clone()),
        )?;
        let exchange = Exchange::start(
            exchange_config(&config, certificate, signer)?,
            chain.clone(),
            custody.clone(),
        )
        .await?;
        Ok(Self {
            chain,
            custody,
            exchange,
            engine,
            gossip,
            cosigning,
        })
    }

    /// What consensus is doing.
    pub fn consensus(&self) -> EngineStatus {
        self.engine.status()
    }

    /// Waits until consensus ends on its own, and says why.
    pub fn ended(&self) -> impl Future<Output = Result<(), EngineError>> + Send + 'static {
        self.engine.ended()
    }

    /// Stops the node; its folder is free when this returns.
    pub async fn stop(self) -> Result<(), EngineError> {
        self.gossip.abort();
        self.cosigning.abort();
        drop(self.exchange);
        drop(self.custody);
        self.engine.stop().await
    }
}

impl CosignerSigner for KeyStoreCosigner {
    type Error = CannotCosign;

    fn sign_receipt(&self, bytes: &[u8]) -> Result<[u8; 64], CannotCosign> {
        Ok(self.0.sign(&SecretName::node(), bytes)?)
    }

    fn sign_ed25519(&self, bytes: &[u8]) -> Result<[u8; 64], CannotCosign> {
        Ok(self.0.sign(&SecretName::validator(), bytes)?)
    }

    fn sign_ml_dsa_44(&self, bytes: &[u8]) -> Result<Vec<u8>, CannotCosign> {
        Ok(self.0.sign_ml_dsa_44(&SecretName::cosigner(), bytes)?)
    }
}

impl From<KeyStoreError> for CannotCosign {
    fn from(error: KeyStoreError) -> Self {
        Self::Key(error.to_string())
    }
}

fn certificate(config: &NodeConfig) -> Result<Vec<u8>, NodeError> {
    let members = &config.genesis.members;
    let own = members.iter().find(|member| member.name == config.member);
    let own = own.ok_or_else(|| {
        NodeError::Settings(format!("the genesis has no member `{}`", config.member))
    })?;
    Ok(own.node.clone())
}

fn signer(config: &NodeConfig, certificate: &[u8]) -> Signer {
    let keys = Arc::clone(&config.keys);
    Signer {
        certificate: Digest::of(certificate),
        sign: Arc::new(move |bytes| {
            let signature = keys.sign(&SecretName::node(), bytes);
            signature.map_err(|error| CannotSign(error.to_string()))
        }),
    }
}

fn engine_config(config: &NodeConfig) -> Result<EngineConfig, NodeError> {
    let mut validators = Vec::new();
    for member in &config.genesis.members {
        let Some(key) = member.validator else {
            continue;
        };
        validators.push(Validator {
            public_key: key.0,
            address: address(config, &member.name)?.consensus,
        });
    }
    validators.sort_unstable_by_key(|validator| validator.public_key);
    let mut engine = EngineConfig::new(
        *config.keys.expose(&SecretName::validator())?,
        validators,
        address(config, &config.member)?.consensus,
        config.directory.join("engine"),
        config.genesis.network().0.0.to_vec(),
    );
    engine.block_interval = config.block_interval;
    Ok(engine)
}

fn exchange_config(
    config: &NodeConfig,
    certificate: Vec<u8>,
    signer: Signer,
) -> Result<ExchangeConfig, NodeError> {
    let mut peers = BTreeMap::new();
    for member in &config.genesis.members {
        if member.name != config.member {
            peers.insert(member.name.clone(), address(config, &member.name)?.exchange);
        }
    }
    Ok(ExchangeConfig {
        member: config.member.clone(),
        listen: address(config, &config.member)?.exchange,
        peers,
        certificate,
        private_key: config.keys.pkcs8(&SecretName::node())?,
        signer,
        timeout: config.exchange_timeout,
    })
}

fn address(config: &NodeConfig, member: &MemberName) -> Result<PeerAddress, NodeError> {
    let address = config.addresses.get(member).copied();
    address.ok_or_else(|| NodeError::Settings(format!("there is no address of `{member}`")))
}
