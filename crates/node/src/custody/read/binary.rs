//! Opening a Binary piece by piece, in constant memory.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use interop::fhir::{ParseLimits, Resource, ResourceType};
use serde_json::{Map, Value, json};
use vault::blob::BlobReader;
use zeroize::Zeroizing;

use super::Loaded;
use crate::custody::read::facts_of;
use crate::custody::request::Requester;
use crate::custody::rows::{Head, Payload};
use crate::custody::{Custody, CustodyError, labelling};

/// A Binary that was opened; its opening is on record.
pub struct OpenedBinary {
    /// The resource without its content.
    pub resource: Resource,
    /// The logical id.
    pub id: String,
    /// The version.
    pub version: u64,
    /// FHIR `meta.lastUpdated`, milliseconds since 1970.
    pub last_updated_ms: u64,
    /// Its security labels, as `system|code`.
    pub labels: Vec<String>,
    /// What the consents cover on which it is disclosed, where the notice goes with it (42 CFR 2.32).
    pub scope: Option<Arc<str>>,
    /// Bytes of the content.
    pub bytes: u64,
    content: Remaining,
}

enum Remaining {
    /// All of it.
    Whole(Option<Vec<u8>>),
    Streamed(Box<Decoder>),
}

/// Base64 in the middle of a blob.
struct Decoder {
    blob: BlobReader,
    /// Clear bytes to pass over.
    skip: u64,
    /// Characters of base64 to come.
    characters: u64,
    /// Up to three characters that wait for a fourth.
    rest: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for OpenedBinary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpenedBinary(..)")
    }
}

impl Custody {
    pub(in crate::custody) async fn open_binary(
        &self,
        by: &Requester,
        id: &str,
        version: Option<u64>,
    ) -> Result<OpenedBinary, CustodyError> {
        let binary = ResourceType::parse("Binary").ok_or(CustodyError::NotFound)?;
        let head = self.known(by, binary, id)?;
        let subject = self.0.subjects.load(&head.subject)?;
        let document = self.0.home.keys.document(&head.resource_type, &head.id);
        let current = self.current(&head)?;
        let wanted = version.unwrap_or(head.version);
        let loaded = self.load(&document, wanted)?;
        let facts = facts_of(&head, (wanted, loaded.as_ref()), &current);
        let interaction = version.map_or("read", |_| "vread");
        let scope = self.admit(by, interaction, &subject, &head, facts).await?;
        if wanted == 0 || wanted > head.version {
            return Err(CustodyError::NotFound);
        }
        let loaded = loaded.ok_or(CustodyError::Gone)?;
        if loaded.row.facts.deleted {
            return Err(CustodyError::Gone);
        }
        let opened = self.content_of(&head, wanted, &loaded).await?;
        Ok(OpenedBinary { scope, ..opened })
    }

    async fn content_of(
        &self,
        head: &Head,
        version: u64,
        loaded: &Loaded,
    ) -> Result<OpenedBinary, CustodyError> {
        let resource = self.open_content(loaded).await?.ok_or(CustodyError::Gone)?;
        let (resource, bytes, content) = match &loaded.row.payload {
            Payload::Streamed {
                locator,
                head,
                bytes,
            } => {
                let decoder = Decoder {
                    blob: self.0.payloads.reader(&loaded.erase, locator).await?,
                    skip: *head,
                    characters: bytes.div_ceil(3).saturating_mul(4),
                    rest: Zeroizing::new(Vec::new()),
                };
                (resource, *bytes, Remaining::Streamed(Box::new(decoder)))
            }
            Payload::None | Payload::Inline(_) | Payload::Blob(_) | Payload::Upstream { .. } => {
                let content = content(&resource)?;
                (
                    resource,
                    content.len() as u64,
                    Remaining::Whole(Some(content)),
                )
            }
        };
        Ok(OpenedBinary {
            resource,
            id: head.id.clone(),
            version,
            last_updated_ms: loaded.row.facts.recorded_at,
            labels: labelling::shown(&loaded.row.facts.disclosure.labels),
            scope: None,
            bytes,
            content,
        })
    }
}

impl OpenedBinary {
    /// The next bytes of the content; `None` after the last, once it is known to be whole.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, CustodyError> {
        match &mut self.content {
            Remaining::Whole(content) => Ok(content.take()),
            Remaining::Streamed(decoder) => decoder.next().await,
        }
    }
}

impl Decoder {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, CustodyError> {
        while let Some(clear) = self.blob.next().await? {
            let skipped = self.skip.min(clear.len() as u64);
            self.skip -= skipped;
            let clear = clear.get(usize::try_from(skipped).unwrap_or(usize::MAX)..);
            let clear = clear.unwrap_or_default();
            let taken = self.characters.min(clear.len() as u64);
            self.characters -= taken;
            let taken = usize::try_from(taken).unwrap_or(usize::MAX);
            self.rest
                .extend_from_slice(clear.get(..taken).unwrap_or_default());
            let complete = self.rest.len() - self.rest.len() % 4;
            if complete > 0 {
                let whole = self.rest.get(..complete).unwrap_or_default();
                let decoded = BASE64_STANDARD.decode(whole).map_err(|_| no_base64())?;
                self.rest.drain(..complete);
                return Ok(Some(decoded));
            }
        }
        if self.characters > 0 || !self.rest.is_empty() {
            return Err(CustodyError::Storage("a payload is too short".to_owned()));
        }
        Ok(None)
    }
}

/// The resource that a streamed Binary is, without its content, and tagged as such.
pub(super) fn without_content(head: &[u8]) -> Result<Resource, CustodyError> {
    let damaged = || CustodyError::Storage("a stored resource does not parse".to_owned());
    let head = head.strip_suffix(b",\"data\":\"").ok_or_else(damaged)?;
    let whole = [head, b"}"].concat();
    let value: Value = serde_json::from_slice(&whole).map_err(|_| damaged())?;
    let Value::Object(elements) = value else {
        return Err(damaged());
    };
    let mut tagged = Map::new();
    for (name, element) in elements {
        let is_id = name == "id";
        tagged.insert(name, element);
        if is_id {
            tagged.insert(
                "meta".to_owned(),
                json!({ "tag": [{
                    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
                    "code": "SUBSETTED",
                }] }),
            );
        }
    }
    let tagged = Value::Object(tagged).to_string();
    Resource::parse(tagged.as_bytes(), &ParseLimits::default()).map_err(|_| damaged())
}

/// What a resource in memory has as its content.
fn content(resource: &Resource) -> Result<Vec<u8>, CustodyError> {
    let data = resource.get("data").and_then(Value::as_str);
    let mut data = data.unwrap_or_default().as_bytes().to_vec();
    // FHIR lets base64 have blanks.
    data.retain(|byte| !byte.is_ascii_whitespace());
    BASE64_STANDARD.decode(data).map_err(|_| no_base64())
}

fn no_base64() -> CustodyError {
    CustodyError::Storage("the content of a Binary is not base64".to_owned())
}
