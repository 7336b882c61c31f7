//! Byzantine-fault-tolerant agreement on one chain of blocks.
//!
//! [`Engine::start`] runs one node: it calls an [`Application`] to build, judge and apply blocks and
//! to name the validators of each epoch, and gives back an [`EngineHandle`]. Nothing of the
//! consensus library shows through this interface but in [`wiring`], which the simulator uses to
//! run the same actors under another runtime. Why this library, and what it was measured to do:
//! `docs/adr/0001-consensus-engine.md`.

mod application;
mod archive;
mod block;
mod calendar;
mod certificate;
mod committee;
mod config;
mod consensus;
mod delivery;
mod epochs;
mod gossip;
mod handle;
mod identity;
mod inspect;
mod journals;
mod network;
mod schemes;
mod status;
mod subchannels;
pub mod wiring;

pub use application::{Ancestors, Application, Deadline};
pub use block::Block;
#[doc(hidden)]
pub use block::reread_block;
pub use certificate::FinalityCertificate;
pub use committee::{Committee, CommitteeError, Validator};
pub use config::{ConfigError, EngineConfig, MAX_BLOCK_BYTES};
pub use gossip::{Gossip, GossipError};
pub use handle::{Engine, EngineError, EngineHandle, StartError};
pub use inspect::{EngineDamage, EngineReport, inspect};
pub use status::{EngineStatus, Status};
