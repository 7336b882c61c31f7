//! Every Bundle of the sample data can be planned, and what is stored can be read again.

use std::collections::BTreeMap;

use interop::fhir::compartment::{self, Belonging};
use interop::fhir::labels::{Label, labels_of};
use interop::fhir::transaction::{Action, plan};
use interop::fhir::{Checking, ParseLimits, Resource, reference};
use serde_json::Value;

#[test]
fn every_sample_bundle_is_planned_whole() {
    let mut next = 0;
    let mut new_id = || {
        next += 1;
        format!("id-{next}")
    };
    for (name, bytes) in crate::sample::bundles() {
        let bundle = Resource::parse(&bytes, &ParseLimits::default()).unwrap();
        let count = bundle.get("entry").unwrap().as_array().unwrap().len();
        let plan = plan(bundle, Checking::Strict, &mut new_id).unwrap();
        assert_eq!(plan.entries.len(), count, "{name}");
        assert!(plan.pending().is_empty(), "{name}");
        for entry in plan.entries {
            assert_eq!(
                entry.action,
                Action::Create {
                    if_none_exist: None
                }
            );
            let resource = entry.resource.unwrap();
            reference::walk(&resource, |found| {
                assert!(
                    !found.text().unwrap_or_default().starts_with("urn:"),
                    "{name}"
                );
            });
            let is_shared = matches!(
                entry.resource_type.as_str(),
                "Practitioner" | "Organization"
            );
            let belonging = compartment::belonging(&resource);
            assert_eq!(belonging == Belonging::Shared, is_shared, "{name}");
            let bytes = resource.stored(&entry.id.unwrap()).unwrap();
            let again = Resource::parse(&bytes, &ParseLimits::default()).unwrap();
            assert_eq!(again.stored(again.id().unwrap()).unwrap(), bytes, "{name}");
        }
    }
}

#[test]
fn the_sample_data_has_sensitive_and_plain_resources() {
    let mut counts: BTreeMap<Vec<&str>, usize> = BTreeMap::new();
    for (_, bytes) in crate::sample::bundles() {
        let bundle: Value = serde_json::from_slice(&bytes).unwrap();
        for entry in bundle["entry"].as_array().unwrap() {
            let resource = Resource::from_value(entry["resource"].clone()).unwrap();
            let labels = labels_of(&resource).into_iter().map(Label::code).collect();
            *counts.entry(labels).or_default() += 1;
        }
    }
    if !counts.is_empty() {
        let plain = counts.remove(&Vec::new()).unwrap();
        let sensitive: usize = counts.values().sum();
        assert!(plain > 20 * sensitive, "{plain} {counts:?}");
        for label in ["ETH", "HIV", "PSY", "SEX", "STD", "SDV", "GDIS"] {
            assert!(
                counts.keys().any(|labels| labels.contains(&label)),
                "{label} {counts:?}"
            );
        }
        println!("{plain} plain, {counts:?}");
    }
}
