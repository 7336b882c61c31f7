//! OBX: Observation. NTE: notes on what stands before it.

use serde_json::{Value, json};

use super::codes;
use super::draft::{Draft, Writing};
use super::rule::{Rule, Shape, rule, text};
use crate::compose::put;
use crate::hl7v2::message::Segment;

const OBX: &[Rule] = &[
    rule(3, "code", Shape::Concept("")),
    rule(8, "interpretation[]", Shape::Interpretation),
    rule(11, "status", Shape::Code(&codes::OBSERVATION_STATUS)),
    rule(14, "effectiveDateTime", Shape::DateTime),
    rule(16, "performer[]", Shape::Practitioner),
    rule(23, "performer[]", Shape::Organization),
    rule(17, "method", Shape::Concept("")),
    rule(20, "bodySite", Shape::Concept("0163")),
];

impl Draft<'_> {
    /// OBX belongs to a document, or is an observation of a report, of an immunization or of the patient.
    pub(super) fn observation(&mut self, segment: &Segment<'_>) {
        let kind = segment.field(2).text();
        if self.document.is_some() {
            return self.document_content(segment, &kind);
        }
        if let ("ED" | "RP", Some(report)) = (kind.as_str(), self.report) {
            let place = self.place(segment).field(5);
            let attachments: Vec<Value> = segment
                .field(5)
                .repeats()
                .filter_map(|repeat| self.attachment(repeat, &kind, &place))
                .collect();
            if let Some(report) = self.entries.get_mut(report) {
                for attachment in attachments {
                    put(&mut report.resource, "presentedForm[]", attachment);
                }
            }
            return;
        }
        let mut observation =
            json!({"resourceType": "Observation", "identifier": [self.observation_key(segment)]});
        if let Some(instance) = segment.field(21).repeats().next()
            && let Some(instance) = self.entity_identifier(instance, "FILL")
        {
            put(&mut observation, "identifier[]", instance);
        }
        self.fill(segment, OBX, &mut observation);
        put(&mut observation, "status", "unknown".into());
        self.required(segment, 3, &observation["code"]);
        self.values(segment, &kind, &mut observation);
        self.place_observation(segment, &mut observation);
        let place = self.place(segment);
        let observation = self.add(observation, Writing::Replace, place);
        self.noted = Some(observation);
        if let Some(report) = self.report.and_then(|entry| self.entries.get_mut(entry)) {
            put(
                &mut report.resource,
                "result[]",
                Self::reference(observation),
            );
        }
    }

    /// An observation has no number of its own: it is the value of its code and sub-id in its report.
    fn observation_key(&mut self, segment: &Segment<'_>) -> Value {
        let code = segment.field(3).first().component(1).text();
        let part = segment.field(4).text();
        let scope = self
            .scope
            .clone()
            .unwrap_or_else(|| format!("message {}", self.message.control_id()));
        self.own_identifier("observation", &[&scope, &code, &part])
    }

    fn place_observation(&mut self, segment: &Segment<'_>, observation: &mut Value) {
        put(observation, "subject", self.subject());
        put(observation, "encounter", self.context());
        put(observation, "effectiveDateTime", self.effective.clone());
        if let Some(immunization) = self.immunization {
            put(observation, "partOf[]", Self::reference(immunization));
        }
        if let Some(section) = self.section {
            let system = "http://terminology.hl7.org/CodeSystem/observation-category";
            put(
                observation,
                "category[].coding[]",
                json!({"system": system, "code": section}),
            );
        }
        if let Some(range) = text(segment.field(7).first().text()) {
            put(observation, "referenceRange[].text", range);
        }
        if segment.field(11).text() == "X" {
            let system = "http://terminology.hl7.org/CodeSystem/data-absent-reason";
            put(
                observation,
                "dataAbsentReason.coding[]",
                json!({"system": system, "code": "error"}),
            );
        }
    }

    /// NTE-3, with author and time where NTE-5 and NTE-6 name them.
    pub(super) fn note(&mut self, segment: &Segment<'_>) {
        let lines: Vec<String> = segment
            .field(3)
            .repeats()
            .map(|repeat| repeat.text())
            .collect();
        let Some(said) = text(lines.join("\n")) else {
            return;
        };
        let mut annotation = json!({});
        if let Some(author) = segment
            .field(5)
            .repeats()
            .next()
            .and_then(|xcn| self.practitioner(xcn))
        {
            put(&mut annotation, "authorReference", author);
        }
        const WHEN: &[Rule] = &[rule(6, "time", Shape::DateTime)];
        self.fill(segment, WHEN, &mut annotation);
        put(&mut annotation, "text", said.clone());
        let Some(entry) = self.noted.and_then(|entry| self.entries.get_mut(entry)) else {
            return self.leave_unread(segment);
        };
        let resource = &mut entry.resource;
        match resource["resourceType"].as_str() {
            Some("DiagnosticReport") => {
                let url =
                    "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.note";
                put(
                    resource,
                    "extension[]",
                    json!({"url": url, "valueAnnotation": annotation}),
                );
            }
            Some("Appointment") => append(resource, "comment", &said),
            Some("DocumentReference") => append(resource, "description", &said),
            _ => put(resource, "note[]", annotation),
        }
    }
}

/// Adds a line to a text.
fn append(resource: &mut Value, element: &str, line: &Value) {
    let line = line.as_str().unwrap_or_default();
    let whole = match resource[element].as_str() {
        Some(present) => format!("{present}\n{line}"),
        None => line.to_owned(),
    };
    resource[element] = whole.into();
}
