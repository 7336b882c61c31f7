//! The patient to whom a resource belongs: the R4 Patient compartment.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde_json::Value;

use super::reference::Target;
use super::{Resource, ResourceType};

const BINARY: &str = "Binary";

/// To whom a resource belongs.
#[derive(Clone, PartialEq, Eq)]
pub enum Belonging {
    /// To the patient of this reference: `Patient/id`, a URL or URN, or for a logical
    /// reference `system|value` of the identifier.
    Patient(PatientReference),
    /// To whom the resource of this relative reference belongs (`Provenance`, `AuditEvent`, `Binary`).
    Through(String),
    /// To nobody: the type can be of a patient, this resource names none.
    Nobody,
    /// To nobody: the type is not in the compartment (`Practitioner`, `Organization` …).
    Shared,
}

/// How a resource names its patient.
#[derive(Clone, PartialEq, Eq)]
pub enum PatientReference {
    /// The logical id on this server.
    Id(String),
    /// A URL on another server, or a URN of the same Bundle.
    Uri(String),
    /// System and value of an identifier.
    Identifier(String, String),
}

// Both name patients: Debug shows the form alone.
impl fmt::Debug for Belonging {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Patient(_) => "Patient(..)",
            Self::Through(_) => "Through(..)",
            Self::Nobody => "Nobody",
            Self::Shared => "Shared",
        })
    }
}

impl fmt::Debug for PatientReference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Id(_) => "Id(..)",
            Self::Uri(_) => "Uri(..)",
            Self::Identifier(..) => "Identifier(..)",
        })
    }
}

/// To whom the resource belongs. A Patient without id belongs to nobody yet.
pub fn belonging(resource: &Resource) -> Belonging {
    let kind = resource.resource_type();
    if kind == ResourceType::PATIENT {
        return resource.id().map_or(Belonging::Nobody, |id| {
            Belonging::Patient(PatientReference::Id(id.to_owned()))
        });
    }
    if kind.as_str() == BINARY {
        return security_context(resource);
    }
    let Some(paths) = TABLE.get(kind.as_str()) else {
        return Belonging::Shared;
    };
    let mut through = None;
    for path in paths {
        let mut references = Vec::new();
        collect(
            resource.object().get(*path.first().unwrap_or(&"")),
            path,
            &mut references,
        );
        for reference in references {
            if let Some(patient) = patient_named(reference) {
                return Belonging::Patient(patient);
            }
            through = through.or_else(|| local_target(reference));
        }
    }
    let goes_through = matches!(kind.as_str(), "Provenance" | "AuditEvent");
    through
        .filter(|_| goes_through)
        .map_or(Belonging::Nobody, Belonging::Through)
}

/// Whether resources of this type can belong to a patient.
pub fn is_in_compartment(resource_type: ResourceType) -> bool {
    let name = resource_type.as_str();
    resource_type == ResourceType::PATIENT || name == BINARY || TABLE.contains_key(name)
}

/// R4 has `Binary` in no compartment: its access rules are those of the resource that it names.
fn security_context(resource: &Resource) -> Belonging {
    let Some(context) = resource.get("securityContext") else {
        return Belonging::Nobody;
    };
    match patient_named(context) {
        Some(patient) => Belonging::Patient(patient),
        None => local_target(context).map_or(Belonging::Nobody, Belonging::Through),
    }
}

fn patient_named(reference: &Value) -> Option<PatientReference> {
    let says_patient = reference.get("type").and_then(Value::as_str) == Some("Patient");
    let text = reference.get("reference").and_then(Value::as_str);
    match text.map(Target::parse) {
        Some(Target::Relative(local)) => (local.resource_type == ResourceType::PATIENT)
            .then(|| PatientReference::Id(local.id.to_owned())),
        Some(Target::Absolute(url, local)) => {
            let is_patient =
                local.map_or(says_patient, |it| it.resource_type == ResourceType::PATIENT);
            is_patient.then(|| PatientReference::Uri(url.to_owned()))
        }
        Some(Target::Urn(urn)) => says_patient.then(|| PatientReference::Uri(urn.to_owned())),
        Some(_) => None,
        None => {
            let identifier = reference.get("identifier").filter(|_| says_patient)?;
            let system = identifier
                .get("system")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let value = identifier.get("value").and_then(Value::as_str)?;
            Some(PatientReference::Identifier(
                system.to_owned(),
                value.to_owned(),
            ))
        }
    }
}

fn local_target(reference: &Value) -> Option<String> {
    let text = reference.get("reference").and_then(Value::as_str)?;
    match Target::parse(text) {
        Target::Relative(local) => Some(format!("{}/{}", local.resource_type, local.id)),
        _ => None,
    }
}

fn collect<'a>(value: Option<&'a Value>, path: &[&str], found: &mut Vec<&'a Value>) {
    match (value, path) {
        (Some(Value::Array(items)), _) => {
            items
                .iter()
                .for_each(|item| collect(Some(item), path, found));
        }
        (Some(value), [_, next, ..]) => {
            collect(value.get(*next), path.get(1..).unwrap_or_default(), found);
        }
        (Some(value), _) => found.push(value),
        (None, _) => {}
    }
}

static TABLE: LazyLock<BTreeMap<&'static str, Vec<Vec<&'static str>>>> = LazyLock::new(|| {
    let text = include_str!("data/patient-compartment.txt");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((
                words.next()?,
                words.map(|path| path.split('.').collect()).collect(),
            ))
        })
        .collect()
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::Checking;
    use serde_json::json;

    fn of(value: Value) -> Belonging {
        belonging(
            &Resource::from_value_noting(value, Checking::Stored)
                .unwrap()
                .0,
        )
    }

    fn patient(id: &str) -> Belonging {
        Belonging::Patient(PatientReference::Id(id.to_owned()))
    }

    #[test]
    fn each_type_names_its_patient_where_r4_says() {
        let p = json!({"reference": "Patient/1"});
        let table = [
            json!({"resourceType":"Patient","id":"1"}),
            json!({"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":p}),
            json!({"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"subject":p}),
            json!({"resourceType":"Immunization","status":"completed","vaccineCode":{"text":"x"},
                   "occurrenceString":"once","patient":p}),
            json!({"resourceType":"Consent","status":"active","scope":{"text":"x"},
                   "category":[{"text":"x"}],"patient":p}),
            json!({"resourceType":"Coverage","status":"active","beneficiary":p,"payor":[{"display":"x"}]}),
            json!({"resourceType":"Provenance","target":[{"reference":"Observation/2"},p],
                   "recorded":"2020-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}),
            json!({"resourceType":"AuditEvent","type":{"code":"x"},"recorded":"2020-01-01T00:00:00Z",
                   "agent":[{"who":{"reference":"Practitioner/1"}}],"source":{"site":"x"},
                   "entity":[{"what":{"reference":"Observation/9"}},{"what":p}]}),
            json!({"resourceType":"Appointment","participant":[{"actor":{"reference":"Practitioner/1"}},
                   {"actor":p}]}),
        ];
        for value in table {
            let kind = value["resourceType"].clone();
            assert!(of(value) == patient("1"), "{kind}");
        }
    }

    #[test]
    fn shared_nobody_and_through_are_told_apart() {
        assert_eq!(
            of(json!({"resourceType":"Practitioner","id":"1"})),
            Belonging::Shared
        );
        assert_eq!(
            of(json!({"resourceType":"Location","id":"1"})),
            Belonging::Shared
        );
        let group = json!({"resourceType":"Observation","status":"final","code":{"text":"x"},
            "subject":{"reference":"Group/1"}});
        assert_eq!(of(group), Belonging::Nobody);
        let provenance = json!({"resourceType":"Provenance","target":[{"reference":"Observation/2/_history/1"}],
            "recorded":"2020-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]});
        assert!(of(provenance) == Belonging::Through("Observation/2".to_owned()));
    }

    #[test]
    fn urls_and_identifiers_name_patients_too() {
        let of_subject = |subject: Value| {
            of(
                json!({"resourceType":"Goal","lifecycleStatus":"active","description":{"text":"x"},
                "subject":subject}),
            )
        };
        let url = "https://other.org/fhir/Patient/1".to_owned();
        let uri = |text: String| Belonging::Patient(PatientReference::Uri(text));
        assert!(of_subject(json!({"reference": url})) == uri(url));
        let urn = "urn:uuid:1".to_owned();
        assert!(of_subject(json!({"reference": urn, "type": "Patient"})) == uri(urn));
        assert!(of_subject(json!({"reference": "urn:uuid:1"})) == Belonging::Nobody);
        let logical = json!({"type": "Patient", "identifier": {"system": "s", "value": "v"}});
        let identifier = PatientReference::Identifier("s".to_owned(), "v".to_owned());
        assert!(of_subject(logical) == Belonging::Patient(identifier));
    }

    #[test]
    fn the_table_names_types_and_elements_of_r4() {
        assert_eq!(TABLE.len(), 66);
        for (kind, paths) in TABLE.iter() {
            assert!(ResourceType::parse(kind).is_some(), "{kind}");
            assert!(
                !paths.is_empty() && paths.iter().all(|path| !path.is_empty()),
                "{kind}"
            );
        }
    }
}
