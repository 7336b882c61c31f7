//! Conditions: reads of what is known, writes of what must or must not be there, changes of what a query finds.

use serde_json::{Value, json};

use crate::support::{PLANTED, Site, observation, patient};

fn unnamed(mut resource: Value) -> Value {
    resource.as_object_mut().unwrap().remove("id");
    resource
}

#[tokio::test]
async fn a_reader_who_has_the_version_gets_no_body() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let first = site.get(&token, "/Patient/p1").await;
    let modified = first.header("last-modified").to_owned();
    for (headers, status) in [
        ([("if-none-match", r#"W/"1""#)], 304),
        ([("if-none-match", r#"W/"7", "1""#)], 304),
        ([("if-none-match", r#"W/"2""#)], 200),
        ([("if-modified-since", modified.as_str())], 304),
        (
            [("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")],
            200,
        ),
    ] {
        for path in ["/Patient/p1", "/Patient/p1/_history/1"] {
            let answer = site
                .ask_with(&token, "GET", path, &Value::Null, &headers)
                .await;
            assert_eq!(answer.status, status, "{headers:?}: {}", answer.text);
            assert_eq!(answer.header("etag"), r#"W/"1""#);
            assert_eq!(answer.text.is_empty(), status == 304);
        }
    }
}

#[tokio::test]
async fn head_is_a_read_without_its_body() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let answer = site.ask(&token, "HEAD", "/Patient/p1", &Value::Null).await;
    assert_eq!((answer.status, answer.header("etag")), (200, r#"W/"1""#));
    assert!(answer.text.is_empty());
    let answer = site.ask(&token, "HEAD", "/Patient/p2", &Value::Null).await;
    assert_eq!((answer.status, answer.text.as_str()), (404, ""));
}

#[tokio::test]
async fn if_none_match_any_creates_and_never_replaces() {
    let site = Site::new();
    let token = site.ehr().await;
    let headers = [("if-none-match", "*")];
    let put = async || {
        site.ask_with(&token, "PUT", "/Patient/p1", &patient("p1"), &headers)
            .await
    };
    assert_eq!(put().await.status, 201);
    put().await.problem(412, "conflict");
    let deleted = site
        .ask(&token, "DELETE", "/Patient/p1", &Value::Null)
        .await;
    assert_eq!(deleted.status, 204);
    let again = put().await;
    assert_eq!((again.status, again.header("etag")), (201, r#"W/"3""#));
    let headers = [("if-none-match", r#"W/"1""#)];
    site.ask_with(&token, "PUT", "/Patient/p1", &patient("p1"), &headers)
        .await
        .problem(400, "value");
}

#[tokio::test]
async fn what_is_deleted_is_gone_with_its_version_and_deleting_again_changes_nothing() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    let stale = [("if-match", r#"W/"9""#)];
    let delete = async |id: &str, headers: &[(&str, &str)]| {
        let path = format!("/Patient/{id}");
        site.ask_with(&token, "DELETE", &path, &Value::Null, headers)
            .await
    };
    delete("p1", &stale).await.problem(412, "conflict");
    let first = delete("p1", &[("if-match", r#"W/"1""#)]).await;
    assert_eq!((first.status, first.header("etag")), (204, r#"W/"2""#));
    let again = delete("p1", &[]).await;
    assert_eq!((again.status, again.header("etag")), (204, r#"W/"2""#));
    let unknown = delete("p2", &[]).await;
    assert_eq!((unknown.status, unknown.header("etag")), (204, ""));
    delete("p2", &stale).await.problem(412, "conflict");
    let gone = site.get(&token, "/Patient/p1").await;
    gone.problem(410, "deleted");
    assert_eq!(gone.header("etag"), r#"W/"2""#);
    let back = site.ask(&token, "PUT", "/Patient/p1", &patient("p1")).await;
    assert_eq!((back.status, back.header("etag")), (201, r#"W/"3""#));
}

#[tokio::test]
async fn a_conditional_update_creates_updates_or_refuses() {
    let site = Site::new();
    let token = site.ehr().await;
    let path = format!("/Patient?identifier=urn:mrn|{}", PLANTED[1]);
    let put = async |body: &Value, headers: &[(&str, &str)]| {
        site.ask_with(&token, "PUT", &path, body, headers).await
    };
    put(&unnamed(patient("x")), &[("if-match", r#"W/"1""#)])
        .await
        .problem(412, "conflict");
    let created = put(&unnamed(patient("x")), &[]).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let updated = put(&unnamed(patient("x")), &[]).await;
    assert_eq!((updated.status, updated.header("etag")), (200, r#"W/"2""#));
    assert_eq!(updated.json()["id"], id.as_str());
    assert_eq!(
        updated.header("content-location"),
        format!("http://127.0.0.1:8101/fhir/Patient/{id}/_history/2")
    );
    put(&patient("other"), &[]).await.problem(400, "value");
    put(&unnamed(patient("x")), &[("if-match", r#"W/"1""#)])
        .await
        .problem(412, "conflict");
    let named = put(&patient(&id), &[("if-match", r#"W/"2""#)]).await;
    assert_eq!(named.header("etag"), r#"W/"3""#);

    site.patient(&token, "second").await;
    put(&unnamed(patient("x")), &[])
        .await
        .problem(412, "multiple-matches");
    let elsewhere = "/Patient?identifier=urn:mrn|none";
    let chosen = site.ask(&token, "PUT", elsewhere, &patient("chosen")).await;
    assert_eq!(
        (chosen.status, chosen.json()["id"].as_str()),
        (201, Some("chosen"))
    );
    site.ask(&token, "PUT", elsewhere, &patient("chosen"))
        .await
        .problem(412, "conflict");
    site.ask(&token, "PUT", "/Patient", &patient("x"))
        .await
        .problem(400, "value");
}

#[tokio::test]
async fn a_conditional_delete_takes_one_or_as_many_as_it_says() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    for code in ["718-7", "718-7", "718-7", "4548-4"] {
        site.ask(&token, "POST", "/Observation", &observation("p1", code))
            .await;
    }
    let delete = async |query: &str| {
        let path = format!("/Observation?{query}");
        site.ask(&token, "DELETE", &path, &Value::Null).await
    };
    assert_eq!(delete("patient=p1&code=none").await.status, 204);
    let one = delete("patient=p1&code=4548-4").await;
    assert_eq!((one.status, one.header("etag")), (204, r#"W/"2""#));
    for query in ["patient=p1", "patient=p1&_count=2"] {
        delete(query).await.problem(412, "multiple-matches");
        assert_eq!(site.count(&token, "Observation").await, 3);
    }
    delete("patient=p1&_count=0").await.problem(400, "value");
    delete("").await.problem(400, "value");
    assert_eq!(delete("patient=p1&_count=3").await.status, 204);
    assert_eq!(site.count(&token, "Observation").await, 0);
}

#[tokio::test]
async fn elements_and_summaries_of_a_read_say_that_they_are_parts() {
    let site = Site::new();
    let token = site.ehr().await;
    site.patient(&token, "p1").await;
    for path in ["/Patient/p1", "/Patient/p1/_history/1"] {
        let part = site.get(&token, &format!("{path}?_elements=name")).await;
        let part = part.json();
        assert!(part.get("identifier").is_none() && part.get("name").is_some());
        assert_eq!(part["meta"]["tag"][0]["code"], "SUBSETTED");
    }
    site.get(&token, "/Patient/p1?_summary=rubbish")
        .await
        .problem(400, "value");
    let whole = site.get(&token, "/Patient/p1?_summary=false").await.json();
    assert_eq!(whole["meta"].get("tag"), None, "{}", json!(whole["meta"]));
}
