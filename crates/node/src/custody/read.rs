//! Reading: decide, put the access on record durably, and only then open.

mod binary;

use std::sync::Arc;

use contracts::access::{DecisionRecord, Delegation};
use contracts::descriptor::{Decided, Descriptor};
use interop::fhir::compartment::is_in_compartment;
use interop::fhir::{ParseLimits, Resource, ResourceType};

use super::access::AccessDraft;
use super::audit::decided_of;
use super::decide::{Decision, Ruling};
use super::keys::EraseKey;
use super::request::{Opened, Requester};
use super::rows::{DocumentKey, Facts, Head, Payload, VersionRow, type_of, version_key};
use super::store::Table;
use super::subject::Subject;
use super::upstream::{UNATTRIBUTED, marked};
use super::{Custody, CustodyError, labelling};

pub use binary::OpenedBinary;

/// A version whose rows were loaded; its payload is still sealed.
pub(super) struct Loaded {
    pub(super) row: VersionRow,
    pub(super) erase: EraseKey,
}

impl Custody {
    pub(super) async fn read_current(
        &self,
        by: &Requester,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<Opened, CustodyError> {
        let head = self.known(by, resource_type, id)?;
        let subject = self.0.subjects.load(&head.subject)?;
        let loaded = self.current(&head)?;
        let facts = (head.version, &loaded.row.facts);
        let scope = self.admit(by, "read", &subject, &head, facts).await?;
        let opened = self.unseal(&head, head.version, (&loaded, scope)).await?;
        opened.ok_or_else(|| deleted(head.version, &loaded))
    }

    pub(super) async fn read_version(
        &self,
        by: &Requester,
        resource_type: ResourceType,
        id: &str,
        version: u64,
    ) -> Result<Opened, CustodyError> {
        let head = self.known(by, resource_type, id)?;
        let subject = self.0.subjects.load(&head.subject)?;
        let document = self.0.home.keys.document(&head.resource_type, &head.id);
        let loaded = self.load(&document, version)?;
        let current = self.current(&head)?;
        let (of, facts) = facts_of(&head, (version, loaded.as_ref()), &current);
        let facts = facts.with_labels_of(&current.row.facts);
        let admitted = self.admit(by, "vread", &subject, &head, (of, &facts));
        let scope = admitted.await?;
        if version == 0 || version > head.version {
            return Err(CustodyError::NotFound);
        }
        let loaded = loaded.ok_or(CustodyError::Gone)?;
        self.unseal(&head, version, (&loaded, scope))
            .await?
            .ok_or_else(|| deleted(version, &loaded))
    }

    /// The head of a document; who asks for what is not here is noted in the security log.
    pub(super) fn known(
        &self,
        by: &Requester,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<Head, CustodyError> {
        let head = self.head(resource_type, id)?;
        head.ok_or_else(|| {
            tracing::warn!(
                target: "security", client = %by.client, member = %by.member, %resource_type,
                "a request for a document that is not here"
            );
            CustodyError::NotFound
        })
    }

    /// Decides one document and puts the decision on record; an error if it is to deny. The scope of the consent, if that
    /// goes with the document.
    pub(super) async fn admit(
        &self,
        by: &Requester,
        interaction: &str,
        subject: &Arc<Subject>,
        head: &Head,
        (version, facts): (u64, &Facts),
    ) -> Result<Option<Arc<str>>, CustodyError> {
        let document = self.0.home.keys.document(&head.resource_type, &head.id);
        let decision = self.decide(by, subject, &[&facts.disclosure]).await?;
        let target = format!("{}/{}", head.resource_type, head.id);
        let permitted = if decision.permits_all() {
            vec![target.clone()]
        } else {
            Vec::new()
        };
        let decided = decision.decided(permitted);
        if is_recorded(subject, type_of(&head.resource_type)?) {
            let decided = decided_of(decided, [(document, version)]);
            let decided = vec![(Arc::clone(subject), decided)];
            self.record(by, interaction, target, decided).await?;
        } else {
            self.audit_shared(by, interaction, &target, &decided)
                .await?;
        }
        match decision.into_result() {
            // That it exists would tell already.
            Err(CustodyError::Denied { .. }) if is_sensitive(facts) => Err(CustodyError::NotFound),
            outcome => outcome,
        }
    }

    /// Puts accesses on record, durably, one for each subject.
    pub(super) async fn record(
        &self,
        by: &Requester,
        interaction: &str,
        target: String,
        decided: Vec<(Arc<Subject>, Decided)>,
    ) -> Result<(), CustodyError> {
        let at = (self.0.options.clock)();
        let mut drafts = Vec::new();
        for (subject, decision) in decided {
            let emergency = self.declared(by, &subject)?;
            let on_behalf_of = by.related.as_ref().and_then(|_| delegation(&decision));
            let draft = AccessDraft {
                requester: by.member.clone(),
                principal: by.principal(),
                role: by.role.clone(),
                purpose: by.purpose.clone(),
                interaction: interaction.to_owned(),
                target: target.clone(),
                at,
                custodian: self.0.home.member.clone(),
                request: None,
                recipient: None,
                expires_at: None,
                decision: Some(decision),
                audit: None,
                emergency: emergency.map(|declared| declared.without_justification()),
                on_behalf_of,
            };
            let event = by.audited_access(&subject, &draft);
            drafts.push((subject, draft, event));
        }
        if drafts.is_empty() {
            return Ok(());
        }
        let home = self.0.home.clone();
        self.0
            .store
            .transact(move |transaction| {
                for (subject, draft, event) in drafts {
                    if draft.emergency.is_some() {
                        // What an emergency opens shares no entry.
                        home.append_audited(transaction, &subject, (draft, event))?;
                    } else {
                        home.record(transaction, &subject, (draft, event))?;
                    }
                }
                Ok(())
            })
            .await
    }

    /// The rows of a version; `None` if it was erased or never written.
    pub(super) fn load(
        &self,
        document: &DocumentKey,
        version: u64,
    ) -> Result<Option<Loaded>, CustodyError> {
        let store = &self.0.store;
        let Some(erase) = self.0.home.keys.erase_key(store, document, version)? else {
            return Ok(None);
        };
        let key = version_key(document, version);
        let Some(row) = store.get(Table::Versions, &key)? else {
            return Ok(None);
        };
        let row = erase.open(Table::Versions, &key, &row)?;
        Ok(Some(Loaded { row, erase }))
    }

    /// The rows of the current version.
    pub(super) fn current(&self, head: &Head) -> Result<Loaded, CustodyError> {
        let document = self.0.home.keys.document(&head.resource_type, &head.id);
        self.load(&document, head.version)?
            .ok_or_else(|| CustodyError::Storage("a head names no version".to_owned()))
    }

    /// Opens a version, which is shown with the scope of the consent; `None` if it deletes the document. The access must be
    /// on record.
    pub(super) async fn unseal(
        &self,
        head: &Head,
        version: u64,
        (loaded, scope): (&Loaded, Option<Arc<str>>),
    ) -> Result<Option<Opened>, CustodyError> {
        let resource = self.open_content(loaded).await?;
        Ok(resource.map(|resource| Opened {
            member: self.0.home.member.clone(),
            resource,
            id: head.id.clone(),
            version,
            last_updated_ms: loaded.row.facts.recorded_at,
            labels: labelling::shown(&loaded.row.facts.disclosure.labels),
            scope,
        }))
    }

    pub(super) async fn open_content(
        &self,
        loaded: &Loaded,
    ) -> Result<Option<Resource>, CustodyError> {
        if loaded.row.facts.deleted {
            return Ok(None);
        }
        let payloads = &self.0.payloads;
        if let Payload::Streamed { locator, head, .. } = &loaded.row.payload {
            let head = payloads.head(&loaded.erase, locator, *head).await?;
            return binary::without_content(&head).map(Some);
        }
        let content = payloads.open(&loaded.erase, &loaded.row.payload).await?;
        let resource = Resource::parse(&content, &ParseLimits::stored())
            .map_err(|_| CustodyError::Storage("a stored resource does not parse".to_owned()))?;
        if self.0.payloads.upstream().is_some() && is_unattributed(loaded) {
            return Ok(marked(resource));
        }
        Ok(Some(resource))
    }
}

/// Whether even the existence of the version is withheld from whoever may not see it.
pub(super) fn is_sensitive(facts: &Facts) -> bool {
    !facts.disclosure.labels.is_empty()
}

/// What is decided about a version: its own facts, or those of the current one where it is gone.
pub(super) fn facts_of<'a>(
    head: &Head,
    (version, loaded): (u64, Option<&'a Loaded>),
    current: &'a Loaded,
) -> (u64, &'a Facts) {
    match loaded {
        Some(loaded) => (version, &loaded.row.facts),
        None => (head.version, &current.row.facts),
    }
}

/// In whose place it was decided.
fn delegation(decided: &Decided) -> Option<Delegation> {
    let record = DecisionRecord::decode(decided.record.as_deref()?);
    record.ok()?.request.on_behalf_of
}

/// Whether nobody here knows who wrote the version.
fn is_unattributed(loaded: &Loaded) -> bool {
    match Descriptor::decode(&loaded.row.descriptor) {
        Ok(Descriptor::Record(record)) => record.author == UNATTRIBUTED,
        _ => false,
    }
}

fn deleted(version: u64, loaded: &Loaded) -> CustodyError {
    CustodyError::Deleted {
        version,
        last_updated_ms: loaded.row.facts.recorded_at,
    }
}

/// Whether openings go on record: those of practitioners, organisations and places do not.
pub(super) fn is_recorded(subject: &Subject, resource_type: ResourceType) -> bool {
    subject.patient_id.is_some() || is_in_compartment(resource_type)
}

impl Decision {
    pub(super) fn permits_all(&self) -> bool {
        self.rulings.iter().all(|ruling| ruling.permitted)
    }

    /// The scope that goes with the one document, or the first denial as an error.
    pub(super) fn into_result(self) -> Result<Option<Arc<str>>, CustodyError> {
        let mut scope = None;
        for ruling in self.rulings {
            if !ruling.permitted {
                return Err(ruling.into());
            }
            scope = scope.or(ruling.scope);
        }
        Ok(scope)
    }
}

impl From<Ruling> for CustodyError {
    fn from(denial: Ruling) -> Self {
        Self::Denied {
            reason: denial.reason,
            determining: denial.determining,
        }
    }
}
