//! `careledger import` into a network on this machine: what is sent, what is not sent again, what is refused; and where
//! that node keeps large payloads.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::net::{Net, careledger, said};

/// Each test has ports of its own.
const IMPORT_PORTS: u16 = 9_601;
const BUCKET_PORTS: u16 = 9_651;
const DOCUMENT_PORTS: u16 = 10_401;
/// What no file of the import may hold beside what was given.
const PLANTED: &str = "Plantedfamily";

impl Net {
    fn imported(&self) -> (bool, Value) {
        let output = careledger(&["import", "--json", "--network"])
            .arg(self.path("net"))
            .arg("--wallets")
            .arg(self.path("wallets"))
            .arg(self.path("records"))
            .output()
            .unwrap();
        let summary = serde_json::from_slice(&output.stdout);
        let summary = summary.unwrap_or_else(|_| json!({ "said": said(&output) }));
        (output.status.success(), summary)
    }

    fn give(&self, name: &str, lines: &[Value]) {
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        fs::create_dir_all(self.path("records/more")).unwrap();
        fs::write(self.path("records").join(name), lines.join("\n")).unwrap();
    }
}

fn patient(id: &str) -> Value {
    json!({ "resourceType": "Patient", "id": id, "name": [{ "family": PLANTED }] })
}

fn condition(id: &str, patient: &str) -> Value {
    json!({ "resourceType": "Condition", "id": id, "code": { "text": PLANTED },
        "subject": { "reference": format!("Patient/{patient}") } })
}

#[tokio::test]
async fn what_was_acknowledged_is_not_sent_again_and_what_is_refused_is_named() {
    let mut net = Net::found(IMPORT_PORTS);
    net.give("Patient.ndjson", &["a", "b", "c"].map(patient));
    // Nobody but the patient's wallet files a consent.
    let code = json!({ "coding": [{ "system": "urn:x", "code": "x" }] });
    let wrong = json!({ "resourceType": "Consent", "id": "3", "status": "active", "scope": code,
        "category": [code], "policyRule": code, "patient": { "reference": "Patient/b" } });
    let no_resource = json!([PLANTED]);
    let lines = [condition("1", "a"), condition("2", "c"), wrong, no_resource];
    net.give("more/Condition.ndjson", &lines);

    let (is_whole, summary) = net.imported();
    assert!(!is_whole, "the node does not run");
    assert_eq!(summary["untried"], 3, "{summary}");
    assert!(
        summary["halted"]
            .as_str()
            .unwrap()
            .contains("is the node running")
    );

    net.start().await;
    let (is_whole, summary) = net.imported();
    assert!(!is_whole);
    assert_eq!(summary["patients"], 2, "{summary}");
    assert_eq!(summary["resources"], json!({ "clinic": 4 }));
    both_rejects_are_written(&net);

    let conditions = [
        condition("1", "a"),
        condition("2", "c"),
        condition("3", "b"),
    ];
    net.give("more/Condition.ndjson", &conditions);
    let (is_whole, summary) = net.imported();
    assert!(is_whole, "{summary}");
    assert_eq!(
        (&summary["already"], &summary["patients"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(summary["resources"], json!({ "clinic": 2 }));
    assert!(!net.path("wallets/import-rejects.ndjson").exists());

    // The note of an acknowledgement was lost: the member is asked.
    fs::remove_file(net.path("wallets/import-state.ndjson")).unwrap();
    for _ in 0..2 {
        let (is_whole, summary) = net.imported();
        assert!(is_whole, "{summary}");
        assert_eq!(
            (&summary["already"], &summary["resources"]),
            (&json!(3), &json!({}))
        );
    }

    net.stop();
    an_orphan_is_named(&net);
}

fn both_rejects_are_written(net: &Net) {
    let rejects = fs::read_to_string(net.path("wallets/import-rejects.ndjson")).unwrap();
    assert_eq!(rejects.lines().count(), 2, "{rejects}");
    let of = |at: usize| serde_json::from_str::<Value>(rejects.lines().nth(at).unwrap()).unwrap();
    let (reject, unread) = (of(0), of(1));
    assert_eq!(
        (&reject["member"], &reject["status"]),
        (&json!("clinic"), &json!(422))
    );
    assert_eq!(
        (&unread["entry"], &unread["status"]),
        (&json!(4), &Value::Null)
    );
    assert_eq!(reject["outcome"]["resourceType"], "OperationOutcome");
    assert!(
        reject["file"]
            .as_str()
            .unwrap()
            .contains("Condition.ndjson"),
        "{reject}"
    );
    let state = fs::read_to_string(net.path("wallets/import-state.ndjson")).unwrap();
    assert!(!rejects.contains(PLANTED) && !state.contains(PLANTED));
}

#[tokio::test]
async fn documents_are_imported_once_and_what_is_wrong_is_in_the_file_of_rejects() {
    let mut net = Net::found(DOCUMENT_PORTS);
    net.start().await;
    let ccd = include_str!("../../../../crates/interop/tests/fixtures/ccda/ccd.xml");
    let write = |name: &str, text: &str| {
        fs::create_dir_all(net.path("records")).unwrap();
        fs::write(net.path("records").join(name), text).unwrap();
    };
    write("first.xml", ccd);
    write("second.xml", &ccd.replace("CCD-2026-001", "CCD-2026-002"));
    write(
        "wrong.xml",
        &ccd.replace(
            "<recordTarget>",
            &format!("<recordTarget name=\"&{PLANTED};\">"),
        ),
    );
    write(
        "third.xml",
        &ccd.replace("CCD-2026-001", "CCD-2026-003")
            .replace("value=\"13.20\"", &format!("value=\"{PLANTED}\"")),
    );
    let (is_whole, summary) = net.imported();
    assert!(!is_whole);
    assert_eq!(summary["patients"], 3, "{summary}");
    let left_out = summary["left_out"].as_array().unwrap();
    assert_eq!(left_out.len(), 1, "{summary}");
    assert!(
        left_out[0]
            .as_str()
            .unwrap()
            .contains("organizer.component[0].observation.value: "),
        "{summary}"
    );
    assert!(!summary.to_string().contains(PLANTED), "{summary}");
    assert_eq!(
        summary["rejected"].as_array().unwrap().len(),
        1,
        "{summary}"
    );
    let rejects = fs::read_to_string(net.path("wallets/import-rejects.ndjson")).unwrap();
    let reject: Value = serde_json::from_str(rejects.trim()).unwrap();
    let path = reject["outcome"]["issue"][0]["expression"][0]
        .as_str()
        .unwrap();
    assert!(path.ends_with("recordTarget[0]"), "{path}");
    assert!(!rejects.contains(PLANTED));
    let wallets = fs::read_dir(net.path("wallets")).unwrap();
    let wallets = wallets.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("ccda-")
    });
    assert_eq!(wallets.count(), 1, "both are of one patient");
    fs::remove_file(net.path("records/wrong.xml")).unwrap();
    documents_are_known_by_their_bytes(&net);
    net.stop();
}

/// A copy of a file, or one that was touched, is the same document; so it is where nobody remembers that it was sent.
fn documents_are_known_by_their_bytes(net: &Net) {
    let state = net.path("wallets/import-state.ndjson");
    let noted = fs::read_to_string(&state).unwrap();
    let (first, _) = noted.split_once('\n').unwrap();
    for state_left in [noted.clone(), format!("{first}\n")] {
        fs::write(&state, state_left).unwrap();
        let file = fs::File::options()
            .write(true)
            .open(net.path("records/second.xml"));
        let earlier = SystemTime::now() - Duration::from_secs(86_400);
        file.unwrap().set_modified(earlier).unwrap();
        let (is_whole, summary) = net.imported();
        assert!(is_whole, "{summary}");
        assert_eq!(
            (&summary["already"], &summary["resources"]),
            (&json!(3), &json!({}))
        );
    }
}

fn an_orphan_is_named(net: &Net) {
    let orphan = "ab".repeat(16);
    let blobs = net.path("net/clinic/data/blobs/ab");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(&orphan), b"sealed").unwrap();
    let verified = careledger(&["verify", "--self", "--json", "--config"])
        .arg(net.path("net/clinic/node.toml"))
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(report["verdict"], "sound", "{report}");
    assert_eq!(report["records"]["orphans"], json!([orphan]));
}

#[test]
fn a_node_whose_bucket_does_not_answer_says_so_and_ends() {
    let net = Net::found(BUCKET_PORTS);
    let config = net.path("net/clinic/node.toml");
    // A port at which nobody listens any more.
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut text = fs::read_to_string(&config).unwrap();
    text.push_str(&format!(
        "\n[payloads]\nstore = \"s3\"\nbucket = \"records\"\nendpoint = \"http://{nobody}\"\nregion = \"x\"\n"
    ));
    fs::write(&config, text).unwrap();
    let start = |with_keys: bool| {
        let mut node = careledger(&["node", "--config"]);
        node.arg(&config);
        node.env_remove("AWS_ACCESS_KEY_ID");
        if with_keys {
            node.env("AWS_ACCESS_KEY_ID", "planted-id");
            node.env("AWS_SECRET_ACCESS_KEY", "planted-secret");
        }
        node.output().unwrap()
    };
    let without = said(&start(false));
    assert!(without.contains("set AWS_ACCESS_KEY_ID"), "{without}");
    let refused = start(true);
    let text = said(&refused);
    assert!(!refused.status.success());
    assert!(text.contains("large payloads cannot be kept"), "{text}");
    assert!(!text.contains("planted"), "{text}");
}
