//! The step of an export: patient by patient.

use std::collections::BTreeMap;

use interop::fhir::{Issue, IssueType, OperationOutcome, ResourceType};
use node::custody::{CustodyError, Opened, Selection, ShelfChange};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::job::{ERRORS, ExportRow, Part, Progress, Work, patients, patients_key};
use super::{Desk, asked};

/// Lines that are gathered before they are written.
const GATHERED_BYTES: usize = 1 << 20;

/// Exports patients until there is enough to write, and writes it with how far the job is.
pub(super) async fn step(desk: &Desk, id: Uuid) -> Result<(), CustodyError> {
    let Some(mut job) = desk.jobs.lock().await.get(&id).cloned() else {
        return Ok(());
    };
    let Work::Export(mut export) = job.work.clone() else {
        return Ok(());
    };
    let listed = patients(&desk.custody, id)?;
    let selection = selection(&export)?;
    let by = job.by.requester(&desk.member);
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    let mut gathered = 0_usize;
    let units = export
        .patients
        .saturating_add(u64::from(export.with_directory));
    while export.done < units && gathered < GATHERED_BYTES {
        let at = usize::try_from(export.done).unwrap_or(usize::MAX);
        let patient = listed.get(at).map(String::as_str);
        let exported = desk.custody.export_of(&by, patient, &selection).await;
        match exported {
            Ok(opened) => {
                for one in &opened {
                    gathered = gathered.saturating_add(add(&mut parts, &export.elements, one));
                }
            }
            // Who is named and not here.
            Err(CustodyError::NotFound) => {}
            Err(CustodyError::Storage(_) | CustodyError::DamagedBlob(_)) => {
                tracing::error!("records of a patient cannot be exported: they are damaged");
                let outcome = OperationOutcome::of(Issue::error(
                    IssueType::Exception,
                    "the records of one patient cannot be read",
                ));
                let part = parts.entry(ERRORS.to_owned()).or_default();
                part.add(&outcome.to_value());
            }
            Err(error) => return Err(error),
        }
        export.done = export.done.saturating_add(1);
    }
    let mut writes: Vec<ShelfChange> = Vec::new();
    for (name, part) in parts {
        writes.push(job.append(id, &name, part));
    }
    if export.done >= units {
        job.progress = Progress::Done;
        job.ended_at = desk.now();
        writes.push((patients_key(id), None));
    }
    job.work = Work::Export(export);
    desk.advance(id, job, writes).await?;
    Ok(())
}

fn selection(export: &ExportRow) -> Result<Selection, CustodyError> {
    let unreadable = || CustodyError::Storage("a job asks for what is not known".to_owned());
    let types = export.types.iter().map(|name| ResourceType::parse(name));
    let filters = export.filters.iter().map(|text| asked::query(text));
    Ok(Selection {
        types: types.collect::<Option<_>>().ok_or_else(unreadable)?,
        since_ms: export.since,
        filters: filters.collect::<Option<_>>().ok_or_else(unreadable)?,
    })
}

/// Adds a resource to the result of its type; how many bytes that are.
fn add(parts: &mut BTreeMap<String, Part>, elements: &[String], opened: &Opened) -> usize {
    let kind = opened.resource.resource_type();
    let shown = only_elements(kind, opened.presented(), elements);
    let part = parts.entry(kind.as_str().to_owned()).or_default();
    let before = part.lines.len();
    part.add(&shown);
    part.lines.len().saturating_sub(before)
}

/// `_elements`, of all types or as `Type.element`: these alone, with what every resource needs, and a tag that says so.
fn only_elements(kind: ResourceType, resource: Value, elements: &[String]) -> Value {
    let wanted: Vec<&str> = elements
        .iter()
        .filter_map(|element| match element.split_once('.') {
            Some((of, element)) => (of == kind.as_str()).then_some(element),
            None => Some(element.as_str()),
        })
        .collect();
    let Value::Object(object) = resource else {
        return resource;
    };
    if wanted.is_empty() {
        return object.into();
    }
    let always = ["resourceType", "id", "meta"];
    let mut kept: Map<String, Value> = object
        .into_iter()
        .filter(|(name, _)| {
            let base = name.trim_start_matches('_');
            always.contains(&base) || wanted.contains(&base)
        })
        .collect();
    let subsetted = json!({
        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "code": "SUBSETTED",
    });
    if let Some(Value::Object(meta)) = kept.get_mut("meta") {
        match meta.get_mut("tag") {
            Some(Value::Array(tags)) => tags.push(subsetted),
            _ => {
                meta.insert("tag".to_owned(), json!([subsetted]));
            }
        }
    }
    kept.into()
}
