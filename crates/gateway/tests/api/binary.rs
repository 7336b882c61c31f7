//! A Binary in its own form: what goes in comes out, in constant memory, for whom it may.

use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::http::request::Builder;
use futures::StreamExt as _;
use serde_json::json;

use crate::support::{Answer, Ask, Site, Wallet};

const PIECE: usize = 64 << 10;
/// What a node may need beside the content, whatever its size: some parts of an upload, and buffers.
const MEMORY_MAX: u64 = 56 << 20;

fn request(token: &str, method: &str, path: &str) -> Builder {
    Request::builder()
        .method(method)
        .uri(format!("/fhir/Binary{path}"))
        .header("authorization", format!("Bearer {token}"))
}

async fn post(site: &Site, token: &str, content_type: &str, content: &[u8]) -> Answer {
    let request = request(token, "POST", "")
        .header("content-type", content_type)
        .header("x-security-context", "Patient/p1")
        .body(Body::from(content.to_vec()));
    site.send(request.unwrap()).await
}

async fn get(site: &Site, token: &str, path: &str, accept: &str) -> Answer {
    let request = request(token, "GET", path)
        .header("accept", accept)
        .body(Body::empty());
    site.send(request.unwrap()).await
}

fn id_in(answer: &Answer) -> String {
    let location = answer.header("location");
    let id = location.rsplit('/').nth(2);
    id.unwrap().to_owned()
}

fn scan(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251) as u8).collect()
}

#[tokio::test]
async fn photos_and_documents_come_back_as_what_they_are() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let jpeg = [b"\xff\xd8\xff\xe0".as_slice(), &scan(400_000)].concat();
    let pdf = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let subject = json!({"reference": "Patient/p1"});
    for (content_type, content, kind) in [
        ("image/jpeg", jpeg, "Media"),
        ("application/pdf", pdf, "DocumentReference"),
    ] {
        let created = post(&site, &token, content_type, &content).await;
        assert_eq!(created.status, 201, "{}", created.text);
        let url = format!("Binary/{}", id_in(&created));
        let attachment = json!({"contentType": content_type, "url": url, "size": content.len()});
        let named = match kind {
            "Media" => json!({"resourceType": kind, "status": "completed", "subject": subject,
                "content": attachment}),
            _ => json!({"resourceType": kind, "status": "current", "subject": subject,
                "content": [{"attachment": attachment}]}),
        };
        let named = site.ask(&token, "POST", &format!("/{kind}"), &named).await;
        assert_eq!(named.status, 201, "{}", named.text);
        let named = named.json();
        let stored = match kind {
            "Media" => &named["content"],
            _ => &named["content"][0]["attachment"],
        };
        assert_eq!(*stored, attachment);
        let id = id_in(&created);
        let got = get(&site, &token, &format!("/{id}"), content_type).await;
        assert_eq!(got.status, 200, "{}", got.text);
        assert_eq!(got.header("content-type"), content_type);
        assert_eq!(got.bytes, content, "{content_type}");
        let other = get(&site, &token, &format!("/{id}"), "text/plain").await;
        assert_eq!(other.status, 406, "it is {content_type}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_comes_back_byte_for_byte_small_or_large() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    for bytes in [0, 1, 5, 300_000, 700_001] {
        let content = scan(bytes);
        let created = post(&site, &token, "image/png", &content).await;
        assert_eq!(created.status, 201, "{}", created.text);
        assert_eq!(created.header("etag"), "W/\"1\"");
        let id = id_in(&created);
        for (path, accept) in [
            (format!("/{id}"), "image/png"),
            (format!("/{id}"), "text/html, image/*;q=0.8"),
            (format!("/{id}/_history/1"), "*/*"),
        ] {
            let read = get(&site, &token, &path, accept).await;
            assert_eq!(read.status, 200, "{}", read.text);
            assert!(read.bytes == content, "{bytes} bytes at {path}");
            assert_eq!(read.header("content-type"), "image/png");
            assert_eq!(read.header("content-length"), bytes.to_string());
            assert_eq!(read.header("x-content-type-options"), "nosniff");
            assert_eq!(read.header("content-security-policy"), "sandbox");
            assert_eq!(read.header("x-security-context"), "Patient/p1");
        }
        let json = get(&site, &token, &format!("/{id}"), "application/fhir+json").await;
        assert_eq!(json.json()["contentType"], "image/png");
        assert_eq!(
            json.json().get("data").is_some(),
            (1..=256 << 10).contains(&bytes)
        );
        let other = get(&site, &token, &format!("/{id}"), "text/plain").await;
        other.problem(406, "not-supported");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_has_versions_and_its_preconditions_hold() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let id = id_in(&post(&site, &token, "text/plain", &scan(400_000)).await);
    let put = |if_match: &'static str, content: Vec<u8>| {
        let request = request(&token, "PUT", &format!("/{id}"))
            .header("content-type", "text/plain")
            .header("x-security-context", "Patient/p1")
            .header("if-match", if_match)
            .body(Body::from(content));
        site.send(request.unwrap())
    };
    assert_eq!(put("W/\"1\"", scan(10)).await.status, 200);
    assert_eq!(put("W/\"2\"", scan(500_000)).await.status, 200);
    put("W/\"2\"", scan(500_000)).await.problem(412, "conflict");
    for (version, bytes) in [(1, 400_000), (2, 10), (3, 500_000)] {
        let path = format!("/{id}/_history/{version}");
        let read = get(&site, &token, &path, "text/plain").await;
        assert!(read.bytes == scan(bytes), "version {version}");
    }
    let later = get(&site, &token, &format!("/{id}/_history/4"), "text/plain").await;
    later.problem(404, "not-found");
    let deleted = request(&token, "DELETE", &format!("/{id}")).body(Body::empty());
    assert_eq!(site.send(deleted.unwrap()).await.status, 204);
    let gone = get(&site, &token, &format!("/{id}"), "text/plain").await;
    gone.problem(410, "deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_who_opens_a_binary_is_in_the_history_of_the_patient_whose_it_is() {
    let site = Site::new();
    let token = site.ehr().await;
    let wallet = Wallet::new(3);
    let patient = wallet.enroll(&site).await;
    let upload = request(&token, "POST", "")
        .header("content-type", "text/plain")
        .header("x-security-context", format!("Patient/{patient}"))
        .body(Body::from(scan(300_000)));
    let id = id_in(&site.send(upload.unwrap()).await);
    let read = get(&site, &token, &format!("/{id}"), "text/plain").await;
    assert_eq!(read.status, 200);
    let own = wallet.token(&site, &patient).await;
    let history = site
        .get(&own, &format!("/Patient/{patient}/$access-history"))
        .await;
    assert!(
        history.text.contains(&format!("Binary/{id}")),
        "{}",
        history.text
    );
    let nobody = request(&token, "POST", "")
        .header("content-type", "text/plain")
        .header("x-security-context", "Patient/nobody")
        .body(Body::from("text"));
    site.send(nobody.unwrap()).await.problem(422, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fhir_or_not_permitted_is_not_taken_as_content() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let xml = post(&site, &token, "application/fhir+xml", b"<Binary/>").await;
    xml.problem(400, "structure");
    let json = json!({ "resourceType": "Binary", "contentType": "text/plain", "data": "YWJj",
        "securityContext": { "reference": "Patient/p1" } });
    let created = site.ask(&token, "POST", "/Binary", &json).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let read = get(
        &site,
        &token,
        &format!("/{}", id_in(&created)),
        "text/plain",
    )
    .await;
    assert_eq!(read.text, "abc");
    let nobody = Request::post("/fhir/Binary").header("content-type", "text/plain");
    let refused = site.send(nobody.body(Body::from("text")).unwrap()).await;
    assert_eq!(refused.status, 401);
    let ask = Ask {
        scope: "system/Observation.cruds",
        ..Ask::default()
    };
    let other = site.token(&ask).await;
    let refused = post(&site, &other, "text/plain", b"text").await;
    assert_eq!(refused.status, 403, "{}", refused.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_is_no_binary() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let pieces = (0..10).map(|number| match number {
        9 => Err(std::io::Error::other("the client is gone")),
        _ => Ok(Bytes::from(vec![7; PIECE])),
    });
    let broken = request(&token, "POST", "")
        .header("content-type", "image/png")
        .header("x-security-context", "Patient/p1")
        .body(Body::from_stream(futures::stream::iter(pieces)));
    site.send(broken.unwrap()).await.problem(400, "value");
    assert_eq!(site.count(&token, "Binary").await, 0);
}

/// 96 MiB, or 1 GiB with `CARELEDGER_LONG`.
#[tokio::test(flavor = "multi_thread")]
async fn a_binary_of_any_size_goes_through_in_constant_memory() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let pieces = match std::env::var_os("CARELEDGER_LONG") {
        Some(_) => 16_384,
        None => 1_536,
    };
    let Some(before) = peak(true) else { return };
    let begun = std::time::Instant::now();
    let content = (0..pieces).map(|number| Ok::<_, std::io::Error>(vec![number as u8; PIECE]));
    let upload = request(&token, "POST", "")
        .header("content-type", "application/dicom")
        .header("x-security-context", "Patient/p1")
        .body(Body::from_stream(futures::stream::iter(content)));
    let created = site.send(upload.unwrap()).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let (uploaded, up) = (begun.elapsed(), peak(true).unwrap().saturating_sub(before));
    let begun = std::time::Instant::now();
    let download = request(&token, "GET", &format!("/{}", id_in(&created)))
        .header("accept", "application/dicom")
        .body(Body::empty());
    let mut body = site
        .respond(download.unwrap())
        .await
        .into_body()
        .into_data_stream();
    let mut at = 0;
    while let Some(piece) = body.next().await {
        for byte in piece.unwrap() {
            assert_eq!(byte, (at / PIECE) as u8, "byte {at}");
            at += 1;
        }
    }
    assert_eq!(at, pieces * PIECE);
    let (downloaded, down) = (begun.elapsed(), peak(false).unwrap().saturating_sub(before));
    println!(
        "{} MiB: up in {uploaded:.1?} with {} MiB, down in {downloaded:.1?} with {} MiB",
        at >> 20,
        up >> 20,
        down >> 20
    );
    assert!(
        up < MEMORY_MAX && down < MEMORY_MAX,
        "{up} and {down} bytes more"
    );
}

/// The most memory that this process has had, where the system tells; it may begin anew.
fn peak(anew: bool) -> Option<u64> {
    if anew {
        std::fs::write("/proc/self/clear_refs", "5").ok()?;
    }
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes << 10)
}
