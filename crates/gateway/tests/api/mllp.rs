//! HL7 v2 over MLLP: what is accepted is durable, filed once and in order; what cannot be filed waits for an operator.

use gateway::SubscriptionConfig;
use gateway::mllp::serve;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::patience::{PATIENCE, until};
use crate::support::{Ask, PLANTED, Site};

/// A sender's connection.
pub(crate) struct Connection {
    stream: TcpStream,
    serving: JoinHandle<()>,
}

impl Connection {
    pub(crate) async fn to(site: &Site) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mllp = site.mllp();
        let serving = tokio::spawn(async move {
            let never = std::future::pending();
            serve(socket, mllp, "adt", never).await.unwrap();
        });
        let stream = TcpStream::connect(address).await.unwrap();
        Self { stream, serving }
    }

    pub(crate) async fn send(&mut self, message: &str) {
        self.send_bytes(message.as_bytes()).await;
    }

    pub(crate) async fn send_bytes(&mut self, message: &[u8]) {
        let frame = [b"\x0b", message, b"\x1c\x0d"].concat();
        self.stream.write_all(&frame).await.unwrap();
    }

    /// The next acknowledgement, as its segments.
    pub(crate) async fn answer(&mut self) -> Vec<String> {
        let mut read = Vec::new();
        while !read.ends_with(b"\x1c\x0d") {
            let byte = timeout(PATIENCE, self.stream.read_u8()).await.unwrap();
            read.push(byte.unwrap());
        }
        let text = String::from_utf8(read).unwrap();
        for planted in PLANTED {
            assert!(!text.contains(planted), "{text}");
        }
        let text = text.trim_start_matches('\x0b').trim_end_matches("\x1c\x0d");
        text.split('\r')
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }

    pub(crate) async fn ask(&mut self, message: &str) -> Vec<String> {
        self.send(message).await;
        self.answer().await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn admission(control_id: &str, given: &str) -> String {
    message("ADT^A01^ADT_A01", control_id, "", given)
}

fn message(kind: &str, control_id: &str, wishes: &str, given: &str) -> String {
    let (family, identifier) = (PLANTED[0], PLANTED[1]);
    format!(
        "MSH|^~\\&|ADT|NORTH|CARE|NORTH|20260301101500+0100||{kind}|{control_id}|P|2.5.1|||{wishes}\r\
         EVN|A01|202603011015\r\
         PID|1||{identifier}^^^NORTH^MR||{family}^{given}||19620417|F\r\
         PV1|1|I\r"
    )
}

pub(crate) async fn integrator(site: &Site) -> String {
    let ask = Ask {
        scope: "careledger/messages",
        purpose: Some("HOPERAT"),
        ..Ask::default()
    };
    site.token(&ask).await
}

/// The messages in a state, each as its parts by name.
pub(crate) async fn listed(site: &Site, token: &str, state: &str) -> Vec<Value> {
    let answer = site
        .get(token, &format!("/$v2-messages?state={state}"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let messages = answer.json()["parameter"].as_array().cloned();
    messages.unwrap_or_default()
}

pub(crate) fn part(message: &Value, name: &str) -> String {
    let parts = message["part"].as_array().unwrap();
    let part = parts.iter().find(|part| part["name"] == name);
    let value = |part: &Value| {
        let values = ["valueString", "valueCode"];
        let found = values.iter().find_map(|value| part.get(*value)?.as_str());
        found.unwrap_or_default().to_owned()
    };
    part.map(value).unwrap_or_default()
}

pub(crate) async fn patients(site: &Site, token: &str) -> Vec<Value> {
    let answer = site.get(token, "/Patient").await.json();
    let entries = answer["entry"].as_array().cloned().unwrap_or_default();
    entries
        .into_iter()
        .map(|entry| entry["resource"].clone())
        .collect()
}

#[tokio::test]
async fn m5_a_message_is_filed_with_its_original_as_a_restricted_document_of_the_patient() {
    let site = Site::new();
    let mut sender = Connection::to(&site).await;
    let text = admission("C1", "Ilse");
    let answer = sender.ask(&text).await;
    assert_eq!(answer[1], "MSA|AA|C1", "{answer:?}");
    let token = site.ehr().await;
    let found = patients(&site, &token).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["name"][0]["given"], json!(["Ilse"]));
    let patient = format!("Patient/{}", found[0]["id"].as_str().unwrap());
    let documents = site
        .get(&token, &format!("/DocumentReference?subject={patient}"))
        .await
        .json();
    let document = &documents["entry"][0]["resource"];
    let data = document["content"][0]["attachment"]["data"]
        .as_str()
        .unwrap();
    use base64::Engine as _;
    let data = base64::engine::general_purpose::STANDARD
        .decode(data)
        .unwrap();
    assert_eq!(String::from_utf8(data).unwrap(), text);
    assert_eq!(document["meta"]["security"][0]["code"], "R");
    let provenance = site
        .get(&token, &format!("/Provenance?target={patient}"))
        .await
        .json();
    let source = &provenance["entry"][0]["resource"]["entity"][0]["what"]["reference"];
    let named = format!("DocumentReference/{}", document["id"].as_str().unwrap());
    assert!(source.as_str().unwrap().ends_with(&named), "{source}");
    let operator = integrator(&site).await;
    let filed = listed(&site, &operator, "filed").await;
    assert_eq!(
        (filed.len(), part(&filed[0], "kind").as_str()),
        (1, "ADT^A01")
    );
    let number = part(&filed[0], "number");
    let shown = site
        .get(&operator, &format!("/$v2-message?number={number}"))
        .await;
    assert!(
        !shown.text.contains(PLANTED[0]),
        "it lies in the inbox no longer: {}",
        shown.text
    );
}

#[tokio::test]
async fn m4_a_control_id_is_one_message() {
    let site = Site::new();
    let mut sender = Connection::to(&site).await;
    let text = admission("C1", "Ilse");
    let first = sender.ask(&text).await;
    let mut again = Connection::to(&site).await;
    assert_eq!(again.ask(&text).await, first, "the same acknowledgement");
    let other = again.ask(&admission("C1", "Other")).await;
    assert_eq!(other[1], "MSA|AE|C1");
    assert!(other[2].contains("205^"), "{other:?}");
    let token = site.ehr().await;
    let found = patients(&site, &token).await;
    assert_eq!(found[0]["meta"]["versionId"], "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m1_m2_what_was_accepted_is_filed_once_after_a_restart() {
    let site = Site::new();
    let mut sender = Connection::to(&site).await;
    for number in 0..20 {
        let kind = "ADT^A01^ADT_A01";
        sender
            .send(&message(
                kind,
                &format!("C{number}"),
                "AL|NE",
                &format!("Given{number}"),
            ))
            .await;
        let answer = sender.answer().await;
        assert_eq!(answer[1], format!("MSA|CA|C{number}"));
    }
    drop(sender);
    let site = site.again(SubscriptionConfig::default());
    let (token, operator) = (site.ehr().await, integrator(&site).await);
    until("nothing waits", async || {
        listed(&site, &operator, "waiting").await.is_empty()
    })
    .await;
    assert_eq!(listed(&site, &operator, "filed").await.len(), 20);
    let found = patients(&site, &token).await;
    assert_eq!(found.len(), 1);
    // In their order, and each once.
    assert_eq!(found[0]["name"][0]["given"], json!(["Given19"]));
    assert_eq!(found[0]["meta"]["versionId"], "20");
    assert_eq!(site.count(&token, "DocumentReference").await, 20);
}

#[tokio::test]
async fn a_dead_letter_is_shown_on_record_edited_and_filed_or_discarded() {
    let site = Site::new();
    let mut sender = Connection::to(&site).await;
    let wrong = admission("C1", "Ilse").replace("19620417", "19621341");
    let answer = sender.ask(&wrong).await;
    assert_eq!(answer[1], "MSA|AE|C1", "{answer:?}");
    assert!(answer[2].contains("PID^1^7"), "{answer:?}");
    let unknown = sender.ask(&message("ZZZ^Z01", "C2", "", "Ilse")).await;
    assert_eq!(unknown[1], "MSA|AR|C2", "{unknown:?}");
    let broken = sender.ask("no message").await;
    assert_eq!(broken[1], "MSA|AE|", "{broken:?}");
    // What cannot be filed does not hold up what comes later.
    assert_eq!(sender.ask(&admission("C3", "Later")).await[1], "MSA|AA|C3");
    let (token, operator) = (site.ehr().await, integrator(&site).await);
    let refused = site.get(&token, "/$v2-messages").await;
    assert_eq!(refused.status, 403);
    let dead = listed(&site, &operator, "dead").await;
    assert_eq!(dead.len(), 3);
    assert!(part(&dead[0], "reason").starts_with("PID-7"), "{dead:?}");
    let number = part(&dead[0], "number");
    let shown = site
        .get(&operator, &format!("/$v2-message?number={number}"))
        .await;
    assert!(shown.text.contains(PLANTED[0]) && shown.text.contains("PID-7"));
    let path = format!("/$v2-retry?number={number}");
    let retried = site.post_bytes(&operator, &path, b"").await.json();
    assert_eq!(part(&retried["parameter"][0], "state"), "dead");
    let right = admission("C1", "Edited");
    let retried = site.post_bytes(&operator, &path, right.as_bytes()).await;
    assert_eq!(
        part(&retried.json()["parameter"][0], "state"),
        "filed",
        "{}",
        retried.text
    );
    let found = patients(&site, &token).await;
    assert_eq!(found[0]["name"][0]["given"], json!(["Edited"]));
    for left in &dead[1..] {
        let path = format!("/$v2-discard?number={}", part(left, "number"));
        assert_eq!(site.post_bytes(&operator, &path, b"").await.status, 200);
    }
    assert_eq!(listed(&site, &operator, "dead").await.len(), 0);
    let log = site
        .get(
            &site
                .token(&Ask {
                    client: "audit-desk".to_owned(),
                    seed: [9; 32],
                    purpose: Some("HOPERAT"),
                    role: "privacy-officer",
                    scope: "system/AuditEvent.rs",
                    ..Ask::default()
                })
                .await,
            "/AuditEvent?date=ge2026-06-01&_count=200",
        )
        .await;
    for interaction in ["$v2-message", "$v2-retry", "$v2-discard"] {
        assert!(log.text.contains(interaction), "{interaction}");
    }
    let request = axum::http::Request::get("/metrics").body(axum::body::Body::empty());
    let metrics = site.send(request.unwrap()).await.text;
    let counted = r#"careledger_v2_messages_total{listener="adt",outcome="dead"} 3"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn x7_a_message_with_what_the_patient_forbids_to_collect_waits_for_a_person() {
    let site = Site::new();
    let mut sender = Connection::to(&site).await;
    assert_eq!(sender.ask(&admission("C1", "Ilse")).await[1], "MSA|AA|C1");
    let (token, operator) = (site.ehr().await, integrator(&site).await);
    let patient = patients(&site, &token).await[0]["id"].clone();
    let consent = |status: &str| {
        json!({
            "resourceType": "Consent", "id": "c", "status": status,
            "scope": {"coding": [{"code": "patient-privacy"}]},
            "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
            "patient": {"reference": format!("Patient/{}", patient.as_str().unwrap())},
            "policyRule": {"text": "x"},
            "provision": {
                "type": "deny",
                "actor": [{"role": {"coding": [{"code": "IRCP"}]}, "reference":
                    {"identifier": {"system": "urn:careledger:member", "value": "clinic"}}}],
                "action": [{"coding": [{"code": "collect"}]}],
                "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Encounter"}],
            },
        })
    };
    let filed = site
        .ask(&token, "PUT", "/Consent/c", &consent("active"))
        .await;
    assert_eq!(filed.status, 201, "{}", filed.text);
    let encounter = json!({"resourceType": "Encounter", "status": "in-progress", "class": {"code": "IMP"},
        "subject": {"reference": format!("Patient/{}", patient.as_str().unwrap())}});
    let refused = site.ask(&token, "POST", "/Encounter", &encounter).await;
    assert_eq!(refused.problem(403, "forbidden"), "the patient denies it");
    let answer = sender
        .ask(&admission("C2", "Ilse").replace("PV1|1|I", "PV1|1|E"))
        .await;
    assert_eq!(answer[1], "MSA|AE|C2", "{answer:?}");
    let dead = listed(&site, &operator, "dead").await;
    let path = format!("/$v2-retry?number={}", part(&dead[0], "number"));
    let withdrawn = site
        .ask(&token, "PUT", "/Consent/c", &consent("inactive"))
        .await;
    assert_eq!(withdrawn.status, 200, "{}", withdrawn.text);
    let retried = site.post_bytes(&operator, &path, b"").await;
    assert_eq!(
        part(&retried.json()["parameter"][0], "state"),
        "filed",
        "{}",
        retried.text
    );
}

#[tokio::test]
async fn in_enhanced_mode_the_commit_comes_first_and_the_application_when_it_is_filed() {
    let site = Site::new();
    let mut sender = Connection::to(&site).await;
    sender
        .send(&message("ADT^A01", "C1", "AL|AL", "Ilse"))
        .await;
    assert_eq!(sender.answer().await[1], "MSA|CA|C1");
    assert_eq!(sender.answer().await[1], "MSA|AA|C1");
    sender
        .send(&message("ADT^A01", "C2", "AL|ER", "Ilse"))
        .await;
    assert_eq!(sender.answer().await[1], "MSA|CA|C2");
    sender
        .send(&message("ZZZ^Z01", "C3", "NE|ER", "Ilse"))
        .await;
    assert_eq!(sender.answer().await[1], "MSA|AR|C3");
}

#[tokio::test]
async fn codes_that_nobody_has_given_a_meaning_are_listed_for_a_person_without_their_text() {
    let site = Site::new();
    let mut sender = Connection::to(&site).await;
    for control_id in ["C1", "C2"] {
        let result = message("ORU^R01^ORU_R01", control_id, "", "Ilse")
            .replace("EVN|A01|202603011015\r", "")
            + "OBR|1||F1^LAB|GLU^Planted text^99LAB|||20260301||||||||||||||||||F\r\
               OBX|1|NM|2345-7^Glucose^LN||5||||||F\rOBX|2|ST|Ilse Planted||x||||||F\r";
        assert_eq!(sender.ask(&result).await[1], format!("MSA|AA|{control_id}"));
    }
    let listed = site.unmapped();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0].system, "urn:careledger:v2:codes:NORTH/99LAB");
    assert_eq!((listed[0].code.as_str(), listed[0].count), ("GLU", 2));
}
