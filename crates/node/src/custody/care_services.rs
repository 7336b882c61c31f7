//! Care services of the network (IHE mCSD): what this member publishes, and what is kept here of the others.
//!
//! What is kept is written as every document is, under ids that nobody else may write
//! (`interop::fhir::care_services`); so it is found, included and in histories as every document is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use interop::fhir::care_services::{
    Interfaces, MemberService, Source, endpoint_ids, is_care_service, is_of_network, listed,
    may_be_published, published, published_id,
};
use interop::fhir::resource::is_id;
use interop::fhir::{ParseLimits, Resource, ResourceType};
use ledger::codec;
use ledger::ids::{Digest, MemberName};
use minicbor::{Decode, Encode};

use super::append::Precondition;
use super::read::is_sensitive;
use super::request::{Requester, Trail};
use super::rows::Head;
use super::write::Named;
use super::{Changed, Custody, CustodyError, Reach, Shelf};

/// Rows of the change feed that are gone over for one page.
const SCANNED_MAX: usize = 5_000;
/// Changes of one page.
const PAGE_MAX: usize = 500;
/// Bytes of content after which a page ends.
const PAGE_BYTES_MAX: usize = 8 << 20;
/// Documents that are written at once.
const WRITTEN_AT_ONCE: usize = 100;
/// How long a member may not be heard before searches say so.
const STALE_MS: u64 = 10 * 60 * 1_000;
/// Bytes of an address that another member says.
const ADDRESS_BYTES_MAX: usize = 255;
/// As which client the node itself reads and writes care services.
const CLIENT: &str = "care services";

/// The newest version of a care service, or that it is not published (any more).
pub(crate) struct Publication {
    pub(crate) resource_type: ResourceType,
    pub(crate) id: String,
    pub(crate) version: u64,
    /// FHIR in JSON, as it is stored.
    pub(crate) content: Option<Vec<u8>>,
}

/// Publications, in the order of the change feed.
pub(crate) struct PublicationPage {
    pub(crate) publications: Vec<Publication>,
    /// The number in the change feed up to which this is all.
    pub(crate) through: u64,
    /// The newest number there.
    pub(crate) newest: u64,
}

/// How far another member is followed, and what it has said of its interfaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Publisher {
    #[n(0)]
    pub(crate) through: u64,
    #[n(1)]
    fhir: Option<String>,
    #[n(2)]
    hl7v2: Vec<String>,
    #[n(3)]
    dicom_web: Option<String>,
}

/// A member whose care services may have changed since they were heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StalePublisher {
    /// The member.
    pub member: MemberName,
    /// When it was heard last, milliseconds since 1970; not since this node started, if nothing.
    pub heard_at_ms: Option<u64>,
}

/// What is remembered while the node runs.
#[derive(Default)]
pub(super) struct Hearing {
    heard: Mutex<BTreeMap<MemberName, Option<u64>>>,
    listed: Mutex<Vec<MemberService>>,
}

impl Publisher {
    /// Goes on at `through` with these interfaces.
    pub(crate) fn of(through: u64, interfaces: Interfaces) -> Self {
        let Interfaces {
            fhir,
            hl7v2,
            dicom_web,
        } = interfaces;
        Self {
            through,
            fhir: fhir.filter(|address| is_web(address)),
            hl7v2: hl7v2
                .into_iter()
                .filter(|address| address.starts_with("mllp") && is_address(address))
                .collect(),
            dicom_web: dicom_web.filter(|address| is_web(address)),
        }
    }

    pub(crate) fn interfaces(&self) -> Interfaces {
        Interfaces {
            fhir: self.fhir.clone(),
            hl7v2: self.hl7v2.clone(),
            dicom_web: self.dicom_web.clone(),
        }
    }
}

fn is_web(address: &str) -> bool {
    (address.starts_with("http://") || address.starts_with("https://")) && is_address(address)
}

fn is_address(address: &str) -> bool {
    address.len() <= ADDRESS_BYTES_MAX && address.chars().all(|one| one.is_ascii_graphic())
}

impl Custody {
    /// What this member publishes of `types` behind number `after` of its change feed. Each opening is decided, and on
    /// record, as a read by `to`.
    pub(crate) async fn publications(
        &self,
        to: &MemberName,
        types: &BTreeSet<ResourceType>,
        after: u64,
    ) -> Result<PublicationPage, CustodyError> {
        let newest = self.newest_change();
        // Records that were put back from a backup have fewer.
        let after = if after > newest { 0 } else { after };
        let rows = self.changes(after, SCANNED_MAX)?;
        let mut page = PublicationPage {
            publications: Vec::new(),
            through: after,
            newest,
        };
        let by = node_itself(to);
        let mut bytes = 0_usize;
        for row in rows {
            page.through = row.number;
            let Some(publication) = self.publication(&by, types, &row).await? else {
                continue;
            };
            bytes = bytes.saturating_add(publication.content.as_ref().map_or(0, Vec::len));
            page.publications.push(publication);
            if page.publications.len() >= PAGE_MAX || bytes >= PAGE_BYTES_MAX {
                break;
            }
        }
        Ok(page)
    }

    /// What a change means to other members; nothing if it is of no care service or a later one follows.
    async fn publication(
        &self,
        by: &Requester,
        types: &BTreeSet<ResourceType>,
        row: &Changed,
    ) -> Result<Option<Publication>, CustodyError> {
        let (kind, id) = (row.resource_type, row.id.as_str());
        let is_own = is_care_service(kind) && !is_of_network(kind, id);
        if !is_own || row.subject != self.0.subjects.directory().id {
            return Ok(None);
        }
        let head = self.head(kind, id)?;
        let Some(head) = head.filter(|head| head.version == row.version) else {
            return Ok(None);
        };
        let content = if types.contains(&kind) {
            self.disclosed(by, kind, &head).await?
        } else {
            None
        };
        Ok(Some(Publication {
            resource_type: kind,
            id: head.id,
            version: head.version,
            content,
        }))
    }

    async fn disclosed(
        &self,
        by: &Requester,
        kind: ResourceType,
        head: &Head,
    ) -> Result<Option<Vec<u8>>, CustodyError> {
        if head.deleted || is_sensitive(&self.current(head)?.row.facts) {
            return Ok(None);
        }
        match self.read(by, kind, &head.id).await {
            Ok(opened) if opened.version == head.version => {
                let may = may_be_published(&opened.resource);
                let stored = may.then(|| opened.resource.stored(&head.id)).transpose();
                stored.map_err(|error| CustodyError::Storage(error.to_string()))
            }
            // A later change follows.
            Ok(_)
            | Err(
                CustodyError::Denied { .. }
                | CustodyError::NotFound
                | CustodyError::Gone
                | CustodyError::Deleted { .. },
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How far `member` is followed.
    pub(crate) fn publisher(&self, member: &MemberName) -> Result<Publisher, CustodyError> {
        let row = self.shelved(Shelf::CareServices, member.as_str().as_bytes())?;
        let row = row.map(|row| codec::decode("publisher", &row)).transpose();
        let row = row.map_err(|_| CustodyError::Storage("a publisher's row".to_owned()))?;
        Ok(row.unwrap_or_default())
    }

    /// Keeps what `member` publishes, and then how far that goes: what is taken twice changes nothing.
    pub(crate) async fn keep_publications(
        &self,
        member: &MemberName,
        publications: Vec<Publication>,
        goes_on: Publisher,
    ) -> Result<(), CustodyError> {
        let mut changes = Vec::new();
        for one in publications {
            let id = published_id(member.as_str(), (one.resource_type, &one.id), &digest);
            let kept = kept_of(member, goes_on.fhir.as_deref(), &one);
            changes.extend(self.change_to(one.resource_type, &id, kept).await?);
        }
        self.write_care_services(changes).await?;
        if self.publisher(member)? == goes_on {
            return Ok(());
        }
        let row = (
            member.as_str().as_bytes().to_vec(),
            Some(codec::encode(&goes_on)),
        );
        self.shelve(Shelf::CareServices, vec![row]).await
    }

    /// Lists members as Organizations with Endpoints: writes what differs from what is listed.
    pub async fn list_members(&self, members: Vec<MemberService>) -> Result<(), CustodyError> {
        if *self.0.hearing.listed() == members {
            return Ok(());
        }
        let Some(endpoint) = ResourceType::parse("Endpoint") else {
            return Ok(());
        };
        let mut changes = Vec::new();
        for member in &members {
            let resources = match listed(member) {
                Ok(resources) => resources,
                Err(error) => {
                    tracing::warn!(member = %member.name, %error, "a member cannot be listed");
                    continue;
                }
            };
            let ids: Vec<_> = resources.iter().filter_map(|one| one.id()).collect();
            let gone: Vec<String> = endpoint_ids(&member.name)
                .filter(|id| !ids.contains(&id.as_str()))
                .collect();
            // What refers to them comes first, so that no reference leads to what is gone.
            for one in resources {
                let id = one.id().unwrap_or_default().to_owned();
                let kind = one.resource_type();
                changes.extend(self.change_to(kind, &id, Some(one)).await?);
            }
            for id in gone {
                changes.extend(self.change_to(endpoint, &id, None).await?);
            }
        }
        self.write_care_services(changes).await?;
        *self.0.hearing.listed() = members;
        Ok(())
    }

    /// The change that makes a document what it ought to be; nothing if it is that.
    async fn change_to(
        &self,
        resource_type: ResourceType,
        id: &str,
        content: Option<Resource>,
    ) -> Result<Option<Named>, CustodyError> {
        let head = self.head(resource_type, id)?.filter(|head| !head.deleted);
        let current = match &head {
            Some(head) => self.open_content(&self.current(head)?).await?,
            None => None,
        };
        let stored = |resource: &Resource| resource.stored(id).ok();
        let is_same = current.as_ref().and_then(stored) == content.as_ref().and_then(stored);
        Ok((!is_same).then(|| Named {
            resource_type,
            id: id.to_owned(),
            precondition: Precondition::Current(None),
            resource: content,
            signed: None,
            by_node: true,
        }))
    }

    async fn write_care_services(&self, changes: Vec<Named>) -> Result<(), CustodyError> {
        let by = node_itself(&self.0.home.member);
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let some = changes.by_ref().take(WRITTEN_AT_ONCE).collect();
            self.write_named(&by, some).await?;
        }
        Ok(())
    }

    /// Whether care services of others are kept here: an existing server would have to take them as its own.
    pub(crate) fn keeps_care_services(&self) -> bool {
        self.0.payloads.upstream().is_none()
    }

    /// Notes which members are followed; of a new one nothing was heard.
    pub(crate) fn follow_publishers(&self, members: &[MemberName]) {
        let mut heard = self.0.hearing.heard();
        heard.retain(|member, _| members.contains(member));
        for member in members {
            heard.entry(member.clone()).or_default();
        }
    }

    /// Notes that all that `member` publishes is kept.
    pub(crate) fn publisher_heard(&self, member: &MemberName) {
        let now = self.now_ms();
        self.0.hearing.heard().insert(member.clone(), Some(now));
    }

    /// Members that are followed and were not heard for ten minutes.
    pub fn stale_publishers(&self) -> Vec<StalePublisher> {
        let now = self.now_ms();
        let heard = self.0.hearing.heard();
        let stale = heard
            .iter()
            .filter(|(_, at)| at.is_none_or(|at| now.saturating_sub(at) > STALE_MS));
        stale
            .map(|(member, at)| StalePublisher {
                member: member.clone(),
                heard_at_ms: *at,
            })
            .collect()
    }
}

impl Hearing {
    fn heard(&self) -> MutexGuard<'_, BTreeMap<MemberName, Option<u64>>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listed(&self) -> MutexGuard<'_, Vec<MemberService>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is kept of a publication; nothing of what may not be published or is no resource of R4.
fn kept_of(member: &MemberName, base: Option<&str>, one: &Publication) -> Option<Resource> {
    let content = one.content.as_ref()?;
    let source = Source {
        member: member.as_str(),
        base,
        id: &one.id,
        version: one.version,
    };
    let parsed = Resource::parse_as(one.resource_type, content, &ParseLimits::default());
    let kept = parsed.and_then(|resource| published(resource, &source, &digest));
    match kept {
        Ok(kept) if is_id(&one.id) => kept,
        Ok(_) | Err(_) => {
            let kind = one.resource_type;
            tracing::warn!(%member, %kind, "what a member publishes is no resource of R4");
            None
        }
    }
}

fn digest(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string()
}

fn node_itself(member: &MemberName) -> Requester {
    Requester {
        member: member.clone(),
        client: CLIENT.to_owned(),
        practitioner: None,
        role: None,
        patient: None,
        related: None,
        emergency: None,
        purpose: "HOPERAT".to_owned(),
        request_id: None,
        reach: Reach::default(),
        trail: Trail::default(),
    }
}
