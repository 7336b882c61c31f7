//! Vocabularies: loaded or among the records, asked over HTTP, used by searches and by what maps codes on the way in.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{MAP, Site, observation};

const TESTS: &str = "http://example.org/tests";

/// A code system, a value set and a map of our own.
pub(crate) fn package() -> TempDir {
    let folder = TempDir::new().unwrap();
    let put = |name: &str, value: Value| {
        fs::write(folder.path().join(name), value.to_string()).unwrap();
    };
    put(
        "system.json",
        json!({"resourceType": "CodeSystem", "status": "active", "content": "complete",
        "url": TESTS, "version": "2", "title": "Tests", "concept": [
            {"code": "blood", "display": "Blood test", "concept": [
                {"code": "iron", "display": "Iron in blood", "designation": [{"language": "de", "value": "Eisen im Blut"}]},
                {"code": "copper", "display": "Copper in blood", "property": [{"code": "inactive", "valueBoolean": true}]}]},
            {"code": "touch", "display": "Touch test"}]}),
    );
    put(
        "set.json",
        json!({"resourceType": "ValueSet", "status": "active", "url": "http://example.org/blood",
        "version": "1", "compose": {"include": [{"system": TESTS,
            "filter": [{"property": "concept", "op": "descendent-of", "value": "blood"}]}]}}),
    );
    put(
        "map.json",
        json!({"resourceType": "ConceptMap", "status": "active", "url": MAP, "group": [
        {"source": "urn:ward", "target": TESTS, "element": [
            {"code": "FE", "target": [{"code": "iron", "display": "Iron in blood", "equivalence": "equivalent"}]}]}]}),
    );
    folder
}

async fn loaded() -> (Site, String) {
    let site = Site::new();
    site.load(package().path());
    let token = site.ehr().await;
    (site, token)
}

fn parameter<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let mut all = answer["parameter"].as_array().unwrap().iter();
    all.find(|one| one["name"] == name).unwrap_or(&Value::Null)
}

fn expanded(answer: &Value) -> String {
    let contains = answer["expansion"]["contains"].as_array();
    let codes = contains
        .into_iter()
        .flatten()
        .map(|one| one["code"].as_str().unwrap());
    codes.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn operations_answer_get_and_post_alike() {
    let (site, token) = loaded().await;
    let coding = json!({"system": TESTS, "code": "iron"});
    for (get, post, parameters, name, expected) in [
        (
            format!("/CodeSystem/$lookup?system={TESTS}&code=iron&displayLanguage=de"),
            "/CodeSystem/$lookup",
            json!([{"name": "coding", "valueCoding": coding}, {"name": "displayLanguage", "valueCode": "de"}]),
            "display",
            json!({"name": "display", "valueString": "Eisen im Blut"}),
        ),
        (
            format!("/CodeSystem/$subsumes?system={TESTS}&codeA=blood&codeB=iron"),
            "/CodeSystem/$subsumes",
            json!([{"name": "codingA", "valueCoding": {"system": TESTS, "code": "blood"}},
                {"name": "codingB", "valueCoding": coding}]),
            "outcome",
            json!({"name": "outcome", "valueCode": "subsumes"}),
        ),
        (
            format!("/CodeSystem/$validate-code?url={TESTS}&code=iron&display=Gold"),
            "/CodeSystem/$validate-code",
            json!([{"name": "url", "valueUri": TESTS}, {"name": "code", "valueCode": "gold"}]),
            "result",
            json!({"name": "result", "valueBoolean": false}),
        ),
        (
            format!(
                "/ValueSet/$validate-code?url=http://example.org/blood&system={TESTS}&code=iron"
            ),
            "/ValueSet/$validate-code",
            json!([{"name": "url", "valueUri": "http://example.org/blood"},
                {"name": "codeableConcept", "valueCodeableConcept": {"coding": [coding]}}]),
            "result",
            json!({"name": "result", "valueBoolean": true}),
        ),
        (
            format!("/ConceptMap/$translate?system=urn:ward&code=FE&targetsystem={TESTS}"),
            "/ConceptMap/$translate",
            json!([{"name": "coding", "valueCoding": coding}, {"name": "reverse", "valueBoolean": true}]),
            "result",
            json!({"name": "result", "valueBoolean": true}),
        ),
    ] {
        let answer = site.get(&token, &get).await;
        assert_eq!(answer.status, 200, "{get}: {}", answer.text);
        assert_eq!(*parameter(&answer.json(), name), expected, "{get}");
        let body = json!({"resourceType": "Parameters", "parameter": parameters});
        let answer = site.ask(&token, "POST", post, &body).await;
        assert_eq!(answer.status, 200, "{post}: {}", answer.text);
        assert_eq!(*parameter(&answer.json(), name), expected, "{post}");
    }
}

#[tokio::test]
async fn value_sets_are_expanded_that_are_loaded_recorded_or_brought_along() {
    let (site, token) = loaded().await;
    let blood = "/ValueSet/$expand?url=http://example.org/blood";
    for (more, expected) in [
        ("", "copper iron"),
        ("&activeOnly=true", "iron"),
        ("&filter=eis", "iron"),
        ("&offset=1&count=1", "iron"),
        ("&count=0", ""),
    ] {
        let answer = site.get(&token, &format!("{blood}{more}")).await;
        assert_eq!(answer.status, 200, "{more}: {}", answer.text);
        assert_eq!(expanded(&answer.json()), expected, "{more}");
    }
    // Of the records, with a code system of the records that refers to a value set that is loaded.
    let local = json!({"resourceType": "CodeSystem", "id": "local", "status": "active", "content": "complete",
        "url": "urn:local", "concept": [{"code": "a", "display": "Aa", "concept": [{"code": "b"}]}]});
    site.ask(&token, "PUT", "/CodeSystem/local", &local).await;
    let both = json!({"resourceType": "ValueSet", "id": "both", "status": "active", "url": "urn:both", "compose":
        {"include": [{"system": "urn:local"}, {"valueSet": ["http://example.org/blood"]}]}});
    site.ask(&token, "PUT", "/ValueSet/both", &both).await;
    for path in ["/ValueSet/$expand?url=urn:both", "/ValueSet/both/$expand"] {
        let answer = site.get(&token, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert_eq!(expanded(&answer.json()), "copper iron a b", "{path}");
    }
    let brought = json!({"resourceType": "Parameters", "parameter": [{"name": "valueSet", "resource": both},
        {"name": "filter", "valueString": "iro"}, {"name": "includeDesignations", "valueBoolean": true}]});
    let answer = site
        .ask(&token, "POST", "/ValueSet/$expand", &brought)
        .await;
    assert_eq!(expanded(&answer.json()), "iron");
    let subsumed = site
        .get(&token, "/CodeSystem/local/$subsumes?codeA=a&codeB=b")
        .await;
    assert_eq!(
        parameter(&subsumed.json(), "outcome")["valueCode"],
        "subsumes"
    );
    let valid = site
        .get(&token, "/ValueSet/both/$validate-code?code=b")
        .await;
    assert_eq!(parameter(&valid.json(), "result")["valueBoolean"], true);
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_with_a_reason() {
    let (site, token) = loaded().await;
    for (path, status, code) in [
        ("/CodeSystem/$lookup?code=iron", 400, "value"),
        (
            "/CodeSystem/$lookup?system=urn:none&code=iron",
            404,
            "not-found",
        ),
        (
            "/CodeSystem/$lookup?system=http://example.org/tests&code=gold",
            404,
            "not-found",
        ),
        (
            "/CodeSystem/$lookup?system=http://example.org/tests&version=9&code=iron",
            404,
            "not-found",
        ),
        (
            "/Patient/$lookup?system=http://example.org/tests&code=iron",
            501,
            "not-supported",
        ),
        ("/ValueSet/$expand", 400, "value"),
        ("/ValueSet/$expand?url=urn:none", 404, "not-found"),
        (
            "/ValueSet/$expand?url=http://example.org/blood&count=many",
            400,
            "value",
        ),
        (
            "/ValueSet/$expand?url=http://example.org/blood&activeOnly=si",
            400,
            "value",
        ),
        (
            "/ValueSet/$expand?url=http://example.org/blood&context=x",
            501,
            "not-supported",
        ),
        (
            "/ValueSet/$validate-code?url=http://example.org/blood",
            400,
            "value",
        ),
        (
            "/CodeSystem/$subsumes?system=http://example.org/tests&codeA=iron",
            400,
            "value",
        ),
        (
            "/ConceptMap/$translate?url=urn:none&code=x",
            404,
            "not-found",
        ),
    ] {
        let answer = site.get(&token, path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert_eq!(answer.json()["issue"][0]["code"], code, "{path}");
    }
    let units = json!({"resourceType": "Parameters", "parameter": [{"name": "valueSet", "resource": {
        "resourceType": "ValueSet", "status": "active", "compose": {"include": [{"system": "http://unitsofmeasure.org"}]}}}]});
    let endless = site.ask(&token, "POST", "/ValueSet/$expand", &units).await;
    assert_eq!(endless.status, 422, "{}", endless.text);
    assert_eq!(endless.json()["issue"][0]["code"], "too-costly");
}

#[tokio::test]
async fn searches_use_what_is_loaded() {
    let (site, token) = loaded().await;
    site.patient(&token, "p1").await;
    for code in ["iron", "touch"] {
        let mut one = observation("p1", code);
        one["code"]["coding"][0]["system"] = TESTS.into();
        site.ask(&token, "POST", "/Observation", &one).await;
    }
    for (query, found) in [
        ("code:below=http://example.org/tests|blood", 1),
        ("code:above=http://example.org/tests|iron", 1),
        ("code:in=http://example.org/blood", 1),
        ("code:not-in=http://example.org/blood", 1),
    ] {
        let answer = site
            .get(
                &token,
                &format!("/Observation?{}", query.replace('|', "%7C")),
            )
            .await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
        assert_eq!(
            answer.json()["entry"].as_array().unwrap().len(),
            found,
            "{query}"
        );
    }
}

#[tokio::test]
async fn local_codes_are_mapped_on_the_way_in_and_what_is_not_mapped_is_listed() {
    let (site, token) = loaded().await;
    site.patient(&token, "p1").await;
    for code in ["FE", "CU", "CU"] {
        let mut one = observation("p1", code);
        one["code"]["coding"] =
            json!([{"system": "urn:ward", "code": code, "display": "secret words"}]);
        let answer = site.ask(&token, "POST", "/Observation", &one).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    for query in ["code=http://example.org/tests%7Ciron", "code=urn:ward%7CFE"] {
        let found = site
            .get(&token, &format!("/Observation?{query}"))
            .await
            .json();
        assert_eq!(found["entry"].as_array().unwrap().len(), 1, "{query}");
        let codings = found["entry"][0]["resource"]["code"]["coding"]
            .as_array()
            .unwrap();
        assert_eq!(
            (codings.len(), &codings[0]["userSelected"]),
            (2, &json!(true))
        );
        assert_eq!(codings[1]["extension"][0]["valueCanonical"], MAP);
    }
    let listed = site.unmapped();
    let listed: Vec<_> = listed
        .iter()
        .map(|one| (one.code.as_str(), one.count))
        .collect();
    assert_eq!(listed, [("CU", 2)]);
}

#[tokio::test]
async fn capabilities_name_what_is_loaded() {
    let (site, token) = loaded().await;
    let statement = site.get(&token, "/metadata?mode=terminology").await.json();
    assert_eq!(statement["resourceType"], "TerminologyCapabilities");
    let systems = statement["codeSystem"].as_array().unwrap();
    let tests = systems.iter().find(|one| one["uri"] == TESTS).unwrap();
    assert_eq!(tests["version"][0]["code"], "2");
    let kind = interop::fhir::Resource::from_value(statement.clone());
    assert!(kind.is_ok(), "{kind:?}");
}
