//! SMART Health Links over HTTP, and the end of an escrow.

use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contracts::escrow::{Taken, info, root_digest};
use ed25519_zebra::{SigningKey, VerificationKey};
use futures::future::join_all;
use ledger::codec;
use ledger::ids::Digest;
use serde_json::{Value, json};
use vault::jwe;
use vault::wrap::{HpkeKeyPair, WrappedKey};

use crate::patience::until;
use crate::support::{Answer, BASE, JUNE_MS, Site, Wallet};

const KEY: [u8; 32] = [9; 32];

fn given(parameters: &[Value]) -> Value {
    json!({ "resourceType": "Parameters", "parameter": parameters })
}

fn file(text: &str) -> Value {
    let jwe = jwe::seal(&KEY, "application/fhir+json", text.as_bytes());
    json!({ "name": "file", "valueString": jwe })
}

fn value(answer: &Answer, name: &str) -> String {
    let body = answer.json();
    let parameters = body["parameter"].as_array().unwrap();
    let named = parameters.iter().find(|one| one["name"] == name).unwrap();
    named["valueString"].as_str().unwrap().to_owned()
}

/// A patient with a wallet, and a token of it.
struct Sharer {
    site: Site,
    id: String,
    token: String,
}

impl Sharer {
    async fn new() -> Self {
        let site = Site::new();
        let wallet = Wallet::new(33);
        let id = wallet.enroll(&site).await;
        let token = wallet.token(&site, &id).await;
        Self { site, id, token }
    }

    async fn asks(&self, method: &str, operation: &str, parameters: &[Value]) -> Answer {
        let path = format!("/Patient/{}/{operation}", self.id);
        let body = match method {
            "GET" => Value::Null,
            _ => given(parameters),
        };
        self.site.ask(&self.token, method, &path, &body).await
    }

    /// A link's path below the node's address, and what names it.
    async fn shares(&self, parameters: &[Value]) -> (String, String) {
        let answer = self.asks("POST", "$share", parameters).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let url = value(&answer, "url");
        assert!(url.len() <= 128, "{url}");
        let path = url.strip_prefix(BASE).unwrap();
        (path.to_owned(), value(&answer, "id"))
    }

    async fn fetches(&self, path: &str, asked: &Value) -> Answer {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .header("origin", "https://viewer.example")
            .body(Body::from(asked.to_string()));
        self.site.send(request.unwrap()).await
    }

    async fn gets(&self, path: &str) -> Answer {
        let request = Request::get(path).body(Body::empty()).unwrap();
        self.site.send(request).await
    }

    async fn history(&self) -> Vec<(String, String)> {
        let answer = self.asks("GET", "$access-history", &[]).await;
        let body = answer.json();
        let entries = body["parameter"].as_array().unwrap();
        let descriptor = |entry: &Value| {
            let parts = entry["part"].as_array().unwrap();
            let part = parts.iter().find(|part| part["name"] == "descriptor");
            let bytes = STANDARD.decode(part.unwrap()["valueBase64Binary"].as_str().unwrap());
            contracts::descriptor::Descriptor::decode(&bytes.unwrap()).unwrap()
        };
        let accesses = entries.iter().map(|entry| match descriptor(entry) {
            contracts::descriptor::Descriptor::Access(access) => {
                (access.interaction, access.principal)
            }
            _ => panic!("an access history holds accesses"),
        });
        accesses.collect()
    }
}

#[tokio::test]
async fn a_manifest_gives_sealed_files_to_whoever_has_the_link_and_says_so_to_the_patient() {
    let sharer = Sharer::new().await;
    let (path, id) = sharer.shares(&[file("{}"), file("[]")]).await;
    let asked = json!({ "recipient": "Dr. Jones" });
    let answer = sharer.fetches(&path, &asked).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("cache-control"), "no-store");
    let manifest = answer.json();
    let files = manifest["files"].as_array().unwrap();
    assert_eq!(files.len(), 2);
    assert_eq!(files[0]["contentType"], "application/fhir+json");
    let opened = jwe::open(&KEY, files[0]["embedded"].as_str().unwrap());
    assert_eq!(&*opened.unwrap(), b"{}");
    let listed = sharer.asks("GET", "$shares", &[]).await.json();
    let parts = listed["parameter"][0]["part"].as_array().unwrap();
    assert!(parts.contains(&json!({ "name": "fetched", "valueString": "1" })));
    let fetched = sharer.history().await.pop().unwrap();
    assert_eq!(fetched.0, "share-fetch");
    assert!(fetched.1.ends_with("Dr. Jones"), "{}", fetched.1);
    let named = json!({ "name": "id", "valueString": id });
    let gone = sharer.asks("POST", "$unshare", &[named]).await;
    assert_eq!(gone.status, 200, "{}", gone.text);
    let answer = sharer.fetches(&path, &asked).await;
    answer.problem(404, "not-found");
    answer.repeats_nothing();
}

#[tokio::test]
async fn wrong_passcodes_are_counted_for_the_links_whole_life_and_are_on_record() {
    let sharer = Sharer::new().await;
    let passcode = json!({ "name": "passcode", "valueString": "7777" });
    let (path, _) = sharer.shares(&[file("{}"), passcode]).await;
    let with = |passcode: &str| json!({ "recipient": "R", "passcode": passcode });
    let without = sharer.fetches(&path, &json!({ "recipient": "R" })).await;
    assert_eq!(without.status, 401);
    assert_eq!(without.json()["remainingAttempts"], 9);
    for left in (5..9).rev() {
        let answer = sharer.fetches(&path, &with("0000")).await;
        assert_eq!(answer.status, 401, "{}", answer.text);
        assert_eq!(answer.json()["remainingAttempts"], left);
        tokio::time::sleep(std::time::Duration::from_millis(210)).await;
    }
    let right = sharer.fetches(&path, &with("7777")).await;
    assert_eq!(right.status, 200, "{}", right.text);
    for left in (0..5).rev() {
        tokio::time::sleep(std::time::Duration::from_millis(210)).await;
        let answer = sharer.fetches(&path, &with("0000")).await;
        assert_eq!(answer.json()["remainingAttempts"], left, "{}", answer.text);
    }
    tokio::time::sleep(std::time::Duration::from_millis(210)).await;
    let ended = sharer.fetches(&path, &with("7777")).await;
    ended.problem(404, "not-found");
    let history = sharer.history().await;
    let refused = history.iter().filter(|one| one.0 == "share-refused");
    assert_eq!(refused.count(), 10);
}

#[tokio::test]
async fn a_link_ends_and_one_that_is_asked_too_often_has_to_wait() {
    let sharer = Sharer::new().await;
    let expires = json!({ "name": "expires", "valueString": (JUNE_MS / 1_000 + 60).to_string() });
    let (path, _) = sharer.shares(&[file("{}"), expires]).await;
    let asked = json!({ "recipient": "R" });
    assert_eq!(sharer.fetches(&path, &asked).await.status, 200);
    sharer.site.pass(60);
    sharer
        .fetches(&path, &asked)
        .await
        .problem(404, "not-found");
    let (path, _) = sharer.shares(&[file("{}")]).await;
    let refused = until("one of many at once is refused", async || {
        let fetches = (0..50).map(|_| sharer.fetches(&path, &asked));
        let answers = join_all(fetches).await.into_iter();
        answers.rev().find(|answer| answer.status == 429)
    });
    refused.await.problem(429, "throttled");
}

#[tokio::test]
async fn what_is_too_long_for_the_reader_has_an_address_for_a_while_and_once() {
    let sharer = Sharer::new().await;
    let (path, _) = sharer.shares(&[file("{}")]).await;
    let asked = json!({ "recipient": "R", "embeddedLengthMax": 10 });
    let answer = sharer.fetches(&path, &asked).await.json();
    assert_eq!(answer["files"][0].get("embedded"), None);
    let location = answer["files"][0]["location"].as_str().unwrap();
    let location = location.strip_prefix(BASE).unwrap();
    let file = sharer.gets(location).await;
    assert_eq!(
        (file.status, file.header("content-type")),
        (200, "application/jose")
    );
    assert_eq!(&*jwe::open(&KEY, &file.text).unwrap(), b"{}");
    sharer.gets(location).await.problem(404, "not-found");
}

#[tokio::test]
async fn with_the_flag_u_the_address_answers_with_the_only_file() {
    let sharer = Sharer::new().await;
    let direct = json!({ "name": "direct", "valueBoolean": true });
    let (path, _) = sharer.shares(&[file("{}"), direct]).await;
    sharer.gets(&path).await.problem(400, "value");
    let file = sharer.gets(&format!("{path}?recipient=R")).await;
    assert_eq!(
        (file.status, file.header("content-type")),
        (200, "application/jose")
    );
    let asked = json!({ "recipient": "R" });
    sharer
        .fetches(&path, &asked)
        .await
        .problem(404, "not-found");
    let (listed, _) = sharer.shares(&[self::file("{}")]).await;
    let answer = sharer.gets(&format!("{listed}?recipient=R")).await;
    answer.problem(404, "not-found");
    assert_eq!(sharer.history().await.last().unwrap().0, "share");
}

#[tokio::test]
async fn what_is_shared_is_sealed_by_the_patient_and_asked_for_by_name() {
    let sharer = Sharer::new().await;
    let clear = json!({ "name": "file", "valueString": "{\"resourceType\":\"Basic\"}" });
    let long = json!({ "name": "label", "valueString": "a".repeat(81) });
    for parameters in [vec![clear], vec![file("{}"), long]] {
        let answer = sharer.asks("POST", "$share", &parameters).await;
        answer.problem(400, "value");
    }
    let empty = json!({ "name": "label", "valueString": "Summary" });
    let answer = sharer.asks("POST", "$share", &[empty]).await;
    answer.problem(422, "too-long");
    let clerk = sharer.site.ehr().await;
    for (method, operation) in [("POST", "$share"), ("GET", "$shares"), ("POST", "$unshare")] {
        let path = format!("/Patient/{}/{operation}", sharer.id);
        let answer = sharer
            .site
            .ask(&clerk, method, &path, &given(&[file("{}")]))
            .await;
        answer.problem(403, "forbidden");
    }
    let (path, _) = sharer.shares(&[file("{}")]).await;
    for asked in [json!({}), json!({ "recipient": " \u{7}" }), json!("R")] {
        sharer.fetches(&path, &asked).await.problem(400, "value");
    }
    let nowhere = format!("/shl/{}", "A".repeat(43));
    for path in [nowhere.as_str(), "/shl/short"] {
        let answer = sharer.fetches(path, &json!({ "recipient": "R" })).await;
        answer.problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_root_in_escrow_goes_to_the_wallet_that_then_speaks_for_the_patient() {
    let site = Site::new();
    let clerk = site.ehr().await;
    site.patient(&clerk, "p1").await;
    let seed = [34; 32];
    let signing = SigningKey::from_bytes(&seed);
    let public = Digest(VerificationKey::from(&signing).into());
    let keys = HpkeKeyPair::generate();
    let ask = |recipient: &[u8; 32]| {
        given(&[
            json!({ "name": "walletKey", "valueBase64Binary": STANDARD.encode(public.0) }),
            json!({ "name": "recipient", "valueBase64Binary": STANDARD.encode(recipient) }),
        ])
    };
    let path = "/Patient/p1/$escrow-offer";
    let body = ask(&keys.public_key().0);
    let answer = site.ask(&clerk, "POST", path, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let sealed = answer.json()["parameter"][0]["valueBase64Binary"].clone();
    let sealed = STANDARD.decode(sealed.as_str().unwrap()).unwrap();
    let (encapsulated, ciphertext) = sealed.split_first_chunk::<32>().unwrap();
    let wrapped = WrappedKey {
        encapsulated: *encapsulated,
        ciphertext: ciphertext.to_vec(),
    };
    let clinic = "clinic".parse().unwrap();
    let opened = keys.unwrap(&info(site.network(), &clinic), &public.0, &wrapped);
    let root: [u8; 32] = opened.unwrap().as_ref().try_into().unwrap();
    let taken = Taken::sign(
        (site.network(), clinic),
        root_digest(&root),
        public,
        |bytes| signing.sign(bytes).into(),
    );
    let said = STANDARD.encode(codec::encode(&taken));
    let said = given(&[json!({ "name": "said", "valueBase64Binary": said })]);
    let path = "/Patient/p1/$escrow-taken";
    let answer = site.ask(&clerk, "POST", path, &said).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    // The wallet is the patient's client from now on.
    let token = Wallet::new(34).token(&site, "p1").await;
    let answer = site.get(&token, "/Patient/p1").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let again = site
        .ask(&clerk, "POST", "/Patient/p1/$escrow-offer", &body)
        .await;
    again.problem(403, "forbidden");
    let by_patient = site
        .ask(&token, "POST", "/Patient/p1/$escrow-offer", &body)
        .await;
    by_patient.problem(403, "forbidden");
    let rubbish = given(&[json!({ "name": "said", "valueBase64Binary": "AAAA" })]);
    let answer = site.ask(&clerk, "POST", path, &rubbish).await;
    answer.problem(400, "value");
}
