//! Referenced data: documents that a rule names, and those that have to do with what it names.

use serde_json::Value;

/// One element `data`. References are those of the member through which the consent was filed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// How documents have to do with what is referred to.
    pub meaning: Meaning,
    /// `Type/id`, or `system|value` of an identifier.
    pub reference: String,
}

/// R4 value set consent-data-meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The document itself.
    Instance,
    /// The document itself, and those that refer to it.
    Dependents,
    /// Those of which it is the author.
    AuthoredBy,
}

/// What documents are made within, so that "related" to it is to refer to it (IHE PCF).
const WITHIN: [&str; 3] = ["CarePlan", "Encounter", "EpisodeOfCare"];

pub(super) fn read(data: &Value) -> Option<Data> {
    let is_known = |element: &String| matches!(element.as_str(), "id" | "meaning" | "reference");
    if !data.as_object()?.keys().all(is_known) {
        return None;
    }
    let reference = data.get("reference")?;
    let local = local(reference);
    let is_within = || {
        let kind = local.as_ref().and_then(|text| text.split_once('/'));
        kind.is_some_and(|(kind, _)| WITHIN.contains(&kind))
    };
    let meaning = match data.get("meaning")?.as_str()? {
        "instance" if local.is_some() => Meaning::Instance,
        "dependents" if local.is_some() => Meaning::Dependents,
        // What something else refers to cannot be told from the document that is asked for.
        "related" if is_within() => Meaning::Dependents,
        "authoredby" => Meaning::AuthoredBy,
        _ => return None,
    };
    let reference = match local {
        Some(local) => local,
        None => identified(reference)?,
    };
    Some(Data { meaning, reference })
}

fn local(reference: &Value) -> Option<String> {
    let text = reference.get("reference")?.as_str()?;
    let (kind, id) = text.split_once('/')?;
    let is_kind = kind.starts_with(|c: char| c.is_ascii_uppercase())
        && kind.chars().all(|c| c.is_ascii_alphabetic());
    let is_id = !id.is_empty()
        && id
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    // Two names may be of two.
    (is_kind && is_id && reference.get("identifier").is_none()).then(|| text.to_owned())
}

fn identified(reference: &Value) -> Option<String> {
    if reference.get("reference").is_some() {
        return None;
    }
    let identifier = reference.get("identifier")?;
    let (system, value) = (
        identifier.get("system")?.as_str()?,
        identifier.get("value")?.as_str()?,
    );
    Some(format!("{system}|{value}"))
}
