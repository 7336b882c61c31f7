use super::super::life::{Event, event, renewed, withdrawn};
use super::super::part2;
use super::super::template::{
    Answers, DataClass, Filing, Grant, Template, Unanswered, access, answers,
};
use super::*;

#[test]
fn what_patients_usually_grant_is_what_opens() {
    let grant = access(&Grant {
        patient: "Patient/p",
        grantee: "clinic",
        data: &[DataClass::Laboratory, DataClass::Medications],
        purpose: "TREAT",
        start: "2026-06-01T00:00:00Z",
        end: "2026-06-30T23:59:59Z",
    });
    let category = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory";
    let table = format!(
        "
        clinic TREAT  Observation code={category}           => permit
        clinic TREAT  MedicationRequest                     => permit
        clinic TREAT  Observation                           => deny
        clinic TREAT  Condition                             => deny
        clinic TREAT  MedicationRequest label=PSY           => deny
        clinic HPAYMT MedicationRequest                     => deny
        payer  TREAT  MedicationRequest                     => deny
        clinic TREAT  MedicationRequest @2026-07-01         => deny
        clinic TREAT  MedicationRequest @2026-05-31         => deny
    "
    );
    check_consents(&[read("a", &grant).unwrap()], &table);
    let withdrawn = read("a", &withdrawn(grant)).unwrap();
    check_consents(&[withdrawn], "clinic TREAT MedicationRequest => deny");
    for (word, class) in [
        ("conditions", "Condition"),
        ("allergies", "AllergyIntolerance"),
        ("immunizations", "Immunization"),
        ("all", "Procedure"),
    ] {
        let data = DataClass::parse(word).unwrap();
        let grant = Grant {
            patient: "Patient/p",
            grantee: "clinic",
            data: &[data],
            purpose: "TREAT",
            start: "2026",
            end: "2026",
        };
        let consent = read("a", &access(&grant)).unwrap();
        check_consents(&[consent], &format!("clinic TREAT {class} => permit"));
    }
    assert_eq!(DataClass::parse("everything"), None);
}

const FILING: Filing<'_> = Filing {
    patient: "Patient/p",
    through: "hospital",
    start: "2026-06-01T00:00:00Z",
};

fn answered() -> Answers {
    let one = |name: &str, word: &str| (name.to_owned(), vec![word.to_owned()]);
    Answers::from([
        one("to", "clinic"),
        one("who", "RelatedPerson/son"),
        one("name", "Ada <Lovelace>"),
        one("data", "laboratory"),
        one("end", "2026-06-30T23:59:59Z"),
    ])
}

fn made(name: &str) -> Value {
    let template = Template::named(name).unwrap();
    template.consent(&FILING, &answered()).unwrap()
}

fn said(consent: &Value) -> &str {
    consent["text"]["div"].as_str().unwrap()
}

#[test]
fn every_template_makes_a_consent_that_filing_takes() {
    assert_eq!(Template::all().len(), 7);
    for template in Template::all() {
        let consent = made(&template.name);
        let read = read("a", &consent).unwrap();
        check_consent(&read).unwrap();
        assert!(read.is_active(), "{}", template.name);
        assert_eq!(part2::check(&consent, true), Ok(()), "{}", template.name);
        let is_part2 = template.name.starts_with("part2");
        assert_eq!(part2::is_part2(&consent), is_part2, "{}", template.name);
        assert!(!consent.to_string().contains('{') || !said(&consent).contains('{'));
    }
}

#[test]
fn a_template_opens_what_its_sentences_say() {
    let laboratory =
        "Observation code=http://terminology.hl7.org/CodeSystem/observation-category|laboratory";
    for (name, requester, purpose, what, outcome) in [
        ("treat-here", "hospital", "TREAT", laboratory, "permit"),
        ("treat-here", "clinic", "TREAT", laboratory, "deny"),
        ("share", "clinic", "TREAT", laboratory, "permit"),
        ("share", "clinic", "HRESCH", laboratory, "deny"),
        ("emergency", "clinic", "ETREAT", laboratory, "permit"),
        ("emergency", "clinic", "TREAT", laboratory, "deny"),
        ("research", "clinic", "HRESCH", laboratory, "permit"),
        ("research", "clinic", "TREAT", laboratory, "deny"),
        (
            "part2-care",
            "clinic",
            "TREAT",
            "Observation label=ETHUD",
            "permit",
        ),
        (
            "part2-care",
            "clinic",
            "HLEGAL",
            "Observation label=SUD",
            "deny",
        ),
        (
            "part2-care",
            "clinic",
            "TREAT",
            "Observation label=PSYTHPN",
            "deny",
        ),
        (
            "part2-proceedings",
            "clinic",
            "HLEGAL",
            "Observation label=SUD",
            "permit",
        ),
        (
            "part2-proceedings",
            "clinic",
            "TREAT",
            "Observation label=SUD",
            "deny",
        ),
    ] {
        let consents = [read("a", &made(name)).unwrap()];
        check_consents(
            &consents,
            &format!("{requester} {purpose} {what} => {outcome}"),
        );
    }
}

#[test]
fn part2_1_a_template_for_care_needs_no_end_and_one_for_proceedings_does() {
    let mut without_end = answered();
    without_end.remove("end");
    let make = |name: &str| {
        Template::named(name)
            .unwrap()
            .consent(&FILING, &without_end)
    };
    let care = make("part2-care").unwrap();
    assert_eq!(part2::check(&care, true), Ok(()));
    assert!(said(&care).contains("this ends: none."), "{}", said(&care));
    assert_eq!(
        make("part2-proceedings"),
        Err(Unanswered::Missing("end".to_owned()))
    );
    assert_eq!(made("part2-care")["patient"]["display"], "Ada <Lovelace>");
    assert!(said(&made("part2-care")).contains("Ada &lt;Lovelace&gt;"));
}

#[test]
fn answers_that_a_question_does_not_take_are_named() {
    let mut wrong = answered();
    wrong.insert("data".to_owned(), vec!["everything".to_owned()]);
    let share = Template::named("share").unwrap();
    assert_eq!(
        share.consent(&FILING, &wrong),
        Err(Unanswered::NotTaken("data".to_owned()))
    );
}

#[test]
fn a_questionnaire_asks_what_the_template_asks_and_its_response_answers_it() {
    for template in Template::all() {
        let questionnaire = template.questionnaire();
        let items = questionnaire["item"].as_array().unwrap();
        let asked = items.iter().filter(|item| item["type"] != "display");
        let item = |item: &Value| {
            let name = item["linkId"].as_str().unwrap();
            let given = answered().remove(name)?.remove(0);
            let value = match item["type"].as_str().unwrap() {
                "choice" => json!({ "valueCoding": { "code": given } }),
                "date" => json!({ "valueDate": given }),
                _ => json!({ "valueString": given }),
            };
            Some(json!({ "linkId": name, "answer": [value] }))
        };
        let response = json!({ "questionnaire": questionnaire["url"],
            "item": asked.filter_map(item).collect::<Vec<_>>() });
        let found = Template::answered_by(&response).unwrap();
        let given = answers(&response).unwrap();
        assert_eq!(
            found.consent(&FILING, &given).unwrap(),
            made(&template.name)
        );
    }
}

#[test]
fn a_renewal_says_the_new_day_in_its_text_and_is_a_renewal() {
    let given = made("share");
    let later = renewed(given.clone(), "2026-08-15T00:00:00Z").unwrap();
    assert!(
        said(&later).contains("ends on 2026-08-15"),
        "{}",
        said(&later)
    );
    assert!(!said(&later).contains("2026-06-30"));
    assert_eq!(event(Some(&given), &later), Ok(Event::Renewed));
}

/// Syllables, near enough: groups of vowels, without a silent `e` at the end.
fn syllables(word: &str) -> usize {
    let word = word.to_lowercase();
    let is_vowel = |letter: char| "aeiouy".contains(letter);
    let mut before = false;
    let mut groups = 0_usize;
    for letter in word.chars() {
        groups += usize::from(is_vowel(letter) && !before);
        before = is_vowel(letter);
    }
    let silent = word.ends_with('e') && !word.ends_with("le") && groups > 1;
    (groups - usize::from(silent)).max(1)
}

/// The Flesch-Kincaid grade of some sentences.
fn grade(text: &str) -> f64 {
    let sentences = text
        .split(['.', '?', ':'])
        .filter(|one| !one.trim().is_empty());
    let sentences = u32::try_from(sentences.count()).unwrap();
    let words = text.split_whitespace();
    let words: Vec<&str> = words
        .filter(|word| word.contains(char::is_alphabetic))
        .collect();
    let parts: usize = words.iter().map(|word| syllables(word)).sum();
    let count = f64::from(u32::try_from(words.len()).unwrap());
    let parts = f64::from(u32::try_from(parts).unwrap());
    0.39 * (count / f64::from(sentences)) + 11.8 * (parts / count) - 15.59
}

#[test]
fn sentences_read_at_grade_eight_or_below() {
    for template in Template::all() {
        let grade = grade(&template.blank().join(" "));
        assert!(grade <= 8.0, "{} reads at grade {grade:.1}", template.name);
    }
}
