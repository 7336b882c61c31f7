//! What a member's node does with the world: consensus, stores, and the exchange between members.

pub mod chain;
pub mod custody;
pub mod engine;
pub mod exchange;
mod node;
pub mod outbox;

pub use node::{Node, NodeConfig, NodeError, PeerAddress};
