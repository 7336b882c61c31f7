//! Who is who: `$match`, links and merges, and the identifiers of one person.

use serde_json::{Value, json};

use crate::patience::until;
use crate::support::{Answer, Site, Wallet};

fn person(given: &str, number: &str) -> Value {
    json!({ "resourceType": "Patient", "active": true,
        "identifier": [{ "system": "urn:mrn", "value": number }],
        "name": [{ "family": "Winterbourne", "given": [given] }],
        "gender": "female", "birthDate": "1980-03-07",
        "telecom": [{ "system": "phone", "value": "+49 30 1234-5678" }],
        "address": [{ "line": ["12 Mill Lane"], "city": "Arborfield", "postalCode": "01001" }] })
}

fn asking(patient: &Value) -> Value {
    json!({ "resourceType": "Parameters", "parameter": [
        { "name": "resource", "resource": patient },
        { "name": "count", "valueInteger": 5 } ] })
}

fn pair(names: [&str; 2], [one, other]: [&str; 2]) -> Value {
    let reference = |id: &str| json!({ "reference": format!("Patient/{id}") });
    json!({ "resourceType": "Parameters", "parameter": [
        { "name": names[0], "valueReference": reference(one) },
        { "name": names[1], "valueReference": reference(other) } ] })
}

const MERGED: [&str; 2] = ["source-patient", "target-patient"];
const LINKED: [&str; 2] = ["patient", "other"];

struct World {
    site: Site,
    ehr: String,
    /// Elizabeth twice, and her twin.
    ids: [String; 3],
}

impl World {
    async fn new() -> Self {
        let site = Site::new();
        let ehr = site.ehr().await;
        let mut ids = Vec::new();
        for (given, number) in [("Elizabeth", "1"), ("Liz", "2"), ("Dorothea", "3")] {
            let made = site
                .ask(&ehr, "POST", "/Patient", &person(given, number))
                .await;
            ids.push(made.json()["id"].as_str().unwrap().to_owned());
        }
        Self {
            site,
            ehr,
            ids: ids.try_into().unwrap(),
        }
    }

    async fn post(&self, operation: &str, body: &Value) -> Answer {
        let path = format!("/Patient/{operation}");
        self.site.ask(&self.ehr, "POST", &path, body).await
    }

    async fn patient(&self, at: usize) -> Value {
        let path = format!("/Patient/{}", self.ids[at]);
        let mut patient = self.site.get(&self.ehr, &path).await.json();
        patient.as_object_mut().unwrap().remove("meta");
        patient
    }

    /// The list once the node has looked at what was written.
    async fn listed(&self, path: &str, count: usize) -> Vec<Value> {
        until("there are so many pairs", async || {
            let answer = self.site.get(&self.ehr, path).await.json();
            let pairs = answer["parameter"].as_array().cloned().unwrap_or_default();
            if pairs.len() == count {
                Ok(pairs)
            } else {
                Err(pairs.len())
            }
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn match_answers_with_scores_and_grades() {
    let world = World::new().await;
    let mut asked = person("Elisabeth", "x");
    asked.as_object_mut().unwrap().remove("identifier");
    let found = world.post("$match", &asking(&asked)).await.json();
    let grades: Vec<_> = found["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            assert!(entry["search"]["score"].as_f64().unwrap() <= 1.0);
            let extension = &entry["search"]["extension"][0];
            assert_eq!(
                extension["url"],
                "http://hl7.org/fhir/StructureDefinition/match-grade"
            );
            (
                entry["resource"]["id"].as_str().unwrap(),
                extension["valueCode"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(grades[0], (world.ids[0].as_str(), "certain"), "{grades:?}");
    assert!(
        grades.contains(&(world.ids[2].as_str(), "possible")),
        "{grades:?}"
    );
    let mut certain = asking(&asked);
    let only = json!({ "name": "onlyCertainMatches", "valueBoolean": true });
    certain["parameter"].as_array_mut().unwrap().push(only);
    let found = world.post("$match", &certain).await.json();
    assert!(
        found["entry"]
            .as_array()
            .unwrap()
            .iter()
            .all(|entry| { entry["search"]["extension"][0]["valueCode"] == "certain" })
    );
    let nothing = asking(&json!({ "resourceType": "Patient", "gender": "female" }));
    world
        .post("$match", &nothing)
        .await
        .problem(422, "incomplete");
    let other = asking(&json!({ "resourceType": "Basic", "code": { "text": "x" } }));
    world.post("$match", &other).await.problem(400, "value");
    world
        .site
        .ask(&world.ehr, "POST", "/Observation/$match", &asking(&asked))
        .await
        .problem(501, "not-supported");
    let wallet = Wallet::new(3);
    let id = wallet.enroll(&world.site).await;
    let own = wallet.token(&world.site, &id).await;
    let found = world
        .site
        .ask(&own, "POST", "/Patient/$match", &asking(&asked))
        .await;
    assert!(
        found.status == 403 || found.json()["total"] == 0,
        "{}",
        found.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_tells_of_the_target_and_is_taken_back_whole() {
    let world = World::new().await;
    let [one, two, twin] = &world.ids;
    let pairs = world.listed("/Patient/$possible-matches", 3).await;
    let first = &pairs[0]["part"];
    assert_eq!(first[2]["valueCode"], "certain");
    let before = [world.patient(0).await, world.patient(1).await];
    let merge = pair(MERGED, [two, one]);
    let mut preview = merge.clone();
    let flag = json!({ "name": "preview", "valueBoolean": true });
    preview["parameter"].as_array_mut().unwrap().push(flag);
    let shown = world.post("$merge", &preview).await.json();
    assert_eq!(
        shown["parameter"][1]["resource"]["link"][0]["type"],
        "replaces"
    );
    assert_eq!([world.patient(0).await, world.patient(1).await], before);

    assert_eq!(world.post("$merge", &merge).await.status, 200);
    let merged = world.patient(1).await;
    assert_eq!(merged["active"], false);
    assert_eq!(merged["link"][0]["type"], "replaced-by");
    assert_eq!(
        merged["link"][0]["other"]["reference"],
        format!("Patient/{one}")
    );
    let found = world
        .post("$match", &asking(&person("Elizabeth", "x")))
        .await
        .json();
    let entries = found["entry"].as_array().unwrap();
    assert!(
        entries
            .iter()
            .all(|entry| entry["resource"]["id"] != two.as_str())
    );
    world.listed("/Patient/$possible-matches", 1).await;

    for contradiction in [[one, two], [two, twin], [two, two]] {
        let body = pair(MERGED, contradiction.map(String::as_str));
        let refused = world.post("$merge", &body).await;
        refused.problem(422, "business-rule");
        assert_eq!(
            refused.json()["issue"][0]["expression"],
            json!(["Patient.link"])
        );
    }
    let pix = "/Patient/$ihe-pix?sourceIdentifier=urn:mrn%7C2&targetSystem=urn:mrn";
    let person = world.site.get(&world.ehr, pix).await.json();
    assert_eq!(person["parameter"][0]["valueIdentifier"]["value"], "1");
    let ids = person["parameter"].as_array().unwrap().iter();
    assert_eq!(ids.filter(|one| one["name"] == "targetId").count(), 2);

    assert_eq!(world.post("$unmerge", &merge).await.status, 200);
    assert_eq!([world.patient(0).await, world.patient(1).await], before);
    world
        .post("$unmerge", &merge)
        .await
        .problem(422, "business-rule");
    let past = format!("/Patient/{two}/_history");
    assert_eq!(world.site.get(&world.ehr, &past).await.json()["total"], 3);
    world.listed("/Patient/$possible-matches", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_and_dismissals_end_the_work_on_a_pair() {
    let world = World::new().await;
    let [one, two, twin] = &world.ids;
    world.listed("/Patient/$possible-matches", 3).await;
    assert_eq!(
        world.post("$link", &pair(LINKED, [one, two])).await.status,
        200
    );
    world
        .post("$link", &pair(LINKED, [one, two]))
        .await
        .problem(422, "business-rule");
    let mut dismissal = pair(LINKED, [twin, one]);
    world
        .post("$dismiss-match", &dismissal)
        .await
        .problem(400, "value");
    let reason = json!({ "name": "reason", "valueString": "twins" });
    dismissal["parameter"].as_array_mut().unwrap().push(reason);
    assert_eq!(world.post("$dismiss-match", &dismissal).await.status, 200);
    world.listed("/Patient/$possible-matches", 1).await;
    world.listed("/Patient/$possible-matches?all=true", 3).await;
    assert_eq!(
        world
            .post("$unlink", &pair(LINKED, [two, one]))
            .await
            .status,
        200
    );
    world.listed("/Patient/$possible-matches", 2).await;
    assert!(world.patient(0).await.get("link").is_none());
    world
        .post("$merge", &json!({ "resourceType": "Parameters" }))
        .await
        .problem(400, "value");
    let pix = |query: &str| format!("/Patient/$ihe-pix{query}");
    world
        .site
        .get(&world.ehr, &pix("?sourceIdentifier=urn:mrn%7Cnobody"))
        .await
        .problem(404, "not-found");
    world
        .site
        .get(&world.ehr, &pix("?sourceIdentifier=1"))
        .await
        .problem(400, "value");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_members_are_asked_for_one_patient_and_say_what_became_of_it() {
    let world = World::new().await;
    let path = format!("/Patient/{}/$discover", world.ids[0]);
    let ask = async |body: Value| world.site.ask(&world.ehr, "POST", &path, &body).await;
    let named = |name: &str| {
        json!({ "resourceType": "Parameters", "parameter": [
            { "name": "member", "valueCode": name } ] })
    };
    let answer = ask(json!({ "resourceType": "Parameters" })).await;
    assert_eq!(answer.status, 200);
    let parts = &answer.json()["parameter"][0]["part"];
    assert_eq!(parts[0]["valueCode"], "clinic");
    assert_eq!(parts[1]["valueCode"], "linked");
    let answer = ask(named("payer")).await.json();
    assert_eq!(answer["parameter"][0]["part"][0]["valueCode"], "payer");

    for bad in ["No Such Name!", "-", "a/b"].map(named) {
        let refused = ask(bad).await;
        assert_eq!(refused.status, 400);
        let issue = &refused.json()["issue"][0];
        let element = issue["expression"][0].as_str().unwrap();
        assert!(element.contains("name='member'"), "{element}");
    }
    assert_eq!(ask(json!({ "resourceType": "Patient" })).await.status, 400);
    world.site.others.lose_the_ledger();
    let later = ask(json!({ "resourceType": "Parameters" })).await;
    assert_eq!(later.status, 503);
    let path = "/Observation/o1/$discover";
    let body = json!({ "resourceType": "Parameters" });
    let other = world.site.ask(&world.ehr, "POST", path, &body).await;
    assert!(other.status >= 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_neither_asks_other_members_nor_decides_on_their_questions() {
    let site = Site::new();
    let wallet = Wallet::new(35);
    let id = wallet.enroll(&site).await;
    let token = wallet.token(&site, &id).await;
    let body = json!({ "resourceType": "Parameters" });
    let path = format!("/Patient/{id}/$discover");
    assert_eq!(site.ask(&token, "POST", &path, &body).await.status, 403);
    let path = "/Patient/$waiting-links";
    assert_eq!(site.get(&token, path).await.status, 403);
    for path in ["/Patient/$approve-link", "/Patient/$withdraw-link"] {
        assert_eq!(site.ask(&token, "POST", path, &body).await.status, 403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_nobody_asked_is_not_decided() {
    let world = World::new().await;
    let listed = world.site.get(&world.ehr, "/Patient/$waiting-links").await;
    assert_eq!(listed.status, 200);
    assert!(listed.json().get("parameter").is_none());
    let mut decision = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "patient", "valueReference": { "reference": format!("Patient/{}", world.ids[0]) } },
        { "name": "member", "valueCode": "clinic" } ] });
    let operations = ["$approve-link", "$refuse-link", "$withdraw-link"];
    for operation in operations {
        assert_eq!(world.post(operation, &decision).await.status, 400);
    }
    let reason = json!({ "name": "reason", "valueString": "telephoned" });
    decision["parameter"].as_array_mut().unwrap().push(reason);
    for operation in operations {
        assert_eq!(world.post(operation, &decision).await.status, 404);
    }
    decision["parameter"][0]["valueReference"]["reference"] = "Observation/1".into();
    assert_eq!(world.post("$approve-link", &decision).await.status, 400);
}
