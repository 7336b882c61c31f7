//! The audit log on its way to another repository: all of it, in order, over failures and stops.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use gateway::{ForwardConfig, SubscriptionConfig};
use serde_json::{Value, json};

use crate::patience::until;
use crate::support::Site;

const TAKES: u8 = 0;
const IS_DOWN: u8 = 1;
/// It keeps what comes, and no answer arrives.
const IS_SILENT: u8 = 2;

/// An Audit Record Repository.
#[derive(Clone, Default)]
struct Repository {
    mode: Arc<AtomicU8>,
    /// The ids of events, as they came.
    got: Arc<Mutex<Vec<String>>>,
    /// The event that it will not have.
    refused: Option<&'static str>,
    /// The token without which it takes nothing.
    token: Option<&'static str>,
}

impl Repository {
    async fn listen(&self) -> ForwardConfig {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new()
            .route("/fhir", axum::routing::post(take))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        ForwardConfig {
            to: Some(format!("http://{address}/fhir")),
            pause: Duration::from_millis(2),
            pause_max: Duration::from_millis(10),
            ..ForwardConfig::default()
        }
    }

    fn be(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }

    fn got(&self) -> Vec<String> {
        self.got.lock().unwrap().clone()
    }
}

async fn take(
    State(repository): State<Repository>,
    headers: HeaderMap,
    Json(bundle): Json<Value>,
) -> Response {
    let shown = headers.get("authorization");
    let shown = shown.map(|value| value.to_str().unwrap().to_owned());
    let due = repository.token.map(|token| format!("Bearer {token}"));
    if shown != due {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mode = repository.mode.load(Ordering::SeqCst);
    if mode == IS_DOWN {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    assert_eq!(bundle["type"], "batch");
    let mut said = Vec::new();
    for entry in bundle["entry"].as_array().unwrap() {
        assert_eq!(
            entry["request"],
            json!({ "method": "POST", "url": "AuditEvent" })
        );
        assert_eq!(entry["resource"]["resourceType"], "AuditEvent");
        let id = entry["resource"]["id"].as_str().unwrap();
        let is_refused = repository.refused == Some(id);
        if !is_refused {
            repository.got.lock().unwrap().push(id.to_owned());
        }
        let status = if is_refused { "422" } else { "201 Created" };
        said.push(json!({ "response": { "status": status } }));
    }
    if mode == IS_SILENT {
        std::future::pending::<()>().await;
    }
    let answer = json!({ "resourceType": "Bundle", "type": "batch-response", "entry": said });
    Json(answer).into_response()
}

async fn metric(site: &Site, name: &str) -> u64 {
    let request = axum::http::Request::get("/metrics").body(axum::body::Body::empty());
    let text = site.send(request.unwrap()).await.text;
    let name = format!("careledger_audit_forward_{name} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&*name));
    line.unwrap().parse().unwrap()
}

async fn all_taken(site: &Site) {
    until("all of the log is taken", async || {
        metric(site, "waiting").await == 0
    })
    .await;
}

/// The numbers of the entries whose events came, each as it came first.
fn numbers(got: &[String]) -> Vec<u64> {
    let mut seen = BTreeSet::new();
    let numbers = got.iter().map(|id| id.trim_end_matches("-authz"));
    let numbers = numbers.map(|number| number.parse().unwrap());
    numbers.filter(|number| seen.insert(*number)).collect()
}

/// Writes and reads, which are entries of the log.
async fn work(site: &Site, patient: &str) {
    let ehr = site.ehr().await;
    site.patient(&ehr, patient).await;
    for _ in 0..3 {
        let read = site.get(&ehr, &format!("/Patient/{patient}")).await;
        assert_eq!(read.status, 200, "{}", read.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn atna_1_every_event_goes_to_another_repository_in_the_order_of_the_log() {
    let repository = Repository::default();
    let site = Site::forwarding(repository.listen().await);
    work(&site, "p").await;
    all_taken(&site).await;
    work(&site, "q").await;
    all_taken(&site).await;
    let got = repository.got();
    let numbers = numbers(&got);
    assert!(numbers.len() >= 8, "{got:?}");
    let last = u64::try_from(numbers.len()).unwrap();
    assert_eq!(numbers, (1..=last).collect::<Vec<u64>>());
    let once: BTreeSet<&String> = got.iter().collect();
    assert_eq!(once.len(), got.len(), "without a failure each comes once");
}

#[tokio::test(flavor = "multi_thread")]
async fn atna_1_nothing_is_lost_while_the_repository_is_down_or_the_node_is_stopped() {
    let repository = Repository::default();
    repository.be(IS_DOWN);
    let config = repository.listen().await;
    let site = Site::forwarding(config);
    work(&site, "p").await;
    assert!(metric(&site, "waiting").await >= 4);
    let site = site.again(SubscriptionConfig::default());
    repository.be(IS_SILENT);
    until("some of it comes", async || !repository.got().is_empty()).await;
    // Stopped after the repository has them, and before the node knows.
    repository.be(TAKES);
    let site = site.again(SubscriptionConfig::default());
    work(&site, "q").await;
    all_taken(&site).await;
    let got = repository.got();
    let numbers = numbers(&got);
    let last = u64::try_from(numbers.len()).unwrap();
    assert_eq!(numbers, (1..=last).collect::<Vec<u64>>());
    assert!(last >= 8, "{got:?}");
    // And what was taken is not sent again.
    let site = site.again(SubscriptionConfig::default());
    work(&site, "r").await;
    all_taken(&site).await;
    let later = repository.got();
    assert!(!later[got.len()..].contains(&"1".to_owned()));
    assert_eq!(metric(&site, "given_up").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn atna_1_an_event_that_is_refused_for_good_is_given_up_and_counted() {
    let repository = Repository {
        refused: Some("2"),
        ..Repository::default()
    };
    let site = Site::forwarding(repository.listen().await);
    work(&site, "p").await;
    all_taken(&site).await;
    assert_eq!(metric(&site, "given_up").await, 1);
    let numbers = numbers(&repository.got());
    assert!(!repository.got().contains(&"2".to_owned()));
    assert!(numbers.contains(&1) && numbers.contains(&3), "{numbers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn atna_1_the_repository_is_shown_the_token_that_is_in_the_file_now() {
    let repository = Repository {
        token: Some("right.token"),
        ..Repository::default()
    };
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("arr.token");
    std::fs::write(&file, "old.token\n").unwrap();
    let mut config = repository.listen().await;
    config.token = Some(file.clone());
    let site = Site::forwarding(config);
    work(&site, "p").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(repository.got().is_empty() && metric(&site, "waiting").await >= 4);
    std::fs::write(&file, "right.token\n").unwrap();
    all_taken(&site).await;
    assert!(repository.got().len() >= 4);
    assert_eq!(metric(&site, "given_up").await, 0);
}

/// The repository behind TLS with these roots of clients; where it listens, and the files with its authority and with a
/// client's certificate.
async fn behind_tls(repository: &Repository, folder: &std::path::Path) -> ForwardConfig {
    let key = || rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = key();
    let root = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let issued = |name: &str| {
        let key = key();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let (server, server_key) = issued("127.0.0.1");
    let (client, client_key) = issued("clinic");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(&provider),
    );
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![server.der().clone()],
            rustls::pki_types::PrivateKeyDer::Pkcs8(server_key.serialize_der().into()),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let plain = repository.listen().await.to.unwrap();
    let plain = plain.trim_start_matches("http://").replace("/fhir", "");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, plain) = (acceptor.clone(), plain.clone());
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(stream).await else {
                    return;
                };
                let mut inside = tokio::net::TcpStream::connect(plain).await.unwrap();
                let _ended = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    let file = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    ForwardConfig {
        to: Some(format!("https://{address}/fhir")),
        authorities: file("authority.pem", root.pem()),
        certificate: file("client.pem", client.pem() + &client_key.serialize_pem()),
        ..repository.listen().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn atna_1_the_repository_is_shown_a_certificate() {
    let folder = tempfile::TempDir::new().unwrap();
    let repository = Repository::default();
    let config = behind_tls(&repository, folder.path()).await;
    let nothing_shown = ForwardConfig {
        certificate: None,
        ..config.clone()
    };
    let site = Site::forwarding(nothing_shown);
    work(&site, "p").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(repository.got().is_empty() && metric(&site, "waiting").await >= 4);
    drop(site);
    let site = Site::forwarding(config);
    work(&site, "p").await;
    all_taken(&site).await;
    assert!(repository.got().len() >= 4);
}
