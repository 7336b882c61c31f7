//! FHIR packages (<https://hl7.org/fhir/packages.html>), in folders or packed.

use std::fs;
use std::path::{Path, PathBuf};

use ::node::package::{is_packed, read_packed};
use anyhow::Context as _;
use interop::fhir::profile::Profiles;
use serde_json::Value;

/// What may be of use in a package, by the begin of its files' names.
const KINDS: [&str; 3] = ["StructureDefinition-", "ValueSet-", "CodeSystem-"];

/// The profiles of packages; paths are relative to the folder. A package is packed (`.tgz`), has its resources in
/// `package`, or is that folder itself.
pub(super) fn load(folder: &Path, packages: &[PathBuf]) -> anyhow::Result<Profiles> {
    let mut resources = Vec::new();
    for package in packages {
        let at = folder.join(package);
        if is_packed(&at) {
            read_packed(&at, |name, text| take(name, text, &mut resources))?;
            continue;
        }
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
        if let Some(name) = name.filter(|_| is_json) {
            take(name, &fs::read(&path)?, resources)?;
        }
    }
    Ok(())
}

fn take(name: &str, text: &[u8], resources: &mut Vec<Value>) -> anyhow::Result<()> {
    if KINDS.iter().any(|kind| name.starts_with(kind)) {
        let resource = serde_json::from_slice(text);
        resources.push(resource.with_context(|| name.to_owned())?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_package_counts_packed_as_it_does_unpacked() {
        let folder = TempDir::new().unwrap();
        let inner = folder.path().join("unpacked/package");
        fs::create_dir_all(&inner).unwrap();
        let profile = json!({"resourceType": "StructureDefinition", "url": "http://example.org/p",
            "type": "Observation", "snapshot": {"element": [{"id": "Observation", "path": "Observation", "min": 0, "max": "*"}]}});
        fs::write(
            inner.join("StructureDefinition-p.json"),
            profile.to_string(),
        )
        .unwrap();
        fs::write(inner.join("package.json"), "{}").unwrap();
        let packed = Command::new("tar")
            .args(["-czf", "packed.tgz", "-C", "unpacked", "package"])
            .current_dir(folder.path())
            .status();
        assert!(packed.unwrap().success());
        for package in ["unpacked", "packed.tgz"] {
            let found = load(folder.path(), &[PathBuf::from(package)]).unwrap();
            let profiles: Vec<_> = found.on("Observation").collect();
            assert_eq!(profiles, ["http://example.org/p"], "{package}");
        }
        fs::write(folder.path().join("broken.tgz"), "no archive").unwrap();
        let refused = load(folder.path(), &[PathBuf::from("broken.tgz")]).unwrap_err();
        assert!(refused.to_string().contains("broken.tgz"), "{refused}");
    }
}
