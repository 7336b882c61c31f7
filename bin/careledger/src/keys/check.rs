//! Whether a node's keys are all there, do what they are for, and are kept from others.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use ledger::node_key::NodeKey;
use serde_json::json;
use vault::keystore::{KeyPlace, KeyStore, SecretKind, SecretName, SigningPublicKey};
use vault::wrap::wrap_for;

use super::Opened;
use super::show::age_days;
use crate::node::KeysEntry;

/// Certificates last 13 months; a key need not outlast its second one.
const AGE_DAYS_MAX: u64 = 760;
const MESSAGE: &[u8] = b"careledger keys check";

/// A key, or a file, and what is wrong with it; nothing if it is sound.
struct Finding {
    what: String,
    fault: Option<String>,
}

pub(super) fn run(opened: &Opened, as_json: bool) -> anyhow::Result<()> {
    let mut findings = missing(&*opened.keys);
    for name in opened.keys.names() {
        findings.push(Finding {
            fault: fault_of(&*opened.keys, &name),
            what: name.to_string(),
        });
    }
    for path in secret_files(opened) {
        let fault = readable(&path);
        findings.push(Finding {
            what: path.display().to_string(),
            fault,
        });
    }
    let faults = findings.iter().filter(|one| one.fault.is_some()).count();
    let mut out = std::io::stdout().lock();
    if as_json {
        let rows = findings.iter();
        let rows = rows.map(|one| json!({ "what": one.what, "fault": one.fault }));
        let said = json!({ "findings": rows.collect::<Vec<_>>(), "faults": faults });
        writeln!(out, "{}", serde_json::to_string_pretty(&said)?)?;
    } else {
        for one in &findings {
            writeln!(
                out,
                "{:<40} {}",
                one.what,
                one.fault.as_deref().unwrap_or("sound")
            )?;
        }
    }
    anyhow::ensure!(faults == 0, "{faults} of {} are not sound", findings.len());
    Ok(())
}

fn missing(keys: &dyn KeyStore) -> Vec<Finding> {
    let names = keys.names();
    let needed: [(&str, bool); 5] = [
        ("node", names.iter().any(SecretName::is_of_node)),
        (
            "validator",
            names.iter().any(|name| name.validator_number().is_some()),
        ),
        (
            "token",
            names.iter().any(|name| name.token_number().is_some()),
        ),
        (
            "exchange",
            names.iter().any(|name| name.exchange_number().is_some()),
        ),
        ("wrapping/1", keys.contains(&SecretName::wrapping(1))),
    ];
    let lacking = needed.iter().filter(|(_, is_there)| !is_there);
    lacking
        .map(|(name, _)| Finding {
            what: (*name).to_owned(),
            fault: Some("there is no such key".to_owned()),
        })
        .collect()
}

/// Uses the key once, against its own public part.
fn fault_of(keys: &dyn KeyStore, name: &SecretName) -> Option<String> {
    let facts = match keys.facts(name) {
        Ok(facts) => facts,
        Err(error) => return Some(error.to_string()),
    };
    if facts.place == (KeyPlace::Token { is_confined: false }) {
        return Some(
            "the token does not say that the key was made in it and stays there".to_owned(),
        );
    }
    let age = facts.made_at.and_then(age_days).unwrap_or(0);
    let used = match facts.kind {
        SecretKind::Signing | SecretKind::SigningP256 => signs(keys, name),
        SecretKind::Agreement => unwraps(keys, name),
        SecretKind::Cosigning => keys
            .sign_ml_dsa_44(name, MESSAGE)
            .map(drop)
            .map_err(|error| error.to_string()),
        SecretKind::Symmetric => keys
            .expose(name)
            .map(drop)
            .map_err(|error| error.to_string()),
    };
    let is_signing = matches!(facts.kind, SecretKind::Signing | SecretKind::SigningP256);
    match used {
        Err(fault) => Some(fault),
        Ok(()) if is_signing && age > AGE_DAYS_MAX => {
            Some(format!("it is {age} days old: rotate it"))
        }
        Ok(()) => None,
    }
}

fn signs(keys: &dyn KeyStore, name: &SecretName) -> Result<(), String> {
    let said = |error: &dyn std::error::Error| error.to_string();
    let public = keys
        .signing_public_key(name)
        .map_err(|error| said(&error))?;
    let signature = keys.sign(name, MESSAGE).map_err(|error| said(&error))?;
    let key = match public {
        SigningPublicKey::Ed25519(bytes) => NodeKey::ed25519(bytes),
        SigningPublicKey::P256(point) => NodeKey::p256(&point),
    };
    let key = key.ok_or_else(|| "its public part is no key".to_owned())?;
    let signature = key.algorithm().in_one_form(signature);
    key.verify(MESSAGE, &signature)
        .map_err(|error| said(&error))
}

fn unwraps(keys: &dyn KeyStore, name: &SecretName) -> Result<(), String> {
    let public = keys
        .hpke_public_key(name)
        .map_err(|error| error.to_string())?;
    let wrapped = wrap_for(&public, b"check", &[], MESSAGE).map_err(|error| error.to_string())?;
    let opened = keys.unwrap_for(name, b"check", &[], &wrapped);
    match opened {
        Ok(clear) if *clear == *MESSAGE => Ok(()),
        Ok(_) => Err("it unwraps something else than was wrapped".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn secret_files(opened: &Opened) -> Vec<std::path::PathBuf> {
    let mut files = opened.file.keys.files();
    files.extend(opened.file.passphrase_file.clone());
    if let KeysEntry::Token(entry) = &opened.file.keys {
        files.extend(entry.pin_file.clone());
    }
    let paths = files.into_iter().map(|file| opened.folder.join(file));
    paths.filter(|path| path.exists()).collect()
}

#[cfg(unix)]
fn readable(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o077 != 0).then(|| format!("others may read it (mode {:o})", mode & 0o777))
}

#[cfg(not(unix))]
fn readable(path: &Path) -> Option<String> {
    fs::metadata(path).err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use vault::keystore::{FileKeyStore, KdfCost};

    use super::*;

    const CHEAP: KdfCost = KdfCost {
        memory_kib: 8,
        iterations: 1,
        lanes: 1,
    };

    #[test]
    fn each_kind_of_key_is_used_and_one_that_lacks_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let keys = FileKeyStore::create(&folder.path().join("keys"), b"words", CHEAP).unwrap();
        for (name, kind) in [
            (SecretName::node(), SecretKind::SigningP256),
            (SecretName::validator(), SecretKind::Signing),
            (SecretName::cosigner(), SecretKind::Cosigning),
            (SecretName::exchange(), SecretKind::Agreement),
            (SecretName::wrapping(1), SecretKind::Symmetric),
        ] {
            keys.generate(name.clone(), kind).unwrap();
            assert_eq!(fault_of(&keys, &name), None);
        }
        let lacking: Vec<_> = missing(&keys).into_iter().map(|one| one.what).collect();
        assert_eq!(lacking, ["token"]);
        assert!(fault_of(&keys, &SecretName::token()).is_some());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_named() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pin");
        fs::write(&path, "1234").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(readable(&path), None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(readable(&path).unwrap().contains("640"));
    }
}
