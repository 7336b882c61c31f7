//! Guardians over HTTP: what they and wallets say, and who is let in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contracts::recovery::{Command, DELAY_MS, Signed, Terms};
use ed25519_zebra::{SigningKey, VerificationKey};
use ledger::codec;
use ledger::ids::Digest;
use serde_json::{Value, json};
use vault::release::{GuardedRoot, Guardian};
use vault::wrap::HpkeKeyPair;

use crate::support::{Site, Wallet};

/// The patient's wallet, of which the support's [`Wallet`] has the same seed.
const PATIENT: u8 = 31;

fn public(seed: u8) -> Digest {
    let key = SigningKey::from_bytes(&[seed; 32]);
    Digest(VerificationKey::from(&key).into())
}

fn signed(site: &Site, number: u64, seed: u8, command: Command) -> Signed {
    let place = (site.network(), public(PATIENT), number);
    Signed::sign(place, command, public(seed), |bytes| {
        SigningKey::from_bytes(&[seed; 32]).sign(bytes).into()
    })
}

fn said(signed: &Signed, sealed: Option<&[u8]>) -> Value {
    let mut given = vec![json!({
        "name": "said",
        "valueBase64Binary": STANDARD.encode(codec::encode(signed)),
    })];
    if let Some(sealed) = sealed {
        given.push(json!({ "name": "sealed", "valueBase64Binary": STANDARD.encode(sealed) }));
    }
    json!({ "resourceType": "Parameters", "parameter": given })
}

fn key(name: &str, key: Digest) -> Value {
    json!({ "resourceType": "Parameters", "parameter": [
        { "name": name, "valueBase64Binary": STANDARD.encode(key.0) },
    ] })
}

#[tokio::test]
async fn guardians_are_set_up_and_nothing_is_handed_out_before_the_delay() {
    let site = Site::new();
    let id = Wallet::new(PATIENT).enroll(&site).await;
    let clerk = site.ehr().await;
    let path = |operation: &str| format!("/Patient/{id}/${operation}");
    let recipient = HpkeKeyPair::generate().public_key();
    let mut guardians = [41, 42, 43].map(|seed| Guardian {
        key: public(seed).0,
        recipient,
    });
    guardians.sort_unstable();
    let sealed = codec::encode(&GuardedRoot::seal(&[1; 32], 1, 2, &guardians).unwrap());
    let terms = Terms {
        k: 2,
        guardians: guardians.iter().map(|one| Digest(one.key)).collect(),
        delay_ms: DELAY_MS,
        sealed: Digest::of(&sealed),
    };
    let set_up = Command::SetUp(terms);

    let by_thief = said(&signed(&site, 1, 50, set_up.clone()), Some(&sealed));
    let answer = site.ask(&clerk, "POST", &path("recovery"), &by_thief).await;
    assert_eq!(answer.status, 403, "{}", answer.text);
    let of_other_bytes = said(&signed(&site, 1, PATIENT, set_up.clone()), Some(b"other"));
    let answer = site
        .ask(&clerk, "POST", &path("recovery"), &of_other_bytes)
        .await;
    assert_eq!(answer.status, 403, "{}", answer.text);
    let by_patient = said(&signed(&site, 1, PATIENT, set_up), Some(&sealed));
    let answer = site
        .ask(&clerk, "POST", &path("recovery"), &by_patient)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);

    let ask = Command::Request {
        recipient: Digest(recipient.0),
        nonce: Digest([1; 32]),
    };
    let asked = signed(&site, 1, 51, ask);
    let answer = site
        .ask(&clerk, "POST", &path("recovery"), &said(&asked, None))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let request = asked.digest();
    let stated = STANDARD.encode(request.0);
    assert!(answer.text.contains(&stated), "{}", answer.text);
    let hand_out = path("recovery-hand-out");
    let answer = site
        .ask(&clerk, "POST", &hand_out, &key("request", request))
        .await;
    assert_eq!(answer.status, 403, "{}", answer.text);

    let root = path("recovery-root");
    let answer = site
        .ask(&clerk, "POST", &root, &key("guardian", public(41)))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = site
        .ask(&clerk, "POST", &root, &key("guardian", public(51)))
        .await;
    assert_eq!(answer.status, 403, "{}", answer.text);
}

#[tokio::test]
async fn what_is_no_signed_command_is_refused() {
    let site = Site::new();
    let id = Wallet::new(PATIENT).enroll(&site).await;
    let clerk = site.ehr().await;
    let nothing = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "said", "valueBase64Binary": "AAAA" },
    ] });
    let path = format!("/Patient/{id}/$recovery");
    let answer = site.ask(&clerk, "POST", &path, &nothing).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
}
