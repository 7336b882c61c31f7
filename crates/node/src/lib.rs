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
pub mod package;
pub mod rotation;
pub mod terminology;

pub use node::{Node, NodeConfig, NodeError, PeerAddress, chain_in, record_keys, restored_in};
