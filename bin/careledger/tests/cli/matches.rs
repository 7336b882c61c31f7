//! `careledger matches`: a pair is listed, merged, parted and dismissed; other members are asked.

use serde_json::{Value, json};

use crate::net::{Net, careledger, said};
use crate::patience::until;

const PORTS: u16 = 14_601;

impl Net {
    fn matches(&self, args: &[&str]) -> (bool, String) {
        let mut command = careledger(&[&["matches"], args].concat());
        let output = command.args(["--credential", &self.credential("ehr")]);
        let output = output.output().unwrap();
        (output.status.success(), said(&output))
    }

    fn take_part_in_linkage(&self) {
        let config = self.config();
        let secret = config.with_file_name("linkage.secret");
        std::fs::write(secret, "5e".repeat(32)).unwrap();
        let mut text = std::fs::read_to_string(&config).unwrap();
        text.push_str("\n[linkage]\nsecret_file = \"linkage.secret\"\nanswers = \"person\"\n");
        std::fs::write(config, text).unwrap();
    }

    /// There are no others: nobody is asked, and nobody has asked.
    fn asks_others(&self) {
        for (step, is_taken, expected) in [
            (&["discover", "other"][..], true, "0 members asked"),
            (
                &["discover", "other", "--member", "clinic"],
                false,
                "no other member",
            ),
            (&["discover", "gone"], false, "404"),
            (&["waiting", "--all"], true, "0 questions"),
            (&["approve", "one", "clinic", "--reason", "x"], false, "404"),
            (
                &["withdraw", "one", "clinic", "--reason", "x"],
                false,
                "404",
            ),
            (&["refuse", "one", "clinic", "--reason", "x"], false, "404"),
        ] {
            let (is_done, told) = self.matches(step);
            assert!(
                is_done == is_taken && told.contains(expected),
                "{step:?}: {told}"
            );
        }
    }
}

fn patient(id: &str, given: &str) -> Value {
    json!({ "resourceType": "Patient", "id": id, "birthDate": "1962-04-17", "gender": "female",
        "name": [{ "family": "Plantedfamily", "given": [given] }],
        "address": [{ "line": ["3 Mill Lane"], "city": "Northtown", "postalCode": "10115" }] })
}

#[tokio::test]
async fn a_pair_is_listed_merged_parted_and_dismissed() {
    let mut net = Net::found(PORTS);
    net.take_part_in_linkage();
    net.start().await;
    for (id, given) in [("one", "Ilse"), ("other", "Ilsa")] {
        net.write(&patient(id, given)).await;
    }
    let listed = until("the pair is listed", async || {
        let (is_done, listed) = net.matches(&["list"]);
        assert!(is_done, "{listed}");
        listed.contains("1 pairs").then_some(listed)
    })
    .await;
    assert!(
        listed.contains("Patient/one") && listed.contains("Patient/other"),
        "{listed}"
    );
    assert!(!listed.contains("Plantedfamily"), "{listed}");
    let steps: [&[&str]; 4] = [
        &["merge", "one", "other", "--preview"],
        &["merge", "one", "other"],
        &["unmerge", "one", "other"],
        &["dismiss", "one", "other", "--reason", "twins"],
    ];
    for step in steps {
        let (is_done, told) = net.matches(step);
        assert!(is_done, "{step:?}: {told}");
    }
    assert!(net.matches(&["list"]).1.contains("0 pairs"));
    let (_, all) = net.matches(&["list", "--all"]);
    assert!(all.contains("twins"), "{all}");
    let (is_done, told) = net.matches(&["merge", "one", "gone"]);
    assert!(!is_done && told.contains("404"), "{told}");
    net.asks_others();
    net.stop();
}
