//! People in browsers: signing in, forms, and what guessing costs.

use axum::http::Request;

use crate::support::{Browser, PASSWORD, Site, parameter};

async fn site() -> Site {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p1").await;
    site.patient(&ehr, "p2").await;
    site
}

#[tokio::test]
async fn t9_a_form_is_taken_from_the_browser_that_began_and_the_session_changes_at_sign_in() {
    let site = site().await;
    let mut browser = Browser::default();
    let page = browser.authorize(&site, &[]).await;
    assert_eq!(page.status, 200);
    let mut thief = Browser::default();
    thief.authorize(&site, &[]).await;
    let (own, stolen) = (thief.request.clone(), browser.request.clone());
    thief.request = stolen;
    let page = thief.login(&site, "alice", PASSWORD).await;
    assert_eq!(page.status, 400);
    thief.request = own;
    thief.csrf = browser.csrf.clone();
    let page = thief.login(&site, "alice", PASSWORD).await;
    assert_eq!(page.status, 403);
    let before = browser.csrf.clone();
    let sent = [("username", "alice"), ("password", PASSWORD)];
    let answer = browser.post(&site, "/oauth2/login", &sent).await;
    let cookie = answer.header("set-cookie");
    for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let path = answer.header("location").to_owned();
    browser.get(&site, &path).await;
    assert_ne!(browser.csrf, before);
}

#[tokio::test]
async fn pages_are_plain_and_closed() {
    let site = site().await;
    let page = Browser::default().authorize(&site, &[]).await;
    let policy = page.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!page.text.contains("<script") && !page.text.contains("style="));
    assert_eq!(page.header("cache-control"), "no-store");
    let style = site
        .send(
            Request::get("/oauth2/style.css")
                .body(axum::body::Body::empty())
                .unwrap(),
        )
        .await;
    assert!(style.header("content-type").starts_with("text/css"));
}

#[tokio::test]
async fn a_patient_is_found_by_name_and_what_is_found_is_text() {
    let site = site().await;
    let ehr = site.ehr().await;
    let mut mallory = crate::support::patient("p3");
    mallory["name"][0]["given"] = serde_json::json!(["<b>Eve"]);
    site.ask(&ehr, "PUT", "/Patient/p3", &mallory).await;
    let mut browser = Browser::default();
    browser.authorize(&site, &[]).await;
    browser.login(&site, "alice", PASSWORD).await;
    let page = browser
        .post(&site, "/oauth2/patient", &[("words", "Plantedfam")])
        .await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.text.matches("name=\"patient\"").count(),
        3,
        "{}",
        page.text
    );
    assert!(page.text.contains("&lt;b&gt;Eve") && !page.text.contains("<b>Eve"));
    let page = browser.choose(&site, "nobody").await;
    assert_eq!(parameter(&page, "error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn a_patient_grants_the_own_record_and_no_more() {
    let site = site().await;
    let scopes = "openid fhirUser launch/patient patient/Patient.rs";
    let tokens = site.launched(("pat", None), scopes).await;
    assert_eq!(tokens["patient"], "p1");
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(site.get(access, "/Patient/p1").await.status, 200);
    site.get(access, "/Patient/p2")
        .await
        .problem(403, "forbidden");
    let mut browser = Browser::default();
    browser
        .authorize(&site, &[("scope", "user/*.rs patient/Patient.r")])
        .await;
    let page = browser.login(&site, "pat", PASSWORD).await;
    assert!(!page.text.contains("user/*.rs"), "{}", page.text);
    let back = browser.grant(&site, &["user/*.rs"]).await;
    assert_eq!(parameter(&back, "error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn what_is_refused_is_said_to_the_app_and_what_is_not_ticked_is_not_granted() {
    let site = site().await;
    let mut browser = Browser::default();
    browser.authorize(&site, &[]).await;
    browser.login(&site, "alice", PASSWORD).await;
    browser.choose(&site, "p1").await;
    let back = browser
        .post(&site, "/oauth2/consent", &[("decision", "deny")])
        .await;
    assert_eq!(parameter(&back, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&back, "state").as_deref(), Some("s1"));
    let again = browser.grant(&site, &["patient/*.rs"]).await;
    assert_eq!(again.status, 400);
    let mut browser = Browser::default();
    browser.authorize(&site, &[]).await;
    browser.login(&site, "alice", PASSWORD).await;
    browser.choose(&site, "p1").await;
    let back = browser
        .grant(&site, &["launch/patient", "patient/Patient.cruds"])
        .await;
    let code = parameter(&back, "code").unwrap();
    let tokens = site.redeem(&code, &[]).await.json();
    assert_eq!(tokens["scope"], "launch/patient patient/Patient.rs");
}

#[tokio::test]
async fn t11_guessing_slows_down_for_an_account_and_for_a_client() {
    let site = site().await;
    let mut browser = Browser::default();
    browser.authorize(&site, &[]).await;
    for _ in 0..6 {
        let page = browser.login(&site, "alice", "wrong password").await;
        assert_eq!(page.status, 401);
    }
    let page = browser.login(&site, "alice", PASSWORD).await;
    assert_eq!(page.status, 401, "the right password has to wait, too");
    site.pass(10);
    let page = browser.login(&site, "alice", PASSWORD).await;
    assert_eq!(page.status, 200);
    let introspect = async |secret: &str| {
        let basic = format!("portal:{secret}");
        let answer = site
            .post_form("/oauth2/introspect", &[("token", "x")], Some(&basic))
            .await;
        answer.status
    };
    for _ in 0..6 {
        assert_eq!(introspect("wrong").await, 401);
    }
    assert_eq!(introspect("portal-secret").await, 401);
    site.pass(10);
    assert_eq!(introspect("portal-secret").await, 200);
}
