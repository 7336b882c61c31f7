//! Apps that people use: from the request for authorization to the tokens, and their end.

use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{Ask, BACK, Browser, Site, parameter};

const PATIENT_SCOPES: &str = "openid fhirUser launch/patient patient/*.rs offline_access";

fn claims(token: &Value) -> Value {
    let text = token.as_str().unwrap();
    let payload = text.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

async fn site() -> Site {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p1").await;
    site.patient(&ehr, "p2").await;
    site
}

#[tokio::test]
async fn a_standalone_launch_ends_in_tokens_for_the_patient_who_was_chosen() {
    let site = site().await;
    let tokens = site.launched(("alice", Some("p1")), PATIENT_SCOPES).await;
    assert_eq!(tokens["patient"], "p1");
    assert_eq!(tokens["token_type"], "Bearer");
    let id = claims(&tokens["id_token"]);
    assert_eq!(id["nonce"], "n1");
    assert_eq!(id["aud"], "app");
    assert_eq!(id["iss"], "http://127.0.0.1:8101");
    assert_eq!(id["fhirUser"], "http://127.0.0.1:8101/fhir/Practitioner/7");
    assert!(id.get("sub").is_some() && !id["sub"].as_str().unwrap().contains("alice"));
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(site.get(access, "/Patient/p1").await.status, 200);
    site.get(access, "/Patient/p2")
        .await
        .problem(403, "forbidden");
    let found = site.get(access, "/Patient").await.json();
    assert_eq!(found["total"], 1, "{found}");
}

#[tokio::test]
async fn an_ehr_launch_brings_its_context_once_and_to_its_app_alone() {
    let site = site().await;
    let ask = Ask {
        scope: "careledger/launches",
        ..Ask::default()
    };
    let ehr = site.token(&ask).await;
    let launch = async |context: Value, token: &str| {
        let request = Request::post("/oauth2/launches")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Body::from(context.to_string()));
        site.send(request.unwrap()).await
    };
    let context =
        json!({ "patient": "p2", "encounter": "e1", "user": "Practitioner/7", "client_id": "app" });
    let plain = site.ehr().await;
    launch(context.clone(), &plain)
        .await
        .problem(403, "forbidden");
    launch(json!({ "patient": "a/b" }), &ehr)
        .await
        .problem(400, "value");
    let set = launch(context, &ehr).await;
    assert_eq!(set.status, 201, "{}", set.text);
    let id = set.json()["launch"].as_str().unwrap().to_owned();
    let scopes = "launch patient/Patient.rs";
    let mut browser = Browser::default();
    let code = browser
        .code(&site, ("alice", None), &[("launch", &id)], scopes)
        .await;
    let tokens = site.redeem(&code, &[]).await.json();
    assert_eq!(
        (&tokens["patient"], &tokens["encounter"]),
        (&json!("p2"), &json!("e1"))
    );
    assert!(tokens.get("refresh_token").is_none() && tokens.get("id_token").is_none());
    let again = Browser::default()
        .authorize(&site, &[("launch", &id), ("scope", scopes)])
        .await;
    assert_eq!(
        parameter(&again, "error").as_deref(),
        Some("invalid_request")
    );
}

#[tokio::test]
async fn t5_a_request_with_a_fault_is_refused_and_goes_back_to_nobody_but_the_app() {
    let site = site().await;
    for changes in [
        ("client_id", "stranger"),
        ("client_id", "ehr"),
        ("redirect_uri", "http://127.0.0.1:9000/back?x=1"),
        ("redirect_uri", "http://127.0.0.1:9000/back/"),
        ("redirect_uri", "https://evil.example/"),
        ("redirect_uri", ""),
    ] {
        let answer = Browser::default().authorize(&site, &[changes]).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (400, ""),
            "{changes:?}"
        );
        assert!(
            answer
                .header("content-security-policy")
                .contains("default-src 'none'")
        );
    }
    for (changes, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("state", ""), "invalid_request"),
        (("aud", "https://elsewhere/fhir"), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("scope", "system/*.rs"), "invalid_scope"),
        (("scope", "launch patient/*.rs"), "invalid_request"),
        (("launch", "unknown"), "invalid_request"),
    ] {
        let answer = Browser::default().authorize(&site, &[changes]).await;
        assert_eq!(answer.status, 303, "{changes:?} {}", answer.text);
        assert!(answer.header("location").starts_with(BACK));
        assert_eq!(
            parameter(&answer, "error").as_deref(),
            Some(error),
            "{changes:?}"
        );
        let state = (changes.0 != "state").then_some("s1");
        assert_eq!(parameter(&answer, "state").as_deref(), state);
        assert_eq!(
            parameter(&answer, "iss").as_deref(),
            Some("http://127.0.0.1:8101")
        );
    }
}

#[tokio::test]
async fn t6_a_code_is_good_once_for_its_client_and_verifier() {
    let site = site().await;
    let code = async || {
        let who = ("alice", Some("p1"));
        Browser::default()
            .code(&site, who, &[], PATIENT_SCOPES)
            .await
    };
    let one = code().await;
    for change in [
        (
            "code_verifier",
            "EBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        ("code_verifier", ""),
        ("redirect_uri", "http://127.0.0.1:9000/"),
    ] {
        site.redeem(&one, &[change])
            .await
            .oauth_error(400, "invalid_grant");
    }
    let pairs = [
        ("grant_type", "authorization_code"),
        ("code", &*one),
        ("redirect_uri", BACK),
    ];
    let other = site
        .post_form("/oauth2/token", &pairs, Some("portal:portal-secret"))
        .await;
    other.oauth_error(400, "invalid_grant");
    let tokens = site.redeem(&one, &[]).await.json();
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(site.get(access, "/Patient/p1").await.status, 200);
    site.redeem(&one, &[])
        .await
        .oauth_error(400, "invalid_grant");
    site.get(access, "/Patient/p1").await.problem(401, "login");
    let refresh = tokens["refresh_token"].as_str().unwrap();
    site.refresh(refresh)
        .await
        .oauth_error(400, "invalid_grant");
    let late = code().await;
    site.pass(61);
    site.redeem(&late, &[])
        .await
        .oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn t7_a_refresh_token_is_good_once_and_its_second_use_ends_the_family() {
    let site = site().await;
    let first = site.launched(("alice", Some("p1")), PATIENT_SCOPES).await;
    let old = first["refresh_token"].as_str().unwrap();
    let second = site.refresh(old).await.json();
    assert_eq!(second["patient"], "p1");
    let fresh = second["refresh_token"].as_str().unwrap();
    assert_ne!(old, fresh);
    let third = site.refresh(fresh).await.json();
    let access = third["access_token"].as_str().unwrap();
    assert_eq!(site.get(access, "/Patient/p1").await.status, 200);
    site.refresh(old).await.oauth_error(400, "invalid_grant");
    let last = third["refresh_token"].as_str().unwrap();
    site.refresh(last).await.oauth_error(400, "invalid_grant");
    site.get(access, "/Patient/p1").await.problem(401, "login");
}

#[tokio::test]
async fn a_public_app_need_not_repeat_its_id_to_refresh_and_a_confidential_one_shows_its_secret() {
    let site = site().await;
    let refresh = async |token: &str| {
        let pairs = [("grant_type", "refresh_token"), ("refresh_token", token)];
        site.post_form("/oauth2/token", &pairs, None).await
    };
    let first = site.launched(("alice", Some("p1")), PATIENT_SCOPES).await;
    let old = first["refresh_token"].as_str().unwrap();
    let second = refresh(old).await;
    assert_eq!(second.status, 200, "{}", second.text);
    let access = second.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(site.get(&access, "/Patient/p1").await.status, 200);
    refresh(old).await.oauth_error(400, "invalid_grant");
    site.get(&access, "/Patient/p1").await.problem(401, "login");
    refresh("nobody.knows")
        .await
        .oauth_error(400, "invalid_grant");

    let changes = [("client_id", "portal")];
    let code = Browser::default()
        .code(&site, ("alice", Some("p1")), &changes, PATIENT_SCOPES)
        .await;
    let pairs = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("redirect_uri", BACK),
        ("code_verifier", crate::support::VERIFIER),
    ];
    let tokens = site
        .post_form("/oauth2/token", &pairs, Some("portal:portal-secret"))
        .await
        .json();
    let confidential = tokens["refresh_token"].as_str().unwrap();
    refresh(confidential)
        .await
        .oauth_error(401, "invalid_client");
}

#[tokio::test]
async fn t8_what_is_revoked_is_worth_nothing() {
    let site = site().await;
    let tokens = site.launched(("alice", Some("p1")), PATIENT_SCOPES).await;
    let access = tokens["access_token"].as_str().unwrap();
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let worth = async |token: &str| {
        let pairs = [("token", token)];
        let said = site
            .post_form("/oauth2/introspect", &pairs, Some("portal:portal-secret"))
            .await;
        assert_eq!(said.status, 200, "{}", said.text);
        said.json()
    };
    let said = worth(access).await;
    assert_eq!(
        (&said["active"], &said["patient"], &said["client_id"]),
        (&json!(true), &json!("p1"), &json!("app"))
    );
    assert_eq!(
        worth(refresh).await,
        json!({ "active": false }),
        "another client's"
    );
    let anybody = site
        .post_form(
            "/oauth2/introspect",
            &[("token", access), ("client_id", "app")],
            None,
        )
        .await;
    anybody.oauth_error(401, "invalid_client");
    // Another client's revocation changes nothing.
    let other = site
        .post_form(
            "/oauth2/revoke",
            &[("token", access)],
            Some("portal:portal-secret"),
        )
        .await;
    assert_eq!(other.status, 200);
    assert_eq!(site.get(access, "/Patient/p1").await.status, 200);
    let own = [("token", access), ("client_id", "app")];
    assert_eq!(
        site.post_form("/oauth2/revoke", &own, None).await.status,
        200
    );
    site.get(access, "/Patient/p1").await.problem(401, "login");
    assert_eq!(worth(access).await, json!({ "active": false }));
    let next = site.refresh(refresh).await.json();
    let own = [
        ("token", next["refresh_token"].as_str().unwrap()),
        ("client_id", "app"),
    ];
    assert_eq!(
        site.post_form("/oauth2/revoke", &own, None).await.status,
        200
    );
    let access = next["access_token"].as_str().unwrap();
    site.get(access, "/Patient/p1").await.problem(401, "login");
}

#[tokio::test]
async fn clients_are_registered_by_an_administrator_and_taken_away() {
    let site = site().await;
    let ask = Ask {
        scope: "careledger/clients",
        ..Ask::default()
    };
    let admin = site.token(&ask).await;
    let call = async |method: &str, path: &str, token: &str, body: Value| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()));
        site.send(request.unwrap()).await
    };
    let metadata = json!({
        "client_name": "Chart", "redirect_uris": ["https://chart.example/back"],
        "scope": "launch/patient patient/*.rs",
    });
    let plain = site.ehr().await;
    call("POST", "/oauth2/clients", &plain, metadata.clone())
        .await
        .problem(403, "forbidden");
    let mut bad = metadata.clone();
    bad["redirect_uris"] = json!(["http://chart.example/back"]);
    call("POST", "/oauth2/clients", &admin, bad)
        .await
        .oauth_error(400, "invalid_client_metadata");
    let made = call("POST", "/oauth2/clients", &admin, metadata).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    let (id, secret) = (
        made["client_id"].as_str().unwrap(),
        made["client_secret"].as_str().unwrap(),
    );
    let introspect = async |basic: &str| {
        let pairs = [("token", "x")];
        site.post_form("/oauth2/introspect", &pairs, Some(basic))
            .await
            .status
    };
    assert_eq!(introspect(&format!("{id}:{secret}")).await, 200);
    assert_eq!(introspect(&format!("{id}:{secret}x")).await, 401);
    let listed = call("GET", "/oauth2/clients", &admin, Value::Null).await;
    assert_eq!(listed.json()["clients"][0]["client_name"], "Chart");
    assert!(!listed.text.contains(secret));
    let preflight = async |origin: &str| {
        let request = Request::options("/fhir/Patient")
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization")
            .body(Body::empty());
        let answer = site.send(request.unwrap()).await;
        answer.header("access-control-allow-origin").to_owned()
    };
    assert_eq!(
        preflight("https://chart.example").await,
        "https://chart.example"
    );
    assert_eq!(
        preflight("http://127.0.0.1:9000").await,
        "http://127.0.0.1:9000"
    );
    assert_eq!(preflight("https://evil.example").await, "");
    let path = format!("/oauth2/clients/{id}");
    assert_eq!(call("DELETE", &path, &admin, Value::Null).await.status, 204);
    assert_eq!(introspect(&format!("{id}:{secret}")).await, 401);
    assert_eq!(preflight("https://chart.example").await, "");
    call("DELETE", &path, &admin, Value::Null)
        .await
        .problem(404, "not-found");
}

#[tokio::test]
async fn the_configuration_says_what_there_is() {
    let site = Site::new();
    for path in [
        "/.well-known/smart-configuration",
        "/fhir/.well-known/smart-configuration",
    ] {
        let said = site
            .send(Request::get(path).body(Body::empty()).unwrap())
            .await
            .json();
        assert_eq!(
            said["authorization_endpoint"],
            "http://127.0.0.1:8101/oauth2/authorize"
        );
        let capabilities = said["capabilities"].as_array().unwrap();
        for one in [
            "launch-ehr",
            "launch-standalone",
            "sso-openid-connect",
            "permission-v2",
        ] {
            assert!(capabilities.contains(&json!(one)), "{one}");
        }
    }
}

#[tokio::test]
async fn ihe_pcf_8_a_token_names_the_consents_of_its_patient_and_what_they_keep_back() {
    let site = site().await;
    let ehr = site.ehr().await;
    let deny = json!({ "resourceType": "Consent", "status": "active",
        "scope": { "coding": [{ "code": "patient-privacy" }] },
        "category": [{ "coding": [{ "system": "http://loinc.org", "code": "59284-0" }] }],
        "policyRule": { "coding": [{ "code": "OPTIN" }] },
        "patient": { "reference": "Patient/p1" },
        "provision": { "type": "deny", "securityLabel": [{ "code": "HIV" }], "actor": [{
            "role": { "coding": [{ "code": "IRCP" }] },
            "reference": { "reference": "Practitioner/7" } }] } });
    let filed = site.ask(&ehr, "POST", "/Consent", &deny).await;
    assert_eq!(filed.status, 201, "{}", filed.text);
    let id = filed.json()["id"].as_str().unwrap().to_owned();
    let tokens = site.launched(("alice", Some("p1")), PATIENT_SCOPES).await;
    let said = claims(&tokens["access_token"])["extensions"]["ihe_pcf"].take();
    let expected = json!({
        "patient_id": "Patient/p1",
        "doc_id": [format!("Consent/{id}")],
        "residual": [{ "type": "forbid", "securityLabel": [{
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV" }] }],
    });
    assert_eq!(said, expected);
    let access = tokens["access_token"].as_str().unwrap();
    let asked = [("token", access)];
    let worth = site.post_form("/oauth2/introspect", &asked, Some("portal:portal-secret"));
    assert_eq!(worth.await.json()["extensions"]["ihe_pcf"], expected);
    assert_eq!(site.get(access, "/Patient/p1").await.status, 200);
    // Of a patient without consents the token says nothing.
    let tokens = site.launched(("alice", Some("p2")), PATIENT_SCOPES).await;
    assert!(claims(&tokens["access_token"]).get("extensions").is_none());
}
