#![doc = include_str!("../README.md")]

pub mod fhir;
pub mod identity;
pub mod synth;
