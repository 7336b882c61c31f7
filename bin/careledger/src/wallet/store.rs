//! A folder of wallets: their roots in one key file, and beside it what each one remembers.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use vault::keystore::{FileKeyStore, KdfCost, KeyStore, Secret, SecretKind, SecretName};

use super::{State, Wallet};
use crate::network::{Passphrase, read_json};

/// Wallets that one passphrase opens: a person's own, a family's, those of a demonstration.
#[derive(Debug)]
pub(crate) struct WalletFolder {
    folder: PathBuf,
    keys: FileKeyStore,
}

impl WalletFolder {
    /// Opens the folder, or makes it.
    pub(crate) fn open(folder: &Path, passphrase: &Passphrase) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join("keys.bin");
        let keys = if path.exists() {
            FileKeyStore::open(&path, passphrase.bytes())
        } else {
            FileKeyStore::create(&path, passphrase.bytes(), KdfCost::default())
        };
        Ok(Self {
            keys: keys.with_context(|| format!("the key file {}", path.display()))?,
            folder: folder.to_owned(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    /// Makes wallets with fresh roots.
    pub(crate) fn create(&self, names: &[String]) -> anyhow::Result<()> {
        let fresh = |name: &String| -> anyhow::Result<_> {
            let secret = Secret::new(SecretKind::Symmetric, rand::random());
            Ok((secret_name(name)?, secret))
        };
        let secrets: Vec<_> = names.iter().map(fresh).collect::<Result<_, _>>()?;
        self.keys.insert_all(secrets)?;
        Ok(())
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        secret_name(name).is_ok_and(|name| self.keys.contains(&name))
    }

    pub(crate) fn wallet(&self, name: &str) -> anyhow::Result<Wallet> {
        let root = self.keys.expose(&secret_name(name)?);
        let root = root
            .with_context(|| format!("there is no wallet `{name}`: make it with `wallet new`"))?;
        let path = self.state(name);
        let state = if path.exists() {
            read_json(&path)?
        } else {
            State::default()
        };
        let wallet = Wallet::new(name, *root, state);
        let recovered = recovered_name(name)?;
        if !self.keys.contains(&recovered) {
            return Ok(wallet);
        }
        Ok(wallet.with_recovered(*self.keys.expose(&recovered)?))
    }

    /// Gives a wallet the root of one that was lost; its own keys stay.
    pub(crate) fn take_over(&self, name: &str, root: [u8; 32]) -> anyhow::Result<()> {
        let recovered = recovered_name(name)?;
        if self.keys.contains(&recovered) {
            anyhow::ensure!(
                *self.keys.expose(&recovered)? == root,
                "the wallet has recovered another one before"
            );
            return Ok(());
        }
        let secret = Secret::new(SecretKind::Symmetric, root);
        Ok(self.keys.insert(recovered, secret)?)
    }

    /// The wallets' names, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = self.keys.names();
        let names = names
            .iter()
            .filter_map(|name| name.as_str().strip_prefix("wallet/"));
        names.map(str::to_owned).collect()
    }

    /// Writes what the wallet remembers.
    pub(crate) fn save(&self, wallet: &Wallet) -> anyhow::Result<()> {
        let path = self.state(&wallet.name);
        let fresh = path.with_extension("json.new");
        fs::write(&fresh, serde_json::to_string_pretty(&wallet.state)?)?;
        fs::rename(fresh, path)?;
        Ok(())
    }

    fn state(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

fn secret_name(name: &str) -> anyhow::Result<SecretName> {
    let parsed = format!("wallet/{name}").parse();
    parsed.with_context(|| format!("`{name}` is no name of a wallet: use a-z, 0-9 and hyphens"))
}

fn recovered_name(name: &str) -> anyhow::Result<SecretName> {
    Ok(format!("recovered/{name}").parse()?)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn open(folder: &TempDir, words: &str) -> anyhow::Result<WalletFolder> {
        let file = folder.path().join("words");
        fs::write(&file, words)?;
        WalletFolder::open(
            &folder.path().join("wallets"),
            &Passphrase::find(Some(&file))?,
        )
    }

    #[test]
    fn a_wallet_is_there_again_with_its_root_and_what_it_remembers() {
        let folder = TempDir::new().unwrap();
        let wallets = open(&folder, "words").unwrap();
        wallets.create(&["ada".to_owned()]).unwrap();
        let mut wallet = wallets.wallet("ada").unwrap();
        wallet
            .state
            .patients
            .insert("clinic".to_owned(), "p1".to_owned());
        wallets.save(&wallet).unwrap();
        let again = open(&folder, "words\n").unwrap().wallet("ada").unwrap();
        assert_eq!(again.patient_at("clinic").unwrap(), "p1");
        assert_eq!(again.public_key(), wallet.public_key());
    }

    #[test]
    fn a_recovered_root_comes_with_the_new_wallets_own_key() {
        let folder = TempDir::new().unwrap();
        let wallets = open(&folder, "words").unwrap();
        wallets
            .create(&["ada".to_owned(), "new".to_owned()])
            .unwrap();
        let (lost, before) = (
            wallets.wallet("ada").unwrap(),
            wallets.wallet("new").unwrap(),
        );
        wallets.take_over("new", *lost.root.expose()).unwrap();
        wallets.take_over("new", *lost.root.expose()).unwrap();
        assert!(wallets.take_over("new", [1; 32]).is_err());
        let after = open(&folder, "words").unwrap().wallet("new").unwrap();
        assert_eq!(after.root.expose(), lost.root.expose());
        assert_eq!(after.public_key(), before.public_key());
        assert_ne!(after.public_key(), lost.public_key());
        assert_eq!(wallets.names(), ["ada", "new"]);
    }

    #[test]
    fn a_wrong_passphrase_a_missing_wallet_and_an_unusable_name_are_said() {
        let folder = TempDir::new().unwrap();
        let wallets = open(&folder, "words").unwrap();
        let missing = format!("{:#}", wallets.wallet("nobody").unwrap_err());
        assert!(missing.contains("wallet new"), "{missing}");
        let name = format!("{:#}", wallets.create(&["Ada!".to_owned()]).unwrap_err());
        assert!(name.contains("no name of a wallet"), "{name}");
        let wrong = format!("{:#}", open(&folder, "other").unwrap_err());
        assert!(wrong.contains("passphrase is wrong"), "{wrong}");
    }
}
