//! Words, filter expressions, and places that are near.

use super::*;

/// An Observation with words and a place that is not its own.
fn written() -> IndexTerms {
    let value = json!({"resourceType": "Observation", "status": "final",
        "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Serum <i>sodium</i> of Müller</div>"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "2951-2", "display": "Natrium"}, {"code": "own"}]},
        "subject": {"reference": "Patient/1"}, "effectiveDateTime": "2020-02-10",
        "valueString": "within range", "note": [{"text": "taken twice"}]});
    IndexTerms::with_content(&Resource::from_value(value).unwrap())
}

#[test]
fn words_are_found_alone_together_and_as_phrases() {
    for (text, expected) in [
        ("_text=SODIUM", true),
        ("_text=serum muller", true),
        ("_text=serum potassium", false),
        ("_text=potassium,sodium", true),
        ("_text=\"serum sodium\"", true),
        ("_text=\"sodium serum\"", false),
        ("_text=(potassium OR sodium) AND serum", true),
        ("_text=NOT potassium", true),
        ("_text=serum NOT sodium", false),
        ("_text=natrium", false),
        ("_text=sod", false),
        ("_content=natrium", true),
        ("_content=sodium natrium \"within range\"", true),
        ("_content=2951-2", true),
        ("_content=patient", false),
        ("_text:missing=true", false),
    ] {
        let query = query("Observation", text).unwrap();
        assert_eq!(query.matches(&written(), 0, "o"), expected, "{text}");
        assert_eq!(query.asks_content(), text.starts_with("_content"), "{text}");
    }
    for text in [
        "_text=",
        "_text=...",
        "_text=(serum",
        "_text=serum)",
        "_text=\"serum",
        "_text=AND serum",
        "_text=NOT",
        "_text:exact=serum",
        "_sort=_text",
    ] {
        assert!(query("Observation", text).is_err(), "{text}");
    }
    let large = ["a"; 65].join(" ");
    let refused = query("Observation", &format!("_text={large}")).unwrap_err();
    assert_eq!(refused.problem, QueryProblem::ExpressionTooLarge);
}

#[test]
fn filter_expressions_ask_what_parameters_ask() {
    for (text, expected) in [
        ("code eq http://loinc.org|2951-2", true),
        ("code eq 2951-2 and status eq final", true),
        ("code eq 2951-3 or status eq final", true),
        ("code eq 2951-3 and status eq final", false),
        ("not(code eq 2951-3) and date le 2020-02-10", true),
        // One of the codes is another.
        ("code ne own", true),
        ("status ne final", false),
        ("date po 2020-02", true),
        ("date sa 2020-02-10", false),
        ("specimen pr false", true),
        ("code pr true", true),
        ("subject re Patient/1", true),
        ("subject ne Patient/1", false),
        ("value-string sw \"WITHIN\"", true),
        ("value-string ew range", true),
        ("value-string co \"in r\"", true),
        ("value-string eq within", false),
        ("value-string eq \"Within Range\"", true),
        ("_text co \"serum sodium\"", true),
        ("_id eq o and _lastUpdated lt 1971", true),
        ("_id ne o", false),
    ] {
        let query = query("Observation", &format!("_filter={text}")).unwrap();
        assert_eq!(query.matches(&written(), 0, "o"), expected, "{text}");
    }
    for (text, problem) in [
        ("code co x", QueryProblem::OperatorUnsupported),
        ("date sw 2020", QueryProblem::OperatorUnsupported),
        ("subject in x", QueryProblem::OperatorUnsupported),
        ("code in urn:unknown", QueryProblem::ValueSetUnknown),
        ("code ss a|b", QueryProblem::HierarchyUnknown),
        ("family eq x", QueryProblem::ExpressionParameterUnknown),
        ("subject.nothing eq x", QueryProblem::ChainBroken),
        ("code:not eq x", QueryProblem::ModifierUnknown),
        ("date ge ge2020", QueryProblem::ValueMalformed),
        ("subject pr maybe", QueryProblem::ValueMalformed),
        ("subject[a eq b].c eq d", QueryProblem::ValueUnsupported),
    ] {
        let refused = query("Observation", &format!("_filter={text}")).unwrap_err();
        assert_eq!(refused.problem, problem, "{text}");
    }
}

#[test]
fn an_expression_confines_to_a_patient_only_if_all_of_it_does() {
    for (text, patients) in [
        ("subject eq Patient/1 and code eq x", Some(vec!["1"])),
        (
            "code eq x and (subject eq Patient/1 and code eq y)",
            Some(vec!["1"]),
        ),
        ("subject eq Patient/1 or code eq x", None),
        ("not(subject eq Patient/1)", None),
        ("subject ne Patient/1", None),
    ] {
        let query = query("Observation", &format!("_filter={text}")).unwrap();
        assert_eq!(query.patients(), patients, "{text}");
    }
    let chained = query(
        "Observation",
        "_filter=not(subject:Patient.name co x) or code eq y",
    )
    .unwrap();
    assert_eq!(chained.types_touched(), [ResourceType::PATIENT]);
}

#[test]
fn places_are_found_by_what_is_near() {
    let location = json!({"resourceType": "Location", "name": "Clinic",
        "position": {"longitude": -83.69471, "latitude": 42.256500}});
    let terms = IndexTerms::of(&Resource::from_value(location).unwrap());
    for (near, expected) in [
        ("42.256500|-83.694810|11.20|km", true),
        ("42.256500|-83.694810|1|m", false),
        ("42.3|-83.7|3|[mi_i]", false),
        ("0|0,42.3|-83.7|4|[mi_i]", true),
    ] {
        let query = query("Location", &format!("near={near}")).unwrap();
        assert_eq!(query.matches(&terms, 0, "l"), expected, "{near}");
    }
    assert!(query("Location", "near:exact=1|2").is_err());
    assert!(query("Location", "_sort=near").is_err());
}
