//! A member's part of a bundle, as it is posted there.

use serde_json::{Value, json};

/// Types whose resources are the same for many patients: a member keeps one of each.
const SHARED: [&str; 4] = [
    "Practitioner",
    "Organization",
    "Location",
    "PractitionerRole",
];

/// The patient becomes the one that is enrolled there; what is shared is not made twice.
pub(super) fn transaction(mut bundle: Value, patient_id: &str) -> Value {
    let entries = bundle.get_mut("entry").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten() {
        let kind = entry
            .pointer("/resource/resourceType")
            .and_then(Value::as_str);
        match kind {
            Some("Patient") => {
                entry["resource"]["id"] = patient_id.into();
                entry["request"] =
                    json!({ "method": "PUT", "url": format!("Patient/{patient_id}") });
            }
            Some(kind) if SHARED.contains(&kind) => {
                if let Some(criteria) = identifier(entry) {
                    entry["request"]["ifNoneExist"] = criteria.into();
                }
            }
            _ => {}
        }
    }
    bundle
}

fn identifier(entry: &Value) -> Option<String> {
    let identifier = entry.pointer("/resource/identifier/0")?;
    let system = identifier.get("system")?.as_str()?;
    let value = identifier.get("value")?.as_str()?;
    let plain = |text: &str| !text.contains(['&', '|', ',', '$', '\\', '%', '+', ' ']);
    (plain(system) && plain(value)).then(|| format!("identifier={system}|{value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patient_is_the_enrolled_one_and_practitioners_are_not_doubled() {
        let bundle = json!({ "resourceType": "Bundle", "type": "transaction", "entry": [
            { "fullUrl": "urn:uuid:1", "resource": { "resourceType": "Patient" },
              "request": { "method": "POST", "url": "Patient" } },
            { "fullUrl": "urn:uuid:2", "resource": { "resourceType": "Practitioner",
                "identifier": [{ "system": "http://hl7.org/fhir/sid/us-npi", "value": "99" }] },
              "request": { "method": "POST", "url": "Practitioner" } },
        ] });
        let prepared = transaction(bundle, "here");
        assert_eq!(prepared["entry"][0]["request"]["url"], "Patient/here");
        assert_eq!(prepared["entry"][0]["resource"]["id"], "here");
        let criteria = &prepared["entry"][1]["request"]["ifNoneExist"];
        assert_eq!(criteria, "identifier=http://hl7.org/fhir/sid/us-npi|99");
    }
}
