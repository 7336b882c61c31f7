//! A member's part of a bundle, as it is posted there.

use anyhow::Context as _;
use interop::fhir::Resource;
use interop::fhir::disclosure::DisclosureFacts;
use interop::fhir::labels::{is_restricted, labels_of};
use serde_json::{Value, json};

use super::Traits;

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

/// `Type/id` of a location, which may be absolute and name a version.
pub(super) fn reference(location: &str) -> anyhow::Result<String> {
    let record = location.split("/_history/").next().unwrap_or_default();
    let mut parts = record.rsplit('/');
    let (id, kind) = (parts.next(), parts.next());
    let pair = id
        .zip(kind)
        .context("the member did not say where a resource is")?;
    Ok(format!("{}/{}", pair.1, pair.0))
}

pub(super) fn traits(sent: &Value, answered: &Value) -> anyhow::Result<Traits> {
    let resource = Resource::from_value(sent.get("resource").cloned().unwrap_or_default());
    let resource = resource.ok().context("an entry is no resource")?;
    let facts = DisclosureFacts::of(&resource);
    let status = answered.pointer("/response/status").and_then(Value::as_str);
    Ok(Traits {
        is_restricted: is_restricted(&labels_of(&resource)),
        is_laboratory: facts
            .categories
            .iter()
            .any(|one| one.ends_with("|laboratory")),
        is_found: status.is_some_and(|status| status.starts_with("200"))
            && facts.resource_type != "Patient",
    })
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
