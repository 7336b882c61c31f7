use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fhir::Resource;
use crate::fhir::search::IndexTerms;
use crate::identity::{Frequencies, Grade, Judgement, Model};
use crate::synth::labelled_patients;

const SALT: &[u8] = b"one question";

fn traits(resource: Value) -> Traits {
    Traits::of(&IndexTerms::of(&Resource::from_value(resource).unwrap()))
}

fn secret(byte: u8) -> LinkageSecret {
    LinkageSecret::from_bytes([byte; SECRET_BYTES])
}

fn person(given: &str, born: &str) -> Traits {
    traits(
        json!({ "resourceType": "Patient", "gender": "female", "birthDate": born,
        "name": [{ "family": "Winterbourne", "given": [given] }],
        "telecom": [{ "system": "phone", "value": "+49 30 1234-5678" }],
        "address": [{ "line": ["12 Mill Lane"], "city": "Arborfield", "postalCode": "01001" }] }),
    )
}

fn judged(asked: &Traits, own: &Traits) -> Judgement {
    let key = secret(1);
    let frequencies = Frequencies::of([own].into_iter());
    judge_encoded(
        &key.encode(asked, SALT),
        (own, &key.encode(own, SALT)),
        &Model::default(),
        &frequencies,
    )
}

#[test]
fn one_person_is_found_through_the_faults_of_the_field() {
    let own = person("Elizabeth", "1980-03-07");
    for (given, born) in [
        ("Elizabeth", "1980-03-07"),
        ("Beth", "1980-03-07"),
        ("Elizabeht", "1980-03-07"),
        ("Elizabeth", "1980-07-03"),
        ("Elizabeth", "1980-03-08"),
    ] {
        let grade = judged(&person(given, born), &own).grade;
        assert_eq!(grade, Grade::Certain, "{given} {born}");
    }
}

#[test]
fn i2_twins_and_parents_are_never_certain_under_encodings() {
    let own = person("Anne", "1980-03-07");
    for (given, born) in [
        ("Maria", "1980-03-07"),
        ("Anna", "1980-03-07"),
        ("A", "1980-03-07"),
        ("Anne", "1951-11-22"),
    ] {
        let grade = judged(&person(given, born), &own).grade;
        assert!(grade < Grade::Certain, "{given} {born}");
    }
}

#[test]
fn every_encoding_has_one_length_and_others_are_refused() {
    let key = secret(1);
    let (much, nothing) = (person("Elizabeth", "1980-03-07"), Traits::default());
    for one in [&much, &nothing] {
        let encoding = key.encode(one, SALT);
        let bytes = encoding.to_bytes();
        assert_eq!(bytes.len(), Encoding::BYTES);
        assert_eq!(Encoding::from_bytes(&bytes), Some(encoding));
    }
    for length in [0, Encoding::BYTES - 1, Encoding::BYTES + 1, 1 << 20] {
        assert_eq!(Encoding::from_bytes(&vec![0; length]), None);
    }
}

#[test]
fn two_questions_about_one_person_share_buckets_alone() {
    let (key, one) = (secret(1), person("Elizabeth", "1980-03-07"));
    let (first, second) = (key.encode(&one, b"one"), key.encode(&one, b"two"));
    assert_eq!(first.buckets(), second.buckets());
    let judgement = judge_encoded(
        &first,
        (&one, &second),
        &Model::default(),
        &Frequencies::default(),
    );
    assert_eq!(judgement.grade, Grade::CertainlyNot);
}

#[test]
fn the_secret_is_proven_for_one_message() {
    let proof = secret(1).proof(b"message");
    assert!(secret(1).is_proof(b"message", &proof));
    assert!(!secret(1).is_proof(b"another", &proof));
    assert!(!secret(2).is_proof(b"message", &proof));
    assert!(!secret(1).is_proof(b"message", &proof[..31]));
}

proptest! {
    #[test]
    fn an_encoding_under_another_secret_is_of_nobody(
        given in "[a-z]{2,12}",
        day in 1_u8..28,
        secrets in any::<([u8; 32], [u8; 32])>(),
    ) {
        prop_assume!(secrets.0 != secrets.1);
        let one = person(&given, &format!("1980-03-{day:02}"));
        let (a, b) = (LinkageSecret::from_bytes(secrets.0), LinkageSecret::from_bytes(secrets.1));
        let (a, b) = (a.encode(&one, SALT), b.encode(&one, SALT));
        prop_assert_ne!(a.to_bytes(), b.to_bytes());
        prop_assert!(a.buckets().is_disjoint(b.buckets()));
        let judgement = judge_encoded(&a, (&one, &b), &Model::default(), &Frequencies::default());
        prop_assert_eq!(judgement.grade, Grade::CertainlyNot);
    }

    #[test]
    fn reading_an_encoding_and_writing_it_again_changes_nothing(filter in any::<u8>(), place in 0..Encoding::BYTES) {
        let mut bytes = secret(1).encode(&person("Ann", "1980-03-07"), SALT).to_bytes();
        if place < Encoding::BYTES - 100 {
            bytes[place] = filter;
        }
        prop_assert_eq!(Encoding::from_bytes(&bytes).unwrap().to_bytes(), bytes);
    }
}

/// The promise over two small sets; `careledger bench matching --between-members` measures it over large ones.
#[test]
fn labelled_patients_of_two_members_are_told_apart_and_found() {
    let key = secret(1);
    let records: Vec<_> = labelled_patients(11, 2_000, 50).collect();
    let mut here = BTreeMap::new();
    let mut asked = Vec::new();
    for one in records {
        let (person, traits) = (one.person, traits(one.resource));
        let encoding = key.encode(&traits, SALT);
        // The second record of a person is another member's.
        match here.entry(person) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert((traits, encoding));
            }
            std::collections::btree_map::Entry::Occupied(_) => asked.push((person, encoding)),
        }
    }
    let frequencies = Frequencies::of(here.values().map(|(traits, _)| traits));
    let model = Model::default();
    let (mut found, mut wrong, mut compared) = (0_usize, 0_usize, 0_usize);
    for (person, encoding) in &asked {
        for (other, (traits, own)) in &here {
            if encoding.buckets().is_disjoint(own.buckets()) {
                continue;
            }
            compared += 1;
            let grade = judge_encoded(encoding, (traits, own), &model, &frequencies).grade;
            match (grade == Grade::Certain, person == other) {
                (true, true) => found += 1,
                (true, false) => wrong += 1,
                (false, _) => {}
            }
        }
    }
    println!(
        "found {found} of {}, wrong {wrong}, compared {compared}",
        asked.len()
    );
    assert_eq!(wrong, 0);
    assert!(found * 100 > asked.len() * 95, "{found} of {}", asked.len());
}
