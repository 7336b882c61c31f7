//! `careledger wallet` on a network of one member: links, an escrow that is taken, and another root.

use std::process::Output;

use serde_json::{Value, json};

use crate::net::{Net, careledger, said};

const PORTS: u16 = 9_901;

impl Net {
    fn wallet(&self, args: &[&str]) -> Output {
        careledger(&["wallet", "--network"])
            .arg(self.path("net"))
            .arg("--folder")
            .arg(self.path("w"))
            .args(args)
            .output()
            .unwrap()
    }

    fn wallet_says(&self, args: &[&str]) -> String {
        let output = self.wallet(args);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn wallet_refuses(&self, args: &[&str]) -> String {
        let output = self.wallet(args);
        assert!(!output.status.success(), "{args:?}: {}", said(&output));
        String::from_utf8(output.stderr).unwrap()
    }

    /// A wallet with a fresh root, enrolled at the clinic.
    fn enrolled(&self, name: &str) {
        self.wallet_says(&["new", name]);
        let clerk = self.credential("clerk");
        self.wallet_says(&["enroll", name, "--member", "clinic", "--credential", &clerk]);
    }

    fn remembers(&self, name: &str) -> Value {
        serde_json::from_str(&self.wallet_says(&["show", name])).unwrap()
    }
}

/// A Patient that the clinic's own system writes.
fn without_wallet(id: &str) -> Value {
    json!({ "resourceType": "Patient", "id": id })
}

/// What whoever has a link gets.
fn opened(link: &str, passcode: &str) -> Output {
    let asked = ["shares", "open", link, "--recipient", "Dr. Jones"];
    let mut command = careledger(&asked);
    command.args(["--passcode", passcode]).output().unwrap()
}

#[tokio::test]
async fn a_link_opens_with_its_passcode_until_it_is_withdrawn_and_an_escrow_is_taken_once() {
    let mut net = Net::found(PORTS);
    net.start().await;
    net.enrolled("ada");
    let ada = net.remembers("ada")["patients"]["clinic"].clone();
    net.write(&without_wallet(ada.as_str().unwrap())).await;
    let share = ["share", "ada", "--through", "clinic", "--with", "anyone"];
    let shared = net.wallet_says(&[&share[..], &["--records", "--passcode", "7777"]].concat());
    let link = shared.lines().next().unwrap();
    let right = opened(link, "7777");
    assert!(right.status.success(), "{}", said(&right));
    let summary: Value = serde_json::from_slice(&right.stdout).unwrap();
    assert_eq!(summary["resourceType"], "Bundle");
    let wrong = opened(link, "7778");
    assert!(
        !wrong.status.success() && said(&wrong).contains("9"),
        "{}",
        said(&wrong)
    );
    let listed = net.wallet_says(&["shares", "ada", "--through", "clinic"]);
    assert!(listed.contains("fetched 1, 9 tries left"), "{listed}");
    let id = listed.split_whitespace().next().unwrap().to_owned();
    net.wallet_says(&["unshare", "ada", "--through", "clinic", &id]);
    assert!(!opened(link, "7777").status.success());
    let history = net.wallet_says(&["history", "ada"]);
    for step in ["share-fetch", "share-refused", "unshare"] {
        assert!(history.contains(step), "{step}: {history}");
    }

    net.write(&without_wallet("p7")).await;
    let clerk = net.credential("clerk");
    for name in ["bea", "cat"] {
        net.wallet_says(&["new", name]);
    }
    let take = |name| {
        let at = [
            "--member",
            "clinic",
            "--patient",
            "p7",
            "--credential",
            &clerk,
        ];
        [&["take", name][..], &at].concat()
    };
    net.wallet_says(&take("bea"));
    net.wallet_says(&take("bea"));
    net.wallet_refuses(&take("cat"));
    let history = net.wallet_says(&["history", "bea"]);
    assert!(history.contains("escrow-taken"), "{history}");
    net.stop();
}

#[tokio::test]
async fn another_root_takes_the_place_of_a_wallets_and_the_history_goes_on() {
    let mut net = Net::found(PORTS + 45);
    net.start().await;
    net.enrolled("ada");
    let grant = ["grant", "ada", "--through", "clinic", "--to", "clinic"];
    net.wallet_says(&[&grant[..], &["--data", "laboratory"]].concat());
    let stolen = net.path("stolen");
    copied(&net.path("w"), &stolen);
    for roots in 1..=2 {
        let said = net.wallet_says(&["rotate", "ada", "--root"]);
        assert!(
            said.contains("a new root") && said.contains("clinic"),
            "{said}"
        );
        let remembered = net.remembers("ada");
        assert_eq!(remembered["eras"].as_array().map(Vec::len), Some(roots));
        assert_eq!(remembered["epochs"]["access/clinic"], roots);
        net.wallet_says(&["history", "ada"]);
    }
    let id = net.remembers("ada")["consents"][0]["id"].clone();
    net.wallet_says(&["suspend", "ada", id.as_str().unwrap()]);
    net.wallet_says(&["rotate", "ada", "--branch", "index/clinic"]);
    assert_eq!(net.remembers("ada")["epochs"]["index/clinic"], 3);
    net.stop();
    net.start().await;
    let history = net.wallet_says(&["history", "ada"]);
    assert!(history.contains("wallet-replace"), "{history}");
    let link = ["share", "ada", "--through", "clinic", "--with", "clinic"];
    net.wallet_says(&link);
    std::fs::remove_dir_all(net.path("w")).unwrap();
    copied(&stolen, &net.path("w"));
    let thief = net.wallet_refuses(&["history", "ada"]);
    assert!(!thief.contains("wallet-replace"), "{thief}");
    net.wallet_refuses(&["rotate", "ada", "--root"]);
}

fn copied(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
