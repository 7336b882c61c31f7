//! Every Bundle of the sample data can be planned, and what is stored can be read again.

use interop::fhir::compartment::{self, Belonging};
use interop::fhir::transaction::{Action, plan};
use interop::fhir::{ParseLimits, Resource, reference};

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
        let plan = plan(bundle, &mut new_id).unwrap();
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
