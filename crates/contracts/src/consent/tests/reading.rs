//! What is read from a FHIR `Consent`, and what is refused.

use proptest::prelude::*;

use super::*;

fn refusal(provision: &Value) -> Rejection {
    read("a", &consent(provision)).unwrap_err()
}

#[test]
fn c2_what_cannot_be_enforced_is_refused_by_name() {
    let cannot = |more: Value, element: &str| {
        let refused = refusal(&permit(more));
        let expected = Rejection::CannotEnforce(format!("Consent.provision.{element}"));
        assert_eq!(refused, expected);
        assert_eq!(refused.element(), format!("Consent.provision.{element}"));
    };
    cannot(json!({ "data": [] }), "data");
    cannot(json!({ "modifierExtension": [] }), "modifierExtension");
    cannot(json!({ "_type": {} }), "_type");
    let action = |coding: Value| json!({ "action": [{ "coding": coding }] });
    cannot(action(json!([{ "code": "sell" }])), "action");
    cannot(action(json!([])), "action");
    cannot(json!({ "action": [{ "text": "sell" }] }), "action");
    cannot(json!({ "action": [] }), "action");
    cannot(json!({ "class": [{ "code": "Observation" }] }), "class");
    cannot(json!({ "class": [] }), "class");
    let actors = |actor: Value| json!({ "actor": [member("clinic"), actor] });
    let reference = |reference: Value| actors(actor(reference));
    for unknown in [
        "Patient/1",
        "Organization/7",
        "Group",
        "Group/",
        "https://h/fhir/Group/1",
        "#g",
    ] {
        cannot(reference(json!({ "reference": unknown })), "actor");
    }
    cannot(
        reference(json!({ "identifier": { "system": "x", "value": "clinic" } })),
        "actor",
    );
    let of_two = json!({ "reference": "Practitioner/1", "identifier": { "system": MEMBER_SYSTEM, "value": "clinic" } });
    cannot(reference(of_two), "actor");
    let mut author = member("clinic");
    author["role"]["coding"][0]["code"] = json!("AUT");
    cannot(actors(author), "actor");
    cannot(
        actors(json!({ "role": { "coding": [{ "code": "IRCP" }] } })),
        "actor",
    );
    let role = |coding: Value| json!({ "role": { "coding": [coding] } });
    cannot(actors(role(json!({ "code": "AUT" }))), "actor");
    let part = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
    cannot(
        actors(role(json!({ "system": part, "code": "XYZ" }))),
        "actor",
    );
    let mut involved = role(json!({ "system": "http://snomed.info/sct", "code": "158965000" }));
    involved["reference"] = json!({ "reference": "Practitioner/1" });
    cannot(actors(involved), "actor");
    let deep = (0..9).fold(
        json!({ "type": "deny" }),
        |nested, _| json!({ "type": "deny", "provision": [nested] }),
    );
    assert!(matches!(refusal(&deep), Rejection::CannotEnforce(_)));
    let shallow = (0..8).fold(
        json!({ "type": "deny" }),
        |nested, _| json!({ "type": "deny", "provision": [nested] }),
    );
    assert!(read("a", &consent(&shallow)).is_ok());
}

#[test]
fn consents_are_bounded() {
    let cannot = |provision: &Value, element: &str| {
        let expected = Rejection::CannotEnforce(format!("Consent.provision.{element}"));
        assert_eq!(refusal(provision), expected);
    };
    let many = |count: usize| vec!["TREAT"; count];
    cannot(&permit(json!({ "purpose": codes(&many(257)) })), "purpose");
    let members = |count: usize| rule("permit", &vec!["clinic"; count], json!({}));
    cannot(&members(257), "actor");
    let deny = |nested: Vec<Value>| json!({ "type": "deny", "provision": nested });
    let wide = |count: usize| deny(vec![json!({ "type": "deny" }); count]);
    cannot(&wide(257), "provision");
    cannot(&deny(vec![wide(127), wide(127)]), "provision");
    check(
        &[deny(vec![wide(126), wide(127)]), members(256)],
        "clinic TREAT Observation => deny",
    );
}

#[test]
fn c3_a_permit_names_somebody() {
    let nobody = |path: &str| Rejection::NamesNobody(path.to_owned());
    assert_eq!(
        refusal(&json!({ "type": "permit" })),
        nobody("Consent.provision")
    );
    let nested = json!({ "type": "deny", "provision": [{ "type": "permit" }] });
    assert_eq!(refusal(&nested), nobody("Consent.provision.provision"));
    let around = json!({ "actor": [member("clinic")], "provision": [{ "type": "permit" }] });
    assert!(read("a", &consent(&around)).is_ok());
    assert!(read("a", &consent(&json!({ "type": "deny" }))).is_ok());
}

#[test]
fn malformed_consents_are_refused_by_name() {
    let malformed = |path: &str| Rejection::Malformed(path.to_owned());
    for (more, element) in [
        (json!({ "type": "maybe" }), "type"),
        (json!({ "period": { "start": "yesterday" } }), "period"),
        (json!({ "period": { "begin": "2026" } }), "period"),
        (json!({ "dataPeriod": "2026" }), "dataPeriod"),
        (json!({ "purpose": "TREAT" }), "purpose"),
        (json!({ "purpose": [] }), "purpose"),
        (json!({ "code": [{ "text": "x" }] }), "code"),
        (json!({ "securityLabel": [{}] }), "securityLabel"),
        (json!({ "provision": {} }), "provision"),
        (json!({ "provision": [{}] }), "provision.type"),
    ] {
        assert_eq!(
            refusal(&permit(more)),
            malformed(&format!("Consent.provision.{element}"))
        );
    }
    let change = |element: &str, value: Value| {
        let mut resource = consent(&permit(json!({})));
        resource[element] = value;
        read("a", &resource)
    };
    assert_eq!(
        change("status", json!("on")),
        Err(malformed("Consent.status"))
    );
    assert_eq!(
        change("patient", json!({})),
        Err(malformed("Consent.patient"))
    );
    assert_eq!(
        read("a", &json!([])),
        Err(malformed("Consent.resourceType"))
    );
    let cannot = |path: &str| Err(Rejection::CannotEnforce(path.to_owned()));
    let research = json!({ "coding": [{ "code": "research" }] });
    assert_eq!(change("scope", research), cannot("Consent.scope"));
    for element in [
        "modifierExtension",
        "extension",
        "implicitRules",
        "contained",
        "_status",
    ] {
        assert_eq!(
            change(element, json!("x")),
            cannot(&format!("Consent.{element}"))
        );
    }
}

#[test]
fn partial_dates_cover_the_whole_of_what_they_name() {
    let span = |text: &str| span::moment(text).unwrap();
    let length = |text: &str| span(text).1 - span(text).0;
    const DAY: i64 = 86_400_000;
    assert_eq!(span("1970"), (0, 365 * DAY));
    assert_eq!(length("2024"), 366 * DAY);
    assert_eq!(length("2024-02"), 29 * DAY);
    assert_eq!(length("2026-12"), 31 * DAY);
    assert_eq!(length("2026-12-31"), DAY);
    assert_eq!(span("2026-12").1, span("2027").0);
    assert_eq!(length("2026-06-01T12:00:00Z"), 1_000);
    assert_eq!(length("2026-06-01T12:00:00.250Z"), 1);
    assert_eq!(span("2026-06-01T14:00:00+02:00"), span(NOON));
    for text in [
        "",
        "26",
        "2026-13",
        "2026-1",
        "2026-02-30",
        "2026-06-01T12:00",
        "0x7e",
    ] {
        assert_eq!(span::moment(text), None, "{text}");
    }
}

#[test]
fn errors_and_debug_output_hold_no_values() {
    let secret = "a secret";
    let resource = consent(&permit(json!({ "purpose": [secret] })));
    assert!(
        !read("a", &resource)
            .unwrap_err()
            .to_string()
            .contains(secret)
    );
    let mut resource = consent(&permit(
        json!({ "code": [{ "coding": [{ "code": secret }] }] }),
    ));
    resource["patient"]["reference"] = json!(secret);
    assert!(!format!("{:?}", read("a", &resource).unwrap()).contains(secret));
}

/// JSON out of the words that a consent is made of, in any order and nesting.
fn json_of_a_consents_words() -> impl Strategy<Value = Value> {
    let words = [
        "permit",
        "deny",
        "provision",
        "clinic",
        "IRCP",
        "Practitioner/1",
        "access",
        "collect",
        "2026-06",
        "TREAT",
        "",
    ];
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<i32>().prop_map(|number| json!(number)),
        prop::sample::select(words.to_vec()).prop_map(|word| json!(word)),
    ];
    let names = [
        "type",
        "period",
        "start",
        "end",
        "actor",
        "role",
        "reference",
        "identifier",
        "system",
        "value",
        "action",
        "coding",
        "code",
        "purpose",
        "class",
        "securityLabel",
        "dataPeriod",
        "provision",
        "id",
        "extension",
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        let elements =
            prop::collection::vec((prop::sample::select(names.to_vec()), inner.clone()), 0..6);
        let object = elements.prop_map(|all| {
            all.into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<Value>()
        });
        prop_oneof![2 => object, 1 => prop::collection::vec(inner, 0..3).prop_map(Value::Array)]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_provisions_are_refused_or_compile(provision in json_of_a_consents_words()) {
        if let Ok(consent) = read("a", &consent(&provision)) {
            prop_assert_eq!(check_consent(&consent), Ok(()));
        }
    }

    #[test]
    fn arbitrary_text_is_a_moment_or_none(text in "[0-9TZ:.+-]{0,24}|.{0,12}") {
        if let Some((first, after)) = span::moment(&text) {
            prop_assert!(first < after);
        }
    }
}
