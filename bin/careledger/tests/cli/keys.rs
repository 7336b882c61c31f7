//! `careledger keys` on a network of one member: what is shown, rotations while the node runs, the drill after a theft, a
//! node whose keys are in a token, and that no secret is in a log.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use vault::keystore::{FileKeyStore, KeyStore};

use crate::net::{Net, careledger, said};
use crate::patience::until;

impl Net {
    fn member(&self) -> PathBuf {
        self.path("net/clinic")
    }

    /// Starts the node, and waits until it has applied blocks.
    async fn start_and_move_on(&mut self) {
        self.start_logging("trace").await;
        let began = self.height().await.unwrap();
        until("blocks come", async || {
            self.height().await > Some(began + 1)
        })
        .await;
    }

    fn keys(&self, args: &[&str]) -> Output {
        let (task, rest) = args.split_at(args.len().min(if args[0] == "rotate" { 2 } else { 1 }));
        let mut command = careledger(&[&["keys"], task].concat());
        command.arg("--config").arg(self.config()).args(rest);
        command.output().unwrap()
    }

    fn keys_say(&self, args: &[&str]) -> String {
        let output = self.keys(args);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn shown(&self) -> Vec<(String, String)> {
        let rows: Value = serde_json::from_str(&self.keys_say(&["show", "--json"])).unwrap();
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
        let pin = self.path("pin");
        let so_pin = self.path("so-pin");
        for (path, text) in [(&pin, "1234-planted\n"), (&so_pin, "so-planted\n")] {
            fs::write(path, text).unwrap();
            #[cfg(unix)]
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        let transcript = self.path("ceremony.json");
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
        let pin = self.path("pin");
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
    net.start_and_move_on().await;
    net.keys_say(&["check"]);
    let passphrase = fs::read(net.member().join("passphrase")).unwrap();
    let store = FileKeyStore::open(&net.member().join("keys.bin"), &passphrase).unwrap();
    let mut secrets = vec![String::from_utf8(passphrase).unwrap()];
    for name in store.names() {
        secrets.extend(forms(&*store.expose(&name).unwrap()));
    }

    net.keys_say(&["rotate", "wrapping"]);
    let told: Value =
        serde_json::from_str(&net.keys_say(&["rotate", "wrapping", "--json"])).unwrap();
    assert_eq!(told["wrappingEpoch"], 3);
    assert_eq!(told["isComplete"], true);
    // The key of epoch 2 is destroyed once nothing is under it; the first is the root of the others.
    until("the key is destroyed", async || {
        !net.names().contains(&"wrapping/2".to_owned())
    })
    .await;

    net.keys_say(&["rotate", "tokens"]);
    let jwks = net.get("/oauth2/jwks").await.unwrap();
    assert_eq!(jwks["keys"].as_array().map(Vec::len), Some(2));
    let newest = jwks["keys"][0]["kid"].clone();
    net.keys_say(&["rotate", "tokens", "--at-once"]);
    let jwks = net.get("/oauth2/jwks").await.unwrap();
    assert_eq!(jwks["keys"].as_array().map(Vec::len), Some(1));
    assert_ne!(jwks["keys"][0]["kid"], newest);

    let sealed_to = async || net.get("/.well-known/careledger").await.unwrap()["hpkeKey"].clone();
    let first = sealed_to().await;
    assert!(
        net.keys_say(&["rotate", "exchange"])
            .contains("exchange/2, exchange;")
    );
    let second = sealed_to().await;
    assert!(first.is_string() && second.is_string() && first != second);
    net.keys_say(&["rotate", "exchange", "--at-once"]);
    assert_ne!(sealed_to().await, second);
    let names = net.names();
    let of_exchange = names.iter().filter(|name| name.starts_with("exchange"));
    assert!(of_exchange.eq(["exchange/3"]), "{names:?}");

    let shown = net.keys_say(&["show"]) + &net.keys_say(&["export-public"]);
    net.stop();
    net.start_and_move_on().await;
    net.keys_say(&["check"]);
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
    net.start_and_move_on().await;
    let before = net.get("/network/members").await.unwrap();
    let stolen = before["members"][0]["certificates"][0]["thumbprint"].clone();
    net.keys_say(&["rotate", "node", "--revoke-others"]);
    net.keys_say(&["rotate", "tokens", "--at-once"]);
    net.keys_say(&["rotate", "wrapping"]);
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
    net.start_and_move_on().await;
    assert!(net.height().await > height);
    net.keys_say(&["check"]);
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
    net.start_and_move_on().await;
    let transcript = net.ceremony(&module, &label);
    assert_eq!(transcript["participants"], serde_json::json!(["A", "B"]));
    assert_eq!(transcript["keys"][0]["where"], "token");

    net.switch_to(&module, &label);
    net.keys_say(&["rotate", "node"]);
    let members = net.get("/network/members").await.unwrap();
    let before = members["members"][0]["certificates"][0]["thumbprint"].clone();
    net.stop();
    for old in ["keys.bin", "passphrase"] {
        fs::remove_file(net.member().join(old)).unwrap();
    }
    net.start_and_move_on().await;
    net.keys_say(&["check"]);
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
    net.keys_say(&["rotate", "tokens"]);
    net.keys_say(&["rotate", "wrapping"]);
    net.stop();
    assert!(!net.log().contains("planted"), "a PIN is in the log");
}
