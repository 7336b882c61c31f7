//! The notice of 42 CFR 2.32: with every output of what is labelled, and with nothing else.

use contracts::consent::template::{DataClass, Grant, access};
use interop::fhir::labels::{NOTICE, carries_notice, needs_notice, scopes};
use serde_json::{Value, json};

use crate::bulk::{finished, kick_off, lines};
use crate::support::{Ask, Site, Wallet, observation};

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

/// For marketing by the clinic, substance use among it: no policy but the consent permits that.
fn marketing(patient: &str) -> Value {
    let act_code = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
    let mut consent = access(&Grant {
        patient: &format!("Patient/{patient}"),
        grantee: "clinic",
        data: &[DataClass::All],
        purpose: "HMARKT",
        start: "2026-05-15T00:00:00Z",
        end: "2026-06-15T00:00:00Z",
    });
    let labels = ["SUD", "ETHUD", "ETH"].map(|code| json!({ "system": act_code, "code": code }));
    consent["provision"]["securityLabel"] = labels.to_vec().into();
    consent
}

/// A patient with an observation and a binary that are labelled, and an observation that is not.
async fn written_of(site: &Site, ehr: &str, p: &str) {
    let put = async |path: String, body: Value| {
        let answer = site.ask(ehr, "PUT", &path, &body).await;
        assert!(answer.status < 300, "{}", answer.text);
    };
    put(
        format!("/Patient/{p}"),
        json!({"resourceType": "Patient", "id": p}),
    )
    .await;
    let mut secret = observation(p, ALCOHOL_SCREENING);
    secret["id"] = json!("secret");
    put("/Observation/secret".to_owned(), secret).await;
    let mut plain = observation(p, "718-7");
    plain["id"] = json!("plain");
    put("/Observation/plain".to_owned(), plain).await;
    let binary = json!({ "resourceType": "Binary", "id": "noted", "contentType": "text/plain",
        "securityContext": { "reference": format!("Patient/{p}") }, "data": "aGVsbG8=",
        "meta": { "security": [{ "code": "SUD",
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode" }] } });
    put("/Binary/noted".to_owned(), binary).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn part2_2_every_output_on_a_consent_says_what_the_consent_covers() {
    let site = Site::new();
    let wallet = Wallet::new(9);
    let p = wallet.enroll(&site).await;
    let own = wallet.token(&site, &p).await;
    let ehr = site.ehr().await;
    written_of(&site, &ehr, &p).await;
    let filed = wallet.file(&site, &own, &marketing(&p)).await;
    assert_eq!(filed.status, 201, "{}", filed.text);
    let id = filed.json()["id"].as_str().unwrap().to_owned();
    let named = format!("consent clinic/{id} (version 1)");

    let marketer = Ask {
        purpose: Some("HMARKT"),
        ..Ask::default()
    };
    let marketer = site.token(&marketer).await;
    for path in [
        "/Observation/secret".to_owned(),
        "/Observation/secret?_summary=true".to_owned(),
        "/Observation/secret/_history/1".to_owned(),
        "/Observation/secret/_history".to_owned(),
        "/Observation/_history".to_owned(),
        "/_history".to_owned(),
        format!("/Observation?patient={p}"),
        format!("/Observation?patient={p}&_elements=code"),
        format!("/Patient/{p}/$everything"),
        format!("/Observation/$lastn?patient={p}"),
    ] {
        let answer = site.get(&marketer, &path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert!(labelled(&answer.json()) > 0, "{path}");
        assert_eq!(
            unexplained(&answer.json(), &named),
            0,
            "{path}: {}",
            answer.text
        );
        assert!(answer.text.contains("for marketing"), "{path}");
        // What is disclosed on no consent, as care at the member itself is, carries the notice alone.
        let cared = site.get(&ehr, &path).await;
        assert!(!cared.text.contains(&named), "{path}");
    }
    let xml = "/Observation/secret?_format=xml";
    assert!(site.get(&marketer, xml).await.text.contains(&named));
    let accepts = [("accept", "text/plain")];
    let path = "/Binary/noted";
    let content = site
        .ask_with(&marketer, "GET", path, &Value::Null, &accepts)
        .await;
    assert_eq!(content.text, "hello");
    assert!(content.header("x-consent-scope").contains(&named));
    let job = kick_off(&site, &marketer, "/$export?_type=Observation").await;
    let manifest = finished(&site, &marketer, &job).await;
    let lines = lines(&site, &marketer, &manifest, "Observation").await;
    let lines = Value::from(lines);
    assert_eq!((labelled(&lines), unexplained(&lines, &named)), (1, 0));
}

/// Resources and Bundles that carry the notice without naming this consent.
fn unexplained(answer: &Value, named: &str) -> usize {
    match answer {
        Value::Array(items) => items.iter().map(|one| unexplained(one, named)).sum(),
        Value::Object(object) => {
            let within: usize = object.values().map(|one| unexplained(one, named)).sum();
            let is_said = scopes(answer).any(|scope| scope.contains(named));
            within + usize::from(carries_notice(answer) && !is_said)
        }
        _ => 0,
    }
}
