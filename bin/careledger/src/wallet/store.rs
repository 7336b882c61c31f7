//! A folder of wallets: their roots in one key file, and beside it what each one remembers.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ledger::stream::RootKey;
use vault::keystore::{FileKeyStore, KdfCost, KeyStore, Secret, SecretKind, SecretName};

use super::lineage::Identity;
use super::{Era, Lineage, State, Wallet};
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
        let recovered = recovered_name(name)?;
        let (oldest, own) = if self.keys.contains(&recovered) {
            let own = Identity::new(RootKey::from_bytes(*root), state.recovered_eras);
            (self.keys.expose(&recovered)?, Some(own))
        } else {
            (root, None)
        };
        let mut lineage = Lineage::new(*oldest);
        for (era, number) in state.eras.iter().zip(1..) {
            let root = self.keys.expose(&root_name(name, number)?);
            let root = root.with_context(|| format!("root {number} of the wallet `{name}`"))?;
            lineage = lineage.with(era.clone(), *root);
        }
        Ok(Wallet::new(name, lineage, own, state))
    }

    /// Gives a wallet the roots of one that was lost; its own identity stays.
    pub(crate) fn take_over(&self, name: &str, lineage: &Lineage) -> anyhow::Result<()> {
        let mut later = lineage.roots();
        let oldest = later.next().context("a wallet has a root")?;
        let mut secrets = vec![(recovered_name(name)?, oldest)];
        for (root, number) in later.zip(1..) {
            secrets.push((root_name(name, number)?, root));
        }
        if self.keys.contains(&recovered_name(name)?) {
            for (named, root) in secrets {
                let is_same =
                    self.keys.contains(&named) && *self.keys.expose(&named)? == *root.expose();
                anyhow::ensure!(is_same, "the wallet has recovered another one before");
            }
        } else {
            let secrets = secrets.into_iter();
            let symmetric = |root: &RootKey| Secret::new(SecretKind::Symmetric, *root.expose());
            let secrets = secrets.map(|(named, root)| (named, symmetric(root)));
            self.keys.insert_all(secrets.collect())?;
        }
        let mut wallet = self.wallet(name)?;
        if wallet.state.eras.is_empty() && lineage.eras() > 0 {
            wallet.state.begin_with(lineage);
            self.save(&wallet)?;
        }
        Ok(())
    }

    /// Makes the root with which an era begins, and then has the wallet know of it.
    pub(crate) fn begin_era(&self, wallet: &Wallet, era: Era) -> anyhow::Result<()> {
        let number = wallet.state.eras.len().saturating_add(1);
        let named = root_name(&wallet.name, number)?;
        // It is there if it was made, and the wallet was cut off before it knew.
        if !self.keys.contains(&named) {
            let fresh = Secret::new(SecretKind::Symmetric, rand::random());
            self.keys.insert(named, fresh)?;
        }
        let mut state = wallet.state.clone();
        state.eras.push(era);
        self.write(&wallet.name, &state)
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
        self.write(&wallet.name, &wallet.state)
    }

    fn write(&self, name: &str, state: &State) -> anyhow::Result<()> {
        let path = self.state(name);
        let fresh = path.with_extension("json.new");
        fs::write(&fresh, serde_json::to_string_pretty(state)?)?;
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

/// A later root of a wallet; the first has number 1.
fn root_name(name: &str, number: usize) -> anyhow::Result<SecretName> {
    Ok(format!("root/{name}/{number}").parse()?)
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
        assert_eq!(again.identity().public(), wallet.identity().public());
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
        wallets.take_over("new", &lost.lineage).unwrap();
        wallets.take_over("new", &lost.lineage).unwrap();
        assert!(wallets.take_over("new", &Lineage::new([1; 32])).is_err());
        let after = open(&folder, "words").unwrap().wallet("new").unwrap();
        assert_eq!(after.lineage, lost.lineage);
        assert_eq!(after.identity().public(), before.identity().public());
        assert_ne!(after.identity().public(), lost.identity().public());
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
