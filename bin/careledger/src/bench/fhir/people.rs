//! The resources that are measured: patients with a fixed number of records each, the same for the same number.

use contracts::consent::template::{DataClass, Grant, access};
use serde_json::{Value, json};

/// Resources of one patient: the patient, encounters, observations, a consent.
pub(super) const RESOURCES: usize = 20;
/// Patients in a transaction.
pub(super) const PATIENTS_PER_BUNDLE: usize = 5;

const ENCOUNTERS: usize = 2;
const OBSERVATIONS: usize = RESOURCES - ENCOUNTERS - 2;
const CODES: usize = 500;
const FAMILIES: usize = 997;
/// Ten years of dates, in 12 months of 28 days.
const DAYS: usize = 10 * 12 * 28;

pub(super) fn patient_id(patient: usize) -> String {
    format!("bench-{patient}")
}

pub(super) fn observation_id(patient: usize, number: usize) -> String {
    format!("bench-{patient}-o{}", number % OBSERVATIONS)
}

/// The identifier by which a patient is looked up.
pub(super) fn identifier(patient: usize) -> String {
    format!("urn:bench:mrn|{patient}")
}

/// The code of an observation.
pub(super) fn code(patient: usize, number: usize) -> String {
    format!("c{}", (patient * 31 + number % OBSERVATIONS * 7) % CODES)
}

/// The day of an observation.
pub(super) fn day(patient: usize, number: usize) -> String {
    let day = (patient * 17 + number % OBSERVATIONS * 97) % DAYS;
    let (year, month, day) = (2016 + day / 336, day / 28 % 12 + 1, day % 28 + 1);
    format!("{year}-{month:02}-{day:02}")
}

/// An observation of a patient, without an id.
pub(super) fn observation(patient: usize, number: usize) -> Value {
    json!({
        "resourceType": "Observation",
        "status": "final",
        "category": [{ "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory",
        }] }],
        "code": { "coding": [{ "system": "urn:bench:code", "code": code(patient, number) }] },
        "subject": { "reference": format!("Patient/{}", patient_id(patient)) },
        "effectiveDateTime": format!("{}T09:30:00Z", day(patient, number)),
        "valueQuantity": {
            "value": 50 + number % 100, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min",
        },
    })
}

/// A transaction that writes some patients with all their records.
pub(super) fn bundle(patients: std::ops::Range<usize>) -> Value {
    let entries: Vec<Value> = patients.flat_map(records).map(|one| entry(&one)).collect();
    json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries })
}

fn records(patient: usize) -> Vec<Value> {
    let id = patient_id(patient);
    let reference = format!("Patient/{id}");
    let mut records = vec![json!({
        "resourceType": "Patient",
        "id": id,
        "identifier": [{ "system": "urn:bench:mrn", "value": patient.to_string() }],
        "name": [{ "family": format!("Family{}", patient % FAMILIES), "given": ["Bench"] }],
        "gender": "female",
        "birthDate": day(patient, 3),
    })];
    for number in 0..ENCOUNTERS {
        records.push(json!({
            "resourceType": "Encounter",
            "id": format!("{id}-e{number}"),
            "status": "finished",
            "class": { "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB" },
            "subject": { "reference": reference },
            "period": { "start": format!("{}T09:00:00Z", day(patient, number)),
                "end": format!("{}T10:00:00Z", day(patient, number)) },
        }));
    }
    for number in 0..OBSERVATIONS {
        let mut observation = observation(patient, number);
        set(
            &mut observation,
            "id",
            json!(observation_id(patient, number)),
        );
        let encounter = format!("Encounter/{id}-e{}", number % ENCOUNTERS);
        set(
            &mut observation,
            "encounter",
            json!({ "reference": encounter }),
        );
        records.push(observation);
    }
    let mut consent = access(&Grant {
        patient: &reference,
        grantee: "hospital",
        data: &[DataClass::Laboratory],
        purpose: "TREAT",
        start: "2026-01-01T00:00:00Z",
        end: "2036-01-01T00:00:00Z",
    });
    set(&mut consent, "id", json!(format!("{id}-c")));
    records.push(consent);
    records
}

fn set(resource: &mut Value, name: &str, value: Value) {
    if let Some(object) = resource.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

fn entry(resource: &Value) -> Value {
    let part = |name: &str| {
        resource
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let url = format!("{}/{}", part("resourceType"), part("id"));
    json!({ "resource": resource, "request": { "method": "PUT", "url": url } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patient_has_as_many_resources_as_are_counted() {
        let entries = |patients| bundle(patients)["entry"].as_array().unwrap().len();
        assert_eq!(entries(0..1), RESOURCES);
        assert_eq!(
            entries(7..7 + PATIENTS_PER_BUNDLE),
            PATIENTS_PER_BUNDLE * RESOURCES
        );
    }

    #[test]
    fn what_is_written_is_sound_and_has_what_searches_look_for() {
        for record in records(12) {
            assert!(interop::fhir::Resource::from_value(record).is_ok());
        }
        assert_eq!(code(12, 3), observation(12, 3)["code"]["coding"][0]["code"]);
        assert!(day(12, 3).starts_with("20"));
    }
}
