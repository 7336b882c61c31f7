//! Tokens: who is let in, and to what.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{Ask, BASE, Site, jwt, observation};

#[tokio::test]
async fn tokens_that_are_not_valid_here_are_refused_with_the_reason() {
    let site = Site::new();
    let good = site.ehr().await;
    site.patient(&good, "p1").await;
    let path = "/Patient/p1";
    assert_eq!(site.get(&good, path).await.status, 200);

    site.get("planted-7731", path).await.problem(401, "login");
    let mut parts: Vec<String> = good.split('.').map(str::to_owned).collect();
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&parts[1]).unwrap()).unwrap();
    let mut wider = claims.clone();
    wider["careledger"]["purpose"] = json!("ETREAT");
    parts[1] = URL_SAFE_NO_PAD.encode(wider.to_string());
    let tampered = parts.join(".");
    let said = site.get(&tampered, path).await.problem(401, "login");
    assert_eq!(said, "the access token's signature is not valid");
    let forged = jwt(&[9; 32], &claims);
    site.get(&forged, path).await.problem(401, "login");
    parts[0] = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    parts[2] = String::new();
    site.get(&parts.join("."), path).await.problem(401, "login");

    site.pass(600);
    let expired = site.get(&good, path).await;
    assert_eq!(
        expired.problem(401, "expired"),
        "the access token has expired"
    );
    assert!(expired.header("www-authenticate").contains("invalid_token"));
}

#[tokio::test]
async fn a_token_of_another_member_is_refused() {
    let here = Site::new();
    let other_base = "http://127.0.0.1:8102";
    let there = Site::at("hospital", other_base, 6);
    let audience = format!("{other_base}/oauth2/token");
    let ask = Ask {
        audience,
        ..Ask::default()
    };
    let theirs = there.token(&ask).await;
    assert_eq!(there.get(&theirs, "/Patient").await.status, 200);
    let said = here.get(&theirs, "/Patient").await.problem(401, "login");
    assert_eq!(said, "the access token was issued by another server");
    // Even if the other member signed with this member's key.
    let twin = Site::at("hospital", BASE, 5);
    let stolen = twin.ehr().await;
    let said = here.get(&stolen, "/Patient").await.problem(401, "login");
    assert_eq!(said, "the access token is for another server");
}

#[tokio::test]
async fn no_token_is_issued_to_strangers_or_for_more_than_is_registered() {
    let site = Site::new();
    let ask = |client: &str, seed: u8| Ask {
        client: client.to_owned(),
        seed: [seed; 32],
        ..Ask::default()
    };
    for (name, ask, status, error) in [
        (
            "unknown client",
            ask("plantedkey", 1),
            401,
            "invalid_client",
        ),
        ("other key", ask("ehr", 2), 401, "invalid_client"),
        (
            "no such wallet",
            ask("wallet-plantedkey", 1),
            401,
            "invalid_client",
        ),
        (
            "other audience",
            Ask {
                audience: "https://planted-7731/oauth2/token".to_owned(),
                ..Ask::default()
            },
            401,
            "invalid_client",
        ),
        (
            "other purpose",
            Ask {
                purpose: Some("planted-7731"),
                ..Ask::default()
            },
            400,
            "invalid_grant",
        ),
        (
            "other scope",
            Ask {
                scope: "planted-7731",
                ..Ask::default()
            },
            400,
            "invalid_scope",
        ),
    ] {
        println!("{name}");
        site.ask_for_token(&ask).await.oauth_error(status, error);
    }
    let claims = json!({
        "iss": "ehr", "sub": "ehr", "aud": format!("{BASE}/oauth2/token"), "exp": site.now() + 100,
        "jti": "once", "extensions": { "hl7-b2b": { "purpose_of_use": "TREAT" } },
    });
    let assertion = jwt(&[1; 32], &claims);
    assert_eq!(site.exchange(&assertion, "system/*.rs").await.status, 200);
    let again = site.exchange(&assertion, "system/*.rs").await;
    again.oauth_error(401, "invalid_client");
    site.pass(200);
    let late = jwt(&[1; 32], &claims);
    site.exchange(&late, "system/*.rs")
        .await
        .oauth_error(401, "invalid_client");
}

#[tokio::test]
async fn a_token_is_good_for_its_scopes_alone() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p1").await;
    let reader = site
        .token(&Ask {
            scope: "system/Patient.r",
            ..Ask::default()
        })
        .await;
    assert_eq!(site.get(&reader, "/Patient/p1").await.status, 200);
    for answer in [
        site.get(&reader, "/Patient").await,
        site.get(&reader, "/Observation/1").await,
        site.get(&reader, "/Patient/p1/$everything").await,
        site.get(&reader, "/Patient/p1/$everything?_type=Patient,Observation")
            .await,
        site.ask(&reader, "POST", "/Observation", &observation("p1", "1"))
            .await,
        site.ask(&reader, "DELETE", "/Patient/p1", &Value::Null)
            .await,
    ] {
        answer.problem(403, "forbidden");
        assert!(
            answer
                .header("www-authenticate")
                .contains("insufficient_scope")
        );
    }
    let some = site
        .get(&reader, "/Patient/p1/$everything?_type=Patient")
        .await;
    assert_eq!(some.json()["total"], 1, "{}", some.text);
}

#[tokio::test]
async fn purpose_matters_and_the_denial_says_why() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p1").await;
    let marketing = site
        .token(&Ask {
            purpose: Some("HMARKT"),
            ..Ask::default()
        })
        .await;
    let denied = site.get(&marketing, "/Patient/p1").await;
    let said = denied.problem(403, "forbidden");
    assert!(!said.is_empty());
    let found = site.get(&marketing, "/Patient").await.json();
    assert_eq!((&found["total"], found.get("entry")), (&json!(0), None));
}
