//! The directory of care services: members are listed as the ledger has them, and what each publishes is followed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use contracts::membership::Standing;
use interop::fhir::ResourceType;
use interop::fhir::care_services::{Interfaces, MemberService, TYPES};
use ledger::ids::MemberName;

use super::Parts;
use super::client::CallError;
use super::message::{CareServiceEntry, CareServices, CareServicesAfter};
use super::serve::Refusal;
use crate::custody::{CustodyError, Publication, Publisher};

/// Between looks for what other members have published.
const AGAIN: Duration = Duration::from_secs(5);

/// What of this member is in the directory.
#[derive(Debug, Clone)]
pub struct ServicesConfig {
    /// Where its systems are reached.
    pub interfaces: Interfaces,
    /// The types of IHE mCSD of which other members get what is written here and names no patient.
    pub publishes: BTreeSet<ResourceType>,
}

impl Default for ServicesConfig {
    /// All types, and no addresses.
    fn default() -> Self {
        Self {
            interfaces: Interfaces::default(),
            publishes: TYPES.into_iter().filter_map(ResourceType::parse).collect(),
        }
    }
}

/// Why it is not known what another member publishes.
#[derive(Debug, thiserror::Error)]
enum NotFollowed {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the member names a type that is not a care service's")]
    OtherType,
    #[error("the member does not get on in its own change feed")]
    Stuck,
    #[error(transparent)]
    Here(#[from] CustodyError),
}

/// Lists the members and follows what they publish.
pub(super) async fn follow(parts: Arc<Parts>) {
    if !parts.custody.keeps_care_services() {
        return;
    }
    loop {
        if let Err(error) = list(&parts).await {
            tracing::error!(%error, "members cannot be listed in the directory");
        }
        let members = parts.client.members();
        parts.custody.follow_publishers(&members);
        let all = members.iter().map(|member| follow_one(&parts, member));
        futures::future::join_all(all).await;
        tokio::time::sleep(AGAIN).await;
    }
}

async fn follow_one(parts: &Parts, member: &MemberName) {
    match fetch(parts, member).await {
        Ok(()) => parts.custody.publisher_heard(member),
        Err(NotFollowed::Here(error)) => {
            tracing::error!(%error, "care services of another member cannot be kept");
        }
        Err(problem) => {
            tracing::debug!(%member, %problem, "what a member publishes is not heard of");
        }
    }
}

/// Writes what the registry says of members.
async fn list(parts: &Parts) -> Result<(), CustodyError> {
    let registry = parts.chain.registry();
    let mut members = Vec::new();
    for seat in registry.seats() {
        let interfaces = if seat.name == parts.member {
            parts.services.interfaces.clone()
        } else {
            parts.custody.publisher(&seat.name)?.interfaces()
        };
        members.push(MemberService {
            name: seat.name.to_string(),
            is_active: seat.standing == Standing::Active,
            exchange: parts.client.url(&seat.name),
            interfaces,
        });
    }
    parts.custody.list_members(members).await
}

/// Takes page after page until there is no further one.
async fn fetch(parts: &Parts, member: &MemberName) -> Result<(), NotFollowed> {
    loop {
        let after = parts.custody.publisher(member)?.through;
        let message = CareServicesAfter { after };
        let page: CareServices = parts.client.call(member, "care-services", &message).await?;
        let CareServices {
            entries,
            through,
            newest,
            fhir,
            hl7v2,
            dicom_web,
        } = page;
        let publications = entries
            .into_iter()
            .map(publication)
            .collect::<Result<_, _>>()?;
        let interfaces = Interfaces {
            fhir,
            hl7v2,
            dicom_web,
        };
        let goes_on = Publisher::of(through, interfaces);
        parts
            .custody
            .keep_publications(member, publications, goes_on)
            .await?;
        if through >= newest {
            return Ok(());
        }
        if through == after {
            return Err(NotFollowed::Stuck);
        }
    }
}

fn publication(entry: CareServiceEntry) -> Result<Publication, NotFollowed> {
    let kind = ResourceType::parse(&entry.resource_type);
    let kind = kind.filter(|kind| TYPES.contains(&kind.as_str()));
    Ok(Publication {
        resource_type: kind.ok_or(NotFollowed::OtherType)?,
        id: entry.id,
        version: entry.version,
        content: entry.content,
    })
}

/// What this member publishes, for the member at the other end.
pub(super) async fn answer(
    parts: &Parts,
    from: &MemberName,
    asked: &CareServicesAfter,
) -> Result<CareServices, Refusal> {
    let types = &parts.services.publishes;
    let page = parts.custody.publications(from, types, asked.after).await?;
    let entries = page.publications.into_iter().map(|one| CareServiceEntry {
        resource_type: one.resource_type.to_string(),
        id: one.id,
        version: one.version,
        content: one.content,
    });
    let Interfaces {
        fhir,
        hl7v2,
        dicom_web,
    } = parts.services.interfaces.clone();
    Ok(CareServices {
        entries: entries.collect(),
        through: page.through,
        newest: page.newest,
        fhir,
        hl7v2,
        dicom_web,
    })
}
