//! What is in the fixtures and the sample data comes back from XML unchanged, digit for digit.

use interop::fhir::xml::{from_xml, to_xml};
use interop::fhir::{ParseLimits, Resource};
use serde_json::Value;

fn comes_back(name: &str, bytes: &[u8]) {
    let before: Value = serde_json::from_slice(bytes).unwrap();
    let xml = to_xml(&before);
    let after = from_xml(xml.as_bytes(), &ParseLimits::default());
    let after = after.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(after == before, "{name} changed");
    assert!(Resource::from_value(after).is_ok(), "{name}");
}

#[test]
fn fixtures_and_samples_come_back_from_xml() {
    comes_back("one-day", include_bytes!("../fixtures/one-day.json"));
    for (name, bytes) in crate::sample::bundles() {
        comes_back(&name, &bytes);
    }
}
