//! `_summary` and `_elements` on what is read: <https://hl7.org/fhir/R4/search.html#summary>.

use serde_json::{Map, Value, json};

use crate::http::pairs_of;
use crate::problem::Problem;

/// How much of a resource is answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    summary: Summary,
    elements: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Summary {
    #[default]
    Whole,
    /// Narrative, and what is mandatory.
    Text,
    /// All but narrative.
    Data,
}

/// What every resource keeps.
const ALWAYS: [&str; 4] = ["resourceType", "id", "meta", "implicitRules"];

impl Shape {
    /// The shape that the parameters of a URL ask for.
    pub(crate) fn of(query: &str) -> Result<Self, Problem> {
        let mut shape = Self::default();
        for (name, value) in pairs_of(query) {
            match name.as_str() {
                "_summary" => {
                    shape.summary = match value.as_str() {
                        "false" => Summary::Whole,
                        "text" => Summary::Text,
                        // R4 lets a server answer more than the summary elements.
                        "true" | "data" => Summary::Data,
                        _ => return Err(malformed("_summary")),
                    };
                }
                "_elements" => {
                    for element in value.split(',') {
                        let is_name = !element.is_empty()
                            && element.bytes().all(|byte| byte.is_ascii_alphanumeric());
                        if !is_name {
                            return Err(malformed("_elements"));
                        }
                        shape.elements.push(element.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(shape)
    }

    /// The resource in this shape, tagged as such if something was left out.
    pub(crate) fn apply(&self, resource: Value) -> Value {
        let Value::Object(object) = resource else {
            return resource;
        };
        if self.is_whole() {
            return object.into();
        }
        let mut kept: Map<String, Value> = object
            .into_iter()
            .filter(|(name, _)| self.keeps(name.trim_start_matches('_')))
            .collect();
        tag(&mut kept);
        kept.into()
    }

    fn is_whole(&self) -> bool {
        self.summary == Summary::Whole && self.elements.is_empty()
    }

    fn keeps(&self, name: &str) -> bool {
        if ALWAYS.contains(&name) {
            return true;
        }
        if !self.elements.is_empty() {
            return self.elements.iter().any(|element| element == name);
        }
        match self.summary {
            Summary::Whole => true,
            Summary::Text => {
                ["text", "status", "code", "type", "subject", "patient"].contains(&name)
            }
            Summary::Data => name != "text",
        }
    }
}

fn tag(kept: &mut Map<String, Value>) {
    let subsetted = json!({
        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "code": "SUBSETTED",
    });
    match kept.get_mut("meta") {
        Some(Value::Object(meta)) => match meta.get_mut("tag") {
            Some(Value::Array(tags)) => tags.push(subsetted),
            _ => {
                meta.insert("tag".to_owned(), json!([subsetted]));
            }
        },
        _ => {
            kept.insert("meta".to_owned(), json!({ "tag": [subsetted] }));
        }
    }
}

fn malformed(name: &'static str) -> Problem {
    Problem::malformed(format!(
        "the parameter `{name}` has a value of another form"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(query: &str) -> Vec<String> {
        let resource = json!({
            "resourceType": "Patient", "id": "1", "meta": {"versionId": "1"}, "text": {},
            "gender": "female", "birthDate": "1970-01-01", "_birthDate": {},
        });
        let shaped = Shape::of(query).unwrap().apply(resource);
        shaped.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn what_was_not_asked_for_is_left_out_and_said() {
        assert_eq!(
            names("_elements=birthDate"),
            ["resourceType", "id", "meta", "birthDate", "_birthDate"]
        );
        assert_eq!(
            names("_summary=text"),
            ["resourceType", "id", "meta", "text"]
        );
        assert!(!names("_summary=data").contains(&"text".to_owned()));
        assert_eq!(names("_summary=false").len(), 7);
        let shaped = Shape::of("_summary=data").unwrap();
        let shaped = shaped.apply(json!({"resourceType": "Patient"}));
        assert_eq!(shaped["meta"]["tag"][0]["code"], "SUBSETTED");
        for wrong in ["_summary=some", "_elements=", "_elements=a-b"] {
            assert!(Shape::of(wrong).is_err(), "{wrong}");
        }
    }
}
