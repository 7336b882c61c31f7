//! COSE Receipts (RFC 9942) and transparent statements (RFC 9943): receipts that need no code of ours to verify.
//!
//! A member signs the root of the log at a size. With a path from a statement to that root, the signature is a
//! receipt of inclusion; with a path from an older root, a receipt of consistency.
//!
//! ```text
//! receipt     = 18([ protected, { 396: { -1: [ path bytes ] } }, nil, signature ])      inclusion
//!             = 18([ protected, { 396: { -2: [ path bytes ] } }, nil, signature ])      consistency
//! protected   = { 1: -8 / -7, 15: { 1: member, 2: "log/<tree size>" }, 34: [-16, SHA-256 of the certificate], 395: 1 }
//! path        = [ tree size, leaf index, [ hash, … ] ]    or    [ older size, newer size, [ hash, … ] ]
//! transparent = the statement with { 394: [ receipt bytes, … ] } as its unprotected header
//! ```
//! The payload, which is detached, is the root: of the tree with that size, or of the newer tree. The size is signed too:
//! a path fits trees of several sizes with one root, so that a root alone could be shown as that of another size.

use coset::cbor::value::Value;
use coset::iana::EnumI64 as _;
use coset::{
    CborSerializable as _, CoseKey, CoseKeyBuilder, CoseKeySet, CoseSign1, CoseSign1Builder,
    Header, HeaderBuilder, Label, TaggedCborSerializable as _, iana,
};
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};

use crate::codec::{self, DecodeError};
use crate::cose::{self, Signed};
use crate::ids::{Digest, MemberName};
use crate::item::Item;
use crate::limits::STATEMENT_BYTES_MAX;
use crate::log::{ConsistencyPath, InclusionPath};
use crate::node_key::{Algorithm, NodeKey, SigningNode};
use crate::signatures::Signatures;
use crate::statement::{StatementError, SubmittedStatement};

/// The media type of signed and transparent statements (RFC 9943).
pub const STATEMENT_MEDIA_TYPE: &str = "application/scitt-statement+cose";
/// The media type of receipts (RFC 9943).
pub const RECEIPT_MEDIA_TYPE: &str = "application/scitt-receipt+cose";

const RECEIPTS: i64 = 394;
const VERIFIABLE_DATA_STRUCTURE: i64 = 395;
const VERIFIABLE_DATA_PROOFS: i64 = 396;
const RFC9162_SHA256: i64 = 1;
const INCLUSION: i64 = -1;
const CONSISTENCY: i64 = -2;
/// For private use (RFC 9052 §2): the items that a statement's payload commits to, 64 bytes each.
const ITEMS: i64 = -65_538;

/// A member's signature under a root of the log.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct RootSignature {
    /// The member.
    #[n(0)]
    pub member: MemberName,
    /// SHA-256 of the certificate that it signed with.
    #[n(1)]
    pub certificate: Digest,
    /// The signature.
    #[n(2)]
    pub signature: ByteArray<64>,
    /// The algorithm of the certificate's key.
    #[n(3)]
    pub algorithm: Algorithm,
}

/// What a receipt shows of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// That it holds a statement.
    Inclusion(InclusionPath),
    /// That it continues an older state of itself.
    Consistency(ConsistencyPath),
}

/// A COSE Receipt, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoseReceipt {
    /// Who signed the root, and how.
    pub signature: RootSignature,
    /// The path to that root.
    pub proof: Proof,
}

/// Where a receipt of a root fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the signature of `{0}` under the log root does not verify")]
pub struct RootSignatureInvalid(pub MemberName);

impl RootSignature {
    /// Signs the root of the log of `size` statements for a member.
    pub fn sign<'a, E>(
        signer: impl Into<SigningNode<'a>>,
        (size, root): (u64, Digest),
        sign: impl FnOnce(&[u8]) -> Result<[u8; 64], E>,
    ) -> Result<Self, E> {
        let signer = signer.into();
        let cose = CoseSign1Builder::new()
            .protected(protected_header(signer, size))
            .build();
        let signature = sign(&cose.tbs_detached_data(&root.0, &[]))?;
        Ok(Self {
            member: signer.member.clone(),
            certificate: signer.certificate,
            signature: signer.algorithm.in_one_form(signature).into(),
            algorithm: signer.algorithm,
        })
    }

    /// Checks the signature under `key`, which the registry holds for the certificate.
    pub fn verify(
        &self,
        (size, root): (u64, Digest),
        key: &NodeKey,
    ) -> Result<(), RootSignatureInvalid> {
        Signatures::check(|signatures| self.add_to(signatures, (size, root), key))
    }

    /// The same, with the signature left to be checked with others.
    pub(crate) fn add_to<E: From<RootSignatureInvalid>>(
        &self,
        signatures: &mut Signatures<E>,
        (size, root): (u64, Digest),
        key: &NodeKey,
    ) -> Result<(), E> {
        let invalid = E::from(RootSignatureInvalid(self.member.clone()));
        if self.algorithm != key.algorithm() {
            return Err(invalid);
        }
        let cose = CoseSign1Builder::new()
            .protected(protected_header(self.signer(), size))
            .build();
        let signed = cose.tbs_detached_data(&root.0, &[]);
        signatures.add(key, (&signed, self.signature.as_slice()), invalid)
    }

    fn signer(&self) -> SigningNode<'_> {
        SigningNode {
            member: &self.member,
            certificate: self.certificate,
            algorithm: self.algorithm,
        }
    }

    /// The receipt that the signature makes with a path to its root.
    pub fn receipt(&self, proof: &Proof) -> Vec<u8> {
        let (size, kind, path) = match proof {
            Proof::Inclusion(path) => (
                path.size,
                INCLUSION,
                codec::encode(&(path.size, path.index, &path.siblings)),
            ),
            Proof::Consistency(path) => (path.newer, CONSISTENCY, codec::encode(path)),
        };
        let proofs = vec![(Value::from(kind), Value::Array(vec![Value::from(path)]))];
        let mut cose = CoseSign1Builder::new()
            .protected(protected_header(self.signer(), size))
            .unprotected(unprotected(VERIFIABLE_DATA_PROOFS, Value::Map(proofs)))
            .build();
        cose.signature = self.signature.to_vec();
        bytes_of(cose)
    }
}

impl CoseReceipt {
    /// Reads a receipt of a member; only the encoding that [`RootSignature::receipt`] gives is taken.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let malformed = DecodeError::Malformed("COSE receipt");
        let receipt = read_receipt(bytes).ok_or_else(|| malformed.clone())?;
        if receipt.encode() != bytes {
            return Err(malformed);
        }
        Ok(receipt)
    }

    /// The receipt's bytes.
    pub fn encode(&self) -> Vec<u8> {
        self.signature.receipt(&self.proof)
    }
}

/// A statement with the receipts of several members: SCITT's transparent statement.
pub fn transparent(statement: &[u8], receipts: &[Vec<u8>]) -> Result<Vec<u8>, DecodeError> {
    let mut cose =
        CoseSign1::from_tagged_slice(statement).map_err(|_| DecodeError::Malformed("statement"))?;
    let receipts = receipts.iter().map(|receipt| Value::from(receipt.clone()));
    cose.unprotected = unprotected(RECEIPTS, Value::Array(receipts.collect()));
    Ok(bytes_of(cose))
}

/// The statement of a transparent statement, as the log holds it, and the receipts.
pub fn take_apart(transparent: &[u8]) -> Result<(Vec<u8>, Vec<CoseReceipt>), DecodeError> {
    let malformed = || DecodeError::Malformed("transparent statement");
    let mut cose = CoseSign1::from_tagged_slice(transparent).map_err(|_| malformed())?;
    let receipts = match cose::value(&cose.unprotected, RECEIPTS) {
        Some(receipts) => receipts.as_array().ok_or_else(malformed)?.clone(),
        None => Vec::new(),
    };
    let receipts = receipts
        .iter()
        .map(|receipt| CoseReceipt::decode(receipt.as_bytes().ok_or_else(malformed)?))
        .collect::<Result<_, _>>()?;
    cose.unprotected = Header::default();
    Ok((bytes_of(cose), receipts))
}

/// A statement as it is registered: its items, if it has any, are in the unprotected header.
pub fn registration(statement: &SubmittedStatement) -> Result<Vec<u8>, DecodeError> {
    let mut cose = CoseSign1::from_tagged_slice(statement.envelope())
        .map_err(|_| DecodeError::Malformed("statement"))?;
    let items: Vec<u8> = statement.items().iter().flat_map(Item::to_bytes).collect();
    if !items.is_empty() {
        cose.unprotected = unprotected(ITEMS, Value::from(items));
    }
    Ok(bytes_of(cose))
}

/// Reads what [`registration`] gives; checks form and items, not the signature.
pub fn registered(bytes: &[u8]) -> Result<SubmittedStatement, StatementError> {
    let malformed = || DecodeError::Malformed("statement");
    if bytes.len() > STATEMENT_BYTES_MAX {
        return Err(DecodeError::TooLarge("statement").into());
    }
    let mut cose = CoseSign1::from_tagged_slice(bytes).map_err(|_| malformed())?;
    let items = match cose::value(&cose.unprotected, ITEMS) {
        Some(items) => items.as_bytes().ok_or_else(malformed)?.clone(),
        None => Vec::new(),
    };
    cose.unprotected = Header::default();
    SubmittedStatement::of_parts(bytes_of(cose), items)
}

/// A member's key, in the bytes that certificates hold, as a COSE_Key (RFC 9052 §7); its id is the SHA-256 of the
/// certificate.
pub fn cose_key(certificate: Digest, key: (Algorithm, &[u8])) -> Vec<u8> {
    key_value(certificate, key)
        .to_vec()
        // INVARIANT: a built key has only values that CBOR can carry.
        .unwrap_or_default()
}

/// Keys as a COSE_KeySet.
pub fn cose_key_set(keys: impl IntoIterator<Item = (Digest, NodeKey)>) -> Vec<u8> {
    let keys = keys
        .into_iter()
        .map(|(certificate, key)| key_value(certificate, (key.algorithm(), &key.to_bytes())));
    CoseKeySet(keys.collect()).to_vec().unwrap_or_default()
}

fn key_value(certificate: Digest, (algorithm, key): (Algorithm, &[u8])) -> CoseKey {
    let builder = match algorithm {
        Algorithm::EdDsa => CoseKeyBuilder::new_okp_key()
            .algorithm(iana::Algorithm::EdDSA)
            .param(
                iana::OkpKeyParameter::Crv.to_i64(),
                Value::from(iana::EllipticCurve::Ed25519.to_i64()),
            )
            .param(iana::OkpKeyParameter::X.to_i64(), Value::from(key.to_vec())),
        Algorithm::Es256 => {
            // An uncompressed point: its form, then two coordinates of 32 bytes.
            let coordinates = key.get(1..).unwrap_or_default();
            let (x, y) = coordinates.split_at_checked(32).unwrap_or_default();
            CoseKeyBuilder::new_ec2_pub_key(iana::EllipticCurve::P_256, x.to_vec(), y.to_vec())
                .algorithm(iana::Algorithm::ES256)
        }
    };
    builder.key_id(certificate.0.to_vec()).build()
}

fn read_receipt(bytes: &[u8]) -> Option<CoseReceipt> {
    let cose = CoseSign1::from_tagged_slice(bytes).ok()?;
    let Signed {
        member,
        certificate,
        algorithm,
    } = cose::signer_of(&cose.protected.header)?;
    let proofs = cose::value(&cose.unprotected, VERIFIABLE_DATA_PROOFS)?.as_map()?;
    let (kind, paths) = proofs.first()?;
    let path = paths.as_array()?.first()?.as_bytes()?;
    let proof = if *kind == Value::from(INCLUSION) {
        let (size, index, siblings) = codec::decode("inclusion path", path).ok()?;
        Proof::Inclusion(InclusionPath {
            index,
            size,
            siblings,
        })
    } else {
        Proof::Consistency(codec::decode("consistency path", path).ok()?)
    };
    let signature: [u8; 64] = cose.signature.as_slice().try_into().ok()?;
    Some(CoseReceipt {
        signature: RootSignature {
            member,
            certificate,
            signature: signature.into(),
            algorithm,
        },
        proof,
    })
}

fn protected_header(signer: SigningNode<'_>, size: u64) -> Header {
    cose::name_signer(HeaderBuilder::new(), signer, &format!("log/{size}"))
        .value(VERIFIABLE_DATA_STRUCTURE, Value::from(RFC9162_SHA256))
        .build()
}

fn unprotected(label: i64, value: Value) -> Header {
    let mut header = Header::default();
    header.rest.push((Label::Int(label), value));
    header
}

fn bytes_of(cose: CoseSign1) -> Vec<u8> {
    // INVARIANT: a built COSE_Sign1 has only values that CBOR can carry.
    cose.to_tagged_vec().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use ed25519_zebra::{SigningKey, VerificationKey};
    use proptest::prelude::*;

    use super::*;
    use crate::log::{Empty, LogAppend, leaf_hash, prove_consistency, prove_inclusion};

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn log_of(size: u64) -> LogAppend {
        let mut log = LogAppend::after(0);
        for n in 0..size {
            log.push(leaf_hash(&n.to_be_bytes()), &Empty).unwrap();
        }
        log
    }

    fn signature(size: u64, root: Digest) -> RootSignature {
        let sign = |bytes: &[u8]| Ok::<_, Infallible>(key(1).sign(bytes).to_bytes());
        let signer = (&"clinic".parse().unwrap(), Digest([5; 32]));
        RootSignature::sign(signer, (size, root), sign).unwrap()
    }

    #[test]
    fn a_signature_is_of_one_root_one_member_and_one_certificate() {
        let root = (23, Digest([7; 32]));
        let signed = signature(root.0, root.1);
        let verify = |signed: &RootSignature, root| {
            signed.verify(root, &VerificationKey::from(&key(1)).into())
        };
        assert_eq!(verify(&signed, root), Ok(()));
        assert!(verify(&signed, (23, Digest([8; 32]))).is_err());
        assert!(verify(&signed, (24, root.1)).is_err());
        assert!(
            signed
                .verify(root, &VerificationKey::from(&key(2)).into())
                .is_err()
        );
        let other = RootSignature {
            member: "payer".parse().unwrap(),
            ..signed
        };
        assert!(verify(&other, root).is_err());
        let other = RootSignature {
            certificate: Digest([6; 32]),
            ..signed
        };
        assert!(verify(&other, root).is_err());
    }

    #[test]
    fn receipts_of_both_kinds_read_as_they_were_written() {
        let log = log_of(23);
        let signature = signature(23, log.root(&Empty).unwrap());
        let inclusion = Proof::Inclusion(prove_inclusion(5, 23, &log).unwrap());
        let consistency = Proof::Consistency(prove_consistency(9, 23, &log).unwrap());
        for proof in [inclusion, consistency] {
            let bytes = signature.receipt(&proof);
            let read = CoseReceipt::decode(&bytes).unwrap();
            assert_eq!((&read.signature, &read.proof), (&signature, &proof));
            assert_eq!(read.encode(), bytes);
        }
    }

    #[test]
    fn a_transparent_statement_gives_back_statement_and_receipts() {
        let statement = crate::statement::tests::statement(3);
        let log = log_of(2);
        let signature = signature(2, log.root(&Empty).unwrap());
        let receipt = signature.receipt(&Proof::Inclusion(prove_inclusion(1, 2, &log).unwrap()));
        let with = transparent(statement.envelope(), &[receipt.clone(), receipt.clone()]).unwrap();
        let (envelope, receipts) = take_apart(&with).unwrap();
        assert_eq!(envelope, statement.envelope());
        assert_eq!(receipts, vec![CoseReceipt::decode(&receipt).unwrap(); 2]);
        let (envelope, receipts) = take_apart(statement.envelope()).unwrap();
        assert_eq!(
            (envelope.as_slice(), receipts.len()),
            (statement.envelope(), 0)
        );
    }

    #[test]
    fn a_registered_statement_is_the_submitted_one() {
        let statement = crate::statement::tests::statement(3);
        let registered_form = registration(&statement).unwrap();
        let read = registered(&registered_form).unwrap();
        assert_eq!(read.encode(), statement.encode());
        let without_items = registered(statement.envelope());
        assert_eq!(without_items, Err(StatementError::ItemsOutOfBounds));
    }

    fn size_of(receipt: &CoseReceipt) -> u64 {
        match &receipt.proof {
            Proof::Inclusion(path) => path.size,
            Proof::Consistency(path) => path.newer,
        }
    }

    proptest! {
        #[test]
        fn p3_a_changed_byte_of_a_receipt_never_passes(at in any::<prop::sample::Index>(), flip in 1_u8..=255) {
            let log = log_of(23);
            let root = log.root(&Empty).unwrap();
            let leaf = leaf_hash(&5_u64.to_be_bytes());
            let proof = Proof::Inclusion(prove_inclusion(5, 23, &log).unwrap());
            let mut bytes = signature(23, root).receipt(&proof);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let accepted = CoseReceipt::decode(&bytes).is_ok_and(|receipt| {
                let included = matches!(&receipt.proof, Proof::Inclusion(path) if path.verify(leaf, root).is_ok());
                included && receipt.signature.verify((size_of(&receipt), root), &VerificationKey::from(&key(1)).into()).is_ok()
            });
            prop_assert!(!accepted);
        }

        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(CoseReceipt::decode(&bytes).is_err());
            prop_assert!(take_apart(&bytes).is_err());
            prop_assert!(registered(&bytes).is_err());
        }
    }
}
