//! Histories of instances, types and everything.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{BASE, Site, Wallet, observation, patient};

async fn versions(site: &Site, token: &str, id: &str, count: usize) {
    for number in 0..count {
        let mut body = observation("p1", &format!("{number}-1"));
        body["id"] = json!(id);
        let answer = site
            .ask(token, "PUT", &format!("/Observation/{id}"), &body)
            .await;
        assert!(answer.status < 300, "{}", answer.text);
    }
}

/// All pages from this URL on: their entries as `fullUrl#etag`, and the number of pages.
async fn walk(site: &Site, token: &str, path: &str) -> (Vec<String>, usize) {
    let (mut url, mut found, mut pages) = (path.to_owned(), Vec::new(), 0);
    loop {
        let page = site.get(token, &url).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let page = page.json();
        pages += 1;
        assert_eq!(page["type"], "history");
        for entry in page["entry"].as_array().into_iter().flatten() {
            let url = entry["fullUrl"]
                .as_str()
                .unwrap()
                .rsplit_once("fhir/")
                .unwrap()
                .1;
            let etag = entry["response"]["etag"].as_str().unwrap();
            found.push(format!("{url}#{}", etag.trim_matches(['W', '/', '"'])));
            assert!(entry["request"]["method"].is_string());
            assert_eq!(
                entry["request"]["method"] == "DELETE",
                entry.get("resource").is_none()
            );
        }
        let mut links = page["link"].as_array().unwrap().iter();
        let Some(next) = links.find(|link| link["relation"] == "next") else {
            return (found, pages);
        };
        let next = next["url"].as_str().unwrap();
        url = next
            .strip_prefix(&format!("{BASE}/fhir"))
            .unwrap()
            .to_owned();
    }
}

#[tokio::test]
async fn an_instance_s_history_pages_over_what_was_there_at_first() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    versions(&site, &token, "o", 4).await;
    site.ask(&token, "DELETE", "/Observation/o", &Value::Null)
        .await;
    let path = "/Observation/o/_history";
    let (all, pages) = walk(&site, &token, path).await;
    let expected: Vec<String> = (1..=5)
        .rev()
        .map(|n| format!("Observation/o#{n}"))
        .collect();
    assert_eq!((all, pages), (expected.clone(), 1));
    let (paged, pages) = walk(&site, &token, &format!("{path}?_count=2")).await;
    assert_eq!((paged, pages), (expected, 3));

    let first = site.get(&token, &format!("{path}?_count=2")).await.json();
    assert_eq!(first["total"], 5);
    versions(&site, &token, "o", 1).await;
    let next = first["link"][1]["url"].as_str().unwrap();
    let next = next.strip_prefix(&format!("{BASE}/fhir")).unwrap();
    let second = site.get(&token, next).await.json();
    assert_eq!(second["total"], 5, "what came since is not on later pages");
    assert_eq!(second["entry"][0]["response"]["etag"], r#"W/"3""#);
    site.get(&token, &format!("{path}?_page=x"))
        .await
        .problem(410, "expired");
    site.get(&token, &format!("{path}?_list=x"))
        .await
        .problem(501, "not-supported");
}

#[tokio::test]
async fn histories_of_a_type_and_of_everything_show_what_changed_newest_first() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    versions(&site, &token, "a", 2).await;
    site.patient(&token, "p2").await;
    versions(&site, &token, "b", 1).await;
    site.ask(&token, "DELETE", "/Observation/a", &Value::Null)
        .await;
    let of_type = [
        "Observation/a#3",
        "Observation/b#1",
        "Observation/a#2",
        "Observation/a#1",
    ];
    let (found, _) = walk(&site, &token, "/Observation/_history").await;
    assert_eq!(found, of_type);
    let (found, pages) = walk(&site, &token, "/Observation/_history?_count=1").await;
    assert_eq!(
        (found.as_slice(), pages),
        (of_type.map(str::to_owned).as_slice(), 4)
    );
    let (found, _) = walk(&site, &token, "/_history?_count=4").await;
    assert_eq!(found.len(), 6);
    assert_eq!(found[2], "Patient/p2#1");

    let (found, _) = walk(&site, &token, "/_history?_since=2026-05-01T00:00:00Z").await;
    assert_eq!(found.len(), 6);
    for none in ["_since=2027-01-01T00:00:00Z", "_at=2020-01-01"] {
        assert_eq!(
            walk(&site, &token, &format!("/_history?{none}"))
                .await
                .0
                .len(),
            0
        );
    }
    let (found, _) = walk(&site, &token, "/Patient/_history?_at=2026-12-31").await;
    assert_eq!(found.len(), 2, "what is current at that time");
    site.get(&token, "/_history?_page=AAAA")
        .await
        .problem(410, "expired");
    site.get(&token, "/_history?_count=many")
        .await
        .problem(400, "value");
}

#[tokio::test]
async fn a_patient_s_token_sees_the_history_of_that_patient_alone() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    versions(&site, &token, "other", 2).await;
    let wallet = Wallet::new(3);
    let id = wallet.enroll(&site).await;
    site.ask(&token, "PUT", &format!("/Patient/{id}"), &patient(&id))
        .await;
    let mut own = observation(&id, "718-7");
    own["id"] = json!("own");
    for _ in 0..2 {
        site.ask(&token, "PUT", "/Observation/own", &own).await;
    }
    site.ask(&token, "DELETE", "/Observation/own", &Value::Null)
        .await;
    let patient = wallet.token(&site, &id).await;
    for path in ["/Observation/_history", "/Observation/_history?_count=1"] {
        let (found, _) = walk(&site, &patient, path).await;
        assert_eq!(
            found,
            [
                "Observation/own#3",
                "Observation/own#2",
                "Observation/own#1"
            ]
        );
    }
    let (found, pages) = walk(&site, &patient, "/_history?_count=4").await;
    assert_eq!(
        (found.len(), pages),
        (4, 1),
        "no link leads to what others have"
    );
    site.get(&patient, "/Observation/other/_history")
        .await
        .problem(403, "forbidden");
}

/// A consent that denies everybody what has this code.
fn denial(patient: &str, code: &str) -> Value {
    json!({ "resourceType": "Consent", "status": "active",
        "scope": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/consentscope",
            "code": "patient-privacy" }] },
        "category": [{ "coding": [{ "system": "http://loinc.org", "code": "59284-0" }] }],
        "patient": { "reference": format!("Patient/{patient}") },
        "policyRule": { "coding": [{ "system":
            "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN" }] },
        "provision": { "type": "deny",
            "code": [{ "coding": [{ "system": "http://loinc.org", "code": code }] }] } })
}

async fn written(site: &Site, token: &str, codes: &[bool]) {
    site.ask(token, "PUT", "/Patient/p1", &patient("p1")).await;
    for (at, is_denied) in codes.iter().enumerate() {
        let code = if *is_denied { "11111-1" } else { "718-7" };
        let mut body = observation("p1", code);
        body["id"] = json!(format!("o{at}"));
        let path = format!("/Observation/o{at}");
        site.ask(token, "PUT", &path, &body).await;
        if at % 3 == 2 {
            site.ask(token, "DELETE", &path, &Value::Null).await;
        }
    }
    let answer = site
        .ask(token, "POST", "/Consent", &denial("p1", "11111-1"))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn a_history_says_nothing_of_what_a_read_would_deny(
        codes in proptest::collection::vec(any::<bool>(), 1..7),
        count in 1_usize..4,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (with, without) = (Site::new(), Site::new());
            let (one, other) = (with.ehr().await, without.ehr().await);
            written(&with, &one, &codes).await;
            // Beside it a record in which the denied documents never were.
            without.ask(&other, "PUT", "/Patient/p1", &patient("p1")).await;
            for (at, is_denied) in codes.iter().enumerate() {
                if *is_denied {
                    let read = with.get(&one, &format!("/Observation/o{at}")).await;
                    prop_assert_eq!(read.status, 403);
                    continue;
                }
                let mut body = observation("p1", "718-7");
                body["id"] = json!(format!("o{at}"));
                let path = format!("/Observation/o{at}");
                without.ask(&other, "PUT", &path, &body).await;
                if at % 3 == 2 {
                    without.ask(&other, "DELETE", &path, &Value::Null).await;
                }
            }
            for path in ["/Observation/_history", "/_history?_elements=status"] {
                let joint = if path.contains('?') { '&' } else { '?' };
                let path = format!("{path}{joint}_count={count}");
                let mut seen = walk(&with, &one, &path).await.0;
                // The consent itself is in one record alone.
                seen.retain(|entry| !entry.starts_with("Consent"));
                prop_assert_eq!(seen, walk(&without, &other, &path).await.0, "{}", path);
            }
            let path = format!("/Observation/_history?_count={count}");
            let page = with.get(&one, &path).await.json();
            let beside = without.get(&other, &path).await.json();
            let shown = |page: &Value| (page["entry"].clone(), page["total"].clone(),
                page["link"].as_array().map(Vec::len));
            prop_assert_eq!(shown(&page), shown(&beside));
            Ok(())
        })?;
    }
}
