//! `keys` in `node.toml`: the key file, or the PKCS#11 token that holds the node's keys.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use vault::keystore::{FileKeyStore, KeyStore, Pin, Pkcs11Config, Pkcs11KeyStore};
use zeroize::Zeroizing;

use crate::network::{NodeFile, Passphrase};

const PIN_VARIABLE: &str = "CARELEDGER_PIN";

/// Where the keys are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum KeysEntry {
    /// In this file, under a passphrase.
    File(PathBuf),
    /// In a token.
    Token(TokenEntry),
}

/// `[keys]` with `store = "pkcs11"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenEntry {
    pub(crate) store: TokenStore,
    /// The vendor's PKCS#11 library.
    pub(crate) module: PathBuf,
    /// The token's label.
    pub(crate) token: String,
    /// A file with the PIN; without it the PIN is taken from `CARELEDGER_PIN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pin_file: Option<PathBuf>,
    /// The key file that the token seals, with what cannot be in a token.
    #[serde(default = "sealed")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TokenStore {
    Pkcs11,
}

fn sealed() -> PathBuf {
    PathBuf::from("keys.sealed")
}

impl KeysEntry {
    /// The files that belong into a backup, relative to the node's folder.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::File(file) => vec![file.clone()],
            Self::Token(entry) => {
                let mut seal = entry.file.clone().into_os_string();
                seal.push(".seal");
                vec![entry.file.clone(), seal.into()]
            }
        }
    }
}

impl TokenEntry {
    /// The token as the vault opens it; paths are relative to `folder`.
    pub(crate) fn config(&self, folder: &Path) -> anyhow::Result<Pkcs11Config> {
        let pin_file = self.pin_file.as_ref().map(|path| folder.join(path));
        Ok(Pkcs11Config {
            module: self.module.clone(),
            token: self.token.clone(),
            pin: pin(pin_file.as_deref())?,
            file: folder.join(&self.file),
        })
    }
}

/// The keys of a node's configuration, in `folder`.
pub(crate) fn open_keys(file: &NodeFile, folder: &Path) -> anyhow::Result<Arc<dyn KeyStore>> {
    match &file.keys {
        KeysEntry::File(path) => {
            let passphrase = file.passphrase_file.as_ref().map(|path| folder.join(path));
            let passphrase = Passphrase::find(passphrase.as_deref())?;
            let path = folder.join(path);
            let store = FileKeyStore::open(&path, passphrase.bytes())
                .with_context(|| format!("the key file {}", path.display()))?;
            Ok(Arc::new(store))
        }
        KeysEntry::Token(entry) => {
            let store = Pkcs11KeyStore::open(&entry.config(folder)?)
                .with_context(|| format!("the token `{}`", entry.token))?;
            Ok(Arc::new(store))
        }
    }
}

/// A PIN from a file, whose last line end does not count, or else from the environment.
pub(crate) fn pin(file: Option<&Path>) -> anyhow::Result<Pin> {
    let text = match file {
        Some(file) => {
            let text = std::fs::read_to_string(file).map(Zeroizing::new);
            text.with_context(|| format!("the PIN file {}", file.display()))?
        }
        None => {
            let text = std::env::var(PIN_VARIABLE).map(Zeroizing::new);
            text.with_context(|| format!("set {PIN_VARIABLE}, or name a `pin_file`"))?
        }
    };
    Ok(Pin::new(Zeroizing::new(text.trim_end().to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct File {
        keys: KeysEntry,
    }

    #[test]
    fn keys_are_a_file_or_a_table_that_names_a_token() {
        let file: File = toml::from_str("keys = \"keys.bin\"").unwrap();
        assert_eq!(file.keys.files(), [PathBuf::from("keys.bin")]);
        let text = "[keys]\nstore = \"pkcs11\"\nmodule = \"/m.so\"\ntoken = \"clinic\"\npin_file = \"pin\"\n";
        let file: File = toml::from_str(text).unwrap();
        let again: File = toml::from_str(&toml::to_string(&file).unwrap()).unwrap();
        assert_eq!(
            again.keys.files(),
            [
                PathBuf::from("keys.sealed"),
                PathBuf::from("keys.sealed.seal")
            ]
        );
        for wrong in [
            "[keys]\nstore = \"hsm\"\nmodule = \"/m.so\"\ntoken = \"clinic\"",
            "[keys]\nstore = \"pkcs11\"\nmodule = \"/m.so\"\ntoken = \"clinic\"\npin = \"1\"",
            "[keys]\nstore = \"pkcs11\"",
        ] {
            assert!(toml::from_str::<File>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pin_comes_from_its_file_without_the_line_end_and_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pin");
        std::fs::write(&path, "planted\n").unwrap();
        let entry = TokenEntry {
            store: TokenStore::Pkcs11,
            module: "/m.so".into(),
            token: "clinic".to_owned(),
            pin_file: Some("pin".into()),
            file: sealed(),
        };
        let shown = format!("{:?}", entry.config(folder.path()).unwrap());
        assert!(!shown.contains("planted"), "{shown}");
        std::fs::remove_file(path).unwrap();
        assert!(entry.config(folder.path()).is_err());
    }
}
