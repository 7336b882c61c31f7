//! Operations on meta, and those that put a record together.

use serde_json::{Value, json};

use crate::support::{BASE, Site, observation};

#[tokio::test]
async fn meta_is_read_added_to_and_taken_from() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let tag = json!({ "system": "urn:tags", "code": "checked" });
    let given = json!({ "resourceType": "Parameters",
        "parameter": [{ "name": "meta", "valueMeta": { "tag": [tag] } }] });
    let edit = async |operation: &str, body: &Value| {
        let path = format!("/Patient/p1/{operation}");
        site.ask(&token, "POST", &path, body).await
    };
    let meta = |answer: &Value| answer["parameter"][0]["valueMeta"].clone();
    let added = edit("$meta-add", &given).await;
    assert_eq!(added.status, 200, "{}", added.text);
    assert_eq!(meta(&added.json())["tag"][0]["code"], "checked");
    assert_eq!(meta(&added.json())["versionId"], "2");
    let again = edit("$meta-add", &given).await.json();
    assert_eq!(meta(&again)["versionId"], "2", "nothing changed");
    let read = site.get(&token, "/Patient/p1/$meta").await.json();
    assert_eq!(meta(&read)["tag"], json!([tag]));
    let found = site.get(&token, "/Patient/p1").await.json();
    assert_eq!(found["name"][0]["family"], crate::support::PLANTED[0]);
    let removed = edit("$meta-delete", &given).await.json();
    assert_eq!(meta(&removed).get("tag"), None);
    let wrong = json!({ "resourceType": "Parameters" });
    edit("$meta-add", &wrong).await.problem(400, "value");
}

async fn dated(site: &Site, token: &str, code: &str, date: &str) {
    let mut body = observation("p1", code);
    body["effectiveDateTime"] = json!(date);
    let answer = site.ask(token, "POST", "/Observation", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

#[tokio::test]
async fn lastn_answers_the_latest_of_each_code() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    for (code, date) in [
        ("718-7", "2026-05-01"),
        ("718-7", "2026-05-03"),
        ("718-7", "2026-05-02"),
        ("4548-4", "2025-01-01"),
    ] {
        dated(&site, &token, code, date).await;
    }
    let dates = async |query: &str| {
        let answer = site
            .get(&token, &format!("/Observation/$lastn?{query}"))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let answer = answer.json();
        let entries = answer["entry"].as_array().unwrap().iter();
        let date = |entry: &Value| {
            entry["resource"]["effectiveDateTime"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        entries.map(date).collect::<Vec<_>>()
    };
    assert_eq!(dates("patient=p1").await, ["2025-01-01", "2026-05-03"]);
    assert_eq!(
        dates("patient=p1&code=718-7&max=2").await,
        ["2026-05-03", "2026-05-02"]
    );
    for wrong in ["max=1", "patient=p1&max=0"] {
        let path = format!("/Observation/$lastn?{wrong}");
        site.get(&token, &path).await.problem(400, "value");
    }
    site.get(&token, "/Patient/$lastn?patient=p1")
        .await
        .problem(501, "not-supported");
}

#[tokio::test]
async fn documents_are_found_and_put_together() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let reference = json!({ "resourceType": "DocumentReference", "status": "current",
        "subject": { "reference": "Patient/p1" }, "date": "2026-05-01T00:00:00Z",
        "content": [{ "attachment": { "url": "Binary/b" } }] });
    let answer = site
        .ask(&token, "POST", "/DocumentReference", &reference)
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let given = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "patient", "valueId": "p1" }, { "name": "start", "valueDate": "2026-01-01" }] });
    let posted = site
        .ask(&token, "POST", "/DocumentReference/$docref", &given)
        .await;
    assert_eq!(posted.json()["total"], 1, "{}", posted.text);
    let path = "/DocumentReference/$docref?patient=p1&end=2026-01-01";
    assert_eq!(site.get(&token, path).await.json()["total"], 0);

    let mut result = observation("p1", "718-7");
    result["id"] = json!("o1");
    site.ask(&token, "PUT", "/Observation/o1", &result).await;
    let composition = json!({ "resourceType": "Composition", "id": "c1", "status": "final",
        "type": { "text": "letter" }, "subject": { "reference": "Patient/p1" },
        "date": "2026-05-01", "author": [{ "reference": "Practitioner/none" }], "title": "Letter",
        "section": [{ "entry": [{ "reference": "Observation/o1" }] }] });
    let answer = site
        .ask(&token, "PUT", "/Composition/c1", &composition)
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let document = site.get(&token, "/Composition/c1/$document").await.json();
    assert_eq!(document["type"], "document");
    let entries = document["entry"].as_array().unwrap().iter();
    let kinds: Vec<_> = entries
        .map(|entry| {
            entry["resource"]["resourceType"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(kinds, ["Composition", "Patient", "Observation"]);
    site.get(&token, "/Composition/c1/$document?persist=true")
        .await
        .problem(501, "not-supported");
}

#[tokio::test]
async fn a_summary_has_the_sections_of_the_ips_and_says_what_is_not_known() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    dated(&site, &token, "718-7", "2026-05-01").await;
    let summary = site.get(&token, "/Patient/p1/$summary").await;
    assert_eq!(summary.status, 200, "{}", summary.text);
    let summary = summary.json();
    let composition = &summary["entry"][0]["resource"];
    assert_eq!(composition["type"]["coding"][0]["code"], "60591-5");
    let codes: Vec<_> = composition["section"]
        .as_array()
        .unwrap()
        .iter()
        .map(|section| section["code"]["coding"][0]["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["48765-2", "10160-0", "11450-4", "30954-2"]);
    let text = summary.to_string();
    for code in ["no-allergy-info", "no-medication-info", "no-problem-info"] {
        assert!(text.contains(code), "{code}");
    }
    let names: Vec<&str> = summary["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["fullUrl"].as_str().unwrap())
        .collect();
    for section in composition["section"].as_array().unwrap() {
        for entry in section["entry"].as_array().unwrap() {
            let reference = entry["reference"].as_str().unwrap();
            assert!(names.contains(&reference), "{reference} is in the document");
        }
    }
    site.get(&token, "/Patient/none/$summary")
        .await
        .problem(404, "not-found");
}

#[tokio::test]
async fn pages_of_everything_are_of_one_point_in_time() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let mut result = observation("p1", "718-7");
    for id in ["o1", "o2", "o3"] {
        result["id"] = json!(id);
        site.ask(&token, "PUT", &format!("/Observation/{id}"), &result)
            .await;
    }
    let first = site
        .get(&token, "/Patient/p1/$everything?_count=2")
        .await
        .json();
    result["id"] = json!("o0");
    site.ask(&token, "PUT", "/Observation/o0", &result).await;
    result["id"] = json!("o2");
    result["status"] = json!("amended");
    site.ask(&token, "PUT", "/Observation/o2", &result).await;
    site.ask(&token, "DELETE", "/Observation/o3", &Value::Null)
        .await;
    let next = first["link"]
        .as_array()
        .unwrap()
        .iter()
        .find(|link| link["relation"] == "next");
    let next = next.unwrap()["url"].as_str().unwrap();
    let path = next
        .strip_prefix(&format!("{BASE}/fhir"))
        .unwrap()
        .to_owned();
    let second = site.get(&token, &path).await.json();
    assert_eq!((&first["total"], &second["total"]), (&json!(4), &json!(4)));
    let shown: Vec<String> = second["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let resource = &entry["resource"];
            format!(
                "{} {} {}",
                resource["id"], resource["meta"]["versionId"], resource["status"]
            )
        })
        .collect();
    assert_eq!(shown, ["\"o2\" \"1\" \"final\""]);
    let other = site.launched(("alice", None), "user/*.rs").await;
    let other = other["access_token"].as_str().unwrap();
    assert_eq!(
        site.get(other, &path).await.status,
        410,
        "another client's link"
    );
}

#[tokio::test]
async fn a_summary_says_who_could_not_be_reached() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    site.others.silence("hospital");
    let summary = site.get(&token, "/Patient/p1/$summary").await.json();
    let composition = &summary["entry"][0]["resource"];
    assert_eq!(composition["extension"][0]["valueString"], "hospital");
    let section = composition["section"].as_array().unwrap().last().unwrap();
    assert_eq!(section["title"], "Not complete");
    let told = section["text"]["div"].as_str().unwrap();
    assert!(told.contains("hospital did not answer"), "{told}");
    let entries = summary["entry"].as_array().unwrap();
    let outcome = entries
        .iter()
        .find(|entry| entry["fullUrl"] == section["entry"][0]["reference"]);
    let outcome = &outcome.unwrap()["resource"];
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    assert_eq!(outcome["issue"][0]["code"], "incomplete");
}

#[tokio::test]
async fn everything_is_paged_and_bounded_in_time() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    for date in ["2024-05-01", "2025-05-01", "2026-05-01"] {
        dated(&site, &token, "718-7", date).await;
    }
    let everything = "/Patient/p1/$everything";
    let total = async |query: &str| {
        let answer = site.get(&token, &format!("{everything}?{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["total"].clone()
    };
    assert_eq!(total("").await, 4);
    assert_eq!(
        total("start=2025-01-01&end=2025-12-31").await,
        2,
        "the patient has no date"
    );
    assert_eq!(total("_type=Observation&start=2025-01-01").await, 2);
    assert_eq!(total("_since=2027-01-01T00:00:00Z").await, 0);
    let (mut url, mut seen) = (format!("{everything}?_count=3"), Vec::new());
    loop {
        let page = site.get(&token, &url).await.json();
        assert_eq!(page["total"], 4);
        for entry in page["entry"].as_array().unwrap() {
            seen.extend(entry["resource"]["id"].as_str().map(str::to_owned));
        }
        let mut links = page["link"].as_array().unwrap().iter();
        let Some(next) = links.find(|link| link["relation"] == "next") else {
            break;
        };
        let next = next["url"].as_str().unwrap();
        url = next
            .strip_prefix(&format!("{BASE}/fhir"))
            .unwrap()
            .to_owned();
    }
    let outcomes = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!((seen.len(), outcomes), (4, 4), "every resource once");
}
