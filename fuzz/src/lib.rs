#![doc = include_str!("../README.md")]
#![expect(
    clippy::unwrap_used,
    reason = "the whole crate tests: what cannot be set up has to stop it"
)]

pub mod blocks;
pub mod ccda;
pub mod draw;
pub mod erasure;
pub mod exchange;
pub mod fhir;
pub mod formats;
pub mod hl7v2;
pub mod languages;
pub mod mutate;
pub mod notes;
pub mod proofs;
pub mod registry;
pub mod release;
pub mod sealed;
pub mod seeds;
pub mod snapshots;
pub mod statements;
pub mod world;

/// A decoder and what has to hold of it: `run` panics where it does not, whatever the bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder in `corpus`.
    pub name: &'static str,
    /// Reads the bytes and checks what they were read as.
    pub run: fn(&[u8]),
}

/// Every group of targets.
pub const GROUPS: [&[Target]; 14] = [
    statements::TARGETS,
    blocks::TARGETS,
    proofs::TARGETS,
    notes::TARGETS,
    registry::TARGETS,
    exchange::TARGETS,
    sealed::TARGETS,
    fhir::TARGETS,
    hl7v2::TARGETS,
    ccda::TARGETS,
    snapshots::TARGETS,
    languages::TARGETS,
    release::TARGETS,
    erasure::TARGETS,
];

/// Every target.
pub fn targets() -> impl Iterator<Item = &'static Target> {
    GROUPS.into_iter().flatten()
}
