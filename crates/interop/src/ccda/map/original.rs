//! The document itself, beside what it became.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Mapped;
use super::datatypes::coded;
use super::draft::{OF_PATIENT, SHARED};
use crate::compose::put;
use crate::fhir::timespan::format_instant;

/// The bytes of a document, and how they are filed.
#[derive(Clone, Copy)]
pub struct Original<'a> {
    /// As they came.
    pub bytes: &'a [u8],
    /// The id of the DocumentReference. It is claimed: a transaction with one that is there is refused.
    pub id: &'a str,
    /// The `fullUrl`s of DocumentReference, Binary and Provenance.
    pub urls: [&'a str; 3],
    /// When it came, in milliseconds since 1970.
    pub received_ms: i64,
}

impl std::fmt::Debug for Original<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Original({} bytes, ..)", self.bytes.len())
    }
}

impl Mapped {
    /// The same for a patient who is there already under this id: nothing is written to the Patient.
    pub fn for_patient(mut self, id: &str) -> Self {
        let place = format!("Patient/{id}");
        if let Some(entries) = self.bundle["entry"].as_array_mut() {
            entries.retain(|entry| entry["fullUrl"] != self.patient);
            for entry in entries {
                let condition = entry["request"]["ifNoneExist"].as_str();
                if let Some((own, _)) = condition.and_then(|all| all.split_once(OF_PATIENT)) {
                    entry["request"]["ifNoneExist"] = format!("{own}&patient={id}").into();
                }
                redirect(&mut entry["resource"], &self.patient, &place);
            }
        }
        self.patient = place;
        self
    }

    /// The Bundle with the document as DocumentReference and Binary, and the Provenance of what it became.
    pub fn with_original(&self, original: &Original<'_>) -> Value {
        let mut bundle = self.bundle.clone();
        let Some(entries) = bundle["entry"].as_array_mut() else {
            return bundle;
        };
        let targets: Vec<Value> = entries
            .iter()
            .filter(|entry| {
                let kind = entry["resource"]["resourceType"].as_str();
                kind.is_none_or(|kind| !SHARED.contains(&kind))
            })
            .map(|entry| json!({"reference": entry["fullUrl"]}))
            .collect();
        let [document, binary, provenance] = original.urls;
        let label = self.label();
        entries.push(json!({
            "fullUrl": document,
            "resource": self.reference(original, &label),
            "request": {
                "method": "PUT",
                "url": format!("DocumentReference/{}", original.id),
                "ifNoneMatch": "*",
            },
        }));
        entries.push(json!({
            "fullUrl": binary,
            "resource": {
                "resourceType": "Binary",
                "meta": {"security": [label]},
                "contentType": "application/cda+xml",
                "securityContext": {"reference": self.patient, "type": "Patient"},
                "data": STANDARD.encode(original.bytes),
            },
            "request": {"method": "POST", "url": "Binary"},
        }));
        entries.push(json!({
            "fullUrl": provenance,
            "resource": self.provenance(&targets, (document, original.received_ms)),
            "request": {"method": "POST", "url": "Provenance"},
        }));
        bundle
    }

    /// What labels would be given for is not told from bytes: all of it is kept as what is sensitive.
    fn label(&self) -> Value {
        let system = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
        json!({"system": system, "code": self.confidentiality.unwrap_or("R")})
    }

    fn reference(&self, original: &Original<'_>, label: &Value) -> Value {
        let format = json!({
            "system": "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode",
            "code": "urn:hl7-org:sdwg:ccda-structuredBody:2.1" });
        let attachment = json!({
            "contentType": "application/cda+xml",
            "url": original.urls[1],
            "size": original.bytes.len(),
            "title": self.about["title"],
            "creation": self.about["date"],
        });
        let mut document = json!({
            "resourceType": "DocumentReference",
            "id": original.id,
            "meta": {"security": [label]},
            "masterIdentifier": self.identifier,
            "status": "current",
            "type": self.about["type"],
            "category": [coded("http://loinc.org", "34133-9")],
            "subject": {"reference": self.patient},
            "date": format_instant(original.received_ms),
            "content": [{"attachment": attachment, "format": format}],
        });
        for author in &self.authors {
            put(&mut document, "author[]", author.clone());
        }
        put(&mut document, "custodian", self.about["custodian"].clone());
        if self.about["encounter"].is_object() {
            put(
                &mut document,
                "context.encounter[]",
                self.about["encounter"].clone(),
            );
        }
        document
    }

    fn provenance(&self, targets: &[Value], (document, recorded_ms): (&str, i64)) -> Value {
        let kind = "http://terminology.hl7.org/CodeSystem/provenance-participant-type";
        let nobody = json!({"display": "The document names no author"});
        let who = self.authors.first().cloned().unwrap_or(nobody);
        let mut agents = vec![json!({"type": coded(kind, "author"), "who": who})];
        if self.about["custodian"].is_object() {
            agents.push(json!({"type": coded(kind, "custodian"), "who": self.about["custodian"]}));
        }
        json!({
            "resourceType": "Provenance",
            "target": targets,
            "recorded": format_instant(recorded_ms),
            "agent": agents,
            "entity": [{"role": "source", "what": {"reference": document}}],
        })
    }
}

/// Has references to one resource name another.
fn redirect(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::Object(object) => {
            for (name, inner) in object {
                match inner {
                    Value::String(text) if name == "reference" && text == from => {
                        to.clone_into(text)
                    }
                    inner => redirect(inner, from, to),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                redirect(item, from, to);
            }
        }
        _ => {}
    }
}
