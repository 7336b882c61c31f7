//! References between the entries of a Bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use serde_json::Value;

use super::entry::Draft;
use super::{EntryProblem, Pending, PlannedEntry, links};
use crate::fhir::reference::{self, Target};

/// From `fullUrl` to `Type/id`.
pub(super) fn targets(drafts: &[Draft]) -> BTreeMap<String, String> {
    drafts
        .iter()
        .filter_map(|draft| {
            let (url, id) = (draft.full_url.clone()?, draft.planned.id.as_deref()?);
            Some((url, format!("{}/{id}", draft.planned.resource_type)))
        })
        .collect()
}

/// Replaces references to entries; refuses a URN that names none.
pub(super) fn resolve(
    draft: &mut Draft,
    targets: &BTreeMap<String, String>,
) -> Result<(), EntryProblem> {
    // A relative reference is relative to the server that the fullUrl is on.
    let base = draft
        .full_url
        .as_deref()
        .filter(|url| url.starts_with("http"))
        .and_then(|url| {
            let (without_id, _) = url.rsplit_once('/')?;
            Some(without_id.rsplit_once('/')?.0.to_owned())
        });
    let Some(resource) = draft.planned.resource.as_mut() else {
        return Ok(());
    };
    reference::rewrite(resource, |path, object| {
        let Some(Value::String(text)) = object.get_mut("reference") else {
            return Ok(());
        };
        let found = match Target::parse(text) {
            Target::Absolute(url, _) => targets.get(url),
            Target::Relative(_) => base
                .as_ref()
                .and_then(|base| targets.get(&format!("{base}/{text}"))),
            Target::Urn(urn) => {
                Some(
                    targets
                        .get(urn)
                        .ok_or_else(|| EntryProblem::ReferenceUnresolved {
                            path: path.to_string(),
                        })?,
                )
            }
            _ => None,
        };
        if let Some(found) = found {
            *text = found.clone();
        }
        Ok(())
    })?;
    links::rewrite(resource, |link| {
        // A URL here may be a canonical one, which stays what it is; a URN of an entry means that entry.
        link.starts_with("urn:")
            .then(|| targets.get(link).cloned())?
    });
    Ok(())
}

/// The conditional references in the plan, each once.
pub(super) fn conditional(entries: &[PlannedEntry]) -> Vec<Pending> {
    let mut seen = BTreeSet::new();
    let mut pending = Vec::new();
    for entry in entries {
        let Some(resource) = &entry.resource else {
            continue;
        };
        reference::walk(resource, |found| {
            if let Some(Target::Conditional(resource_type, query)) = found.target()
                && seen.insert((resource_type, query.to_owned()))
            {
                let (index, query) = (entry.index, query.to_owned());
                pending.push(Pending::Reference {
                    index,
                    resource_type,
                    query,
                });
            }
        });
    }
    pending
}

/// Replaces the text of references throughout.
pub(super) fn replace(entries: &mut [PlannedEntry], from: &str, to: &str) {
    for resource in entries
        .iter_mut()
        .filter_map(|entry| entry.resource.as_mut())
    {
        let Ok(()) = reference::rewrite(resource, |_, object| {
            if let Some(Value::String(text)) = object.get_mut("reference")
                && text == from
            {
                to.clone_into(text);
            }
            Ok::<(), Infallible>(())
        });
        links::rewrite(resource, |link| (link == from).then(|| to.to_owned()));
    }
}
