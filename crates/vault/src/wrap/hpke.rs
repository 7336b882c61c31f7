//! HPKE (RFC 9180), base mode: DHKEM(X25519, HKDF-SHA-256), HKDF-SHA-256, AES-256-GCM.
//!
//! The suite is the one that browsers offer, so that a patient's wallet can take part.

use std::fmt;

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal,
};
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use crate::secret::ClearBytes;

type Suite = X25519HkdfSha256;

/// Why a key cannot be wrapped or unwrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HpkeError {
    /// The bytes are no public key, or one with which no secret can be agreed.
    #[error("recipient's public key is not valid")]
    InvalidPublicKey,
    /// The wrap was changed, or made for another key, `info` or associated data.
    #[error("wrapped key is not authentic for this recipient and purpose")]
    NotAuthentic,
}

/// To whom a key is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct HpkePublicKey(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

/// A recipient's key pair.
#[derive(Clone)]
pub struct HpkeKeyPair {
    private: Zeroizing<[u8; 32]>,
    public: HpkePublicKey,
}

/// A key on its way to one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct WrappedKey {
    /// The sender's ephemeral public key.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub encapsulated: [u8; 32],
    /// The sealed key and its tag.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub ciphertext: Vec<u8>,
}

/// Wraps `key` so that only `recipient` unwraps it, with the same `info` (purpose) and `associated_data` (request).
pub fn wrap_for(
    recipient: &HpkePublicKey,
    info: &[u8],
    associated_data: &[u8],
    key: &[u8],
) -> Result<WrappedKey, HpkeError> {
    let recipient = <Suite as Kem>::PublicKey::from_bytes(&recipient.0)
        .map_err(|_| HpkeError::InvalidPublicKey)?;
    let (encapsulated, ciphertext) = single_shot_seal::<AesGcm256, HkdfSha256, Suite>(
        &OpModeS::Base,
        &recipient,
        info,
        key,
        associated_data,
    )
    .map_err(|_| HpkeError::InvalidPublicKey)?;
    Ok(WrappedKey {
        encapsulated: encapsulated.to_bytes().into(),
        ciphertext,
    })
}

impl HpkeKeyPair {
    /// A fresh key pair.
    pub fn generate() -> Self {
        let (private, public) = Suite::gen_keypair();
        Self {
            private: Zeroizing::new(private.to_bytes().into()),
            public: HpkePublicKey(public.to_bytes().into()),
        }
    }

    /// Takes a private key; any 32 bytes are one.
    #[expect(clippy::expect_used, reason = "the length of the key is in its type")]
    pub fn from_private(private: Zeroizing<[u8; 32]>) -> Self {
        let parsed = <Suite as Kem>::PrivateKey::from_bytes(&*private)
            .expect("any 32 bytes are an X25519 private key");
        let public = HpkePublicKey(Suite::sk_to_pk(&parsed).to_bytes().into());
        Self { private, public }
    }

    /// The public key.
    pub fn public_key(&self) -> HpkePublicKey {
        self.public
    }

    /// Unwraps what [`wrap_for`] wrapped.
    pub fn unwrap(
        &self,
        info: &[u8],
        associated_data: &[u8],
        wrapped: &WrappedKey,
    ) -> Result<ClearBytes, HpkeError> {
        let private = <Suite as Kem>::PrivateKey::from_bytes(&*self.private)
            .map_err(|_| HpkeError::NotAuthentic)?;
        let encapsulated = <Suite as Kem>::EncappedKey::from_bytes(&wrapped.encapsulated)
            .map_err(|_| HpkeError::NotAuthentic)?;
        let key = single_shot_open::<AesGcm256, HkdfSha256, Suite>(
            &OpModeR::Base,
            &private,
            &encapsulated,
            info,
            &wrapped.ciphertext,
            associated_data,
        )
        .map_err(|_| HpkeError::NotAuthentic)?;
        Ok(ClearBytes::new(Zeroizing::new(key)))
    }
}

impl fmt::Debug for HpkeKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HpkeKeyPair({:?}, ..)", self.public)
    }
}
