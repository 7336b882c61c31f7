//! Security labels: on what is shown, explained, and hidden with what has them.

use serde_json::{Value, json};

use crate::support::{Answer, Ask, Site, observation};

const HIV_TEST: &str = "55277-8";

async fn written(site: &Site, token: &str, code: &str) -> String {
    let answer = site
        .ask(token, "POST", "/Observation", &observation("p", code))
        .await;
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn codes(resource: &Value) -> Vec<String> {
    let security = resource["meta"]["security"].as_array().cloned();
    let codes = security.unwrap_or_default().into_iter();
    codes
        .map(|one| one["code"].as_str().unwrap().to_owned())
        .collect()
}

fn named<'a>(parts: &'a Value, name: &str) -> Vec<&'a Value> {
    let all = parts.as_array().into_iter().flatten();
    all.filter(|one| one["name"] == name).collect()
}

#[tokio::test]
async fn ihe_pcf_7_labels_are_shown_and_a_bundle_has_the_highest() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p").await;
    let secret = written(&site, &ehr, HIV_TEST).await;
    let plain = written(&site, &ehr, "718-7").await;
    let shown = site.get(&ehr, &format!("/Observation/{secret}")).await;
    assert_eq!(codes(&shown.json()), ["HIV", "R"]);
    assert_eq!(shown.header("etag"), "W/\"1\"");
    let open = site.get(&ehr, &format!("/Observation/{plain}")).await;
    assert!(codes(&open.json()).is_empty());
    let page = site.get(&ehr, "/Observation?patient=p").await.json();
    assert_eq!(codes(&page), ["R"]);
    let page = site.get(&ehr, &format!("/Observation?_id={plain}")).await;
    assert!(codes(&page.json()).is_empty());
    let all = site.get(&ehr, "/Patient/p/$everything").await.json();
    assert_eq!(codes(&all), ["R"]);
    let history = site
        .get(&ehr, &format!("/Observation/{secret}/_history"))
        .await;
    assert_eq!(codes(&history.json()), ["R"]);
}

#[tokio::test]
async fn labels_are_explained_by_rule_path_and_code() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p").await;
    let secret = written(&site, &ehr, HIV_TEST).await;
    let path = format!("/Observation/{secret}/$label-explain");
    let explained = site.get(&ehr, &path).await.json();
    let parameters = &explained["parameter"];
    assert_eq!(named(parameters, "rules").len(), 1);
    assert_eq!(named(parameters, "label").len(), 2);
    let finding = &named(parameters, "finding")[0]["part"];
    let text = |name: &str| named(finding, name)[0]["valueString"].clone();
    assert_eq!(text("rule"), "hiv");
    assert_eq!(text("path"), "Observation.code.coding[0]");
    assert_eq!(named(finding, "code")[0]["valueCoding"]["code"], HIV_TEST);
    assert_eq!(named(finding, "label")[0]["valueCoding"]["code"], "HIV");
    assert!(text("explanation").as_str().unwrap().contains("rule `hiv`"));

    let before = site.count(&ehr, "Observation").await;
    let sent = observation("p", HIV_TEST);
    let posted = site
        .ask(&ehr, "POST", "/Observation/$label-explain", &sent)
        .await
        .json();
    assert_eq!(named(&posted["parameter"], "finding").len(), 1);
    assert_eq!(site.count(&ehr, "Observation").await, before, "not stored");
    // What is sent says nothing about what it refers to.
    let mut probe = observation("p", "718-7");
    probe["hasMember"] = json!([{"reference": format!("Observation/{secret}")}]);
    let probed = site
        .ask(&ehr, "POST", "/Observation/$label-explain", &probe)
        .await
        .json();
    assert!(named(&probed["parameter"], "finding").is_empty());
}

#[tokio::test]
async fn p2_a_sensitive_document_answers_as_one_that_is_not_there() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p").await;
    let secret = written(&site, &ehr, HIV_TEST).await;
    let plain = written(&site, &ehr, "718-7").await;
    let marketing = Ask {
        purpose: Some("HMARKT"),
        ..Ask::default()
    };
    let marketing = site.token(&marketing).await;
    let same = |one: &Answer, other: &Answer| {
        assert_eq!(
            one.problem(404, "not-found"),
            other.problem(404, "not-found")
        );
    };
    for below in ["", "/_history", "/_history/1", "/$label-explain", "/$meta"] {
        let hidden = site
            .get(&marketing, &format!("/Observation/{secret}{below}"))
            .await;
        let absent = site
            .get(&marketing, &format!("/Observation/absent{below}"))
            .await;
        same(&hidden, &absent);
    }
    let refused = site.get(&marketing, &format!("/Observation/{plain}")).await;
    refused.problem(403, "forbidden");
    assert_eq!(site.count(&marketing, "Observation").await, 0);
}

#[tokio::test]
async fn ihe_pcf_7_assigned_labels_are_searched_and_show_nobody_more_than_reads_do() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p").await;
    let secret = written(&site, &ehr, HIV_TEST).await;
    written(&site, &ehr, "718-7").await;
    let system = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
    let asked = [
        format!("/Observation?_security={system}|HIV"),
        "/Observation?_security=HIV&patient=p".to_owned(),
        "/Observation?_security=R".to_owned(),
    ];
    for path in &asked {
        let found = site.get(&ehr, path).await.json();
        assert_eq!(found["total"], 1, "{path}");
        assert_eq!(found["entry"][0]["resource"]["id"], secret.as_str());
    }
    let without = site.get(&ehr, "/Observation?_security:not=R").await.json();
    assert_eq!(without["total"], 1);
    let marketing = Ask {
        purpose: Some("HMARKT"),
        ..Ask::default()
    };
    let marketing = site.token(&marketing).await;
    for path in &asked {
        let found = site.get(&marketing, path).await.json();
        assert_eq!(found["total"], 0, "{path}");
    }
}

#[tokio::test]
async fn what_is_possibly_sensitive_is_listed_until_somebody_has_decided() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p").await;
    let note = |id: &str, text: &str| {
        let mut one = observation("p", "718-7");
        one["id"] = json!(id);
        one["note"] = json!([{ "text": text }]);
        one
    };
    for (id, text) in [
        ("sad", "Despondent since May"),
        ("sore", "despondent?"),
        ("well", "fine"),
    ] {
        let sent = note(id, text);
        let path = format!("/Observation/{id}");
        assert_eq!(site.ask(&ehr, "PUT", &path, &sent).await.status, 201);
    }
    let listed = async |token: &str| {
        let path = "?_security=urn:careledger:labelling|possible";
        let page = site.get(token, path).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let page = page.json();
        let entries = page["entry"].as_array().into_iter().flatten();
        let ids = entries.map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned());
        let mut ids: Vec<String> = ids.collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(listed(&ehr).await, ["sad", "sore"]);
    let marketing = Ask {
        purpose: Some("HMARKT"),
        ..Ask::default()
    };
    let marketing = site.token(&marketing).await;
    assert!(listed(&marketing).await.is_empty());
    let decide = async |id: &str, system: &str, code: &str| {
        let system = format!("http://terminology.hl7.org/CodeSystem/{system}");
        let meta = json!({ "security": [{ "system": system, "code": code }] });
        let body = json!({ "resourceType": "Parameters",
            "parameter": [{ "name": "meta", "valueMeta": meta }] });
        let path = format!("/Observation/{id}/$meta-add");
        let answer = site.ask(&ehr, "POST", &path, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    decide("sad", "v3-ActCode", "PSY").await;
    assert_eq!(listed(&ehr).await, ["sore"]);
    decide("sore", "v3-Confidentiality", "N").await;
    assert!(listed(&ehr).await.is_empty());
    let sad = site.get(&ehr, "/Observation/sad").await.json();
    assert_eq!(
        (codes(&sad), &sad["meta"]["versionId"]),
        (vec!["PSY".to_owned(), "R".to_owned()], &json!("2"))
    );
    let sore = site.get(&ehr, "/Observation/sore").await.json();
    assert_eq!(codes(&sore), ["N"]);
}
