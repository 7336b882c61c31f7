//! Events as messages of HL7 v2: sent until they are acknowledged, in order, and only what the subscriber may see.

use std::time::Duration;

use gateway::SubscriptionConfig;
use gateway::mllp::{MllpClientTls, MllpReceiver, serve};
use interop::hl7v2::{Orders, Sender};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::mllp::Connection;
use crate::patience::until;
use crate::subscriptions::active;
use crate::support::{BASE, Received, Receiver, Reply, Site, pki};

const IG: &str = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition";

pub(crate) fn config(address: &str, tls: Option<MllpClientTls>) -> SubscriptionConfig {
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    SubscriptionConfig {
        receivers: vec![MllpReceiver {
            name: "his".to_owned(),
            address: address.to_owned(),
            from: pair("CARE", "NORTH"),
            to: pair("HIS", "SOUTH"),
            orders: Orders::Oml,
            senders: vec![Sender {
                application: "HIS".to_owned(),
                facility: "SOUTH".to_owned(),
            }],
            tls,
            answer_within: Duration::from_mins(2),
        }],
        pause: Duration::from_millis(10),
        pause_max: Duration::from_millis(40),
        attempts_max: 3,
        ..SubscriptionConfig::default()
    }
}

fn asked(receiver: &str, content: &str, filters: &[&str]) -> Value {
    let filter = |text: &&str| json!({ "url": format!("{IG}/backport-filter-criteria"), "valueString": text });
    json!({
        "resourceType": "Subscription", "status": "requested", "reason": "test",
        "criteria": "urn:careledger:topic:record",
        "_criteria": { "extension": filters.iter().map(filter).collect::<Vec<_>>() },
        "channel": { "type": "message", "endpoint": receiver, "payload": "x-application/hl7-v2+er7",
            "_payload": { "extension": [{
                "url": format!("{IG}/backport-payload-content"), "valueCode": content }] } },
    })
}

pub(crate) async fn subscribe(site: &Site, token: &str, filters: &[&str]) -> String {
    subscribe_to(site, token, "mllp:his", filters).await
}

pub(crate) async fn subscribe_to(
    site: &Site,
    token: &str,
    receiver: &str,
    filters: &[&str],
) -> String {
    let body = asked(receiver, "full-resource", filters);
    let answer = site.ask(token, "POST", "/Subscription", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    active(site, token, &id).await;
    id
}

pub(crate) async fn put(site: &Site, token: &str, resource: &Value) {
    let kind = resource["resourceType"].as_str().unwrap();
    let path = format!("/{kind}/{}", resource["id"].as_str().unwrap());
    let answer = site.ask(token, "PUT", &path, resource).await;
    assert!(answer.status < 300, "{}", answer.text);
}

pub(crate) fn patient(given: &str) -> Value {
    json!({ "resourceType": "Patient", "id": "p1", "identifier": [{ "system": "urn:oid:1.2", "value": "4711" }],
        "name": [{ "family": "Brandt", "given": [given] }], "gender": "female" })
}

#[tokio::test(flavor = "multi_thread")]
async fn patients_results_and_documents_are_sent_in_order() {
    let receiver = Receiver::default();
    let address = receiver.listen().await;
    let site = Site::telling("clinic", BASE, 5, config(&address, None));
    let token = site.ehr().await;
    subscribe(
        &site,
        &token,
        &["Patient", "DiagnosticReport", "DocumentReference"],
    )
    .await;
    put(&site, &token, &patient("Ilse")).await;
    put(&site, &token, &patient("Ilse Maria")).await;
    let subject = json!({ "reference": "Patient/p1" });
    let code = json!({ "coding": [{ "system": "http://loinc.org", "code": "2345-7" }] });
    // No message of its own: nobody subscribed to it.
    put(
        &site,
        &token,
        &json!({ "resourceType": "Observation", "id": "o1", "status": "final", "code": code,
        "subject": subject, "valueQuantity": { "value": 98, "unit": "mg/dL" } }),
    )
    .await;
    put(
        &site,
        &token,
        &json!({ "resourceType": "DiagnosticReport", "id": "d1", "status": "final", "code": code,
        "subject": subject, "result": [{ "reference": "Observation/o1" }] }),
    )
    .await;
    put(
        &site,
        &token,
        &json!({ "resourceType": "DocumentReference", "id": "l1", "status": "current",
        "docStatus": "final", "subject": subject, "type": { "text": "Letter" },
        "content": [{ "attachment": { "contentType": "text/plain", "data": "SGVsbG8=" } }] }),
    )
    .await;
    let got = receiver.got(4).await;
    let kinds: Vec<&str> = got.iter().map(Received::kind).collect();
    assert_eq!(
        kinds,
        [
            "ADT^A28^ADT_A05",
            "ADT^A08^ADT_A01",
            "ORU^R01^ORU_R01",
            "MDM^T02^MDM_T02"
        ]
    );
    assert!(
        got[1].segment("PID").contains("Brandt^Ilse Maria"),
        "{:?}",
        got[1]
    );
    assert!(got[2].segment("PID").contains("4711"), "{:?}", got[2]);
    assert!(got[2].segment("OBX").contains("|98|mg/dL"), "{:?}", got[2]);
    assert!(
        got[3]
            .segment("OBX")
            .contains("^text^plain^Base64^SGVsbG8="),
        "{:?}",
        got[3]
    );
    assert!(got[3].segment("TXA").contains("Letter"));
}

/// A message of a sender about one patient.
fn said(sender: &str, kind: &str, control_id: &str, number: &str, rest: &str) -> String {
    format!(
        "MSH|^~\\&|{sender}|SOUTH|CARE|NORTH|20260301101500+0100||{kind}|{control_id}|P|2.5.1\r\
         PID|1||{number}^^^SOUTH^MR||Brandt^{number}||19620417|F\r{rest}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_system_sent_itself_is_not_sent_back_to_it() {
    let receiver = Receiver::default();
    let address = receiver.listen().await;
    let site = Site::telling("clinic", BASE, 5, config(&address, None));
    let token = site.ehr().await;
    subscribe(&site, &token, &["Patient", "DiagnosticReport"]).await;
    let mut sender = Connection::to(&site).await;
    let result = "OBR|1||F1^SOUTH|2345-7^Glucose^LN|||20260301||||||||||||||||||F\r\
                  OBX|1|NM|2345-7^Glucose^LN||98||||||F\r";
    for message in [
        said("HIS", "ADT^A08", "1", "own", ""),
        said("HIS", "ORU^R01", "2", "own", result),
        said("LIS", "ORU^R01", "3", "own", &result.replace("F1", "F2")),
        said("LIS", "ADT^A08", "4", "other", ""),
    ] {
        let answer = sender.ask(&message).await;
        assert!(answer[1].starts_with("MSA|AA"), "{answer:?}");
    }
    // What somebody else makes later of what it sent, it hears of.
    site.record_later();
    let found = site.get(&token, "/Patient?identifier=own").await.json();
    let mut own = found["entry"][0]["resource"].clone();
    own["gender"] = "other".into();
    put(&site, &token, &own).await;
    let got = receiver.got(3).await;
    let heard: Vec<(&str, &str)> = got
        .iter()
        .map(|one| {
            let number = one.segment("PID").split(['|', '^']).nth(3).unwrap();
            (one.kind(), number)
        })
        .collect();
    assert_eq!(
        heard,
        [
            ("ORU^R01^ORU_R01", "own"),
            ("ADT^A28^ADT_A05", "other"),
            ("ADT^A08^ADT_A01", "own"),
        ]
    );
    assert!(got[0].segment("OBR").contains("F2"), "{:?}", got[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_a_dead_letter_at_once_and_what_is_put_off_is_sent_again_under_its_number()
 {
    let replies = ["AE", "AR", "AA"].map(Reply::Code);
    let receiver = Receiver::replying(&replies);
    let address = receiver.listen().await;
    let site = Site::telling("clinic", BASE, 5, config(&address, None));
    let token = site.ehr().await;
    let id = subscribe(&site, &token, &["Patient"]).await;
    for given in ["Refused", "PutOff"] {
        put(&site, &token, &patient(given)).await;
    }
    let got = receiver.got(3).await;
    assert!(got[0].segment("PID").contains("Refused"));
    for again in &got[1..] {
        assert!(again.segment("PID").contains("PutOff"), "{again:?}");
    }
    assert_eq!(
        got[1].segments, got[2].segments,
        "sent again, it is the same message"
    );
    let dead = site.get(&token, "/Subscription/$dead-letters").await.json();
    assert_eq!(
        dead["parameter"].as_array().map(Vec::len),
        Some(1),
        "{dead}"
    );
    let replayed = site
        .ask(
            &token,
            "POST",
            &format!("/Subscription/{id}/$replay"),
            &json!({}),
        )
        .await;
    assert_eq!(replayed.status, 200, "{}", replayed.text);
    let got = receiver.got(4).await;
    assert_eq!(got[3].control_id(), got[0].control_id());
    let dead = site.get(&token, "/Subscription/$dead-letters").await.json();
    assert!(dead["parameter"].is_null(), "{dead}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_sent_is_sent_after_a_restart() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = nobody.local_addr().unwrap().to_string();
    let mut away = config(&nowhere, None);
    away.attempts_max = 1_000;
    let site = Site::telling("clinic", BASE, 5, away);
    let token = site.ehr().await;
    subscribe(&site, &token, &["Patient"]).await;
    drop(nobody);
    put(&site, &token, &patient("Ilse")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let receiver = Receiver::default();
    let address = receiver.listen().await;
    let _site = site.again(config(&address, None));
    let got = receiver.got(1).await;
    assert!(got[0].segment("PID").contains("Ilse"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_send_to_each_other_with_certificates_and_nobody_without() {
    let there = Site::at("clinic", BASE, 5);
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    tokio::spawn(serve(
        socket,
        there.mllp(),
        "private",
        std::future::pending(),
    ));
    let authority = pki().authority.as_bytes();
    let (certificate, key) = &pki().sender;
    let own = Some((certificate.as_bytes(), key.as_bytes()));
    for (own, is_heard) in [(None, false), (own, true)] {
        let tls = MllpClientTls::new(authority, own, "localhost").unwrap();
        let site = Site::telling("clinic", BASE, 5, config(&address, Some(tls)));
        let token = site.ehr().await;
        let id = subscribe(&site, &token, &["Patient"]).await;
        put(&site, &token, &patient("Private")).await;
        let reader = there.ehr().await;
        let found = until("it arrives or is given up", async || {
            let found = there.count(&reader, "Patient").await > 0;
            let read = site.get(&token, &format!("/Subscription/{id}")).await;
            let is_over = found || (!is_heard && read.json()["status"] == "error");
            is_over.then_some(found)
        })
        .await;
        assert_eq!(found, is_heard);
    }
    // Whoever speaks no TLS is not heard either.
    let mut plain = tokio::net::TcpStream::connect(&address).await.unwrap();
    plain
        .write_all(b"\x0bMSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5.1\r\x1c\r")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ended = plain.read_to_end(&mut answer).await;
    assert!(!answer.windows(3).any(|part| part == b"MSA"));
}

#[tokio::test]
async fn a_receiver_has_to_be_known_and_gets_records_with_their_content() {
    let site = Site::telling("clinic", BASE, 5, config("127.0.0.1:9", None));
    let token = site.ehr().await;
    for (receiver, content, problem) in [
        ("mllp:other", "full-resource", "business-rule"),
        ("10.0.0.1:2575", "full-resource", "not-supported"),
        ("mllp:his", "id-only", "not-supported"),
    ] {
        let body = asked(receiver, content, &["Patient"]);
        let answer = site.ask(&token, "POST", "/Subscription", &body).await;
        answer.problem(422, problem);
    }
}

/// A site whose client subscribed for these types, with a patient and a physician on record.
async fn prepared(receiver: &Receiver, types: &[&str]) -> (Site, String) {
    let address = receiver.listen().await;
    let site = Site::telling("clinic", BASE, 5, config(&address, None));
    let token = site.ehr().await;
    subscribe(&site, &token, types).await;
    put(&site, &token, &patient("Ilse")).await;
    let physician = json!({ "resourceType": "Practitioner", "id": "d1",
        "identifier": [{ "system": "urn:oid:1.3", "value": "D55" }],
        "name": [{ "family": "Meier", "given": ["Urs"] }] });
    put(&site, &token, &physician).await;
    (site, token)
}

fn subject() -> Value {
    json!({ "reference": "Patient/p1" })
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_and_visits_are_sent_by_what_has_become_of_them() {
    let receiver = Receiver::default();
    let (site, token) = prepared(&receiver, &["Encounter", "ServiceRequest"]).await;
    let act = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
    for status in ["planned", "in-progress", "finished"] {
        let visit = json!({ "resourceType": "Encounter", "id": "e1", "status": status,
            "subject": subject(), "class": { "system": act, "code": "IMP" } });
        put(&site, &token, &visit).await;
    }
    for status in ["draft", "active", "revoked"] {
        let request = json!({ "resourceType": "ServiceRequest", "id": "s1", "status": status,
            "intent": "order", "subject": subject(), "code": { "text": "Blood count" },
            "requester": { "reference": "Practitioner/d1" },
            "encounter": { "reference": "Encounter/e1" } });
        put(&site, &token, &request).await;
    }
    let got = receiver.got(5).await;
    let kinds: Vec<&str> = got.iter().map(Received::kind).collect();
    let expected = [
        "ADT^A05^ADT_A05",
        "ADT^A01^ADT_A01",
        "ADT^A03^ADT_A03",
        "OML^O21^OML_O21",
        "OML^O21^OML_O21",
    ];
    assert_eq!(kinds, expected);
    let [placed, revoked] = [&got[3], &got[4]].map(|one| one.segment("ORC"));
    assert!(placed.starts_with("ORC|NW|s1|"), "{placed}");
    assert!(revoked.starts_with("ORC|CA|s1|"), "{revoked}");
    assert!(placed.contains("D55^Meier^Urs"), "{placed}");
    assert!(got[3].segment("PV1").contains("|e1"), "{:?}", got[3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn appointments_and_immunizations_are_sent() {
    let receiver = Receiver::default();
    let (site, token) = prepared(&receiver, &["Appointment", "Immunization"]).await;
    for status in ["booked", "cancelled"] {
        let appointment = json!({ "resourceType": "Appointment", "id": "a1", "status": status,
            "start": "2026-04-01T09:30:00Z", "end": "2026-04-01T10:00:00Z", "participant": [
                { "actor": subject(), "status": "accepted" },
                { "actor": { "reference": "Practitioner/d1" }, "status": "accepted" }] });
        put(&site, &token, &appointment).await;
    }
    let cvx = json!({ "system": "http://hl7.org/fhir/sid/cvx", "code": "140" });
    let immunization = json!({ "resourceType": "Immunization", "id": "i1", "status": "completed",
        "patient": subject(), "occurrenceDateTime": "2026-03-04", "vaccineCode": { "coding": [cvx] } });
    put(&site, &token, &immunization).await;
    let got = receiver.got(3).await;
    let kinds: Vec<&str> = got.iter().map(Received::kind).collect();
    let expected = ["SIU^S12^SIU_S12", "SIU^S15^SIU_S12", "VXU^V04^VXU_V04"];
    assert_eq!(kinds, expected);
    let [person, given] = [got[0].segment("AIP"), got[2].segment("RXA")];
    assert!(person.contains("D55^Meier^Urs"), "{person}");
    assert!(given.contains("|140^^CVX|"), "{given}");
}
