//! Signing in at an identity provider that others wrote: `scripts/identity-provider` runs it and these tests.

use axum::http::header;
use reqwest::redirect::Policy;

use crate::support::{BACK, Browser, Site, issuer, parameter};

/// Goes through the provider's pages as a browser does, until it sends the user back; answers with the path and query.
async fn through(start: &str) -> String {
    let http = reqwest::Client::builder()
        .redirect(Policy::none())
        .build()
        .unwrap();
    let (mut url, mut cookies) = (start.to_owned(), Vec::<String>::new());
    for _ in 0..12 {
        if let Some(path) = url.strip_prefix("http://127.0.0.1:8101") {
            return path.to_owned();
        }
        let answer = http
            .get(&url)
            .header("cookie", cookies.join("; "))
            .send()
            .await
            .unwrap();
        for set in answer.headers().get_all(header::SET_COOKIE) {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let name = pair.split('=').next().unwrap();
            cookies.retain(|one| one.split('=').next() != Some(name));
            cookies.push(pair.to_owned());
        }
        let location = answer.headers().get(header::LOCATION);
        let location = location.unwrap_or_else(|| panic!("no redirect at {url}"));
        url = answer
            .url()
            .join(location.to_str().unwrap())
            .unwrap()
            .into();
    }
    panic!("the provider goes round in circles");
}

#[tokio::test]
async fn a_practitioner_of_the_provider_signs_in_and_an_answer_is_taken_once_by_its_browser() {
    if issuer().is_none() {
        println!("skipped: scripts/identity-provider runs this");
        return;
    }
    let site = Site::new();
    // The provider's clock is the real one.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    site.pass(now.saturating_sub(site.now()));
    let ehr = site.ehr().await;
    site.patient(&ehr, "p1").await;
    let mut browser = Browser::default();
    let page = browser.authorize(&site, &[]).await;
    assert!(page.text.contains("Sign in with the test"), "{}", page.text);
    let away = browser
        .get(
            &site,
            &format!("/oauth2/provider?request={}", browser.request),
        )
        .await;
    let back = through(away.header("location")).await;
    assert!(back.starts_with("/oauth2/callback?"), "{back}");

    let mut thief = Browser::default();
    thief.authorize(&site, &[]).await;
    assert_eq!(thief.get(&site, &back).await.status, 400);
    // The state was used up by that: the user begins again.
    let away = browser
        .get(
            &site,
            &format!("/oauth2/provider?request={}", browser.request),
        )
        .await;
    let back = through(away.header("location")).await;
    let page = browser.get(&site, &back).await;
    assert_eq!(page.status, 303, "{}", page.text);
    let next = page.header("location").to_owned();
    let page = browser.get(&site, &next).await;
    assert!(page.text.contains("Choose a patient"), "{}", page.text);
    browser.choose(&site, "p1").await;
    let redirect = browser
        .grant(
            &site,
            &["openid", "fhirUser", "launch/patient", "patient/*.rs"],
        )
        .await;
    assert!(redirect.header("location").starts_with(BACK));
    let code = parameter(&redirect, "code").unwrap();
    let tokens = site.redeem(&code, &[]).await.json();
    assert_eq!(tokens["patient"], "p1");
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(site.get(access, "/Patient/p1").await.status, 200);
}
