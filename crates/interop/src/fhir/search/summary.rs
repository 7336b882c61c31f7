//! Parts of resources: `_summary` and `_elements`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// How much of a resource is answered (`_summary`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the codes of R4")]
pub enum Summary {
    True,
    Text,
    Data,
    Count,
    False,
}

impl Summary {
    /// The value of `_summary`.
    pub fn with_code(code: &str) -> Option<Self> {
        Some(match code {
            "true" => Self::True,
            "text" => Self::Text,
            "data" => Self::Data,
            "count" => Self::Count,
            "false" => Self::False,
            _ => return None,
        })
    }
}

/// What every answer has, whatever is left out.
const ALWAYS: [&str; 3] = ["resourceType", "id", "meta"];

/// The elements of one type.
struct Shown {
    /// Without which a resource of the type is none.
    mandatory: Vec<&'static str>,
    /// Marked for summaries, at every depth.
    summary: BTreeSet<&'static str>,
}

/// The resource with these elements alone, and a tag that says that some are left out.
pub fn summarized(resource: Value, summary: Summary, elements: &[String]) -> Value {
    let is_whole = matches!(summary, Summary::False | Summary::Count) && elements.is_empty();
    let Value::Object(mut object) = resource else {
        return resource;
    };
    if is_whole {
        return object.into();
    }
    let name = object
        .get("resourceType")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let Some(shown) = TABLE.get(name) else {
        return object.into();
    };
    let before = object.clone();
    match summary {
        Summary::False | Summary::Count => {}
        Summary::True => prune(&mut object, "", shown),
        Summary::Text => object.retain(|name, _| shown.is_text(plain(name))),
        Summary::Data => object.retain(|name, _| name != "text"),
    }
    if !elements.is_empty() {
        object.retain(|name, _| {
            let name = plain(name);
            ALWAYS.contains(&name)
                || shown
                    .mandatory
                    .iter()
                    .any(|element| is_named(name, element))
                || elements.iter().any(|element| is_choice_or(name, element))
        });
    }
    if object != before {
        tag(&mut object);
    }
    object.into()
}

impl Shown {
    fn is_text(&self, name: &str) -> bool {
        ALWAYS.contains(&name)
            || name == "text"
            || self.mandatory.iter().any(|element| is_named(name, element))
    }
}

/// Leaves the elements of a summary; below an element with listed parts, those parts.
fn prune(object: &mut Map<String, Value>, above: &str, shown: &Shown) {
    object.retain(|name, value| {
        let name = plain(name);
        if above.is_empty() && ALWAYS.contains(&name) {
            return true;
        }
        let path = if above.is_empty() {
            name.to_owned()
        } else {
            format!("{above}.{name}")
        };
        let is_shown = shown.summary.contains(path.as_str())
            || shown
                .summary
                .iter()
                .any(|it| it.ends_with("[x]") && is_named(&path, it));
        let has_parts = shown.summary.range(path.as_str()..).any(|it| {
            it.strip_prefix(&path)
                .is_some_and(|rest| rest.starts_with('.'))
        });
        if is_shown && has_parts {
            prune_all(value, &path, shown);
        }
        is_shown
    });
}

fn prune_all(value: &mut Value, path: &str, shown: &Shown) {
    match value {
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| prune_all(item, path, shown)),
        Value::Object(object) => prune(object, path, shown),
        _ => {}
    }
}

fn plain(name: &str) -> &str {
    name.strip_prefix('_').unwrap_or(name)
}

/// Whether the name in JSON is the element's, or one of its choice.
fn is_named(name: &str, element: &str) -> bool {
    match element.strip_suffix("[x]") {
        None => name == element,
        Some(base) => is_choice_of(name, base),
    }
}

/// A client names a choice without its type.
fn is_choice_or(name: &str, element: &str) -> bool {
    name == element || is_choice_of(name, element)
}

fn is_choice_of(name: &str, base: &str) -> bool {
    name.strip_prefix(base)
        .is_some_and(|kind| kind.starts_with(|letter: char| letter.is_ascii_uppercase()))
}

fn tag(object: &mut Map<String, Value>) {
    let subsetted = json!({
        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "code": "SUBSETTED",
    });
    if let Some(Value::Object(meta)) = object.get_mut("meta") {
        match meta.get_mut("tag") {
            Some(Value::Array(tags)) => tags.push(subsetted),
            _ => {
                meta.insert("tag".to_owned(), json!([subsetted]));
            }
        }
    }
}

static TABLE: LazyLock<BTreeMap<&'static str, Shown>> = LazyLock::new(|| {
    let lines = include_str!("../data/summary-elements.txt").lines();
    let lines = lines.filter(|line| !line.starts_with('#'));
    let parts = |word: &'static str| word.split(',').filter(|part| *part != "-");
    lines
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (name, mandatory, summary) = (words.next()?, words.next()?, words.next()?);
            let mandatory = parts(mandatory).collect();
            Some((
                name,
                Shown {
                    mandatory,
                    summary: parts(summary).collect(),
                },
            ))
        })
        .collect()
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::ResourceType;

    fn names(value: &Value) -> Vec<&str> {
        value
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect()
    }

    fn patient() -> Value {
        json!({
            "resourceType": "Patient", "id": "1", "meta": {"versionId": "1"},
            "text": {"status": "generated", "div": "<div/>"},
            "gender": "female", "birthDate": "1970-01-01", "_birthDate": {}, "active": true,
            "deceasedBoolean": false, "maritalStatus": {"text": "x"},
            "link": [{"other": {"reference": "Patient/2"}, "type": "refer"}],
            "contact": [{"gender": "male"}],
        })
    }

    #[test]
    fn every_type_has_a_line() {
        assert!(ResourceType::all().all(|kind| TABLE.contains_key(kind.as_str())));
    }

    #[test]
    fn a_summary_has_what_r4_marks_so() {
        let summary = summarized(patient(), Summary::True, &[]);
        assert_eq!(
            names(&summary),
            [
                "resourceType",
                "id",
                "meta",
                "gender",
                "birthDate",
                "_birthDate",
                "active",
                "deceasedBoolean",
                "link"
            ]
        );
        assert_eq!(summary["meta"]["tag"][0]["code"], "SUBSETTED");
        let observation = json!({"resourceType": "Observation", "id": "1", "meta": {},
            "status": "final", "code": {"text": "x"}, "note": [{"text": "x"}],
            "effectiveDateTime": "2020",
            "component": [{"code": {"text": "x"}, "valueString": "y", "interpretation": []}]});
        let summary = summarized(observation, Summary::True, &[]);
        let expected = json!([{"code": {"text": "x"}, "valueString": "y"}]);
        assert_eq!(summary["component"], expected);
        assert_eq!(summary["effectiveDateTime"], "2020");
        assert!(summary.get("note").is_none());
    }

    #[test]
    fn text_and_data_are_each_others_rest() {
        let text = summarized(patient(), Summary::Text, &[]);
        assert_eq!(names(&text), ["resourceType", "id", "meta", "text"]);
        let data = summarized(patient(), Summary::Data, &[]);
        assert!(data.get("text").is_none() && data.get("contact").is_some());
    }

    #[test]
    fn elements_that_were_not_asked_for_are_left_out() {
        let kept = summarized(
            patient(),
            Summary::False,
            &["birthDate".to_owned(), "deceased".to_owned()],
        );
        assert_eq!(
            names(&kept),
            [
                "resourceType",
                "id",
                "meta",
                "birthDate",
                "_birthDate",
                "deceasedBoolean"
            ]
        );
        assert_eq!(kept["meta"]["tag"][0]["code"], "SUBSETTED");
        assert_eq!(summarized(patient(), Summary::False, &[]), patient());
    }
}
