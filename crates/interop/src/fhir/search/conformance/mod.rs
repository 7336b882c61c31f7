//! What of R4 search works, as a table of examples; each is tried.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Handling, IndexTerms, Query, Scope, TokenTerm, ValueSets};
use crate::fhir::{Resource, ResourceType};

/// One value set, and one hierarchy: `LP1` above `718-7` above `child`.
struct Few;

impl ValueSets for Few {
    fn codes(&self, url: &str) -> Option<Vec<TokenTerm>> {
        let code = TokenTerm {
            system: Some("http://loinc.org".to_owned()),
            code: "718-7".to_owned(),
        };
        (url == "http://example.org/known").then(|| vec![code])
    }

    fn below(&self, system: &str, code: &str) -> Option<Vec<String>> {
        let is_known = system == "http://loinc.org" && code == "LP1";
        is_known.then(|| ["LP1", "718-7", "child"].map(str::to_owned).to_vec())
    }

    fn above(&self, system: &str, code: &str) -> Option<Vec<String>> {
        let is_known = system == "http://loinc.org" && code == "child";
        is_known.then(|| ["LP1", "718-7", "child"].map(str::to_owned).to_vec())
    }
}

fn outcome(example: &str, resources: &BTreeMap<String, Resource>) -> String {
    let (kind, pairs) = example.split_once('?').unwrap();
    let resource = &resources[kind];
    let pairs = pairs.split('&').map(|pair| pair.split_once('=').unwrap());
    let pairs: Vec<_> = pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let scope = Scope::Type(ResourceType::parse(kind).unwrap());
    match Query::read(&scope, &pairs, Handling::Strict, &Few) {
        Err(refusal) => format!("refused: {}", refusal.problem),
        Ok(query) => {
            let terms = IndexTerms::with_content(resource);
            let is_found = query.matches(&terms, 1_000, resource.id().unwrap());
            if is_found { "finds" } else { "misses" }.to_owned()
        }
    }
}

#[test]
fn each_example_of_the_table_does_what_the_table_says() {
    let values: Vec<Value> = serde_json::from_str(include_str!("resources.json")).unwrap();
    let resources: BTreeMap<String, Resource> = values
        .into_iter()
        .map(|value| Resource::from_value(value).unwrap())
        .map(|resource| (resource.resource_type().to_string(), resource))
        .collect();
    let lines = include_str!("table.txt")
        .lines()
        .filter(|line| !line.starts_with('#'));
    let mut wrong = Vec::new();
    for line in lines {
        let columns: Vec<&str> = line.split(" | ").collect();
        let [_, _, example, expected] = columns.as_slice() else {
            panic!("{line}");
        };
        let found = outcome(example, &resources);
        if found != *expected {
            wrong.push(format!("{line}: {found}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
