//! What was filed for a patient before they were merged, and what a message says of it now (R6).

use serde_json::{Value, json};

use super::{OnRecord, SHARED};
use crate::fhir::ResourceType;
use crate::hl7v2::map::Mapped;

/// An entry of a message that may be on record under one of several merged patients.
pub struct Earlier {
    /// Its place in the Bundle.
    entry: usize,
    /// Its type.
    pub resource_type: ResourceType,
    /// The search that finds it, among all patients.
    query: String,
    /// Whose it may be, by id: the survivor first.
    pub patients: Vec<String>,
}

/// Where an entry is on record.
pub(super) struct Filed {
    entry: usize,
    patient: String,
    id: String,
    version: u64,
}

impl std::fmt::Debug for Earlier {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Earlier({}, {}, ..)", self.entry, self.resource_type)
    }
}

impl Earlier {
    /// The search among one patient's records.
    pub fn query(&self, patient: &str) -> String {
        format!("{}&patient={patient}", self.query)
    }
}

impl Mapped {
    /// What the message speaks of that may be on record under whom its patient absorbed; nothing if they absorbed nobody.
    pub fn earlier(&self, record: &OnRecord) -> Vec<Earlier> {
        let entries = self.bundle["entry"].as_array();
        let own = entries.into_iter().flatten().find_map(super::identifier);
        let holder = own.and_then(|own| record.holder(&own).ok().flatten());
        let Some(survivor) = holder.map(|holder| record.survivor(&holder)) else {
            return Vec::new();
        };
        let absorbed = record.absorbed_by(&survivor);
        if absorbed.is_empty() {
            return Vec::new();
        }
        let patients: Vec<String> = std::iter::once(survivor).chain(absorbed).collect();
        let entries = entries.into_iter().flatten().enumerate();
        let earlier = entries.filter_map(|(entry, one)| {
            let kind = one["resource"]["resourceType"].as_str()?;
            let query = query_of(&one["request"]).filter(|_| !SHARED.contains(&kind))?;
            Some(Earlier {
                entry,
                resource_type: ResourceType::parse(kind)?,
                query: query.to_owned(),
                patients: patients.clone(),
            })
        });
        earlier.collect()
    }
}

/// The condition of a conditional create or update.
fn query_of(request: &Value) -> Option<&str> {
    let url = request["url"].as_str().and_then(|url| url.split_once('?'));
    request["ifNoneExist"]
        .as_str()
        .or(url.map(|(_, query)| query))
}

impl OnRecord {
    /// Notes that an entry is on record: for which patient, under which id, in which version.
    pub fn filed(&mut self, earlier: &Earlier, patient: &str, (id, version): (&str, u64)) {
        self.filed.push(Filed {
            entry: earlier.entry,
            patient: patient.to_owned(),
            id: id.to_owned(),
            version,
        });
    }
}

impl Filed {
    /// Lets the entries that are on record stay whose they are. `own` is how the message's resources name its patient.
    pub(super) fn settle(all: &[Self], entries: &mut [Value], own: &Value) {
        for filed in all {
            let Some(entry) = entries.get_mut(filed.entry) else {
                continue;
            };
            if entry["request"]["method"] == "PUT" {
                let kind = entry["resource"]["resourceType"]
                    .as_str()
                    .unwrap_or_default();
                let url = format!("{kind}/{}", filed.id);
                let version = format!("W/\"{}\"", filed.version);
                entry["request"] = json!({ "method": "PUT", "url": url, "ifMatch": version });
                entry["resource"]["id"] = filed.id.clone().into();
                let patient = format!("Patient/{}", filed.patient).into();
                rename(&mut entry["resource"], own, &patient);
            } else {
                entry["request"]["ifNoneExist"] = format!("_id={}", filed.id).into();
            }
        }
    }

    /// Whether an entry is on record.
    pub(super) fn is_of(all: &[Self], entry: usize) -> bool {
        all.iter().any(|filed| filed.entry == entry)
    }
}

/// Puts another reference in the place of one, wherever it stands.
fn rename(value: &mut Value, from: &Value, to: &Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                if name == "reference" && value == from {
                    value.clone_from(to);
                } else {
                    rename(value, from, to);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, from, to)),
        _ => {}
    }
}
