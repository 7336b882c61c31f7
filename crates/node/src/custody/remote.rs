//! Between members: what is shown to holders of branches, what is asked, and what is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ledger::codec;
use ledger::ids::{MemberName, NetworkId, Tag};
use ledger::item::Opening;
use ledger::stream::BranchKey;
use minicbor::{Decode, Encode};
use vault::secret::ClearBytes;
use zeroize::Zeroizing;

use super::access::AccessDraft;
use super::audit::decided_of;
use super::keys::descriptor_binding;
use super::payload::open_with;
use super::read::Loaded;
use super::request::{
    AccessAsk, Asked, Granted, RemoteAnswer, RemoteRequest, Requester, SealedDescriptor,
    WithheldDocument,
};
use super::rows::{
    AccessRow, DocumentKey, EntryRow, Head, Own, Payload, SubjectId, access_key, decode,
};
use super::store::Table;
use super::subject::Subject;
use super::{Custody, CustodyError, cipher};

/// Why an emergency does not open a document.
pub(super) const NOT_DECLARED: &str = "the emergency was not declared for this kind of record";

/// What a tag leads to that is shown to nobody, or not to whoever asks.
const NOT_HERE: &str = "no such document";

/// A descriptor with what opens its item's commitment.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct OpenDescriptor {
    /// The descriptor's bytes.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub descriptor: Vec<u8>,
    /// What opens the item's commitment.
    #[n(1)]
    pub opening: Opening,
}

impl std::fmt::Debug for OpenDescriptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpenDescriptor(..)")
    }
}

/// Opens a descriptor that `member` sealed for the holders of the branch with `key`.
pub fn open_descriptor(
    network: NetworkId,
    member: &MemberName,
    key: &BranchKey,
    sealed: &SealedDescriptor,
) -> Result<OpenDescriptor, CustodyError> {
    let bound = descriptor_binding(network, member, sealed.tag);
    let row = cipher::open(&key.descriptor_key(), &bound, &sealed.sealed)?;
    decode("descriptor", &row)
}

/// Opens a payload that another member granted; returns the content.
pub fn open_payload(granted: &Granted) -> Result<ClearBytes, CustodyError> {
    open_with(&granted.key, granted.sealed.clone())
}

/// A version that another member asks for, as it was found.
struct Asking {
    tag: Tag,
    subject: Arc<Subject>,
    document: DocumentKey,
    head: Head,
    version: u64,
    loaded: Loaded,
    /// The descriptor that its item under this tag commits to.
    shown: OpenDescriptor,
    /// Labels of the current version: what has become sensitive is so in older versions too.
    labels: BTreeSet<String>,
    /// What goes with it when it is shown, once it was decided.
    scope: Option<Arc<str>>,
}

impl Custody {
    pub(super) fn sealed_descriptors(
        &self,
        tags: &[Tag],
    ) -> Result<Vec<Option<SealedDescriptor>>, CustodyError> {
        tags.iter()
            .map(|tag| self.sealed_descriptor(*tag))
            .collect()
    }

    fn sealed_descriptor(&self, tag: Tag) -> Result<Option<SealedDescriptor>, CustodyError> {
        self.must_serve()?;
        let (key, open) = match self.entry(tag)? {
            None => return Ok(None),
            Some(EntryRow::Version { document, version }) => {
                let Some(loaded) = self.load(&document, version)? else {
                    return Ok(None);
                };
                let (head, subject) = self.subject_of(&document)?;
                let Some(listed) = listed(&head, &subject, &loaded, tag)? else {
                    return Ok(None);
                };
                listed
            }
            Some(EntryRow::Access { subject, position }) => {
                let row: AccessRow = self
                    .0
                    .home
                    .keys
                    .get(
                        &self.0.store,
                        Table::Accesses,
                        &access_key(&subject, position),
                    )?
                    .ok_or_else(|| CustodyError::Storage("an entry names no row".to_owned()))?;
                let open = OpenDescriptor {
                    descriptor: row.descriptor,
                    opening: row.opening,
                };
                let subject = self.0.subjects.load(&subject)?;
                (subject.key(Own::Access)?.descriptor_key(position), open)
            }
            Some(EntryRow::Erasure { document, number }) => {
                let Some(erasure) = self.erasure_entry(&document, number)? else {
                    return Ok(None);
                };
                erasure
            }
            Some(EntryRow::Closing {
                subject,
                branch,
                epoch,
            }) => {
                let Some(closing) = self.closing_entry(&subject, branch, epoch)? else {
                    return Ok(None);
                };
                closing
            }
        };
        let bound = descriptor_binding(self.0.home.network, &self.0.home.member, tag);
        let sealed = cipher::seal(&key, &bound, &Zeroizing::new(codec::encode(&open)));
        Ok(Some(SealedDescriptor { tag, sealed }))
    }

    pub(super) fn entry(&self, tag: Tag) -> Result<Option<EntryRow>, CustodyError> {
        let row = self.0.store.get(Table::Entries, &tag.0)?;
        row.map(|row| decode("entry", &row)).transpose()
    }

    pub(super) fn subject_of(
        &self,
        document: &DocumentKey,
    ) -> Result<(Head, Arc<Subject>), CustodyError> {
        let head: Head = self
            .0
            .home
            .keys
            .get(&self.0.store, Table::Heads, document)?
            .ok_or_else(|| CustodyError::Storage("an entry names no document".to_owned()))?;
        let subject = self.0.subjects.load(&head.subject)?;
        Ok((head, subject))
    }

    pub(super) async fn ask_another(
        &self,
        by: &Requester,
        ask: AccessAsk,
    ) -> Result<Asked, CustodyError> {
        let subject = self.0.subjects.of_patient(&ask.patient_id)?;
        let subject = subject.ok_or(CustodyError::UnknownPatient)?;
        let emergency = self.declared(by, &subject)?;
        if by.emergency.is_some() && emergency.is_none() {
            return Err(CustodyError::Denied {
                reason: "no emergency is declared for this patient that still holds".to_owned(),
                determining: Vec::new(),
            });
        }
        let draft = AccessDraft {
            requester: self.0.home.member.clone(),
            principal: by.principal(),
            role: by.role.clone(),
            purpose: by.purpose.clone(),
            interaction: ask.interaction,
            target: ask.target,
            at: (self.0.options.clock)(),
            custodian: ask.custodian,
            request: Some(ask.request),
            recipient: Some(ask.recipient),
            expires_at: Some(ask.expires_at),
            decision: None,
            audit: None,
            emergency: emergency.map(|declared| declared.without_justification()),
            on_behalf_of: None,
        };
        let event = by.audited_ask(&subject, &draft);
        let home = self.0.home.clone();
        let recorded = self
            .0
            .store
            .transact(move |transaction| home.append_audited(transaction, &subject, (draft, event)))
            .await?;
        Ok(Asked {
            tag: recorded.tag,
            descriptor: recorded.descriptor,
            opening: recorded.opening,
        })
    }

    pub(super) async fn answer_another(
        &self,
        request: &RemoteRequest,
    ) -> Result<RemoteAnswer, CustodyError> {
        let mut answer = RemoteAnswer {
            granted: Vec::new(),
            withheld: Vec::new(),
            height: self.height(),
        };
        let mut by_subject: BTreeMap<SubjectId, Vec<Asking>> = BTreeMap::new();
        for tag in &request.documents {
            match self.asking(*tag)? {
                Ok(asking) if !asking.is_needed(request) => {
                    answer.withheld.push(WithheldDocument {
                        tag: *tag,
                        reason: NOT_DECLARED.to_owned(),
                    });
                }
                Ok(asking) => {
                    let of_subject = by_subject.entry(asking.head.subject).or_default();
                    of_subject.push(asking);
                }
                Err(reason) => answer.withheld.push(WithheldDocument {
                    tag: *tag,
                    reason: reason.to_owned(),
                }),
            }
        }
        let mut granted = Vec::new();
        let mut records = Vec::new();
        for (id, asked) in by_subject {
            let subject = self.0.subjects.load(&id)?;
            if let Some(declaration) = &request.emergency {
                self.note_emergency(&request.requester, &subject, declaration)
                    .await?;
            }
            let (permitted, draft) = self.rule(request, &subject, asked, &mut answer).await?;
            let event = request.requester.audited_answer(&subject, &draft);
            records.push((Arc::clone(&subject), draft, event));
            granted.extend(permitted);
        }
        let home = self.0.home.clone();
        self.0
            .store
            .transact(move |transaction| {
                for (subject, draft, event) in records {
                    home.append_audited(transaction, &subject, (draft, event))?;
                }
                Ok(())
            })
            .await?;
        for one in granted {
            answer.granted.push(self.grant(one).await?);
        }
        Ok(answer)
    }

    /// The version with an index tag, or why there is none.
    fn asking(&self, tag: Tag) -> Result<Result<Asking, &'static str>, CustodyError> {
        let Some(EntryRow::Version { document, version }) = self.entry(tag)? else {
            return Ok(Err(NOT_HERE));
        };
        let (head, subject) = self.subject_of(&document)?;
        let Some(loaded) = self.load(&document, version)? else {
            return Ok(Err("erased"));
        };
        let Some((_, shown)) = listed(&head, &subject, &loaded, tag)? else {
            return Ok(Err(NOT_HERE));
        };
        if loaded.row.facts.deleted {
            return Ok(Err("deleted"));
        }
        if matches!(loaded.row.payload, Payload::Streamed { .. }) {
            return Ok(Err("too large to be sent to another member"));
        }
        let labels = self.current(&head)?.row.facts.disclosure.labels;
        Ok(Ok(Asking {
            tag,
            subject,
            document,
            labels,
            head,
            version,
            loaded,
            shown,
            scope: None,
        }))
    }

    /// Decides the documents of one subject: those that are permitted, and what goes on record.
    async fn rule(
        &self,
        request: &RemoteRequest,
        subject: &Subject,
        asked: Vec<Asking>,
        answer: &mut RemoteAnswer,
    ) -> Result<(Vec<Asking>, AccessDraft), CustodyError> {
        let by = &request.requester;
        let documents: Vec<_> = asked
            .iter()
            .map(|one| (one.document, one.version))
            .collect();
        let facts: Vec<_> = asked.iter().map(Asking::disclosure).collect();
        let facts: Vec<_> = facts.iter().collect();
        let decision = self.decide(by, subject, &facts).await?;
        let is_given = self.is_given(subject, &by.member)?;
        let mut permitted = Vec::new();
        for (mut one, ruling) in asked.into_iter().zip(&decision.rulings) {
            if !is_given {
                answer.withheld.push(WithheldDocument {
                    tag: one.tag,
                    reason: NOT_HERE.to_owned(),
                });
            } else if ruling.permitted {
                one.scope.clone_from(&ruling.scope);
                permitted.push(one);
            } else {
                answer.withheld.push(WithheldDocument {
                    tag: one.tag,
                    reason: ruling.reason.clone(),
                });
            }
        }
        let opened = permitted.iter().map(Asking::target).collect();
        let emergency = self.declared(by, subject)?;
        let draft = AccessDraft {
            requester: by.member.clone(),
            principal: by.principal(),
            role: by.role.clone(),
            purpose: by.purpose.clone(),
            interaction: request.interaction.clone(),
            target: request.target.clone(),
            at: (self.0.options.clock)(),
            custodian: self.0.home.member.clone(),
            request: Some(request.request),
            recipient: Some(request.recipient.clone()),
            expires_at: None,
            decision: Some(decided_of(decision.decided(opened), documents)),
            audit: None,
            emergency: emergency.map(|declared| declared.without_justification()),
            on_behalf_of: None,
        };
        Ok((permitted, draft))
    }

    /// The keys of a version leave only here, after the decision is on record.
    async fn grant(&self, one: Asking) -> Result<Granted, CustodyError> {
        let Asking {
            tag,
            subject,
            head,
            version,
            loaded,
            shown,
            scope,
            ..
        } = one;
        Ok(Granted {
            tag,
            receipt: self.entry_receipt(tag, (&subject, &head), version, &loaded)?,
            sealed: {
                let payloads = &self.0.payloads;
                payloads.sealed(&loaded.erase, &loaded.row.payload).await?
            },
            key: loaded.erase.payload(),
            opening: shown.opening,
            descriptor: shown.descriptor,
            scope,
        })
    }
}

/// The key that seals what a version's item with this tag commits to, and that; `None` if it is listed
/// elsewhere by now: what has become sensitive is not shown to those who lack the restricted branch.
fn listed(
    head: &Head,
    subject: &Subject,
    loaded: &Loaded,
    tag: Tag,
) -> Result<Option<([u8; 32], OpenDescriptor)>, CustodyError> {
    let row = &loaded.row;
    let has = |branch: Own, entry: u64| -> Result<bool, CustodyError> {
        Ok(subject.key(branch)?.tag(entry) == tag)
    };
    let key = |branch: Own, entry: u64| -> Result<[u8; 32], CustodyError> {
        Ok(subject.key(branch)?.descriptor_key(entry))
    };
    if let Some(moved) = &row.moved
        && has(moved.branch, moved.entry)?
    {
        let open = OpenDescriptor {
            descriptor: moved.descriptor.clone(),
            opening: moved.opening.clone(),
        };
        let key = key(moved.branch, moved.entry)?;
        return Ok((!is_hidden(head, moved.branch)).then_some((key, open)));
    }
    if is_hidden(head, row.facts.branch) || !has(row.facts.branch, row.entry)? {
        return Ok(None);
    }
    let open = OpenDescriptor {
        descriptor: row.descriptor.clone(),
        opening: loaded.erase.opening(),
    };
    Ok(Some((key(row.facts.branch, row.entry)?, open)))
}

/// Whether a document's entries in the branch are hidden, because its current version is sensitive.
fn is_hidden(head: &Head, branch: Own) -> bool {
    head.branch == Own::Restricted && branch == Own::Index
}

impl Asking {
    /// Whether it is among what an emergency needs, if one was declared.
    fn is_needed(&self, request: &RemoteRequest) -> bool {
        let declared = request.emergency.as_ref();
        declared.is_none_or(|declared| declared.types.contains(&self.head.resource_type))
    }

    fn disclosure(&self) -> interop::fhir::disclosure::DisclosureFacts {
        let mut facts = self.loaded.row.facts.disclosure.clone();
        facts.labels.extend(self.labels.iter().cloned());
        facts
    }

    fn target(&self) -> String {
        format!("{}/{}", self.head.resource_type, self.head.id)
    }
}
