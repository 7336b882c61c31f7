//! Messages between members: deterministic CBOR, described in `docs/formats/exchange.md`.

use contracts::descriptor::AccessDescriptor;
use contracts::emergency::Declaration;
use contracts::erasure::SignedAcknowledgement;
use ledger::codec;
use ledger::ids::{Digest, Height, MemberName, NetworkId, Tag};
use ledger::item::Opening;
use ledger::receipt::Receipt;
use minicbor::{Decode, Encode};
use vault::wrap::WrappedKey;

/// Tags in one message at most.
pub(super) const TAGS_MAX: usize = 2_000;
/// Bytes of a message at most.
pub(super) const MESSAGE_BYTES_MAX: usize = 128 << 20;

/// Asks for sealed descriptors or sealed consents.
#[derive(Encode, Decode)]
pub(super) struct Tags {
    #[n(0)]
    pub(super) tags: Vec<Tag>,
}

/// One sealed entry for each tag, where there is one.
#[derive(Encode, Decode)]
pub(super) struct Sealed {
    #[n(0)]
    pub(super) entries: Vec<SealedEntry>,
}

#[derive(Encode, Decode)]
pub(super) struct SealedEntry {
    #[n(0)]
    pub(super) tag: Tag,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) sealed: Vec<u8>,
}

/// Asks for a statement of the log whose body is not kept by whoever asks.
#[derive(Encode, Decode)]
pub(super) struct StatementAt {
    #[n(0)]
    pub(super) index: u64,
}

/// That statement, items included.
#[derive(Encode, Decode)]
pub(super) struct StatementBytes {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) statement: Vec<u8>,
}

/// What is asked for, on whose behalf and why; its signed bytes are what the access item commits to.
#[derive(Encode, Decode)]
pub(super) struct Request {
    #[n(0)]
    pub(super) network: NetworkId,
    #[n(1)]
    pub(super) from: MemberName,
    #[n(2)]
    pub(super) to: MemberName,
    #[n(3)]
    pub(super) practitioner: Option<String>,
    #[n(4)]
    pub(super) client: String,
    #[n(5)]
    pub(super) role: Option<String>,
    #[n(6)]
    pub(super) purpose: String,
    #[n(7)]
    pub(super) interaction: String,
    #[n(8)]
    pub(super) target: String,
    /// Index tags of the versions asked for.
    #[n(9)]
    pub(super) documents: Vec<Tag>,
    /// The HPKE key of this request alone.
    #[n(10)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) recipient: [u8; 32],
    #[n(11)]
    pub(super) expires_at: Height,
    /// The emergency that was declared for it.
    #[n(12)]
    pub(super) emergency: Option<Declaration>,
    /// SHA-256 of the encoding that goes with a question of linkage.
    #[n(13)]
    pub(super) encoding: Option<Digest>,
}

/// A request with its member's signature.
#[derive(Encode, Decode)]
pub(super) struct SignedRequest {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) request: Vec<u8>,
    /// SHA-256 of the certificate whose key signed.
    #[n(1)]
    pub(super) certificate: Digest,
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) signature: [u8; 64],
}

/// A signed request and the access entry that names it.
#[derive(Encode, Decode)]
pub(super) struct Ask {
    #[n(0)]
    pub(super) signed: SignedRequest,
    /// The tag of the access entry, under which the requester recorded it.
    #[n(1)]
    pub(super) tag: Tag,
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) descriptor: Vec<u8>,
    #[n(3)]
    pub(super) opening: Opening,
}

/// Asks who of the other's patients it is about.
#[derive(Encode, Decode)]
pub(super) struct Question {
    #[n(0)]
    pub(super) ask: Ask,
    /// `interop::identity::Encoding`, salted with the request's HPKE key.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) encoding: Vec<u8>,
    /// What shows that whoever asks has the secret.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) proof: [u8; 32],
}

/// What is answered to a question, whatever it is: [`Handed`], padded and wrapped to the request's key.
#[derive(Encode, Decode)]
pub(super) struct Reply {
    #[n(0)]
    pub(super) sealed: WrappedKey,
}

/// The keys of the index branch of the patient whom a question was about; none if there is nobody to tell of.
#[derive(Encode, Decode)]
pub(super) struct Handed {
    #[n(0)]
    pub(super) keys: Vec<HandedKey>,
}

#[derive(Encode, Decode)]
pub(super) struct HandedKey {
    #[n(0)]
    pub(super) epoch: u32,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) key: [u8; 32],
}

/// The custodian's answer.
#[derive(Encode, Decode)]
pub(super) struct Answer {
    #[n(0)]
    pub(super) granted: Vec<GrantedEntry>,
    #[n(1)]
    pub(super) withheld: Vec<WithheldEntry>,
    /// The height of the decision.
    #[n(2)]
    pub(super) height: Height,
}

#[derive(Encode, Decode)]
pub(super) struct GrantedEntry {
    #[n(0)]
    pub(super) tag: Tag,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) sealed: Vec<u8>,
    #[n(2)]
    pub(super) key: WrappedKey,
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) descriptor: Vec<u8>,
    #[n(4)]
    pub(super) opening: Opening,
    #[n(5)]
    pub(super) receipt: Option<Receipt>,
    /// What the consent covers on which it is disclosed, where the notice of 42 CFR 2.32 goes with it.
    #[n(6)]
    pub(super) scope: Option<String>,
}

#[derive(Encode, Decode)]
pub(super) struct WithheldEntry {
    #[n(0)]
    pub(super) tag: Tag,
    #[n(1)]
    pub(super) reason: String,
}

/// Says that versions were erased; the answer is a [`contracts::erasure::SignedAcknowledgement`].
#[derive(Encode, Decode)]
pub(super) struct EraseNotice {
    /// The tag of the erasure's item.
    #[n(0)]
    pub(super) tag: Tag,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) descriptor: Vec<u8>,
    #[n(2)]
    pub(super) opening: Opening,
}

/// Asks for what a member publishes of its care services behind a number of its change feed.
#[derive(Encode, Decode)]
pub(super) struct CareServicesAfter {
    #[n(0)]
    pub(super) after: u64,
}

/// Some of it, and where the member is reached.
#[derive(Encode, Decode)]
pub(super) struct CareServices {
    #[n(0)]
    pub(super) entries: Vec<CareServiceEntry>,
    /// The number up to which this is all.
    #[n(1)]
    pub(super) through: u64,
    /// The newest number.
    #[n(2)]
    pub(super) newest: u64,
    /// The base of the FHIR API.
    #[n(3)]
    pub(super) fhir: Option<String>,
    /// Listeners of HL7 v2.
    #[n(4)]
    pub(super) hl7v2: Vec<String>,
    /// The base of DICOMweb services.
    #[n(5)]
    pub(super) dicom_web: Option<String>,
}

/// The newest version of a care service.
#[derive(Encode, Decode)]
pub(super) struct CareServiceEntry {
    #[n(0)]
    pub(super) resource_type: String,
    #[n(1)]
    pub(super) id: String,
    #[n(2)]
    pub(super) version: u64,
    /// FHIR in JSON; absent if it is not published (any more).
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) content: Option<Vec<u8>>,
}

/// The messages of the exchange, as the targets in `fuzz/` name them.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    Tags,
    Sealed,
    Request,
    Ask,
    Answer,
    StatementAt,
    StatementBytes,
    EraseNotice,
    EraseAnswer,
    CareServicesAfter,
    CareServices,
    Question,
    Reply,
    Handed,
}

/// Reads a message as the exchange does and writes it again, for the targets in `fuzz/`.
#[doc(hidden)]
pub fn reread(kind: MessageKind, bytes: &[u8]) -> Option<Vec<u8>> {
    match kind {
        MessageKind::Tags => again::<Tags>(bytes),
        MessageKind::Sealed => again::<Sealed>(bytes),
        MessageKind::Request => again::<Request>(bytes),
        MessageKind::Ask => again::<Ask>(bytes),
        MessageKind::Answer => again::<Answer>(bytes),
        MessageKind::StatementAt => again::<StatementAt>(bytes),
        MessageKind::StatementBytes => again::<StatementBytes>(bytes),
        MessageKind::EraseNotice => again::<EraseNotice>(bytes),
        MessageKind::EraseAnswer => again::<SignedAcknowledgement>(bytes),
        MessageKind::CareServicesAfter => again::<CareServicesAfter>(bytes),
        MessageKind::CareServices => again::<CareServices>(bytes),
        MessageKind::Question => again::<Question>(bytes),
        MessageKind::Reply => again::<Reply>(bytes),
        MessageKind::Handed => again::<Handed>(bytes),
    }
}

/// The message's bytes as it is read and written again; nothing where it is refused.
pub(super) fn again<T: for<'b> Decode<'b, ()> + Encode<()>>(bytes: &[u8]) -> Option<Vec<u8>> {
    let message: T = codec::decode("message", bytes).ok()?;
    Some(codec::encode(&message))
}

impl SignedRequest {
    /// What is signed.
    pub(super) fn input(request: &[u8]) -> Vec<u8> {
        [b"careledger/exchange-request/v1".as_slice(), request].concat()
    }

    /// What the access entry names.
    pub(super) fn digest(&self) -> Digest {
        Digest::of(&codec::encode(self))
    }
}

/// HPKE info of a wrapped data key: it opens one version for one request.
pub(super) fn key_info(request: Digest, tag: Tag) -> Vec<u8> {
    [b"careledger/exchange-key/v1".as_slice(), &request.0, &tag.0].concat()
}

impl Request {
    /// Whether the access entry is about this request.
    pub(super) fn is_named_by(&self, access: &AccessDescriptor, digest: Digest) -> bool {
        access.request == Some(digest)
            && access.requester == self.from
            && access.custodian == self.to
            && access.purpose == self.purpose
            && access.interaction == self.interaction
            && access.target == self.target
            && access.recipient.as_deref() == Some(self.recipient.as_slice())
            && access.expires_at == Some(self.expires_at)
            && access.emergency
                == self
                    .emergency
                    .as_ref()
                    .map(Declaration::without_justification)
    }
}
