use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fhir::search::{Handling, Query};
use crate::fhir::{Resource, ResourceType};

fn terms(resource: Value) -> IndexTerms {
    IndexTerms::with_content(&Resource::from_value(resource).unwrap())
}

fn query(name: &str, pairs: &[(String, String)]) -> Query {
    let resource_type = ResourceType::parse(name).unwrap();
    Query::parse(resource_type, pairs, Handling::Strict).unwrap()
}

fn one(name: &str, parameter: &str, value: &str) -> Query {
    query(name, &[(parameter.to_owned(), value.to_owned())])
}

fn lookups(query: &Query) -> Vec<Vec<LookupKey>> {
    query.parts.iter().flat_map(Part::lookups).collect()
}

/// Whether the keys leave a resource among the candidates of a query.
fn is_left(query: &Query, terms: &IndexTerms) -> bool {
    let keys = terms.lookup_keys();
    let lookups = lookups(query);
    lookups
        .iter()
        .all(|alternatives| alternatives.iter().any(|key| keys.contains(key)))
}

const PREFIXES_OF_DATES: &[&str] = &["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];

fn moment() -> impl Strategy<Value = String> {
    let parts = (
        prop_oneof![Just(1890_u32), 1999..2003_u32, Just(2150)],
        1..=12_u32,
        1..=28_u32,
        0..24_u32,
        0..5_u8,
    );
    parts.prop_map(|(year, month, day, hour, form)| match form {
        0 => format!("{year}"),
        1 => format!("{year}-{month:02}"),
        2 => format!("{year}-{month:02}-{day:02}"),
        3 => format!("{year}-{month:02}-{day:02}T{hour:02}:30:00Z"),
        _ => format!("{year}-{month:02}-{day:02}T{hour:02}:30:00-11:00"),
    })
}

fn effective() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => moment().prop_map(|at| json!({"effectiveDateTime": at})),
        1 => (moment(), moment())
            .prop_map(|(one, other)| json!({"effectivePeriod": {"start": one, "end": other}})),
        1 => moment().prop_map(|at| json!({"effectivePeriod": {"start": at}})),
        1 => prop::collection::vec(moment(), 1..3)
            .prop_map(|events| json!({"effectiveTiming": {"event": events}})),
    ]
}

fn word() -> impl Strategy<Value = String> {
    "[aAäß]{1,2}[bB]{0,3}"
}

fn observation() -> impl Strategy<Value = Value> {
    let parts = (
        effective(),
        word(),
        prop::option::of(Just("http://loinc.org")),
        prop_oneof![Just("final"), Just("preliminary")],
        prop_oneof![
            word().prop_map(|id| json!({"reference": format!("Encounter/e{}", id.len())})),
            word().prop_map(|id| json!({"reference": format!("http://else/Encounter/{id}")})),
            word().prop_map(|id| json!({"identifier": {"system": "urn:x", "value": id}})),
        ],
    );
    parts.prop_map(|(effective, code, system, status, encounter)| {
        let mut coding = json!({"code": code});
        if let Some(system) = system {
            coding["system"] = json!(system);
        }
        let mut resource = json!({
            "resourceType": "Observation", "status": status,
            "code": {"coding": [coding]},
            "subject": {"reference": "Patient/p1"}, "encounter": encounter,
            "text": {"status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{code} c</div>")},
            "note": [{"text": "d aß"}],
        });
        let object = resource.as_object_mut().unwrap();
        object.extend(effective.as_object().unwrap().clone());
        resource
    })
}

fn expression() -> impl Strategy<Value = String> {
    let operator = prop::sample::select(&["eq", "gt", "lt", "ge", "le", "sa", "eb", "po"][..]);
    let leaf = prop_oneof![
        3 => (operator, moment()).prop_map(|(operator, at)| format!("date {operator} {at}")),
        1 => word().prop_map(|code| format!("code eq \"{code}\"")),
        1 => word().prop_map(|code| format!("code ne \"{code}\"")),
        1 => word().prop_map(|text| format!("_text co \"{text}\"")),
        1 => Just("status eq final".to_owned()),
        1 => Just("specimen pr false".to_owned()),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone())
                .prop_map(|(one, other)| format!("({one}) and ({other})")),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one}) or ({other})")),
            inner.prop_map(|one| format!("not({one})")),
        ]
    })
}

fn filters() -> impl Strategy<Value = Vec<(String, String)>> {
    let prefix = prop::sample::select(PREFIXES_OF_DATES);
    let date =
        (prefix, moment()).prop_map(|(prefix, at)| ("date".to_owned(), format!("{prefix}{at}")));
    let filter = prop_oneof![
        5 => date,
        1 => word().prop_map(|code| ("code".to_owned(), code)),
        1 => word().prop_map(|code| ("code".to_owned(), format!("http://loinc.org|{code}"))),
        1 => word().prop_map(|code| ("code:not".to_owned(), code)),
        1 => Just(("code".to_owned(), "http://loinc.org|".to_owned())),
        1 => Just(("status".to_owned(), "final,preliminary".to_owned())),
        1 => Just(("status".to_owned(), "preliminary".to_owned())),
        1 => word().prop_map(|id| ("encounter".to_owned(), format!("e{}", id.len()))),
        1 => word().prop_map(|id| ("encounter".to_owned(), format!("http://else/Encounter/{id}"))),
        1 => word().prop_map(|id| ("encounter:identifier".to_owned(), id)),
        1 => Just(("patient".to_owned(), "p1".to_owned())),
        1 => Just(("subject".to_owned(), "Patient/p1".to_owned())),
        1 => Just(("date:missing".to_owned(), "false".to_owned())),
        1 => word().prop_map(|one| ("_text".to_owned(), one)),
        1 => (word(), word()).prop_map(|(one, other)| ("_content".to_owned(), format!("{one} (d OR {other})"))),
        1 => (word(), word()).prop_map(|(one, other)| ("_content".to_owned(), format!("\"{one} c\",NOT {other}"))),
        3 => expression().prop_map(|text| ("_filter".to_owned(), text)),
    ];
    prop::collection::vec(filter, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_a_query_accepts_is_among_its_candidates(
        resource in observation(),
        filters in filters(),
    ) {
        let terms = terms(resource);
        let query = query("Observation", &filters);
        if query.matches(&terms, 0, "x") {
            prop_assert!(is_left(&query, &terms), "{filters:?}");
        }
    }

    #[test]
    fn a_name_is_among_the_candidates_of_its_prefixes(
        family in word(),
        value in word(),
        modifier in prop::sample::select(&["", ":exact", ":contains"][..]),
    ) {
        let terms = terms(json!({"resourceType": "Patient", "name": [{"family": family}]}));
        let query = one("Patient", &format!("family{modifier}"), &value);
        if query.matches(&terms, 0, "x") {
            prop_assert!(is_left(&query, &terms));
        }
    }
}

#[test]
fn filters_choose() {
    let observation = terms(json!({
        "resourceType": "Observation", "status": "preliminary",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "effectiveDateTime": "2026-05-01T09:00:00Z",
        "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Serum <b>glucose</b></div>"},
        "note": [{"text": "fasting"}],
    }));
    for (parameter, value, expected) in [
        ("code", "http://loinc.org|718-7", true),
        ("code", "718-8", false),
        ("code", "718-8,718-7", true),
        ("date", "2026-05-01", true),
        ("date", "2026-05", true),
        ("date", "2026-04", false),
        ("date", "gt2026-05-01", false),
        ("date", "ge2026", true),
        ("date", "lt2026-05-01", false),
        ("date", "lt1850", false),
        ("status", "preliminary", true),
        ("status", "cancelled", false),
        ("_text", "glucose serum", true),
        ("_text", "sodium", false),
        ("_text", "sodium OR glucose", true),
        ("_content", "\"serum glucose\"", true),
        ("_content", "fasting NOT x", true),
        ("_filter", "code eq 718-8 or code eq 718-7", true),
        ("_filter", "code eq 718-8 or status eq cancelled", false),
        ("_filter", "date ge 2026-05-01 and date lt 2026-05-02", true),
        (
            "_filter",
            "date gt 2026-05-02 and (code eq x or not(code eq y))",
            false,
        ),
    ] {
        let query = one("Observation", parameter, value);
        assert!(!lookups(&query).is_empty(), "{parameter}={value}");
        assert_eq!(
            is_left(&query, &observation),
            expected,
            "{parameter}={value}"
        );
    }
}

#[test]
fn bounds_of_one_date_meet_in_one_lookup() {
    let pairs = [("date", "ge2026-05-01"), ("date", "lt2026-05-04")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let lookups = lookups(&query("Observation", &pairs));
    let [days] = lookups.as_slice() else {
        panic!("{} lookups", lookups.len());
    };
    // Three days, and what says more than a day.
    assert_eq!(days.len(), 4);
}

#[test]
fn what_most_records_share_has_no_key() {
    for (parameter, value) in [
        ("status", "final"),
        ("category", "laboratory"),
        ("patient", "Patient/p1"),
        ("code:not", "718-7"),
        ("code", "http://loinc.org|"),
        ("date:missing", "true"),
        ("date", "ne2026"),
        ("_text", "NOT glucose"),
        ("_filter", "not(code eq a)"),
        ("_filter", "code eq a or status eq final"),
    ] {
        let query = one("Observation", parameter, value);
        assert!(lookups(&query).is_empty(), "{parameter}={value}");
    }
}
