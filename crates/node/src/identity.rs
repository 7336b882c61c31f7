//! With which certificate and key this node speaks: the newest that the ledger has registered and whose key is here.
//!
//! A renewal needs no restart. Once the ledger holds a new certificate of this member, the key store is read again; if
//! the key is in it, statements, requests and connections use it from then on.

use std::sync::{Arc, PoisonError, RwLock};

use contracts::membership::Registry;
use ledger::ids::{BlockTime, Digest, MemberName};
use ledger::node_key::Algorithm;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use vault::keystore::{KeyStore, KeyStoreError, SecretName, SigningPublicKey};

mod tls_key;

use self::tls_key::StoredKey;
use crate::chain::Chain;
use crate::outbox::{CannotSign, Signer, Speaker};

/// A node's certificate and key, as they are now; clones share them.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    member: MemberName,
    keys: Arc<dyn KeyStore>,
    /// For a node that has not seen yet that its member was admitted.
    unregistered: Option<Vec<u8>>,
    current: RwLock<Arc<Current>>,
}

struct Current {
    thumbprint: Digest,
    key: SecretName,
    algorithm: Algorithm,
    certified: Arc<CertifiedKey>,
}

/// Why a node cannot speak for its member.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No certificate fits a key.
    #[error("the ledger has no certificate of `{0}` whose key is in the key store")]
    NoCertificate(MemberName),
    /// The key store fails.
    #[error("the key store: {0}")]
    Keys(#[from] KeyStoreError),
    /// The key cannot be used for TLS.
    #[error("the node's certificate cannot be used for TLS: {0}")]
    Tls(#[from] rustls::Error),
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("member", &self.0.member)
            .field("certificate", &self.certificate())
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// The identity of `member` by `registry` at `time`; `unregistered` counts while the registry has none.
    pub fn open(
        member: MemberName,
        keys: Arc<dyn KeyStore>,
        (registry, time): (&Registry, BlockTime),
        unregistered: Option<Vec<u8>>,
    ) -> Result<Self, IdentityError> {
        let current = match choose(&member, &keys, registry, time) {
            Err(IdentityError::NoCertificate(member)) => match &unregistered {
                Some(certificate) => Current::of(certificate, &SecretName::node(), &keys)?,
                None => return Err(IdentityError::NoCertificate(member)),
            },
            chosen => chosen?,
        };
        Ok(Self(Arc::new(Inner {
            member,
            keys,
            unregistered,
            current: RwLock::new(Arc::new(current)),
        })))
    }

    /// Whose node this is.
    pub fn member(&self) -> &MemberName {
        &self.0.member
    }

    /// SHA-256 of the certificate.
    pub fn certificate(&self) -> Digest {
        self.current().thumbprint
    }

    /// Signs statements and requests.
    pub fn signer(&self) -> Signer {
        let identity = self.clone();
        Signer::following(move || {
            let (current, keys) = (identity.current(), Arc::clone(&identity.0.keys));
            Speaker {
                certificate: current.thumbprint,
                algorithm: current.algorithm,
                sign: Arc::new(move |bytes| {
                    let signature = keys.sign(&current.key, bytes);
                    signature.map_err(|error| CannotSign(error.to_string()))
                }),
            }
        })
    }

    /// Takes a newer certificate whenever the ledger registers one, until the chain ends.
    pub async fn follow(self, chain: Chain) {
        let mut tips = chain.subscribe();
        let mut seen = chain.registry().revision();
        while tips.changed().await.is_ok() {
            let (registry, time) = (chain.registry(), tips.borrow().time);
            if registry.revision() == seen {
                continue;
            }
            seen = registry.revision();
            if let Err(error) = self.renew(&registry, time) {
                tracing::warn!(%error, "this node's certificate is as it was");
            }
        }
    }

    fn renew(&self, registry: &Registry, time: BlockTime) -> Result<(), IdentityError> {
        self.0.keys.refresh()?;
        let newest = match choose(&self.0.member, &self.0.keys, registry, time) {
            Err(IdentityError::NoCertificate(_)) if self.0.unregistered.is_some() => return Ok(()),
            chosen => chosen?,
        };
        if newest.thumbprint != self.certificate() {
            tracing::info!(certificate = %newest.thumbprint, "this node speaks with a new certificate");
            let mut current = self
                .0
                .current
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            *current = Arc::new(newest);
        }
        Ok(())
    }

    fn current(&self) -> Arc<Current> {
        let current = self.0.current.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }
}

/// The first certificate (DER) in a PEM file.
pub fn certificate_in_pem(pem: &[u8]) -> Option<Vec<u8>> {
    let certificate = CertificateDer::from_pem_slice(pem).ok()?;
    Some(certificate.to_vec())
}

/// The newest certificate that speaks now; or else, so that the node can be asked, the newest one.
fn choose(
    member: &MemberName,
    keys: &Arc<dyn KeyStore>,
    registry: &Registry,
    time: BlockTime,
) -> Result<Current, IdentityError> {
    let names: Vec<SecretName> = keys
        .names()
        .into_iter()
        .filter(SecretName::is_of_node)
        .collect();
    let seat = registry.seat(member);
    let registered = seat.map_or(&[][..], |seat| &seat.certificates);
    let mut fitting = Vec::new();
    for der in registered.iter().rev().map(|one| &one.certificate) {
        let Ok(certificate) = registry.certificate(member, Digest::of(der)) else {
            continue;
        };
        for name in &names {
            if keys.signing_public_key(name)?.as_bytes() == certificate.key.to_bytes() {
                fitting.push((certificate, der, name));
            }
        }
    }
    let speaking = fitting.iter().find(|(one, ..)| one.is_valid_at(time));
    let (_, der, name) = speaking
        .or_else(|| fitting.first())
        .ok_or_else(|| IdentityError::NoCertificate(member.clone()))?;
    Current::of(der, name, keys)
}

/// How a key of the key store signs.
pub fn algorithm_of(key: &SigningPublicKey) -> Algorithm {
    match key {
        SigningPublicKey::Ed25519(_) => Algorithm::EdDsa,
        SigningPublicKey::P256(_) => Algorithm::Es256,
    }
}

impl Current {
    fn of(
        certificate: &[u8],
        name: &SecretName,
        keys: &Arc<dyn KeyStore>,
    ) -> Result<Self, IdentityError> {
        let signer = vault::keystore::Signer::new(Arc::clone(keys), name.clone())?;
        let algorithm = algorithm_of(signer.public_key());
        let key = Arc::new(StoredKey::new(signer));
        let chain = vec![CertificateDer::from(certificate.to_vec())];
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match()?;
        Ok(Self {
            thumbprint: Digest::of(certificate),
            key: name.clone(),
            algorithm,
            certified: Arc::new(certified),
        })
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current().certified))
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current().certified))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
