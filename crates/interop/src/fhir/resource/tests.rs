use super::*;
use proptest::prelude::*;
use serde_json::json;

fn parse(text: &str) -> Result<Resource, ResourceError> {
    Resource::parse(text.as_bytes(), &ParseLimits::default())
}

/// Of any content: what is stored was checked before.
fn reopen(text: &str) -> Resource {
    Resource::parse(text.as_bytes(), &ParseLimits::stored()).unwrap()
}

fn stored(text: &str, id: &str) -> String {
    String::from_utf8(reopen(text).stored(id).unwrap()).unwrap()
}

#[test]
fn bad_input_has_a_code_each() {
    let table = [
        ("", "structure"),
        (r#"{"resourceType":"Pati"#, "structure"),
        ("[1]", "structure"),
        ("{}", "required"),
        (r#"{"resourceType":7}"#, "structure"),
        (r#"{"resourceType":"Patients"}"#, "value"),
        (r#"{"resourceType":"Patient","id":7}"#, "value"),
        (r#"{"resourceType":"Patient","id":""}"#, "value"),
        (r#"{"resourceType":"Patient","id":"a b"}"#, "value"),
        (r#"{"resourceType":"Patient","name":"x"}"#, "structure"),
        (
            r#"{"resourceType":"Patient","birthDate":"1.1.2000"}"#,
            "value",
        ),
        (
            r#"{"resourceType":"Patient","birthDate":"2000-01-01T00:00:00Z"}"#,
            "value",
        ),
        (r#"{"resourceType":"Patient","active":"yes"}"#, "structure"),
        (r#"{"resourceType":"Patient","photo":[]}"#, "invalid"),
        (
            r#"{"resourceType":"Observation","status":"final"}"#,
            "required",
        ),
        (
            r#"{"resourceType":"Patient","id":"a","id":"b"}"#,
            "structure",
        ),
    ];
    for (text, code) in table {
        let outcome = parse(text).unwrap_err().outcome();
        assert_eq!(outcome.issues()[0].code.code(), code, "{text}");
    }
    let small = ParseLimits {
        bytes_max: 10,
        depth_max: 2,
        ..ParseLimits::default()
    };
    let too_long = Resource::parse(br#"{"resourceType":"Patient"}"#, &small).unwrap_err();
    assert_eq!(too_long.outcome().issues()[0].code, IssueType::TooLong);
    let other = Resource::parse_as(
        ResourceType::BUNDLE,
        br#"{"resourceType":"Patient"}"#,
        &ParseLimits::default(),
    );
    assert_eq!(
        other.unwrap_err(),
        ResourceError::TypeMismatch {
            expected: ResourceType::BUNDLE
        }
    );
}

#[test]
fn decimals_and_order_survive() {
    let text = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.10,"code":"cm"},"id":"a","note":[{"text":"b"}]}"#;
    assert_eq!(stored(text, "a"), text);
    for number in [
        "1.10",
        "0.00",
        "168.80253764416227",
        "1e-7",
        "123456789012345678901234567890",
    ] {
        let text = format!(r#"{{"resourceType":"Basic","id":"a","x":{number}}}"#);
        assert!(
            stored(&text, "a").contains(&format!(":{number}}}")),
            "{number}"
        );
    }
}

#[test]
fn the_stored_form_has_the_id_and_no_server_meta() {
    let text = r#"{"resourceType":"Basic","meta":{"versionId":"9","lastUpdated":"2020-01-01T00:00:00Z","tag":[{"code":"t"}]},"author":{"display":"d"}}"#;
    let expected = r#"{"resourceType":"Basic","id":"n","meta":{"tag":[{"code":"t"}]},"author":{"display":"d"}}"#;
    assert_eq!(stored(text, "n"), expected);
    let ordered = r#"{"resourceType":"Basic","id":"n","meta":{"versionId":"9","lastUpdated":"2020-01-01T00:00:00Z","source":"s","profile":["p"],"tag":[{"code":"t"}]}}"#;
    let expected = r#"{"resourceType":"Basic","id":"n","meta":{"source":"s","profile":["p"],"tag":[{"code":"t"}]}}"#;
    assert_eq!(stored(ordered, "n"), expected);
    let bare = r#"{"resourceType":"Basic","id":"old","meta":{"versionId":"9"}}"#;
    assert_eq!(stored(bare, "n"), r#"{"resourceType":"Basic","id":"n"}"#);
    assert_eq!(
        reopen(bare).stored("a b").unwrap_err(),
        ResourceError::IdMalformed
    );
}

#[test]
fn the_presented_form_injects_version_and_time() {
    let basic = reopen(r#"{"resourceType":"Basic","author":{"display":"d"}}"#);
    let presented = basic.present("n", 3, 0).unwrap().to_string();
    assert_eq!(
        presented,
        r#"{"resourceType":"Basic","id":"n","meta":{"versionId":"3","lastUpdated":"1970-01-01T00:00:00.000Z"},"author":{"display":"d"}}"#
    );
    let tagged =
        reopen(r#"{"resourceType":"Basic","id":"n","meta":{"source":"s","versionId":"1"}}"#);
    let presented = tagged.present("n", 3, 0).unwrap();
    assert_eq!(
        presented["meta"],
        json!({"versionId":"3","lastUpdated":"1970-01-01T00:00:00.000Z","source":"s"})
    );
}

#[test]
fn debug_shows_the_type_alone() {
    let patient = parse(r#"{"resourceType":"Patient","id":"secret"}"#).unwrap();
    assert_eq!(format!("{patient:?}"), "Resource(Patient)");
}

fn with_marker() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!("MARKER")),
        Just(json!(null)),
        Just(json!(7)),
        Just(json!(true)),
        Just(json!({})),
    ];
    leaf.prop_recursive(3, 30, 4, |inner| {
        let name = prop_oneof![
            Just("MARKER"),
            Just("status"),
            Just("code"),
            Just("coding"),
            Just("subject"),
            Just("reference"),
            Just("id"),
            Just("meta"),
            Just("contained"),
            Just("resourceType"),
            Just("category"),
            Just("effectiveDateTime"),
            Just("valueQuantity"),
            Just("value"),
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            proptest::collection::btree_map(name, inner, 0..6).prop_map(|map| {
                Value::Object(map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_error_repeats_the_payload(mut value in with_marker(), keep_type in any::<bool>(), cut in 0_usize..400) {
        if let (Some(object), true) = (value.as_object_mut(), keep_type) {
            object.insert("resourceType".to_owned(), "Observation".into());
        }
        let mut text = value.to_string();
        if cut < text.len() {
            text.truncate(cut);
        }
        if let Err(error) = parse(&text) {
            let said = format!("{error} {error:?} {}", error.outcome().to_value());
            prop_assert!(!said.contains("MARKER"), "{}", said);
        }
    }

    #[test]
    fn whatever_is_accepted_can_be_looked_at(mut value in with_marker()) {
        if let Some(object) = value.as_object_mut() {
            object.insert("resourceType".to_owned(), "Basic".into());
        }
        if let Ok((resource, _)) = Resource::from_value_noting(value, Checking::Stored) {
            let facts = crate::fhir::disclosure::DisclosureFacts::of(&resource);
            let terms = crate::fhir::search::IndexTerms::of(&resource);
            let belonging = crate::fhir::compartment::belonging(&resource);
            let said = format!("{resource:?} {facts:?} {terms:?} {belonging:?}");
            prop_assert!(!said.contains("MARKER"), "{}", said);
        }
    }

    #[test]
    fn storing_is_idempotent(value in with_marker()) {
        let mut object = Map::new();
        object.insert("resourceType".to_owned(), "Basic".into());
        object.insert("x".to_owned(), value);
        if let Ok((resource, _)) = Resource::from_value_noting(object.into(), Checking::Stored) {
            let bytes = resource.stored("a").unwrap();
            let again = Resource::parse(&bytes, &ParseLimits::stored()).unwrap();
            prop_assert_eq!(again.stored("a").unwrap(), bytes);
        }
    }
}
