#![doc = include_str!("../README.md")]

pub mod ccda;
mod compose;
pub mod dicom;
pub mod fhir;
pub mod hl7v2;
pub mod identity;
pub mod shl;
pub mod synth;
pub mod terminology;
