//! From FHIR to v2, for peers that have nothing else: a patient as ADT^A28 or A08, a visit as ADT, a result as ORU^R01, a
//! document as MDM^T02, an order as OML^O21 or ORM^O01, one of a medication as OMP^O09, an appointment as SIU, an
//! immunization as VXU^V04.

mod appointment;
mod document;
mod fields;
mod immunization;
mod medication;
mod order;
mod person;
mod result;
mod visit;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use self::document::document;
use self::person::registration;
use self::result::{report_of, result};

pub use self::person::patient_update;

/// Between whom a message goes, and its number.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// MSH-3 and MSH-4.
    pub from: (&'a str, &'a str),
    /// MSH-5 and MSH-6.
    pub to: (&'a str, &'a str),
    /// MSH-10.
    pub control_id: &'a str,
    /// MSH-7, in milliseconds since 1970.
    pub time_ms: i64,
    /// As what orders go.
    pub orders: Orders,
}

/// The message of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Orders {
    /// OML^O21.
    #[default]
    Oml,
    /// ORM^O01, for receivers of before OML.
    Orm,
}

/// What else a message about a resource needs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Needed {
    /// A reference to the patient; none if the resource is one.
    pub patient: Option<String>,
    /// Further references, as they stand in it.
    pub others: Vec<String>,
    /// Whether the message depends on what the version before said.
    pub before: bool,
}

/// What stands around a resource: what it [`needed`], as far as the receiver may see it.
#[derive(Clone, Default)]
pub struct Around {
    /// Whether it is the first version.
    pub is_new: bool,
    /// The patient; `Null` if the resource is one.
    pub patient: Value,
    /// What it refers to, by the references as they stand in it.
    pub others: BTreeMap<String, Value>,
    /// The version before; `Null` if there was none.
    pub before: Value,
}

impl fmt::Debug for Needed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Needed({} references, ..)", self.others.len())
    }
}

impl fmt::Debug for Around {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Around({} resources, ..)", self.others.len())
    }
}

impl Around {
    /// What a reference names.
    fn of(&self, reference: &Value) -> Option<&Value> {
        self.others.get(reference["reference"].as_str()?)
    }
}

/// Where a type refers to its patient, and to what else its message is made of; whether the version before matters.
const TYPES: &[(&str, &str, &[&str], bool)] = &[
    ("Observation", "/subject", &[], false),
    (
        "DiagnosticReport",
        "/subject",
        &["/encounter", "/result"],
        false,
    ),
    (
        "DocumentReference",
        "/subject",
        &["/author", "/authenticator", "/context/encounter"],
        false,
    ),
    (
        "ServiceRequest",
        "/subject",
        &["/requester", "/encounter"],
        true,
    ),
    (
        "MedicationRequest",
        "/subject",
        &["/requester", "/encounter", "/medicationReference"],
        true,
    ),
    (
        "Encounter",
        "/subject",
        &["/participant/individual", "/location/location"],
        true,
    ),
    ("Appointment", "", &["/participant/actor"], true),
    (
        "Immunization",
        "/patient",
        &["/performer/actor", "/location", "/encounter"],
        false,
    ),
];

/// What a message about a resource needs; none where there is no message for its type, or it is of nobody.
pub fn needed(resource: &Value) -> Option<Needed> {
    let kind = resource["resourceType"].as_str()?;
    if kind == "Patient" {
        return Some(Needed::default());
    }
    let (_, patient, others, before) = TYPES.iter().find(|(name, ..)| *name == kind)?;
    let mut others: Vec<String> = others
        .iter()
        .flat_map(|path| references(resource, path))
        .collect();
    let patient = match *patient {
        "" => appointment::patient(resource),
        path => references(resource, path).pop(),
    };
    others.retain(|one| Some(one) != patient.as_ref());
    Some(Needed {
        patient: Some(patient?),
        others,
        before: *before,
    })
}

/// The references at a path through objects and lists.
fn references(value: &Value, path: &str) -> Vec<String> {
    let Some(path) = path.strip_prefix('/') else {
        return value["reference"]
            .as_str()
            .map(str::to_owned)
            .into_iter()
            .collect();
    };
    let (step, rest) = path.find('/').map_or((path, ""), |at| path.split_at(at));
    let items = match &value[step] {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    items
        .iter()
        .flat_map(|item| references(item, rest))
        .collect()
}

/// A version of a resource as the message that says it: of version 2.5.1, in UTF-8. None where v2 has no message for it.
pub fn event(envelope: &Envelope<'_>, resource: &Value, around: &Around) -> Option<Vec<u8>> {
    match resource["resourceType"].as_str()? {
        "Patient" if around.is_new => Some(registration(envelope, resource, "ADT^A28^ADT_A05")),
        "Patient" => Some(patient_update(envelope, resource)),
        "DiagnosticReport" => {
            let results = resource["result"].as_array().into_iter().flatten();
            let results: Vec<&Value> = results.filter_map(|one| around.of(one)).collect();
            Some(result(envelope, (resource, &results), around))
        }
        "Observation" => {
            let report = report_of(resource);
            Some(result(envelope, (&report, &[resource]), around))
        }
        "DocumentReference" => Some(document(envelope, resource, around)),
        "ServiceRequest" => order::order(envelope, resource, around),
        "MedicationRequest" => medication::medication_order(envelope, resource, around),
        "Encounter" => visit::movement(envelope, resource, around),
        "Appointment" => appointment::appointment(envelope, resource, around),
        "Immunization" => immunization::immunization(envelope, resource, around),
        _ => None,
    }
}
