//! One member's node: chain, consensus, records and exchange, started and stopped together.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use interop::fhir::labels::RuleSet;
use ledger::checkpoint::CosignerSigner;
use ledger::genesis::Genesis;
use ledger::ids::{Digest, MemberName};
use ledger::limits::MEMBERS_MAX;
use ledger::stream::RootKey;
use tokio::task::JoinHandle;
use vault::blob::{BlobConfig, BlobError, BlobStore};
use vault::keystore::{KeyStore, KeyStoreError, SecretName};
use vault::wrap::WrappingKey;

use crate::chain::{CannotCosign, Chain, Clock, Cosigner, KEYS_HEARD, Keep, OpenError};
use crate::custody::upstream::UpstreamOptions;
use crate::custody::{Custody, CustodyError, CustodyOptions, LinkageOptions, RecordsConfig};
use crate::engine::{Engine, EngineConfig, EngineError, EngineHandle, EngineStatus, StartError};
use crate::exchange::{Exchange, ExchangeConfig, ExchangeError, ServicesConfig};
use crate::health::Vitals;
use crate::identity::{Identity, IdentityError};
use crate::outbox::OutboxConfig;

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
    /// Where the records are.
    pub records: RecordsConfig,
    /// Where large payloads are.
    pub blobs: BlobConfig,
    /// The existing FHIR server that holds the contents, where there is one.
    pub upstream: Option<UpstreamOptions>,
    /// What the network started from.
    pub genesis: Genesis,
    /// All members' addresses, this one's too.
    pub addresses: BTreeMap<MemberName, PeerAddress>,
    /// The node's certificate, DER, until the ledger has one of this member.
    pub certificate: Option<Vec<u8>>,
    /// The node's keys.
    pub keys: Arc<dyn KeyStore>,
    /// Which bodies of other members' statements are kept.
    pub keep: Keep,
    /// How items leave for the ledger.
    pub outbox: OutboxConfig,
    /// Whether searches find the words of everything (`_content`), not of narratives alone.
    pub full_text: bool,
    /// The member's own rules for security labels.
    pub label_rules: Vec<RuleSet>,
    /// How many milliseconds after its declaration an emergency has to be reviewed.
    pub review_ms: u64,
    /// What is disclosed of patients who have said nothing.
    pub implicit: contracts::access::Implicit,
    /// How long an idle proposer waits before it proposes an empty block.
    pub block_interval: Duration,
    /// How long another member may take to answer.
    pub exchange_timeout: Duration,
    /// Members that keep copies of what is written here, which a committee can release.
    pub copies_at: Vec<MemberName>,
    /// What of this member is in the directory of care services.
    pub services: ServicesConfig,
    /// How this member takes part in linkage; not at all if `None`.
    pub linkage: Option<LinkageOptions>,
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
    /// The node cannot speak for its member.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The exchange does not start.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// There is no place for large payloads.
    #[error("large payloads cannot be kept: {0}")]
    Payloads(#[from] BlobError),
}

/// A running node.
pub struct Node {
    /// The replicated side.
    pub chain: Chain,
    /// The records.
    pub custody: Custody,
    /// The other members.
    pub exchange: Exchange,
    identity: Identity,
    clock: Clock,
    engine: EngineHandle,
    tasks: [JoinHandle<()>; 3],
}

/// A validator's keys in its key store.
struct KeyStoreCosigner {
    keys: Arc<dyn KeyStore>,
    secrets: ValidatorSecrets,
}

/// The names of a validator's keys, which belong together.
#[derive(Debug, Clone)]
struct ValidatorSecrets {
    vote: SecretName,
    cosigner: SecretName,
}

impl ValidatorSecrets {
    fn of(number: u32) -> Self {
        Self {
            vote: SecretName::validator_of(number),
            cosigner: SecretName::cosigner_of(number),
        }
    }
}

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
        let chain = Chain::open(
            config.genesis.clone(),
            &chain_in(&config.directory),
            Arc::clone(&config.clock),
        )?;
        chain.keep(config.keep, config.member.clone());
        let now = (&*chain.registry(), chain.tip().time);
        let identity = Identity::open(
            config.member.clone(),
            Arc::clone(&config.keys),
            now,
            config.certificate.clone(),
        )?;
        let renewing = tokio::spawn(identity.clone().follow(chain.clone()));
        let validator = validator_secrets(&*config.keys)?;
        let engine = Engine::start(
            engine_config(&config, &validator, &chain)?,
            chain.application(consensus_addresses(&config)),
        )?;
        let (gossiping, gossip) = (chain.clone(), engine.gossip());
        let gossip = tokio::spawn(async move { gossiping.gossip(gossip).await });
        let (cosigning, signatures) = (chain.clone(), engine.gossip());
        let cosigner = Cosigner {
            member: config.member.clone(),
            node: identity.signer(),
            validator: Arc::new(KeyStoreCosigner {
                keys: Arc::clone(&config.keys),
                secrets: validator,
            }),
        };
        let cosigning = tokio::spawn(async move { cosigning.cosign(cosigner, signatures).await });
        claim(&config).await?;
        let options = custody_options(&config, &identity)?;
        let custody = Custody::open(options, Arc::new(chain.clone()))?;
        let exchange = Exchange::start(
            exchange_config(&config, identity.clone())?,
            chain.clone(),
            custody.clone(),
        )
        .await?;
        Ok(Self {
            chain,
            custody,
            exchange,
            engine,
            identity,
            clock: config.clock,
            tasks: [gossip, cosigning, renewing],
        })
    }

    /// SHA-256 of the certificate that this node speaks with.
    pub fn certificate(&self) -> Digest {
        self.identity.certificate()
    }

    /// Where this node's health is read from.
    pub fn vitals(&self) -> Vitals {
        Vitals {
            chain: self.chain.clone(),
            custody: self.custody.clone(),
            identity: self.identity.clone(),
            engine: self.engine.shared_status(),
            clock: Arc::clone(&self.clock),
        }
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
        for task in &self.tasks {
            task.abort();
        }
        drop(self.exchange);
        drop(self.custody);
        self.engine.stop().await
    }
}

impl CosignerSigner for KeyStoreCosigner {
    type Error = CannotCosign;

    fn sign_ed25519(&self, bytes: &[u8]) -> Result<[u8; 64], CannotCosign> {
        Ok(self.keys.sign(&self.secrets.vote, bytes)?)
    }

    fn sign_ml_dsa_44(&self, bytes: &[u8]) -> Result<Vec<u8>, CannotCosign> {
        Ok(self.keys.sign_ml_dsa_44(&self.secrets.cosigner, bytes)?)
    }
}

impl From<KeyStoreError> for CannotCosign {
    fn from(error: KeyStoreError) -> Self {
        Self::Key(error.to_string())
    }
}

fn custody_options(config: &NodeConfig, identity: &Identity) -> Result<CustodyOptions, NodeError> {
    let (root, wrapping) = record_keys(&*config.keys)?;
    Ok(CustodyOptions {
        records: config.records.clone(),
        blobs: config.blobs.clone(),
        upstream: config.upstream.clone(),
        member: config.member.clone(),
        root,
        wrapping,
        signer: identity.signer(),
        outbox: config.outbox.clone(),
        full_text: config.full_text,
        restored: Some(restored_in(&config.directory)),
        copies_at: config.copies_at.clone(),
        label_rules: config.label_rules.clone(),
        review_ms: config.review_ms,
        implicit: config.implicit,
        linkage: config.linkage.clone(),
        clock: Arc::clone(&config.clock),
    })
}

/// The file that says that the records were put back from a backup.
pub fn restored_in(directory: &Path) -> PathBuf {
    directory.join("restored")
}

/// The root of the records' keys, and the wrapping keys of later epochs.
pub fn record_keys(keys: &dyn KeyStore) -> Result<(RootKey, Vec<WrappingKey>), KeyStoreError> {
    let root = RootKey::from_bytes(*keys.expose(&SecretName::wrapping(ROOT_EPOCH))?);
    let names = keys.names();
    let later = names.iter().filter_map(SecretName::epoch);
    let later = later.filter(|epoch| *epoch > ROOT_EPOCH);
    let wrapping = later
        .map(|epoch| keys.wrapping_key(epoch))
        .collect::<Result<_, _>>()?;
    Ok((root, wrapping))
}

/// Where the chain is in the folder of a node's data: nothing is there before a node starts or joins.
pub fn chain_in(directory: &Path) -> PathBuf {
    directory.join("chain")
}

fn engine_config(
    config: &NodeConfig,
    validator: &ValidatorSecrets,
    chain: &Chain,
) -> Result<EngineConfig, NodeError> {
    let registry = chain.registry();
    let mut engine = EngineConfig::new(
        *config.keys.expose(&validator.vote)?,
        address(config, &config.member)?.consensus,
        config.directory.join("engine"),
        chain.network().0.0.to_vec(),
    );
    engine.block_interval = config.block_interval;
    engine.epoch_blocks = registry.rules().epoch_blocks;
    engine.max_peers = KEYS_HEARD * MEMBERS_MAX;
    Ok(engine)
}

/// The newest keys of this member's validator. They may not vote yet, but soon nobody lets it connect with older ones.
/// Makes sure of the place of large payloads before anything is acknowledged that would be kept there.
async fn claim(config: &NodeConfig) -> Result<(), NodeError> {
    let owner = format!("{} {}", config.member, config.genesis.network().0);
    Ok(BlobStore::open(&config.blobs)?.claim(&owner).await?)
}

fn validator_secrets(keys: &dyn KeyStore) -> Result<ValidatorSecrets, NodeError> {
    let names = keys.names();
    let numbers = names.iter().filter_map(SecretName::validator_number);
    let newest = numbers.max().map(ValidatorSecrets::of);
    newest.ok_or_else(|| {
        let message = "the key store has no validator's key".to_owned();
        NodeError::Settings(message)
    })
}

/// Where validators are, unless they have said otherwise on the ledger.
fn consensus_addresses(config: &NodeConfig) -> BTreeMap<MemberName, SocketAddr> {
    let addresses = config.addresses.iter();
    addresses
        .map(|(member, address)| (member.clone(), address.consensus))
        .collect()
}

fn exchange_config(config: &NodeConfig, identity: Identity) -> Result<ExchangeConfig, NodeError> {
    let others = config.addresses.iter();
    let others = others.filter(|(member, _)| **member != config.member);
    Ok(ExchangeConfig {
        member: config.member.clone(),
        listen: address(config, &config.member)?.exchange,
        peers: others
            .map(|(member, address)| (member.clone(), address.exchange))
            .collect(),
        identity,
        timeout: config.exchange_timeout,
        copies_at: config.copies_at.clone(),
        services: config.services.clone(),
    })
}

fn address(config: &NodeConfig, member: &MemberName) -> Result<PeerAddress, NodeError> {
    let address = config.addresses.get(member).copied();
    address.ok_or_else(|| NodeError::Settings(format!("there is no address of `{member}`")))
}
