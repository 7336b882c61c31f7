//! Receipts: what proves, offline and to anybody who knows the genesis, that an item was recorded.
//!
//! ```text
//! item ─path→ items root in the signed statement ─path→ log root in a block header ←signed─ 2f + 1 validators
//! absent tags ─proofs→ state root in the same header
//! statement ─path→ log root at a checkpoint ←signed─ several members: COSE Receipts, for whoever has none of our code
//! ```
//! The header is the first certified one at or above the block that holds the statement: the log only grows, so
//! its root covers the statement just as well.

use minicbor::{Decode, Encode};

use crate::block::Header;
use crate::codec::{self, DecodeError};
use crate::finality::{FinalityCertificate, FinalityError};
use crate::ids::{BlockTime, Digest, Height, MemberName, NetworkId, Tag};
use crate::item::{ITEM_BYTES, Item};
use crate::log::{InclusionPath, LogError, leaf_hash};
use crate::node_key::NodeKey;
use crate::scitt::{self, Proof, RootSignature, RootSignatureInvalid};
use crate::signatures::Signatures;
use crate::state::{StateError, StateKey, StateProof};
use crate::statement::{Body, Envelope, StatementError};
use crate::succession::{Succession, Validators};

/// A receipt for one item.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Receipt {
    /// The item's 64 bytes.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub item: [u8; ITEM_BYTES],
    /// From the item to the root that the statement signs.
    #[n(1)]
    pub item_path: InclusionPath,
    /// The signed statement, without its items.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub statement: Vec<u8>,
    /// From the statement to the header's log root.
    #[n(3)]
    pub log_path: InclusionPath,
    /// A final block's header.
    #[n(4)]
    pub header: Header,
    /// That it is final.
    #[n(5)]
    pub finality: FinalityCertificate,
    /// Tags of the same member that were not used when that block was final.
    #[n(6)]
    pub absent: Vec<Absence>,
    /// What members say of the statement in the form of RFC 9942; absent while too few have signed.
    #[n(7)]
    pub cosigned: Option<Cosigned>,
    /// What a verifier needs beside the genesis, once validators or certificates have changed.
    #[n(8)]
    pub succession: Option<Succession>,
}

/// A checkpoint that holds the statement, and who signed its root.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Cosigned {
    /// From the statement to the checkpoint's root.
    #[n(0)]
    pub path: InclusionPath,
    /// The root.
    #[n(1)]
    pub root: Digest,
    /// Members' signatures under it.
    #[n(2)]
    pub signatures: Vec<RootSignature>,
}

/// Proof that a tag was not used.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Absence {
    /// The tag.
    #[n(0)]
    pub tag: Tag,
    /// Its absence from the state.
    #[n(1)]
    pub proof: StateProof,
}

/// What a receipt proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The member that recorded the item.
    pub member: MemberName,
    /// The item.
    pub item: Item,
    /// The height at which it was final at the latest.
    pub height: Height,
    /// The time of that block.
    pub time: BlockTime,
    /// Tags that the member had not used by then.
    pub absent: Vec<Tag>,
    /// Members whose COSE Receipts are with it.
    pub receipts_of: Vec<MemberName>,
}

/// Where a receipt fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The bytes are not a receipt.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It is of another network.
    #[error("the receipt is of another network")]
    OtherNetwork,
    /// A signer has no such certificate.
    #[error("a certificate is named that `{0}` does not have")]
    UnknownCertificate(MemberName),
    /// The statement is malformed or its signature invalid.
    #[error("in the statement: {0}")]
    Statement(#[from] StatementError),
    /// The item is not among those that were signed.
    #[error("the item is not in the statement: {0}")]
    ItemNotInStatement(LogError),
    /// The statement is not in the log.
    #[error("the statement is not in the log: {0}")]
    StatementNotInLog(LogError),
    /// The header is not final.
    #[error("the block is not final: {0}")]
    NotFinal(#[from] FinalityError),
    /// A member's signature under a checkpoint's root is wrong.
    #[error(transparent)]
    RootSignature(#[from] RootSignatureInvalid),
    /// A receipt shows something else than inclusion.
    #[error("a receipt of `{0}` does not show that the log holds the statement")]
    NotOfInclusion(MemberName),
    /// No receipt is there.
    #[error("the statement comes without a receipt")]
    NoReceipt,
    /// A tag is not shown to be absent.
    #[error("tag {0}: {1}")]
    NotAbsent(Tag, StateError),
}

/// What a verifier pins: the network, its validators, and its members' keys.
#[derive(Debug, Clone)]
pub struct Trust<F> {
    /// The network.
    pub network: NetworkId,
    /// Its validators.
    pub validators: Validators,
    /// The key of a member's certificate, by the certificate's SHA-256.
    pub key_of: F,
}

impl Receipt {
    /// Reads a receipt.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode("receipt", bytes)
    }

    /// The receipt's bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Checks every link of the chain from the item to the validators' signatures.
    pub fn verify<F>(&self, trust: &Trust<F>) -> Result<Recorded, ReceiptError>
    where
        F: Fn(&MemberName, Digest) -> Option<NodeKey>,
    {
        Signatures::check(|signatures| self.follow(trust, signatures))
    }

    fn follow<F>(
        &self,
        trust: &Trust<F>,
        signatures: &mut Signatures<ReceiptError>,
    ) -> Result<Recorded, ReceiptError>
    where
        F: Fn(&MemberName, Digest) -> Option<NodeKey>,
    {
        let envelope = Envelope::decode(&self.statement)?;
        if envelope.payload.network != trust.network || self.header.network != trust.network {
            return Err(ReceiptError::OtherNetwork);
        }
        let member = envelope.member.clone();
        let key = (trust.key_of)(&member, envelope.certificate)
            .ok_or_else(|| ReceiptError::UnknownCertificate(member.clone()))?;
        envelope.add_to(signatures, &key)?;
        self.verify_item(&envelope)?;
        self.verify_inclusion()?;
        let validators = &trust.validators;
        validators.add_votes(&self.header, &self.finality, signatures)?;
        for absence in &self.absent {
            absence
                .proof
                .verify_absent(
                    self.header.state_root,
                    StateKey::of_tag(&member, absence.tag),
                )
                .map_err(|error| ReceiptError::NotAbsent(absence.tag, error))?;
        }
        Ok(Recorded {
            member,
            item: Item::from_bytes(&self.item),
            height: self.header.height,
            time: self.header.time,
            absent: self.absent.iter().map(|absence| absence.tag).collect(),
            receipts_of: self.verify_cosigned(trust, signatures)?,
        })
    }

    /// The statement with its COSE Receipts, in the form of RFC 9943; `None` while it has none.
    pub fn transparent_statement(&self) -> Option<Vec<u8>> {
        let cosigned = self.cosigned.as_ref()?;
        scitt::transparent(&self.statement, &cosigned.receipts()).ok()
    }

    fn verify_cosigned<F>(
        &self,
        trust: &Trust<F>,
        signatures: &mut Signatures<ReceiptError>,
    ) -> Result<Vec<MemberName>, ReceiptError>
    where
        F: Fn(&MemberName, Digest) -> Option<NodeKey>,
    {
        let Some(cosigned) = &self.cosigned else {
            return Ok(Vec::new());
        };
        cosigned
            .path
            .verify(leaf_hash(&self.statement), cosigned.root)
            .map_err(ReceiptError::StatementNotInLog)?;
        let root = (cosigned.path.size, cosigned.root);
        let cosigners = cosigned.signatures.iter();
        cosigners
            .map(|signature| {
                signature.add_to(signatures, root, &trust.key(signature)?)?;
                Ok(signature.member.clone())
            })
            .collect()
    }

    fn verify_item(&self, envelope: &Envelope) -> Result<(), ReceiptError> {
        let Body::Items { root, count } = envelope.payload.body else {
            return Err(ReceiptError::ItemNotInStatement(LogError::NotInLog));
        };
        if self.item_path.size != u64::from(count) {
            return Err(ReceiptError::ItemNotInStatement(LogError::NotInLog));
        }
        self.item_path
            .verify(leaf_hash(&self.item), root)
            .map_err(ReceiptError::ItemNotInStatement)
    }

    fn verify_inclusion(&self) -> Result<(), ReceiptError> {
        if self.log_path.size != self.header.log_size {
            return Err(ReceiptError::StatementNotInLog(LogError::NotInLog));
        }
        self.log_path
            .verify(leaf_hash(&self.statement), self.header.log_root)
            .map_err(ReceiptError::StatementNotInLog)
    }
}

impl Cosigned {
    /// One COSE Receipt for each member that signed.
    pub fn receipts(&self) -> Vec<Vec<u8>> {
        let proof = Proof::Inclusion(self.path.clone());
        let signatures = self.signatures.iter();
        signatures
            .map(|signature| signature.receipt(&proof))
            .collect()
    }
}

impl<F> Trust<F>
where
    F: Fn(&MemberName, Digest) -> Option<NodeKey>,
{
    fn key(&self, signature: &RootSignature) -> Result<NodeKey, ReceiptError> {
        (self.key_of)(&signature.member, signature.certificate)
            .ok_or_else(|| ReceiptError::UnknownCertificate(signature.member.clone()))
    }
}

/// What a transparent statement proves.
#[derive(Debug, Clone, PartialEq)]
pub struct Transparent {
    /// The statement.
    pub statement: Envelope,
    /// Its index in the log.
    pub index: u64,
    /// Members whose receipts say so, with size and root of the log that each signed.
    pub receipts: Vec<(MemberName, u64, Digest)>,
}

/// Checks a transparent statement (RFC 9943): its signature, and every receipt in it.
///
/// Whether the members whose receipts these are suffice is for the caller to say.
pub fn verify_transparent<F>(bytes: &[u8], trust: &Trust<F>) -> Result<Transparent, ReceiptError>
where
    F: Fn(&MemberName, Digest) -> Option<NodeKey>,
{
    Signatures::check(|signatures| follow_transparent(bytes, trust, signatures))
}

fn follow_transparent<F>(
    bytes: &[u8],
    trust: &Trust<F>,
    signatures: &mut Signatures<ReceiptError>,
) -> Result<Transparent, ReceiptError>
where
    F: Fn(&MemberName, Digest) -> Option<NodeKey>,
{
    let (entry, receipts) = scitt::take_apart(bytes)?;
    let statement = Envelope::decode(&entry)?;
    if statement.payload.network != trust.network {
        return Err(ReceiptError::OtherNetwork);
    }
    let key = (trust.key_of)(&statement.member, statement.certificate)
        .ok_or_else(|| ReceiptError::UnknownCertificate(statement.member.clone()))?;
    statement.add_to(signatures, &key)?;
    let mut shown = Vec::new();
    let mut index = None;
    for receipt in receipts {
        let member = receipt.signature.member.clone();
        let Proof::Inclusion(path) = receipt.proof else {
            return Err(ReceiptError::NotOfInclusion(member));
        };
        let root = path
            .root(leaf_hash(&entry))
            .map_err(ReceiptError::StatementNotInLog)?;
        let key = trust.key(&receipt.signature)?;
        receipt
            .signature
            .add_to(signatures, (path.size, root), &key)?;
        if *index.get_or_insert(path.index) != path.index {
            return Err(ReceiptError::NotOfInclusion(member));
        }
        shown.push((member, path.size, root));
    }
    Ok(Transparent {
        statement,
        index: index.ok_or(ReceiptError::NoReceipt)?,
        receipts: shown,
    })
}
