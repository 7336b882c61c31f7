#![doc = include_str!("../README.md")]

pub mod chain;
pub mod custody;
pub mod engine;
pub mod exchange;
pub mod health;
pub mod identity;
pub mod join;
mod node;
pub mod outbox;

pub use node::{Node, NodeConfig, NodeError, PeerAddress, ROOT_EPOCH, chain_in, restored_in};
