//! `careledger keys` on a network of one member: what is shown, rotations while the node runs, the drill after a theft, a
//! node whose keys are in a token, and that no secret is in a log.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "these are tests, and so are their helpers"
)]

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use tempfile::TempDir;
use vault::keystore::{FileKeyStore, KeyStore};

const PATIENCE: Duration = Duration::from_secs(60);

/// A network of one member, whose node runs while this is `Some`.
struct Net {
    folder: TempDir,
    port: u16,
    node: Option<Child>,
}

impl Net {
    fn found(ports_from: u16) -> Self {
        let folder = TempDir::new().unwrap();
        // Gateway, exchange and validator are 100 apart.
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        let mut bases = (ports_from..ports_from + 90).step_by(3);
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

    fn member(&self) -> PathBuf {
        self.folder.path().join("net/clinic")
    }

    fn config(&self) -> PathBuf {
        self.member().join("node.toml")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Starts the node, and waits until it has applied blocks.
    async fn start(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        let node = careledger(&["node", "--until-stdin-ends", "--config"])
            .arg(self.config())
            .env("RUST_LOG", "trace")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.node = Some(node.unwrap());
        let deadline = Instant::now() + PATIENCE;
        let began = loop {
            if let Some(height) = self.height().await {
                break height;
            }
            assert!(
                Instant::now() < deadline,
                "it does not answer: {}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        while self.height().await <= Some(began + 1) {
            assert!(Instant::now() < deadline, "no blocks: {}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn stop(&mut self) {
        let mut node = self.node.take().expect("it runs");
        drop(node.stdin.take());
        assert!(node.wait().unwrap().success(), "{}", self.log());
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    async fn get(&self, path: &str) -> Option<Value> {
        reqwest::get(self.url(path)).await.ok()?.json().await.ok()
    }

    async fn height(&self) -> Option<u64> {
        self.get("/log/tip").await?["height"].as_u64()
    }

    fn keys(&self, args: &[&str]) -> Output {
        let (task, rest) = args.split_at(args.len().min(if args[0] == "rotate" { 2 } else { 1 }));
        let mut command = careledger(&[&["keys"], task].concat());
        command.arg("--config").arg(self.config()).args(rest);
        command.output().unwrap()
    }

    fn sound(&self, args: &[&str]) -> String {
        let output = self.keys(args);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn shown(&self) -> Vec<(String, String)> {
        let rows: Value = serde_json::from_str(&self.sound(&["show", "--json"])).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| (text(&row["name"]), text(&row["where"])))
            .collect()
    }

    fn names(&self) -> Vec<String> {
        self.shown().into_iter().map(|(name, _)| name).collect()
    }

    /// Makes a token with the node's keys; gives the transcript.
    fn ceremony(&self, module: &Path, label: &str) -> Value {
        let pin = self.folder.path().join("pin");
        let so_pin = self.folder.path().join("so-pin");
        for (path, text) in [(&pin, "1234-planted\n"), (&so_pin, "so-planted\n")] {
            fs::write(path, text).unwrap();
            #[cfg(unix)]
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        let transcript = self.folder.path().join("ceremony.json");
        let made = careledger(&["keys", "ceremony", "--config"])
            .arg(self.config())
            .arg("--module")
            .arg(module)
            .args(["--token", label, "--participant", "A", "--participant", "B"])
            .arg("--so-pin-file")
            .arg(&so_pin)
            .arg("--pin-file")
            .arg(&pin)
            .arg("--transcript")
            .arg(&transcript)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", said(&made));
        serde_json::from_slice(&fs::read(transcript).unwrap()).unwrap()
    }

    /// Has the node's configuration name the token.
    fn switch_to(&self, module: &Path, label: &str) {
        let pin = self.folder.path().join("pin");
        let old = fs::read_to_string(self.config()).unwrap();
        let lines = old
            .lines()
            .filter(|line| !line.starts_with("keys = ") && !line.starts_with("passphrase_file = "));
        let new = format!(
            "{}\n[keys]\nstore = \"pkcs11\"\nmodule = {module:?}\ntoken = {label:?}\npin_file = {pin:?}\n",
            lines.collect::<Vec<_>>().join("\n")
        );
        fs::write(self.config(), new).unwrap();
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
    command.args(args);
    command
}

fn said(output: &Output) -> String {
    let [out, error] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{error}")
}

/// Every way in which 32 secret bytes or a passphrase might have been written.
fn forms(secret: &[u8]) -> Vec<String> {
    let numbers: Vec<String> = secret.iter().map(ToString::to_string).collect();
    vec![
        hex::encode(secret),
        hex::encode_upper(secret),
        BASE64_STANDARD
            .encode(secret)
            .trim_end_matches('=')
            .to_owned(),
        numbers.join(", "),
    ]
}

#[tokio::test]
async fn rotations_of_a_running_node_and_no_secret_in_a_log_at_any_level() {
    let mut net = Net::found(11_001);
    net.start().await;
    net.sound(&["check"]);
    let passphrase = fs::read(net.member().join("passphrase")).unwrap();
    let store = FileKeyStore::open(&net.member().join("keys.bin"), &passphrase).unwrap();
    let mut secrets = vec![String::from_utf8(passphrase).unwrap()];
    for name in store.names() {
        secrets.extend(forms(&*store.expose(&name).unwrap()));
    }

    net.sound(&["rotate", "wrapping"]);
    let told: Value = serde_json::from_str(&net.sound(&["rotate", "wrapping", "--json"])).unwrap();
    assert_eq!(told["wrappingEpoch"], 3);
    assert_eq!(told["isComplete"], true);
    // The key of epoch 2 is destroyed once nothing is under it; the first is the root of the others.
    let deadline = Instant::now() + PATIENCE;
    while net.names().contains(&"wrapping/2".to_owned()) {
        assert!(Instant::now() < deadline, "{}", net.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    net.sound(&["rotate", "tokens"]);
    let jwks = net.get("/oauth2/jwks").await.unwrap();
    assert_eq!(jwks["keys"].as_array().map(Vec::len), Some(2));
    let newest = jwks["keys"][0]["kid"].clone();
    net.sound(&["rotate", "tokens", "--at-once"]);
    let jwks = net.get("/oauth2/jwks").await.unwrap();
    assert_eq!(jwks["keys"].as_array().map(Vec::len), Some(1));
    assert_ne!(jwks["keys"][0]["kid"], newest);

    let sealed_to = async || net.get("/.well-known/careledger").await.unwrap()["hpkeKey"].clone();
    let first = sealed_to().await;
    assert!(
        net.sound(&["rotate", "exchange"])
            .contains("exchange/2, exchange;")
    );
    let second = sealed_to().await;
    assert!(first.is_string() && second.is_string() && first != second);
    net.sound(&["rotate", "exchange", "--at-once"]);
    assert_ne!(sealed_to().await, second);
    let names = net.names();
    let of_exchange = names.iter().filter(|name| name.starts_with("exchange"));
    assert!(of_exchange.eq(["exchange/3"]), "{names:?}");

    let shown = net.sound(&["show"]) + &net.sound(&["export-public"]);
    net.stop();
    net.start().await;
    net.sound(&["check"]);
    net.stop();
    store.refresh().unwrap();
    for name in store.names() {
        secrets.extend(forms(&*store.expose(&name).unwrap()));
    }
    let log = net.log();
    assert!(log.contains("TRACE"), "the log is not a full one");
    for secret in secrets {
        assert!(!log.contains(&secret), "a secret is in the log");
        assert!(!shown.contains(&secret), "a secret is shown");
    }
}

/// The drill of `docs/guides/compromise.md`.
#[tokio::test]
async fn after_a_theft_the_old_certificate_is_revoked_and_the_node_goes_on_with_a_new_key() {
    let mut net = Net::found(11_401);
    net.start().await;
    let before = net.get("/network/members").await.unwrap();
    let stolen = before["members"][0]["certificates"][0]["thumbprint"].clone();
    net.sound(&["rotate", "node", "--revoke-others"]);
    net.sound(&["rotate", "tokens", "--at-once"]);
    net.sound(&["rotate", "wrapping"]);
    let after = net.get("/network/members").await.unwrap();
    let certificates = after["members"][0]["certificates"].as_array().unwrap();
    assert_eq!(certificates.len(), 2, "{after}");
    assert_eq!(certificates[0]["thumbprint"], stolen);
    assert!(certificates[0]["revoked"].is_string(), "{after}");
    assert!(certificates[1]["revoked"].is_null(), "{after}");
    let names = net.names();
    assert!(names.contains(&"node/2".to_owned()), "{names:?}");
    for gone in ["node", "token"] {
        assert!(!names.contains(&gone.to_owned()), "{names:?}");
    }
    // It speaks with the new key, and does after a new start.
    let height = net.height().await;
    net.stop();
    net.start().await;
    assert!(net.height().await > height);
    net.sound(&["check"]);
    net.stop();
}

#[tokio::test]
async fn a_node_runs_with_its_keys_in_a_token() {
    let Some(module) = std::env::var_os("CARELEDGER_PKCS11_MODULE") else {
        eprintln!(
            "skipped: CARELEDGER_PKCS11_MODULE names no library (scripts/with-softhsm sets it)"
        );
        return;
    };
    let module = PathBuf::from(module);
    let mut net = Net::found(11_801);
    let label = format!("clinic {}", std::process::id());
    net.start().await;
    let transcript = net.ceremony(&module, &label);
    assert_eq!(transcript["participants"], serde_json::json!(["A", "B"]));
    assert_eq!(transcript["keys"][0]["where"], "token");

    net.switch_to(&module, &label);
    net.sound(&["rotate", "node"]);
    let members = net.get("/network/members").await.unwrap();
    let before = members["members"][0]["certificates"][0]["thumbprint"].clone();
    net.stop();
    for old in ["keys.bin", "passphrase"] {
        fs::remove_file(net.member().join(old)).unwrap();
    }
    net.start().await;
    net.sound(&["check"]);
    let shown = net.shown();
    for name in ["node/2", "token/2"] {
        assert!(
            shown.contains(&(name.to_owned(), "token".to_owned())),
            "{shown:?}"
        );
    }
    let revoked = careledger(&["governance", "revoke", "--config"])
        .arg(net.config())
        .arg(before.as_str().unwrap())
        .output()
        .unwrap();
    assert!(revoked.status.success(), "{}", said(&revoked));
    net.sound(&["rotate", "tokens"]);
    net.sound(&["rotate", "wrapping"]);
    net.stop();
    assert!(!net.log().contains("planted"), "a PIN is in the log");
}
