//! `_summary` and `_elements` on what is read: <https://hl7.org/fhir/R4/search.html#summary>.

use interop::fhir::search::{Summary, summarized};
use serde_json::Value;

use crate::http::pairs_of;
use crate::problem::Problem;

/// How much of a resource is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    summary: Summary,
    elements: Vec<String>,
}

impl Default for Shape {
    /// All of it.
    fn default() -> Self {
        Self {
            summary: Summary::False,
            elements: Vec::new(),
        }
    }
}

impl Shape {
    /// The shape that the parameters of a URL ask for.
    pub(crate) fn of(query: &str) -> Result<Self, Problem> {
        let mut shape = Self::default();
        for (name, value) in pairs_of(query) {
            match name.as_str() {
                "_summary" => {
                    let summary = Summary::with_code(&value);
                    // What is read is one, and not counted.
                    let summary = summary.filter(|summary| *summary != Summary::Count);
                    shape.summary = summary.ok_or_else(|| malformed("_summary"))?;
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
        summarized(resource, self.summary, &self.elements)
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
    use serde_json::json;

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
        let shaped = Shape::of("_summary=true").unwrap();
        let patient = json!({"resourceType": "Patient", "meta": {}, "gender": "female", "photo": [{"title": "front"}]});
        let shaped = shaped.apply(patient);
        assert_eq!(shaped["meta"]["tag"][0]["code"], "SUBSETTED");
        assert_eq!(
            (&shaped["gender"], shaped.get("photo")),
            (&json!("female"), None)
        );
        for wrong in [
            "_summary=some",
            "_summary=count",
            "_elements=",
            "_elements=a-b",
        ] {
            assert!(Shape::of(wrong).is_err(), "{wrong}");
        }
    }
}
