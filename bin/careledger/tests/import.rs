//! `careledger import` into a network on this machine: what is sent, what is not sent again, what is refused; and where
//! that node keeps large payloads.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "these are tests, and so are their helpers"
)]

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
/// Each test has ports of its own.
const IMPORT_PORTS: u16 = 9_601;
const BUCKET_PORTS: u16 = 9_651;
const DOCUMENT_PORTS: u16 = 10_401;
/// What no file of the import may hold beside what was given.
const PLANTED: &str = "Plantedfamily";

/// A network of one member.
struct Net {
    folder: TempDir,
    port: u16,
    node: Option<Child>,
}

impl Net {
    fn found(ports: u16) -> Self {
        let folder = TempDir::new().unwrap();
        // Gateway, exchange and validator are 100 apart.
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        let mut bases = (ports..ports + 45).step_by(3);
        let port = bases
            .find(|port| [0, 100, 200].iter().all(|above| is_free(port + above)))
            .expect("free ports");
        let made = careledger(&["network", "init", "--members", "clinic", "--dir"])
            .arg(folder.path().join("net"))
            .args(["--port-base", &port.to_string()])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", said(&made));
        Self {
            folder,
            port,
            node: None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn start(&mut self) {
        let node = careledger(&["node", "--until-stdin-ends", "--config"])
            .arg(self.path("net/clinic/node.toml"))
            .stdin(Stdio::piped())
            .spawn();
        self.node = Some(node.unwrap());
        let deadline = Instant::now() + PATIENCE;
        let ready = format!("http://127.0.0.1:{}/ready", self.port);
        while !reqwest::get(&ready)
            .await
            .is_ok_and(|answer| answer.status() == 200)
        {
            assert!(Instant::now() < deadline, "the node is not ready in time");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn stop(&mut self) {
        let mut node = self.node.take().expect("it runs");
        drop(node.stdin.take());
        assert!(node.wait().unwrap().success());
    }

    fn import(&self) -> (bool, Value) {
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

    fn write(&self, name: &str, lines: &[Value]) {
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        fs::create_dir_all(self.path("records/more")).unwrap();
        fs::write(self.path("records").join(name), lines.join("\n")).unwrap();
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if let Some(mut node) = self.node.take() {
            // A test that failed left it.
            let _killed = node.kill();
            let _ended = node.wait();
        }
    }
}

fn careledger(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_careledger"));
    command
        .args(args)
        .env("CARELEDGER_PASSPHRASE", "words of a test");
    command
}

fn said(output: &Output) -> String {
    let [out, error] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{error}")
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
    net.write("Patient.ndjson", &["a", "b", "c"].map(patient));
    // Nobody but the patient's wallet files a consent.
    let code = json!({ "coding": [{ "system": "urn:x", "code": "x" }] });
    let wrong = json!({ "resourceType": "Consent", "id": "3", "status": "active", "scope": code,
        "category": [code], "policyRule": code, "patient": { "reference": "Patient/b" } });
    let no_resource = json!([PLANTED]);
    let lines = [condition("1", "a"), condition("2", "c"), wrong, no_resource];
    net.write("more/Condition.ndjson", &lines);

    let (is_whole, summary) = net.import();
    assert!(!is_whole, "the node does not run");
    assert_eq!(summary["untried"], 3, "{summary}");
    assert!(
        summary["halted"]
            .as_str()
            .unwrap()
            .contains("is the node running")
    );

    net.start().await;
    let (is_whole, summary) = net.import();
    assert!(!is_whole);
    assert_eq!(summary["patients"], 2, "{summary}");
    assert_eq!(summary["resources"], json!({ "clinic": 4 }));
    both_rejects_are_written(&net);

    let conditions = [
        condition("1", "a"),
        condition("2", "c"),
        condition("3", "b"),
    ];
    net.write("more/Condition.ndjson", &conditions);
    let (is_whole, summary) = net.import();
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
        let (is_whole, summary) = net.import();
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
    let ccd = include_str!("../../../crates/interop/tests/fixtures/ccda/ccd.xml");
    let write = |name: &str, text: &str| {
        fs::create_dir_all(net.path("records")).unwrap();
        fs::write(net.path("records").join(name), text).unwrap();
    };
    write("first.xml", ccd);
    write("second.xml", &ccd.replace("CCD-2026-001", "CCD-2026-002"));
    write(
        "wrong.xml",
        &ccd.replace("value=\"13.20\"", &format!("value=\"{PLANTED}\"")),
    );
    let (is_whole, summary) = net.import();
    assert!(!is_whole);
    assert_eq!(summary["patients"], 2, "{summary}");
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
    assert!(
        path.ends_with("organizer.component[0].observation.value"),
        "{path}"
    );
    assert!(!rejects.contains(PLANTED));
    let wallets = fs::read_dir(net.path("wallets")).unwrap();
    let wallets = wallets.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("ccda-")
    });
    assert_eq!(wallets.count(), 1, "both are of one patient");
    fs::remove_file(net.path("records/wrong.xml")).unwrap();
    let (is_whole, summary) = net.import();
    assert!(is_whole, "{summary}");
    assert_eq!(
        (&summary["already"], &summary["resources"]),
        (&json!(2), &json!({}))
    );
    net.stop();
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
