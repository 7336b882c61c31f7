//! Break-glass: declared, narrowed, told, reviewed.

use serde_json::{Value, json};

use crate::support::{Answer, Ask, BASE, Browser, Site, Wallet, jwt, observation};

const EHR: [u8; 32] = [1; 32];
/// Words that stand in what was declared, and in no error and no log.
const JUSTIFICATION: &str = "plantedkey says nothing of anticoagulants";

/// A system's assertion for its practitioner, for this audience.
fn assertion(site: &Site, audience: &str, practitioner: &str, role: &str, purpose: &str) -> String {
    let claims = json!({
        "iss": "ehr", "sub": "ehr", "aud": audience,
        "exp": site.now() + 240, "jti": uuid::Uuid::new_v4().to_string(),
        "extensions": { "hl7-b2b": { "subject_id": practitioner, "subject_role": role,
            "purpose_of_use": purpose } },
    });
    jwt(&EHR, &claims)
}

fn place(patient: &str) -> String {
    format!("{BASE}/fhir/Patient/{patient}/$break-glass")
}

fn declaration(changes: &[(&str, Value)]) -> Value {
    let mut said = vec![
        ("reason", json!({ "valueCode": "ETREAT" })),
        ("justification", json!({ "valueString": JUSTIFICATION })),
        (
            "nature",
            json!({ "valueString": "unconscious after a fall" }),
        ),
    ];
    for (name, value) in changes {
        said.retain(|(one, _)| one != name);
        if !value.is_null() {
            said.push((name, value.clone()));
        }
    }
    let parameters = said.into_iter().map(|(name, mut value)| {
        value["name"] = name.into();
        value
    });
    json!({ "resourceType": "Parameters", "parameter": parameters.collect::<Vec<_>>() })
}

fn shown(site: &Site, patient: &str) -> Value {
    let text = assertion(
        site,
        &place(patient),
        "Practitioner/7",
        "physician",
        "TREAT",
    );
    json!({ "valueString": text })
}

/// Declares as the EHR's physician.
async fn declare(site: &Site, patient: &str, changes: &[(&str, Value)]) -> Answer {
    let token = site.ehr().await;
    let mut changes = changes.to_vec();
    if !changes.iter().any(|(name, _)| *name == "assertion") {
        changes.push(("assertion", shown(site, patient)));
    }
    let path = format!("/Patient/{patient}/$break-glass");
    site.ask(&token, "POST", &path, &declaration(&changes))
        .await
}

fn said<'a>(body: &'a Value, name: &str) -> &'a Value {
    let parts = body["parameter"].as_array().unwrap();
    parts.iter().find(|one| one["name"] == name).unwrap()
}

fn token_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    said(&body, "access_token")["valueString"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The token of somebody who reviews.
async fn officer(site: &Site, practitioner: &str) -> String {
    let audience = format!("{BASE}/oauth2/token");
    let text = assertion(site, &audience, practitioner, "privacy-officer", "HOPERAT");
    let answer = site.exchange(&text, "system/*.cruds").await;
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

async fn condition(site: &Site, patient: &str) -> String {
    let ehr = site.ehr().await;
    let body = observation(patient, "718-7");
    let answer = site.ask(&ehr, "POST", "/Observation", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn review(outcome: &str, reason: &str) -> Value {
    json!({ "resourceType": "Parameters", "parameter": [
        { "name": "outcome", "valueCode": outcome },
        { "name": "reason", "valueCode": reason },
        { "name": "comment", "valueString": "as the chart of that night shows" },
    ] })
}

/// Each opening under the emergency is in the patient's history.
async fn names_each_opening(site: &Site, own: &str, patient: &str) {
    // Each opening has an entry of its own, with the four fields; the justification stands in the first alone.
    let history = site
        .get(own, &format!("/Patient/{patient}/$access-history"))
        .await;
    let entries = history.json()["parameter"].as_array().unwrap().clone();
    let part = |entry: &Value, name: &str| {
        let parts = entry["part"].as_array().unwrap();
        parts.iter().find(|one| one["name"] == name).cloned()
    };
    let of_emergency: Vec<(String, Value)> = entries
        .iter()
        .filter_map(|entry| {
            let declared = part(entry, "emergency")?;
            let interaction = part(entry, "interaction")?["valueString"]
                .as_str()?
                .to_owned();
            Some((interaction, declared))
        })
        .collect();
    let interactions: Vec<&str> = of_emergency.iter().map(|(one, _)| one.as_str()).collect();
    assert_eq!(
        interactions,
        ["break-glass", "read", "search", "everything"]
    );
    for (at, (_, declared)) in of_emergency.iter().enumerate() {
        for (name, expected) in [
            ("personnel", "Practitioner/7"),
            ("affiliation", "clinic"),
            ("discloser", "clinic"),
            ("nature", "unconscious after a fall"),
            ("reason", "ETREAT"),
        ] {
            assert_eq!(part(declared, name).unwrap()["valueString"], expected);
        }
        assert!(part(declared, "from").unwrap()["valueInstant"].is_string());
        assert_eq!(part(declared, "justification").is_some(), at == 0);
    }
    assert!(
        entries
            .iter()
            .all(|entry| part(entry, "further").is_none() || part(entry, "emergency").is_none())
    );
}

async fn is_reviewed_by_somebody_else(site: &Site, patient: &str) {
    // The review.
    let officer_token = officer(site, "Practitioner/90").await;
    let open = site
        .get(
            &officer_token,
            "/Task?code=break-glass-review&status=requested",
        )
        .await;
    let task = open.json()["entry"][0]["resource"].clone();
    assert_eq!(
        task["restriction"]["period"]["end"], "2026-06-04T00:00:00.000Z",
        "{task}"
    );
    assert_eq!(task["for"]["reference"], format!("Patient/{patient}"));
    let path = format!("/Task/{}/$review", task["id"].as_str().unwrap());
    let body = review("not-justified", "no-emergency");
    let declarer = officer(site, "Practitioner/7").await;
    site.ask(&declarer, "POST", &path, &body)
        .await
        .problem(403, "forbidden");
    let ehr = site.ehr().await;
    site.ask(&ehr, "POST", &path, &body)
        .await
        .problem(403, "forbidden");
    for (outcome, reason) in [("justified", "no-emergency"), ("not-justified", "x")] {
        let wrong = review(outcome, reason);
        site.ask(&officer_token, "POST", &path, &wrong)
            .await
            .problem(422, "code-invalid");
    }
    let closed = site.ask(&officer_token, "POST", &path, &body).await;
    assert_eq!(closed.status, 200, "{}", closed.text);
    assert_eq!(
        closed.json()["businessStatus"]["coding"][0]["code"],
        "not-justified"
    );
    assert_eq!(closed.json()["status"], "completed");
    site.ask(&officer_token, "POST", &path, &body)
        .await
        .problem(422, "conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn part2_5_break_glass_opens_is_in_the_patients_history_and_is_reviewed() {
    let site = Site::new();
    let wallet = Wallet::new(9);
    let patient = wallet.enroll(&site).await;
    let id = condition(&site, &patient).await;
    let answer = declare(&site, &patient, &[]).await;
    let token = token_of(&answer);
    let read = site.get(&token, &format!("/Observation/{id}")).await;
    assert_eq!(read.status, 200, "{}", read.text);
    let found = site
        .get(&token, &format!("/Observation?patient={patient}"))
        .await;
    assert_eq!(found.json()["total"], 1, "{}", found.text);
    let everything = site
        .get(&token, &format!("/Patient/{patient}/$everything"))
        .await;
    assert_eq!(everything.status, 200, "{}", everything.text);

    let own = wallet.token(&site, &patient).await;
    names_each_opening(&site, &own, &patient).await;
    // The patient was told.
    let told = site
        .get(&own, &format!("/Communication?patient={patient}"))
        .await;
    let text = told.json()["entry"][0]["resource"]["payload"][0]["contentString"].clone();
    let text = text.as_str().unwrap().to_owned();
    assert!(
        text.contains("Practitioner/7, clinic") && text.contains("network/break-glass"),
        "{text}"
    );

    is_reviewed_by_somebody_else(&site, &patient).await;

    // What was not justified has ended, and the patient is told so.
    site.get(&token, &format!("/Observation/{id}"))
        .await
        .problem(403, "forbidden");
    let told = site
        .get(&own, &format!("/Communication?patient={patient}"))
        .await;
    assert_eq!(told.json()["total"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declaration_takes_a_sign_in_of_just_now_or_an_assertion_made_for_it() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p1").await;
    let stepped_down = |answer: &Answer| {
        answer.problem(401, "login");
        let challenge = answer.header("www-authenticate").to_owned();
        assert!(
            challenge.contains("insufficient_user_authentication"),
            "{challenge}"
        );
        assert!(challenge.contains("max_age=\"120\""), "{challenge}");
    };
    stepped_down(&declare(&site, "p1", &[("assertion", Value::Null)]).await);
    let elsewhere = [
        assertion(&site, &place("p2"), "Practitioner/7", "physician", "TREAT"),
        assertion(&site, &place("p1"), "Practitioner/8", "physician", "TREAT"),
        assertion(
            &site,
            &format!("{BASE}/oauth2/token"),
            "Practitioner/7",
            "physician",
            "TREAT",
        ),
    ];
    for text in elsewhere {
        stepped_down(
            &declare(
                &site,
                "p1",
                &[("assertion", json!({ "valueString": text }))],
            )
            .await,
        );
    }
    let once = shown(&site, "p1");
    let first = declare(&site, "p1", &[("assertion", once.clone())]).await;
    token_of(&first);
    stepped_down(&declare(&site, "p1", &[("assertion", once)]).await);

    // A person: two minutes after signing in it is too late; `prompt=login` asks again in the same browser.
    let mut browser = Browser::default();
    let scopes = "launch/patient patient/*.rs user/*.rs";
    let by_hand = async |token: &str| {
        let body = declaration(&[]);
        site.ask(token, "POST", "/Patient/p1/$break-glass", &body)
            .await
    };
    let code = browser
        .code(&site, ("alice", Some("p1")), &[], scopes)
        .await;
    let token = site.redeem(&code, &[]).await.json()["access_token"].clone();
    let token = token.as_str().unwrap().to_owned();
    token_of(&by_hand(&token).await);
    site.pass(121);
    stepped_down(&by_hand(&token).await);
    let page = browser.authorize(&site, &[("prompt", "login")]).await;
    assert!(page.text.contains("password"), "{}", page.text);
    let page = browser.authorize(&site, &[("max_age", "60")]).await;
    assert!(page.text.contains("password"), "{}", page.text);
    let code = browser
        .code(&site, ("alice", Some("p1")), &[("prompt", "login")], scopes)
        .await;
    let token = site.redeem(&code, &[]).await.json()["access_token"].clone();
    token_of(&by_hand(token.as_str().unwrap()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn part2_5_what_is_not_declared_in_full_is_refused_and_leaves_nothing() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p1").await;
    let text = |text: &str| json!({ "valueString": text });
    let refused = [
        ("justification", Value::Null, 422, "required"),
        ("justification", text("  "), 422, "required"),
        ("nature", Value::Null, 422, "required"),
        ("personnel", text(" "), 422, "required"),
        ("affiliation", text(" "), 422, "required"),
        ("discloser", text(" "), 422, "required"),
        ("reason", Value::Null, 422, "required"),
        ("reason", json!({ "valueCode": "HMARKT" }), 422, "required"),
        (
            "minutes",
            json!({ "valuePositiveInt": 241 }),
            422,
            "business-rule",
        ),
        (
            "minutes",
            json!({ "valueInteger": -1 }),
            422,
            "business-rule",
        ),
        ("type", json!({ "valueCode": "plantedkey" }), 400, "value"),
        ("nature", text(&"plantedkey".repeat(500)), 422, "required"),
    ];
    for (name, value, status, code) in refused {
        declare(&site, "p1", &[(name, value)])
            .await
            .problem(status, code);
    }
    // Nobody declares without a practitioner, and no patient does.
    let system = Ask {
        purpose: None,
        ..Ask::default()
    };
    let nobody = site.ask_for_token(&system).await;
    assert_ne!(nobody.status, 200, "the EHR has several purposes");
    let body = declaration(&[("assertion", shown(&site, "p1"))]);
    let marketing = Ask {
        purpose: Some("HMARKT"),
        ..Ask::default()
    };
    let marketing = site.token(&marketing).await;
    let path = "/Patient/p1/$break-glass";
    site.ask(&marketing, "POST", path, &body)
        .await
        .problem(403, "forbidden");
    declare(&site, "nobody", &[])
        .await
        .problem(404, "not-found");
    let officer_token = officer(&site, "Practitioner/90").await;
    let tasks = site
        .get(&officer_token, "/Task?code=break-glass-review")
        .await;
    assert_eq!(
        tasks.json()["total"],
        0,
        "what is refused leaves nothing to review"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_opens_its_patient_its_types_and_its_time_alone() {
    let site = Site::new();
    let ehr = site.ehr().await;
    site.patient(&ehr, "p1").await;
    site.patient(&ehr, "p2").await;
    let (one, other) = (condition(&site, "p1").await, condition(&site, "p2").await);
    let types = [
        ("type", json!({ "valueCode": "Observation" })),
        ("minutes", json!({ "valuePositiveInt": 5 })),
    ];
    let answer = declare(&site, "p1", &types).await;
    assert_eq!(said(&answer.json(), "expires_in")["valueUnsignedInt"], 300);
    let token = token_of(&answer);
    let opens = async |path: &str| site.get(&token, path).await;
    assert_eq!(opens(&format!("/Observation/{one}")).await.status, 200);
    opens(&format!("/Observation/{other}"))
        .await
        .problem(403, "forbidden");
    opens("/Patient/p1").await.problem(403, "forbidden");
    opens("/Patient/p2/$everything")
        .await
        .problem(403, "forbidden");
    let found = opens("/Observation?code=718-7").await;
    assert_eq!(found.json()["total"], 1, "{}", found.text);
    // It changes nothing, declares nothing, and closes no review.
    let write = site
        .ask(&token, "POST", "/Observation", &observation("p1", "718-7"))
        .await;
    write.problem(403, "forbidden");
    let body = declaration(&[("assertion", shown(&site, "p1"))]);
    let again = site
        .ask(&token, "POST", "/Patient/p1/$break-glass", &body)
        .await;
    again.problem(403, "forbidden");
    let officer_token = officer(&site, "Practitioner/90").await;
    let tasks = site
        .get(&officer_token, "/Task?code=break-glass-review")
        .await;
    let task = tasks.json()["entry"][0]["resource"].clone();
    let place = format!("/Task/{}", task["id"].as_str().unwrap());
    site.ask(&ehr, "PUT", &place, &task)
        .await
        .problem(403, "forbidden");
    site.ask(&ehr, "DELETE", &place, &Value::Null)
        .await
        .problem(403, "forbidden");
    // Its token ends with it.
    site.pass(301);
    opens(&format!("/Observation/{one}"))
        .await
        .problem(401, "expired");
}
