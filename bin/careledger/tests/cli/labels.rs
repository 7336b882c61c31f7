//! `careledger labels`: what a rule calls possibly sensitive is listed until somebody has decided.

use serde_json::{Value, json};

use crate::net::{Net, careledger, said};
use crate::patience::until;

const PORTS: u16 = 14_201;

impl Net {
    fn labels(&self, args: &[&str]) -> (bool, String) {
        let mut command = careledger(&[&["labels"], args].concat());
        let output = command.args(["--credential", &self.credential("ehr")]);
        let output = output.output().unwrap();
        (output.status.success(), said(&output))
    }

    fn possible(&self) -> Vec<Value> {
        let (_, said) = self.labels(&["possible", "--json"]);
        serde_json::from_str(&said).unwrap()
    }
}

#[tokio::test]
async fn documents_are_listed_until_somebody_says_whether_they_are_sensitive() {
    let mut net = Net::found(PORTS);
    net.start().await;
    let rules = json!({ "version": "1", "rules": [
        { "id": "note", "labels": ["PSY"], "words": ["despondent"], "possible": true } ] });
    let file = net.path("rules.json");
    std::fs::write(&file, rules.to_string()).unwrap();
    let voted = careledger(&["governance", "propose", "--config"])
        .arg(net.config())
        .arg("set-label-rules")
        .arg(&file)
        .output()
        .unwrap();
    assert!(voted.status.success(), "{}", said(&voted));
    net.write(&json!({ "resourceType": "Patient", "id": "p" }))
        .await;
    for id in ["sad", "sore"] {
        net.write(&json!({
            "resourceType": "Observation", "id": id, "status": "final",
            "code": { "coding": [{ "system": "http://loinc.org", "code": "718-7" }] },
            "subject": { "reference": "Patient/p" }, "note": [{ "text": "Despondent since May" }],
        }))
        .await;
    }
    let listed = until("both are listed", async || {
        Some(net.possible()).filter(|listed| listed.len() == 2)
    })
    .await;
    assert_eq!(listed[0]["document"], "Observation/sore", "the last first");
    assert_eq!(listed[0]["patient"], "Patient/p");
    let (_, shown) = net.labels(&["possible"]);
    assert!(
        shown.ends_with("2 documents wait for somebody to look\n"),
        "{shown}"
    );
    assert!(!shown.contains("Despondent"), "{shown}");

    let decide = |args: &[&str]| {
        let who = ["--practitioner", "Practitioner/7"];
        net.labels(&[args, &who].concat())
    };
    assert!(decide(&["confirm", "Observation/sad", "--label", "PSY"]).0);
    assert_eq!(net.possible().len(), 1);
    assert!(decide(&["refute", "Observation/sore"]).0);
    assert_eq!(net.possible(), Vec::<Value>::new());

    let (is_done, said) = decide(&["refute", "Observation/gone"]);
    assert!(!is_done && said.contains("404"), "{said}");
    let (is_done, said) = decide(&["confirm", "Observation/sad"]);
    assert!(!is_done && said.contains("--label"), "{said}");
    net.stop();
}
