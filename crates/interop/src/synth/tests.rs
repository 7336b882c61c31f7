use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::fhir::labels::{Label, labels_of};
use crate::fhir::transaction::plan;
use crate::fhir::{ParseLimits, Resource, reference};

fn bundle(index: u64) -> Resource {
    let text = patient_bundle(7, index).to_string();
    Resource::parse(text.as_bytes(), &ParseLimits::default()).unwrap()
}

fn resources(index: u64) -> Vec<Resource> {
    let mut next = 0;
    let mut new_id = || {
        next += 1;
        format!("{next}")
    };
    let plan = plan(bundle(index), crate::fhir::Checking::Strict, &mut new_id).unwrap();
    plan.entries
        .into_iter()
        .filter_map(|entry| entry.resource)
        .collect()
}

#[test]
fn a_seed_and_an_index_give_one_bundle() {
    assert_eq!(
        patient_bundle(1, 2).to_string(),
        patient_bundle(1, 2).to_string()
    );
    assert_ne!(
        patient_bundle(1, 2).to_string(),
        patient_bundle(1, 3).to_string()
    );
    assert_ne!(
        patient_bundle(1, 2).to_string(),
        patient_bundle(2, 2).to_string()
    );
    let first = &patient_bundle(1, 2)["entry"][0]["fullUrl"];
    assert_eq!(first, "urn:uuid:51fb53ab-7e39-448b-86be-e239ea0ed9bc");
}

#[test]
fn every_bundle_is_valid_and_of_the_size_of_a_record() {
    let mut kinds = BTreeSet::new();
    for index in 0..200 {
        let resources = resources(index);
        assert!(
            (60..=150).contains(&resources.len()),
            "{index}: {}",
            resources.len()
        );
        kinds.extend(
            resources
                .iter()
                .map(|resource| resource.resource_type().as_str()),
        );
        for resource in &resources {
            reference::walk(resource, |found| {
                assert!(
                    matches!(
                        found.target(),
                        None | Some(
                            reference::Target::Relative(_) | reference::Target::Contained(_)
                        )
                    ),
                    "{}",
                    found.path
                );
            });
        }
    }
    let expected = "AllergyIntolerance CarePlan Claim Condition DiagnosticReport Encounter \
        ExplanationOfBenefit Goal Immunization MedicationRequest Observation Organization Patient \
        Practitioner Procedure";
    assert_eq!(kinds.into_iter().collect::<Vec<_>>().join(" "), expected);
}

#[test]
fn the_sensitive_patients_are_where_they_should_be() {
    for (index, expected) in [
        (1, &[Label::SubstanceUse, Label::OpioidUse][..]),
        (3, &[Label::MentalHealth]),
        (5, &[Label::Hiv]),
        (0, &[]),
        (2, &[]),
        (4, &[]),
    ] {
        let labels: BTreeSet<Label> = resources(index).iter().flat_map(labels_of).collect();
        let restricted = expected.first().map(|_| Label::Restricted);
        let expected: BTreeSet<Label> = expected.iter().copied().chain(restricted).collect();
        assert_eq!(labels, expected, "{index}");
    }
}

#[test]
fn patients_of_a_seed_share_their_staff() {
    let mut patients_of: BTreeMap<String, usize> = BTreeMap::new();
    for index in 0..10 {
        let bundle = patient_bundle(7, index);
        for entry in bundle["entry"].as_array().unwrap() {
            if entry["request"]["url"] == "Organization" {
                *patients_of.entry(entry["fullUrl"].to_string()).or_default() += 1;
            }
        }
    }
    assert_eq!(patients_of.into_values().collect::<Vec<_>>(), [10, 10]);
}

#[test]
fn decimals_keep_their_digits() {
    assert_eq!(record::decimal(1_700, 1).to_string(), "170.0");
    assert_eq!(record::decimal(5, 2).to_string(), "0.05");
    assert_eq!(record::decimal(7, 0).to_string(), "7");
}
