#![doc = include_str!("../README.md")]

pub mod fhir;
pub mod shl;
pub mod identity;
pub mod synth;
pub mod terminology;
