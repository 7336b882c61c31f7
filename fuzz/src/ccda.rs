//! C-CDA documents from other systems.

use interop::ccda::{Fault, Limits, Original, map, read};
use interop::fhir::{Checking, Resource, transaction};

use crate::Target;

/// The targets.
pub const TARGETS: &[Target] = &[Target {
    name: "ccda",
    run: document,
}];

fn document(bytes: &[u8]) {
    let document = match read(bytes, &Limits::default()) {
        Ok(document) => document,
        Err(fault) => return check(&[fault]),
    };
    let mut number = 0_u64;
    let mut new_url = || {
        number += 1;
        format!("urn:uuid:00000000-0000-4000-8000-{number:012x}")
    };
    let mapped = match map(&document, &mut new_url) {
        Ok(mapped) => mapped,
        Err(faults) => return check(&faults),
    };
    let whole = mapped.with_original(&Original {
        bytes,
        id: "original",
        urls: ["urn:uuid:d", "urn:uuid:b", "urn:uuid:p"],
        received_ms: 0,
    });
    let bundle = Resource::from_value(whole).unwrap();
    let mut new_id = || {
        number += 1;
        format!("n{number}")
    };
    transaction::plan(bundle, Checking::Strict, &mut new_id).unwrap();
}

fn check(faults: &[Fault]) {
    assert!(!faults.is_empty(), "a refusal says why");
    for fault in faults {
        assert!(fault.path.starts_with("ClinicalDocument"), "{fault}");
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || ".[]*".contains(letter);
        assert!(fault.path.chars().all(is_plain), "{fault}");
    }
}
