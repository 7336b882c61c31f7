//! `[linkage]` in `node.toml`: whether this member asks others who knows its patients, and what it tells those that ask.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use contracts::linkage;
use interop::identity::{LinkageSecret, SECRET_BYTES};
use node::custody::LinkageOptions;
use serde::{Deserialize, Serialize};

/// Questions of one member in an hour, unless the entry says.
const PER_HOUR: NonZeroU32 = NonZeroU32::MIN.saturating_add(59);

/// How this member takes part in linkage; not at all without a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LinkageEntry {
    /// A file with the secret that members share: 64 hexadecimal digits.
    secret_file: Option<PathBuf>,
    /// What becomes of the questions of others.
    answers: Answers,
    /// Who may ask; everybody, unless it is said.
    members: Option<Vec<String>>,
    /// Questions that one member may ask in an hour.
    per_hour: NonZeroU32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answers {
    Off,
    #[default]
    Person,
    Certain,
}

impl Default for LinkageEntry {
    fn default() -> Self {
        Self {
            secret_file: None,
            answers: Answers::default(),
            members: None,
            per_hour: PER_HOUR,
        }
    }
}

impl LinkageEntry {
    /// Reads the secret; paths are from the configuration's folder.
    pub(crate) fn read(&self, folder: &Path) -> anyhow::Result<Option<LinkageOptions>> {
        let Some(file) = &self.secret_file else {
            anyhow::ensure!(
                *self == Self::default(),
                "[linkage] in node.toml has no `secret_file`"
            );
            return Ok(None);
        };
        let members = self.members.as_ref().map(|names| {
            let names = names.iter().map(|name| super::member(name));
            names.collect::<anyhow::Result<Vec<_>>>()
        });
        Ok(Some(LinkageOptions {
            secret: secret(&folder.join(file))?,
            answers: match self.answers {
                Answers::Off => linkage::Answers::Off,
                Answers::Person => linkage::Answers::Person,
                Answers::Certain => linkage::Answers::Certain,
            },
            members: members
                .transpose()
                .context("`members` of [linkage] in node.toml")?,
            per_hour: self.per_hour.get(),
        }))
    }
}

fn secret(file: &Path) -> anyhow::Result<LinkageSecret> {
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("the linkage secret in {}", file.display()))?;
    let mut secret = [0; SECRET_BYTES];
    let read = hex::decode_to_slice(text.trim(), &mut secret);
    // What is wrong with it would say something of it.
    anyhow::ensure!(
        read.is_ok(),
        "the linkage secret in {} is not 64 hexadecimal digits",
        file.display()
    );
    Ok(LinkageSecret::from_bytes(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Result<LinkageEntry, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn nothing_is_linked_without_a_secret_and_a_bad_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(entry("").unwrap().read(folder.path()).unwrap().is_none());
        let lacking = entry("answers = \"certain\"").unwrap();
        assert!(lacking.read(folder.path()).is_err());
        let said = "secret_file = \"s\"\nmembers = [\"clinic\"]\nper_hour = 3";
        let said = entry(said).unwrap();
        for (text, is_good) in [
            ("", false),
            ("zz", false),
            (&"ab".repeat(31), false),
            (&"ab".repeat(33), false),
            (&format!("{}\n", "ab".repeat(32)), true),
        ] {
            std::fs::write(folder.path().join("s"), text).unwrap();
            let read = said.read(folder.path());
            assert_eq!(read.is_ok(), is_good, "{text}");
            if let Err(error) = read {
                assert!(text.is_empty() || !error.to_string().contains(text));
            }
        }
        let read = said.read(folder.path()).unwrap().unwrap();
        assert_eq!(read.answers, linkage::Answers::Person);
        assert_eq!((read.per_hour, read.members.unwrap().len()), (3, 1));
        for wrong in ["answers = \"yes\"", "per_hour = 0", "secret = \"x\""] {
            assert!(entry(wrong).is_err(), "{wrong}");
        }
    }
}
