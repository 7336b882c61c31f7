//! The examples of the R4 standard (npm package `hl7.fhir.r4.examples` 4.0.1, unpacked in the folder that
//! `CARELEDGER_EXAMPLES` names): each is accepted strictly and comes back from XML.

use std::collections::BTreeSet;
use std::path::PathBuf;

use interop::fhir::xml::{from_xml, to_xml};
use interop::fhir::{ParseLimits, Resource, ResourceError};
use serde_json::Value;

/// Files of the package that are no resources.
const OTHERS: [&str; 2] = ["package.json", ".index.json"];

/// None when no folder is named.
#[expect(
    clippy::disallowed_methods,
    reason = "only this test reads the environment"
)]
fn examples() -> Vec<(String, Vec<u8>)> {
    let Ok(folder) = std::env::var("CARELEDGER_EXAMPLES") else {
        return Vec::new();
    };
    let files = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    let mut examples = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".json") && !OTHERS.contains(&name.as_str()) {
            examples.push((name, std::fs::read(&path).unwrap()));
        }
    }
    examples
}

/// Examples that break R4 themselves: where, and how.
const FAULTY: [(&str, &str); 16] = [
    // Text of white space alone breaks txt-2.
    (
        "ActivityDefinition-blood-tubes-supply.json",
        "ActivityDefinition.text.div",
    ),
    (
        "ActivityDefinition-heart-valve-replacement.json",
        "ActivityDefinition.text.div",
    ),
    ("EventDefinition-example.json", "EventDefinition.text.div"),
    (
        "Questionnaire-zika-virus-exposure-assessment.json",
        "Questionnaire.text.div",
    ),
    // Codes that end in, or are, a no-break space.
    ("Bundle-v2-valuesets.json", "concept"),
    ("CodeSystem-v2-0550.json", "CodeSystem.concept"),
    // References to types that the element does not allow.
    ("DeviceMetric-example.json", "DeviceMetric.parent"),
    (
        "DeviceUseStatement-example.json",
        "DeviceUseStatement.reasonReference",
    ),
    (
        "MedicationRequest-medrx0301.json",
        "MedicationRequest.dispenseRequest.performer",
    ),
    ("Observation-clinical-gender.json", "Observation.performer"),
    // Required elements that are not there.
    ("ImplementationGuide-fhir.json", "ImplementationGuide."),
    ("ig-r4.json", "ImplementationGuide."),
    ("Questionnaire-qs1.json", "linkId"),
    (
        "SearchParameter-codesystem-extensions-",
        "SearchParameter.base",
    ),
    (
        "SearchParameter-valueset-extensions-",
        "SearchParameter.base",
    ),
    // An id of more than 64 characters.
    ("SearchParameter-questionnaireresponse-extensions-", "`id`"),
];

fn is_known(name: &str, said: &str) -> bool {
    FAULTY
        .iter()
        .any(|(file, what)| name.starts_with(file) && said.contains(what))
}

fn limits() -> ParseLimits {
    ParseLimits {
        bytes_max: 64 << 20,
        ..ParseLimits::default()
    }
}

#[test]
fn every_example_is_accepted() {
    let mut refused = Vec::new();
    let examples = examples();
    for (name, bytes) in &examples {
        match Resource::parse(bytes, &limits()) {
            Ok(resource) => {
                let before: Value = serde_json::from_slice(bytes).unwrap();
                assert!(resource.into_value() == before, "{name} changed");
            }
            Err(ResourceError::Elements(problems)) => {
                refused.extend(problems.iter().map(|problem| (name, problem.to_string())));
            }
            Err(error) => refused.push((name, error.to_string())),
        }
    }
    let faulty: BTreeSet<&String> = refused.iter().map(|(name, _)| *name).collect();
    println!("{} examples, {} refused", examples.len(), faulty.len());
    refused.retain(|(name, said)| !is_known(name, said));
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn every_example_comes_back_from_xml() {
    let mut changed = Vec::new();
    for (name, bytes) in &examples() {
        let Ok(resource) = Resource::parse(bytes, &limits()) else {
            continue;
        };
        let before = resource.into_value();
        match from_xml(to_xml(&before).as_bytes(), &limits()) {
            Ok(after) if after == before => {}
            Ok(_) => changed.push(name.clone()),
            Err(error) => changed.push(format!("{name}: {error}")),
        }
    }
    assert!(changed.is_empty(), "{changed:#?}");
}
