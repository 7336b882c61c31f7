//! A Binary whose content arrives piece by piece: stored as the JSON that it would be, in constant memory.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use interop::fhir::audit::AuditEntry;
use interop::fhir::disclosure::DisclosureFacts;
use interop::fhir::{IssueType, Resource, ResourceType};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Named, fresh_id, invalid, unsound};
use crate::custody::append::{Content, Draft, Precondition};
use crate::custody::filing::Sources;
use crate::custody::keys::EraseKey;
use crate::custody::labelling::Together;
use crate::custody::payload::{PayloadWriter, UnderWay};
use crate::custody::request::{Requester, Written};
use crate::custody::rows::Payload;
use crate::custody::subject::Subject;
use crate::custody::{Custody, CustodyError};

/// The longest content. Its upload has parts of five megabytes, of which a bucket takes ten thousand.
const BYTES_MAX: u64 = 16 << 30;
/// What is encoded at once, in bytes of the content: a multiple of three.
const PIECE_BYTES: usize = 192 << 10;
/// Content that stands where the true one will.
const STAND_IN: &[u8] = &[0; 3];

/// A Binary that is about to arrive.
#[derive(Clone)]
pub struct BinaryDraft {
    /// The media type of the content.
    pub content_type: String,
    /// Whose access rules it follows, as `Type/id`.
    pub security_context: Option<String>,
    /// The id, when a Binary of this id is to have a new version.
    pub id: Option<String>,
    /// The version that must be current.
    pub if_match: Option<u64>,
}

/// A Binary that is arriving. Dropped before [`BinaryUpload::finish`], nothing of it remains.
pub struct BinaryUpload {
    custody: Custody,
    change: Named,
    resource: Resource,
    subject: Arc<Subject>,
    author: String,
    audit: AuditEntry,
    erase: EraseKey,
    writer: PayloadWriter,
    under_way: UnderWay,
    head: u64,
    /// Up to two bytes that wait for a third.
    rest: Zeroizing<Vec<u8>>,
    bytes: u64,
}

impl std::fmt::Debug for BinaryDraft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BinaryDraft(..)")
    }
}

impl std::fmt::Debug for BinaryUpload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BinaryUpload(..)")
    }
}

impl Custody {
    pub(in crate::custody) async fn begin_upload(
        &self,
        by: &Requester,
        draft: BinaryDraft,
    ) -> Result<BinaryUpload, CustodyError> {
        if self.0.payloads.upstream().is_some() {
            return Err(invalid(
                IssueType::NotSupported,
                "the existing server takes a Binary of up to 256 KiB, or as a resource in JSON",
            ));
        }
        let precondition = match &draft.id {
            Some(_) => Precondition::Current(draft.if_match),
            None => Precondition::New,
        };
        let resource = draft.resource(STAND_IN)?;
        let change = Named {
            resource_type: resource.resource_type(),
            id: draft.id.unwrap_or_else(fresh_id),
            precondition,
            resource: Some(resource.clone()),
            signed: None,
            by_node: false,
        };
        let subject = {
            let changes = std::slice::from_ref(&change);
            self.ownership(changes)?.of(&change)?
        };
        let none = Sources::of(&[]);
        self.authorize(by, (&change, &none), &subject)?;
        self.must_be_consented(by, (&change, &none), &subject, &Together::default())
            .await?;
        self.check_early(&change)?;
        let stored = resource
            .stored(&change.id)
            .map_err(|error| unsound(&error))?;
        let end = format!("{}\"}}", BASE64_STANDARD.encode(STAND_IN));
        // INVARIANT: the content is the last element, as it was given.
        let head = stored.strip_suffix(end.as_bytes()).ok_or_else(|| {
            CustodyError::Storage("a Binary does not end with its content".to_owned())
        })?;
        let erase = EraseKey::new();
        let (mut writer, under_way) = self.0.payloads.writer(&erase).await?;
        writer.write(head).await?;
        Ok(BinaryUpload {
            custody: self.clone(),
            head: writer.bytes(),
            change,
            resource,
            subject,
            author: by.principal(),
            audit: self.change_by(by),
            erase,
            writer,
            under_way,
            rest: Zeroizing::new(Vec::with_capacity(PIECE_BYTES)),
            bytes: 0,
        })
    }
}

impl Custody {
    /// What cannot be written is not to be uploaded first; what counts is decided again when the version is appended.
    fn check_early(&self, change: &Named) -> Result<(), CustodyError> {
        let Precondition::Current(Some(expected)) = change.precondition else {
            return Ok(());
        };
        match self.head(change.resource_type, &change.id)? {
            Some(head) if head.version == expected => Ok(()),
            Some(head) => Err(CustodyError::VersionConflict {
                current: head.version,
            }),
            None => Err(CustodyError::PreconditionFailed),
        }
    }
}

impl BinaryDraft {
    /// The resource with a content that is in memory; the id is not in it.
    pub fn resource(&self, content: &[u8]) -> Result<Resource, CustodyError> {
        let mut binary = json!({ "resourceType": "Binary", "contentType": self.content_type });
        if let Some(reference) = &self.security_context {
            binary["securityContext"] = json!({ "reference": reference });
        }
        // FHIR has no empty values.
        if !content.is_empty() {
            binary["data"] = Value::from(BASE64_STANDARD.encode(content));
        }
        Resource::from_value(binary).map_err(|error| unsound(&error))
    }
}

impl BinaryUpload {
    /// Takes the next bytes of the content.
    pub async fn write(&mut self, mut content: &[u8]) -> Result<(), CustodyError> {
        self.bytes = self.bytes.saturating_add(content.len() as u64);
        if self.bytes > BYTES_MAX {
            return Err(invalid(IssueType::TooLong, "a Binary is at most 16 GiB"));
        }
        while !content.is_empty() {
            let room = PIECE_BYTES.saturating_sub(self.rest.len());
            let (head, tail) = content.split_at(room.min(content.len()));
            self.rest.extend_from_slice(head);
            content = tail;
            if self.rest.len() == PIECE_BYTES {
                self.encode().await?;
            }
        }
        Ok(())
    }

    /// Appends the version; it is durable when this returns.
    pub async fn finish(mut self) -> Result<Written, CustodyError> {
        self.encode().await?;
        self.writer.write(b"\"}").await?;
        let (locator, digest) = self.writer.finish().await?;
        let together = Together::default();
        let labelled = self
            .custody
            .label(&self.resource, &self.subject, &together)?;
        let branch = self.custody.place(&self.resource, &labelled)?;
        let terms = self.custody.terms_of(&self.resource);
        let home = self.custody.0.home.clone();
        let resource_type: ResourceType = self.change.resource_type;
        let postings = home.keys.postings(resource_type.as_str(), &terms);
        let content = Content {
            digest,
            postings,
            payload: Payload::Streamed {
                locator,
                head: self.head,
                bytes: self.bytes,
            },
            terms,
            disclosure: DisclosureFacts {
                labels: labelled.codes(),
                ..DisclosureFacts::of(&self.resource)
            },
            labels: labelled.coded(),
            labelling: labelled.row,
            branch,
            signed: None,
            duty: None,
        };
        let draft = Draft {
            subject: self.subject,
            document: home.keys.document(resource_type.as_str(), &self.change.id),
            resource_type,
            id: self.change.id,
            precondition: self.change.precondition,
            author: self.author,
            audit: self.audit,
            content: Some(content),
            erases: false,
            erase: self.erase,
        };
        let now = (self.custody.0.options.clock)();
        let store = &self.custody.0.store;
        let written = store
            .transact(move |transaction| home.append(transaction, draft, now))
            .await;
        drop(self.under_way);
        written
    }

    async fn encode(&mut self) -> Result<(), CustodyError> {
        let encoded = Zeroizing::new(BASE64_STANDARD.encode(&*self.rest));
        self.rest.clear();
        self.writer.write(encoded.as_bytes()).await
    }
}
