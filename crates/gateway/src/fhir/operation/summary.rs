//! `Patient/[id]/$summary`: an International Patient Summary of what is known here and at other members
//! (<http://hl7.org/fhir/uv/ips/>), as far as consents allow.
//!
//! A section that the IPS requires and that nothing is there for says so; it does not say that there is nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::ResourceType;
use node::custody::Opened;
use serde_json::{Value, json};

use super::document::{document_of, now};
use super::gap::{Gap, gathered};
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::caller::Caller;
use crate::http::fhir_json;
use crate::problem::Problem;

const ABSENT: &str = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips";

/// What is known of a patient.
pub(super) struct Gathered {
    pub(super) patient: Opened,
    /// The patient too.
    pub(super) opened: Vec<Opened>,
    pub(super) gaps: Vec<Gap>,
}

/// A section of the summary.
struct Section {
    title: &'static str,
    loinc: &'static str,
    types: &'static [&'static str],
    /// The observation category that belongs here.
    category: Option<&'static str>,
    /// What stands in a required section that is empty.
    unknown: Option<fn(&str) -> Value>,
}

const SECTIONS: [Section; 10] = [
    Section {
        title: "Allergies and intolerances",
        loinc: "48765-2",
        types: &["AllergyIntolerance"],
        category: None,
        unknown: Some(unknown_allergies),
    },
    Section {
        title: "Medications",
        loinc: "10160-0",
        types: &["MedicationRequest", "MedicationStatement"],
        category: None,
        unknown: Some(unknown_medications),
    },
    Section {
        title: "Problems",
        loinc: "11450-4",
        types: &["Condition"],
        category: None,
        unknown: Some(unknown_problems),
    },
    Section::optional("Immunizations", "11369-6", &["Immunization"], None),
    Section::optional("Procedures", "47519-4", &["Procedure"], None),
    Section::optional("Medical devices", "46264-8", &["DeviceUseStatement"], None),
    Section::optional(
        "Results",
        "30954-2",
        &["DiagnosticReport", "Observation"],
        Some("laboratory"),
    ),
    Section::optional(
        "Vital signs",
        "8716-3",
        &["Observation"],
        Some("vital-signs"),
    ),
    Section::optional(
        "Social history",
        "29762-2",
        &["Observation"],
        Some("social-history"),
    ),
    Section::optional("Plan of care", "18776-5", &["CarePlan"], None),
];

pub(crate) async fn summary(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
) -> Result<Response, Problem> {
    let id = address.patient()?;
    let Gathered {
        patient,
        opened,
        gaps,
    } = fhir.gather(&caller, &id).await?;
    let body = fhir.summarised(&patient, &opened, &gaps);
    Ok(fhir_json(StatusCode::OK, &body))
}

impl Fhir {
    /// A patient's record here and at other members, as far as consents and the token allow.
    pub(super) async fn gather(&self, caller: &Caller, id: &str) -> Result<Gathered, Problem> {
        caller.may_touch_patient(id)?;
        caller.may(ResourceType::PATIENT, Permission::Read)?;
        let by = caller.requester();
        let (here, elsewhere) = tokio::join!(
            self.custody.local_everything(by, id),
            self.network.everything(by, id)
        );
        let (mut opened, gaps) = gathered(here?, elsewhere)?;
        opened.retain(|one| {
            let resource_type = one.resource.resource_type();
            caller.may(resource_type, Permission::Read).is_ok()
        });
        let is_patient = |one: &&Opened| {
            one.resource.resource_type() == ResourceType::PATIENT
                && one.id == id
                && one.member == self.identity.member
        };
        let patient = opened.iter().find(is_patient).cloned();
        let patient = patient.ok_or_else(|| {
            Problem::forbidden(
                "the patient's own resource may not be read: there is nobody to summarise",
            )
        })?;
        Ok(Gathered {
            patient,
            opened,
            gaps,
        })
    }

    fn summarised(&self, patient: &Opened, opened: &[Opened], gaps: &[Gap]) -> Value {
        let subject = self.full_url(patient);
        let mut entries = BTreeMap::new();
        let mut sections = Vec::new();
        for section in &SECTIONS {
            let mut shown: Vec<(String, Value)> = opened
                .iter()
                .filter(|one| section.holds(one))
                .map(|one| (self.full_url(one), one.presented()))
                .collect();
            if shown.is_empty()
                && let Some(unknown) = section.unknown
            {
                let url = format!("urn:uuid:{}", uuid::Uuid::new_v4());
                shown.push((url, unknown(&subject)));
            }
            if !shown.is_empty() {
                sections.push(section.value(&shown));
                entries.extend(shown);
            }
        }
        if !gaps.is_empty() {
            let outcomes = gaps.iter().map(outcome_entry).collect::<Vec<_>>();
            sections.push(missing(gaps, &outcomes));
            entries.extend(outcomes);
        }
        let author = self.identity.member.as_str();
        let mut composition = json!({
            "resourceType": "Composition",
            "meta": { "profile": ["http://hl7.org/fhir/uv/ips/StructureDefinition/Composition-uv-ips"] },
            "text": narrative("Patient summary", &[]),
            "status": "final",
            "type": { "coding": [{ "system": "http://loinc.org", "code": "60591-5",
                "display": "Patient summary Document" }] },
            "subject": { "reference": subject },
            "date": now(),
            "author": [{ "display": author }],
            "title": "International Patient Summary",
            "section": sections,
        });
        let extensions: Vec<Value> = gaps
            .iter()
            .filter_map(|gap| gap.extension.clone())
            .collect();
        if !extensions.is_empty() {
            composition["extension"] = extensions.into();
        }
        let name = format!("urn:uuid:{}", uuid::Uuid::new_v4());
        let mut all = vec![
            json!({ "fullUrl": name, "resource": composition }),
            json!({ "fullUrl": subject, "resource": patient.presented() }),
        ];
        let rest = entries.into_iter();
        all.extend(rest.map(|(url, resource)| json!({ "fullUrl": url, "resource": resource })));
        document_of(&all)
    }
}

impl Section {
    const fn optional(
        title: &'static str,
        loinc: &'static str,
        types: &'static [&'static str],
        category: Option<&'static str>,
    ) -> Self {
        Self {
            title,
            loinc,
            types,
            category,
            unknown: None,
        }
    }

    fn holds(&self, opened: &Opened) -> bool {
        let kind = opened.resource.resource_type().as_str();
        if !self.types.contains(&kind) {
            return false;
        }
        let (Some(wanted), "Observation") = (self.category, kind) else {
            return true;
        };
        let categories = opened.resource.get("category").and_then(Value::as_array);
        let codings = categories
            .into_iter()
            .flatten()
            .filter_map(|category| category.get("coding")?.as_array());
        codings
            .flatten()
            .any(|coding| coding.get("code").and_then(Value::as_str) == Some(wanted))
    }

    fn value(&self, shown: &[(String, Value)]) -> Value {
        let lines: Vec<String> = shown.iter().map(|(_, resource)| line(resource)).collect();
        let entries = shown.iter().map(|(url, _)| json!({ "reference": url }));
        json!({
            "title": self.title,
            "code": { "coding": [{ "system": "http://loinc.org", "code": self.loinc }] },
            "text": narrative(self.title, &lines),
            "entry": entries.collect::<Vec<_>>(),
        })
    }
}

/// What is missing, as an entry of the document.
fn outcome_entry(gap: &Gap) -> (String, Value) {
    let url = format!("urn:uuid:{}", uuid::Uuid::new_v4());
    (url, gap.outcome.to_value())
}

/// The section that says what is missing.
fn missing(gaps: &[Gap], outcomes: &[(String, Value)]) -> Value {
    let title = "Not complete";
    let issues = gaps.iter().flat_map(|gap| gap.outcome.issues());
    let lines: Vec<String> = issues.map(|issue| issue.diagnostics.clone()).collect();
    let entries = outcomes.iter().map(|(url, _)| json!({ "reference": url }));
    json!({
        "title": title,
        // Annotation comment.
        "code": { "coding": [{ "system": "http://loinc.org", "code": "48767-8" }] },
        "text": narrative(title, &lines),
        "entry": entries.collect::<Vec<_>>(),
    })
}

/// What a resource says, in one line.
fn line(resource: &Value) -> String {
    let elements = [
        "code",
        "medicationCodeableConcept",
        "vaccineCode",
        "type",
        "category",
    ];
    let concept = elements.iter().find_map(|name| words(resource.get(*name)?));
    let titles = ["title", "description"];
    let title = || {
        titles
            .iter()
            .find_map(|name| Some(resource.get(*name)?.as_str()?.to_owned()))
    };
    let what = concept.or_else(title);
    let what = what.unwrap_or_else(|| {
        resource["resourceType"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    });
    let quantity = resource.get("valueQuantity").map(|quantity| {
        let unit = quantity
            .get("unit")
            .and_then(Value::as_str)
            .unwrap_or_default();
        format!(": {} {unit}", quantity["value"])
    });
    let dates = [
        "effectiveDateTime",
        "onsetDateTime",
        "occurrenceDateTime",
        "performedDateTime",
        "authoredOn",
    ];
    let date = dates.iter().find_map(|name| resource.get(*name)?.as_str());
    let date = date.map(|date| format!(" ({date})"));
    format!(
        "{what}{}{}",
        quantity.unwrap_or_default(),
        date.unwrap_or_default()
    )
}

/// A concept in words.
fn words(concept: &Value) -> Option<String> {
    let concept = concept.get(0).unwrap_or(concept);
    let coding = concept.get("coding").and_then(|codings| codings.get(0));
    let text = concept.get("text").and_then(Value::as_str);
    let coded = |name| coding.and_then(|coding| coding.get(name)?.as_str());
    text.or_else(|| coded("display"))
        .or_else(|| coded("code"))
        .map(str::to_owned)
}

fn narrative(title: &str, lines: &[String]) -> Value {
    let items: String = lines
        .iter()
        .map(|line| format!("<li>{}</li>", escaped(line)))
        .collect();
    let list = if items.is_empty() {
        items
    } else {
        format!("<ul>{items}</ul>")
    };
    let div = format!(
        "<div xmlns=\"http://www.w3.org/1999/xhtml\"><h5>{}</h5>{list}</div>",
        escaped(title)
    );
    json!({ "status": "generated", "div": div })
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

fn concept(code: &str, display: &str) -> Value {
    json!({ "coding": [{ "system": ABSENT, "code": code, "display": display }], "text": display })
}

fn unknown_allergies(subject: &str) -> Value {
    let status = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical";
    json!({ "resourceType": "AllergyIntolerance",
        "clinicalStatus": { "coding": [{ "system": status, "code": "active" }] },
        "code": concept("no-allergy-info", "No information about allergies"),
        "patient": { "reference": subject } })
}

fn unknown_medications(subject: &str) -> Value {
    json!({ "resourceType": "MedicationStatement", "status": "unknown",
        "medicationCodeableConcept": concept("no-medication-info", "No information about medications"),
        "subject": { "reference": subject } })
}

fn unknown_problems(subject: &str) -> Value {
    let status = "http://terminology.hl7.org/CodeSystem/condition-clinical";
    json!({ "resourceType": "Condition",
        "clinicalStatus": { "coding": [{ "system": status, "code": "active" }] },
        "code": concept("no-problem-info", "No information about problems"),
        "subject": { "reference": subject } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use interop::fhir::Resource;

    #[test]
    fn narrative_is_escaped_and_what_is_unknown_is_a_sound_resource() {
        let text = narrative("T", &["<script>&\"".to_owned()]);
        let div = text["div"].as_str().unwrap();
        assert!(div.contains("<li>&lt;script&gt;&amp;&quot;</li>"), "{div}");
        for section in SECTIONS {
            if let Some(unknown) = section.unknown {
                assert!(Resource::from_value(unknown("Patient/1")).is_ok());
            }
        }
    }

    #[test]
    fn a_line_says_what_how_much_and_when() {
        let observation = json!({"resourceType": "Observation", "effectiveDateTime": "2026-05-01",
            "code": {"coding": [{"code": "718-7", "display": "Hemoglobin"}]},
            "valueQuantity": {"value": 13.2, "unit": "g/dL"}});
        assert_eq!(line(&observation), "Hemoglobin: 13.2 g/dL (2026-05-01)");
        assert_eq!(line(&json!({"resourceType": "CarePlan"})), "CarePlan");
    }
}
