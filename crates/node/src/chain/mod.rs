//! The chain: the replicated side of a node.
//!
//! [`Chain`] is the handle that the rest of the node holds: it submits statements, answers where a tag stands, and
//! makes receipts. [`ChainApplication`] is the same chain as the consensus engine sees it. Applying a block is
//! idempotent, and the applied height is written with the state that it leads to.

mod admission;
mod application;
mod base;
mod checkpoints;
mod committee;
mod cosign;
mod damage;
mod disk;
mod dump;
mod execution;
mod gossip;
mod inspect;
mod joining;
mod lent;
mod mempool;
mod met;
mod pruning;
mod public_log;
mod quota;
mod rebuild;
mod receipts;
mod rows;
mod signatures;
mod snapshot;
mod start;
mod store;
mod succession;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use contracts::machine::Signature;
use contracts::membership::{MembershipError, Registry};
use contracts::rejection::Rejection;
use futures::future::BoxFuture;
use ledger::block::Block;
use ledger::genesis::Genesis;
use ledger::ids::{Digest, Height, MemberName, NetworkId, Tag};
use ledger::item::Item;
use ledger::log::{self, HashReader as _, leaf_hash};
use ledger::state::StateKey;
use ledger::statement::SubmittedStatement;
use tokio::sync::{Notify, broadcast, watch};

pub use application::ChainApplication;
pub(crate) use committee::KEYS_HEARD;
pub use cosign::{CannotCosign, Cosigner};
pub use damage::{ChainDamage, ChainFault, ChainPart};
pub use dump::DumpError;
#[doc(hidden)]
pub use gossip::reread_frame;
pub use inspect::{ChainReport, inspect, inspect_rows};
pub use joining::{JoinError, Joining};
pub use pruning::Keep;
pub use public_log::{PublicLog, transparent_statement};
pub use rebuild::{RebuildError, Rebuilt, rebuild};
pub use rows::{Batch, Keyspace, Range, Row, Rows, RowsError};
pub use snapshot::Snapshots;
pub use store::{Position, StoreError, Tip};

use crate::engine::Gossip;
use checkpoints::{Checkpoints, CheckpointsError};
use disk::Disk;
use execution::Executed;
use lent::Lent;
use mempool::{Mempool, Pooled};
use pruning::Pruning;
use quota::Buckets;
use store::Store;

/// Finalised blocks that a slow listener may lag behind before it must look things up itself.
const ENTRIES_LAG_MAX: usize = 1_024;

/// Milliseconds since 1970, as this node counts them.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Lets a time pass.
pub type Timer = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// What the chain needs of the world.
#[derive(Clone)]
pub struct Ports {
    /// Where it keeps its rows.
    pub rows: Arc<dyn Rows>,
    /// Tells the time.
    pub clock: Clock,
    /// Waits.
    pub timer: Timer,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

/// An item of a final block.
#[derive(Debug, Clone)]
pub struct FinalItem {
    /// The member that recorded it.
    pub member: MemberName,
    /// The item.
    pub item: Item,
    /// Where it stands.
    pub position: Position,
}

/// Why a chain does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The genesis founds no network.
    #[error("the genesis founds no network: {0}")]
    Membership(#[from] MembershipError),
    /// A validator's key in the genesis cannot cosign.
    #[error("the genesis: a validator's cosigning key: {0}")]
    Cosigner(#[from] ledger::checkpoint::KeyError),
    /// The store belongs to another network.
    #[error("the chain's directory belongs to another network: start with an empty one")]
    OtherNetwork,
    /// A snapshot was not taken over completely.
    #[error(
        "the chain's directory holds a part of a snapshot: move it and the engine's away, and join anew with \
         `careledger node --join snapshot`"
    )]
    JoiningUnfinished,
}

/// Why a statement was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// It breaks a rule, and will for ever.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Too much of the member's is waiting; send the same bytes again later.
    #[error("too many statements are waiting")]
    Full,
    /// The member has submitted more than its quota; send the same bytes again later.
    #[error("the member's quota is used up for {wait_ms} ms")]
    OverQuota {
        /// Milliseconds until the quota has room for the statement.
        wait_ms: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A handle to the chain; clones share it.
#[derive(Clone)]
pub struct Chain(Arc<Inner>);

struct Inner {
    genesis: Genesis,
    network: NetworkId,
    store: Store,
    checkpoints: Checkpoints,
    pruning: OnceLock<Pruning>,
    clock: Clock,
    timer: Timer,
    /// What is applied. Execution reads under it, applying writes: a view never changes under an execution.
    applied: RwLock<Applied>,
    tips: watch::Sender<Tip>,
    entries: broadcast::Sender<Arc<Vec<FinalItem>>>,
    pending: Mutex<BTreeMap<Digest, Arc<Executed>>>,
    mempool: Mutex<Mempool>,
    lent: Mutex<Lent>,
    /// Times that a damaged row was met.
    damaged: AtomicU64,
    /// Items that members submitted.
    submitted: Mutex<Buckets<MemberName>>,
    /// Worthless statements that peers passed on.
    worthless: Mutex<Buckets<[u8; 32]>>,
    arrival: Notify,
    fresh: Mutex<Vec<Arc<Pooled>>>,
    gossip: Notify,
}

/// The last applied block, and the registry after it.
#[derive(Clone)]
struct Applied {
    tip: Tip,
    registry: Arc<Registry>,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain")
            .field("tip", &self.tip())
            .finish_non_exhaustive()
    }
}

impl Chain {
    /// Opens the chain of `genesis` in `directory`, which continues where it was left.
    pub fn open(genesis: Genesis, directory: &Path, clock: Clock) -> Result<Self, OpenError> {
        let disk = Disk::open(directory).map_err(StoreError::from)?;
        let ports = Ports {
            rows: Arc::new(disk),
            clock,
            timer: Arc::new(|time| Box::pin(tokio::time::sleep(time))),
        };
        Self::open_on(genesis, ports)
    }

    /// Opens the chain of `genesis` on rows, clock and timer of the caller's.
    pub fn open_on(genesis: Genesis, ports: Ports) -> Result<Self, OpenError> {
        let founding = Arc::new(Registry::from_genesis(&genesis)?);
        let store = Store::new(ports.rows);
        if store.is_joining()? {
            return Err(OpenError::JoiningUnfinished);
        }
        let block = Block::genesis(&genesis);
        let applied = match store.tip()? {
            Some(tip) => {
                let first = store
                    .block(Height(0))?
                    .ok_or(StoreError::Damaged("genesis"))?;
                if first.header != block.header {
                    return Err(OpenError::OtherNetwork);
                }
                start::check(&store, &tip)?;
                let registry = store.registry()?.map_or(founding, Arc::new);
                Applied { tip, registry }
            }
            None => {
                let executed = Executed::genesis(&block, founding);
                store.apply(&executed, None, None)?;
                Applied {
                    tip: executed.tip(),
                    registry: executed.registry,
                }
            }
        };
        let Applied { tip, registry } = applied.clone();
        let network = genesis.network();
        Ok(Self(Arc::new(Inner {
            network,
            checkpoints: Checkpoints::open(network, &registry, &tip, &store)?,
            genesis,
            store,
            pruning: OnceLock::new(),
            clock: ports.clock,
            timer: ports.timer,
            applied: RwLock::new(applied),
            tips: watch::Sender::new(tip),
            entries: broadcast::Sender::new(ENTRIES_LAG_MAX),
            pending: Mutex::default(),
            mempool: Mutex::default(),
            lent: Mutex::default(),
            damaged: AtomicU64::new(0),
            submitted: Mutex::default(),
            worthless: Mutex::default(),
            arrival: Notify::new(),
            fresh: Mutex::default(),
            gossip: Notify::new(),
        })))
    }

    /// The chain as the consensus engine calls it, with validators at these addresses.
    pub fn application(&self, addresses: BTreeMap<MemberName, SocketAddr>) -> ChainApplication {
        ChainApplication::new(self.clone(), addresses)
    }

    /// Sends admitted statements to the other validators until the engine ends.
    pub async fn gossip(&self, gossip: Gossip) {
        gossip::run(&self.0, gossip).await;
    }

    /// Signs checkpoints of the log as a validator, until the engine ends.
    pub async fn cosign(&self, cosigner: Cosigner, gossip: Gossip) {
        cosign::run(&self.0, &cosigner, gossip).await;
    }

    /// The network.
    pub fn network(&self) -> NetworkId {
        self.0.network
    }

    /// What the network started from.
    pub fn genesis(&self) -> &Genesis {
        &self.0.genesis
    }

    /// The members, as of the last applied block.
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.0.applied().registry)
    }

    /// The last applied block.
    pub fn tip(&self) -> Tip {
        self.0.applied().tip
    }

    /// The last applied block, and the registry as that block left it.
    pub fn governed(&self) -> (Tip, Arc<Registry>) {
        let applied = self.0.applied();
        (applied.tip, Arc::clone(&applied.registry))
    }

    /// Follows the last applied block.
    pub fn subscribe(&self) -> watch::Receiver<Tip> {
        self.0.tips.subscribe()
    }

    /// Follows the items of each block as it is applied.
    pub fn entries(&self) -> broadcast::Receiver<Arc<Vec<FinalItem>>> {
        self.0.entries.subscribe()
    }

    /// Statements that wait to be ordered.
    pub fn waiting(&self) -> usize {
        self.0.mempool().len()
    }

    /// Bytes of statements that wait to be ordered, by the member that submitted them.
    pub fn waiting_bytes(&self) -> BTreeMap<MemberName, usize> {
        self.0.mempool().bytes_by_member()
    }

    /// Bytes of the chain on disk.
    pub fn disk_bytes(&self) -> Result<u64, StoreError> {
        self.0.store.disk_bytes()
    }

    /// Takes a statement for the next block, or says which rule it breaks; the same one again is success.
    pub fn submit(&self, statement: SubmittedStatement) -> Result<(), SubmitError> {
        let bytes = statement.encode();
        let statement = Arc::new(Pooled::of(statement, bytes));
        let quota = self.0.quota();
        if self.0.admit(&statement, Signature::Unchecked, quota)? {
            let mut fresh = self.0.fresh.lock().unwrap_or_else(PoisonError::into_inner);
            fresh.push(statement);
            self.0.gossip.notify_one();
        }
        Ok(())
    }

    /// Where `member` used `tag`, if it did in an applied block.
    pub fn locate(&self, member: &MemberName, tag: Tag) -> Result<Option<Position>, StoreError> {
        let position = self.0.store.position(StateKey::of_tag(member, tag));
        self.0.met(position)
    }

    /// The item at `position` and the member that recorded it.
    pub fn item(&self, position: Position) -> Result<(MemberName, Item), StoreError> {
        let damaged = StoreError::Damaged("statement");
        let statement = self.statement(position.statement)?.ok_or(damaged)?;
        let item = statement.items().get(usize::from(position.item)).copied();
        Ok((
            statement.member().clone(),
            item.ok_or(StoreError::Damaged("item"))?,
        ))
    }

    /// The statement at `index` of the log.
    pub fn statement(&self, index: u64) -> Result<Option<SubmittedStatement>, StoreError> {
        self.0.met(self.statement_at(index))
    }

    fn statement_at(&self, index: u64) -> Result<Option<SubmittedStatement>, StoreError> {
        let store = &self.0.store;
        let stored = match store.statement(index) {
            Err(error @ StoreError::NotKept(_)) => {
                let lent = self.0.lent().get(index);
                return lent.map(|lent| Some((*lent).clone())).ok_or(error);
            }
            stored => stored?,
        };
        let Some((_, bytes)) = stored else {
            return Ok(None);
        };
        let damaged = StoreError::Damaged("statement");
        let Ok(statement) = SubmittedStatement::decode(&bytes) else {
            return Err(damaged);
        };
        let leaf = leaf_hash(statement.envelope());
        match store.hash(log::leaf_index(index)) {
            Some(stored) if stored == leaf => Ok(Some(statement)),
            _ => Err(damaged),
        }
    }
}

impl From<CheckpointsError> for OpenError {
    fn from(error: CheckpointsError) -> Self {
        match error {
            CheckpointsError::Store(error) => Self::Store(error),
            CheckpointsError::Key(error) => Self::Cosigner(error),
        }
    }
}

impl Inner {
    fn applied(&self) -> RwLockReadGuard<'_, Applied> {
        self.applied.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn mempool(&self) -> MutexGuard<'_, Mempool> {
        locked(&self.mempool)
    }

    fn lent(&self) -> MutexGuard<'_, Lent> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, BTreeMap<Digest, Arc<Executed>>> {
        locked(&self.pending)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
