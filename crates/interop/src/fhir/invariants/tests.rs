use serde_json::json;

use super::*;

fn keys(value: serde_json::Value) -> Vec<(String, String)> {
    let resource = Resource::from_value(value).unwrap();
    violations(&resource)
        .iter()
        .filter(|violation| violation.weight != Weight::BestPractice)
        .map(|violation| (violation.key.to_owned(), violation.path.to_string()))
        .collect()
}

fn observation() -> serde_json::Value {
    json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}})
}

#[test]
fn every_line_of_the_table_is_an_invariant() {
    let lines = include_str!("../data/invariants.txt").lines();
    let lines: Vec<&str> = lines.filter(|line| !line.starts_with('#')).collect();
    for line in &lines {
        let key = line.split('\t').nth(1).unwrap();
        assert!(read(line).is_some() || NATIVE.contains(&key), "{line}");
    }
    let native = lines.iter().filter(|line| read(line).is_none()).count();
    let compiled: usize = TABLE.by_place.values().map(Vec::len).sum();
    assert_eq!(compiled + native, lines.len());
}

#[test]
fn what_r4_demands_is_demanded_where_it_stands() {
    assert_eq!(keys(observation()), []);
    let mut both = observation();
    both["dataAbsentReason"] = json!({"text": "asked"});
    both["valueString"] = json!("x");
    let at_root = |key: &str| vec![(key.to_owned(), "Observation".to_owned())];
    assert_eq!(keys(both), at_root("obs-6"));
    let mut component = observation();
    component["code"] = json!({"coding": [{"system": "s", "code": "c"}]});
    component["component"] = json!([{"code": {"coding": [{"system": "s", "code": "c"}]}}]);
    assert_eq!(keys(component.clone()), []);
    component["valueInteger"] = json!(3);
    assert_eq!(keys(component), at_root("obs-7"));
}

#[test]
fn invariants_of_datatypes_elements_and_extensions_have_their_path() {
    let mut observation = observation();
    observation["effectivePeriod"] = json!({"start": "2026-02", "end": "2026-01"});
    observation["referenceRange"] = json!([{"text": "x"}, {"age": {"low": {"value": 1}}}]);
    observation["extension"] = json!([{"url": "u"}, {"url": "u", "valueBoolean": false}]);
    observation["note"] = json!([{"text": "x", "_time": {"id": "only"}}]);
    let expected = [
        ("per-1", "Observation.effectivePeriod"),
        ("obs-3", "Observation.referenceRange[1]"),
        ("ext-1", "Observation.extension[0]"),
        ("ele-1", "Observation.note[0].time"),
    ];
    let expected: Vec<(String, String)> = expected
        .iter()
        .map(|(key, path)| ((*key).to_owned(), (*path).to_owned()))
        .collect();
    assert_eq!(keys(observation), expected);
    let organization = json!({"resourceType": "Organization", "name": "x",
        "address": [{"use": "home", "text": "x"}]});
    let at = "Organization.address[0]".to_owned();
    assert_eq!(keys(organization), [("org-2".to_owned(), at)]);
}

#[test]
fn a_contained_resource_is_referred_to() {
    let mut observation = observation();
    observation["contained"] = json!([{"resourceType": "Patient", "id": "p"}]);
    let at = "Observation.contained[0]".to_owned();
    assert_eq!(keys(observation.clone()), [("dom-3".to_owned(), at)]);
    observation["subject"] = json!({"reference": "#p"});
    assert_eq!(keys(observation.clone()), []);
    observation["contained"][0]["meta"] = json!({"versionId": "1"});
    assert_eq!(keys(observation.clone())[0].0, "dom-4");
    observation["subject"] = json!({"reference": "#q"});
    let found: Vec<String> = keys(observation).into_iter().map(|(key, _)| key).collect();
    assert_eq!(found, ["ref-1", "dom-3", "dom-4"]);
}

#[test]
fn narrative_is_a_matter_of_good_practice() {
    let resource = Resource::from_value(observation()).unwrap();
    let found = violations(&resource);
    assert_eq!((found.len(), found[0].key), (1, "dom-6"));
    assert_eq!(found[0].issue().severity, Severity::Warning);
}
