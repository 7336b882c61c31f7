//! The Bundle as it grows.

use serde_json::{Map, Number, Value, json};

use super::draw::Draw;
use super::person::Staff;
use crate::fhir::timespan::format_instant;

pub(super) const SNOMED: &str = "http://snomed.info/sct";
pub(super) const LOINC: &str = "http://loinc.org";
pub(super) const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";
pub(super) const CVX: &str = "http://hl7.org/fhir/sid/cvx";

/// Entries so far, and where chance and staff come from.
pub(super) struct Record {
    pub(super) draw: Draw,
    pub(super) staff: Staff,
    entries: Vec<Value>,
}

impl Record {
    pub(super) fn new(draw: Draw, staff: Staff) -> Self {
        Self {
            draw,
            staff,
            entries: Vec::new(),
        }
    }

    /// Adds a resource under a new id; gives its `urn:uuid`.
    pub(super) fn add(&mut self, resource_type: &str, elements: Value) -> String {
        let id = self.draw.uuid();
        self.add_as(&id, resource_type, elements)
    }

    /// Adds a resource under its id, once.
    pub(super) fn add_as(&mut self, id: &str, resource_type: &str, elements: Value) -> String {
        let urn = format!("urn:uuid:{id}");
        if self
            .entries
            .iter()
            .any(|entry| entry["fullUrl"] == urn.as_str())
        {
            return urn;
        }
        let mut resource = Map::new();
        resource.insert("resourceType".to_owned(), resource_type.into());
        resource.insert("id".to_owned(), id.into());
        // R4 marks test data so.
        resource.insert(
            "meta".to_owned(),
            json!({"security": [{
                "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST",
            }]}),
        );
        if let Value::Object(mut elements) = elements {
            resource.append(&mut elements);
        }
        let mut entry = json!({"fullUrl": urn});
        entry["resource"] = resource.into();
        entry["request"] = json!({"method": "POST", "url": resource_type});
        self.entries.push(entry);
        urn
    }

    pub(super) fn into_bundle(self) -> Value {
        let mut bundle = json!({"resourceType": "Bundle", "type": "transaction"});
        bundle["entry"] = self.entries.into();
        bundle
    }
}

/// A coded concept with its display as text.
pub(super) fn concept(system: &str, code: &str, display: &str) -> Value {
    json!({"coding": [{"system": system, "code": code, "display": display}], "text": display})
}

pub(super) fn reference(urn: &str) -> Value {
    json!({"reference": urn})
}

/// `units` of 10^-scale as a decimal, digit for digit: (1688, 1) is 168.8.
pub(super) fn decimal(units: u64, scale: usize) -> Value {
    let digits = format!("{units:0width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let text = if scale == 0 {
        digits
    } else {
        format!("{whole}.{fraction}")
    };
    Value::Number(Number::from_string_unchecked(text))
}

/// A quantity in UCUM.
pub(super) fn quantity(value: &Value, unit: &str) -> Value {
    json!({"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit})
}

/// A time to the second.
pub(super) fn time_text(unix_ms: i64) -> String {
    let text = format_instant(unix_ms);
    text.get(..19)
        .map_or_else(|| text.clone(), |start| format!("{start}Z"))
}

/// The day of a time.
pub(super) fn date_text(unix_ms: i64) -> String {
    format_instant(unix_ms).chars().take(10).collect()
}
