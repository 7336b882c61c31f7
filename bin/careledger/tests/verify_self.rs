//! `careledger verify --self` of a network on this machine: what it says, and what it ends with.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "these are tests, and so are their helpers"
)]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const PORTS_FROM: u16 = 9_301;

/// A network of one member, whose node runs while this is `Some`.
struct Net {
    folder: TempDir,
    port: u16,
    node: Option<Child>,
}

impl Net {
    fn found() -> Self {
        let folder = TempDir::new().unwrap();
        // Gateway, exchange and validator are 100 apart.
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        let mut bases = (PORTS_FROM..PORTS_FROM + 90).step_by(3);
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

    fn config(&self) -> PathBuf {
        self.folder.path().join("net/clinic/node.toml")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("net/clinic/data")
    }

    fn start(&mut self) {
        let node = careledger(&["node", "--until-stdin-ends", "--config"])
            .arg(self.config())
            .stdin(Stdio::piped())
            .spawn();
        self.node = Some(node.unwrap());
    }

    fn stop(&mut self) {
        let mut node = self.node.take().expect("it runs");
        drop(node.stdin.take());
        assert!(node.wait().unwrap().success());
    }

    /// Waits until the node has applied so many blocks.
    async fn reach(&self, height: u64) {
        let deadline = Instant::now() + PATIENCE;
        let tip = format!("http://127.0.0.1:{}/log/tip", self.port);
        loop {
            let answer = reqwest::get(&tip).await;
            if let Ok(answer) = answer
                && let Ok(tip) = answer.json::<Value>().await
                && tip["height"].as_u64() >= Some(height)
            {
                return;
            }
            assert!(Instant::now() < deadline, "no block {height} in time");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn verify(&self, more: &[&str]) -> (Option<i32>, Output) {
        let checked = careledger(&["verify", "--self", "--config"])
            .arg(self.config())
            .args(more)
            .output()
            .unwrap();
        (checked.status.code(), checked)
    }

    fn json(&self) -> (Option<i32>, Value) {
        let (code, checked) = self.verify(&["--json"]);
        (code, serde_json::from_slice(&checked.stdout).unwrap())
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

/// Spoils all files of a folder.
fn spoil(folder: &Path) {
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    for path in files {
        fs::write(path, b"not what was written").unwrap();
    }
}

#[tokio::test]
async fn a_node_is_sound_then_damaged_and_nobody_can_mend_it() {
    let mut net = Net::found();
    net.start();
    net.reach(3).await;
    let (code, checked) = net.verify(&[]);
    assert_eq!(code, Some(2), "while it runs: {}", said(&checked));
    net.stop();

    let (code, report) = net.json();
    assert_eq!((code, &report["verdict"]), (Some(0), &Value::from("sound")));
    assert_eq!(report["member"], "clinic");
    assert!(report["chain"]["blocks"].as_u64() >= Some(3), "{report}");
    assert_eq!(report["damages"].as_array().map(Vec::len), Some(0));

    spoil(&net.data().join("chain"));
    let (code, report) = net.json();
    assert_eq!(code, Some(1), "{report}");
    assert_eq!(report["verdict"], "damaged");
    assert_eq!(report["damages"][0]["place"], "chain");

    // Nobody is asked, or nobody answers.
    let nobody = format!("http://127.0.0.1:{}", net.port);
    for peers in [&[][..], &["--from", &nobody]] {
        let (code, mended) = net.verify(&[&["--repair"], peers].concat());
        let said = said(&mended);
        assert_eq!(code, Some(2), "{said}");
        assert!(!said.contains("Everything is sound"), "{said}");
        assert!(said.contains("careledger node --join snapshot"), "{said}");
        assert!(said.contains("start one"), "{said}");
    }
    let (code, _) = net.json();
    assert_eq!(code, Some(1), "it is as it was");
}
