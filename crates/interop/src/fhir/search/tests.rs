mod refused;
mod words;

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
