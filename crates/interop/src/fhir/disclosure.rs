//! The facts of a resource that a decision on its disclosure looks at.

use std::collections::BTreeSet;
use std::fmt;

use minicbor::{Decode, Encode};
use serde_json::{Map, Value};

use super::labels::labels_of;
use super::{Resource, TimeSpan, reference};

/// What `access` decides on. They are patient data: keep them in the sealed descriptor.
///
/// Debug shows the type alone.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct DisclosureFacts {
    /// The resource type.
    #[n(0)]
    pub resource_type: String,
    /// Codings of `category` and, for an Encounter, `class`: `system|code`.
    #[n(1)]
    pub categories: BTreeSet<String>,
    /// Codings of what the resource is about: `system|code`.
    #[n(2)]
    pub codes: BTreeSet<String>,
    /// Codes of security labels; empty when nothing is sensitive.
    #[n(3)]
    pub labels: BTreeSet<String>,
    /// Who is responsible for the content: a reference, or `system|value` of an identifier.
    #[n(4)]
    pub author: Option<String>,
    /// When it happened; for a Condition from onset to abatement, without abatement the onset.
    #[n(5)]
    pub period: Option<TimeSpan>,
    /// `Type/id`, where the resource has an id.
    #[n(6)]
    pub id: Option<String>,
    /// Everybody who is responsible for the content, in the form of `author`; `None` in rows of older releases.
    #[n(7)]
    pub authors: Option<BTreeSet<String>>,
    /// The references in the resource; `None` in rows of older releases.
    #[n(8)]
    pub references: Option<BTreeSet<String>>,
}

impl fmt::Debug for DisclosureFacts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "DisclosureFacts({})", self.resource_type)
    }
}

impl DisclosureFacts {
    /// The facts of a resource.
    pub fn of(resource: &Resource) -> Self {
        let object = resource.object();
        let labels = labels_of(resource)
            .into_iter()
            .map(|label| label.code().to_owned());
        Self {
            resource_type: resource.resource_type().as_str().to_owned(),
            categories: codings(object, &["category", "class"]),
            codes: codings(
                object,
                &["code", "vaccineCode", "medicationCodeableConcept", "type"],
            ),
            labels: labels.collect(),
            author: AUTHORS.iter().find_map(|path| author_at(object, path)),
            period: PERIODS
                .iter()
                .find_map(|elements| period_of(object, elements)),
            id: resource
                .id()
                .map(|id| format!("{}/{id}", resource.resource_type().as_str())),
            authors: Some(authors(object)),
            references: Some(references(resource)),
        }
    }
}

/// Where the author stands, by the elements of all types; the first that is there counts.
const AUTHORS: [&[&str]; 14] = [
    &["author"],
    &["asserter"],
    &["recorder"],
    &["requester"],
    &["performer", "actor"],
    &["performer"],
    &["provider"],
    &["participant", "individual"],
    &["agent", "who"],
    &["enterer"],
    &["referrer"],
    &["resultsInterpreter"],
    &["custodian"],
    &["insurer"],
];

/// When a resource happened, by the elements of all types; the first group that is there counts.
const PERIODS: [&[&str]; 14] = [
    &["effectiveDateTime", "effectivePeriod", "effectiveInstant"],
    &["performedDateTime", "performedPeriod"],
    &[
        "occurrenceDateTime",
        "occurrencePeriod",
        "occurredDateTime",
        "occurredPeriod",
    ],
    &["period"],
    &[
        "onsetDateTime",
        "onsetPeriod",
        "abatementDateTime",
        "abatementPeriod",
    ],
    &["started"],
    &["billablePeriod"],
    &["authoredOn"],
    &["startDate"],
    &["dateTime"],
    &["date"],
    &["recordedDate", "recorded"],
    &["created"],
    &["issued"],
];

fn authors(object: &Map<String, Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in AUTHORS {
        add_authors(object, path, &mut found);
    }
    found
}

fn add_authors(object: &Map<String, Value>, path: &[&str], found: &mut BTreeSet<String>) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    let values = match object.get(*first) {
        Some(Value::Array(items)) => items.as_slice(),
        Some(value) => std::slice::from_ref(value),
        None => &[],
    };
    for value in values {
        match value.as_object() {
            Some(object) if !rest.is_empty() => add_authors(object, rest, found),
            _ => found.extend(named(value)),
        }
    }
}

fn references(resource: &Resource) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    reference::walk(resource, |one| {
        found.extend(one.text().map(str::to_owned));
        let identifier = one.identifier();
        found.extend(identifier.map(|(system, value)| format!("{system}|{value}")));
    });
    found
}

fn codings(object: &Map<String, Value>, elements: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for value in elements.iter().filter_map(|element| object.get(*element)) {
        add_codings(value, &mut found);
    }
    found
}

fn add_codings(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(code) => {
            found.insert(format!("|{code}"));
        }
        Value::Array(items) => items.iter().for_each(|item| add_codings(item, found)),
        Value::Object(object) => {
            if let Some(codings) = object.get("coding") {
                add_codings(codings, found);
            }
            if let Some(code) = object.get("code").and_then(Value::as_str) {
                let system = object
                    .get("system")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                found.insert(format!("{system}|{code}"));
            }
        }
        _ => {}
    }
}

fn author_at(object: &Map<String, Value>, path: &[&str]) -> Option<String> {
    let (first, rest) = path.split_first()?;
    let value = match object.get(*first)? {
        Value::Array(items) => items.first()?,
        value => value,
    };
    if !rest.is_empty() {
        return author_at(value.as_object()?, rest);
    }
    named(value)
}

/// Whom a reference names.
fn named(value: &Value) -> Option<String> {
    if let Some(reference) = value.get("reference").and_then(Value::as_str) {
        return Some(reference.to_owned());
    }
    let identifier = value.get("identifier")?;
    let system = identifier
        .get("system")
        .and_then(Value::as_str)
        .unwrap_or_default();
    Some(format!("{system}|{}", identifier.get("value")?.as_str()?))
}

fn period_of(object: &Map<String, Value>, elements: &[&str]) -> Option<TimeSpan> {
    let spans = elements
        .iter()
        .filter_map(|element| match object.get(*element)? {
            Value::String(text) => TimeSpan::parse(text),
            Value::Object(period) => {
                let text = |name: &str| period.get(name).and_then(Value::as_str);
                TimeSpan::between(text("start"), text("end"))
            }
            _ => None,
        });
    spans.reduce(TimeSpan::hull)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facts(value: Value) -> DisclosureFacts {
        DisclosureFacts::of(&Resource::from_value(value).unwrap())
    }

    #[test]
    fn facts_of_a_laboratory_result() {
        let found = facts(json!({"resourceType": "Observation", "status": "final",
            "category": [{"coding": [{"system": "http://c.org", "code": "laboratory"}]}],
            "code": {"coding": [{"system": "http://loinc.org", "code": "55277-8"}, {"code": "own"}]},
            "subject": {"reference": "Patient/1"}, "performer": [{"reference": "Practitioner/7"}],
            "effectiveDateTime": "1970-01-02", "issued": "1990-01-01T00:00:00Z"}));
        let set = |items: &[&str]| {
            items
                .iter()
                .map(|it| (*it).to_owned())
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(found.categories, set(&["http://c.org|laboratory"]));
        assert_eq!(found.codes, set(&["http://loinc.org|55277-8", "|own"]));
        assert_eq!(found.labels, set(&["HIV", "R"]));
        assert_eq!(found.author.as_deref(), Some("Practitioner/7"));
        assert!(found.period == TimeSpan::parse("1970-01-02"));
        let bytes = minicbor::to_vec(&found).unwrap();
        assert!(minicbor::decode::<DisclosureFacts>(&bytes).unwrap() == found);
        assert_eq!(format!("{found:?}"), "DisclosureFacts(Observation)");
    }

    #[test]
    fn facts_of_an_encounter_and_a_condition() {
        let found = facts(json!({"resourceType": "Encounter", "status": "finished",
            "class": {"system": "http://a.org", "code": "IMP"}, "type": [{"coding": [{"code": "t"}]}],
            "participant": [{"individual": {"identifier": {"system": "npi", "value": "9"}}}],
            "period": {"start": "2020"}}));
        assert!(found.categories.contains("http://a.org|IMP") && found.codes.contains("|t"));
        assert_eq!(found.author.as_deref(), Some("npi|9"));
        assert_eq!(found.period.unwrap().end_ms, i64::MAX);
        let found = facts(
            json!({"resourceType": "Condition", "subject": {"reference": "Patient/1"},
            "onsetDateTime": "2020-01-01", "abatementDateTime": "2020-03-01"}),
        );
        assert!(found.period == TimeSpan::between(Some("2020-01-01"), Some("2020-03-01")));
        assert!(
            facts(json!({"resourceType": "Patient", "id": "1"}))
                .period
                .is_none()
        );
    }
}
