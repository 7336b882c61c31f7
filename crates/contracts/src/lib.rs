#![doc = include_str!("../README.md")]
#![warn(clippy::float_arithmetic, clippy::indexing_slicing)]

pub mod access;
pub mod anchor;
pub mod blocking;
pub mod consent;
pub mod descriptor;
pub mod disclosure;
pub mod duty;
pub mod emergency;
pub mod erasure;
pub mod escrow;
pub mod export;
pub mod forwarding;
pub mod governance;
pub mod linkage;
pub mod machine;
pub mod membership;
pub mod recovery;
pub mod rejection;
pub mod release;
pub mod replay;
pub mod rotation;
pub mod share;
pub mod trust;
