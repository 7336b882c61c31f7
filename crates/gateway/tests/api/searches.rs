//! Searches: chains, includes, compartments, the whole system, and what consent leaves no trace of.

use serde_json::{Value, json};

use crate::support::{Answer, Site, Wallet, observation, patient};

const BASE: &str = "http://127.0.0.1:8101/fhir";

async fn write(site: &Site, token: &str, resource: &Value) {
    let kind = resource["resourceType"].as_str().unwrap();
    let answer = match resource["id"].as_str() {
        Some(id) => {
            let path = format!("/{kind}/{id}");
            site.ask(token, "PUT", &path, resource).await
        }
        None => {
            let path = format!("/{kind}");
            site.ask(token, "POST", &path, resource).await
        }
    };
    assert_eq!(answer.status, 201, "{kind}: {}", answer.text);
}

fn named(id: &str, family: &str) -> Value {
    let mut patient = patient(id);
    patient["name"] = json!([{"family": family}]);
    patient["generalPractitioner"] = json!([{"reference": "Practitioner/d1"}]);
    patient
}

fn measured(id: &str, of: &str, value: &str, unit: &str) -> Value {
    let mut observation = observation(of, "718-7");
    observation["id"] = id.into();
    observation["performer"] = json!([{"reference": "Practitioner/d1"}]);
    observation["valueQuantity"] = json!({"value": serde_json::from_str::<Value>(value).unwrap(),
        "system": "http://unitsofmeasure.org", "code": unit, "unit": unit});
    observation
}

async fn filled(site: &Site, token: &str) {
    write(
        site,
        token,
        &json!({"resourceType": "Organization", "id": "h1", "name": "Hill"}),
    )
    .await;
    let doctor = json!({"resourceType": "Practitioner", "id": "d1", "name": [{"family": "Grey"}]});
    write(site, token, &doctor).await;
    write(site, token, &named("p1", "Planted")).await;
    write(site, token, &named("p2", "Other")).await;
    write(site, token, &measured("o1", "p1", "13.5", "g/dL")).await;
    write(site, token, &measured("o2", "p1", "90", "g/L")).await;
    write(site, token, &measured("o3", "p2", "14.0", "g/dL")).await;
}

fn ids(answer: &Answer, mode: &str) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let bundle = answer.json();
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let mut ids: Vec<String> = entries
        .iter()
        .filter(|entry| entry["search"]["mode"] == mode)
        .map(|entry| {
            let resource = &entry["resource"];
            let kind = resource["resourceType"].as_str().unwrap();
            format!("{kind}/{}", resource["id"].as_str().unwrap())
        })
        .collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn what_each_search_finds() {
    let site = Site::new();
    let token = site.ehr().await;
    filled(&site, &token).await;
    for (url, expected) in [
        // Chains, typed and not, of several references.
        (
            "/Observation?subject.family=planted",
            "Observation/o1 Observation/o2",
        ),
        (
            "/Observation?subject:Patient.family=other",
            "Observation/o3",
        ),
        (
            "/Observation?patient.general-practitioner.family=grey&_sort=_id",
            "Observation/o1 Observation/o2 Observation/o3",
        ),
        (
            "/Observation?patient.general-practitioner.family=nobody",
            "",
        ),
        (
            "/Observation?subject:Patient.family:exact=Planted",
            "Observation/o1 Observation/o2",
        ),
        // Reverse chains, nested, and a chain within one.
        (
            "/Patient?_has:Observation:patient:code=718-7",
            "Patient/p1 Patient/p2",
        ),
        ("/Patient?_has:Observation:patient:_id=o3", "Patient/p2"),
        (
            "/Practitioner?_has:Patient:general-practitioner:_has:Observation:patient:_id=o1",
            "Practitioner/d1",
        ),
        (
            "/Patient?_has:Observation:patient:performer:Practitioner.family=grey",
            "Patient/p1 Patient/p2",
        ),
        // Quantities in other units, composites.
        (
            "/Observation?value-quantity=135|http://unitsofmeasure.org|g/L",
            "Observation/o1",
        ),
        (
            "/Observation?value-quantity=lt10|http://unitsofmeasure.org|g/dL",
            "Observation/o2",
        ),
        (
            "/Observation?value-quantity=gt13||g/dL",
            "Observation/o1 Observation/o3",
        ),
        (
            "/Observation?code-value-quantity=718-7$lt10|http://unitsofmeasure.org|g/dL",
            "Observation/o2",
        ),
        // Compartments and the whole system.
        ("/Patient/p1/Observation", "Observation/o1 Observation/o2"),
        ("/Patient/p1/Observation?_id=o2", "Observation/o2"),
        ("/Patient/p1/*", "Observation/o1 Observation/o2 Patient/p1"),
        (
            "/Practitioner/d1/Observation",
            "Observation/o1 Observation/o2 Observation/o3",
        ),
        (
            "?_type=Patient,Organization",
            "Organization/h1 Patient/p1 Patient/p2",
        ),
        ("?_id=o1,p1", "Observation/o1 Patient/p1"),
        ("/Observation?patient=p1&_summary=count", ""),
    ] {
        let found = site.get(&token, url).await;
        let expected: Vec<&str> = expected.split(' ').filter(|id| !id.is_empty()).collect();
        assert_eq!(ids(&found, "match"), expected, "{url}");
    }
    for (url, code) in [
        (
            "/Observation?subject.link.link.link.link.link.name=x",
            "too-costly",
        ),
        (
            "/Observation?code:in=http://nowhere.org/vs",
            "not-supported",
        ),
        ("/Observation?_filter=x", "value"),
        ("/Observation?_filter=code%20sw%20x", "not-supported"),
        ("/Observation?_list=x", "not-supported"),
        ("/Observation?code.name=x", "invalid"),
        ("?_type=Nothing", "value"),
    ] {
        site.get(&token, url).await.problem(400, code);
    }
    site.get(&token, "/Organization/h1/Observation")
        .await
        .problem(501, "not-supported");
    site.get(&token, "/Patient/p1/Nothing")
        .await
        .problem(404, "not-found");
}

#[tokio::test]
async fn includes_follow_references_both_ways() {
    let site = Site::new();
    let token = site.ehr().await;
    filled(&site, &token).await;
    for (url, expected) in [
        (
            "/Observation?_id=o1&_include=Observation:subject",
            "Patient/p1",
        ),
        ("/Observation?_id=o1&_include=Observation:subject:Group", ""),
        (
            "/Observation?_id=o1&_include=*",
            "Patient/p1 Practitioner/d1",
        ),
        (
            "/Observation?_id=o1&_include=Observation:*",
            "Patient/p1 Practitioner/d1",
        ),
        (
            "/Observation?_id=o1&_include=Observation:patient&_include=Patient:general-practitioner",
            "Patient/p1",
        ),
        (
            "/Observation?_id=o1&_include=Observation:patient&_include:iterate=Patient:general-practitioner",
            "Patient/p1 Practitioner/d1",
        ),
        (
            "/Patient?_id=p1&_revinclude=Observation:subject",
            "Observation/o1 Observation/o2",
        ),
        (
            "/Practitioner?_revinclude=Patient:general-practitioner&_revinclude:iterate=Observation:patient",
            "Observation/o1 Observation/o2 Observation/o3 Patient/p1 Patient/p2",
        ),
    ] {
        let found = site.get(&token, url).await;
        let expected: Vec<&str> = expected.split(' ').filter(|id| !id.is_empty()).collect();
        assert_eq!(ids(&found, "include"), expected, "{url}");
    }
}

#[tokio::test]
async fn pages_show_what_the_first_page_fixed() {
    let site = Site::new();
    let token = site.ehr().await;
    filled(&site, &token).await;
    let unasked = site.get(&token, "/Observation?_count=1&_sort=_id").await;
    assert_eq!(
        unasked.json().get("total"),
        None,
        "who asks no total waits for none"
    );
    let all = site.get(&token, "/Observation?_count=3").await;
    assert_eq!(all.json()["total"], 3, "it is known where nothing follows");
    let path = "/Observation?_count=1&_sort=_id&_total=accurate";
    let first = site.get(&token, path).await;
    assert_eq!(ids(&first, "match"), ["Observation/o1"]);
    let length = |page| next(page).unwrap().len();
    // What is written, changed or deleted meanwhile changes no page that is still to come.
    write(&site, &token, &measured("o0", "p1", "1", "g/L")).await;
    let mut changed = measured("o2", "p1", "91", "g/L");
    changed["status"] = "amended".into();
    let put = site.ask(&token, "PUT", "/Observation/o2", &changed).await;
    assert_eq!(put.status, 200, "{}", put.text);
    let second = site.get(&token, &next(&first).unwrap()).await;
    assert_eq!(ids(&second, "match"), ["Observation/o2"]);
    assert_eq!(length(&second), length(&first), "a link tells no numbers");
    let shown = second.json();
    assert_eq!(shown["entry"][0]["resource"]["status"], "final");
    assert_eq!(shown["total"], 3);
    let deleted = site
        .ask(&token, "DELETE", "/Observation/o3", &Value::Null)
        .await;
    assert!((200..300).contains(&deleted.status));
    let third = site.get(&token, &next(&second).unwrap()).await;
    assert!(ids(&third, "match").is_empty());
    assert_eq!(next(&third), None);
    let stranger = next(&first).unwrap().replace("/Observation", "/Patient");
    site.get(&token, &stranger).await.problem(410, "expired");
}

#[tokio::test]
async fn a_patients_token_finds_that_patients_records_alone() {
    let site = Site::new();
    let token = site.ehr().await;
    filled(&site, &token).await;
    let wallet = Wallet::new(7);
    let own = wallet.enroll(&site).await;
    let own_token = wallet.token(&site, &own).await;
    write(&site, &token, &measured("o9", &own, "12", "g/dL")).await;
    let mine = site
        .get(&own_token, &format!("/Patient/{own}/Observation"))
        .await;
    assert_eq!(ids(&mine, "match"), ["Observation/o9"]);
    let with = format!("/Observation?patient={own}&_include=*&_revinclude=Observation:performer");
    let mine = site.get(&own_token, &with).await;
    assert_eq!(ids(&mine, "match"), ["Observation/o9"]);
    assert!(
        ids(&mine, "include")
            .iter()
            .all(|id| *id == format!("Patient/{own}"))
    );
    site.get(&own_token, "/Patient/p1/Observation")
        .await
        .problem(403, "forbidden");
    site.get(&own_token, "?_type=Observation")
        .await
        .problem(403, "forbidden");
}

fn next(answer: &Answer) -> Option<String> {
    let bundle = answer.json();
    let links = bundle["link"].as_array().unwrap();
    let next = links.iter().find(|link| link["relation"] == "next")?;
    Some(
        next["url"]
            .as_str()
            .unwrap()
            .strip_prefix(BASE)
            .unwrap()
            .to_owned(),
    )
}
