#![doc = include_str!("../README.md")]

pub mod fhir;
pub mod shl;
pub mod synth;
