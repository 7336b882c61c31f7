use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::fhir::{IssueType, OperationOutcome, ParseLimits, ResourceError, reference};

fn counter() -> impl FnMut() -> String {
    let mut next = 0;
    move || {
        next += 1;
        format!("n{next}")
    }
}

fn bundle(kind: &str, entries: Value) -> Resource {
    let mut value = json!({"resourceType": "Bundle", "type": kind});
    value["entry"] = entries;
    Resource::parse(value.to_string().as_bytes(), &ParseLimits::default()).unwrap()
}

fn plan_of(kind: &str, entries: Value) -> Result<Plan, TransactionError> {
    plan(bundle(kind, entries), Checking::Strict, &mut counter())
}

fn post(full_url: &str, resource: Value) -> Value {
    let url = resource["resourceType"].clone();
    let mut entry = json!({"fullUrl": full_url, "request": {"method": "POST", "url": url}});
    entry["resource"] = resource;
    entry
}

fn basic(author: &str) -> Value {
    json!({"resourceType": "Basic", "code": {"text": "x"}, "author": {"reference": author}})
}

fn text_of(plan: &Plan, index: usize) -> String {
    let entry = plan
        .entries
        .iter()
        .find(|entry| entry.index == index)
        .unwrap();
    entry.resource.clone().unwrap().into_value().to_string()
}

#[test]
fn urns_become_assigned_ids_also_forward_and_in_contained_resources() {
    let claim = json!({"resourceType": "Basic", "code": {"text": "x"},
        "contained": [{"resourceType": "Basic", "code": {"text": "y"}, "author": {"reference": "urn:uuid:p"}}],
        "author": {"reference": "urn:uuid:later", "display": "d"}});
    let plan = plan_of(
        "transaction",
        json!([
            post(
                "urn:uuid:p",
                json!({"resourceType": "Patient", "id": "old"})
            ),
            post("urn:uuid:c", claim),
            post("urn:uuid:later", basic("#")),
        ]),
    )
    .unwrap();
    assert_eq!(
        text_of(&plan, 1),
        r#"{"resourceType":"Basic","code":{"text":"x"},"contained":[{"resourceType":"Basic","code":{"text":"y"},"author":{"reference":"Patient/n1"}}],"author":{"reference":"Basic/n3","display":"d"}}"#
    );
    assert_eq!(plan.entries[0].id.as_deref(), Some("n1"));
    assert!(plan.pending().is_empty());
}

#[test]
fn absolute_full_urls_resolve_relative_references_on_their_server() {
    let plan = plan_of(
        "transaction",
        json!([
            post(
                "http://a.org/fhir/Patient/1",
                json!({"resourceType": "Patient"})
            ),
            post("http://a.org/fhir/Basic/2", basic("Patient/1")),
            post("http://b.org/fhir/Basic/3", basic("Patient/1")),
            post("urn:uuid:4", basic("http://a.org/fhir/Patient/1")),
        ]),
    )
    .unwrap();
    assert!(text_of(&plan, 1).contains(r#""Patient/n1""#));
    assert!(text_of(&plan, 2).contains(r#""Patient/1""#));
    assert!(text_of(&plan, 3).contains(r#""Patient/n1""#));
}

#[test]
fn verbs_are_ordered_as_r4_says() {
    let plan = plan_of("transaction", json!([
        {"request": {"method": "GET", "url": "Patient?name=x"}},
        {"resource": {"resourceType": "Patient", "id": "u"},
         "request": {"method": "PUT", "url": "Patient/u", "ifMatch": "W/\"3\""}},
        {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}},
        {"request": {"method": "DELETE", "url": "Patient/d"}},
        {"request": {"method": "GET", "url": "Patient/r"}},
    ])).unwrap();
    let order: Vec<_> = plan.entries.iter().map(|entry| entry.index).collect();
    assert_eq!(order, [3, 2, 1]);
    let expected = Expected::Version(3);
    assert_eq!(plan.entries[2].action, Action::Update { expected });
    let calls: Vec<_> = plan
        .calls
        .iter()
        .map(|call| (call.index, call.request.url.as_str()))
        .collect();
    assert_eq!(calls, [(0, "Patient?name=x"), (4, "Patient/r")]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_wrong_entry_is_named() {
    use EntryProblem as E;
    let patient = json!({"resourceType": "Patient", "id": "1"});
    let request = |method: &str, url: &str| json!({"resource": patient, "request": {"method": method, "url": url}});
    let table = [
        (json!("x"), E::NotAnObject),
        (json!({"resource": patient}), E::RequestMissing),
        (json!({"request": {"method": "DELETE"}}), E::UrlMissing),
        (request("FETCH", "Patient"), E::MethodUnknown),
        (request("PATCH", "Patient/1"), E::NotAPatch),
        (request("GET", "Patient/a b"), E::UrlMalformed),
        (
            json!({"resource": patient, "request": {"method": "PUT", "url": "Patient/1", "ifNoneMatch": "W/\"1\""}}),
            E::IfNoneMatchMalformed,
        ),
        (request("POST", "Patients"), E::TypeUnknown),
        (request("POST", "Patient/1"), E::UrlMalformed),
        (request("PUT", "Patient"), E::UrlMalformed),
        (request("PUT", "Patient/a b"), E::UrlMalformed),
        (request("PUT", "Patient?name"), E::UrlMalformed),
        (request("DELETE", "Patients?name=x"), E::TypeUnknown),
        (request("PUT", "Patient/2"), E::IdMismatch),
        (
            json!({"resource": patient, "request": {"method": "PUT", "url": "Patient/1", "ifMatch": "3"}}),
            E::IfMatchMalformed,
        ),
        (
            json!({"resource": patient, "request": {"method": "POST", "url": "Patient", "ifNoneExist": "x"}}),
            E::IfNoneExistMalformed,
        ),
        (
            json!({"request": {"method": "POST", "url": "Patient"}}),
            E::ResourceMissing,
        ),
        (
            json!({"resource": patient, "request": {"method": "POST", "url": "Basic"}}),
            E::Resource(ResourceError::TypeMismatch {
                expected: ResourceType::parse("Basic").unwrap(),
            }),
        ),
        (
            json!({"resource": {"id": "1"}, "request": {"method": "POST", "url": "Basic"}}),
            E::Resource(ResourceError::TypeMissing),
        ),
        (
            json!({"fullUrl": "1", "request": {"method": "GET", "url": "Patient"}}),
            E::FullUrlMalformed,
        ),
        (
            post("urn:uuid:good", json!({"resourceType": "Patient"})),
            E::FullUrlRepeated { first: 0 },
        ),
        (
            json!({"request": {"method": "DELETE", "url": "Patient/first"}}),
            E::TargetRepeated { first: 1 },
        ),
        (
            post("urn:uuid:x", basic("urn:uuid:nowhere")),
            E::ReferenceUnresolved {
                path: "Basic.author".to_owned(),
            },
        ),
    ];
    for (entry, expected) in table {
        let good = post("urn:uuid:good", json!({"resourceType": "Patient"}));
        let delete = json!({"request": {"method": "DELETE", "url": "Patient/first"}});
        let entries = json!([good, delete, entry]);
        let error = plan_of("transaction", entries.clone()).unwrap_err();
        let problem = expected.clone();
        assert_eq!(
            error,
            TransactionError::Entry { index: 2, problem },
            "{entry}"
        );
        let outcome = error.outcome().to_value().to_string();
        assert!(outcome.contains("Bundle.entry[2]"), "{outcome}");
        let batch = plan_of("batch", entries).unwrap();
        assert_eq!(
            batch.refused,
            [RefusedEntry {
                index: 2,
                problem: expected
            }],
            "{entry}"
        );
        assert_eq!(batch.entries.len(), 2);
    }
}

#[test]
fn a_bundle_that_is_no_transaction_is_refused() {
    assert_eq!(
        plan_of("collection", json!([{"fullUrl": "urn:uuid:1"}])).unwrap_err(),
        TransactionError::KindUnsupported
    );
    assert_eq!(
        plan_of("batch", json!({"a": 1})).unwrap_err(),
        TransactionError::EntriesMalformed
    );
    let many = vec![json!({"a": 1}); ENTRIES_MAX + 1];
    let expected = TransactionError::TooManyEntries {
        entries: ENTRIES_MAX + 1,
        limit: ENTRIES_MAX,
    };
    assert_eq!(plan_of("batch", many.into()).unwrap_err(), expected);
    let patient = Resource::from_value(json!({"resourceType": "Patient"})).unwrap();
    assert_eq!(
        plan(patient, Checking::Strict, &mut counter()).unwrap_err(),
        TransactionError::NotABundle
    );
}

#[test]
fn conditions_are_left_to_the_caller_and_followed() {
    let mut conditional = post(
        "urn:uuid:o",
        json!({"resourceType": "Organization", "name": "x"}),
    );
    conditional["request"]["ifNoneExist"] = "identifier=s|v".into();
    let mut plan = plan_of(
        "transaction",
        json!([
            conditional,
            post("urn:uuid:a", basic("urn:uuid:o")),
            post("urn:uuid:b", basic("Practitioner?identifier=npi|1")),
        ]),
    )
    .unwrap();
    let organization = ResourceType::parse("Organization").unwrap();
    let practitioner = ResourceType::parse("Practitioner").unwrap();
    let query = "identifier=npi|1".to_owned();
    assert_eq!(
        plan.pending(),
        [
            Pending::Create {
                index: 0,
                resource_type: organization,
                query: "identifier=s|v".to_owned()
            },
            Pending::Reference {
                index: 2,
                resource_type: practitioner,
                query
            },
        ]
    );
    plan.resolve_reference(practitioner, "identifier=npi|1", "p9");
    let mut found = plan.clone();
    found.resolve_create(0, Some("o9"));
    assert_eq!(found.entries[0].action, Action::Exists);
    assert_eq!(found.entries[0].id.as_deref(), Some("o9"));
    assert!(text_of(&found, 1).contains(r#""Organization/o9""#));
    assert!(text_of(&found, 2).contains(r#""Practitioner/p9""#));
    plan.resolve_create(0, None);
    assert_eq!(
        plan.entries[0].action,
        Action::Create {
            if_none_exist: None
        }
    );
    assert!(text_of(&plan, 1).contains(r#""Organization/n1""#));
    assert!(plan.pending().is_empty());
}

#[test]
fn the_response_follows_the_order_of_the_request() {
    let failed = EntryResponse::failed(
        1,
        "404",
        &OperationOutcome::error(IssueType::NotFound, "gone"),
    );
    let written = EntryResponse::written(0, "201 Created", (ResourceType::PATIENT, "n1", 1), 0);
    let text = response_bundle(BundleKind::Transaction, vec![failed, written]).to_string();
    assert_eq!(
        text,
        concat!(
            r#"{"resourceType":"Bundle","type":"transaction-response","entry":[{"response":{"status":"#,
            r#""201 Created","location":"Patient/n1/_history/1","etag":"W/\"1\"","lastModified":"#,
            r#""1970-01-01T00:00:00.000Z"}},{"response":{"status":"404","outcome":{"resourceType":"#,
            r#""OperationOutcome","issue":[{"severity":"error","code":"not-found","diagnostics":"gone"}]}}}]}"#,
        )
    );
}

fn resolved(entries: Value, found: &[(usize, Option<&str>)]) -> Result<Plan, TransactionError> {
    let mut plan = plan_of("transaction", entries).unwrap();
    for (index, id) in found {
        plan.resolve_target(*index, *id)?;
    }
    assert!(plan.pending().is_empty());
    plan.check_targets()?;
    Ok(plan)
}

#[test]
fn conditional_changes_find_their_resource_and_references_follow() {
    let put = |resource: Value, url: &str| {
        json!({"fullUrl": "urn:uuid:o", "resource": resource,
        "request": {"method": "PUT", "url": url}})
    };
    let named = json!({"resourceType": "Organization", "id": "mine"});
    let unnamed = json!({"resourceType": "Organization"});
    let entries = |resource: &Value| {
        json!([
            put(resource.clone(), "Organization?name=x"),
            post("urn:uuid:a", basic("urn:uuid:o"))
        ])
    };

    let found = resolved(entries(&unnamed), &[(0, Some("o9"))]).unwrap();
    let updated = found.entries.iter().find(|entry| entry.index == 0).unwrap();
    assert_eq!(
        updated.action,
        Action::Update {
            expected: Expected::Anything
        }
    );
    assert_eq!(updated.resource.as_ref().unwrap().id(), Some("o9"));
    assert!(text_of(&found, 1).contains("Organization/o9"));

    let absent = resolved(entries(&unnamed), &[(0, None)]).unwrap();
    let created = absent
        .entries
        .iter()
        .find(|entry| entry.index == 0)
        .unwrap();
    assert_eq!(
        created.action,
        Action::Create {
            if_none_exist: None
        }
    );
    assert!(text_of(&absent, 1).contains("Organization/n1"));

    let absent = resolved(entries(&named), &[(0, None)]).unwrap();
    let created = absent
        .entries
        .iter()
        .find(|entry| entry.index == 0)
        .unwrap();
    assert_eq!(
        created.action,
        Action::Update {
            expected: Expected::Nothing
        }
    );
    assert!(text_of(&absent, 1).contains("Organization/mine"));

    let problem = EntryProblem::IdMismatch;
    assert_eq!(
        resolved(entries(&named), &[(0, Some("o9"))]).unwrap_err(),
        TransactionError::Entry { index: 0, problem }
    );
    let delete = json!({"request": {"method": "DELETE", "url": "Organization?name=x"}});
    let plan = resolved(json!([&delete]), &[(0, None)]).unwrap();
    assert_eq!(plan.entries[0].action, Action::Absent);
    let put = json!({"resource": named, "request": {"method": "PUT", "url": "Organization/mine"}});
    let problem = EntryProblem::TargetRepeated { first: 0 };
    assert_eq!(
        resolved(json!([delete, put]), &[(0, Some("mine"))]).unwrap_err(),
        TransactionError::Entry { index: 1, problem }
    );
}

fn arbitrary_entry() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!("MARKER")),
        Just(json!("POST")),
        Just(json!("PUT")),
        Just(json!("Basic")),
        Just(json!("Basic/1")),
        Just(json!("urn:uuid:1")),
        Just(json!("1")),
        Just(json!(7)),
        Just(json!(null)),
    ];
    let tree = leaf.prop_recursive(4, 40, 6, |inner| {
        let name = prop_oneof![
            Just("request"),
            Just("method"),
            Just("url"),
            Just("resource"),
            Just("resourceType"),
            Just("fullUrl"),
            Just("id"),
            Just("author"),
            Just("reference"),
            Just("MARKER"),
            Just("ifMatch"),
            Just("ifNoneExist"),
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            proptest::collection::btree_map(name, inner, 0..6).prop_map(|map| {
                Value::Object(map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
            }),
        ]
    });
    let request = (
        prop_oneof![
            Just("POST"),
            Just("PUT"),
            Just("DELETE"),
            Just("GET"),
            Just("MARKER")
        ],
        prop_oneof![
            Just("Basic"),
            Just("Basic/1"),
            Just("Basic?MARKER"),
            Just("MARKER")
        ],
    );
    prop_oneof![
        tree.clone(),
        (request, tree.clone(), tree).prop_map(|((method, url), author, extra)| json!({
            "fullUrl": "urn:uuid:1", "request": {"method": method, "url": url},
            "resource": {"resourceType": "Basic", "id": "1", "code": {"text": "x"},
                "author": {"display": author}, "implicitRules": extra},
        })),
    ]
}

proptest! {
    #[test]
    fn planning_never_panics_and_never_repeats_the_payload(
        entries in proptest::collection::vec(arbitrary_entry(), 1..5),
        is_batch in any::<bool>(),
    ) {
        let value = json!({"resourceType": "Bundle", "type": if is_batch { "batch" } else { "transaction" }, "entry": entries});
        // What the structure check refuses is not the planner's affair.
        let Ok(bundle) = Resource::from_value(value) else { return Ok(()) };
        let said = match plan(bundle, Checking::Strict, &mut counter()) {
            Ok(plan) => {
                let outcomes = plan.refused.iter().map(|it| it.problem.outcome(it.index).to_value().to_string());
                format!("{:?} {:?} {}", plan, plan.pending(), outcomes.collect::<String>())
            }
            Err(error) => format!("{error} {error:?} {}", error.outcome().to_value()),
        };
        prop_assert!(!said.contains("MARKER"), "{}", said);
    }

    #[test]
    fn after_a_transaction_no_urn_is_left(links in proptest::collection::vec(0_usize..6, 6)) {
        let entries: Vec<Value> = links.iter().enumerate()
            .map(|(index, to)| post(&format!("urn:uuid:{index}"), basic(&format!("urn:uuid:{to}"))))
            .collect();
        let plan = plan_of("transaction", entries.into()).unwrap();
        for (entry, to) in plan.entries.iter().zip(&links) {
            reference::walk(entry.resource.as_ref().unwrap(), |found| {
                let expected = format!("Basic/n{}", to + 1);
                assert_eq!(found.text(), Some(expected.as_str()));
            });
        }
    }
}
