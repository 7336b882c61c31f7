//! Transactions and batches.

use serde_json::{Value, json};

use crate::support::{PLANTED, Site, observation, patient};

fn post(full_url: &str, resource: &Value) -> Value {
    let kind = resource["resourceType"].clone();
    json!({ "fullUrl": full_url, "resource": resource,
        "request": { "method": "POST", "url": kind } })
}

fn bundle(kind: &str, entries: &[Value]) -> Value {
    json!({ "resourceType": "Bundle", "type": kind, "entry": entries })
}

const URN: &str = "urn:uuid:05f67a5e-5dc5-4d2f-a8c8-6a7b8f6f0001";

fn arriving() -> Vec<Value> {
    let mut newcomer = patient("x");
    newcomer.as_object_mut().unwrap().remove("id");
    let mut result = observation("x", "718-7");
    result["subject"]["reference"] = json!(URN);
    vec![
        post(URN, &newcomer),
        post("urn:uuid:05f67a5e-5dc5-4d2f-a8c8-6a7b8f6f0002", &result),
    ]
}

#[tokio::test]
async fn a_transaction_resolves_its_references() {
    let site = Site::new();
    let token = site.ehr().await;
    let answer = site
        .ask(&token, "POST", "", &bundle("transaction", &arriving()))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(answer["type"], "transaction-response");
    let location = |at: usize| {
        let response = &answer["entry"][at]["response"];
        assert_eq!(response["status"], "201 Created");
        let location = response["location"].as_str().unwrap();
        location.split("/_history").next().unwrap().to_owned()
    };
    let (newcomer, result) = (location(0), location(1));
    let result = site.get(&token, &format!("/{result}")).await.json();
    assert_eq!(result["subject"]["reference"], newcomer.as_str());
}

#[tokio::test]
async fn if_none_exist_finds_instead_of_writing() {
    let site = Site::new();
    let token = site.ehr().await;
    let mut entries = arriving();
    entries[0]["request"]["ifNoneExist"] = json!(format!("identifier=urn:mrn|{}", PLANTED[1]));
    let body = bundle("transaction", &entries);
    let first = site.ask(&token, "POST", "", &body).await.json();
    let second = site.ask(&token, "POST", "", &body).await.json();
    assert_eq!(second["entry"][0]["response"]["status"], "200 OK");
    assert_eq!(
        second["entry"][0]["response"]["location"],
        first["entry"][0]["response"]["location"]
    );
    assert_eq!(site.count(&token, "Patient").await, 1);
    assert_eq!(site.count(&token, "Observation").await, 2);
}

#[tokio::test]
async fn one_bad_entry_and_nothing_is_written() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "known").await;
    let mut wrong_type = observation("known", "718-7");
    wrong_type["status"] = json!({ "planted-7731": 1 });
    let mut stale = post("urn:uuid:1", &patient("known"));
    stale["request"] = json!({ "method": "PUT", "url": "Patient/known", "ifMatch": "W/\"7\"" });
    let mut unnamed = observation("known", "718-7");
    unnamed["subject"]["reference"] = json!("Patient?identifier=urn:mrn|plantedkey");
    let mut dangling = observation("known", "718-7");
    dangling["subject"]["reference"] = json!("urn:uuid:05f67a5e-5dc5-4d2f-a8c8-6a7b8f6f9999");
    let unknown = json!({ "resourceType": "Plantedfamily", "id": "planted-7731" });
    let no_request = json!({ "resource": observation("known", "718-7") });
    for (name, bad, status, code) in [
        (
            "wrong type",
            post("urn:uuid:1", &wrong_type),
            400,
            "invalid",
        ),
        (
            "unknown type",
            post("urn:uuid:1", &unknown),
            400,
            "not-supported",
        ),
        ("no request", no_request, 400, "required"),
        ("stale", stale, 412, "conflict"),
        (
            "unknown patient",
            post("urn:uuid:1", &observation("nobody", "1")),
            422,
            "not-found",
        ),
        ("dangling", post("urn:uuid:1", &dangling), 422, "not-found"),
        ("condition", post("urn:uuid:1", &unnamed), 412, "not-found"),
    ] {
        for place in [0, 2] {
            let mut entries = arriving();
            entries.insert(place, bad.clone());
            let answer = site
                .ask(&token, "POST", "", &bundle("transaction", &entries))
                .await;
            println!("{name}: {} {}", answer.status, answer.text);
            answer.problem(status, code);
            assert_eq!(site.count(&token, "Patient").await, 1, "{name}");
            assert_eq!(site.count(&token, "Observation").await, 0, "{name}");
        }
    }
    let answer = site
        .ask(&token, "POST", "", &bundle("transaction", &arriving()))
        .await;
    assert_eq!(answer.status, 200, "the good entries alone are taken");
}

#[tokio::test]
async fn entries_of_a_batch_fail_alone() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "known").await;
    let entries = [
        post("urn:uuid:1", &observation("known", "718-7")),
        post("urn:uuid:2", &observation("nobody", "718-7")),
        json!({ "request": { "method": "GET", "url": "Observation?patient=known" } }),
    ];
    let answer = site
        .ask(&token, "POST", "", &bundle("batch", &entries))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    let status = |at: usize| {
        answer["entry"][at]["response"]["status"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(status(0).starts_with("201"));
    assert!(status(1).starts_with("422"), "{}", status(1));
    assert!(status(2).starts_with("200"));
    assert_eq!(answer["entry"][2]["resource"]["total"], 1);
    let outcome = &answer["entry"][1]["response"]["outcome"];
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    assert!(
        PLANTED
            .iter()
            .all(|planted| !outcome.to_string().contains(planted))
    );
}

#[tokio::test]
async fn what_is_no_bundle_of_changes_is_refused() {
    let site = Site::new();
    let token = site.ehr().await;
    for (body, code) in [
        (bundle("collection", &arriving()), "value"),
        (
            json!({ "resourceType": "Bundle", "type": "transaction", "entry": {} }),
            "structure",
        ),
        (patient("p1"), "invalid"),
    ] {
        let answer = site.ask(&token, "POST", "", &body).await;
        println!("{} {}", answer.status, answer.text);
        answer.problem(400, code);
    }
}
