//! CURES-4: what is exported, of one patient or of all, comes back the same in another node.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use interop::synth::patient_bundle;
use serde_json::{Value, json};

use crate::bulk;
use crate::imports;
use crate::support::{Site, observation};

/// Resources by type, and by `Type/id`.
type Records = BTreeMap<String, BTreeMap<String, Value>>;

fn filed(records: &mut Records, resource: Value) {
    let word = |name: &str| resource[name].as_str().unwrap().to_owned();
    let (kind, id) = (word("resourceType"), word("id"));
    let known = records.entry(kind).or_default().insert(id, resource);
    assert!(known.is_none(), "nothing is exported twice");
}

/// A server of these files of NDJSON, each named as its type.
async fn serve(records: &Records) -> String {
    let line = |one: &Value| format!("{one}\n");
    let files: BTreeMap<String, String> = records
        .iter()
        .map(|(kind, all)| (kind.clone(), all.values().map(line).collect()))
        .collect();
    let give = |State(files): State<Arc<BTreeMap<String, String>>>, Path(name): Path<String>| async move {
        files.get(&name).cloned().ok_or(StatusCode::NOT_FOUND)
    };
    let router = axum::Router::new()
        .route("/{name}", axum::routing::get(give))
        .with_state(Arc::new(files));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// A fresh node that has imported these.
async fn imported(records: &Records) -> Site {
    let origin = serve(records).await;
    let site = Site::importing(&origin);
    let token = imports::importer(&site).await;
    let inputs: Vec<(&str, String)> = records
        .keys()
        .map(|kind| (kind.as_str(), format!("{origin}/{kind}")))
        .collect();
    let place = imports::begun(&site, &token, &imports::manifest_of(&inputs)).await;
    let manifest = imports::finished(&site, &token, &place).await;
    assert!(has_no_error(&manifest), "every line is taken");
    site
}

fn has_no_error(manifest: &Value) -> bool {
    manifest["error"].as_array().is_none_or(Vec::is_empty)
}

/// The content: without what a node says of its own version of it.
fn content(resource: &Value) -> Value {
    let mut content = resource.clone();
    let meta = content.get_mut("meta").and_then(Value::as_object_mut);
    let is_empty = meta.is_some_and(|meta| {
        for name in ["versionId", "lastUpdated"] {
            meta.remove(name);
        }
        // An import says where a line came from, unless it says so itself.
        let source = meta.get("source").and_then(Value::as_str);
        if source == Some("https://other.example") {
            meta.remove("source");
        }
        meta.is_empty()
    });
    if is_empty {
        content.as_object_mut().unwrap().remove("meta");
    }
    content
}

async fn are_equal(site: &Site, records: &Records) {
    let ehr = site.ehr().await;
    for (kind, all) in records {
        assert_eq!(site.count(&ehr, kind).await, all.len() as u64, "{kind}");
        for (id, resource) in all {
            let found = site.get(&ehr, &format!("/{kind}/{id}")).await;
            assert_eq!(found.status, 200, "{kind}");
            assert_eq!(content(&found.json()), content(resource), "{kind}");
        }
    }
}

async fn exported(site: &Site) -> Records {
    let ehr = site.ehr().await;
    let place = bulk::kick_off(site, &ehr, "/$export").await;
    let manifest = bulk::finished(site, &ehr, &place).await;
    assert!(has_no_error(&manifest), "everything is given");
    let mut records = Records::new();
    for file in manifest["output"].as_array().unwrap() {
        let kind = file["type"].as_str().unwrap();
        for line in bulk::lines(site, &ehr, &manifest, kind).await {
            filed(&mut records, line);
        }
    }
    records
}

/// Everything of one patient, page after page.
async fn everything(site: &Site, patient: &str) -> Records {
    let ehr = site.ehr().await;
    let mut records = Records::new();
    let mut next = Some(format!("/Patient/{patient}/$everything"));
    while let Some(path) = next.take() {
        let page = site.get(&ehr, &path).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let page = page.json();
        for entry in page["entry"].as_array().unwrap() {
            assert_ne!(entry["search"]["mode"], "outcome", "nothing is withheld");
            filed(&mut records, entry["resource"].clone());
        }
        let links = page["link"].as_array().cloned().unwrap_or_default();
        let link = links.iter().find(|link| link["relation"] == "next");
        next = link.map(|link| imports::below(link["url"].as_str().unwrap()));
    }
    records
}

async fn holding(bundles: impl IntoIterator<Item = Value>) -> Site {
    let site = Site::new();
    let ehr = site.ehr().await;
    for bundle in bundles {
        let answer = site.ask(&ehr, "POST", "", &bundle).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    site
}

fn patients(site: &Records) -> Vec<String> {
    site["Patient"].keys().cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn cures_4_what_is_exported_of_one_patient_and_of_all_is_imported_as_it_was() {
    let site = holding((0..3).map(|index| patient_bundle(7, index))).await;
    let ehr = site.ehr().await;
    site.patient(&ehr, "p").await;
    // What rules call sensitive, what is open for an answer, and numbers whose digits count.
    let mut labelled = observation("p", "7917-8");
    labelled["valueQuantity"] = json!({ "value": 1.50, "unit": "mg" });
    site.ask(&ehr, "POST", "/Observation", &labelled).await;
    let request = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "code", "valueString": "access-request" } ] });
    let path = "/Patient/p/$file-request";
    let task = site.ask(&ehr, "POST", path, &request).await;
    assert_eq!(task.status, 201, "{}", task.text);

    let all = exported(&site).await;
    assert_eq!(patients(&all).len(), 4);
    are_equal(&imported(&all).await, &all).await;

    for patient in ["p".to_owned(), patients(&all).remove(0)] {
        let one = everything(&site, &patient).await;
        assert!(one.len() > 1, "{patient} has records");
        are_equal(&imported(&one).await, &one).await;
    }
}

/// The Bundles of `../shared/data/synthea-r4`, or of the folder in `CARELEDGER_DATA`; none when it is not there.
fn sample() -> Vec<Value> {
    let folder = std::env::var_os("CARELEDGER_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/synthea-r4"),
        PathBuf::from,
    );
    let Ok(files) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    // Hospitals and practitioners are referred to by the patients: theirs come first.
    files.sort_by_key(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (!name.contains("Information"), name)
    });
    let read = |path: PathBuf| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    files.into_iter().take(4).map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn cures_4_a_sample_that_others_made_comes_back_the_same() {
    let bundles = sample();
    if bundles.is_empty() {
        return;
    }
    let site = holding(bundles).await;
    let all = exported(&site).await;
    assert!(all.contains_key("Patient"));
    are_equal(&imported(&all).await, &all).await;
}
