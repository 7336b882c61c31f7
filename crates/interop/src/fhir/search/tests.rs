use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fhir::{Resource, ResourceType};

fn observation(extra: &Value) -> IndexTerms {
    let mut value = json!({"resourceType": "Observation", "status": "final",
        "category": [{"coding": [{"system": "http://c.org", "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "8302-2"}, {"code": "own"}]},
        "subject": {"reference": "Patient/1"}, "encounter": {"reference": "urn:uuid:e"},
        "performer": [{"type": "Practitioner", "identifier": {"system": "npi", "value": "9"}},
                      {"reference": "https://a.org/fhir/Organization/o"}],
        "effectiveDateTime": "2020-02-10T12:00:00Z"});
    value
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    IndexTerms::of(&Resource::from_value(value).unwrap())
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').map(|pair| pair.split_once('=').unwrap());
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn query(kind: &str, text: &str) -> Result<Query, QueryError> {
    Query::parse(
        ResourceType::parse(kind).unwrap(),
        &pairs(text),
        Handling::Strict,
    )
}

fn found(text: &str) -> bool {
    query("Observation", text)
        .unwrap()
        .matches(&observation(&json!({})), 1_000, "o1")
}

#[test]
fn what_matches_an_observation() {
    for text in [
        "_id=o1",
        "_id=x,o1",
        "status=final",
        "status=|final",
        "code=8302-2",
        "code=http://loinc.org|8302-2",
        "code=http://loinc.org|",
        "code=|own",
        "code=x,own",
        "category=laboratory&status=final",
        "patient=1",
        "patient=Patient/1",
        "subject=Patient/1",
        "subject:Patient=1",
        "encounter=urn:uuid:e",
        "performer=https://a.org/fhir/Organization/o",
        "performer:identifier=npi|9",
        "performer:identifier=9",
        "date=2020",
        "date=2020-02-10",
        "date=eq2020-02-10T12:00:00Z",
        "date=2020-02-10T13:00:00 01:00",
        "date=ge2020-02-10",
        "date=gt2020-02-10T11:59:59Z",
        "date=lt2020-02-11",
        "date=ge2020-01&date=le2020-03",
        "date=sa2020-02-09",
        "date=eb2020-02-11",
        "date=ne2021",
        "date=ap2020-02",
        "_lastUpdated=ge1970&_lastUpdated=lt1971",
        "status:not=amended",
        "specimen:missing=true",
        "code:missing=false",
    ] {
        assert!(found(text), "{text}");
    }
}

#[test]
fn what_does_not() {
    for text in [
        "_id=x",
        "status=amended",
        "status=Final",
        "code=|8302-2",
        "code=http://snomed.info/sct|own",
        "code=http://snomed.info/sct|",
        "category=laboratory&status=amended",
        "patient=2",
        "patient=Group/1",
        "subject:Group=1",
        "encounter=e",
        "performer:identifier=x|9",
        "date=2019",
        "date=2020-02-11",
        "date=gt2020-02-10",
        "date=gt2020-02-10T12:00:00Z",
        "date=lt2020-02-10",
        "date=sa2020-02",
        "date=eb2020-02-10",
        "date=ne2020",
        "date=ap2021",
        "_lastUpdated=gt1970",
        "status:not=final",
        "code:missing=true",
        "specimen:missing=false",
    ] {
        assert!(!found(text), "{text}");
    }
}

#[test]
fn partial_dates_and_periods_follow_the_prefixes_of_r4() {
    let period = |period: &Value, text: &str| {
        let value = json!({"resourceType": "Encounter", "status": "finished",
            "class": {"system": "http://c.org", "code": "AMB"}, "period": period});
        let terms = IndexTerms::of(&Resource::from_value(value).unwrap());
        query("Encounter", text).unwrap().matches(&terms, 0, "e")
    };
    let january = json!({"start": "2020-01", "end": "2020-01"});
    assert!(period(&january, "date=2020"));
    assert!(!period(&january, "date=2020-01-15"));
    assert!(period(&january, "date=ap2020-01-15"));
    assert!(period(&january, "date=gt2020-01-15"));
    assert!(period(&january, "date=lt2020-01-15"));
    assert!(!period(&january, "date=sa2020-01-15"));
    assert!(period(&january, "date=eb2020-02"));
    let open = json!({"start": "2020-01"});
    assert!(period(&open, "date=ge2030"));
    assert!(!period(&open, "date=lt2020"));
    assert!(period(&json!({"start": "2020"}), "class=http://c.org|AMB"));
}

#[test]
fn a_group_is_a_subject_and_no_patient() {
    let terms = observation(&json!({"subject": {"reference": "Group/1"}}));
    for (text, expected) in [
        ("subject=Group/1", true),
        ("patient=1", false),
        ("patient:missing=true", true),
        ("subject:missing=true", false),
    ] {
        let query = query("Observation", text).unwrap();
        assert_eq!(query.matches(&terms, 0, "o"), expected, "{text}");
    }
}

#[test]
fn names_are_found_by_their_start_without_case() {
    let patient = json!({"resourceType": "Patient", "birthDate": "1980-05-01", "gender": "female",
        "identifier": [{"system": "http://mrn.org", "value": "a|b,c"}],
        "name": [{"family": "O'Brien", "given": ["Zoë", "Ann"]}]});
    let terms = IndexTerms::of(&Resource::from_value(patient).unwrap());
    let found = |text: &str| query("Patient", text).unwrap().matches(&terms, 0, "p");
    for text in [
        "family=o'br",
        "given=ann",
        "given=ZOË",
        "name=O'BRIEN",
        "name=zoë",
        "family:exact=O'Brien",
        "given=zoe",
        "family:contains=brie",
        "birthdate=1980",
        "birthdate=lt1990",
        "gender=female",
        r"identifier=http://mrn.org|a\|b\,c",
        r"identifier=a\|b\,c",
    ] {
        assert!(found(text), "{text}");
    }
    for text in [
        "family=brien",
        "given=brien",
        "family:exact=o'b",
        "family:exact=o'brien",
        "gender=male",
    ] {
        assert!(!found(text), "{text}");
    }
}

fn refuses(table: &[(&str, &str, QueryProblem)]) {
    for (text, parameter, problem) in table {
        let error = query("Observation", text).unwrap_err();
        assert_eq!(
            (error.parameter.as_str(), error.problem),
            (*parameter, *problem),
            "{text}"
        );
        assert!(
            !error.outcome().to_value().to_string().contains("MARK"),
            "{text}"
        );
    }
}

#[test]
fn wrong_names_are_named_and_values_are_not() {
    refuses(&[
        ("secret=1", "secret", QueryProblem::ParameterUnknown),
        ("Jane Roe=1", "*", QueryProblem::ParameterUnknown),
        (
            "code:exact=MARKER",
            "code:exact",
            QueryProblem::ModifierUnknown,
        ),
        ("_text=(MARKER", "_text", QueryProblem::ValueMalformed),
        ("_filter=MARKER", "_filter", QueryProblem::ValueMalformed),
        (
            "_contained=true",
            "_contained",
            QueryProblem::ParameterUnsupported,
        ),
        (
            "code:in=http://MARKER",
            "code:in",
            QueryProblem::ValueSetUnknown,
        ),
        (
            "code:below=http://a|MARK",
            "code:below",
            QueryProblem::HierarchyUnknown,
        ),
        (
            "subject:Claim=1",
            "subject:Claim",
            QueryProblem::TargetImpossible,
        ),
        ("code.name=MARKER", "code.name", QueryProblem::ChainBroken),
        (
            "subject.secret=MARKER",
            "subject.secret",
            QueryProblem::ChainBroken,
        ),
        (
            "_has:Observation:secret:code=1",
            "_has:Observation:secret:code",
            QueryProblem::ChainBroken,
        ),
    ]);
}

#[test]
fn wrong_values_are_not_repeated() {
    refuses(&[
        (
            "_include=Observation:secret",
            "_include",
            QueryProblem::ValueUnsupported,
        ),
        ("_include=MARKER", "_include", QueryProblem::ValueMalformed),
        (
            "value-quantity=MARK",
            "value-quantity",
            QueryProblem::ValueMalformed,
        ),
        (
            "code-value-quantity=x",
            "code-value-quantity",
            QueryProblem::ValueMalformed,
        ),
        (
            "subject.link.link.link.link.link.name=MARK",
            "subject.link.link.link.link.link.name",
            QueryProblem::ChainTooLong,
        ),
        (
            "date:exact=2020",
            "date:exact",
            QueryProblem::ModifierUnknown,
        ),
        (
            "subject:Nobody=1",
            "subject:Nobody",
            QueryProblem::ModifierUnknown,
        ),
        ("code=", "code", QueryProblem::ValueMissing),
        ("code=a,,b", "code", QueryProblem::ValueMissing),
        ("code=|", "code", QueryProblem::ValueMissing),
        ("code=a|b|c", "code", QueryProblem::ValueMalformed),
        ("date=MARKER", "date", QueryProblem::ValueMalformed),
        ("date=ge", "date", QueryProblem::ValueMalformed),
        ("patient=MARK ER", "patient", QueryProblem::ValueMalformed),
        (
            "code:missing=MARKER",
            "code:missing",
            QueryProblem::ValueMalformed,
        ),
        ("_count=-1", "_count", QueryProblem::ValueMalformed),
        ("_sort=MARKER", "_sort", QueryProblem::ValueUnsupported),
        (
            "_sort=code-value-date",
            "_sort",
            QueryProblem::ValueUnsupported,
        ),
        (
            "_sort=_id,_id,_id,_id,_id,_id,_id,_id,_id",
            "_sort",
            QueryProblem::TooManySortKeys,
        ),
        ("_summary=MARK", "_summary", QueryProblem::ValueMalformed),
        ("_elements=a b", "_elements", QueryProblem::ValueMalformed),
    ]);
}

#[test]
fn what_a_query_costs_is_bounded() {
    let many = |count: usize| vec!["a"; count].join(",");
    let ids = |count: usize| [("_id".to_owned(), many(count))];
    let read = |scope: &Scope, pairs: &[(String, String)]| {
        let read = Query::read(scope, pairs, Handling::Strict, &NoValueSets);
        read.err().map(|error| error.problem)
    };
    let one = Scope::Type(ResourceType::PATIENT);
    assert_eq!(read(&one, &ids(limits::VALUES_MAX)), None);
    let too_many = Some(QueryProblem::TooManyValues);
    assert_eq!(read(&one, &ids(limits::VALUES_MAX + 1)), too_many);
    // Of all types, each value counts 146 times.
    assert_eq!(read(&Scope::System, &ids(100)), None);
    assert_eq!(read(&Scope::System, &ids(400)), too_many);
    let filters = vec![("_id".to_owned(), "a".to_owned()); limits::PARAMETERS_MAX + 1];
    assert_eq!(read(&one, &filters), Some(QueryProblem::TooManyParameters));
    let includes = vec![("_include".to_owned(), "*".to_owned()); limits::INCLUDES_MAX + 1];
    assert_eq!(read(&one, &includes), Some(QueryProblem::TooManyIncludes));
    let long = [("_id".to_owned(), "a".repeat(limits::VALUE_BYTES_MAX + 1))];
    assert_eq!(read(&one, &long), Some(QueryProblem::ValueTooLong));
}

#[test]
fn a_lenient_query_leaves_unknown_parameters_out_of_its_link() {
    let kind = ResourceType::parse("Observation").unwrap();
    let pairs = pairs("code=http://loinc.org|8302-2&secret=1&_count=5&date=ge2020 x");
    assert!(
        Query::parse(kind, &pairs, Handling::Lenient).is_err(),
        "a bad value stays an error"
    );
    let query = Query::parse(kind, &pairs[..3], Handling::Lenient).unwrap();
    assert_eq!(query.ignored, ["secret"]);
    assert_eq!(query.count, 5);
    let link = "https://a.org/fhir/Observation?code=http://loinc.org%7C8302-2&_count=5";
    assert_eq!(query.self_link("https://a.org/fhir/"), link);
}

#[test]
fn control_parameters_are_read() {
    let all = "_count=99999&_summary=count&_total=none&_elements=code,status&_format=json";
    let query = query("Observation", all).unwrap();
    assert_eq!(query.count, 1_000);
    assert_eq!((query.summary, query.total), (Summary::Count, Total::None));
    assert_eq!(query.elements, ["code", "status"]);
}

#[test]
fn the_patients_of_a_query_are_known() {
    for (kind, text, expected) in [
        (
            "Observation",
            "code=x&patient=1,Patient/2",
            Some(vec!["1", "2"]),
        ),
        ("Observation", "subject=Patient/1", Some(vec!["1"])),
        ("Observation", "subject=Group/1", None),
        ("Observation", "patient:missing=true", None),
        ("Observation", "_id=1", None),
        ("Patient", "_id=1", Some(vec!["1"])),
    ] {
        assert_eq!(
            query(kind, text).unwrap().patients(),
            expected,
            "{kind} {text}"
        );
    }
}

#[test]
fn sorting_puts_what_has_no_date_last_and_never_ties() {
    let dated = |date: &str| observation(&json!({"effectiveDateTime": date}));
    let (old, new) = (dated("2001"), dated("2002"));
    let bare = IndexTerms::default();
    let candidates = [
        ("a", &bare, 5),
        ("b", &new, 1),
        ("d", &old, 2),
        ("c", &old, 2),
    ];
    let sorted = |text: &str| {
        let query = query("Observation", text).unwrap();
        let mut list = candidates.map(|(id, terms, last_updated_ms)| Candidate {
            terms,
            last_updated_ms,
            id,
        });
        let kind = ResourceType::parse("Observation").unwrap();
        list.sort_by_key(|candidate| query.rank(kind, *candidate));
        list.map(|candidate| candidate.id).concat()
    };
    assert_eq!(sorted("_sort=date"), "cdba");
    assert_eq!(sorted("_sort=-date"), "bcda");
    assert_eq!(sorted("_sort=-date,-_id"), "bdca");
    assert_eq!(sorted("_sort=_lastUpdated"), "bcda");
    assert_eq!(sorted("_count=1"), "acdb");
}

#[test]
fn terms_survive_their_encoding_and_hide_in_debug() {
    let terms = observation(&json!({}));
    let bytes = minicbor::to_vec(&terms).unwrap();
    assert!(minicbor::decode::<IndexTerms>(&bytes).unwrap() == terms);
    assert!(!format!("{terms:?} {:?}", terms.get("code")).contains("8302-2"));
    assert!(bytes.len() < 1_200, "{}", bytes.len());
}

proptest! {
    #[test]
    fn arbitrary_queries_never_panic(name in "[a-z_:]{0,12}|code|date|patient|_sort|subject:identifier",
                                     value in "\\PC{0,30}|[a-z0-9|,\\\\]{0,12}") {
        let kind = ResourceType::parse("Observation").unwrap();
        let pairs = [(name, value)];
        if let Ok(query) = Query::parse(kind, &pairs, Handling::Lenient) {
            let _ = query.matches(&observation(&json!({})), 0, "x");
            drop(query.self_link("http://a.org"));
        }
    }

    #[test]
    fn exactly_one_of_before_within_after_holds(
        day in 1_u8..=28, month in 1_u8..=12, other in 1_u8..=12,
    ) {
        let terms = observation(&json!({"effectiveDateTime": format!("2020-{month:02}-{day:02}")}));
        let holds = |prefix: &str| {
            let query = query("Observation", &format!("date={prefix}2020-{other:02}")).unwrap();
            query.matches(&terms, 0, "x")
        };
        prop_assert_eq!([holds("eb"), holds("eq"), holds("sa")].iter().filter(|it| **it).count(), 1);
        prop_assert_eq!(holds("ge"), holds("eq") || holds("gt"));
        prop_assert_eq!(holds("le"), holds("eq") || holds("lt"));
        prop_assert_eq!(holds("ne"), !holds("eq"));
    }
}

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
