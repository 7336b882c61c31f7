//! FHIR from clients: resources, Bundles, queries, consents.

use contracts::consent::Consent;
use interop::fhir::search::{Handling, IndexTerms, Part, Query, Terminologies};
use interop::fhir::{
    Checking, ParseLimits, Resource, ResourceType, compartment, etag, labels, spread, transaction,
};

use crate::Target;

/// The targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "fhir-resource",
        run: resource,
    },
    Target {
        name: "fhir-bundle",
        run: bundle,
    },
    Target {
        name: "fhir-query",
        run: query,
    },
    Target {
        name: "fhir-consent",
        run: consent,
    },
    Target {
        name: "etag",
        run: entity_tag,
    },
];

fn parse(bytes: &[u8]) -> Option<Resource> {
    match Resource::parse(bytes, &ParseLimits::default()) {
        Ok(resource) => Some(resource),
        Err(error) => {
            let _outcome = error.outcome().to_value();
            None
        }
    }
}

fn resource(bytes: &[u8]) {
    let Some(resource) = parse(bytes) else {
        return;
    };
    let stored = resource.stored("a.1").unwrap();
    let again = parse(&stored).unwrap();
    assert_eq!(
        again.stored("a.1").unwrap(),
        stored,
        "what is stored has one form"
    );
    let _presented = resource.present("a.1", u64::MAX, i64::MAX).unwrap();
    let _labels = labels::labels_of(&resource);
    let _belonging = compartment::belonging(&resource);
    let terms = IndexTerms::with_content(&resource);
    let _keys = terms.lookup_keys();
    if let Some(query) = all_of(resource.resource_type()) {
        let _matches = query.matches(&terms, i64::MIN, "a.1");
    }
}

fn all_of(resource_type: ResourceType) -> Option<Query> {
    let pairs = [("_lastUpdated", "ge2020"), ("_sort", "-_lastUpdated")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Query::parse(resource_type, &pairs, Handling::Strict).ok()
}

fn bundle(bytes: &[u8]) {
    let Some(bundle) = parse(bytes) else {
        return;
    };
    let _spread = spread::spread(bundle.clone().into_value());
    let mut made = 0;
    let mut new_id = || {
        made += 1;
        format!("new-{made}")
    };
    if let Ok(mut plan) = transaction::plan(bundle, Checking::Strict, &mut new_id) {
        let planned = plan.entries.len() + plan.calls.len() + plan.refused.len();
        assert!(planned <= transaction::ENTRIES_MAX);
        let _overlap = plan.check_targets();
        for pending in plan.pending() {
            match pending {
                transaction::Pending::Create { index, .. } => plan.resolve_create(index, Some("x")),
                transaction::Pending::Target { index, .. } => {
                    let _refused = plan.resolve_target(index, Some("x"));
                }
                transaction::Pending::Reference {
                    resource_type,
                    query,
                    ..
                } => {
                    plan.resolve_reference(resource_type, &query, "x");
                }
            }
        }
        for resource in plan
            .entries
            .iter()
            .filter_map(|entry| entry.resource.as_ref())
        {
            let _terms = IndexTerms::of(resource);
        }
    }
}

/// `Type?name=value&…`, taken apart at these characters alone.
fn query(bytes: &[u8]) {
    let Some((kind, rest)) = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.split_once('?'))
    else {
        return;
    };
    let Some(kind) = ResourceType::parse(kind) else {
        return;
    };
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), value.to_owned())
    };
    let pairs: Vec<_> = rest.split('&').map(pair).collect();
    for handling in [Handling::Strict, Handling::Lenient] {
        match Query::parse(kind, &pairs, handling) {
            Ok(query) => {
                let _link = query.self_link("https://a.org");
                let _touched = query.types_touched();
                let _patients = query.patients();
                let _matches = query.matches(&IndexTerms::default(), 0, "x");
                let _lookups: Vec<_> = query.parts.iter().map(Part::lookups).collect();
                let _terminologies = Terminologies::named(&pairs);
            }
            Err(error) => {
                let _outcome = error.outcome().to_value();
            }
        }
    }
}

fn consent(bytes: &[u8]) {
    if let Some(resource) = parse(bytes)
        && let Ok(consent) = Consent::read("c1", 1, &resource.into_value())
    {
        let _policies = contracts::consent::policies(&consent);
    }
}

fn entity_tag(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).ok();
    if let Some(version) = text.and_then(etag::parse) {
        assert_eq!(etag::parse(&etag::format(version)), Some(version));
    }
}
