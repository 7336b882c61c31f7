//! The codes of a `CodeSystem`, and which subsume which.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::fhir::Resource;

/// Codes with those directly above them.
pub(super) struct CodeSystem {
    above: BTreeMap<String, BTreeSet<String>>,
    /// Whether what is above a code subsumes it.
    is_hierarchy: bool,
}

impl CodeSystem {
    /// `None` if the resource does not have all codes of the system.
    pub(super) fn of(resource: &Resource) -> Option<Self> {
        let text = |name| resource.get(name).and_then(Value::as_str);
        if text("content") != Some("complete") {
            return None;
        }
        let mut system = Self {
            above: BTreeMap::new(),
            is_hierarchy: text("hierarchyMeaning").is_none_or(|meaning| meaning == "is-a"),
        };
        system.take(resource.get("concept"), None);
        Some(system)
    }

    pub(super) fn all(&self) -> BTreeSet<String> {
        self.above.keys().cloned().collect()
    }

    /// The code and all that it subsumes; `None` if that is not known.
    pub(super) fn below(&self, code: &str) -> Option<BTreeSet<String>> {
        let mut below: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (code, above) in &self.above {
            for above in above {
                below.entry(above).or_default().push(code);
            }
        }
        self.reached(code, |code| below.get(code).cloned().unwrap_or_default())
    }

    /// The code and all that subsume it; `None` if that is not known.
    pub(super) fn above(&self, code: &str) -> Option<BTreeSet<String>> {
        self.reached(code, |code| {
            let above = self.above.get(code).into_iter().flatten();
            above.map(String::as_str).collect()
        })
    }

    fn reached<'a>(
        &'a self,
        code: &str,
        next: impl Fn(&str) -> Vec<&'a str>,
    ) -> Option<BTreeSet<String>> {
        let (first, _) = self
            .above
            .get_key_value(code)
            .filter(|_| self.is_hierarchy)?;
        let mut reached = BTreeSet::new();
        let mut open = vec![first.as_str()];
        while let Some(code) = open.pop() {
            if reached.insert(code.to_owned()) {
                open.extend(next(code));
            }
        }
        Some(reached)
    }

    /// Takes concepts, with those within them and what their properties say.
    fn take(&mut self, concepts: Option<&Value>, holder: Option<&str>) {
        for concept in concepts.and_then(Value::as_array).into_iter().flatten() {
            let Some(code) = concept.get("code").and_then(Value::as_str) else {
                continue;
            };
            let above = self.above.entry(code.to_owned()).or_default();
            above.extend(holder.map(str::to_owned));
            let properties = concept.get("property").and_then(Value::as_array);
            for property in properties.into_iter().flatten() {
                let text = |name| property.get(name).and_then(Value::as_str);
                let (Some(name), Some(other)) = (text("code"), text("valueCode")) else {
                    continue;
                };
                match name {
                    "parent" | "subsumedBy" => {
                        self.link(code, other);
                    }
                    "child" => self.link(other, code),
                    _ => {}
                }
            }
            self.take(concept.get("concept"), Some(code));
        }
    }

    fn link(&mut self, code: &str, above: &str) {
        let of_it = self.above.entry(code.to_owned()).or_default();
        of_it.insert(above.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn system(body: &Value) -> Option<CodeSystem> {
        let mut value =
            json!({"resourceType": "CodeSystem", "status": "active", "content": "complete"});
        let object = value.as_object_mut().unwrap();
        object.extend(body.as_object().unwrap().clone());
        CodeSystem::of(&Resource::from_value(value).unwrap())
    }

    fn shown(codes: Option<BTreeSet<String>>) -> String {
        codes.map_or("?".to_owned(), |codes| {
            codes.into_iter().collect::<Vec<_>>().join(" ")
        })
    }

    #[test]
    fn codes_are_subsumed_by_what_holds_them_and_what_they_name() {
        let concepts = json!({"concept": [
            {"code": "a", "concept": [{"code": "b", "concept": [{"code": "c"}]}],
                "property": [{"code": "child", "valueCode": "e"}]},
            {"code": "d", "property": [{"code": "subsumedBy", "valueCode": "b"}, {"code": "notes", "valueCode": "a"}]},
            {"code": "e", "property": [{"code": "parent", "valueCode": "d"}]}]});
        let system = system(&concepts).unwrap();
        for (code, below, above) in [
            ("a", "a b c d e", "a"),
            ("b", "b c d e", "a b"),
            ("d", "d e", "a b d"),
            ("e", "e", "a b d e"),
            ("x", "?", "?"),
        ] {
            assert_eq!(shown(system.below(code)), below, "{code}");
            assert_eq!(shown(system.above(code)), above, "{code}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        assert!(system(&json!({"content": "fragment", "concept": [{"code": "a"}]})).is_none());
        let parts = json!({"hierarchyMeaning": "part-of", "concept": [{"code": "a", "concept": [{"code": "b"}]}]});
        let parts = system(&parts).unwrap();
        assert!(parts.below("a").is_none() && parts.above("b").is_none());
        assert_eq!(parts.all().len(), 2);
        // Each above the other.
        let round = json!({"concept": [{"code": "a", "property": [{"code": "parent", "valueCode": "b"}]},
            {"code": "b", "property": [{"code": "parent", "valueCode": "a"}]}]});
        assert_eq!(shown(system(&round).unwrap().below("a")), "a b");
    }
}
