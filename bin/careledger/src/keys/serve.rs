//! The running node's side of rotations.
//!
//! Whoever may write into the node's folder may ask: a file there is the request, another tells how far it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::node::custody::Custody;
use ::node::rotation::{retire_wrapping, rotate_wrapping};
use gateway::auth::{SigningFailed, TokenKey, TokenSigner};
use serde::{Deserialize, Serialize};
use vault::keystore::{KeyPlace, KeyStore, KeyStoreError, SecretKind, SecretName};

const POLL: Duration = Duration::from_millis(500);
const DAY: u64 = 86_400;

/// What a node is asked to do.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Request {
    Wrapping,
    Tokens { at_once: bool },
}

/// How far it is, and which token keys there are, the newest first.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) epoch: u32,
    pub(super) is_complete: bool,
    pub(super) done: u64,
    pub(super) keys: u64,
    pub(super) tokens: Vec<String>,
    /// Why the last request was not done.
    pub(super) refused: Option<String>,
}

/// Takes requests, tells how far it is, and destroys keys once they are not needed any more.
pub(crate) async fn serve(
    custody: Custody,
    (keys, signer): (Arc<dyn KeyStore>, TokenSigner),
    token_seconds: u64,
    data: PathBuf,
) {
    let mut before = None;
    let mut refused = None;
    loop {
        if let Some(request) = asked(&data) {
            refused = act(&request, &custody, &keys, &signer).await.err();
            before = None;
            answered(&data, &state(&custody, &*keys, refused.clone()));
        }
        if let Err(error) = retire(&custody, &keys, &signer, token_seconds) {
            tracing::error!(%error, "an old key is not destroyed");
        }
        let now = state(&custody, &*keys, refused.clone());
        if before.as_ref() != Some(&now) {
            tell(&data, &now);
            before = Some(now);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Tells how the request ended before it goes away, for which its asker waits.
fn answered(data: &Path, now: &Told) {
    if let Some(reason) = &now.refused {
        tracing::error!(%reason, "a key is not rotated");
    }
    tell(data, now);
    if let Err(error) = fs::remove_file(request_in(data)) {
        tracing::error!(%error, "the request to rotate a key stays");
    }
}

/// The token keys of a key store, the newest first.
pub(crate) fn token_keys(keys: &Arc<dyn KeyStore>) -> Result<Vec<TokenKey>, KeyStoreError> {
    let mut of_tokens = Vec::new();
    for name in token_names(&**keys) {
        let public = keys.public_key(&name)?;
        let keys = Arc::clone(keys);
        of_tokens.push(TokenKey::new(public, move |bytes| {
            keys.sign(&name, bytes).map_err(|_| SigningFailed)
        }));
    }
    Ok(of_tokens)
}

pub(super) fn ask(data: &Path, request: &Request) -> anyhow::Result<()> {
    let fresh = request_in(data).with_extension("new");
    fs::write(&fresh, serde_json::to_vec(request)?)?;
    Ok(fs::rename(fresh, request_in(data))?)
}

pub(super) fn is_asked(data: &Path) -> bool {
    request_in(data).exists()
}

pub(super) fn told(data: &Path) -> anyhow::Result<Told> {
    Ok(serde_json::from_slice(&fs::read(state_in(data))?)?)
}

async fn act(
    request: &Request,
    custody: &Custody,
    keys: &Arc<dyn KeyStore>,
    signer: &TokenSigner,
) -> Result<(), String> {
    match request {
        Request::Wrapping => {
            let epoch = rotate_wrapping(&**keys, custody).await;
            let epoch = epoch.map_err(|error| error.to_string())?;
            tracing::info!(epoch, "erase keys are wrapped under a new key");
        }
        Request::Tokens { at_once } => {
            rotate_tokens(keys, *at_once).map_err(|error| error.to_string())?;
            let newest = token_keys(keys).map_err(|error| error.to_string())?;
            signer.replace(newest);
            tracing::info!("access tokens are signed with a new key");
        }
    }
    Ok(())
}

fn rotate_tokens(keys: &Arc<dyn KeyStore>, at_once: bool) -> Result<(), KeyStoreError> {
    keys.refresh()?;
    let older = token_names(&**keys);
    let newest = older.iter().filter_map(SecretName::token_number).max();
    let next = SecretName::token_of(newest.unwrap_or(0).saturating_add(1));
    keys.generate(next, SecretKind::Signing)?;
    if at_once {
        for name in older {
            keys.destroy(&name)?;
        }
    }
    Ok(())
}

/// Destroys wrapping keys under which nothing is wrapped, and token keys of which no token is valid any more.
fn retire(
    custody: &Custody,
    keys: &Arc<dyn KeyStore>,
    signer: &TokenSigner,
    token_seconds: u64,
) -> Result<(), KeyStoreError> {
    for epoch in retire_wrapping(&**keys, custody)? {
        tracing::info!(epoch, "the wrapping key of this epoch is destroyed");
    }
    let names = token_names(&**keys);
    let Some((newest, older)) = names.split_first() else {
        return Ok(());
    };
    if older.is_empty() || !is_over(&**keys, newest, token_seconds)? {
        return Ok(());
    }
    for name in older {
        keys.destroy(name)?;
        tracing::info!(%name, "a key of access tokens is destroyed: the last that it signed has expired");
    }
    signer.replace(token_keys(keys)?);
    Ok(())
}

/// Whether what was signed before this key was made has expired. A key of a token tells only its day.
fn is_over(
    keys: &dyn KeyStore,
    newest: &SecretName,
    token_seconds: u64,
) -> Result<bool, KeyStoreError> {
    let facts = keys.facts(newest)?;
    let made_by = match facts.place {
        KeyPlace::File => facts.made_at,
        KeyPlace::Token { .. } => facts.made_at.map(|day| day.saturating_add(DAY)),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    Ok(made_by.is_some_and(|made| now > made.saturating_add(token_seconds)))
}

fn token_names(keys: &dyn KeyStore) -> Vec<SecretName> {
    let mut names: Vec<SecretName> = keys.names();
    names.retain(|name| name.token_number().is_some());
    names.sort_by_key(|name| std::cmp::Reverse(name.token_number()));
    names
}

fn state(custody: &Custody, keys: &dyn KeyStore, refused: Option<String>) -> Told {
    let progress = custody.wrapping();
    let names = token_names(keys);
    Told {
        epoch: progress.epoch,
        is_complete: progress.is_complete,
        done: progress.done,
        keys: progress.keys,
        tokens: names.iter().map(ToString::to_string).collect(),
        refused,
    }
}

fn asked(data: &Path) -> Option<Request> {
    let bytes = fs::read(request_in(data)).ok()?;
    let request = serde_json::from_slice(&bytes);
    if let Err(error) = &request {
        tracing::error!(%error, "a request to rotate a key is malformed");
        // Nobody waits for it.
        let _removed = fs::remove_file(request_in(data));
    }
    request.ok()
}

fn tell(data: &Path, told: &Told) {
    let fresh = state_in(data).with_extension("new");
    let written = serde_json::to_vec(told)
        .map_err(std::io::Error::other)
        .and_then(|bytes| fs::write(&fresh, bytes))
        .and_then(|()| fs::rename(&fresh, state_in(data)));
    if let Err(error) = written {
        tracing::warn!(%error, "how far the rotation of keys is cannot be told");
    }
}

fn request_in(data: &Path) -> PathBuf {
    data.join("keys.request")
}

fn state_in(data: &Path) -> PathBuf {
    data.join("keys.json")
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

    fn store(folder: &Path) -> Arc<dyn KeyStore> {
        let store = FileKeyStore::create(&folder.join("keys.bin"), b"words", CHEAP).unwrap();
        store
            .generate(SecretName::token(), SecretKind::Signing)
            .unwrap();
        Arc::new(store)
    }

    #[test]
    fn a_new_token_key_comes_first_and_the_one_before_stays_until_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let keys = store(folder.path());
        rotate_tokens(&keys, false).unwrap();
        assert_eq!(
            token_names(&*keys),
            [SecretName::token_of(2), SecretName::token()]
        );
        assert_eq!(token_keys(&keys).unwrap().len(), 2);
        let newest = SecretName::token_of(2);
        assert!(!is_over(&*keys, &newest, 900).unwrap());
        std::thread::sleep(Duration::from_millis(2_100));
        assert!(is_over(&*keys, &newest, 0).unwrap());
    }

    #[test]
    fn stolen_token_keys_go_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let keys = store(folder.path());
        rotate_tokens(&keys, true).unwrap();
        assert_eq!(token_names(&*keys), [SecretName::token_of(2)]);
        let again = FileKeyStore::open(&folder.path().join("keys.bin"), b"words").unwrap();
        assert!(!again.contains(&SecretName::token()));
    }

    #[test]
    fn a_request_is_read_as_it_was_written_and_rubbish_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        for request in [Request::Wrapping, Request::Tokens { at_once: true }] {
            ask(folder.path(), &request).unwrap();
            assert_eq!(asked(folder.path()), Some(request));
        }
        fs::write(request_in(folder.path()), "rubbish").unwrap();
        assert_eq!(asked(folder.path()), None);
        assert!(!is_asked(folder.path()));
    }
}
