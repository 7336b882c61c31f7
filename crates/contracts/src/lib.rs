#![doc = include_str!("../README.md")]
#![warn(clippy::float_arithmetic, clippy::indexing_slicing)]

pub mod access;
pub mod anchor;
pub mod blocking;
pub mod consent;
pub mod descriptor;
pub mod disclosure;
pub mod emergency;
pub mod erasure;
pub mod export;
pub mod governance;
pub mod machine;
pub mod membership;
pub mod recovery;
pub mod rejection;
pub mod release;
pub mod replay;
pub mod rotation;
pub mod trust;
