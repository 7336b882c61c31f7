//! The R4 definitions as compact tables: `xtask definitions --from DIR`, where DIR has the Bundles
//! of definitions that HL7 publishes (npm package `hl7.fhir.r4.examples` 4.0.1, unpacked).
//!
//! Run by hand when the definitions or a table's form change; the tables are committed.

mod bundle;
mod elements;
mod invariants;
mod value_sets;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::Report;
use bundle::Definitions;

/// Where the tables are, from the root of the repository.
const TABLES: &str = "crates/interop/src/fhir/data";

pub(crate) fn generate(arguments: &[String]) -> anyhow::Result<Report> {
    let [flag, from] = arguments else {
        bail!("usage: xtask definitions --from DIR");
    };
    anyhow::ensure!(flag == "--from", "usage: xtask definitions --from DIR");
    let definitions = Definitions::read(Path::new(from))?;
    let elements = elements::Elements::of(&definitions)?;
    let sets = value_sets::table(&definitions, &elements.required_sets())?;
    let tables = [
        ("elements.txt", elements.table()),
        ("element-names.txt", elements.names()),
        ("primitives.txt", elements::primitives(&definitions)?),
        ("value-sets.txt", sets),
        ("invariants.txt", invariants::table(&definitions)?),
    ];
    let folder = PathBuf::from(TABLES);
    let mut seen = Vec::new();
    for (name, text) in tables {
        let path = folder.join(name);
        fs::write(&path, &text).with_context(|| format!("{} is not written", path.display()))?;
        seen.push(format!("{name}: {} bytes", text.len()));
    }
    Ok(Report {
        seen: seen.join(", "),
        ..Report::default()
    })
}
