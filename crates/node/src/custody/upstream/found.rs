//! Versions that are found at the existing server: appended here, in the name of whoever was about to write them, else of
//! nobody.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use interop::fhir::search::IndexTerms;
use interop::fhir::{Checking, Issue, IssueType, ParseLimits, Resource, ResourceType};
use ledger::ids::Digest;
use serde_json::Value;

use super::rows::{
    IntentRow, NewestRow, SetAside, intents_of, know, known_key, newest_key, set_aside_key,
};
use super::server::{Content as Said, Found, Listing};
use super::{UNATTRIBUTED, Upstream, canonical, marked};
use crate::custody::append::{Content, Draft, Precondition};
use crate::custody::keys::EraseKey;
use crate::custody::labelling::Together;
use crate::custody::rows::{DocumentKey, Payload};
use crate::custody::store::{Table, Transaction};
use crate::custody::subject::{Subject, is_taken};
use crate::custody::write::Named;
use crate::custody::{Custody, CustodyError};

/// What came of a version that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was known, or older than what is known.
    Known,
    /// It was appended.
    Appended,
    /// It cannot be recorded, and waits for somebody to look.
    SetAside,
}

/// An intent and its key.
type Intent = (Vec<u8>, IntentRow);

impl Custody {
    /// Takes in a version that was found; nobody else may write the document meanwhile.
    pub(super) async fn take_found(
        &self,
        upstream: &Upstream,
        found: Found,
    ) -> Result<Taken, CustodyError> {
        if found.resource_type == ResourceType::SUBSCRIPTION {
            // It is the server's own affair, and may hold secrets.
            return Ok(Taken::Known);
        }
        let keys = &self.0.home.keys;
        let document = keys.document(found.resource_type.as_str(), &found.id);
        let known = known_key(&document, &found.version_id);
        if self.0.store.get(Table::Upstream, &known)?.is_some() {
            return Ok(Taken::Known);
        }
        let newest = self.newest_upstream(&document)?;
        let head = self.head(found.resource_type, &found.id)?;
        let is_late = newest.is_some_and(|newest| found.at_ms < newest.at);
        let is_deletion = matches!(found.content, Said::Deleted);
        let changes_nothing = is_deletion && head.as_ref().is_none_or(|head| head.deleted);
        if is_late || changes_nothing {
            self.pass_over(&document, &found, is_late).await?;
            return Ok(Taken::Known);
        }
        match self.append_found(upstream, document, &found).await {
            Ok(is_attributed) => {
                if !is_attributed {
                    upstream.unattributed.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Taken::Appended)
            }
            Err(error) if breaks_a_rule(&error) => {
                self.set_aside(&document, &found, error.to_string()).await?;
                Ok(Taken::SetAside)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes in all versions of a document; nobody else may write it meanwhile.
    pub(super) async fn catch_up(
        &self,
        upstream: &Upstream,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<(), CustodyError> {
        let mut listing = Listing::Document {
            resource_type,
            id: id.to_owned(),
        };
        let mut all = Vec::new();
        loop {
            let page = upstream.server.list(&listing).await;
            upstream.note(&page);
            let page = match page {
                Ok(page) => page,
                Err(super::UpstreamError::Missing) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            all.extend(page.found);
            match page.next {
                Some(next) => listing = Listing::Further(next),
                None => break,
            }
        }
        all.retain(|found| found.resource_type == resource_type && found.id == id);
        super::poll::oldest_first(&mut all);
        for found in all {
            self.take_found(upstream, found).await?;
        }
        Ok(())
    }

    /// The newest version that is known of a document at the existing server.
    pub(super) fn newest_upstream(
        &self,
        document: &DocumentKey,
    ) -> Result<Option<NewestRow>, CustodyError> {
        let keys = &self.0.home.keys;
        keys.get(&self.0.store, Table::Upstream, &newest_key(document))
    }

    /// The content of a version that the existing server holds; a consent is kept here as well, for decisions wait for
    /// nobody.
    pub(super) async fn content_there(
        &self,
        resource: &Resource,
        (id, version_id): (&str, &str),
        (subject, erase): (&Subject, &EraseKey),
    ) -> Result<Content, CustodyError> {
        let unsound = || super::write::unsound("a content has no stored form");
        let bytes = canonical::of(resource, id).ok_or_else(unsound)?;
        let digest = Digest::of(&bytes);
        let payload = if resource.resource_type() == ResourceType::CONSENT {
            self.0.payloads.seal(erase, &bytes).await?
        } else {
            Payload::Upstream {
                resource_type: resource.resource_type().as_str().to_owned(),
                id: id.to_owned(),
                version_id: version_id.to_owned(),
                digest,
            }
        };
        let labelled = self.label(resource, subject, &Together::default())?;
        self.described((resource, labelled), (digest, payload), None)
    }

    async fn append_found(
        &self,
        upstream: &Upstream,
        document: DocumentKey,
        found: &Found,
    ) -> Result<bool, CustodyError> {
        let value = said(upstream, found).await?;
        let intent = self.intent_of(&document, value.as_ref())?;
        let named = named(found, value)?;
        let author = intent.as_ref().map(|(_, intent)| intent.author.clone());
        let is_attributed = author.is_some();
        let ownership = self.ownership(std::slice::from_ref(&named))?;
        let subject = ownership.of(&named)?;
        if named.resource.is_some()
            && found.resource_type == ResourceType::CONSENT
            && subject.wallet_key.is_some()
        {
            return Err(CustodyError::ConsentNotSigned);
        }
        let erase = EraseKey::new();
        let content = match named.resource {
            None => None,
            Some(resource) => {
                let place = (found.id.as_str(), found.version_id.as_str());
                let mut content = self
                    .content_there(&resource, place, (&subject, &erase))
                    .await?;
                if !is_attributed && let Some(shown) = marked(resource) {
                    // It is found by the tag that it is shown with.
                    content.terms = IndexTerms::of(&shown);
                    let type_name = found.resource_type.as_str();
                    content.postings = self.0.home.keys.postings(type_name, &content.terms);
                }
                Some(content)
            }
        };
        let draft = Draft {
            subject: Arc::clone(&subject),
            document,
            resource_type: found.resource_type,
            id: found.id.clone(),
            precondition: Precondition::Current(None),
            audit: self.change_found(author.as_deref().unwrap_or(UNATTRIBUTED)),
            author: author.unwrap_or_else(|| UNATTRIBUTED.to_owned()),
            content,
            erases: false,
            erase,
        };
        let home = self.0.home.clone();
        let now = (self.0.options.clock)();
        let (version_id, at) = (found.version_id.clone(), found.at_ms);
        let intent = intent.map(|(key, _)| key);
        let append = move |transaction: &mut Transaction<'_>| {
            for (patient_id, subject) in &ownership.arriving {
                if !is_taken(&home.keys, transaction, patient_id)? {
                    subject.put(&home.keys, transaction);
                }
            }
            let written = home.append(transaction, draft, now)?;
            let place = (Some(version_id.as_str()), at);
            know(&home.keys, transaction, &document, place, written.version);
            if let Some(key) = intent {
                transaction.remove(Table::Upstream, &key);
            }
            Ok(())
        };
        self.0.store.transact(append).await?;
        if found.resource_type == ResourceType::CONSENT {
            self.0.rulings.forget(&subject.id);
        }
        Ok(is_attributed)
    }

    /// The intent that a version fulfils.
    fn intent_of(
        &self,
        document: &DocumentKey,
        content: Option<&Value>,
    ) -> Result<Option<Intent>, CustodyError> {
        let likeness = content.map(canonical::likeness);
        let keys = &self.0.home.keys;
        for row in self.0.store.scan(Table::Upstream, &intents_of(document)) {
            let (key, row) = row?;
            let intent: IntentRow = keys.open_row(Table::Upstream, &key, &row)?;
            if intent.likeness == likeness {
                return Ok(Some((key, intent)));
            }
        }
        Ok(None)
    }

    async fn pass_over(
        &self,
        document: &DocumentKey,
        found: &Found,
        is_late: bool,
    ) -> Result<(), CustodyError> {
        let key = known_key(document, &found.version_id);
        let aside = set_aside_key(document, &found.version_id);
        let newest = NewestRow {
            version_id: Some(found.version_id.clone()),
            at: found.at_ms,
        };
        let (home, document) = (self.0.home.clone(), *document);
        self.0
            .store
            .transact(move |transaction| {
                transaction.put(Table::Upstream, &key, 0_u64.to_be_bytes().to_vec());
                transaction.remove(Table::Upstream, &aside);
                if !is_late {
                    let newest_key = newest_key(&document);
                    home.keys
                        .put(transaction, Table::Upstream, &newest_key, &newest);
                }
                Ok(())
            })
            .await
    }

    async fn set_aside(
        &self,
        document: &DocumentKey,
        found: &Found,
        reason: String,
    ) -> Result<(), CustodyError> {
        let key = set_aside_key(document, &found.version_id);
        if self.0.store.get(Table::Upstream, &key)?.is_none() {
            tracing::warn!(
                resource_type = %found.resource_type, reason,
                "a version of the existing server cannot be recorded: it is set aside"
            );
        }
        let row = SetAside {
            resource_type: found.resource_type.as_str().to_owned(),
            id: found.id.clone(),
            version_id: found.version_id.clone(),
            at_ms: found.at_ms,
            reason,
        };
        let home = self.0.home.clone();
        self.0
            .store
            .transact(move |transaction| {
                home.keys.put(transaction, Table::Upstream, &key, &row);
                Ok(())
            })
            .await
    }
}

/// What a version says; `None` if it deletes its document.
async fn said(upstream: &Upstream, found: &Found) -> Result<Option<Value>, CustodyError> {
    match &found.content {
        Said::Is(value) => Ok(Some(value.clone())),
        Said::NotLoaded => {
            let (id, version_id) = (&found.id, &found.version_id);
            let server = &upstream.server;
            let answer = server.version(found.resource_type, id, version_id).await;
            upstream.note(&answer);
            Ok(Some(answer?))
        }
        Said::Deleted => Ok(None),
    }
}

fn named(found: &Found, value: Option<Value>) -> Result<Named, CustodyError> {
    let unsound = |what: &str| CustodyError::Invalid(Issue::error(IssueType::Structure, what));
    let resource = match value {
        None => None,
        Some(value) => {
            let (resource, _) = Resource::from_value_noting(value, Checking::Lenient)
                .map_err(|_| unsound("the resource breaks the structure of its type"))?;
            let depth = ParseLimits::default().depth_max;
            if resource
                .object()
                .values()
                .any(|value| is_deeper(value, depth))
            {
                return Err(unsound("the nesting is too deep"));
            }
            Some(resource)
        }
    };
    let is_it = |resource: &Resource| {
        resource.resource_type() == found.resource_type && resource.id() == Some(&found.id)
    };
    if !resource.as_ref().is_none_or(is_it) {
        return Err(unsound("the resource has another type or id"));
    }
    Ok(Named {
        resource_type: found.resource_type,
        id: found.id.clone(),
        precondition: Precondition::Current(None),
        resource,
        signed: None,
        by_node: false,
    })
}

fn is_deeper(value: &Value, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else {
        return true;
    };
    match value {
        Value::Object(object) => object.values().any(|value| is_deeper(value, below)),
        Value::Array(list) => list.iter().any(|value| is_deeper(value, below)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Whether it is the version's own fault that it cannot be recorded.
fn breaks_a_rule(error: &CustodyError) -> bool {
    match error {
        CustodyError::NotFound
        | CustodyError::UnknownPatient
        | CustodyError::RefusedConsent { .. }
        | CustodyError::ConsentNotSigned
        | CustodyError::Invalid(_)
        | CustodyError::Diverged
        | CustodyError::RefusedUpstream { .. }
        | CustodyError::PreconditionFailed => true,
        CustodyError::Gone
        | CustodyError::Deleted { .. }
        | CustodyError::Denied { .. }
        | CustodyError::VersionConflict { .. }
        | CustodyError::Exists
        | CustodyError::Held { .. }
        | CustodyError::Retained { .. }
        | CustodyError::Overtaken
        | CustodyError::Unavailable { .. }
        | CustodyError::DamagedBlob(_)
        | CustodyError::DiskFull
        | CustodyError::Storage(_) => false,
    }
}
