//! DICOMweb before the member's image archive: what is found, and what goes through for whom.

use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use gateway::ArchiveConfig;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::{Answer, Ask, Site, Wallet, consent};

const STUDY: &str = "1.2.840.113619.2.1";
const SERIES: &str = "1.2.840.113619.2.1.1";
const INSTANCE: &str = "1.2.840.113619.2.1.1.1";
const CREDENTIAL: &str = "Basic cGFjczpzZWNyZXQ=";
const MULTIPART: &str = "multipart/related; type=\"application/dicom\"; boundary=b";

/// A small image archive. It answers every retrieval with a body of what it was asked for.
#[derive(Clone, Default)]
struct Pacs {
    asked: Arc<Mutex<Vec<String>>>,
    /// What is sent as a study is sent by a test, piece by piece.
    pieces: Arc<Mutex<Option<mpsc::Receiver<Bytes>>>>,
}

impl Pacs {
    async fn listen(&self) -> ArchiveConfig {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().fallback(give).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        ArchiveConfig {
            url: Some(format!("http://{address}/pacs/")),
            credential: None,
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn give(State(pacs): State<Pacs>, uri: Uri, headers: HeaderMap) -> Response {
    if headers
        .get("authorization")
        .is_none_or(|it| it != CREDENTIAL)
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let line = uri.path_and_query().unwrap().to_string();
    pacs.asked.lock().unwrap().push(line.clone());
    if let Some(pieces) = pacs.pieces.lock().unwrap().take() {
        let pieces = futures::stream::unfold(pieces, |mut pieces| async {
            let piece = pieces.recv().await?;
            Some((Ok::<_, std::io::Error>(piece), pieces))
        });
        return ([("content-type", MULTIPART)], Body::from_stream(pieces)).into_response();
    }
    if line.ends_with("/thumbnail") {
        return StatusCode::NOT_ACCEPTABLE.into_response();
    }
    let accept = headers.get("accept").unwrap().to_str().unwrap();
    let body = format!("--b\r\n\r\n{line} as {accept}\r\n--b--");
    (
        [("content-type", MULTIPART), ("set-cookie", "pacs=1")],
        body,
    )
        .into_response()
}

fn imaging_study(id: &str, patient: &str, uid: &str) -> Value {
    json!({"resourceType": "ImagingStudy", "id": id, "status": "available",
        "identifier": [{"system": "urn:dicom:uid", "value": format!("urn:oid:{uid}")},
            {"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]},
                "system": "urn:accession", "value": "A-77"}],
        "subject": {"reference": format!("Patient/{patient}")}, "started": "2026-05-02T10:11:12Z",
        "modality": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}],
        "numberOfSeries": 1, "numberOfInstances": 1,
        "endpoint": [{"reference": "Endpoint/pacs"}],
        "series": [{"uid": SERIES, "modality": {"code": "CT"}, "instance": [
            {"uid": INSTANCE, "sopClass": {"code": "urn:oid:1.2.840.10008.5.1.4.1.1.2"}}]}]})
}

async fn get(site: &Site, token: &str, path: &str) -> Answer {
    let request = Request::get(format!("/dicom-web{path}"))
        .header("authorization", format!("Bearer {token}"))
        .header("accept", "multipart/related; type=\"application/dicom\"");
    site.send(request.body(Body::empty()).unwrap()).await
}

/// A node before an archive with one study of `p1`.
async fn with_a_study() -> (Site, Pacs, String) {
    let pacs = Pacs::default();
    let site = Site::before_archive(pacs.listen().await, CREDENTIAL);
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let endpoint = json!({"resourceType": "Endpoint", "id": "pacs", "status": "active",
        "connectionType": {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
            "code": "dicom-wado-rs"},
        "payloadType": [{"text": "DICOM"}], "address": "http://127.0.0.1:8101/dicom-web"});
    put(&site, &token, &endpoint).await;
    put(&site, &token, &imaging_study("i1", "p1", STUDY)).await;
    (site, pacs, token)
}

async fn put(site: &Site, token: &str, resource: &Value) {
    let place = format!(
        "/{}/{}",
        resource["resourceType"].as_str().unwrap(),
        resource["id"].as_str().unwrap()
    );
    let written = site.ask(token, "PUT", &place, resource).await;
    assert!(written.status < 300, "{}", written.text);
}

#[tokio::test]
async fn qido_studies_are_found_by_each_attribute() {
    let (site, _, token) = with_a_study().await;
    let mut later = imaging_study("i2", "p1", "1.2.840.113619.2.2");
    later["started"] = json!("2026-05-20T10:11:12Z");
    later["identifier"][1]["value"] = json!("A-78");
    later["series"][0]["modality"] = json!({"code": "MR"});
    put(&site, &token, &later).await;
    for (query, expected) in [
        ("", vec!["1.2.840.113619.2.2", STUDY]),
        ("?StudyInstanceUID=1.2.840.113619.2.1", vec![STUDY]),
        ("?0020000D=1.2.840.113619.2.1,1.9", vec![STUDY]),
        (
            "?PatientID=planted-7731&limit=1",
            vec!["1.2.840.113619.2.2"],
        ),
        ("?00100020=planted-7731&limit=1&offset=1", vec![STUDY]),
        ("?PatientID=other", vec![]),
        ("?AccessionNumber=A-77", vec![STUDY]),
        ("?AccessionNumber=urn:oid:1.2.840.113619.2.1", vec![]),
        ("?StudyDate=20260502", vec![STUDY]),
        ("?StudyDate=20260503-20260531", vec!["1.2.840.113619.2.2"]),
        ("?ModalitiesInStudy=MR", vec!["1.2.840.113619.2.2"]),
    ] {
        let answer = get(&site, &token, &format!("/studies{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
        assert_eq!(answer.header("content-type"), "application/dicom+json");
        let rows = answer.json();
        let found: Vec<&str> = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["0020000D"]["Value"][0].as_str().unwrap())
            .collect();
        assert_eq!(found, expected, "{query}");
    }
    let row = get(&site, &token, "/studies?AccessionNumber=A-77")
        .await
        .json();
    assert_eq!(row[0]["00100020"]["Value"][0], "planted-7731");
    let series = get(&site, &token, &format!("/studies/{STUDY}/series")).await;
    assert_eq!(series.json()[0]["0020000E"]["Value"][0], SERIES);
    let instances = format!("/studies/{STUDY}/series/{SERIES}/instances");
    let instances = get(&site, &token, &instances).await;
    assert_eq!(instances.json()[0]["00080018"]["Value"][0], INSTANCE);
    for (query, code) in [
        ("?PatientName=planted", "value"),
        ("?StudyInstanceUID=plantedkey", "value"),
        ("?PatientID=planted-77*", "value"),
        ("?limit=5000", "value"),
    ] {
        let refused = get(&site, &token, &format!("/studies{query}")).await;
        refused.problem(400, code);
    }
}

#[tokio::test]
async fn wado_goes_through_in_each_form() {
    let (site, pacs, token) = with_a_study().await;
    for path in [
        format!("/studies/{STUDY}"),
        format!("/studies/{STUDY}/metadata"),
        format!("/studies/{STUDY}/rendered"),
        format!("/studies/{STUDY}/series/{SERIES}"),
        format!("/studies/{STUDY}/series/{SERIES}/metadata"),
        format!("/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}"),
        format!("/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}/metadata"),
        format!("/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}/rendered"),
        format!("/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}/frames/1,2"),
    ] {
        let answer = get(&site, &token, &path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert_eq!(answer.header("content-type"), MULTIPART);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("set-cookie"), "");
        let accept = "multipart/related; type=\"application/dicom\"";
        let body = format!("--b\r\n\r\n/pacs{path} as {accept}\r\n--b--");
        assert_eq!(answer.text, body);
    }
    let windowed = format!("/studies/{STUDY}/rendered?quality=50&window=40,400,linear&secret=1");
    let answer = get(&site, &token, &windowed).await;
    assert!(
        answer
            .text
            .contains("?quality=50&window=40%2C400%2Clinear as")
    );
    let none = format!("/studies/{STUDY}/thumbnail");
    get(&site, &token, &none)
        .await
        .problem(406, "not-supported");
    assert_eq!(pacs.asked().len(), 11);
}

#[tokio::test]
async fn wado_arrives_while_the_archive_still_sends() {
    let (site, pacs, token) = with_a_study().await;
    let (send, pieces) = mpsc::channel(1);
    *pacs.pieces.lock().unwrap() = Some(pieces);
    let request = Request::get(format!("/dicom-web/studies/{STUDY}"))
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty());
    let response = site.respond(request.unwrap()).await;
    assert_eq!(response.status(), 200);
    let mut body = response.into_body().into_data_stream();
    for piece in ["first", "second"] {
        // It is sent only when the one before has arrived.
        send.send(Bytes::from_static(piece.as_bytes()))
            .await
            .unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), piece);
    }
    drop(send);
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn wado_is_on_record_as_a_read_of_the_study() {
    let (site, pacs, _) = with_a_study().await;
    let wallet = Wallet::new(6);
    let patient = wallet.enroll(&site).await;
    let ehr = site.ehr().await;
    put(&site, &ehr, &imaging_study("mine", &patient, "1.2.3")).await;
    let answer = get(&site, &ehr, "/studies/1.2.3").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let own = wallet.token(&site, &patient).await;
    let history = format!("/Patient/{patient}/$access-history");
    let history = site.get(&own, &history).await;
    assert!(
        history.text.contains("ImagingStudy/mine"),
        "{}",
        history.text
    );
    // The patient sees the own study alone.
    assert_eq!(get(&site, &own, "/studies/1.2.3").await.status, 200);
    let before = pacs.asked().len();
    get(&site, &own, &format!("/studies/{STUDY}"))
        .await
        .problem(404, "not-found");
    let rows = get(&site, &own, "/studies").await.json();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert_eq!(pacs.asked().len(), before, "the archive is not asked");
}

#[tokio::test]
async fn pixels_have_the_consent_of_their_study() {
    let (site, pacs, ehr) = with_a_study().await;
    let wallet = Wallet::new(8);
    let patient = wallet.enroll(&site).await;
    let mut labelled = imaging_study("labelled", &patient, "1.2.5");
    labelled["meta"] = json!({"security": [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}]});
    put(&site, &ehr, &labelled).await;
    let path = "/studies/1.2.5";
    assert_eq!(get(&site, &ehr, path).await.status, 200);
    let own = wallet.token(&site, &patient).await;
    let mut denying = consent(&patient);
    denying["provision"] = json!({"provision": [{"type": "deny", "securityLabel": [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}]}]});
    let filed = wallet.file(&site, &own, &denying).await;
    assert_eq!(filed.status, 201, "{}", filed.text);
    let before = pacs.asked().len();
    for behind in ["", "/metadata", "/series", "/rendered"] {
        get(&site, &ehr, &format!("{path}{behind}"))
            .await
            .problem(404, "not-found");
    }
    let rows = get(&site, &ehr, "/studies?StudyInstanceUID=1.2.5").await;
    assert_eq!(rows.json(), json!([]));
    assert_eq!(pacs.asked().len(), before, "the archive is not asked");

    // Nobody gets at the images by another patient's ImagingStudy of the same UID.
    put(&site, &ehr, &imaging_study("other", "p1", "1.2.5")).await;
    get(&site, &ehr, path).await.problem(404, "not-found");
    assert_eq!(pacs.asked().len(), before);
    assert_eq!(get(&site, &own, path).await.status, 404, "nor the patient");
}

#[tokio::test]
async fn wado_refuses_what_the_study_does_not_list_and_what_is_no_uid() {
    let (site, pacs, token) = with_a_study().await;
    for path in [
        format!("/studies/{STUDY}/series/1.9"),
        format!("/studies/{STUDY}/series/{SERIES}/instances/1.9"),
        "/studies/1.9.9".to_owned(),
    ] {
        get(&site, &token, &path).await.problem(404, "not-found");
    }
    for path in [
        "/studies/plantedkey".to_owned(),
        "/studies/..%2F..%2Fadmin".to_owned(),
        format!("/studies/{STUDY}/bulkdata/1"),
        format!("/studies/{STUDY}/metadata/x"),
    ] {
        get(&site, &token, &path).await.problem(400, "value");
    }
    assert!(pacs.asked().is_empty());
    let observations = Ask {
        scope: "system/Observation.rs",
        ..Ask::default()
    };
    let token = site.token(&observations).await;
    for path in ["/studies".to_owned(), format!("/studies/{STUDY}")] {
        assert_eq!(get(&site, &token, &path).await.status, 403, "{path}");
    }
    let stored = Request::post("/dicom-web/studies").body(Body::empty());
    assert_eq!(
        site.send(stored.unwrap()).await.status,
        405,
        "there is no STOW-RS"
    );
    let nobody = Request::get("/dicom-web/studies").body(Body::empty());
    assert_eq!(site.send(nobody.unwrap()).await.status, 401);
}

#[tokio::test]
async fn an_archive_that_is_away_is_a_problem_with_its_gateway() {
    // A port that is taken, and at which nobody listens.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let away = ArchiveConfig {
        url: Some(format!("http://{address}")),
        credential: None,
    };
    let site = Site::before_archive(away, CREDENTIAL);
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    put(&site, &token, &imaging_study("i1", "p1", STUDY)).await;
    let answer = get(&site, &token, &format!("/studies/{STUDY}")).await;
    let said = answer.problem(502, "transient");
    assert!(!said.contains(&address.to_string()));

    // It does not know the node.
    let pacs = Pacs::default();
    let site = Site::before_archive(pacs.listen().await, "Basic wrong");
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    put(&site, &token, &imaging_study("i1", "p1", STUDY)).await;
    get(&site, &token, &format!("/studies/{STUDY}"))
        .await
        .problem(502, "transient");

    let site = Site::new();
    let token = site.ehr().await;
    get(&site, &token, "/studies/1.2.3")
        .await
        .problem(501, "not-supported");
}
