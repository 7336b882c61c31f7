#![doc = include_str!("../README.md")]

pub mod adversary;
pub mod forge;
pub mod network;
pub mod scan;
