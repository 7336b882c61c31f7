//! Scopes with search parameters: what is beyond them leaves no trace.

use serde_json::{Value, json};

use crate::support::{Ask, Site, observation};

const LABORATORY: &str = "user/Observation.cruds?category=laboratory";

fn vital(patient: &str) -> Value {
    let mut vital = observation(patient, "8867-4");
    vital["category"][0]["coding"][0]["code"] = json!("vital-signs");
    vital
}

async fn site() -> (Site, String) {
    let site = Site::new();
    let ehr = site.ehr().await;
    for patient in ["p1", "p2"] {
        site.patient(&ehr, patient).await;
    }
    (site, ehr)
}

async fn put(site: &Site, ehr: &str, id: &str, mut resource: Value) {
    resource["id"] = json!(id);
    let answer = site
        .ask(ehr, "PUT", &format!("/Observation/{id}"), &resource)
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

#[tokio::test]
async fn t10_a_search_is_the_same_with_and_without_what_is_beyond_the_scope() {
    let (site, ehr) = site().await;
    put(&site, &ehr, "lab1", observation("p1", "1")).await;
    put(&site, &ehr, "lab2", observation("p2", "2")).await;
    let tokens = site.launched(("alice", None), LABORATORY).await;
    let access = tokens["access_token"].as_str().unwrap();
    let queries = [
        "/Observation",
        "/Observation?_count=1",
        "/Observation?patient=p1",
        "/Observation?_summary=count",
        "/Observation?code=8867-4",
        "/Observation?_id=vital1,lab1",
    ];
    let link = |text: &str| text.split("_cursor=").next().unwrap().to_owned();
    let mut before = Vec::new();
    for query in queries {
        before.push(link(&site.get(access, query).await.text));
    }
    put(&site, &ehr, "vital1", vital("p1")).await;
    for (query, before) in queries.iter().zip(before) {
        assert_eq!(link(&site.get(access, query).await.text), before, "{query}");
    }
    let all = site.get(&ehr, "/Observation").await.json();
    assert_eq!(all["total"], 3);
}

#[tokio::test]
async fn t10_reads_and_histories_end_at_the_scope() {
    let (site, ehr) = site().await;
    put(&site, &ehr, "lab1", observation("p1", "1")).await;
    put(&site, &ehr, "vital1", vital("p1")).await;
    let tokens = site.launched(("alice", None), LABORATORY).await;
    let access = tokens["access_token"].as_str().unwrap();
    for path in [
        "/Observation/lab1",
        "/Observation/lab1/_history/1",
        "/Observation/lab1/_history",
    ] {
        assert_eq!(site.get(access, path).await.status, 200, "{path}");
    }
    for path in [
        "/Observation/vital1",
        "/Observation/vital1/_history/1",
        "/Observation/vital1/_history",
        "/Observation/vital1/$receipt",
        "/Patient/p1",
    ] {
        site.get(access, path).await.problem(403, "forbidden");
    }
    let everything = site
        .get(access, "/Patient/p1/$everything?_type=Observation")
        .await
        .json();
    assert_eq!(everything["total"], 1, "{everything}");
}

#[tokio::test]
async fn t10_writes_end_at_the_scope_before_and_after() {
    let (site, ehr) = site().await;
    put(&site, &ehr, "lab1", observation("p1", "1")).await;
    put(&site, &ehr, "vital1", vital("p1")).await;
    let tokens = site.launched(("alice", None), LABORATORY).await;
    let access = tokens["access_token"].as_str().unwrap();
    let create = site
        .ask(access, "POST", "/Observation", &observation("p1", "3"))
        .await;
    assert_eq!(create.status, 201, "{}", create.text);
    site.ask(access, "POST", "/Observation", &vital("p1"))
        .await
        .problem(403, "forbidden");
    let as_id = |mut resource: Value, id: &str| {
        resource["id"] = json!(id);
        resource
    };
    for (id, content) in [("vital1", observation("p1", "1")), ("lab1", vital("p1"))] {
        let content = as_id(content, id);
        let answer = site
            .ask(access, "PUT", &format!("/Observation/{id}"), &content)
            .await;
        answer.problem(403, "forbidden");
    }
    let path = "/Observation/vital1";
    site.ask(access, "DELETE", path, &Value::Null)
        .await
        .problem(403, "forbidden");
    let content = as_id(observation("p1", "4"), "lab1");
    assert_eq!(
        site.ask(access, "PUT", "/Observation/lab1", &content)
            .await
            .status,
        200
    );
    let gone = site
        .ask(access, "DELETE", "/Observation/lab1", &Value::Null)
        .await;
    assert!(gone.status < 300, "{}", gone.text);
    assert_eq!(site.get(&ehr, path).await.json()["meta"]["versionId"], "1");
}

#[tokio::test]
async fn t10_scopes_of_a_patient_reach_the_patient_in_context_alone() {
    let (site, ehr) = site().await;
    put(&site, &ehr, "one", observation("p1", "1")).await;
    put(&site, &ehr, "two", observation("p2", "1")).await;
    let scopes = "launch/patient patient/Observation.crs patient/Patient.r";
    let tokens = site.launched(("alice", Some("p1")), scopes).await;
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(site.get(access, "/Observation/one").await.status, 200);
    site.get(access, "/Observation/two")
        .await
        .problem(403, "forbidden");
    assert_eq!(site.get(access, "/Observation").await.json()["total"], 1);
    assert_eq!(
        site.get(access, "/Observation?patient=p2").await.json()["total"],
        0
    );
    let other = site
        .ask(access, "POST", "/Observation", &observation("p2", "9"))
        .await;
    other.problem(403, "forbidden");
}

#[tokio::test]
async fn t10_a_systems_scope_may_have_a_constraint_too() {
    let (site, ehr) = site().await;
    put(&site, &ehr, "lab1", observation("p1", "1")).await;
    put(&site, &ehr, "vital1", vital("p1")).await;
    let ask = Ask {
        scope: "system/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs",
        ..Ask::default()
    };
    let token = site.token(&ask).await;
    let found = site.get(&token, "/Observation").await.json();
    assert_eq!(found["total"], 1);
    assert_eq!(found["entry"][0]["resource"]["id"], "vital1");
    site.get(&token, "/Observation/lab1")
        .await
        .problem(403, "forbidden");
}
