//! The languages that clients speak to a FHIR server beside resources in JSON: XML, FHIRPath, patches, subscriptions.

use std::sync::LazyLock;

use interop::fhir::fhirpath::{Context, Element, Expression};
use interop::fhir::labels::{Context as LabelContext, RuleSet, Rules, labels_in};
use interop::fhir::patch::{Patch, PatchError};
use interop::fhir::search::{Handling, IndexTerms, Query};
use interop::fhir::subscription::Subscription;
use interop::fhir::xml::{from_xml, to_xml};
use interop::fhir::{ParseLimits, Resource};

use crate::Target;

/// The targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "fhir-xml",
        run: xml,
    },
    Target {
        name: "fhirpath",
        run: fhirpath,
    },
    Target {
        name: "json-patch",
        run: json_patch,
    },
    Target {
        name: "fhirpath-patch",
        run: fhirpath_patch,
    },
    Target {
        name: "subscription",
        run: subscription,
    },
    Target {
        name: "label-rules",
        run: label_rules,
    },
];

/// A rule set that is taken is the bytes that were voted, and has something to say of any resource or nothing.
fn label_rules(bytes: &[u8]) {
    let Ok(set) = RuleSet::parse(bytes) else {
        return;
    };
    assert_eq!(set.text(), bytes);
    let again = RuleSet::parse(set.text()).unwrap();
    assert_eq!(again.version(), set.version());
    let rules = Rules::of(vec![set]);
    let findings = rules.findings(&PATIENT, &LabelContext::default());
    let _labels = labels_in(&findings);
}

/// What is patched, and what expressions speak of.
static PATIENT: LazyLock<Resource> = LazyLock::new(|| {
    let text = include_bytes!("../seeds/patient.json");
    Resource::parse(text, &ParseLimits::default()).unwrap()
});

fn xml(bytes: &[u8]) {
    let limits = ParseLimits::default();
    let value = match from_xml(bytes, &limits) {
        Ok(value) => value,
        Err(error) => {
            let _outcome = error.outcome().to_value();
            return;
        }
    };
    if let Ok(resource) = Resource::from_value(value) {
        let resource = resource.into_value();
        let again = from_xml(to_xml(&resource).as_bytes(), &limits);
        assert_eq!(again.unwrap(), resource, "XML and JSON say the same");
    }
}

fn fhirpath(bytes: &[u8]) {
    let Some(expression) = text(bytes).and_then(|text| Expression::compile(text).ok()) else {
        return;
    };
    let root = Element::object(PATIENT.object(), "Patient");
    let context = Context {
        focus: root,
        resource: root,
        root,
        now: Some("2026-06-01T00:00:00Z"),
    };
    let shown = |expression: &Expression| {
        let items = expression.evaluate(&context);
        items.map(|items| items.len())
    };
    let again = Expression::compile(expression.text()).unwrap();
    assert_eq!(
        shown(&expression),
        shown(&again),
        "an expression has one meaning"
    );
    let _fails = expression.fails(&context);
}

fn json_patch(bytes: &[u8]) {
    patched(Patch::from_json(bytes));
}

fn fhirpath_patch(bytes: &[u8]) {
    if let Ok(parameters) = Resource::parse(bytes, &ParseLimits::default()) {
        patched(Patch::from_parameters(&parameters));
    }
}

fn patched(patch: Result<Patch, PatchError>) {
    match patch.and_then(|patch| patch.apply(&PATIENT)) {
        Ok(resource) => {
            assert_eq!(resource.id(), PATIENT.id(), "it is the same document");
            let stored = resource.stored("a.1").unwrap();
            assert!(Resource::parse(&stored, &ParseLimits::default()).is_ok());
        }
        Err(error) => {
            let _outcome = error.outcome().to_value();
        }
    }
}

fn subscription(bytes: &[u8]) {
    let Ok(resource) = Resource::parse(bytes, &ParseLimits::default()) else {
        return;
    };
    let asked = match Subscription::read(&resource) {
        Ok(asked) => asked,
        Err(error) => {
            let _issue = error.issue();
            return;
        }
    };
    for filter in asked.filters {
        let pairs: Vec<_> = filter.query.split('&').map(pair).collect();
        if let Ok(query) = Query::parse(filter.resource_type, &pairs, Handling::Strict) {
            let _matches = query.matches(&IndexTerms::of(&PATIENT), 0, "x");
        }
    }
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
