//! A network of one member on this machine, and the program that is tested.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::patience::until;

/// A network of one member, the clinic.
pub(crate) struct Net {
    folder: TempDir,
    pub(crate) port: u16,
    node: Option<Child>,
}

impl Net {
    /// Each test has ports of its own.
    pub(crate) fn found(ports: u16) -> Self {
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

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("net/clinic/node.toml")
    }

    pub(crate) fn credential(&self, system: &str) -> String {
        let path = self.path(&format!("net/clinic/clients/{system}.json"));
        path.to_str().unwrap().to_owned()
    }

    /// Starts the node, and waits until it is ready.
    pub(crate) async fn start(&mut self) {
        self.start_logging("info").await;
    }

    /// The same with a log of this level.
    pub(crate) async fn start_logging(&mut self, level: &str) {
        let mut appending = File::options();
        let log = appending.create(true).append(true);
        let log = log.open(self.path("log")).unwrap();
        let node = careledger(&["node", "--until-stdin-ends", "--config"])
            .arg(self.config())
            .env("RUST_LOG", level)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.node = Some(node.unwrap());
        until("the node is ready", async || {
            let answer = reqwest::get(self.url("/ready")).await;
            let is_ready = answer.is_ok_and(|answer| answer.status() == 200);
            is_ready.then_some(()).ok_or_else(|| self.log())
        })
        .await;
    }

    pub(crate) fn stop(&mut self) {
        let mut node = self.node.take().expect("it runs");
        drop(node.stdin.take());
        assert!(node.wait().unwrap().success(), "{}", self.log());
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What a page in JSON has, if it answers.
    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        reqwest::get(self.url(path)).await.ok()?.json().await.ok()
    }

    /// Writes a resource under its own id, as the clinic's own system.
    pub(crate) async fn write(&self, resource: &Value) {
        let token = careledger(&["token", "--credential", &self.credential("ehr")]).output();
        let token = String::from_utf8(token.unwrap().stdout).unwrap();
        let text = |name: &str| resource[name].as_str().unwrap();
        let path = format!("/fhir/{}/{}", text("resourceType"), text("id"));
        let written = reqwest::Client::new()
            .put(self.url(&path))
            .bearer_auth(token.trim())
            .json(resource)
            .send();
        assert_eq!(written.await.unwrap().status(), 201);
    }

    pub(crate) async fn height(&self) -> Option<u64> {
        self.get("/log/tip").await?["height"].as_u64()
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

pub(crate) fn careledger(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_careledger"));
    command
        .args(args)
        .env("CARELEDGER_PASSPHRASE", "words of a test");
    command
}

pub(crate) fn said(output: &Output) -> String {
    let [out, error] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{error}")
}
