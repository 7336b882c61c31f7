//! What a query needs to know of terminologies (`:in`, `:not-in`, `:above`, `:below`).

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::terms::TokenTerm;
use crate::fhir::Resource;

/// Knows value sets and the hierarchies of code systems.
pub trait ValueSets {
    /// The codes of a value set; `None` if it is not known.
    fn codes(&self, url: &str) -> Option<Vec<TokenTerm>>;

    /// The code and all that it subsumes; `None` if the hierarchy is not known.
    fn below(&self, system: &str, code: &str) -> Option<Vec<String>>;

    /// The code and all that subsume it; `None` if the hierarchy is not known.
    fn above(&self, system: &str, code: &str) -> Option<Vec<String>>;
}

/// Knows no terminology.
#[derive(Debug, Clone, Copy)]
pub struct NoValueSets;

impl ValueSets for NoValueSets {
    fn codes(&self, _: &str) -> Option<Vec<TokenTerm>> {
        None
    }

    fn below(&self, _: &str, _: &str) -> Option<Vec<String>> {
        None
    }

    fn above(&self, _: &str, _: &str) -> Option<Vec<String>> {
        None
    }
}

/// Value sets that list their codes one by one, by their URLs.
#[derive(Default)]
pub struct ListedValueSets(BTreeMap<String, Vec<TokenTerm>>);

impl ListedValueSets {
    /// Takes a `ValueSet`, if its expansion or its definition lists every code.
    pub fn add(&mut self, value_set: &Resource) {
        let url = value_set.get("url").and_then(Value::as_str);
        let expanded = value_set.get("expansion").map(expansion);
        let codes = expanded.or_else(|| value_set.get("compose").and_then(composed));
        if let Some((url, codes)) = url.zip(codes) {
            self.0.insert(url.to_owned(), codes);
        }
    }
}

impl ValueSets for ListedValueSets {
    fn codes(&self, url: &str) -> Option<Vec<TokenTerm>> {
        self.0.get(url).cloned()
    }

    fn below(&self, _: &str, _: &str) -> Option<Vec<String>> {
        None
    }

    fn above(&self, _: &str, _: &str) -> Option<Vec<String>> {
        None
    }
}

impl fmt::Debug for ListedValueSets {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ListedValueSets({} value sets)", self.0.len())
    }
}

/// The codes of an expansion, those below others too.
fn expansion(value: &Value) -> Vec<TokenTerm> {
    let mut codes = Vec::new();
    for one in items(value, "contains") {
        let is_abstract = one.get("abstract").and_then(Value::as_bool) == Some(true);
        let system = one.get("system").and_then(Value::as_str);
        codes.extend(code_of(one, system).filter(|_| !is_abstract));
        codes.extend(expansion(one));
    }
    codes
}

/// The codes of a definition; `None` if it names any by a filter, another value set or a whole code system.
fn composed(value: &Value) -> Option<Vec<TokenTerm>> {
    let mut codes = Vec::new();
    for include in items(value, "include") {
        codes.extend(listed(include)?);
    }
    for exclude in items(value, "exclude") {
        let excluded = listed(exclude)?;
        codes.retain(|code| !excluded.contains(code));
    }
    Some(codes)
}

fn listed(part: &Value) -> Option<Vec<TokenTerm>> {
    let is_listed = part.get("filter").is_none() && part.get("valueSet").is_none();
    let system = part.get("system").and_then(Value::as_str)?;
    let concepts = part.get("concept").filter(|_| is_listed)?.as_array()?;
    let codes = concepts
        .iter()
        .map(|concept| code_of(concept, Some(system)));
    codes.collect()
}

fn code_of(concept: &Value, system: Option<&str>) -> Option<TokenTerm> {
    Some(TokenTerm {
        system: system.map(str::to_owned),
        code: concept.get("code").and_then(Value::as_str)?.to_owned(),
    })
}

fn items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    let items = value.get(name).and_then(Value::as_array);
    items.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn codes(body: &Value) -> Option<Vec<String>> {
        let mut resource = json!({"resourceType": "ValueSet", "status": "active", "url": "urn:v"});
        let object = resource.as_object_mut().unwrap();
        object.extend(body.as_object().unwrap().clone());
        let mut listed = ListedValueSets::default();
        listed.add(&Resource::from_value(resource).unwrap());
        assert!(listed.codes("urn:other").is_none());
        let codes = listed.codes("urn:v")?;
        let shown = codes
            .into_iter()
            .map(|one| format!("{}|{}", one.system.unwrap(), one.code));
        Some(shown.collect())
    }

    #[test]
    fn value_sets_count_that_list_their_codes() {
        let include = json!({"system": "urn:s", "concept": [{"code": "a"}, {"code": "b"}]});
        let all = vec!["urn:s|a".to_owned(), "urn:s|b".to_owned()];
        assert_eq!(
            codes(&json!({"compose": {"include": [include]}})),
            Some(all.clone())
        );
        let exclude = json!([{"system": "urn:s", "concept": [{"code": "a"}]}]);
        let less = json!({"compose": {"include": [include], "exclude": exclude}});
        assert_eq!(codes(&less), Some(all[1..].to_vec()));
        let expanded = json!({"compose": {"include": [{"system": "urn:s"}]}, "expansion": {
            "timestamp": "2026-01-01", "contains": [{"system": "urn:s", "code": "top", "abstract": true,
                "contains": [{"system": "urn:s", "code": "a"}]}, {"system": "urn:s", "code": "b"}]}});
        assert_eq!(codes(&expanded), Some(all));
        for unlisted in [
            json!({"system": "urn:s"}),
            json!({"valueSet": ["urn:w"]}),
            json!({"system": "urn:s", "filter": [{"property": "p", "op": "=", "value": "v"}]}),
        ] {
            assert_eq!(codes(&json!({"compose": {"include": [unlisted]}})), None);
        }
        assert_eq!(codes(&json!({})), None);
    }
}
