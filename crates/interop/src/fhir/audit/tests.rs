//! Events held against what the profiles of Basic Audit Log Patterns require, which stand here as snapshots: cardinality,
//! patterns and slices of the elements that they constrain.

mod profile;

use serde_json::{Value, json};

use self::profile::{EntitySlice, Pattern, lacks};
use super::parts::{DCM, REST, SCT};
use super::*;

const TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const BALP: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem";
const IRCP: (&str, &str) = (
    "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
    "IRCP",
);
const AUT: (&str, &str) = (IRCP.0, "AUT");
const CLIENT: (&str, &str) = (DCM, "110153");
const SERVER: (&str, &str) = (DCM, "110152");

fn agent() -> AuditAgent {
    AuditAgent {
        client: "ehr".to_owned(),
        address: Some("192.0.2.7".to_owned()),
        user: Some("Practitioner/7".to_owned()),
        role: Some("physician".to_owned()),
        purpose: Some("TREAT".to_owned()),
        organization: "clinic".to_owned(),
        token: Some(AuditToken::Minimal {
            jti: "j-1".to_owned(),
            issuer: "https://clinic.example".to_owned(),
        }),
    }
}

fn site() -> AuditSite {
    AuditSite {
        base: "https://clinic.example/fhir".to_owned(),
        member: "clinic".to_owned(),
    }
}

fn entry(interaction: &str) -> AuditEntry {
    AuditEntry {
        recorded: 1_780_272_000_700,
        request_id: Some("6f2b6d8e-30cb-4a3e-9d2b-0a9a3c0d6b7e".to_owned()),
        patient: Some("p1".to_owned()),
        target: "Observation/17".to_owned(),
        documents: vec!["Observation/17".to_owned()],
        ..AuditEntry::new(interaction, agent())
    }
}

fn person() -> EntitySlice {
    ("patient", (TYPE.to_owned(), "1"), Some("1"), &["what"])
}

fn data() -> EntitySlice {
    ("data", (TYPE.to_owned(), "2"), Some("4"), &["what"])
}

fn transaction() -> EntitySlice {
    (
        "transaction",
        (format!("{BALP}/BasicAuditEntityType"), "XrequestId"),
        None,
        &["what"],
    )
}

fn rest(code: &'static str, action: &'static str) -> Pattern {
    let user = if action == "R" { IRCP } else { AUT };
    let (client, server) = match action {
        "R" => (SERVER, CLIENT),
        "D" => (
            (DCM, "110150"),
            (
                "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
                "custodian",
            ),
        ),
        _ => (CLIENT, SERVER),
    };
    Pattern {
        kind: (
            "http://terminology.hl7.org/CodeSystem/audit-event-type",
            "rest",
        ),
        subtype: (REST, code),
        action,
        outcome: Some("0"),
        agents: vec![
            ("client", client, true, None),
            ("server", server, true, None),
            ("user", user, false, Some(true)),
        ],
        entities: vec![person(), data(), transaction()],
        entities_min: 2,
        closes_entities: false,
    }
}

fn first(entry: &AuditEntry) -> Value {
    events(&site(), 12, entry).remove(0)
}

#[test]
fn balp_create_read_update_and_delete_with_a_patient_keep_their_profiles() {
    for (interaction, action) in [
        ("create", "C"),
        ("read", "R"),
        ("vread", "R"),
        ("update", "U"),
        ("patch", "U"),
        ("delete", "D"),
    ] {
        let event = first(&entry(interaction));
        let pattern = rest(interaction, action);
        assert_eq!(
            lacks(&pattern, &event),
            Vec::<String>::new(),
            "{interaction}"
        );
    }
}

#[test]
fn balp_without_a_patient_there_is_no_patient_entity_and_nothing_else_changes() {
    let entry = AuditEntry {
        patient: None,
        ..entry("read")
    };
    let pattern = Pattern {
        entities: vec![data(), transaction()],
        entities_min: 1,
        ..rest("read", "R")
    };
    assert_eq!(lacks(&pattern, &first(&entry)), Vec::<String>::new());
    assert!(
        !lacks(&rest("read", "R"), &first(&entry)).is_empty(),
        "the profile tells"
    );
}

#[test]
fn balp_a_query_keeps_the_raw_request_in_base64_and_names_the_patient() {
    let entry = AuditEntry {
        target: "Observation?code".to_owned(),
        query: Some("GET /fhir/Observation?code=1".to_owned()),
        ..entry("search")
    };
    let event = first(&entry);
    let query = (
        "query",
        (TYPE.to_owned(), "2"),
        Some("24"),
        &["query"] as &[&str],
    );
    let pattern = Pattern {
        agents: vec![
            ("client", CLIENT, true, None),
            ("server", SERVER, true, None),
            ("user", IRCP, false, Some(true)),
        ],
        entities: vec![person(), query, transaction()],
        ..rest("search-type", "E")
    };
    assert_eq!(lacks(&pattern, &event), Vec::<String>::new());
    let query = &event["entity"][1]["query"];
    assert_eq!(*query, "R0VUIC9maGlyL09ic2VydmF0aW9uP2NvZGU9MQ==");
}

#[test]
fn balp_a_disclosure_names_source_recipient_patient_and_data_on_both_sides() {
    for (passing, kind, action) in [
        (Passing::To("payer".to_owned()), "110106", "R"),
        (Passing::From("payer".to_owned()), "110107", "C"),
    ] {
        let entry = AuditEntry {
            passing: Some(passing),
            consents: vec!["clinic/c1".to_owned()],
            ..entry("everything")
        };
        let event = first(&entry);
        let pattern = Pattern {
            kind: (DCM, kind),
            subtype: (
                "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle",
                "disclose",
            ),
            action,
            outcome: Some("0"),
            agents: vec![
                ("source", CLIENT, true, None),
                ("recipient", SERVER, true, None),
                ("custodian", (SCT, "159541003"), false, None),
                ("authorizer", (SCT, "429577009"), false, None),
            ],
            entities: vec![person()],
            entities_min: 2,
            closes_entities: false,
        };
        assert_eq!(lacks(&pattern, &event), Vec::<String>::new(), "{kind}");
        let agents = event["agent"].as_array().unwrap();
        let own = agents
            .iter()
            .filter(|one| one["who"] == event["source"]["observer"]);
        assert!(own.count() >= 1, "val-audit-source");
    }
}

#[test]
fn ihe_pcf_9_a_decision_by_consent_is_an_authz_consent_event_with_its_outcome() {
    for (outcome, code) in [(AuditOutcome::Done, "0"), (AuditOutcome::Denied, "8")] {
        let entry = AuditEntry {
            outcome,
            reason: (outcome == AuditOutcome::Denied).then(|| "the patient denies it".to_owned()),
            rules: vec!["consent/clinic/c1/2".to_owned()],
            consents: vec!["clinic/c1".to_owned(), "payer/c9".to_owned()],
            ..entry("read")
        };
        let all = events(&site(), 12, &entry);
        let event = &all[1];
        assert_eq!(event["id"], "12-authz");
        assert_eq!(number_of("12-authz"), Some(12));
        let pattern = Pattern {
            kind: (DCM, "110113"),
            subtype: (
                "https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType",
                "AuthZ-Consent",
            ),
            action: "E",
            outcome: Some(code),
            agents: vec![
                ("client", (DCM, "110150"), true, Some(false)),
                ("user", IRCP, false, Some(true)),
                (
                    "userorg",
                    ("http://terminology.hl7.org/CodeSystem/v3-RoleClass", "PROV"),
                    false,
                    Some(false),
                ),
                (
                    "authorizer",
                    (
                        "http://terminology.hl7.org/CodeSystem/extra-security-role-type",
                        "authserver",
                    ),
                    false,
                    Some(false),
                ),
            ],
            entities: vec![
                person(),
                (
                    "consent",
                    ("http://hl7.org/fhir/resource-types".to_owned(), "Consent"),
                    None,
                    &["what"],
                ),
                (
                    "token",
                    (format!("{BALP}/UserAgentTypes"), "UserOauthAgent"),
                    None,
                    &["what"],
                ),
            ],
            entities_min: 2,
            closes_entities: true,
        };
        assert_eq!(lacks(&pattern, event), Vec::<String>::new(), "{code}");
        let said = event["outcomeDesc"].as_str().unwrap();
        assert!(said.contains("consent/clinic/c1/2"), "{said}");
        assert_eq!(event["entity"][1]["what"]["reference"], "Consent/c1");
    }
}

#[test]
fn balp_a_token_is_named_by_its_jti_or_by_its_last_characters() {
    let event = first(&entry("read"));
    let user = &event["agent"][2];
    assert_eq!(user["policy"][0], "urn:ietf:params:oauth:jti:j-1");
    assert_eq!(
        user["who"]["identifier"]["system"],
        "https://clinic.example"
    );
    assert_eq!(user["type"]["coding"][1]["code"], "UserOauthAgent");
    assert_eq!(user["purposeOfUse"][0]["coding"][0]["code"], "TREAT");
    let long = "a".repeat(60) + &"b".repeat(32);
    assert!(AuditToken::opaque(&long) == AuditToken::Opaque("b".repeat(32)));
    assert!(AuditToken::opaque("abcdef") == AuditToken::Opaque("def".to_owned()));
}

#[test]
fn balp_a_token_that_is_issued_or_refused_is_an_event_of_iti_71() {
    let issued = AuditEntry {
        patient: None,
        target: "system/*.rs".to_owned(),
        ..entry("token")
    };
    let refused = AuditEntry {
        target: String::new(),
        outcome: AuditOutcome::Denied,
        reason: Some("the client is not known".to_owned()),
        agent: AuditAgent {
            user: None,
            token: None,
            ..agent()
        },
        ..issued.clone()
    };
    for (entry, outcome, entities) in [(issued, "0", 2), (refused, "8", 1)] {
        let event = first(&entry);
        let user = ("user", IRCP, false, Some(true));
        let mut agents = vec![
            ("client", (DCM, "110150"), true, None),
            (
                "server",
                (
                    "https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes",
                    "AuthzOauthService",
                ),
                true,
                None,
            ),
        ];
        agents.extend(entry.agent.user.is_some().then_some(user));
        let pattern = Pattern {
            kind: (DCM, "110114"),
            subtype: ("urn:ihe:event-type-code", "ITI-71"),
            action: "E",
            outcome: Some(outcome),
            agents,
            entities: Vec::new(),
            entities_min: 1,
            closes_entities: false,
        };
        assert_eq!(lacks(&pattern, &event), Vec::<String>::new());
        assert_eq!(event["entity"].as_array().unwrap().len(), entities);
        assert!(event["entity"][0].get("what").is_none());
    }
}

#[test]
fn the_same_entry_makes_the_same_events_and_survives_its_own_encoding() {
    let entry = AuditEntry {
        rules: vec!["network/own-care".to_owned()],
        ..entry("read")
    };
    let bytes = minicbor::to_vec(&entry).unwrap();
    let again: AuditEntry = minicbor::decode(&bytes).unwrap();
    assert!(again == entry);
    assert_eq!(events(&site(), 3, &again), events(&site(), 3, &entry));
    assert!(!format!("{entry:?}").contains("p1"), "Debug says nothing");
}

#[test]
fn an_event_that_was_fed_keeps_its_content_and_says_who_sent_it() {
    let sent = json!({"resourceType": "AuditEvent", "id": "theirs", "action": "R",
        "meta": {"tag": [{"code": "own"}]}});
    let entry = AuditEntry {
        fed: Some(sent.to_string().into_bytes()),
        ..entry("feed")
    };
    let event = first(&entry);
    assert_eq!(
        (&event["id"], &event["action"]),
        (&json!("12"), &json!("R"))
    );
    let tags = event["meta"]["tag"].as_array().unwrap();
    assert_eq!(
        (&tags[0]["code"], &tags[1]["code"]),
        (&json!("own"), &json!("ehr"))
    );
}
