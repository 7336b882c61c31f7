//! Writing through: what may be written goes to the existing server, then what the server made of it is appended here.

use std::sync::Arc;

use interop::fhir::compartment::belonging;
use interop::fhir::labels::labels_of;
use interop::fhir::{Checking, IssueType, Resource, ResourceType};

use super::rows::{IntentRow, intent_key, know};
use super::server::{Listing, Outgoing, Stored, UpstreamError};
use super::{Upstream, canonical};
use crate::custody::append::{Draft, Precondition};
use crate::custody::filing::Sources;
use crate::custody::keys::EraseKey;
use crate::custody::labelling::Together;
use crate::custody::request::{Requester, Written};
use crate::custody::rows::{DocumentKey, SubjectId};
use crate::custody::store::Table;
use crate::custody::subject::{Subject, is_taken};
use crate::custody::write::{Named, Ownership, in_place, invalid};
use crate::custody::{Custody, CustodyError};

/// A change that was admitted.
struct Admitted {
    change: Named,
    document: DocumentKey,
    subject: Arc<Subject>,
    /// What the existing server is sent; `None` if the change stays here.
    outgoing: Option<Outgoing>,
}

/// A draft, and what the existing server calls it.
struct Ready {
    draft: Draft,
    document: DocumentKey,
    there: Option<(Option<String>, u64)>,
    stored: Option<Resource>,
}

impl Custody {
    /// Makes changes at the existing server and appends them here. It goes on when whoever asked has gone.
    pub(in crate::custody) async fn write_through(
        &self,
        by: &Requester,
        changes: Vec<Named>,
    ) -> Result<Vec<Written>, CustodyError> {
        let (custody, by) = (self.clone(), by.clone());
        let writing = tokio::spawn(async move { custody.pass(&by, changes).await });
        writing.await.unwrap_or_else(|error| {
            let message = format!("a write to the existing server ended: {error}");
            Err(CustodyError::Storage(message))
        })
    }

    async fn pass(
        &self,
        by: &Requester,
        changes: Vec<Named>,
    ) -> Result<Vec<Written>, CustodyError> {
        let Some(upstream) = self.0.payloads.upstream() else {
            return Err(unsound("there is no existing server"));
        };
        let documents: Vec<DocumentKey> = changes
            .iter()
            .map(|change| self.document_of(change))
            .collect();
        let guards = upstream.hold(documents.into_iter()).await;
        for change in &changes {
            // What stands there already is not to be written over unseen.
            let is_known = self.head(change.resource_type, &change.id)?.is_some();
            if !is_known && change.precondition != Precondition::New && change.signed.is_none() {
                self.catch_up(upstream, change.resource_type, &change.id)
                    .await?;
            }
        }
        let (mut changes, absent) = self.without_absent(changes)?;
        for change in &mut changes {
            self.check_filing(change).await?;
        }
        let sources = Sources::of(&changes);
        let (mut admitted, mut ownership) = self.admit_changes(by, changes)?;
        for one in &admitted {
            if !ownership.arrives(&one.subject) {
                let place = (&one.change, &sources);
                self.must_be_consented(by, place, &one.subject, &Together::default())
                    .await?;
            }
        }
        let mut intents = self.intend(by, &admitted).await?;
        let mut answer = send(upstream, &admitted).await;
        if matches!(answer, Err(UpstreamError::Overtaken)) {
            self.give_up(&intents).await?;
            for one in admitted.iter().filter(|one| one.outgoing.is_some()) {
                let change = &one.change;
                self.catch_up(upstream, change.resource_type, &change.id)
                    .await?;
            }
            // A change that names no version is for whichever is current; the others are refused now.
            let changes = admitted.into_iter().map(|one| one.change).collect();
            (admitted, ownership) = self.admit_changes(by, changes)?;
            intents = self.intend(by, &admitted).await?;
            answer = send(upstream, &admitted).await;
        }
        upstream.note(&answer);
        let stored = match answer {
            Ok(stored) => stored,
            Err(error) => {
                // What may have been written is found later, and is theirs.
                if error != UpstreamError::OutcomeUnknown {
                    self.give_up(&intents).await?;
                }
                upstream.wake.notify_one();
                return Err(error.into());
            }
        };
        let written = self
            .append_passed(upstream, by, admitted, (stored, ownership, intents))
            .await;
        if written.is_err() {
            upstream.wake.notify_one();
        }
        drop(guards);
        Ok(in_place(written?, absent))
    }

    /// Whether everything that the writer's thread will ask holds already: what is refused here must not be there.
    fn admit_changes(
        &self,
        by: &Requester,
        changes: Vec<Named>,
    ) -> Result<(Vec<Admitted>, Ownership), CustodyError> {
        let ownership = self.ownership(&changes)?;
        let sources = Sources::of(&changes);
        let mut admitted = Vec::with_capacity(changes.len());
        for change in changes {
            let subject = ownership.of(&change)?;
            self.authorize(by, (&change, &sources), &subject)?;
            let head = self.head(change.resource_type, &change.id)?;
            let place = (change.precondition, change.resource.is_some());
            crate::custody::append::admit(place, subject.id, head.as_ref())?;
            if let Some(resource) = &change.resource {
                let labelled = self.label(resource, &subject, &Together::default())?;
                self.place(resource, &labelled)?;
            }
            let document = self.document_of(&change);
            let is_gone = change.resource.is_none() && head.is_some_and(|head| head.deleted);
            let stays = self.stays_here(&change, &subject) || is_gone;
            let outgoing = if stays {
                None
            } else {
                Some(self.outgoing(&change, &document)?)
            };
            admitted.push(Admitted {
                change,
                document,
                subject,
                outgoing,
            });
        }
        Ok((admitted, ownership))
    }

    /// A consent that a wallet signed stays here, with the exact bytes.
    fn stays_here(&self, change: &Named, subject: &Subject) -> bool {
        let is_signed = change.signed.is_some() || subject.wallet_key.is_some();
        change.resource_type == ResourceType::CONSENT && is_signed
    }

    fn outgoing(&self, change: &Named, document: &DocumentKey) -> Result<Outgoing, CustodyError> {
        let content = match &change.resource {
            None => None,
            Some(resource) => {
                let content = canonical::outgoing(resource, &change.id);
                Some(content.ok_or_else(|| unsound("a content has no stored form"))?)
            }
        };
        let head = self.head(change.resource_type, &change.id)?;
        let is_there = head.is_some_and(|head| !head.deleted);
        let newest = self.newest_upstream(document)?.filter(|_| is_there);
        Ok(Outgoing {
            resource_type: change.resource_type,
            id: change.id.clone(),
            if_match: newest.and_then(|newest| newest.version_id),
            content,
        })
    }

    /// Puts down durably on whose behalf changes are about to be made.
    async fn intend(
        &self,
        by: &Requester,
        admitted: &[Admitted],
    ) -> Result<Vec<Vec<u8>>, CustodyError> {
        let at = (self.0.options.clock)();
        let intents: Vec<(Vec<u8>, IntentRow)> = admitted
            .iter()
            .filter_map(|one| Some((one.document, one.outgoing.as_ref()?)))
            .map(|(document, outgoing)| {
                let row = IntentRow {
                    author: by.principal(),
                    likeness: outgoing.content.as_ref().map(canonical::likeness),
                    at,
                };
                (intent_key(&document), row)
            })
            .collect();
        let keys = intents.iter().map(|(key, _)| key.clone()).collect();
        if intents.is_empty() {
            return Ok(keys);
        }
        let home = self.0.home.clone();
        self.0
            .store
            .transact(move |transaction| {
                for (key, row) in &intents {
                    home.keys.put(transaction, Table::Upstream, key, row);
                }
                Ok(())
            })
            .await?;
        Ok(keys)
    }

    async fn give_up(&self, intents: &[Vec<u8>]) -> Result<(), CustodyError> {
        if intents.is_empty() {
            return Ok(());
        }
        let intents = intents.to_vec();
        self.0
            .store
            .transact(move |transaction| {
                for key in &intents {
                    transaction.remove(Table::Upstream, key);
                }
                Ok(())
            })
            .await
    }

    async fn append_passed(
        &self,
        upstream: &Upstream,
        by: &Requester,
        admitted: Vec<Admitted>,
        (stored, ownership, intents): (Vec<Stored>, Ownership, Vec<Vec<u8>>),
    ) -> Result<Vec<Written>, CustodyError> {
        let mut stored = stored.into_iter();
        let mut ready = Vec::with_capacity(admitted.len());
        let mut consenting: Vec<SubjectId> = Vec::new();
        for one in admitted {
            if one.change.resource_type == ResourceType::CONSENT {
                consenting.push(one.subject.id);
            }
            ready.push(match one.outgoing {
                None => self.ready_here(by, one).await?,
                Some(_) => {
                    let stored = stored.next();
                    let stored = stored.ok_or_else(|| unsound("an answer is missing"))?;
                    self.ready_there(upstream, by, one, stored).await?
                }
            });
        }
        let home = self.0.home.clone();
        let now = (self.0.options.clock)();
        let written = self
            .0
            .store
            .transact(move |transaction| {
                for (patient_id, subject) in &ownership.arriving {
                    if is_taken(&home.keys, transaction, patient_id)? {
                        let message = "the patient arrived meanwhile";
                        return Err(invalid(IssueType::Conflict, message));
                    }
                    subject.put(&home.keys, transaction);
                }
                let mut written = Vec::with_capacity(ready.len());
                for one in ready {
                    let mut appended = home.append(transaction, one.draft, now)?;
                    if let Some((version_id, at)) = &one.there {
                        let place = (version_id.as_deref(), *at);
                        know(
                            &home.keys,
                            transaction,
                            &one.document,
                            place,
                            appended.version,
                        );
                    }
                    appended.stored = one.stored;
                    written.push(appended);
                }
                for key in &intents {
                    transaction.remove(Table::Upstream, key);
                }
                Ok(written)
            })
            .await?;
        for subject in &consenting {
            self.0.rulings.forget(subject);
        }
        Ok(written)
    }

    async fn ready_here(&self, by: &Requester, one: Admitted) -> Result<Ready, CustodyError> {
        Ok(Ready {
            draft: self
                .draft(by, one.change, one.subject, &Together::default())
                .await?,
            document: one.document,
            there: None,
            stored: None,
        })
    }

    /// A draft of what the existing server has made of a change.
    async fn ready_there(
        &self,
        upstream: &Upstream,
        by: &Requester,
        one: Admitted,
        stored: Stored,
    ) -> Result<Ready, CustodyError> {
        let Admitted {
            change,
            document,
            subject,
            ..
        } = one;
        let erase = EraseKey::new();
        let mut shown = None;
        let (content, there) = match (&change.resource, stored.content) {
            (None, _) => {
                let place = (change.resource_type, change.id.as_str());
                let named = (stored.version_id, stored.at_ms);
                (None, deletion_of(upstream, place, named).await)
            }
            (Some(_), Some(value)) => {
                let resource = as_stored(&change, value)?;
                let version_id = stored.version_id;
                let named = version_id.as_deref();
                let named = named.ok_or_else(|| unsound("a version has no name"))?;
                let place = (change.id.as_str(), named);
                let content = self
                    .content_there(&resource, place, (&subject, &erase))
                    .await?;
                shown = Some(resource);
                (Some(content), (version_id, stored.at_ms))
            }
            (Some(_), None) => return Err(unsound("a version has no content")),
        };
        let draft = Draft {
            subject,
            document,
            resource_type: change.resource_type,
            id: change.id,
            precondition: change.precondition,
            author: by.principal(),
            audit: self.change_by(by),
            content,
            erases: false,
            erase,
        };
        Ok(Ready {
            draft,
            document,
            there: Some(there),
            stored: shown,
        })
    }

    fn document_of(&self, change: &Named) -> DocumentKey {
        let keys = &self.0.home.keys;
        keys.document(change.resource_type.as_str(), &change.id)
    }
}

/// What the existing server made of a resource, which must still be the same patient's and no less protected.
fn as_stored(change: &Named, value: serde_json::Value) -> Result<Resource, CustodyError> {
    let (resource, _) = Resource::from_value_noting(value, Checking::Lenient)
        .map_err(|_| unsound("a resource breaks the structure of its type"))?;
    if resource.resource_type() != change.resource_type || resource.id() != Some(&change.id) {
        return Err(unsound("a resource has another type or id"));
    }
    let sent = change.resource.as_ref();
    if sent.is_some_and(|sent| !labels_of(sent).is_subset(&labels_of(&resource))) {
        return Err(unsound("a resource has lost security labels"));
    }
    if sent.is_some_and(|sent| belonging(sent) != belonging(&resource)) {
        return Err(unsound("a resource belongs to another patient"));
    }
    Ok(resource)
}

async fn send(upstream: &Upstream, admitted: &[Admitted]) -> Result<Vec<Stored>, UpstreamError> {
    let outgoing: Vec<Outgoing> = admitted
        .iter()
        .filter_map(|one| one.outgoing.clone())
        .collect();
    if outgoing.is_empty() {
        return Ok(Vec::new());
    }
    upstream.server.write(&outgoing).await
}

/// What the existing server calls the deletion that it has just made, and when it was; as far as it says.
pub(super) async fn deletion_of(
    upstream: &Upstream,
    (resource_type, id): (ResourceType, &str),
    (version_id, at_ms): (Option<String>, u64),
) -> (Option<String>, u64) {
    if version_id.is_some() && at_ms > 0 {
        return (version_id, at_ms);
    }
    let listing = Listing::Document {
        resource_type,
        id: id.to_owned(),
    };
    let page = upstream.server.list(&listing).await.unwrap_or_default();
    let deleted = page
        .found
        .into_iter()
        .filter(|found| matches!(found.content, super::Content::Deleted));
    match deleted.max_by_key(|found| found.at_ms) {
        Some(newest) => (Some(newest.version_id), newest.at_ms),
        None => (version_id, at_ms),
    }
}

/// The existing server did what it was not asked.
pub(super) fn unsound(what: &'static str) -> CustodyError {
    UpstreamError::Unsound(what).into()
}
