//! Binaries to which a DocumentReference of the Bundle refers: they are its patient's, and have to be what it says.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha1::{Digest as _, Sha1};

use super::entry::Draft;
use super::{EntryProblem, RefusedEntry};

/// Gives each Binary without a `securityContext` the subject of the DocumentReference that has it as attachment. Senders of
/// documents (IHE MHD, ITI-65) name the patient there alone; without it the Binary would be nobody's.
pub(super) fn protect(drafts: &mut [Draft]) {
    let mut subjects: BTreeMap<String, Value> = BTreeMap::new();
    for draft in &*drafts {
        let Some(resource) = draft.planned.resource.as_ref() else {
            continue;
        };
        let (Some(subject), "DocumentReference") =
            (resource.get("subject"), resource.resource_type().as_str())
        else {
            continue;
        };
        let named = subject.get("reference").and_then(Value::as_str);
        // A patient within the reference is none of the Binary's.
        if named.is_none_or(|named| named.starts_with('#')) {
            continue;
        }
        let content = resource.get("content").and_then(Value::as_array);
        for attached in content.into_iter().flatten() {
            if let Some(url) = attached.pointer("/attachment/url").and_then(Value::as_str) {
                subjects.entry(url.to_owned()).or_insert(subject.clone());
            }
        }
    }
    for draft in drafts {
        let names = names(draft);
        let Some(resource) = draft.planned.resource.as_mut() else {
            continue;
        };
        let is_open = resource.resource_type().as_str() == "Binary"
            && resource.get("securityContext").is_none();
        let subject = names.iter().find_map(|name| subjects.get(name));
        if let (true, Some(subject)) = (is_open, subject) {
            let object = resource.object_mut();
            object.insert("securityContext".to_owned(), subject.clone());
        }
    }
}

/// What an attachment may call the entry.
fn names(draft: &Draft) -> Vec<String> {
    let id = draft.planned.id.as_ref();
    let place = id.map(|id| format!("{}/{id}", draft.planned.resource_type));
    draft.full_url.iter().cloned().chain(place).collect()
}

/// Refuses a DocumentReference that says another size or hash of an attachment than the Binary has that it names. A sender of
/// documents (IHE MHD, ITI-65) has to say what is true; neither has to be there.
pub(super) fn refuse_untrue(drafts: &[Draft], refused: &mut Vec<RefusedEntry>) {
    let mut binaries: BTreeMap<String, &Draft> = BTreeMap::new();
    for draft in drafts {
        if draft.planned.resource_type.as_str() == "Binary" {
            let named = names(draft).into_iter();
            binaries.extend(named.map(|name| (name, draft)));
        }
    }
    for draft in drafts {
        let Some(resource) = draft.planned.resource.as_ref() else {
            continue;
        };
        if resource.resource_type().as_str() != "DocumentReference" {
            continue;
        }
        let content = resource.get("content").and_then(Value::as_array);
        for (place, content) in content.into_iter().flatten().enumerate() {
            let attachment = &content["attachment"];
            let url = attachment["url"].as_str();
            let Some(document) = url.and_then(|url| binaries.get(url)).and_then(bytes) else {
                continue;
            };
            if let Some(element) = untrue(attachment, &document) {
                let path = format!("content[{place}].attachment.{element}");
                refused.push(RefusedEntry {
                    index: draft.planned.index,
                    problem: EntryProblem::AttachmentUntrue { path },
                });
            }
        }
    }
}

/// The element of an attachment that is not true of its document.
fn untrue(attachment: &Value, document: &[u8]) -> Option<&'static str> {
    let size = &attachment["size"];
    if !size.is_null() && size.as_u64() != u64::try_from(document.len()).ok() {
        return Some("size");
    }
    let hash = attachment["hash"].as_str()?;
    (!is_hash(hash, document)).then_some("hash")
}

/// Whether a hash is the SHA-1 of a document: in base64 as R4 has it, or by its digits, which XDS has and of which IHE's own
/// examples have the base64.
fn is_hash(hash: &str, document: &[u8]) -> bool {
    let sum = Sha1::digest(document);
    let mut digits = String::new();
    for byte in sum {
        digits.push_str(&format!("{byte:02x}"));
    }
    let decoded = STANDARD.decode(hash).unwrap_or_default();
    decoded == sum.as_slice()
        || decoded.eq_ignore_ascii_case(digits.as_bytes())
        || hash.eq_ignore_ascii_case(&digits)
}

/// The content of a Binary; what is not base64 is refused elsewhere.
fn bytes(binary: &&Draft) -> Option<Vec<u8>> {
    let resource = binary.planned.resource.as_ref()?;
    let lines = resource.get("data")?.as_str()?.split_ascii_whitespace();
    STANDARD.decode(lines.collect::<String>()).ok()
}
