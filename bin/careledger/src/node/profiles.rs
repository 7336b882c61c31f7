//! FHIR packages (<https://hl7.org/fhir/packages.html>) in folders.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use interop::fhir::profile::Profiles;
use serde_json::Value;

/// What may be of use in a package, by the begin of its files' names.
const KINDS: [&str; 3] = ["StructureDefinition-", "ValueSet-", "CodeSystem-"];

/// The profiles of packages; paths are relative to the folder. A package has its resources in
/// `package`, or is that folder itself.
pub(super) fn load(folder: &Path, packages: &[PathBuf]) -> anyhow::Result<Profiles> {
    let mut resources = Vec::new();
    for package in packages {
        let at = folder.join(package);
        let inner = at.join("package");
        let at = if inner.is_dir() { inner } else { at };
        read(&at, &mut resources)
            .with_context(|| format!("the FHIR package in {}", at.display()))?;
    }
    Ok(Profiles::of(&resources))
}

fn read(at: &Path, resources: &mut Vec<Value>) -> anyhow::Result<()> {
    for entry in fs::read_dir(at)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let is_json = path
            .extension()
            .is_some_and(|extension| extension == "json");
        let is_wanted = |name: &str| KINDS.iter().any(|kind| name.starts_with(kind));
        if is_json && name.is_some_and(is_wanted) {
            let text = fs::read(&path)?;
            let resource = serde_json::from_slice(&text);
            resources.push(resource.with_context(|| format!("{}", path.display()))?);
        }
    }
    Ok(())
}
