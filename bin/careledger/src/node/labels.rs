//! `[labels]` in `node.toml`: what this member labels beside the rules of the release and of the network. It adds labels
//! and takes none away.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use interop::fhir::labels::RuleSet;
use serde::{Deserialize, Serialize};

/// What this member labels besides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LabelsEntry {
    /// A rule set, JSON.
    rules: Option<PathBuf>,
    /// Organisations and places that are programmes under 42 CFR Part 2, as `Type/id` or `system|value` of an identifier:
    /// what refers to them is a substance use record.
    part2_programmes: Vec<String>,
}

impl LabelsEntry {
    /// The rule sets, checked.
    pub(crate) fn read(&self, folder: &Path) -> anyhow::Result<Vec<RuleSet>> {
        let mut sets = Vec::new();
        if let Some(file) = &self.rules {
            let file = folder.join(file);
            let text = std::fs::read(&file)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            let set = RuleSet::parse(&text);
            sets.push(set.with_context(|| format!("`labels.rules`, {}", file.display()))?);
        }
        if let Some(set) = RuleSet::of_programmes(&self.part2_programmes) {
            sets.push(set.context("`labels.part2_programmes`")?);
        }
        Ok(sets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_beside_the_configuration_and_checked() {
        let folder = tempfile::TempDir::new().unwrap();
        let entry = |text: &str| toml::from_str::<LabelsEntry>(text).unwrap();
        assert!(entry("").read(folder.path()).unwrap().is_empty());
        let programmes = entry("part2_programmes = [\"Organization/1\"]");
        let sets = programmes.read(folder.path()).unwrap();
        assert_eq!(sets[0].version(), "part-2-programmes");
        let file = entry("rules = \"own.json\"");
        let missing = file.read(folder.path()).unwrap_err().to_string();
        assert!(missing.contains("own.json"), "{missing}");
        std::fs::write(folder.path().join("own.json"), r#"{"version": "own"}"#).unwrap();
        let refused = format!("{:#}", file.read(folder.path()).unwrap_err());
        assert!(refused.contains("`own` matches nothing"), "{refused}");
        let empty = entry("part2_programmes = [\"\"]");
        assert!(empty.read(folder.path()).is_err());
    }
}
