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
use vault::wrap::WrappedKey;
use zeroize::Zeroizing;

const POLL: Duration = Duration::from_millis(500);
const DAY: u64 = 86_400;
/// What a wallet has sealed to the key before is opened for so long.
pub(super) const EXCHANGE_SECONDS: u64 = 3_600;

/// What a node is asked to do.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Request {
    Wrapping,
    Tokens { at_once: bool },
    Exchange { at_once: bool },
}

/// Keys of which the newest is used, while older ones are still good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Series {
    /// Sign access tokens.
    Tokens,
    /// Open what wallets have sealed.
    Exchange,
}

/// How far it is, and which token keys there are, the newest first.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) epoch: u32,
    pub(super) is_complete: bool,
    pub(super) done: u64,
    pub(super) keys: u64,
    pub(super) tokens: Vec<String>,
    /// The exchange keys, the newest first.
    #[serde(default)]
    pub(super) exchange: Vec<String>,
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
    for name in Series::Tokens.names(&**keys) {
        let public = keys.public_key(&name)?;
        let keys = Arc::clone(keys);
        of_tokens.push(TokenKey::new(public, move |bytes| {
            keys.sign(&name, bytes).map_err(|_| SigningFailed)
        }));
    }
    Ok(of_tokens)
}

/// Opens what was sealed to one of the node's exchange keys: encapsulated key, then ciphertext.
pub(crate) fn open_with_any(
    keys: &dyn KeyStore,
    info: &[u8],
    bound: &[u8],
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (encapsulated, ciphertext) = sealed.split_first_chunk::<32>()?;
    let wrapped = WrappedKey {
        encapsulated: *encapsulated,
        ciphertext: ciphertext.to_vec(),
    };
    let names = exchange_names(keys).into_iter();
    let mut opened = names.filter_map(|name| keys.unwrap_for(&name, info, bound, &wrapped).ok());
    opened.next().map(|clear| clear.into_vec().into())
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
            let rotated = Series::Tokens.rotate(keys, *at_once);
            rotated.map_err(|error| error.to_string())?;
            let newest = token_keys(keys).map_err(|error| error.to_string())?;
            signer.replace(newest);
            tracing::info!("access tokens are signed with a new key");
        }
        Request::Exchange { at_once } => {
            let rotated = Series::Exchange.rotate(keys, *at_once);
            rotated.map_err(|error| error.to_string())?;
            tracing::info!("wallets seal to a new key");
        }
    }
    Ok(())
}

/// The keys that open what wallets have sealed to this node, the newest first.
pub(crate) fn exchange_names(keys: &dyn KeyStore) -> Vec<SecretName> {
    Series::Exchange.names(keys)
}

impl Series {
    fn number(self, name: &SecretName) -> Option<u32> {
        match self {
            Self::Tokens => name.token_number(),
            Self::Exchange => name.exchange_number(),
        }
    }

    /// The keys that there are, the newest first.
    fn names(self, keys: &dyn KeyStore) -> Vec<SecretName> {
        let mut names: Vec<SecretName> = keys.names();
        names.retain(|name| self.number(name).is_some());
        names.sort_by_key(|name| std::cmp::Reverse(self.number(name)));
        names
    }

    /// Makes the next key; destroys the older ones if they were stolen.
    fn rotate(self, keys: &Arc<dyn KeyStore>, at_once: bool) -> Result<(), KeyStoreError> {
        keys.refresh()?;
        let older = self.names(&**keys);
        let newest = older.first().and_then(|name| self.number(name));
        let next = newest.unwrap_or(0).saturating_add(1);
        match self {
            Self::Tokens => keys.generate(SecretName::token_of(next), SecretKind::Signing)?,
            Self::Exchange => {
                keys.generate(SecretName::exchange_of(next), SecretKind::Agreement)?
            }
        }
        if at_once {
            for name in older {
                keys.destroy(&name)?;
            }
        }
        Ok(())
    }

    /// Destroys the older keys once the newest is older than what was made with them lasts; whether it did.
    fn retire(self, keys: &dyn KeyStore, seconds: u64) -> Result<bool, KeyStoreError> {
        let names = self.names(keys);
        let Some((newest, older)) = names.split_first() else {
            return Ok(false);
        };
        if older.is_empty() || !is_over(keys, newest, seconds)? {
            return Ok(false);
        }
        for name in older {
            keys.destroy(name)?;
            tracing::info!(%name, "a key is destroyed: the last that was made with it has expired");
        }
        Ok(true)
    }
}

/// Destroys wrapping keys under which nothing is wrapped, and older keys of which nothing is to be taken any more.
fn retire(
    custody: &Custody,
    keys: &Arc<dyn KeyStore>,
    signer: &TokenSigner,
    token_seconds: u64,
) -> Result<(), KeyStoreError> {
    for epoch in retire_wrapping(&**keys, custody)? {
        tracing::info!(epoch, "the wrapping key of this epoch is destroyed");
    }
    if Series::Tokens.retire(&**keys, token_seconds)? {
        signer.replace(token_keys(keys)?);
    }
    Series::Exchange.retire(&**keys, EXCHANGE_SECONDS)?;
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

fn state(custody: &Custody, keys: &dyn KeyStore, refused: Option<String>) -> Told {
    let progress = custody.wrapping();
    let names = |series: Series| {
        let names = series.names(keys);
        names.iter().map(ToString::to_string).collect()
    };
    Told {
        epoch: progress.epoch,
        is_complete: progress.is_complete,
        done: progress.done,
        keys: progress.keys,
        tokens: names(Series::Tokens),
        exchange: names(Series::Exchange),
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
    use vault::wrap::wrap_for;

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
        Series::Tokens.rotate(&keys, false).unwrap();
        assert_eq!(
            Series::Tokens.names(&*keys),
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
        Series::Tokens.rotate(&keys, true).unwrap();
        assert_eq!(Series::Tokens.names(&*keys), [SecretName::token_of(2)]);
        let again = FileKeyStore::open(&folder.path().join("keys.bin"), b"words").unwrap();
        assert!(!again.contains(&SecretName::token()));
    }

    #[test]
    fn an_exchange_key_opens_what_was_sealed_to_it_until_the_overlap_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let keys = store(folder.path());
        let first = SecretName::exchange();
        keys.generate(first.clone(), SecretKind::Agreement).unwrap();
        let sealed = |name: &SecretName| {
            let key = keys.hpke_public_key(name).unwrap();
            let wrapped = wrap_for(&key, b"info", b"bound", b"branches").unwrap();
            [wrapped.encapsulated.as_slice(), &wrapped.ciphertext].concat()
        };
        let before = sealed(&first);
        let opened = |sealed: &[u8]| open_with_any(&*keys, b"info", b"bound", sealed);
        Series::Exchange.rotate(&keys, false).unwrap();
        let newest = SecretName::exchange_of(2);
        assert_eq!(exchange_names(&*keys), [newest.clone(), first.clone()]);
        assert!(!Series::Exchange.retire(&*keys, EXCHANGE_SECONDS).unwrap());
        let after = sealed(&newest);
        for sealed in [&before, &after] {
            assert_eq!(opened(sealed).unwrap().as_slice(), b"branches");
        }
        std::thread::sleep(Duration::from_millis(2_100));
        assert!(Series::Exchange.retire(&*keys, 0).unwrap());
        assert!(opened(&before).is_none() && opened(&after).is_some());
        assert!(!keys.contains(&first));
        // The number of a key that was destroyed is not given again.
        Series::Exchange.rotate(&keys, true).unwrap();
        assert_eq!(exchange_names(&*keys), [SecretName::exchange_of(3)]);
        assert!(opened(&after).is_none());
    }

    #[test]
    fn a_request_is_read_as_it_was_written_and_rubbish_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        for request in [
            Request::Wrapping,
            Request::Tokens { at_once: true },
            Request::Exchange { at_once: false },
        ] {
            ask(folder.path(), &request).unwrap();
            assert_eq!(asked(folder.path()), Some(request));
        }
        fs::write(request_in(folder.path()), "rubbish").unwrap();
        assert_eq!(asked(folder.path()), None);
        assert!(!is_asked(folder.path()));
    }
}
