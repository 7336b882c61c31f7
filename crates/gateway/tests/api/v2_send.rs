//! Events as messages of HL7 v2: sent until they are acknowledged, in order, and only what the subscriber may see.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::SubscriptionConfig;
use gateway::mllp::{MllpClientTls, MllpReceiver, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{BASE, Site, pki};

const IG: &str = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition";

/// A receiver that answers what it is told to, then AA.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<Vec<String>>>>,
    answers: Arc<Mutex<VecDeque<&'static str>>>,
}

impl Receiver {
    async fn listen(&self) -> String {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let receiver = self.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = socket.accept().await.unwrap();
                let mut read = Vec::new();
                while !read.ends_with(b"\x1c\x0d") {
                    read.push(stream.read_u8().await.unwrap());
                }
                let text = String::from_utf8(read).unwrap();
                let text = text.trim_start_matches('\x0b').trim_end_matches("\x1c\x0d");
                let lines: Vec<String> = text.split('\r').map(str::to_owned).collect();
                let control_id = lines[0].split('|').nth(9).unwrap().to_owned();
                receiver.got.lock().unwrap().push(lines);
                let code = receiver.answers.lock().unwrap().pop_front().unwrap_or("AA");
                let answer = format!(
                    "\x0bMSH|^~\\&|HIS|SOUTH|CARE|NORTH|2026||ACK|A1|P|2.5.1\rMSA|{code}|{control_id}\r\x1c\r"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        address
    }

    /// The messages, when there are so many.
    async fn got(&self, count: usize) -> Vec<Vec<String>> {
        for _ in 0..1_000 {
            let got = self.got.lock().unwrap().clone();
            if got.len() >= count {
                return got;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!(
            "{} messages came, not {count}",
            self.got.lock().unwrap().len()
        );
    }
}

fn config(address: &str, tls: Option<MllpClientTls>) -> SubscriptionConfig {
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    SubscriptionConfig {
        receivers: vec![MllpReceiver {
            name: "his".to_owned(),
            address: address.to_owned(),
            from: pair("CARE", "NORTH"),
            to: pair("HIS", "SOUTH"),
            tls,
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

async fn subscribe(site: &Site, token: &str, filters: &[&str]) -> String {
    let body = asked("mllp:his", "full-resource", filters);
    let answer = site.ask(token, "POST", "/Subscription", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    for _ in 0..500 {
        let read = site.get(token, &format!("/Subscription/{id}")).await;
        if read.json()["status"] == "active" {
            return id;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the subscription is not active");
}

async fn put(site: &Site, token: &str, resource: &Value) {
    let kind = resource["resourceType"].as_str().unwrap();
    let path = format!("/{kind}/{}", resource["id"].as_str().unwrap());
    let answer = site.ask(token, "PUT", &path, resource).await;
    assert!(answer.status < 300, "{}", answer.text);
}

fn patient(given: &str) -> Value {
    json!({ "resourceType": "Patient", "id": "p1", "identifier": [{ "system": "urn:oid:1.2", "value": "4711" }],
        "name": [{ "family": "Brandt", "given": [given] }], "gender": "female" })
}

fn kind(message: &[String]) -> &str {
    message[0].split('|').nth(8).unwrap()
}

fn control_id(message: &[String]) -> &str {
    message[0].split('|').nth(9).unwrap()
}

fn segment<'a>(message: &'a [String], name: &str) -> &'a str {
    message.iter().find(|line| line.starts_with(name)).unwrap()
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
    let kinds: Vec<&str> = got.iter().map(|one| kind(one)).collect();
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
        segment(&got[1], "PID").contains("Brandt^Ilse Maria"),
        "{:?}",
        got[1]
    );
    assert!(segment(&got[2], "PID").contains("4711"), "{:?}", got[2]);
    assert!(
        segment(&got[2], "OBX").contains("|98|mg/dL"),
        "{:?}",
        got[2]
    );
    assert!(
        segment(&got[3], "OBX").contains("^text^plain^Base64^SGVsbG8="),
        "{:?}",
        got[3]
    );
    assert!(segment(&got[3], "TXA").contains("Letter"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_a_dead_letter_at_once_and_what_is_put_off_is_sent_again_under_its_number()
 {
    let receiver = Receiver::default();
    receiver.answers.lock().unwrap().extend(["AE", "AR", "AA"]);
    let address = receiver.listen().await;
    let site = Site::telling("clinic", BASE, 5, config(&address, None));
    let token = site.ehr().await;
    let id = subscribe(&site, &token, &["Patient"]).await;
    for given in ["Refused", "PutOff"] {
        put(&site, &token, &patient(given)).await;
    }
    let got = receiver.got(3).await;
    assert!(segment(&got[0], "PID").contains("Refused"));
    for again in &got[1..] {
        assert!(segment(again, "PID").contains("PutOff"), "{again:?}");
    }
    assert_eq!(got[1], got[2], "sent again, it is the same message");
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
    assert_eq!(control_id(&got[3]), control_id(&got[0]));
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
    assert!(segment(&got[0], "PID").contains("Ilse"));
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
        let mut found = 0;
        for _ in 0..300 {
            found = there.count(&reader, "Patient").await;
            let read = site
                .get(&token, &format!("/Subscription/{id}"))
                .await
                .json();
            if found > 0 || (!is_heard && read["status"] == "error") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(found > 0, is_heard);
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
