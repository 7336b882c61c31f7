//! Collecting a patient's records from the other members.

use std::collections::{BTreeMap, BTreeSet};

use contracts::descriptor::{Descriptor, RecordDescriptor};
use futures::future::join_all;
use interop::fhir::{ParseLimits, Resource, ResourceType};
use ledger::ids::{Digest, MemberName, Tag};
use ledger::stream::{Branch, BranchKey};

use super::client::CallError;
use super::message::{Sealed, TAGS_MAX, Tags};
use super::open::{AskError, Obtained, Wish, ask};
use super::{Exchange, Parts, shown, unavailable};
use crate::custody::{
    CustodyError, Granted, Opened, Requester, SealedDescriptor, Withheld, open_descriptor,
    open_payload,
};

/// A patient's records at other members.
#[derive(Clone, Default)]
pub struct Elsewhere {
    /// What was opened; each names its home.
    pub entries: Vec<Opened>,
    /// What was not, and why.
    pub withheld: Vec<Withheld>,
    /// Members that did not answer: what they hold is missing.
    pub unreachable: Vec<MemberName>,
}

impl std::fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Elsewhere(..)")
    }
}

/// The current version of one document, as its home's index has it.
pub(super) struct Listed {
    pub(super) tag: Tag,
    pub(super) record: RecordDescriptor,
}

impl Exchange {
    /// What the other members hold of the patient (local id) and grant to the requester; of a member that does not answer,
    /// what a committee releases.
    pub async fn everything(
        &self,
        by: &Requester,
        patient_id: &str,
    ) -> Result<Elsewhere, CustodyError> {
        let parts = &self.0.parts;
        let target = format!("Patient/{patient_id}/$everything");
        let branches = indexes(parts, patient_id)?;
        let asked = branches.iter().map(|(custodian, keys)| {
            let target = target.clone();
            async move {
                let listed = list(parts, custodian, keys).await?;
                let documents = listed.iter().map(|one| one.tag).collect();
                let wish = (patient_id, custodian, "everything", target);
                obtain(parts, by, wish, documents).await
            }
        });
        let mut elsewhere = Elsewhere::default();
        for (custodian, outcome) in branches.keys().zip(join_all(asked).await) {
            match outcome {
                Ok(obtained) => elsewhere.take(custodian, obtained)?,
                Err(AskError::There(error)) => {
                    tracing::warn!(%custodian, %error, "a member's records are missing");
                    // What there is no copy of is missing still.
                    elsewhere.unreachable.push(custodian.clone());
                    if let (CallError::Unreachable, Some(keys)) = (&error, branches.get(custodian))
                    {
                        let wish = (patient_id, custodian, target.as_str());
                        elsewhere.take(custodian, self.released(by, wish, keys).await?)?;
                    }
                }
                Err(AskError::Here(error)) => return Err(error),
            }
        }
        Ok(elsewhere)
    }

    /// One document of another member, as it is now; from a copy, if the member does not answer and a committee
    /// releases it.
    pub async fn open(
        &self,
        by: &Requester,
        patient_id: &str,
        member: &MemberName,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<Opened, CustodyError> {
        let parts = &self.0.parts;
        let branches = indexes(parts, patient_id)?;
        let keys = branches.get(member).ok_or(CustodyError::NotFound)?;
        let there = |error: AskError| match error {
            AskError::Here(error) => error,
            AskError::There(error) => {
                tracing::warn!(%member, %error, "a member's record is missing");
                unavailable("the member that holds the record")
            }
        };
        let listed = match list(parts, member, keys).await {
            Err(AskError::There(CallError::Unreachable)) => {
                let released = self.release(by, patient_id, member, (resource_type, id));
                return match released.await {
                    Err(CustodyError::NotFound) => {
                        Err(unavailable("the member that holds the record"))
                    }
                    released => released,
                };
            }
            listed => listed.map_err(there)?,
        };
        let named = |one: &&Listed| {
            one.record.resource_type == resource_type.as_str() && one.record.id == id
        };
        let one = listed.iter().find(named).ok_or(CustodyError::NotFound)?;
        let target = format!("{resource_type}/{id}");
        let wish = (patient_id, member, "read", target);
        let obtained = obtain(parts, by, wish, vec![one.tag])
            .await
            .map_err(there)?;
        let mut elsewhere = Elsewhere::default();
        elsewhere.take(member, obtained)?;
        match (elsewhere.entries.pop(), elsewhere.withheld.pop()) {
            (Some(opened), _) => Ok(opened),
            (None, Some(withheld)) => Err(CustodyError::Denied {
                reason: withheld.reason,
                determining: Vec::new(),
            }),
            (None, None) => Err(CustodyError::NotFound),
        }
    }
}

/// The index branches of other members whose keys are held here.
pub(super) fn indexes(
    parts: &Parts,
    patient_id: &str,
) -> Result<BTreeMap<MemberName, Vec<BranchKey>>, CustodyError> {
    let view = parts.custody.subject_view(patient_id)?;
    let mut indexes: BTreeMap<MemberName, Vec<BranchKey>> = BTreeMap::new();
    for (branch, key) in view.branches {
        let (Branch::Index(member) | Branch::Restricted(member)) = branch else {
            continue;
        };
        if parts.client.members().contains(&member) {
            indexes.entry(member).or_default().push(key);
        }
    }
    Ok(indexes)
}

/// The current version of each document in the branches, by the member's own index, checked against the ledger.
async fn list(
    parts: &Parts,
    member: &MemberName,
    branches: &[BranchKey],
) -> Result<Vec<Listed>, AskError> {
    let mut current: BTreeMap<(String, String), Listed> = BTreeMap::new();
    for branch in branches {
        for listed in list_branch(parts, member, branch).await? {
            let document = (
                listed.record.resource_type.clone(),
                listed.record.id.clone(),
            );
            let known = current.get(&document).map(|known| known.record.version);
            if known.is_none_or(|known| known < listed.record.version) {
                current.insert(document, listed);
            }
        }
    }
    let listed = current.into_values().filter(|one| !one.record.deleted);
    Ok(listed.collect())
}

async fn list_branch(
    parts: &Parts,
    member: &MemberName,
    branch: &BranchKey,
) -> Result<Vec<Listed>, AskError> {
    let tags = entries_of(parts, member, branch)?;
    let mut listed = Vec::with_capacity(tags.len());
    for tags in tags.chunks(TAGS_MAX) {
        let message = Tags {
            tags: tags.to_vec(),
        };
        let answer: Sealed = parts.client.call(member, "descriptors", &message).await?;
        let asked: BTreeSet<Tag> = tags.iter().copied().collect();
        for entry in answer
            .entries
            .into_iter()
            .filter(|one| asked.contains(&one.tag))
        {
            let sealed = SealedDescriptor {
                tag: entry.tag,
                sealed: entry.sealed,
            };
            shown::bring(parts, member, sealed.tag).await?;
            listed.extend(listed_entry(parts, member, branch, &sealed)?);
        }
    }
    Ok(listed)
}

/// The tags of a branch's entries under one key. What stands behind the closing item belongs to nothing.
pub(super) fn entries_of(
    parts: &Parts,
    member: &MemberName,
    branch: &BranchKey,
) -> Result<Vec<Tag>, CustodyError> {
    let entries = branch.entries();
    let closing = match parts.chain.locate(member, entries.closing())? {
        Some(place) => Some(parts.chain.item(place)?.1.tags[0]),
        None => None,
    };
    let mut tags = Vec::new();
    for position in 1.. {
        let tag = entries.tag(position);
        if closing == Some(tag) || parts.chain.locate(member, tag)?.is_none() {
            break;
        }
        tags.push(tag);
    }
    Ok(tags)
}

/// The record that a sealed descriptor shows, if it is the one that the ledger holds.
pub(super) fn listed_entry(
    parts: &Parts,
    member: &MemberName,
    branch: &BranchKey,
    sealed: &SealedDescriptor,
) -> Result<Option<Listed>, AskError> {
    let network = parts.chain.network();
    let open = open_descriptor(network, member, branch, sealed);
    let open = open.map_err(|_| CallError::Malformed)?;
    let position = parts.chain.locate(member, sealed.tag);
    let position = position.map_err(CustodyError::from)?;
    let position = position.ok_or(CallError::Malformed)?;
    let (_, item) = parts.chain.item(position).map_err(CustodyError::from)?;
    if !item.opens_to(network, member, &open.opening, Digest::of(&open.descriptor)) {
        return Err(CallError::Malformed.into());
    }
    Ok(match Descriptor::decode(&open.descriptor) {
        Ok(Descriptor::Record(record)) => Some(Listed {
            tag: sealed.tag,
            record,
        }),
        _ => None,
    })
}

async fn obtain(
    parts: &Parts,
    by: &Requester,
    (patient_id, custodian, interaction, target): (&str, &MemberName, &str, String),
    documents: Vec<Tag>,
) -> Result<Obtained, AskError> {
    let mut all = Obtained {
        granted: Vec::new(),
        withheld: Vec::new(),
    };
    for documents in documents.chunks(TAGS_MAX) {
        let wish = Wish {
            patient_id,
            custodian,
            interaction,
            target: target.clone(),
            documents: documents.to_vec(),
        };
        let part = ask(parts, by, wish).await?;
        all.granted.extend(part.granted);
        all.withheld.extend(part.withheld);
    }
    Ok(all)
}

impl Elsewhere {
    fn take(&mut self, custodian: &MemberName, obtained: Obtained) -> Result<(), CustodyError> {
        for granted in &obtained.granted {
            self.entries.push(opened(custodian, granted)?);
        }
        let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
        for (_, reason) in obtained.withheld {
            let count = reasons.entry(reason).or_default();
            *count = count.saturating_add(1);
        }
        self.withheld
            .extend(reasons.into_iter().map(|(reason, count)| Withheld {
                member: custodian.clone(),
                count,
                reason,
            }));
        Ok(())
    }
}

/// Opens what was granted and checks that it is the content which the descriptor names.
pub(super) fn opened(custodian: &MemberName, granted: &Granted) -> Result<Opened, CustodyError> {
    let other = || unavailable("the content that the ledger names");
    let Ok(Descriptor::Record(record)) = Descriptor::decode(&granted.descriptor) else {
        return Err(other());
    };
    let content = open_payload(granted)?;
    if Digest::of(&content) != record.content {
        return Err(other());
    }
    let resource = Resource::parse(&content, &ParseLimits::stored()).map_err(|_| other())?;
    Ok(Opened {
        member: custodian.clone(),
        resource,
        id: record.id,
        version: record.version,
        last_updated_ms: record.recorded_at,
        labels: record.labels,
        scope: granted.scope.clone(),
    })
}
