//! `careledger verify --self` of a network on this machine: what it says, and what it ends with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::net::{Net, careledger, said};
use crate::patience::until;

const PORTS: u16 = 9_301;

impl Net {
    fn data(&self) -> PathBuf {
        self.path("net/clinic/data")
    }

    /// Waits until the node has applied so many blocks.
    async fn reach(&self, height: u64) {
        until("the blocks come", async || {
            self.height().await >= Some(height)
        })
        .await;
    }

    fn verify(&self, more: &[&str]) -> (Option<i32>, Output) {
        let checked = careledger(&["verify", "--self", "--config"])
            .arg(self.config())
            .args(more)
            .output()
            .unwrap();
        (checked.status.code(), checked)
    }

    fn verified(&self) -> (Option<i32>, Value) {
        let (code, checked) = self.verify(&["--json"]);
        (code, serde_json::from_slice(&checked.stdout).unwrap())
    }
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
    let mut net = Net::found(PORTS);
    net.start().await;
    net.reach(3).await;
    let (code, checked) = net.verify(&[]);
    assert_eq!(code, Some(2), "while it runs: {}", said(&checked));
    net.stop();

    let (code, report) = net.verified();
    assert_eq!((code, &report["verdict"]), (Some(0), &Value::from("sound")));
    assert_eq!(report["member"], "clinic");
    assert!(report["chain"]["blocks"].as_u64() >= Some(3), "{report}");
    assert_eq!(report["damages"].as_array().map(Vec::len), Some(0));

    spoil(&net.data().join("chain"));
    let (code, report) = net.verified();
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
    let (code, _) = net.verified();
    assert_eq!(code, Some(1), "it is as it was");
}
