//! Who may ask for tokens, with which keys, for what.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::BoxFuture;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey};
use node::custody::{Custody, CustodyError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::jws::VerifyingKey;
use super::scope::{ScopeError, Scopes};

/// A wallet's client id is this and the patient's local id.
const WALLET_PREFIX: &str = "wallet-";
const WALLET_PURPOSE: &str = "PATRQT";
const WALLET_SCOPES: &str = "patient/*.cruds";

/// A client as it is written in the node's configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    /// `iss` and `sub` of its assertions.
    pub client_id: String,
    /// Its public keys: OKP Ed25519 (EdDSA) or EC P-256 (ES256).
    pub keys: Vec<Jwk>,
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
    pub(super) keys: Vec<VerifyingKey>,
    pub(super) roles: Vec<String>,
    pub(super) purposes: Vec<String>,
    pub(super) scopes: Scopes,
    /// The one patient whom a wallet's tokens are bound to.
    pub(super) patient: Option<String>,
}

/// The clients of this node.
pub struct ClientRegistry {
    configured: BTreeMap<String, Client>,
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

    /// The client with this id.
    pub(super) async fn find(&self, id: &str) -> Result<Option<Client>, WalletsUnavailable> {
        let Some(patient) = id.strip_prefix(WALLET_PREFIX) else {
            return Ok(self.configured.get(id).cloned());
        };
        let key = self.wallets.wallet_key(patient).await?;
        Ok(key.and_then(|key| Client::wallet(patient, key)))
    }
}

impl Client {
    fn configured(config: ClientConfig) -> Result<Self, ClientConfigError> {
        let id = config.client_id;
        if id.is_empty() || id.len() > 128 || id.starts_with(WALLET_PREFIX) {
            return Err(ClientConfigError::IdNotUsable(id));
        }
        if config.keys.is_empty() {
            return Err(ClientConfigError::KeyMissing(id));
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
            id,
            keys,
            roles: config.roles,
            purposes: config.purposes,
            scopes,
            patient: None,
        })
    }

    fn wallet(patient: &str, key: [u8; 32]) -> Option<Self> {
        Some(Self {
            id: format!("{WALLET_PREFIX}{patient}"),
            keys: vec![ed25519_key(&key)?],
            roles: Vec::new(),
            purposes: vec![WALLET_PURPOSE.to_owned()],
            scopes: WALLET_SCOPES.parse().ok()?,
            patient: Some(patient.to_owned()),
        })
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
