//! Keys of members' nodes: Ed25519, or P-256 for members whose key hardware or authority has nothing else.
//!
//! The algorithm of a signature stands in what is signed, and has to be the key's own. A signature has one form: Ed25519
//! by ZIP 215, ECDSA with the lower of the two values of `s` that verify. Otherwise whoever sees a statement could
//! make another one of it, with another digest.

use ed25519_zebra::VerificationKey;
use minicbor::decode::Error as Malformed;
use minicbor::encode::{Error as Unwritten, Write};
use minicbor::{Decode, Decoder, Encode, Encoder};
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};

use crate::ids::{Digest, MemberName};

/// How a node signs. In CBOR the number that COSE gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// Ed25519; where the algorithm is the last field, it is left out.
    #[default]
    EdDsa,
    /// ECDSA on P-256 with SHA-256; `r` and `s` in 32 bytes each, `s` the lower one.
    Es256,
}

/// The public key of a member's node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKey {
    /// Ed25519 (RFC 8032).
    Ed25519(VerificationKey),
    /// P-256 (FIPS 186-5).
    P256(VerifyingKey),
}

/// Who signs, with which certificate, and how.
#[derive(Debug, Clone, Copy)]
pub struct SigningNode<'a> {
    /// The member.
    pub member: &'a MemberName,
    /// SHA-256 of the node's certificate.
    pub certificate: Digest,
    /// The algorithm of the certificate's key.
    pub algorithm: Algorithm,
}

/// A signature does not verify: it is another's, of other bytes, by another algorithm, or not in its one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify under the node's key")]
pub struct SignatureInvalid;

impl Algorithm {
    /// Its number in COSE (RFC 9053).
    pub fn cose(self) -> i64 {
        match self {
            Self::EdDsa => -8,
            Self::Es256 => -7,
        }
    }

    /// The algorithm with that number.
    pub fn of_cose(number: i64) -> Option<Self> {
        [Self::EdDsa, Self::Es256]
            .into_iter()
            .find(|algorithm| algorithm.cose() == number)
    }

    /// The one form of a signature that verifies: what hardware gives for ECDSA may be in the other.
    pub fn in_one_form(self, signature: [u8; 64]) -> [u8; 64] {
        match self {
            Self::EdDsa => signature,
            Self::Es256 => Signature::from_slice(&signature)
                .map_or(signature, |one| one.normalize_s().to_bytes().into()),
        }
    }
}

impl NodeKey {
    /// An Ed25519 key.
    pub fn ed25519(bytes: [u8; 32]) -> Option<Self> {
        VerificationKey::try_from(bytes).ok().map(Self::Ed25519)
    }

    /// A P-256 key from its uncompressed point, 65 bytes (SEC 1).
    pub fn p256(point: &[u8; 65]) -> Option<Self> {
        VerifyingKey::from_sec1_bytes(point).ok().map(Self::P256)
    }

    /// How the key's holder signs.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::EdDsa,
            Self::P256(_) => Algorithm::Es256,
        }
    }

    /// The key as certificates hold it: 32 bytes, or the uncompressed point in 65.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => <[u8; 32]>::from(*key).to_vec(),
            Self::P256(key) => key.to_sec1_point(false).as_bytes().to_vec(),
        }
    }

    /// Checks a signature of `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureInvalid> {
        match self {
            Self::Ed25519(key) => {
                let signature = ed25519_zebra::Signature::from_slice(signature)
                    .map_err(|_| SignatureInvalid)?;
                key.verify(&signature, message)
                    .map_err(|_| SignatureInvalid)
            }
            Self::P256(key) => {
                let signature = Signature::from_slice(signature).map_err(|_| SignatureInvalid)?;
                if signature.normalize_s() != signature {
                    return Err(SignatureInvalid);
                }
                key.verify(message, &signature)
                    .map_err(|_| SignatureInvalid)
            }
        }
    }
}

impl From<VerificationKey> for NodeKey {
    fn from(key: VerificationKey) -> Self {
        Self::Ed25519(key)
    }
}

/// Ed25519, unless it is said otherwise.
impl<'a> From<(&'a MemberName, Digest)> for SigningNode<'a> {
    fn from((member, certificate): (&'a MemberName, Digest)) -> Self {
        Self {
            member,
            certificate,
            algorithm: Algorithm::EdDsa,
        }
    }
}

impl<C> Encode<C> for Algorithm {
    fn encode<W: Write>(
        &self,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), Unwritten<W::Error>> {
        encoder.i64(self.cose())?.ok()
    }

    fn is_nil(&self) -> bool {
        *self == Self::EdDsa
    }
}

impl<'b, C> Decode<'b, C> for Algorithm {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, Malformed> {
        let unknown = || Malformed::message("unknown algorithm");
        Self::of_cose(decoder.i64()?).ok_or_else(unknown)
    }

    fn nil() -> Option<Self> {
        Some(Self::EdDsa)
    }
}

#[cfg(test)]
pub(crate) mod tests;
