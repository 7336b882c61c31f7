//! The program as a script meets it: exit codes, JSON, `--help`.

#![cfg(test)]

use std::path::Path;
use std::process::{Command, Output};

use sim::forge::Forge;

fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, .. } = Command::new(env!("CARGO_BIN_EXE_careledger-verify"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the program starts");
    (status.code(), String::from_utf8_lossy(&stdout).into_owned())
}

#[test]
fn exit_codes_and_outcomes_are_as_the_help_says() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut forge = Forge::found(&["clinic"]).unwrap();
    forge.append(&[]).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("genesis.cbor", &forge.genesis().encode());
    write("true.dump", &forge.dump(|_| true));
    write("uncertified.dump", &forge.dump(|_| false));
    let run = |arguments: &[&str]| run(folder.path(), arguments);

    let (code, text) = run(&["log", "true.dump", "--genesis", "genesis.cbor"]);
    assert_eq!(code, Some(0));
    assert!(text.starts_with("VERIFIED\n"), "{text}");
    let (code, text) = run(&["log", "uncertified.dump", "--json"]);
    assert_eq!(code, Some(1));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["verified"], false);
    assert_eq!(json["failure"], "finality-missing");
    let (code, text) = run(&["export", "true.dump"]);
    assert_eq!(code, Some(1));
    assert!(text.starts_with("NOT VERIFIED  export\n"), "{text}");
    for unreadable in [
        ["export", "missing", "--genesis", "genesis.cbor"],
        ["log", "true.dump", "--genesis", "true.dump"],
        ["log", "true.dump", "--nonsense", "x"],
    ] {
        assert_eq!(run(&unreadable).0, Some(2), "{unreadable:?}");
    }
    let (code, text) = run(&["--help"]);
    assert_eq!(code, Some(0));
    for expected in ["Examples:", "Exit codes:", "careledger-verify export"] {
        assert!(text.contains(expected), "{expected}");
    }
}

#[test]
fn nothing_that_could_reach_a_network_is_linked() {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--prefix",
            "none",
            "--package",
            "careledger-verify",
        ])
        .args(["--edges", "normal,build"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success());
    let tree = String::from_utf8(tree.stdout).unwrap();
    let linked = |name: &str| {
        tree.lines()
            .any(|line| line.split(' ').next() == Some(name))
    };
    assert!(linked("ledger") && linked("contracts"), "{tree}");
    for name in [
        "tokio",
        "mio",
        "async-std",
        "smol",
        "futures-executor",
        "socket2",
        "hyper",
        "h2",
        "reqwest",
        "ureq",
        "curl",
        "rustls",
        "native-tls",
        "openssl",
        "axum",
        "quinn",
        "node",
        "gateway",
        "vault",
        "commonware-runtime",
        "commonware-p2p",
    ] {
        assert!(!linked(name), "{name} is linked");
    }
}
