//! Binaries that are a patient's because a DocumentReference of the Bundle says so.

use std::collections::BTreeMap;

use serde_json::Value;

use super::entry::Draft;

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
