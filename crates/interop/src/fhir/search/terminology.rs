//! The value sets and code systems that are kept beside the records, as queries use them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::code_system::CodeSystem;
use super::expression::{Expression, Operator};
use super::filter_reader::FILTER;
use super::terms::TokenTerm;
use super::value_sets::ValueSets;
use crate::fhir::Resource;

/// Canonical URLs that a query names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Terminologies {
    /// Of value sets.
    pub value_sets: BTreeSet<String>,
    /// Of code systems.
    pub code_systems: BTreeSet<String>,
}

impl Terminologies {
    /// What the parameters name by `:in`, `:not-in`, `:above` and `:below`, and within `_filter`.
    pub fn named(pairs: &[(String, String)]) -> Self {
        let mut named = Self::default();
        for (name, value) in pairs {
            let modifier = name.rsplit_once(':').map(|(_, modifier)| modifier);
            match modifier {
                Some("in" | "not-in") => {
                    named.value_sets.extend(value.split(',').map(str::to_owned));
                }
                Some("above" | "below") => value.split(',').for_each(|code| named.add_code(code)),
                None if name == FILTER => named.add_expression(value),
                _ => {}
            }
        }
        named
    }

    fn add_expression(&mut self, text: &str) {
        let expression = Expression::parse(text).ok();
        for one in expression.iter().flat_map(Expression::comparisons) {
            match one.operator {
                Operator::In | Operator::Ni => {
                    self.value_sets.insert(one.value.clone());
                }
                Operator::Ss | Operator::Sb => self.add_code(&one.value),
                _ => {}
            }
        }
    }

    fn add_code(&mut self, token: &str) {
        let system = token.split_once('|').map(|(system, _)| system.to_owned());
        self.code_systems.extend(system);
    }
}

/// Value sets and code systems by their URLs.
#[derive(Default)]
pub struct Terminology {
    value_sets: BTreeMap<String, Resource>,
    code_systems: BTreeMap<String, CodeSystem>,
}

impl Terminology {
    /// Takes a `ValueSet`.
    pub fn add_value_set(&mut self, value_set: Resource) {
        if let Some(url) = value_set.get("url").and_then(Value::as_str) {
            self.value_sets.insert(url.to_owned(), value_set);
        }
    }

    /// Takes a `CodeSystem`, if it has all of its codes.
    pub fn add_code_system(&mut self, code_system: &Resource) {
        let url = code_system.get("url").and_then(Value::as_str);
        if let Some((url, codes)) = url.zip(CodeSystem::of(code_system)) {
            self.code_systems.insert(url.to_owned(), codes);
        }
    }

    /// The code systems from which the value sets choose codes, without listing them.
    pub fn code_systems_chosen_from(&self) -> BTreeSet<String> {
        let compositions = self.value_sets.values().filter_map(composition);
        let parts = compositions.flat_map(|it| items(it, "include").chain(items(it, "exclude")));
        let unlisted = parts.filter(|part| part.get("concept").is_none());
        let systems = unlisted.filter_map(|part| part.get("system").and_then(Value::as_str));
        systems.map(str::to_owned).collect()
    }

    /// The codes of a definition; `None` if it names any by other value sets, by properties, or from a system that is
    /// not known.
    fn composed(&self, composition: &Value) -> Option<Vec<TokenTerm>> {
        let mut codes = Vec::new();
        for include in items(composition, "include") {
            codes.extend(self.chosen(include)?);
        }
        for exclude in items(composition, "exclude") {
            let excluded = self.chosen(exclude)?;
            codes.retain(|code| !excluded.contains(code));
        }
        Some(codes)
    }

    fn chosen(&self, part: &Value) -> Option<Vec<TokenTerm>> {
        let system = part.get("system").and_then(Value::as_str)?;
        if part.get("valueSet").is_some() {
            return None;
        }
        let filters: Vec<&Value> = items(part, "filter").collect();
        if let Some(concepts) = part.get("concept").filter(|_| filters.is_empty()) {
            let concepts = concepts.as_array()?.iter();
            return concepts
                .map(|concept| code_of(concept, Some(system)))
                .collect();
        }
        let known = self.code_systems.get(system)?;
        let mut left = known.all();
        for filter in filters {
            let of_it = filtered(known, filter)?;
            left.retain(|code| of_it.contains(code));
        }
        let token = |code| TokenTerm {
            system: Some(system.to_owned()),
            code,
        };
        Some(left.into_iter().map(token).collect())
    }
}

impl ValueSets for Terminology {
    fn codes(&self, url: &str) -> Option<Vec<TokenTerm>> {
        let value_set = self.value_sets.get(url)?;
        match value_set.get("expansion") {
            Some(expanded) => Some(expansion(expanded)),
            None => self.composed(composition(value_set)?),
        }
    }

    fn below(&self, system: &str, code: &str) -> Option<Vec<String>> {
        let found = self.code_systems.get(system)?.below(code)?;
        Some(found.into_iter().collect())
    }

    fn above(&self, system: &str, code: &str) -> Option<Vec<String>> {
        let found = self.code_systems.get(system)?.above(code)?;
        Some(found.into_iter().collect())
    }
}

impl fmt::Debug for Terminology {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sets, systems) = (self.value_sets.len(), self.code_systems.len());
        write!(
            out,
            "Terminology({sets} value sets, {systems} code systems)"
        )
    }
}

fn composition(value_set: &Resource) -> Option<&Value> {
    value_set.get("compose")
}

/// The codes that a filter by the hierarchy leaves.
fn filtered(system: &CodeSystem, filter: &Value) -> Option<BTreeSet<String>> {
    let text = |name| filter.get(name).and_then(Value::as_str);
    if text("property") != Some("concept") {
        return None;
    }
    let code = text("value")?;
    let mut below = system.below(code)?;
    match text("op")? {
        "is-a" => Some(below),
        "descendent-of" => {
            below.remove(code);
            Some(below)
        }
        "is-not-a" => {
            let mut all = system.all();
            all.retain(|code| !below.contains(code));
            Some(all)
        }
        _ => None,
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

    fn resource(mut value: Value, body: &Value) -> Resource {
        let object = value.as_object_mut().unwrap();
        object.extend(body.as_object().unwrap().clone());
        Resource::from_value(value).unwrap()
    }

    /// `top` above `middle` above `leaf`, and `alone`.
    fn known() -> Terminology {
        let mut known = Terminology::default();
        let system = json!({"content": "complete", "concept": [
            {"code": "top", "concept": [{"code": "middle"}]}, {"code": "alone"},
            {"code": "leaf", "property": [{"code": "parent", "valueCode": "middle"}]}]});
        let head = json!({"resourceType": "CodeSystem", "status": "active", "url": "urn:h"});
        known.add_code_system(&resource(head, &system));
        known
    }

    fn codes(body: &Value) -> Option<Vec<String>> {
        let mut known = known();
        let head = json!({"resourceType": "ValueSet", "status": "active", "url": "urn:v"});
        known.add_value_set(resource(head, body));
        assert!(known.codes("urn:other").is_none());
        let shown = known.codes("urn:v")?.into_iter();
        let shown = shown.map(|one| format!("{}|{}", one.system.unwrap(), one.code));
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
            json!({"system": "urn:h", "filter": [{"property": "p", "op": "is-a", "value": "top"}]}),
            json!({"system": "urn:h", "filter": [{"property": "concept", "op": "is-a", "value": "x"}]}),
            json!({"system": "urn:h", "filter": [{"property": "concept", "op": "regex", "value": "top"}]}),
        ] {
            assert_eq!(codes(&json!({"compose": {"include": [unlisted]}})), None);
        }
        assert_eq!(codes(&json!({})), None);
    }

    #[test]
    fn value_sets_choose_from_code_systems_that_are_known() {
        let by = |op: &str, value: &str| json!({"system": "urn:h", "filter": [{"property": "concept", "op": op, "value": value}]});
        for (include, expected) in [
            (json!({"system": "urn:h"}), "alone leaf middle top"),
            (by("is-a", "middle"), "leaf middle"),
            (by("descendent-of", "top"), "leaf middle"),
            (by("is-not-a", "middle"), "alone top"),
        ] {
            let body = json!({"compose": {"include": [include]}});
            let found = codes(&body).unwrap().join(" ").replace("urn:h|", "");
            assert_eq!(found, expected, "{include}");
        }
        let mut known = known();
        let body = json!({"compose": {"include": [by("is-a", "top")]}});
        let head = json!({"resourceType": "ValueSet", "status": "active", "url": "urn:v"});
        known.add_value_set(resource(head, &body));
        assert_eq!(
            known.code_systems_chosen_from(),
            BTreeSet::from(["urn:h".to_owned()])
        );
    }

    #[test]
    fn queries_name_what_they_need() {
        let pairs = [
            ("code:in", "urn:a,urn:b"),
            ("subject.code:not-in", "urn:c"),
            ("code:below", "urn:s|x,y"),
            (
                "_filter",
                "code in urn:d and (code ss urn:t|z or code eq urn:u|v)",
            ),
            ("code", "urn:n|x"),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let set = |urls: &str| urls.split(' ').map(str::to_owned).collect();
        let expected = Terminologies {
            value_sets: set("urn:a urn:b urn:c urn:d"),
            code_systems: set("urn:s urn:t"),
        };
        assert_eq!(Terminologies::named(&pairs), expected);
    }
}
