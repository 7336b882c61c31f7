//! What is asked of custody, and what it answers.

use std::fmt;
use std::sync::Arc;

use contracts::emergency::{Declaration, EmergencyId};
use contracts::export::Export;
use interop::fhir::audit::AuditToken;
use interop::fhir::labels::{with_labels, with_notice};
use interop::fhir::{Resource, ResourceType};
use ledger::ids::{Height, MemberName, Tag};
use ledger::item::Opening;
use ledger::stream::{Branch, BranchKey, GrantedBranch};
use serde_json::Value;
use vault::secret::DataKey;

/// On whose behalf, and why.
#[derive(Clone, PartialEq, Eq)]
pub struct Requester {
    /// The member whose user asks.
    pub member: MemberName,
    /// The OAuth client.
    pub client: String,
    /// The practitioner, as `Practitioner/id`.
    pub practitioner: Option<String>,
    /// The role claimed.
    pub role: Option<String>,
    /// The patient's id at this member, when the token is the patient's own.
    pub patient: Option<String>,
    /// Who acts in a patient's place, as `RelatedPerson/id`.
    pub related: Option<String>,
    /// The emergency that was declared for this.
    pub emergency: Option<EmergencyId>,
    /// Purpose of use (v3-ActReason code).
    pub purpose: String,
    /// What ties the request to other logs.
    pub request_id: Option<String>,
    /// Which documents a search may show at all, before consent is asked.
    pub reach: super::Reach,
    /// What the audit log keeps of the request beside that.
    pub trail: Trail,
}

/// What the audit log keeps of a request beside who asks.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Trail {
    /// The token.
    pub token: Option<AuditToken>,
    /// Where the request came from, as the connection says.
    pub address: Option<String>,
    /// The request line.
    pub query: Option<String>,
}

impl Requester {
    /// Who asks, as it is recorded: the practitioner, else who acts for the patient, else the patient, else the client.
    pub fn principal(&self) -> String {
        let patient = || self.patient.as_ref().map(|id| format!("Patient/{id}"));
        self.practitioner
            .clone()
            .or_else(|| self.related.clone())
            .or_else(patient)
            .unwrap_or_else(|| self.client.clone())
    }
}

/// A patient's arrival at this member: keys from the patient's wallet.
#[derive(Clone)]
pub struct Enrolment {
    /// The wallet's Ed25519 key, which signs consents.
    pub wallet_key: [u8; 32],
    /// The branches that the patient grants, of this member and of others.
    pub branches: Vec<GrantedBranch>,
    /// The patient's id here, to add branches to an enrolment of the same wallet.
    pub patient_id: Option<String>,
}

/// One change to the records.
#[derive(Clone)]
pub enum Change {
    /// A new document.
    Create {
        /// The content; an id in it is ignored.
        resource: Resource,
        /// The id that a transaction assigned; a fresh one if there is none.
        id: Option<String>,
    },
    /// A new version, or the first one under the resource's own id.
    Update {
        /// The content, with its id.
        resource: Resource,
        /// The version that must be current.
        if_match: Option<u64>,
    },
    /// The next version of a task with a deadline (`contracts::duty`), by one of its operations.
    Answer {
        /// The content, with its id.
        resource: Resource,
        /// The version that must be current.
        if_match: u64,
    },
    /// The first version under the resource's own id; refused if the document has a current one.
    CreateAs {
        /// The content, with its id.
        resource: Resource,
    },
    /// A version without content.
    Delete {
        /// The type.
        resource_type: ResourceType,
        /// The id.
        id: String,
        /// The version that must be current.
        if_match: Option<u64>,
    },
    /// A consent that the patient's wallet signed.
    File(SignedConsent),
}

/// A consent as the wallet signed it.
#[derive(Clone)]
pub struct SignedConsent {
    /// The exact bytes that were posted.
    pub body: Vec<u8>,
    /// The detached JWS (RFC 7515 appendix F) over them, EdDSA, in compact form.
    pub jws: String,
    /// The id, when an existing consent is changed.
    pub id: Option<String>,
    /// The version that must be current.
    pub if_match: Option<u64>,
}

/// A version that was written and is durable.
#[derive(Clone, PartialEq)]
pub struct Written {
    /// The type.
    pub resource_type: ResourceType,
    /// The logical id.
    pub id: String,
    /// The version; 0 if there was nothing to delete.
    pub version: u64,
    /// FHIR `meta.lastUpdated`, milliseconds since 1970.
    pub last_updated_ms: u64,
    /// Whether the document is new.
    pub created: bool,
    /// What an existing server has made of the content, where it is kept there.
    pub stored: Option<Resource>,
}

/// A version that was opened; its opening is on record.
#[derive(Clone)]
pub struct Opened {
    /// The home member.
    pub member: MemberName,
    /// The content as it was stored.
    pub resource: Resource,
    /// The logical id.
    pub id: String,
    /// The version.
    pub version: u64,
    /// FHIR `meta.lastUpdated`, milliseconds since 1970.
    pub last_updated_ms: u64,
    /// Its security labels, as `system|code`: shown in `meta.security`, whatever was stored there.
    pub labels: Vec<String>,
    /// What the consents cover on which it is disclosed, where the notice goes with it (42 CFR 2.32).
    pub scope: Option<Arc<str>>,
}

impl Opened {
    /// The resource with `id`, `meta.versionId` and `meta.lastUpdated`, its labels, and the notice that these ask for,
    /// with the scope of the consent (42 CFR 2.32): nothing else shows what was opened.
    pub fn presented(&self) -> Value {
        self.clone().into_presented()
    }

    /// The same of a version that is not needed any more.
    pub fn into_presented(self) -> Value {
        let last_updated_ms = i64::try_from(self.last_updated_ms).unwrap_or(i64::MAX);
        let presented = self
            .resource
            .into_presented(&self.id, self.version, last_updated_ms);
        // INVARIANT: a stored document has a well-formed id.
        let mut presented = presented.unwrap_or_default();
        with_labels(&mut presented, self.labels.iter().map(String::as_str));
        with_notice(&mut presented, self.scope.as_deref());
        presented
    }
}

/// One version in a history.
#[derive(Clone)]
pub struct HistoryEntry {
    /// The type.
    pub resource_type: ResourceType,
    /// The logical id.
    pub id: String,
    /// The version.
    pub version: u64,
    /// FHIR `meta.lastUpdated`, milliseconds since 1970.
    pub last_updated_ms: u64,
    /// The content; `None` for a version that deletes the document, or that was erased.
    pub opened: Option<Opened>,
    /// Whether the content was erased.
    pub is_erased: bool,
}

/// What a history of a type or of everything is asked for.
#[derive(Clone)]
pub struct HistoryQuery {
    /// The types; `None` for all.
    pub types: Option<Vec<ResourceType>>,
    /// Versions written at or after this time.
    pub since_ms: Option<u64>,
    /// Versions that were current at some time of this span, both ends included.
    pub at: Option<(u64, u64)>,
    /// Where the page begins: after the change with this number, backwards; `None` for the newest.
    pub before: Option<u64>,
    /// The versions on the page at most.
    pub count: usize,
}

/// A page of a history, the newest version first.
#[derive(Clone)]
pub struct HistoryPage {
    /// The versions that the requester may see.
    pub entries: Vec<HistoryEntry>,
    /// What `before` is for the next page; `None` on the last one.
    pub next: Option<u64>,
}

/// A page of matches.
#[derive(Clone)]
pub struct SearchPage {
    /// The matches on the page.
    pub matches: Vec<Opened>,
    /// What comes along with them.
    pub included: Vec<Opened>,
    /// Whether nothing that should come along was left out for its number.
    pub includes_all: bool,
    /// All matches that the requester might see when the first page was made, where that was asked or is known.
    pub total: Option<usize>,
    /// The next page, if there is one.
    pub further: Option<Further>,
}

impl SearchPage {
    /// That nothing was found.
    pub(crate) const fn empty() -> Self {
        Self {
            matches: Vec::new(),
            included: Vec::new(),
            includes_all: true,
            total: Some(0),
            further: None,
        }
    }
}

/// A further page of a search: a place in the list that the first page fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Further {
    /// The list.
    pub pin: u64,
    /// Where on the list the page begins.
    pub offset: usize,
    /// The matches on all pages, where that was asked.
    pub total: Option<usize>,
}

/// Why and how many documents were not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// Their home.
    pub member: MemberName,
    /// How many.
    pub count: u32,
    /// The reason.
    pub reason: String,
}

/// A patient's documents at this member.
#[derive(Clone)]
pub struct Everything {
    /// What was opened.
    pub entries: Vec<Opened>,
    /// What was not.
    pub withheld: Vec<Withheld>,
}

/// Whether a version is final.
#[derive(Clone)]
pub enum ReceiptState {
    /// Durable here, not yet final on the ledger.
    Pending,
    /// Final; the export holds the receipt.
    Final(Box<Export>),
}

/// One entry of the patient's access history at this member.
#[derive(Clone)]
pub struct AccessEntry {
    /// Its number among the member's entries and what closed their streams: from 1, without gaps.
    pub position: u64,
    /// Its tag.
    pub tag: Tag,
    /// The descriptor's bytes.
    pub descriptor: Vec<u8>,
    /// What opens the item's commitment.
    pub opening: Opening,
    /// The receipt, once final.
    pub receipt: Option<ledger::receipt::Receipt>,
    /// Where the stream goes on, if this entry closes it under one key.
    pub successor: Option<contracts::rotation::Successor>,
}

/// A descriptor and its opening, sealed under the branch's descriptor key.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedDescriptor {
    /// The tag of the entry in its branch.
    pub tag: Tag,
    /// Noise without the branch key; see [`super::open_descriptor`].
    pub sealed: Vec<u8>,
}

/// What a member may see of a subject.
#[derive(Clone)]
pub struct SubjectView {
    /// The patient's id here.
    pub patient_id: String,
    /// The branches that this member holds keys of, with each of the keys, the oldest first.
    pub branches: Vec<(Branch, BranchKey)>,
    /// The wallet's key; `None` while this member is the patient's escrow.
    pub wallet_key: Option<[u8; 32]>,
}

/// A request to another member that is to go on record here first.
#[derive(Clone)]
pub struct AccessAsk {
    /// The patient's id here.
    pub patient_id: String,
    /// The member that will be asked.
    pub custodian: MemberName,
    /// The interaction, such as `read` or `everything`.
    pub interaction: String,
    /// What is asked for, as `Type/id` or a search without values.
    pub target: String,
    /// SHA-256 of the signed request.
    pub request: ledger::ids::Digest,
    /// The HPKE key to which data keys may be wrapped.
    pub recipient: Vec<u8>,
    /// The height after which nobody may answer.
    pub expires_at: Height,
}

/// An access entry that is durable here and on its way to the ledger.
#[derive(Clone)]
pub struct Asked {
    /// Its tag in this member's access stream: final once the ledger has it.
    pub tag: Tag,
    /// The descriptor's bytes.
    pub descriptor: Vec<u8>,
    /// What opens the item's commitment.
    pub opening: Opening,
}

/// Another member's request, whose access item the exchange has found final.
#[derive(Clone)]
pub struct RemoteRequest {
    /// Who asks; `member` is the other member.
    pub requester: Requester,
    /// The interaction, such as `read` or `everything`.
    pub interaction: String,
    /// What is asked for, as it stands in the requester's access descriptor.
    pub target: String,
    /// Index tags of the versions asked for.
    pub documents: Vec<Tag>,
    /// SHA-256 of the signed request.
    pub request: ledger::ids::Digest,
    /// The HPKE key to which the exchange will wrap the payload keys.
    pub recipient: Vec<u8>,
    /// The emergency that its user has declared there.
    pub emergency: Option<Declaration>,
}

/// The decision on another member's request, on record here.
#[derive(Clone)]
pub struct RemoteAnswer {
    /// What may be opened.
    pub granted: Vec<Granted>,
    /// What may not, one for each tag.
    pub withheld: Vec<WithheldDocument>,
    /// The height of the decision.
    pub height: Height,
}

/// A version that another member may open.
#[derive(Clone)]
pub struct Granted {
    /// Its index tag, as asked for.
    pub tag: Tag,
    /// The sealed payload.
    pub sealed: Vec<u8>,
    /// What opens the payload: [`super::open_payload`].
    pub key: DataKey,
    /// The descriptor's bytes.
    pub descriptor: Vec<u8>,
    /// What opens the item's commitment.
    pub opening: Opening,
    /// The receipt, once final.
    pub receipt: Option<ledger::receipt::Receipt>,
    /// What the consents cover on which it is disclosed, where the notice goes with it (42 CFR 2.32).
    pub scope: Option<Arc<str>>,
}

/// A version that another member may not open.
#[derive(Clone, PartialEq, Eq)]
pub struct WithheldDocument {
    /// Its index tag, as asked for.
    pub tag: Tag,
    /// The reason.
    pub reason: String,
}

/// A consent entry that the ledger has and this member lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingConsent {
    /// The member through which it was filed.
    pub from: MemberName,
    /// Its position in that member's consent stream.
    pub position: u64,
    /// Its tag: what to ask that member for.
    pub tag: Tag,
}

/// A consent entry on its way between members, sealed under the consent branch's descriptor key.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedConsent {
    /// The tag of the entry in its branch.
    pub tag: Tag,
    /// Noise without the branch key.
    pub sealed: Vec<u8>,
}

macro_rules! redacted {
    ($($name:ident),* $(,)?) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

redacted!(
    Requester,
    Trail,
    Enrolment,
    Change,
    SignedConsent,
    Written,
    Opened,
    HistoryEntry,
    HistoryQuery,
    HistoryPage,
    SearchPage,
    Everything,
    ReceiptState,
    AccessEntry,
    SealedDescriptor,
    SubjectView,
    AccessAsk,
    Asked,
    RemoteRequest,
    RemoteAnswer,
    Granted,
    WithheldDocument,
    SealedConsent,
);
