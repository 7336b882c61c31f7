//! Questions of a small code system in two versions, value sets over it, and maps from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::fhir::Resource;

/// What is at hand, in memory.
#[derive(Default)]
struct Shelf {
    systems: Vec<Arc<Catalogue>>,
    sets: BTreeMap<String, Arc<ValueSet>>,
}

impl Library for Shelf {
    fn code_system(&self, wanted: &Canonical) -> Option<Arc<dyn Concepts>> {
        if wanted.url == Ucum::URL {
            return Some(Arc::new(Ucum::default()));
        }
        let found = self
            .systems
            .iter()
            .rev()
            .find(|one| wanted.means(one.about()));
        found.map(|one| Arc::clone(one) as Arc<dyn Concepts>)
    }

    fn value_set(&self, wanted: &Canonical) -> Option<Arc<ValueSet>> {
        self.sets.get(&wanted.url).cloned()
    }
}

/// An animal kingdom of our own: versions 1 and 2, of which the second has a newt.
fn shelf() -> Shelf {
    let animals = |version: &str, more: Value| {
        let mut all = vec![
            json!({"code": "beast", "display": "Beast", "property": [{"code": "notSelectable", "valueBoolean": true}],
                "concept": [
                {"code": "cat", "display": "House cat", "designation": [{"language": "de", "value": "Hauskatze"}],
                    "property": [{"code": "legs", "valueInteger": 4}]},
                {"code": "dodo", "display": "Dodo", "property": [{"code": "legs", "valueInteger": 2},
                    {"code": "inactive", "valueBoolean": true}]}]}),
            json!({"code": "plant", "display": "Plant"}),
        ];
        all.extend(more.as_array().cloned().unwrap_or_default());
        let resource = json!({"resourceType": "CodeSystem", "url": "urn:animals", "version": version,
            "title": "Animals", "status": "active", "content": "complete", "concept": all});
        let (about, draft) = code_system(&resource).unwrap();
        Arc::new(draft.finish(about))
    };
    let newt = json!([{"code": "newt", "display": "Great crested newt", "property": [
        {"code": "parent", "valueCode": "beast"}, {"code": "legs", "valueInteger": 4}]}]);
    Shelf {
        systems: vec![animals("1", Value::Null), animals("2", newt)],
        ..Shelf::default()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "json! makes it")]
fn set(compose: Value) -> Result<ValueSet, TerminologyProblem> {
    ValueSet::of(
        &json!({"resourceType": "ValueSet", "url": "urn:set", "status": "active", "compose": compose}),
    )
}

#[expect(clippy::needless_pass_by_value, reason = "json! makes it")]
fn of_animals(body: Value) -> Value {
    let mut part = json!({"system": "urn:animals"});
    part.as_object_mut()
        .unwrap()
        .extend(body.as_object().unwrap().clone());
    json!({"include": [part]})
}

fn codes(compose: Value, asked: &Expand) -> Result<String, TerminologyProblem> {
    let expanded = expand(
        &set(compose)?,
        asked,
        &shelf(),
        ("urn:uuid:1", "2026-01-01"),
    )?;
    let contains = expanded["expansion"]["contains"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let codes: Vec<&str> = contains
        .iter()
        .map(|one| one["code"].as_str().unwrap())
        .collect();
    Ok(codes.join(" "))
}

fn filter(property: &str, op: &str, value: &str) -> Value {
    of_animals(json!({"filter": [{"property": property, "op": op, "value": value}]}))
}

#[test]
fn filters_choose_what_their_operator_says() {
    for (property, op, value, expected) in [
        ("concept", "is-a", "beast", "beast cat dodo newt"),
        ("concept", "descendent-of", "beast", "cat dodo newt"),
        ("concept", "is-not-a", "beast", "plant"),
        ("concept", "generalizes", "cat", "beast cat"),
        ("code", "in", "cat,plant", "cat plant"),
        ("code", "not-in", "cat, plant", "beast dodo newt"),
        ("code", "regex", "[cd].*", "cat dodo"),
        ("display", "regex", "Great.*", "newt"),
        ("parent", "=", "beast", "cat dodo newt"),
        ("child", "exists", "true", "beast"),
        ("parent", "exists", "false", "beast plant"),
        ("legs", "=", "4", "cat newt"),
        ("legs", "exists", "false", "beast plant"),
        ("legs", "regex", "[0-3]", "dodo"),
        ("concept", "is-a", "unicorn", ""),
    ] {
        let found = codes(filter(property, op, value), &Expand::default());
        assert_eq!(found.as_deref(), Ok(expected), "{property} {op} {value}");
    }
    let refused = |op: &str, value: &str| codes(filter("legs", op, value), &Expand::default());
    assert_eq!(
        refused("like", "4"),
        Err(TerminologyProblem::FilterUnsupported)
    );
    assert_eq!(
        refused("is-a", "4"),
        Err(TerminologyProblem::FilterUnsupported)
    );
    assert_eq!(
        refused("regex", "(a{1000}){1000}"),
        Err(TerminologyProblem::RegexRefused)
    );
}

#[test]
fn parts_are_added_taken_away_and_narrowed() {
    let listed = |codes: &[&str]| {
        let concepts: Vec<Value> = codes.iter().map(|code| json!({"code": code})).collect();
        json!({"system": "urn:animals", "concept": concepts})
    };
    let compose = json!({"include": [listed(&["cat", "plant"]), listed(&["newt"])], "exclude": [listed(&["plant"])]});
    assert_eq!(codes(compose, &Expand::default()).unwrap(), "cat newt");
    let mut shelf = shelf();
    let other = set(json!({"include": [listed(&["cat", "dodo"])]})).unwrap();
    shelf.sets.insert("urn:other".to_owned(), Arc::new(other));
    let round = set(json!({"include": [{"valueSet": ["urn:round"]}]})).unwrap();
    shelf.sets.insert("urn:round".to_owned(), Arc::new(round));
    let expanded = |compose: Value| {
        let made = ("urn:uuid:1", "2026-01-01");
        expand(&set(compose).unwrap(), &Expand::default(), &shelf, made)
    };
    let both = expanded(
        json!({"include": [{"system": "urn:animals", "valueSet": ["urn:other"],
        "filter": [{"property": "legs", "op": "=", "value": "4"}]}]}),
    );
    assert_eq!(both.unwrap()["expansion"]["contains"][0]["code"], "cat");
    let problem = expanded(json!({"include": [{"valueSet": ["urn:round"]}]})).unwrap_err();
    assert_eq!(problem, TerminologyProblem::TooDeep(16));
    let problem = expanded(json!({"include": [{"valueSet": ["urn:none"]}]})).unwrap_err();
    assert_eq!(
        problem,
        TerminologyProblem::ValueSetMissing("urn:none".to_owned())
    );
    let problem = expanded(json!({"include": [{"system": "urn:none"}]})).unwrap_err();
    assert_eq!(
        problem,
        TerminologyProblem::SystemMissing("urn:none".to_owned())
    );
    // What is listed needs no code system.
    let unknown = expanded(
        json!({"include": [{"system": "urn:none", "concept": [{"code": "x", "display": "Ex"}]}]}),
    );
    assert_eq!(
        unknown.unwrap()["expansion"]["contains"][0]["display"],
        "Ex"
    );
}

#[test]
fn expansions_are_filtered_by_words_paged_and_bounded() {
    let asked = |filter: &str| Expand {
        filter: Some(filter.to_owned()),
        ..Expand::default()
    };
    let all = || of_animals(json!({}));
    assert_eq!(codes(all(), &asked("cre new")).unwrap(), "newt");
    assert_eq!(codes(all(), &asked("hauskatz")).unwrap(), "cat");
    assert_eq!(codes(all(), &asked("cre cat")).unwrap(), "");
    let page = Expand {
        offset: 1,
        count: Some(2),
        ..Expand::default()
    };
    assert_eq!(codes(all(), &page).unwrap(), "cat dodo");
    let active = Expand {
        active_only: true,
        ..Expand::default()
    };
    assert_eq!(codes(all(), &active).unwrap(), "beast cat newt plant");
    let made = ("urn:uuid:1", "2026-01-01");
    let german = Expand {
        language: Some("de-AT, de;q=0.9".to_owned()),
        has_designations: true,
        ..Expand::default()
    };
    let expanded = expand(&set(all()).unwrap(), &german, &shelf(), made).unwrap();
    let cat = &expanded["expansion"]["contains"][1];
    assert_eq!(cat["display"], "Hauskatze");
    assert_eq!(cat["designation"][0]["language"], "de");
    assert_eq!(expanded["expansion"]["contains"][0]["abstract"], true);
    let mut draft = Draft::default();
    for number in 0..=EXPANDED_MAX {
        draft.concept(&number.to_string());
    }
    let about = About {
        url: "urn:animals".to_owned(),
        version: "9".to_owned(),
        name: String::new(),
    };
    let mut large = Shelf::default();
    large.systems.push(Arc::new(draft.finish(about)));
    let whole = expand(&set(all()).unwrap(), &Expand::default(), &large, made).unwrap_err();
    assert_eq!(whole.code(), crate::fhir::IssueType::TooCostly);
    assert!(expand(&set(all()).unwrap(), &page, &large, made).is_ok());
    let units = set(json!({"include": [{"system": Ucum::URL}]})).unwrap();
    let units = expand(&units, &Expand::default(), &large, made).unwrap_err();
    assert_eq!(units.code(), crate::fhir::IssueType::TooCostly);
}

fn parameter<'a>(answer: &'a Value, name: &str) -> Vec<&'a Value> {
    let all = answer["parameter"].as_array().unwrap().iter();
    all.filter(|one| one["name"] == name).collect()
}

#[test]
fn versions_stand_side_by_side_and_the_last_one_is_meant() {
    let shelf = shelf();
    let newest = shelf.code_system(&Canonical::of("urn:animals")).unwrap();
    let found = lookup(newest.as_ref(), "newt", &[], None).unwrap();
    assert_eq!(parameter(&found, "version")[0]["valueString"], "2");
    assert_eq!(
        parameter(&found, "display")[0]["valueString"],
        "Great crested newt"
    );
    let properties: Vec<String> = parameter(&found, "property")
        .iter()
        .map(|one| format!("{}={}", one["part"][0]["valueCode"], one["part"][1]["name"]))
        .collect();
    assert_eq!(properties.len(), 3, "{properties:?}");
    let asked = ["parent".to_owned()];
    let parent = lookup(newest.as_ref(), "newt", &asked, None).unwrap();
    assert_eq!(
        parameter(&parent, "property")[0]["part"][1]["valueCode"],
        "beast"
    );
    let older = shelf
        .code_system(&Canonical::parse("urn:animals|1"))
        .unwrap();
    let gone = lookup(older.as_ref(), "newt", &[], None);
    assert_eq!(gone, Err(TerminologyProblem::CodeUnknown));
    assert!(
        shelf
            .code_system(&Canonical::parse("urn:animals|3"))
            .is_none()
    );
}

#[test]
fn codes_subsume_each_other_as_the_hierarchy_says() {
    let newest = shelf().code_system(&Canonical::of("urn:animals")).unwrap();
    for (one, other, outcome) in [
        ("cat", "cat", "equivalent"),
        ("beast", "cat", "subsumes"),
        ("newt", "beast", "subsumed-by"),
        ("cat", "newt", "not-subsumed"),
    ] {
        let found = subsumes(newest.as_ref(), one, other).unwrap();
        assert_eq!(found["parameter"][0]["valueCode"], outcome, "{one} {other}");
    }
    assert!(subsumes(newest.as_ref(), "cat", "unicorn").is_err());
}

#[test]
fn codes_are_validated_with_what_they_are_called() {
    let shelf = shelf();
    let newest = shelf.code_system(&Canonical::of("urn:animals")).unwrap();
    let four_legs = set(filter("legs", "=", "4")).unwrap();
    let units = set(json!({"include": [{"system": Ucum::URL}]})).unwrap();
    for (coding, in_system, in_set) in [
        (json!({"code": "cat"}), true, true),
        (json!({"code": "cat", "display": "HOUSE CAT"}), true, true),
        (json!({"code": "cat", "display": "Hauskatze"}), true, true),
        (json!({"code": "cat", "display": "Dog"}), false, false),
        (json!({"code": "dodo"}), true, false),
        (json!({"code": "unicorn"}), false, false),
        (
            json!({"coding": [{"code": "unicorn"}, {"code": "newt"}]}),
            true,
            true,
        ),
        (json!({"system": "urn:other", "code": "cat"}), true, false),
    ] {
        let asked = Asked::of(&coding);
        let found = validated(newest.as_ref(), &asked, None).unwrap();
        assert_eq!(found["parameter"][0]["valueBoolean"], in_system, "{coding}");
        let found = validated_in(&four_legs, &asked, &shelf, None).unwrap();
        assert_eq!(found["parameter"][0]["valueBoolean"], in_set, "{coding}");
    }
    for (unit, expected) in [("mg/dL", true), ("furlong/fortnite", false)] {
        let asked = Asked::of(&json!({"system": Ucum::URL, "code": unit}));
        let found = validated_in(&units, &asked, &shelf, None).unwrap();
        assert_eq!(found["parameter"][0]["valueBoolean"], expected, "{unit}");
    }
}

#[test]
fn implicit_value_sets_of_snomed_are_known() {
    for (url, is_known) in [
        ("http://snomed.info/sct?fhir_vs", true),
        ("http://snomed.info/sct?fhir_vs=isa/73211009", true),
        (
            "http://snomed.info/sct/900000000000207008?fhir_vs=isa/1",
            true,
        ),
        ("http://snomed.info/sct?fhir_vs=ecl/1", false),
        ("http://example.org?fhir_vs", false),
        ("http://snomed.info/sct", false),
    ] {
        assert_eq!(ValueSet::implicit(url).is_some(), is_known, "{url}");
    }
}

fn map() -> Arc<ConceptMap> {
    let map = json!({"resourceType": "ConceptMap", "url": "urn:map", "status": "active",
        "sourceUri": "urn:from", "targetUri": "urn:to", "group": [{"source": "urn:local", "target": "urn:animals",
        "element": [
            {"code": "KAT", "target": [{"code": "cat", "display": "House cat", "equivalence": "equivalent"}]},
            {"code": "PET", "target": [{"code": "cat", "equivalence": "narrower"}]},
            {"code": "UFO", "target": [{"equivalence": "unmatched"}]}]}]});
    Arc::new(ConceptMap::of(&map).unwrap())
}

#[test]
fn maps_lead_forward_and_back() {
    let asked = |system: &str, code: &str| Translate {
        codes: Asked::of(&json!({"system": system, "code": code})),
        ..Translate::default()
    };
    let told = |asked: &Translate| {
        let answer = translate(&[map()], asked);
        let matches = parameter(&answer, "match").into_iter();
        let matches = matches.map(|one| {
            let code = one["part"][1]["valueCoding"]["code"]
                .as_str()
                .unwrap_or("-");
            format!("{} {code}", one["part"][0]["valueCode"].as_str().unwrap())
        });
        let matches: Vec<String> = matches.collect();
        (
            parameter(&answer, "result")[0]["valueBoolean"] == true,
            matches.join(", "),
        )
    };
    assert_eq!(
        told(&asked("urn:local", "KAT")),
        (true, "equivalent cat".to_owned())
    );
    assert_eq!(
        told(&asked("urn:local", "UFO")),
        (false, "unmatched -".to_owned())
    );
    assert_eq!(told(&asked("urn:other", "KAT")), (false, String::new()));
    let back = Translate {
        is_reverse: true,
        ..asked("urn:animals", "cat")
    };
    assert_eq!(told(&back), (true, "equivalent KAT, wider PET".to_owned()));
    let elsewhere = Translate {
        target: Some("urn:elsewhere".to_owned()),
        ..asked("urn:local", "KAT")
    };
    assert_eq!(told(&elsewhere), (false, String::new()));
    let no_equivalence = json!({"url": "urn:map", "group": [{"element": [{"code": "a", "target": [{"code": "b"}]}]}]});
    assert!(ConceptMap::of(&no_equivalence).is_err());
}

#[test]
fn local_codes_get_what_they_are_mapped_to_and_stay() {
    let resource = json!({"resourceType": "Observation", "status": "final",
        "code": {"coding": [{"system": "urn:local", "code": "KAT", "display": "Katze"}]},
        "component": [{"code": {"coding": [{"system": "urn:local", "code": "PET"}]}},
            {"code": {"coding": [{"system": "urn:elsewhere", "code": "x"}]}}]});
    let mut resource = Resource::from_value(resource).unwrap();
    let unmapped = mapped(&mut resource, &[map()]);
    let pet = Coded {
        system: "urn:local".to_owned(),
        code: "PET".to_owned(),
    };
    assert_eq!(unmapped, [pet]);
    let again = resource.clone();
    let unmapped = mapped(&mut resource, &[map()]);
    assert_eq!((resource.clone() == again, unmapped.len()), (true, 1));
    let value = resource.into_value();
    let added = json!([{"system": "urn:local", "code": "KAT", "display": "Katze", "userSelected": true},
        {"extension": [{"url": MAPPED, "valueCanonical": "urn:map"}], "system": "urn:animals", "code": "cat",
            "display": "House cat"}]);
    assert_eq!(value["code"]["coding"], added);
    assert_eq!(
        value["component"][0]["code"]["coding"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert!(Resource::from_value(value).is_ok());
}

#[test]
fn queries_find_what_is_loaded() {
    use crate::fhir::search::{Terminology, ValueSets as _};
    let shelf = shelf();
    let searched = Searched::new(Terminology::default(), &shelf);
    let below = searched.below("urn:animals", "beast").unwrap();
    assert_eq!(below, ["beast", "cat", "dodo", "newt"]);
    assert_eq!(
        searched.above("urn:animals", "cat").unwrap(),
        ["beast", "cat"]
    );
    assert!(searched.below("urn:animals", "unicorn").is_none());
    assert!(searched.codes("urn:none").is_none());
}
