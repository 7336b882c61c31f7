//! Statements: what a member submits, signed once for up to 1,024 items.
//!
//! A statement is a SCITT signed statement (RFC 9943): a COSE_Sign1 (RFC 9052) over a deterministic CBOR payload. The payload commits to the items by
//! the root of an RFC 9162 tree over them; the items travel beside the signature, so that a receipt for one of
//! them carries a short path instead of the other 1,023.
//!
//! ```text
//! submitted = [ 18(COSE_Sign1) as bytes, items: 64 bytes each ]
//! payload   = [ network, statement id, last height, [0, [items root, items]] / [1, [contract, command]] ]
//! protected = { 1: -8 (EdDSA) / -7 (ES256), 3: content type, 15: { 1: member, 2: subject },
//!               34: [-16, SHA-256 of the certificate] }
//! subject   = "items" / "contract/<number>"
//! ```

use coset::{CoseSign1, CoseSign1Builder, HeaderBuilder, TaggedCborSerializable};
use ed25519_zebra::{Signature, VerificationKeyBytes, batch};
use minicbor::{Decode, Encode};

use crate::codec::{self, DecodeError};
use crate::cose::{self, Signed};
use crate::ids::{Digest, Height, MemberName, NetworkId};
use crate::item::{ITEM_BYTES, Item};
use crate::limits::{STATEMENT_BYTES_MAX, STATEMENT_ITEMS_MAX};
use crate::log::{self, Empty, InclusionPath, LogAppend, LogError};
use crate::node_key::{Algorithm, NodeKey, SigningNode};
use crate::signatures::Signatures;

/// The content type in a statement's protected header.
pub const CONTENT_TYPE: &str = "application/vnd.careledger.statement+cbor";

/// A random number that makes a statement unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct StatementId(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// What a statement says, as it is signed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Payload {
    /// The network that the statement is for.
    #[n(0)]
    pub network: NetworkId,
    /// What makes the statement unique.
    #[n(1)]
    pub id: StatementId,
    /// The last height at which the statement may be accepted.
    #[n(2)]
    pub expires_at: Height,
    /// Items or a command.
    #[n(3)]
    pub body: Body,
}

/// The two kinds of statement.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Body {
    /// Items, by the root of the tree over them.
    #[n(0)]
    Items {
        /// Root of the RFC 9162 tree over the items.
        #[n(0)]
        root: Digest,
        /// How many there are.
        #[n(1)]
        count: u16,
    },
    /// A command to a replicated contract.
    #[n(1)]
    Command {
        /// The contract's number.
        #[n(0)]
        contract: u16,
        /// The command, in the contract's own encoding.
        #[n(1)]
        #[cbor(with = "minicbor::bytes")]
        command: Vec<u8>,
    },
}

/// Why a statement is refused before any contract sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The bytes are not a statement.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A header says something other than what this format fixes.
    #[error("the protected header is not that of a statement")]
    HeaderNotOfAStatement,
    /// More items than a statement may carry, or none.
    #[error("a statement carries 1 to {STATEMENT_ITEMS_MAX} items")]
    ItemsOutOfBounds,
    /// The items are not those that were signed.
    #[error("the items are not those that the signature covers")]
    ItemsNotSigned,
    /// The signature does not verify.
    #[error("the signature does not verify under the registered key")]
    SignatureInvalid,
}

/// A statement as it arrives: well-formed, not yet verified.
#[derive(Clone, PartialEq)]
pub struct SubmittedStatement {
    cose: CoseSign1,
    wire: Wire,
    payload: Payload,
    signed: Signed,
    items: Vec<Item>,
}

#[derive(Clone, PartialEq, Eq, Encode, Decode)]
struct Wire {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    cose: Vec<u8>,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    items: Vec<u8>,
}

impl std::fmt::Debug for SubmittedStatement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubmittedStatement")
            .field("member", &self.signed.member)
            .field("payload", &self.payload)
            .finish_non_exhaustive()
    }
}

impl SubmittedStatement {
    /// Signs `items` for a member.
    ///
    /// `sign` returns the signature of the bytes that it is given, 64 bytes by the signer's algorithm.
    pub fn sign_items<'a, E>(
        signer: impl Into<SigningNode<'a>>,
        (network, id, expires_at): (NetworkId, StatementId, Height),
        items: Vec<Item>,
        sign: impl FnOnce(&[u8]) -> Result<[u8; 64], E>,
    ) -> Result<Self, E> {
        let body = Body::Items {
            root: items_tree(&items).1,
            count: u16::try_from(items.len()).unwrap_or(u16::MAX),
        };
        Self::sign(
            signer,
            Payload {
                network,
                id,
                expires_at,
                body,
            },
            items,
            sign,
        )
    }

    /// Signs a command.
    pub fn sign<'a, E>(
        signer: impl Into<SigningNode<'a>>,
        payload: Payload,
        items: Vec<Item>,
        sign: impl FnOnce(&[u8]) -> Result<[u8; 64], E>,
    ) -> Result<Self, E> {
        let signer = signer.into();
        let in_one_form = |signature| signer.algorithm.in_one_form(signature).to_vec();
        let cose = CoseSign1Builder::new()
            .protected(protected_header(signer, &payload.body))
            .payload(codec::encode(&payload))
            .try_create_signature(&[], |bytes| sign(bytes).map(in_one_form))?
            .build();
        let wire = Wire {
            cose: cose_bytes(cose.clone()),
            items: items.iter().flat_map(Item::to_bytes).collect(),
        };
        Ok(Self {
            cose,
            wire,
            payload,
            signed: Signed {
                member: signer.member.clone(),
                certificate: signer.certificate,
                algorithm: signer.algorithm,
            },
            items,
        })
    }

    /// Reads a statement; checks its form and its items, not its signature.
    pub fn decode(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > STATEMENT_BYTES_MAX {
            return Err(DecodeError::TooLarge("statement").into());
        }
        Self::of_wire(codec::decode("statement", bytes)?)
    }

    /// Reads a statement from its envelope and the bytes of its items.
    pub(crate) fn of_parts(cose: Vec<u8>, items: Vec<u8>) -> Result<Self, StatementError> {
        Self::of_wire(Wire { cose, items })
    }

    fn of_wire(wire: Wire) -> Result<Self, StatementError> {
        let (cose, payload, signed) = open_envelope(&wire.cose)?;
        let (items, rest) = wire.items.as_chunks::<ITEM_BYTES>();
        if !rest.is_empty() || items.len() > STATEMENT_ITEMS_MAX {
            return Err(StatementError::ItemsOutOfBounds);
        }
        let items: Vec<Item> = items.iter().map(Item::from_bytes).collect();
        match &payload.body {
            Body::Items { .. } if items.is_empty() => return Err(StatementError::ItemsOutOfBounds),
            Body::Items { root, count }
                if usize::from(*count) != items.len() || items_tree(&items).1 != *root =>
            {
                return Err(StatementError::ItemsNotSigned);
            }
            Body::Command { .. } if !items.is_empty() => {
                return Err(StatementError::ItemsNotSigned);
            }
            Body::Items { .. } | Body::Command { .. } => {}
        }
        Ok(Self {
            cose,
            wire,
            payload,
            signed,
            items,
        })
    }

    /// The bytes to submit.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(&self.wire)
    }

    /// What identifies the statement, its signature and items included.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }

    /// The member that the statement names as its author.
    pub fn member(&self) -> &MemberName {
        &self.signed.member
    }

    /// SHA-256 of the certificate that the statement names (RFC 9360 `x5t`).
    pub fn certificate(&self) -> Digest {
        self.signed.certificate
    }

    /// What was signed.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// The items, in order.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The signed envelope, which is the log's entry.
    pub fn envelope(&self) -> &[u8] {
        &self.wire.cose
    }

    /// The path of item `index` to the root that was signed.
    pub fn item_path(&self, index: u16) -> Result<InclusionPath, LogError> {
        let (tree, _) = items_tree(&self.items);
        log::prove_inclusion(index.into(), tree.size(), &tree)
    }

    /// How it is signed, as its header says.
    pub fn algorithm(&self) -> Algorithm {
        self.signed.algorithm
    }

    /// Checks the signature under `key`, which the registry holds for [`Self::certificate`].
    pub fn verify(&self, key: &NodeKey) -> Result<(), StatementError> {
        verify_signature(&self.cose, self.signed.algorithm, key)
    }

    /// The Ed25519 signature with what it signs and `key`, to be checked together with others; `None` where it has to be
    /// checked by itself.
    pub fn to_verify(&self, key: &NodeKey) -> Option<batch::Item> {
        let NodeKey::Ed25519(key) = key else {
            return None;
        };
        if self.signed.algorithm != Algorithm::EdDsa {
            return None;
        }
        let signature = Signature::from_slice(&self.cose.signature).ok()?;
        let signed = self.cose.tbs_data(&[]);
        Some((VerificationKeyBytes::from(*key), signature, &signed).into())
    }
}

/// A log entry: the signed envelope without the items.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    cose: CoseSign1,
    /// What was signed.
    pub payload: Payload,
    /// The member that signed.
    pub member: MemberName,
    /// SHA-256 of the certificate that it signed with.
    pub certificate: Digest,
    /// How it signed.
    pub algorithm: Algorithm,
}

impl Envelope {
    /// Reads a log entry.
    pub fn decode(bytes: &[u8]) -> Result<Self, StatementError> {
        let (cose, payload, signed) = open_envelope(bytes)?;
        Ok(Self {
            cose,
            payload,
            member: signed.member,
            certificate: signed.certificate,
            algorithm: signed.algorithm,
        })
    }

    /// Checks the signature under `key`.
    pub fn verify(&self, key: &NodeKey) -> Result<(), StatementError> {
        verify_signature(&self.cose, self.algorithm, key)
    }

    /// The same, with the signature left to be checked with others.
    pub(crate) fn add_to<E: From<StatementError>>(
        &self,
        signatures: &mut Signatures<E>,
        key: &NodeKey,
    ) -> Result<(), E> {
        let invalid = E::from(StatementError::SignatureInvalid);
        if self.algorithm != key.algorithm() {
            return Err(invalid);
        }
        let signed = self.cose.tbs_data(&[]);
        signatures.add(key, (&signed, &self.cose.signature), invalid)
    }
}

fn verify_signature(
    cose: &CoseSign1,
    algorithm: Algorithm,
    key: &NodeKey,
) -> Result<(), StatementError> {
    if algorithm != key.algorithm() {
        return Err(StatementError::SignatureInvalid);
    }
    cose.verify_signature(&[], |signature, bytes| key.verify(bytes, signature))
        .map_err(|_| StatementError::SignatureInvalid)
}

fn protected_header(signer: SigningNode<'_>, body: &Body) -> coset::Header {
    let subject = match body {
        Body::Items { .. } => "items".to_owned(),
        Body::Command { contract, .. } => format!("contract/{contract}"),
    };
    let header = HeaderBuilder::new().content_type(CONTENT_TYPE.to_owned());
    cose::name_signer(header, signer, &subject).build()
}

/// The tree over the items, and its root.
fn items_tree(items: &[Item]) -> (LogAppend, Digest) {
    let mut tree = LogAppend::after(0);
    for item in items {
        let appended = tree.push(log::leaf_hash(&item.to_bytes()), &Empty);
        // INVARIANT: the tree holds every hash that its next leaf needs.
        debug_assert!(appended.is_ok());
    }
    let root = tree.root(&Empty).unwrap_or(Digest([0; 32]));
    (tree, root)
}

fn cose_bytes(cose: CoseSign1) -> Vec<u8> {
    // INVARIANT: a built COSE_Sign1 has only values that CBOR can carry.
    cose.to_tagged_vec().unwrap_or_default()
}

type OpenEnvelope = (CoseSign1, Payload, Signed);

fn open_envelope(bytes: &[u8]) -> Result<OpenEnvelope, StatementError> {
    let malformed = || DecodeError::Malformed("statement");
    let cose = CoseSign1::from_tagged_slice(bytes).map_err(|_| malformed())?;
    let payload: Payload = codec::decode(
        "statement payload",
        cose.payload.as_deref().ok_or_else(malformed)?,
    )?;
    let signed =
        cose::signer_of(&cose.protected.header).ok_or(StatementError::HeaderNotOfAStatement)?;
    let mut rebuilt = CoseSign1Builder::new()
        .protected(protected_header(signed.node(), &payload.body))
        .payload(codec::encode(&payload))
        .build();
    rebuilt.signature.clone_from(&cose.signature);
    if cose_bytes(rebuilt) != bytes {
        return Err(StatementError::HeaderNotOfAStatement);
    }
    Ok((cose, payload, signed))
}

#[cfg(test)]
pub(crate) mod tests;
