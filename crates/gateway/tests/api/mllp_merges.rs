//! Merges of patients by HL7 v2: both stay, in history and under their numbers, and a contradiction is a dead letter.

use serde_json::{Value, json};

use crate::mllp::{Connection, integrator, listed, part, patients};
use crate::support::Site;

/// A registration of a patient by number.
fn registration(control_id: &str, number: &str, given: &str) -> String {
    message("A08", control_id, number, given, None)
}

fn message(
    event: &str,
    control_id: &str,
    number: &str,
    given: &str,
    merged: Option<&str>,
) -> String {
    let merged = merged.map(|number| format!("MRG|{number}^^^NORTH^MR\r"));
    format!(
        "MSH|^~\\&|ADT|NORTH|CARE|NORTH|20260301101500+0100||ADT^{event}|{control_id}|P|2.5.1\r\
         EVN|{event}|202603011015\r\
         PID|1||{number}^^^NORTH^MR||Merged^{given}||19620417|F\r{}",
        merged.unwrap_or_default()
    )
}

/// A result under the one number that this laboratory gives.
fn result(control_id: &str, number: &str, value: &str) -> String {
    let registered = registration(control_id, number, "Ilse");
    let registered = registered.replace("ADT^A08", "ORU^R01");
    let patient = registered.replace("EVN|A08|202603011015\r", "");
    format!(
        "{patient}OBR|1||F1^LAB|2345-7^Glucose^LN|||20260301||||||||||||||||||F\r\
         OBX|1|NM|2345-7^Glucose^LN||{value}||||||F\r"
    )
}

async fn of_number(site: &Site, token: &str, number: &str) -> Vec<Value> {
    let all = patients(site, token).await;
    let own = |one: &Value| one["identifier"][0]["value"] == number;
    all.into_iter().filter(own).collect()
}

#[tokio::test]
async fn merges_of_each_kind_are_marked_on_both_patients_and_can_be_taken_back() {
    let site = Site::new();
    let mut sender = Connection::to(&site).await;
    let token = site.ehr().await;
    for event in ["A18", "A34", "A40"] {
        let [kept, gone] = ["K", "G"].map(|kind| format!("{kind}-{event}"));
        for (number, control_id) in [(&kept, "1"), (&gone, "2")] {
            let answer = sender
                .ask(&registration(
                    &format!("{event}{control_id}"),
                    number,
                    "Ilse",
                ))
                .await;
            assert!(answer[1].starts_with("MSA|AA"), "{answer:?}");
        }
        let merge = message(event, &format!("{event}3"), &kept, "Ilse", Some(&gone));
        let answer = sender.ask(&merge).await;
        assert!(answer[1].starts_with("MSA|AA"), "{answer:?}");
        let [into, from] = [
            of_number(&site, &token, &kept).await,
            of_number(&site, &token, &gone).await,
        ];
        let (into, from) = (&into[0], &from[0]);
        let place = |one: &Value| format!("Patient/{}", one["id"].as_str().unwrap());
        assert_eq!(from["active"], false);
        assert_eq!(from["link"][0]["type"], "replaced-by");
        assert_eq!(from["link"][0]["other"]["reference"], place(into));
        assert_eq!(into["link"][0]["type"], "replaces");
        assert_eq!(into["identifier"][1]["value"], gone.as_str());
        assert_eq!(into["identifier"][1]["use"], "old");
        assert_eq!(
            (&into["meta"]["versionId"], &from["meta"]["versionId"]),
            (&json!("2"), &json!("2"))
        );
        let pair = json!({ "resourceType": "Parameters", "parameter": [
            { "name": "source-patient", "valueReference": { "reference": place(from) } },
            { "name": "target-patient", "valueReference": { "reference": place(into) } } ] });
        let parted = site.ask(&token, "POST", "/Patient/$unmerge", &pair).await;
        assert_eq!(parted.status, 200, "{}", parted.text);
        let back = of_number(&site, &token, &gone).await;
        assert!(
            back[0]["active"].is_null() && back[0]["link"].is_null(),
            "{}",
            back[0]
        );
    }
}

#[tokio::test]
async fn r1_r2_r3_after_a_merge_both_numbers_are_the_survivors_and_no_registration_undoes_it() {
    let site = Site::new();
    let mut sender = Connection::to(&site).await;
    let token = site.ehr().await;
    for (at, number) in ["K", "G"].into_iter().enumerate() {
        sender
            .ask(&registration(&format!("C{at}"), number, "Ilse"))
            .await;
    }
    let merge = message("A40", "M1", "K", "Ilse", Some("G"));
    assert_eq!(sender.ask(&merge).await[1], "MSA|AA|M1");
    // The survivor is registered again; somebody who has not heard of the merge does so under the old number.
    assert_eq!(
        sender.ask(&registration("C3", "K", "Ilse Maria")).await[1],
        "MSA|AA|C3"
    );
    assert_eq!(
        sender.ask(&registration("C4", "G", "Stale")).await[1],
        "MSA|AA|C4"
    );
    let result = result("C5", "G", "5");
    assert_eq!(sender.ask(&result).await[1], "MSA|AA|C5");
    let (into, from) = (
        of_number(&site, &token, "K").await,
        of_number(&site, &token, "G").await,
    );
    assert_eq!((into.len(), from.len()), (1, 1));
    assert_eq!(into[0]["name"][0]["given"], json!(["Ilse Maria"]));
    assert_eq!(into[0]["link"][0]["type"], "replaces");
    assert_eq!(into[0]["identifier"][1]["value"], "G");
    assert_eq!(from[0]["link"][0]["type"], "replaced-by");
    assert_eq!(from[0]["name"][0]["given"], json!(["Ilse"]));
    let observation = site.get(&token, "/Observation").await.json()["entry"][0]["resource"].clone();
    let survivor = format!("Patient/{}", into[0]["id"].as_str().unwrap());
    assert_eq!(observation["subject"]["reference"], survivor);
}

#[tokio::test]
async fn r4_a_contradictory_merge_is_a_dead_letter_that_says_why_and_the_same_merge_again_changes_nothing()
 {
    let site = Site::new();
    let mut sender = Connection::to(&site).await;
    let (token, operator) = (site.ehr().await, integrator(&site).await);
    for (at, number) in ["A", "B", "C"].into_iter().enumerate() {
        sender
            .ask(&registration(&format!("C{at}"), number, "Ilse"))
            .await;
    }
    assert_eq!(
        sender
            .ask(&message("A40", "M1", "B", "Ilse", Some("A")))
            .await[1],
        "MSA|AA|M1"
    );
    assert_eq!(
        sender
            .ask(&message("A40", "M2", "B", "Ilse", Some("A")))
            .await[1],
        "MSA|AA|M2"
    );
    let before = of_number(&site, &token, "B").await;
    assert_eq!(before[0]["meta"]["versionId"], "2");
    let back = sender
        .ask(&message("A40", "M3", "A", "Ilse", Some("B")))
        .await;
    assert_eq!(back[1], "MSA|AE|M3");
    assert!(
        back[2].contains("MRG^1^1") && back[2].contains("205^"),
        "{back:?}"
    );
    let elsewhere = sender
        .ask(&message("A40", "M4", "C", "Ilse", Some("A")))
        .await;
    assert_eq!(elsewhere[1], "MSA|AE|M4");
    let dead = listed(&site, &operator, "dead").await;
    assert_eq!(dead.len(), 2);
    assert!(
        part(&dead[0], "reason").contains("survivor who was not merged"),
        "{dead:?}"
    );
    assert!(
        part(&dead[1], "reason").contains("unmerge them first"),
        "{dead:?}"
    );
    assert_eq!(of_number(&site, &token, "B").await, before);
    // B goes on into C, over A that stays with B.
    assert_eq!(
        sender
            .ask(&message("A40", "M5", "C", "Ilse", Some("B")))
            .await[1],
        "MSA|AA|M5"
    );
    let circle = sender
        .ask(&message("A40", "M6", "A", "Ilse", Some("C")))
        .await;
    assert_eq!(circle[1], "MSA|AE|M6");
}

#[tokio::test]
async fn a_merge_of_patients_who_are_not_known_makes_both() {
    let site = Site::new();
    let mut sender = Connection::to(&site).await;
    let token = site.ehr().await;
    let merge = message("A40", "M1", "K", "Ilse", Some("G"));
    assert_eq!(sender.ask(&merge).await[1], "MSA|AA|M1");
    let (into, from) = (
        of_number(&site, &token, "K").await,
        of_number(&site, &token, "G").await,
    );
    assert_eq!(into[0]["name"][0]["given"], json!(["Ilse"]));
    assert_eq!(from[0]["link"][0]["type"], "replaced-by");
    // A message that was on its way under the old number.
    assert_eq!(
        sender.ask(&registration("C1", "G", "Late")).await[1],
        "MSA|AA|C1"
    );
    assert_eq!(patients(&site, &token).await.len(), 2);
}

#[tokio::test]
async fn an_identifier_of_two_people_is_a_dead_letter() {
    let site = Site::new();
    let mut sender = Connection::to(&site).await;
    let token = site.ehr().await;
    let shared = json!({ "resourceType": "Patient", "identifier": [
        { "system": "urn:careledger:v2:authority:NORTH", "value": "S" }] });
    for _ in 0..2 {
        assert_eq!(
            site.ask(&token, "POST", "/Patient", &shared).await.status,
            201
        );
    }
    let answer = sender.ask(&registration("C1", "S", "Ilse")).await;
    assert_eq!(answer[1], "MSA|AE|C1");
    assert!(answer[2].contains("PID^1^3"), "{answer:?}");
}

#[tokio::test]
async fn r5_a_number_that_was_given_twice_joins_no_two_patients_records() {
    let site = Site::new();
    let mut sender = Connection::to(&site).await;
    let token = site.ehr().await;
    let values = async || {
        let found = site.get(&token, "/Observation?_sort=_id").await.json();
        let entries = found["entry"].as_array().into_iter().flatten();
        let said = entries.map(|entry| {
            let one = &entry["resource"];
            let subject = one["subject"]["reference"].as_str().unwrap().to_owned();
            (subject, one["valueQuantity"]["value"].to_string())
        });
        let mut said: Vec<(String, String)> = said.collect();
        said.sort();
        said
    };
    for (control_id, number, value) in [("R1", "K", "5"), ("R2", "G", "6"), ("R3", "K", "7")] {
        let answer = sender.ask(&result(control_id, number, value)).await;
        assert_eq!(answer[1], format!("MSA|AA|{control_id}"));
    }
    let ids = [("K", "7"), ("G", "6")];
    let mut expected = Vec::new();
    for (number, value) in ids {
        let patient = of_number(&site, &token, number).await;
        let id = patient[0]["id"].as_str().unwrap();
        expected.push((format!("Patient/{id}"), value.to_owned()));
    }
    expected.sort();
    assert_eq!(values().await, expected);

    // G goes into N: what comes under N corrects what G had, and leaves it G's; what K had under that number stays.
    let late = registration("C1", "N", "Ilse");
    assert_eq!(sender.ask(&late).await[1], "MSA|AA|C1");
    let merge = message("A40", "M1", "N", "Ilse", Some("G"));
    assert_eq!(sender.ask(&merge).await[1], "MSA|AA|M1");
    for (control_id, number, value) in [("R4", "N", "8"), ("R5", "G", "9")] {
        let answer = sender.ask(&result(control_id, number, value)).await;
        assert_eq!(answer[1], format!("MSA|AA|{control_id}"));
        let corrected = expected.iter_mut().find(|(_, now)| now != "7").unwrap();
        corrected.1 = value.to_owned();
        assert_eq!(values().await, expected);
    }
    assert_eq!(site.count(&token, "DiagnosticReport").await, 2);
    // What is new is the survivor's.
    let other = result("R6", "N", "10").replace("F1^LAB", "F2^LAB");
    assert_eq!(sender.ask(&other).await[1], "MSA|AA|R6");
    let survivor = of_number(&site, &token, "N").await;
    let survivor = format!("Patient/{}", survivor[0]["id"].as_str().unwrap());
    expected.push((survivor, "10".to_owned()));
    expected.sort();
    assert_eq!(values().await, expected);
}

#[tokio::test]
async fn r6_a_visit_of_before_a_merge_is_the_one_that_later_messages_name() {
    let site = Site::new();
    let mut sender = Connection::to(&site).await;
    let token = site.ehr().await;
    let visit = "PV1|1|I|||||||||||||||||V881^^^NORTH\r";
    let admission = registration("A1", "G", "Ilse").replace("A08", "A01") + visit;
    assert_eq!(sender.ask(&admission).await[1], "MSA|AA|A1");
    let merge = message("A40", "M1", "N", "Ilse", Some("G"));
    assert_eq!(sender.ask(&merge).await[1], "MSA|AA|M1");
    let late = result("R1", "N", "5").replace("OBR|1", &format!("{visit}OBR|1"));
    assert_eq!(sender.ask(&late).await[1], "MSA|AA|R1");
    let visits = site.get(&token, "/Encounter").await.json();
    assert_eq!(
        visits["entry"].as_array().map(Vec::len),
        Some(1),
        "{visits}"
    );
    let place = format!(
        "Encounter/{}",
        visits["entry"][0]["resource"]["id"].as_str().unwrap()
    );
    let results = site.get(&token, "/Observation").await.json();
    assert_eq!(
        results["entry"][0]["resource"]["encounter"]["reference"],
        place.as_str()
    );
}
