//! From which message the resources of a Bundle are.

use serde_json::{Value, json};

use super::Mapped;
use crate::fhir::timespan::format_instant;

impl Mapped {
    /// The Bundle with a Provenance of what it writes: the source is `original`, a reference such as `Binary/x` or the
    /// `fullUrl` of an entry that the caller adds; `recorded_ms` is when the message was received, since 1970.
    pub fn with_provenance(&self, original: &str, recorded_ms: i64) -> Value {
        let mut bundle = self.bundle.clone();
        let Some(entries) = bundle["entry"].as_array_mut() else {
            return bundle;
        };
        let targets: Vec<Value> = entries
            .iter()
            .filter(|entry| {
                !matches!(
                    entry["resource"]["resourceType"].as_str(),
                    Some("Practitioner" | "Location")
                )
            })
            .map(|entry| json!({"reference": entry["fullUrl"]}))
            .collect();
        if targets.is_empty() {
            return bundle;
        }
        let (system, value) = self.sender.identifier();
        let agent = json!({"system": system, "value": value});
        let activity = json!({"system": "http://terminology.hl7.org/CodeSystem/v2-0003", "code": self.trigger});
        let kind = "http://terminology.hl7.org/CodeSystem/provenance-participant-type";
        let provenance = json!({
            "resourceType": "Provenance",
            "target": targets,
            "recorded": format_instant(recorded_ms),
            "activity": {"coding": [activity]},
            "agent": [{
                "type": {"coding": [{"system": kind, "code": "assembler"}]},
                "who": {"type": "Device", "identifier": agent},
            }],
            "entity": [{"role": "source", "what": {"reference": original}}],
        });
        entries.push(json!({
            "fullUrl": "urn:uuid:00000000-0000-4000-8000-ffffffffffff",
            "resource": provenance,
            "request": {"method": "POST", "url": "Provenance"},
        }));
        bundle
    }
}
