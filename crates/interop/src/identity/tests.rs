use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::fhir::Resource;
use crate::fhir::search::IndexTerms;
use crate::synth::labelled_patients;

fn traits(value: Value) -> Traits {
    Traits::of(&IndexTerms::of(&Resource::from_value(value).unwrap()))
}

fn person() -> Value {
    json!({ "resourceType": "Patient",
        "identifier": [{ "system": "http://hl7.org/fhir/sid/us-ssn", "value": "123-45-6789" }],
        "name": [{ "family": "Winterbourne", "given": ["Elizabeth"] }],
        "birthDate": "1980-03-07", "gender": "female",
        "telecom": [{ "system": "phone", "value": "+49 (0)30 1234-5678" }],
        "address": [{ "line": ["12 Mill Lane"], "city": "Arborfield", "postalCode": "01001" }] })
}

fn without(element: &str) -> Value {
    let mut value = person();
    value.as_object_mut().unwrap().remove(element);
    value
}

fn judged(one: &Value, other: &Value) -> Judgement {
    let (one, other) = (traits(one.clone()), traits(other.clone()));
    let there = judge(&one, &other, &Model::default(), &Frequencies::default());
    let back = judge(&other, &one, &Model::default(), &Frequencies::default());
    assert_eq!(there.grade, back.grade);
    let shared = blocking_keys(&one)
        .intersection(&blocking_keys(&other))
        .count();
    assert!(
        there.grade < Grade::Probable || shared > 0,
        "blocking misses it"
    );
    there
}

#[test]
fn the_same_person_written_otherwise_is_the_same_person() {
    let base = without("identifier");
    let changed = |element: &str, value: Value| {
        let mut other = base.clone();
        other[element] = value;
        other
    };
    for other in [
        base.clone(),
        changed(
            "name",
            json!([{ "family": "WINTERBOURNE", "given": ["elizabeth", "Anne"] }]),
        ),
        changed(
            "name",
            json!([{ "family": "Winterbourne", "given": ["Liz"] }]),
        ),
        changed(
            "name",
            json!([{ "family": "Wintrebourne", "given": ["Elizabeth"] }]),
        ),
        changed(
            "name",
            json!([{ "family": "Elizabeth", "given": ["Winterbourne"] }]),
        ),
        changed(
            "name",
            json!([{ "family": "Winterbourne-Smith", "given": ["Elizabeth"] }]),
        ),
        changed(
            "name",
            json!([{ "family": "Vâsquez", "given": ["Elizabeth"] }, { "family": "Winterbourne" }]),
        ),
        changed("birthDate", json!("1980-07-03")),
        changed(
            "telecom",
            json!([{ "system": "phone", "value": "030/12345678" }]),
        ),
        changed(
            "address",
            json!([{ "line": ["Mill Ln. 12"], "city": "ARBORFIELD", "postalCode": "01001" }]),
        ),
    ] {
        assert_eq!(judged(&base, &other).grade, Grade::Certain, "{other}");
    }
}

#[test]
fn a_common_number_decides_unless_they_look_like_two_people() {
    let mut moved = person();
    moved["name"] = json!([{ "family": "Khan", "given": ["Elizabeth"] }]);
    moved["address"] = json!([{ "city": "Elsewhere" }]);
    let found = judged(&person(), &moved);
    assert_eq!(
        (found.grade, found.reason),
        (Grade::Certain, Reason::SameIdentifier)
    );
    for (element, value) in [
        ("birthDate", json!("1951-11-30")),
        (
            "name",
            json!([{ "family": "Winterbourne", "given": ["Robert"] }]),
        ),
        ("name", json!([{ "family": "Khan", "given": ["Robert"] }])),
    ] {
        let mut other = person();
        other[element] = value;
        let found = judged(&person(), &other);
        assert_eq!(
            (found.grade, found.reason),
            (Grade::Possible, Reason::SharedIdentifier)
        );
    }
}

#[test]
fn numbers_of_one_authority_that_contradict_forbid() {
    let mut other = person();
    other["identifier"][0]["value"] = "987-65-4321".into();
    let found = judged(&person(), &other);
    assert_eq!(
        (found.grade, found.reason),
        (Grade::CertainlyNot, Reason::ContradictingIdentifiers)
    );
    // One slip is a slip.
    other["identifier"][0]["value"] = "123-45-6798".into();
    assert_eq!(judged(&person(), &other).grade, Grade::Certain);
    // A hospital that made two records gave out two numbers.
    let numbered = |value| {
        let mut one = without("identifier");
        one["identifier"] = json!([{ "system": "urn:hospital", "value": value }]);
        one
    };
    assert_eq!(
        judged(&numbered("A1"), &numbered("B2")).grade,
        Grade::Certain
    );
}

#[test]
fn twins_and_namesakes_are_never_certain() {
    let base = without("identifier");
    for given in ["Anna", "Maria", "Marie", "Robert"] {
        let twin = |given: &str| {
            let mut twin = base.clone();
            twin["name"][0]["given"] = json!([given]);
            twin
        };
        assert!(judged(&twin("Anne"), &twin(given)).grade <= Grade::Possible);
    }
    let mut father = base.clone();
    father["birthDate"] = "1951-03-07".into();
    assert!(judged(&base, &father).grade <= Grade::Possible);
    let mut second = base.clone();
    second["name"][0]["given"] = json!(["Robert", "Elizabeth"]);
    assert_eq!(judged(&base, &second).grade, Grade::Probable);
    let mut brother = base.clone();
    brother["gender"] = "male".into();
    brother["birthDate"] = "1981-03-07".into();
    assert_eq!(judged(&base, &brother).grade, Grade::Probable);
    let mut undated = base.clone();
    undated.as_object_mut().unwrap().remove("birthDate");
    assert!(judged(&base, &undated).grade <= Grade::Probable);
}

#[test]
fn strangers_are_not_matched_by_a_common_name() {
    let names = ["Smith", "Winterbourne"];
    let population = (0..2_000).map(|number| {
        let family = names[usize::from(number == 7)];
        traits(
            json!({ "resourceType": "Patient", "name": [{ "family": family, "given": ["Ann"] }] }),
        )
    });
    let frequencies = Frequencies::of(population.collect::<Vec<_>>().iter());
    let named = |family: &str| {
        traits(
            json!({ "resourceType": "Patient", "birthDate": "1980-03-07",
            "name": [{ "family": family, "given": ["Elizabeth"] }] }),
        )
    };
    let [common, rare] = names
        .map(named)
        .map(|one| judge(&one, &one, &Model::default(), &frequencies).bits);
    assert!(rare > common + 8.0, "{rare} {common}");
}

/// The promise over a small population; `careledger bench matching` measures it over a large one.
#[test]
fn labelled_patients_are_told_apart_and_found() {
    let records: Vec<_> = labelled_patients(11, 2_000, 50).collect();
    let people: Vec<u64> = records.iter().map(|one| one.person).collect();
    let traits: Vec<Traits> = records
        .into_iter()
        .map(|one| traits(one.resource))
        .collect();
    let frequencies = Frequencies::of(traits.iter());
    let model = Model::default();
    let (mut found, mut wrong) = (0_usize, 0_usize);
    for (one, other) in candidate_pairs(&traits, 500) {
        let grade = judge(&traits[one], &traits[other], &model, &frequencies).grade;
        match (grade == Grade::Certain, people[one] == people[other]) {
            (true, true) => found += 1,
            (true, false) => wrong += 1,
            (false, _) => {}
        }
    }
    let twice = people.windows(2).filter(|pair| pair[0] == pair[1]).count();
    println!("found {found} of {twice}, wrong {wrong}");
    assert_eq!(wrong, 0);
    assert!(found * 100 > twice * 95, "{found} of {twice}");
}

#[test]
fn learning_finds_what_patterns_were_made_with() {
    let records: Vec<_> = labelled_patients(5, 2_000, 50).collect();
    let people: Vec<u64> = records.iter().map(|one| one.person).collect();
    let traits: Vec<Traits> = records
        .into_iter()
        .map(|one| traits(one.resource))
        .collect();
    let counted = |pairs: &[(usize, usize)]| {
        let mut counts: BTreeMap<Pattern, u64> = BTreeMap::new();
        for (one, other) in pairs {
            *counts
                .entry(Pattern::of(&traits[*one], &traits[*other]))
                .or_default() += 1;
        }
        counts
    };
    let candidates = candidate_pairs(&traits, 500);
    let random: Vec<(usize, usize)> = (0..20_000_usize)
        .map(|at| (at * 31 % traits.len(), (at * 977 + 13) % traits.len()))
        .filter(|(one, other)| people[*one] != people[*other])
        .collect();
    let learned = learn(&counted(&candidates), &counted(&random), &Model::START, 200);
    let truth = candidates
        .iter()
        .filter(|(one, other)| people[*one] == people[*other]);
    let truth = truth.count() as f64 / candidates.len() as f64;
    println!(
        "share {} true {truth} rounds {}",
        learned.share, learned.rounds
    );
    assert!(
        (learned.share - truth).abs() < 0.1 * truth.max(0.1),
        "{} {truth}",
        learned.share
    );
    for (field, same, apart) in learned.model.rows() {
        println!("{field:?} {same:.5?} {apart:.5?}");
    }
    let family = learned.model.weight(Field::Family, 3);
    assert!(family > 3.0 && learned.model.weight(Field::Born, 1) < -3.0);
}
