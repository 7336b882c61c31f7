//! The notice of 42 CFR 2.32: with every output of what is labelled, and with nothing else.

use interop::fhir::labels::{NOTICE, carries_notice, needs_notice};
use serde_json::{Value, json};

use crate::bulk::{finished, kick_off, lines};
use crate::support::{Site, observation};

const ALCOHOL_SCREENING: &str = "75626-2";
const SUBSTANCE_USE: &str = "82667-7";

/// Every resource, and every Bundle, in an answer that has such a label; and that it carries the notice.
pub(crate) fn labelled(answer: &Value) -> usize {
    match answer {
        Value::Array(items) => items.iter().map(labelled).sum(),
        Value::Object(object) => {
            let within: usize = object.values().map(labelled).sum();
            if is_labelled(answer) {
                assert!(carries_notice(answer), "{answer}");
                return within + 1;
            }
            if within > 0 && answer["resourceType"] == "Bundle" {
                assert!(carries_notice(answer), "{answer}");
            }
            within
        }
        _ => 0,
    }
}

fn is_labelled(resource: &Value) -> bool {
    let security = resource["meta"]["security"].as_array();
    let codings = security.into_iter().flatten();
    let labels: Vec<String> = codings
        .filter_map(|one| {
            Some(format!(
                "{}|{}",
                one["system"].as_str()?,
                one["code"].as_str()?
            ))
        })
        .collect();
    needs_notice(labels.iter().map(String::as_str))
}

async fn written(site: &Site, token: &str, code: &str) -> String {
    let body = observation("p", code);
    let answer = site.ask(token, "POST", "/Observation", &body).await;
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn part2_2_every_output_of_labelled_data_carries_the_notice() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p").await;
    let secret = written(&site, &ehr, ALCOHOL_SCREENING).await;
    written(&site, &ehr, SUBSTANCE_USE).await;
    let plain = written(&site, &ehr, "718-7").await;
    for (path, found) in [
        (format!("/Observation/{secret}"), 1),
        (format!("/Observation/{secret}?_summary=true"), 1),
        (format!("/Observation/{secret}?_elements=code"), 1),
        (format!("/Observation/{secret}/_history/1"), 1),
        (format!("/Observation/{secret}/_history"), 1),
        ("/Observation/_history".to_owned(), 2),
        ("/_history".to_owned(), 2),
        ("/Observation?patient=p".to_owned(), 2),
        ("/Observation?patient=p&_summary=true".to_owned(), 2),
        ("/Observation?patient=p&_elements=code".to_owned(), 2),
        (
            "/Patient?_id=p&_revinclude=Observation:patient".to_owned(),
            2,
        ),
        ("/Patient/p/$everything".to_owned(), 2),
        ("/Observation/$lastn?patient=p".to_owned(), 2),
        (format!("/Observation/{plain}"), 0),
        (format!("/Observation?_id={plain}"), 0),
    ] {
        let answer = site.get(&ehr, &path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert_eq!(labelled(&answer.json()), found, "{path}");
        assert_eq!(answer.text.contains(NOTICE), found > 0, "{path}");
    }
    let meta = site
        .get(&ehr, &format!("/Observation/{secret}/$meta"))
        .await;
    assert!(carries_notice(
        &json!({"meta": meta.json()["parameter"][0]["valueMeta"]})
    ));
    let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": [
        { "request": { "method": "GET", "url": format!("Observation/{secret}") } } ] });
    let answer = site.ask(&ehr, "POST", "/", &batch).await;
    assert_eq!(labelled(&answer.json()), 1, "{}", answer.text);
    let xml = site
        .get(&ehr, &format!("/Observation/{secret}?_format=xml"))
        .await;
    assert!(
        xml.text.contains(NOTICE) && xml.text.contains("NORDSCLCD"),
        "{}",
        xml.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn part2_2_exports_carry_the_notice_line_by_line() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p").await;
    written(&site, &ehr, ALCOHOL_SCREENING).await;
    written(&site, &ehr, "718-7").await;
    for path in ["/$export", "/$export?_elements=code"] {
        let job = kick_off(&site, &ehr, path).await;
        let manifest = finished(&site, &ehr, &job).await;
        let observations = lines(&site, &ehr, &manifest, "Observation").await;
        let with_notice = observations.iter().filter(|one| carries_notice(one));
        assert_eq!((observations.len(), with_notice.count()), (2, 1), "{path}");
        assert_eq!(labelled(&Value::from(observations)), 1);
    }
}

#[tokio::test]
async fn part2_2_a_binary_in_its_own_form_carries_the_notice_in_a_header() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p").await;
    let put = |id: &str, code: Option<&str>| {
        let mut binary = json!({ "resourceType": "Binary", "id": id, "contentType": "text/plain",
            "securityContext": { "reference": "Patient/p" }, "data": "aGVsbG8=" });
        if let Some(code) = code {
            let system = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
            binary["meta"] = json!({ "security": [{ "system": system, "code": code }] });
        }
        binary
    };
    for (id, code) in [("noted", Some("SUD")), ("plain", None)] {
        let sent = put(id, code);
        let answer = site.ask(&ehr, "PUT", &format!("/Binary/{id}"), &sent).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let accepts = [("accept", "text/plain")];
        let path = format!("/Binary/{id}");
        let answer = site
            .ask_with(&ehr, "GET", &path, &Value::Null, &accepts)
            .await;
        assert_eq!(answer.text, "hello");
        let notice = answer.headers.get("x-redisclosure-notice");
        let notice = notice.map(|value| value.to_str().unwrap());
        assert_eq!(notice, code.map(|_| NOTICE));
    }
}
