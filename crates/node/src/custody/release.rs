//! Copies for release: what another member keeps of a version, and what a member of the committee decides on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use contracts::descriptor::Descriptor;
use contracts::emergency::Declaration;
use interop::fhir::disclosure::DisclosureFacts;
use ledger::codec;
use ledger::ids::{Digest, MemberName, NetworkId, Tag};
use ledger::stream::{Branch, BranchKey};
use minicbor::{Decode, Encode};
use vault::release::{Committee, SealedToCommittee};
use zeroize::Zeroizing;

use super::access::AccessDraft;
use super::changes::Changed;
use super::keys::descriptor_binding;
use super::remote::NOT_DECLARED;
use super::request::{RemoteRequest, SealedDescriptor};
use super::rows::{Payload, SubjectId, decode};
use super::subject::Subject;
use super::{Custody, CustodyError, cipher};

/// Sealed bytes of a payload that is copied at most: what is larger stays with its custodian.
const PAYLOAD_BYTES_MAX: usize = 2 << 20;
/// Bytes of a sealed descriptor and of sealed terms, at most.
const DESCRIBED_BYTES_MAX: usize = 64 << 10;

/// Why a member gives no share that has not the consents.
const CONSENTS_UNKNOWN: &str = "the member does not know what the patient permits";

/// On what a release is decided. The key is sealed for these very bytes: a share that was given on other terms does
/// not open it.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct ReleaseTerms {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The custodian.
    #[n(1)]
    pub home: MemberName,
    /// The version's index tag.
    #[n(2)]
    pub tag: Tag,
    /// The round in which the committee's key was made.
    #[n(3)]
    pub key: u64,
    /// The tag of the document's next version: once it is used, this one is not released any more.
    #[n(4)]
    pub next: Tag,
    /// By which members that hold the branch of the custodian's consents know the patient.
    #[n(5)]
    pub mark: Digest,
    /// The document, as `Type/id`.
    #[n(6)]
    pub target: String,
    /// What is decided on.
    #[n(7)]
    pub facts: DisclosureFacts,
}

/// One version as another member keeps it: noise to whoever has neither the branch nor the committee's shares.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct SealedCopy {
    /// The index tag.
    #[n(0)]
    pub tag: Tag,
    /// The descriptor, for holders of the branch.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub descriptor: Vec<u8>,
    /// The terms, for holders of the branch.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub terms: Vec<u8>,
    /// The sealed payload.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub payload: Vec<u8>,
    /// The payload's key, for the committee.
    #[n(4)]
    pub key: SealedToCommittee,
}

/// What a member of the committee decides on one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRuling {
    /// The index tag.
    pub tag: Tag,
    /// Whether it is released.
    pub outcome: ReleaseOutcome,
}

/// Whether a document is released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// It is, with what the consents cover on which it is, where the notice goes with it (42 CFR 2.32).
    Released(Option<Arc<str>>),
    /// It is not, and why.
    Withheld(String),
}

impl ReleaseRuling {
    fn withheld(tag: Tag, reason: &str) -> Self {
        Self {
            tag,
            outcome: ReleaseOutcome::Withheld(reason.to_owned()),
        }
    }
}

impl ReleaseTerms {
    /// What the committee signs to open what is sealed on these terms.
    pub fn identity(&self) -> [u8; 32] {
        let terms = codec::encode(self);
        Digest::with_domain("careledger/release-identity/v1", &[&terms]).0
    }
}

impl SealedCopy {
    /// The terms, for whoever holds the branch's key.
    pub fn terms(
        &self,
        network: NetworkId,
        home: &MemberName,
        branch: &BranchKey,
    ) -> Result<ReleaseTerms, CustodyError> {
        let bound = terms_binding(network, home, self.tag);
        let clear = cipher::open(&branch.descriptor_key(), &bound, &self.terms)?;
        decode("terms of a release", &clear)
    }

    /// Whether it is as large as a copy may be.
    pub fn is_bounded(&self) -> bool {
        let described = self.descriptor.len().max(self.terms.len());
        self.payload.len() <= PAYLOAD_BYTES_MAX && described <= DESCRIBED_BYTES_MAX
    }

    /// The descriptor, as the custodian would show it.
    pub fn sealed_descriptor(&self) -> SealedDescriptor {
        SealedDescriptor {
            tag: self.tag,
            sealed: self.descriptor.clone(),
        }
    }
}

impl Custody {
    /// The version of a change as a copy that the committee with key number `key` can release; nothing if there is
    /// nothing to copy.
    pub async fn release_copy(
        &self,
        changed: &Changed,
        (key, committee): (u64, &Committee),
    ) -> Result<Option<SealedCopy>, CustodyError> {
        let Some(loaded) = self.load(&changed.document, changed.version)? else {
            return Ok(None);
        };
        let subject = self.0.subjects.load(&changed.subject)?;
        let is_copied = !loaded.row.facts.deleted
            && subject.patient_id.is_some()
            && !matches!(loaded.row.payload, Payload::Streamed { .. });
        let Ok(Descriptor::Record(record)) = Descriptor::decode(&loaded.row.descriptor) else {
            return Ok(None);
        };
        let payloads = &self.0.payloads;
        if !is_copied {
            return Ok(None);
        }
        let payload = payloads.sealed(&loaded.erase, &loaded.row.payload).await?;
        let branch = subject.key(loaded.row.facts.branch)?;
        let tag = branch.tag(loaded.row.entry);
        let Some(descriptor) = self.descriptors(&[tag])?.into_iter().flatten().next() else {
            return Ok(None);
        };
        let home = &self.0.home;
        let terms = ReleaseTerms {
            network: home.network,
            home: home.member.clone(),
            tag,
            key,
            next: record.next,
            mark: mark(&subject.key(super::rows::Own::Consent)?.newest().key),
            target: format!("{}/{}", record.resource_type, record.id),
            facts: loaded.row.facts.disclosure.clone(),
        };
        let sealed = committee.seal(&terms.identity(), loaded.erase.payload().expose());
        let sealed = sealed.map_err(|error| CustodyError::Storage(error.to_string()))?;
        let bound = terms_binding(home.network, &home.member, tag);
        let clear = Zeroizing::new(codec::encode(&terms));
        let copy = SealedCopy {
            tag,
            descriptor: descriptor.sealed,
            terms: cipher::seal(&branch.descriptor_key(loaded.row.entry), &bound, &clear),
            payload,
            key: sealed,
        };
        Ok(Some(copy).filter(SealedCopy::is_bounded))
    }

    /// Decides, as a member of the committee, on documents of another custodian, and records it. What is released is
    /// what the patient's consents permit, which only those know who hold the patient's branches.
    pub async fn decide_release(
        &self,
        request: &RemoteRequest,
        terms: &[ReleaseTerms],
    ) -> Result<Vec<ReleaseRuling>, CustodyError> {
        let mut rulings = Vec::with_capacity(terms.len());
        let mut by_subject: BTreeMap<SubjectId, (Arc<Subject>, Vec<&ReleaseTerms>)> =
            BTreeMap::new();
        let subjects = self.known_by_marks(terms)?;
        for one in terms {
            let of_type = one.target.split('/').next().unwrap_or_default();
            let declared = request.emergency.as_ref();
            if declared.is_some_and(|declared| !declared.types.contains(of_type)) {
                rulings.push(ReleaseRuling::withheld(one.tag, NOT_DECLARED));
                continue;
            }
            match subjects.get(&one.mark) {
                Some(subject) => {
                    let of_subject = by_subject.entry(subject.id);
                    let of_subject =
                        of_subject.or_insert_with(|| (Arc::clone(subject), Vec::new()));
                    of_subject.1.push(one);
                }
                None => rulings.push(ReleaseRuling::withheld(one.tag, CONSENTS_UNKNOWN)),
            }
        }
        let mut drafts = Vec::new();
        for (subject, documents) in by_subject.into_values() {
            if let Some(declaration) = &request.emergency {
                self.note_emergency(&request.requester, &subject, declaration)
                    .await?;
            }
            let draft = self
                .rule_release(request, &subject, &documents, &mut rulings)
                .await?;
            let event = request.requester.audited_answer(&subject, &draft);
            drafts.push((subject, draft, event));
        }
        let home = self.0.home.clone();
        self.0
            .store
            .transact(move |transaction| {
                for (subject, draft, event) in drafts {
                    home.append_audited(transaction, &subject, (draft, event))?;
                }
                Ok(())
            })
            .await?;
        Ok(rulings)
    }

    async fn rule_release(
        &self,
        request: &RemoteRequest,
        subject: &Subject,
        documents: &[&ReleaseTerms],
        rulings: &mut Vec<ReleaseRuling>,
    ) -> Result<AccessDraft, CustodyError> {
        let by = &request.requester;
        let custodian = documents.first().map(|one| one.home.clone());
        let custodian = custodian.unwrap_or_else(|| self.0.home.member.clone());
        let facts: Vec<_> = documents.iter().map(|one| &one.facts).collect();
        let decision = self.decide_at(&custodian, by, subject, &facts).await?;
        let mut permitted = Vec::new();
        for (one, ruling) in documents.iter().zip(&decision.rulings) {
            let outcome = if ruling.permitted {
                permitted.push(one.target.clone());
                ReleaseOutcome::Released(ruling.scope.clone())
            } else {
                ReleaseOutcome::Withheld(ruling.reason.clone())
            };
            rulings.push(ReleaseRuling {
                tag: one.tag,
                outcome,
            });
        }
        Ok(AccessDraft {
            requester: by.member.clone(),
            principal: by.principal(),
            role: by.role.clone(),
            purpose: by.purpose.clone(),
            interaction: request.interaction.clone(),
            target: request.target.clone(),
            at: (self.0.options.clock)(),
            custodian,
            request: Some(request.request),
            recipient: Some(request.recipient.clone()),
            expires_at: None,
            decision: Some(decision.decided(permitted)),
            audit: None,
            emergency: request
                .emergency
                .as_ref()
                .map(Declaration::without_justification),
            on_behalf_of: None,
        })
    }

    /// The subjects that are known here by a mark of the terms.
    fn known_by_marks(
        &self,
        terms: &[ReleaseTerms],
    ) -> Result<BTreeMap<Digest, Arc<Subject>>, CustodyError> {
        let homes: BTreeSet<&MemberName> = terms.iter().map(|one| &one.home).collect();
        let wanted: BTreeSet<Digest> = terms.iter().map(|one| one.mark).collect();
        let mut found = BTreeMap::new();
        for subject in self.0.subjects.all() {
            let subject = subject?;
            for home in &homes {
                let branch = Branch::Consent((*home).clone());
                let keys = subject.branches.get(&branch).into_iter();
                let marks = keys.flat_map(|keys| keys.each().map(|one| mark(&one.key)));
                for known in marks.filter(|known| wanted.contains(known)) {
                    found.insert(known, Arc::clone(&subject));
                }
            }
            if found.len() == wanted.len() {
                break;
            }
        }
        Ok(found)
    }
}

/// By which the holders of a branch know it, and nobody else.
fn mark(branch: &BranchKey) -> Digest {
    Digest::with_domain("careledger/release-mark/v1", &[&branch.descriptor_key()])
}

fn terms_binding(network: NetworkId, home: &MemberName, tag: Tag) -> Vec<u8> {
    let descriptor = descriptor_binding(network, home, tag);
    [b"careledger/release-terms/v1".as_slice(), &descriptor].concat()
}

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

redacted!(ReleaseTerms, SealedCopy);
