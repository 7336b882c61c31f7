//! Spreading keeps every resource and every reference.

use std::collections::{BTreeMap, BTreeSet};

use interop::fhir::spread::{Role, SpreadError, spread};
use interop::fhir::transaction::plan;
use interop::fhir::{Checking, ParseLimits, Resource, reference};
use interop::synth::patient_bundle;
use serde_json::{Value, json};

fn entries(bundle: &Value) -> &[Value] {
    bundle["entry"].as_array().map_or(&[], Vec::as_slice)
}

fn kind(entry: &Value) -> &str {
    entry["resource"]["resourceType"].as_str().unwrap()
}

fn references(entry: &Value) -> Vec<(String, bool)> {
    let resource = Resource::from_value(entry["resource"].clone()).unwrap();
    let mut all = Vec::new();
    reference::walk(&resource, |found| {
        let logical = found
            .identifier()
            .filter(|(system, _)| *system == "urn:ietf:rfc:3986");
        let text = found
            .text()
            .or(logical.map(|(_, value)| value))
            .unwrap_or_default();
        all.push((text.to_owned(), found.text().is_none()));
    });
    all
}

fn check(name: &str, source: &Value) -> BTreeMap<Role, Value> {
    let parts = spread(source.clone()).unwrap();
    let mut homes: BTreeMap<&str, BTreeSet<Role>> = BTreeMap::new();
    for (role, part) in &parts {
        let mut new_id = {
            let mut next = 0;
            move || {
                next += 1;
                format!("{next}")
            }
        };
        let bundle = Resource::parse(part.to_string().as_bytes(), &ParseLimits::default()).unwrap();
        assert_eq!(
            plan(bundle, Checking::Strict, &mut new_id)
                .unwrap()
                .entries
                .len(),
            entries(part).len(),
            "{name}"
        );
        for entry in entries(part) {
            homes
                .entry(entry["fullUrl"].as_str().unwrap())
                .or_default()
                .insert(*role);
        }
    }
    assert_eq!(
        homes.len(),
        entries(source).len(),
        "{name}: every resource once"
    );
    let has_patient = entries(source).iter().any(|entry| kind(entry) == "Patient");
    for entry in entries(source) {
        let url = entry["fullUrl"].as_str().unwrap();
        let copied = matches!(kind(entry), "Patient" | "Practitioner" | "Organization");
        assert!(
            copied || homes[url].len() == 1,
            "{name}: {} twice",
            kind(entry)
        );
        if kind(entry) == "Patient" {
            assert_eq!(
                homes[url].len(),
                parts.len(),
                "{name}: the patient everywhere"
            );
        }
        for role in &homes[url] {
            let part = entries(&parts[role])
                .iter()
                .find(|it| it["fullUrl"] == url)
                .unwrap();
            check_references(name, entry, part, &homes, *role, &parts);
        }
    }
    assert_eq!(has_patient, parts.len() > 1, "{name}");
    parts
}

fn check_references(
    name: &str,
    before: &Value,
    after: &Value,
    homes: &BTreeMap<&str, BTreeSet<Role>>,
    role: Role,
    parts: &BTreeMap<Role, Value>,
) {
    let (before, after) = (references(before), references(after));
    assert_eq!(before.len(), after.len(), "{name}");
    for ((old, _), (new, is_logical)) in before.iter().zip(&after) {
        assert_eq!(old, new, "{name}: the target stays the same");
        let Some(targets) = homes.get(old.as_str()) else {
            continue;
        };
        assert_eq!(*is_logical, !targets.contains(&role), "{name}");
        if *is_logical {
            let home = targets.first().unwrap();
            let target = entries(&parts[home])
                .iter()
                .find(|it| it["fullUrl"] == old.as_str());
            let wanted = json!({"system": "urn:ietf:rfc:3986", "value": old});
            let identifiers = &target.unwrap()["resource"]["identifier"];
            assert!(identifiers.as_array().unwrap().contains(&wanted), "{name}");
        }
    }
}

#[test]
fn a_synthetic_record_is_spread_over_all_four() {
    for index in 0..12 {
        let parts = check("synth", &patient_bundle(1, index));
        assert_eq!(parts.len(), 4, "{index}");
        let counts = |role: Role| {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for entry in entries(&parts[&role]) {
                *counts.entry(kind(entry)).or_default() += 1;
            }
            counts
        };
        assert!(
            counts(Role::Laboratory)
                .keys()
                .all(|kind| { matches!(*kind, "Patient" | "Observation" | "DiagnosticReport") })
        );
        assert!(counts(Role::Payer).contains_key("ExplanationOfBenefit"));
        assert!(!counts(Role::Clinic).contains_key("Claim"));
        for (role, classes) in [
            (Role::Hospital, ["EMER", "IMP"]),
            (Role::Clinic, ["AMB", "AMB"]),
        ] {
            for entry in entries(&parts[&role])
                .iter()
                .filter(|it| kind(it) == "Encounter")
            {
                let class = entry["resource"]["class"]["code"].as_str().unwrap();
                assert!(classes.contains(&class), "{class}");
            }
        }
    }
}

#[test]
fn the_sample_data_is_spread_whole() {
    for (name, bytes) in crate::sample::bundles() {
        check(&name, &serde_json::from_slice(&bytes).unwrap());
    }
}

#[test]
fn a_small_fixture_is_spread_as_written() {
    let source: Value = serde_json::from_str(include_str!("../fixtures/one-day.json")).unwrap();
    let expected: Value =
        serde_json::from_str(include_str!("../fixtures/one-day-spread.json")).unwrap();
    let parts = check("one-day", &source);
    for role in Role::ALL {
        assert_eq!(
            parts.get(&role),
            expected.get(role.name()),
            "{}",
            role.name()
        );
    }
}

#[test]
fn what_is_no_bundle_is_refused() {
    assert_eq!(spread(json!([])).unwrap_err(), SpreadError::NotABundle);
    assert_eq!(
        spread(json!({"resourceType": "Patient"})).unwrap_err(),
        SpreadError::NotABundle
    );
    let bare =
        json!({"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient"}}]});
    assert_eq!(
        spread(bare).unwrap_err(),
        SpreadError::FullUrlMissing { index: 0 }
    );
    let broken =
        json!({"resourceType": "Bundle", "entry": [{"fullUrl": "urn:uuid:1", "resource": {}}]});
    assert!(matches!(
        spread(broken).unwrap_err(),
        SpreadError::Resource { index: 0, .. }
    ));
}
