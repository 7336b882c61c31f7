//! Who may ask for tokens, with which keys, for what.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::BoxFuture;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey};
use node::custody::{Custody, CustodyError};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::jws::VerifyingKey;
use super::scope::{ScopeError, Scopes};

/// A wallet's client id is this and the patient's local id.
const WALLET_PREFIX: &str = "wallet-";
const WALLET_PURPOSE: &str = "PATRQT";
const WALLET_SCOPES: &str = "patient/*.cruds";

/// A client as it is written in the node's configuration.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    /// `iss` and `sub` of its assertions.
    pub client_id: String,
    /// What users are shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its public keys: OKP Ed25519 (EdDSA) or EC P-256 (ES256).
    #[serde(default)]
    pub keys: Vec<Jwk>,
    /// SHA-256 of its secret, hex, if it has one; secrets are made here, with 256 bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_sha256: Option<String>,
    /// Whether it can keep neither key nor secret: an app in a browser or on a phone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public: bool,
    /// Where users are sent back to, exactly; without any the client has no users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// The roles that it may claim for its users.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The purposes of use that it may state (v3-ActReason codes).
    pub purposes: Vec<String>,
    /// The most that its tokens may be used for.
    pub scopes: String,
}

/// Why a client cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ClientConfigError {
    #[error("client `{0}`: the id is empty, too long, or a wallet's")]
    IdNotUsable(String),
    #[error("client `{0}` is registered twice")]
    Repeated(String),
    #[error("client `{0}`: a key is neither Ed25519 nor P-256")]
    KeyUnsupported(String),
    #[error("client `{0}` has no key")]
    KeyMissing(String),
    #[error("client `{0}` is public and has a key or a secret")]
    PublicWithSecret(String),
    #[error("client `{0}`: the digest of the secret is not that of SHA-256 in hex")]
    SecretMalformed(String),
    #[error("client `{0}`: a redirect URI is neither https, nor of this machine, nor an app's own")]
    RedirectRefused(String),
    #[error("client `{0}` has no purpose of use")]
    PurposeMissing(String),
    #[error("client `{client}`: {error}")]
    Scopes { client: String, error: ScopeError },
}

/// Who a wallet belongs to. Implemented by whoever keeps the enrolments.
pub trait WalletKeys: Send + Sync {
    /// The Ed25519 key of the wallet of this patient (local id); `None` without an enrolment.
    fn wallet_key<'a>(&'a self, patient_id: &'a str) -> BoxFuture<'a, WalletKey>;
}

/// The enrolments cannot be read at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the enrolments cannot be read at the moment")]
pub struct WalletsUnavailable;

type WalletKey = Result<Option<[u8; 32]>, WalletsUnavailable>;

impl WalletKeys for Custody {
    fn wallet_key<'a>(&'a self, patient_id: &'a str) -> BoxFuture<'a, WalletKey> {
        Box::pin(async move {
            match self.subject_view(patient_id) {
                Ok(view) => Ok(view.wallet_key),
                Err(CustodyError::NotFound | CustodyError::UnknownPatient) => Ok(None),
                Err(_) => Err(WalletsUnavailable),
            }
        })
    }
}

/// A client: a system of the member, or a patient's wallet.
#[derive(Clone)]
pub struct Client {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) keys: Vec<VerifyingKey>,
    pub(super) secret_sha256: Option<String>,
    pub(super) is_public: bool,
    pub(super) redirect_uris: Vec<String>,
    pub(super) roles: Vec<String>,
    pub(super) purposes: Vec<String>,
    pub(super) scopes: Scopes,
    /// The one patient whom a wallet's tokens are bound to.
    pub(super) patient: Option<String>,
}

/// The clients of this node.
pub struct ClientRegistry {
    configured: BTreeMap<String, Client>,
    /// Those that were registered while nodes ran.
    registered: RwLock<BTreeMap<String, Client>>,
    wallets: Box<dyn WalletKeys>,
}

impl ClientRegistry {
    /// The configured clients, and wallets as they are enrolled.
    pub fn new(
        configured: Vec<ClientConfig>,
        wallets: impl WalletKeys + 'static,
    ) -> Result<Self, ClientConfigError> {
        let mut registry = Self {
            configured: BTreeMap::new(),
            registered: RwLock::default(),
            wallets: Box::new(wallets),
        };
        for config in configured {
            let client = Client::configured(config)?;
            if let Some(twice) = registry.configured.insert(client.id.clone(), client) {
                return Err(ClientConfigError::Repeated(twice.id));
            }
        }
        Ok(registry)
    }

    /// Takes in a client that was registered.
    pub(super) fn add(&self, client: Client) {
        let mut registered = self
            .registered
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        registered.insert(client.id.clone(), client);
    }

    /// Forgets a client that was registered.
    pub(super) fn remove(&self, id: &str) {
        let mut registered = self
            .registered
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        registered.remove(id);
    }

    /// Whether a client has a redirect URI of which this is true.
    pub(super) fn has_redirect_uri(&self, is_wanted: impl Fn(&String) -> bool) -> bool {
        let registered = self
            .registered
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let mut clients = self.configured.values().chain(registered.values());
        clients.any(|client| client.redirect_uris.iter().any(&is_wanted))
    }

    /// The client with this id: configured, registered since, or a wallet.
    pub(super) async fn find(&self, id: &str) -> Result<Option<Client>, WalletsUnavailable> {
        let Some(patient) = id.strip_prefix(WALLET_PREFIX) else {
            let configured = self.configured.get(id).cloned();
            let registered = || {
                let registered = self.registered.read();
                let registered = registered.unwrap_or_else(PoisonError::into_inner);
                registered.get(id).cloned()
            };
            return Ok(configured.or_else(registered));
        };
        let key = self.wallets.wallet_key(patient).await?;
        Ok(key.and_then(|key| Client::wallet(patient, key)))
    }
}

impl Client {
    pub(super) fn configured(config: ClientConfig) -> Result<Self, ClientConfigError> {
        let id = config.client_id;
        if id.is_empty() || id.len() > 128 || id.starts_with(WALLET_PREFIX) {
            return Err(ClientConfigError::IdNotUsable(id));
        }
        let has_secret = !config.keys.is_empty() || config.secret_sha256.is_some();
        match (config.public, has_secret) {
            (false, false) => return Err(ClientConfigError::KeyMissing(id)),
            (true, true) => return Err(ClientConfigError::PublicWithSecret(id)),
            _ => {}
        }
        if config
            .secret_sha256
            .as_deref()
            .is_some_and(|hex| !is_sha256(hex))
        {
            return Err(ClientConfigError::SecretMalformed(id));
        }
        if !config.redirect_uris.iter().all(|uri| is_redirect_uri(uri)) {
            return Err(ClientConfigError::RedirectRefused(id));
        }
        if config.purposes.is_empty() {
            return Err(ClientConfigError::PurposeMissing(id));
        }
        let keys: Option<Vec<VerifyingKey>> = config.keys.iter().map(verifying_key).collect();
        let Some(keys) = keys else {
            return Err(ClientConfigError::KeyUnsupported(id));
        };
        let scopes = match config.scopes.parse() {
            Ok(scopes) => scopes,
            Err(error) => return Err(ClientConfigError::Scopes { client: id, error }),
        };
        Ok(Self {
            name: config.name.unwrap_or_else(|| id.clone()),
            id,
            keys,
            secret_sha256: config.secret_sha256,
            is_public: config.public,
            redirect_uris: config.redirect_uris,
            roles: config.roles,
            purposes: config.purposes,
            scopes,
            patient: None,
        })
    }

    fn wallet(patient: &str, key: [u8; 32]) -> Option<Self> {
        Some(Self {
            id: format!("{WALLET_PREFIX}{patient}"),
            name: "a wallet".to_owned(),
            keys: vec![ed25519_key(&key)?],
            secret_sha256: None,
            is_public: false,
            redirect_uris: Vec::new(),
            roles: Vec::new(),
            purposes: vec![WALLET_PURPOSE.to_owned()],
            scopes: WALLET_SCOPES.parse().ok()?,
            patient: Some(patient.to_owned()),
        })
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientConfig({})", self.client_id)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client(..)")
    }
}

impl fmt::Debug for ClientRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientRegistry({} configured)", self.configured.len())
    }
}

pub(super) fn ed25519_key(key: &[u8; 32]) -> Option<VerifyingKey> {
    let key = DecodingKey::from_ed_components(&URL_SAFE_NO_PAD.encode(key)).ok()?;
    Some(VerifyingKey {
        id: None,
        algorithm: Algorithm::EdDSA,
        key,
    })
}

/// https, http on this machine, or a scheme of an app's own, which has a dot (RFC 8252).
fn is_redirect_uri(uri: &str) -> bool {
    let Ok(url) = Url::parse(uri) else {
        return false;
    };
    let is_here = || matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let is_allowed = match url.scheme() {
        "https" => url.has_host(),
        "http" => is_here(),
        own => own.contains('.'),
    };
    is_allowed && url.fragment().is_none() && url.username().is_empty() && uri.len() <= 2_048
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && hex::decode(text).is_ok()
}

fn verifying_key(jwk: &Jwk) -> Option<VerifyingKey> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        _ => return None,
    };
    Some(VerifyingKey {
        id: jwk.common.key_id.clone(),
        algorithm,
        key: DecodingKey::from_jwk(jwk).ok()?,
    })
}
