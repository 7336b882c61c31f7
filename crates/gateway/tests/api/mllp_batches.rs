//! Batch files, and messages in the character set of their sender.

use serde_json::{Value, json};

use crate::mllp::{Connection, integrator, listed, part, patients};
use crate::support::Site;

fn registration(control_id: &str, given: &str) -> String {
    format!(
        "MSH|^~\\&|ADT|NORTH|CARE|NORTH|20260301101500+0100||ADT^A08^ADT_A01|{control_id}|P|2.5.1\r\
         EVN|A08|202603011015\rPID|1||B1^^^NORTH^MR||Batch^{given}||19620417|F\r"
    )
}

fn batch(messages: &[String]) -> String {
    format!(
        "FHS|^~\\&|ADT|NORTH|CARE|NORTH|20260301||||F1\rBHS|^~\\&|ADT|NORTH|CARE|NORTH|20260301||||B1\r{}BTS|{}\rFTS|1\r",
        messages.concat(),
        messages.len()
    )
}

#[tokio::test]
async fn m1_m3_a_batch_is_answered_with_an_acknowledgement_of_each_message_and_filed_in_order() {
    let site = Site::new();
    let mut sender = Connection::to(&site).await;
    let wrong = registration("C2", "Wrong").replace("19620417", "19621341");
    let messages = [
        registration("C1", "One"),
        wrong,
        registration("C3", "Three"),
    ];
    let answer = sender.ask(&batch(&messages)).await;
    let names: Vec<&str> = answer.iter().map(|line| &line[..3]).collect();
    let expected = [
        "FHS", "BHS", "MSH", "MSA", "MSH", "MSA", "ERR", "MSH", "MSA", "BTS", "FTS",
    ];
    assert_eq!(names, expected, "{answer:?}");
    assert!(
        answer[1].starts_with("BHS|^~\\&|CARE|NORTH|ADT|NORTH|") && answer[1].ends_with("|F1"),
        "{answer:?}"
    );
    assert_eq!(
        (answer[3].as_str(), answer[8].as_str()),
        ("MSA|AA|C1", "MSA|AA|C3")
    );
    assert_eq!(
        (answer[5].as_str(), answer[9].as_str()),
        ("MSA|AE|C2", "BTS|3")
    );
    let token = site.ehr().await;
    let found = patients(&site, &token).await;
    assert_eq!(found[0]["name"][0]["given"], json!(["Three"]));
    assert_eq!(found[0]["meta"]["versionId"], "2");
    // A file that was cut is kept for an operator, and nothing of it is filed.
    let cut = batch(&[registration("C4", "Cut"), registration("C5", "Cut")]);
    let cut = cut.replace("BTS|2\rFTS|1\r", "");
    let answer = sender.ask(&cut).await;
    assert!(answer[1].starts_with("MSA|AE"), "{answer:?}");
    let operator = integrator(&site).await;
    let dead = listed(&site, &operator, "dead").await;
    assert_eq!(dead.len(), 2);
    assert!(
        part(&dead[1], "reason").contains("the file was cut"),
        "{dead:?}"
    );
}

#[tokio::test]
async fn a_file_is_imported_by_an_operator_once_and_errors_are_counted_by_sender() {
    let site = Site::new();
    let (token, operator) = (site.ehr().await, integrator(&site).await);
    let wrong = registration("C2", "Wrong").replace("19620417", "19621341");
    let file = [registration("C1", "One"), wrong].concat();
    let path = "/$v2-import?listener=adt";
    assert_eq!(
        site.post_bytes(&token, path, file.as_bytes()).await.status,
        403
    );
    let unknown = site
        .post_bytes(&operator, "/$v2-import?listener=none", file.as_bytes())
        .await;
    assert_eq!(unknown.status, 400);
    for _ in 0..2 {
        let answer = site.post_bytes(&operator, path, file.as_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let answers = answer.json()["parameter"].as_array().unwrap().clone();
        assert_eq!(
            (part(&answers[0], "code"), part(&answers[0], "control-id")),
            ("AA".to_owned(), "C1".to_owned())
        );
        assert_eq!(part(&answers[1], "code"), "AE");
        assert!(
            part(&answers[1], "reason").starts_with("PID-7"),
            "{answers:?}"
        );
    }
    assert_eq!(patients(&site, &token).await[0]["meta"]["versionId"], "1");
    let errors = site.get(&operator, "/$v2-errors").await;
    assert_eq!(errors.status, 200, "{}", errors.text);
    let sender = &errors.json()["parameter"][0];
    assert_eq!(
        (part(sender, "application"), part(sender, "facility")),
        ("ADT".to_owned(), "NORTH".to_owned())
    );
    let parts = sender["part"].as_array().unwrap();
    let error = parts.iter().find(|part| part["name"] == "error").unwrap();
    assert!(
        error["part"][0]["valueString"]
            .as_str()
            .unwrap()
            .starts_with("PID-7")
    );
    assert_eq!(error["part"][1]["valueUnsignedInt"], 1);
    assert_eq!(site.get(&token, "/$v2-errors").await.status, 403);
}

#[tokio::test]
async fn a_sender_that_names_no_character_set_is_read_in_the_one_that_is_configured() {
    let site = Site::new();
    let mut sender = Connection::to(&site).await;
    let text = registration("C1", "J\u{f6}rg").replace("|ADT|NORTH|CARE", "|LATIN|SOUTH|CARE");
    let latin: Vec<u8> = text
        .chars()
        .map(|letter| u8::try_from(u32::from(letter)).unwrap())
        .collect();
    sender.send_bytes(&latin).await;
    assert_eq!(sender.answer().await[1], "MSA|AA|C1");
    let token = site.ehr().await;
    assert_eq!(
        patients(&site, &token).await[0]["name"][0]["given"],
        json!(["J\u{f6}rg"])
    );
}

#[tokio::test]
async fn a_message_is_shown_with_what_each_segment_becomes() {
    let site = Site::new();
    let mut sender = Connection::to(&site).await;
    // It maps, and cannot be filed: a dead letter with both sides.
    let shared = json!({ "resourceType": "Patient", "identifier": [
        { "system": "urn:careledger:v2:authority:NORTH", "value": "B1" }] });
    let (token, operator) = (site.ehr().await, integrator(&site).await);
    for _ in 0..2 {
        assert_eq!(
            site.ask(&token, "POST", "/Patient", &shared).await.status,
            201
        );
    }
    sender.ask(&registration("C1", "Ilse")).await;
    let dead = listed(&site, &operator, "dead").await;
    let number = part(&dead[0], "number");
    let shown = site
        .get(&operator, &format!("/$v2-message?number={number}"))
        .await
        .json();
    let segments: Vec<&Value> = shown["parameter"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["name"] == "segment")
        .collect();
    assert_eq!(segments.len(), 3);
    assert_eq!(part(segments[2], "place"), "PID");
    let becomes = segments[2]["part"]
        .as_array()
        .unwrap()
        .iter()
        .find(|part| part["name"] == "becomes")
        .unwrap();
    assert_eq!(becomes["valueUnsignedInt"], 0);
    let bundle = shown["parameter"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "becomes")
        .unwrap();
    assert_eq!(
        bundle["resource"]["entry"][0]["resource"]["resourceType"],
        "Patient"
    );
}
