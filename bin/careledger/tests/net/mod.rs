//! A network of one member on this machine, and the program that is tested.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

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

    pub(crate) async fn start(&mut self) {
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

    pub(crate) fn stop(&mut self) {
        let mut node = self.node.take().expect("it runs");
        drop(node.stdin.take());
        assert!(node.wait().unwrap().success());
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
