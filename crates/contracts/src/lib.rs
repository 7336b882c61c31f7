#![doc = include_str!("../README.md")]
#![warn(clippy::float_arithmetic, clippy::indexing_slicing)]

pub mod anchor;
pub mod descriptor;
pub mod export;
pub mod machine;
pub mod membership;
pub mod rejection;
