use serde_json::json;

use super::*;

fn asked() -> Value {
    json!({
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "test",
        "criteria": "urn:careledger:topic:record",
        "_criteria": { "extension": [{
            "url": format!("{IG}/backport-filter-criteria"),
            "valueString": "Observation?patient=1&code=718-7",
        }] },
        "channel": {
            "type": "rest-hook",
            "endpoint": "https://ehr.example/hook",
            "header": ["Authorization: Bearer secret"],
            "payload": "application/fhir+json",
            "_payload": { "extension": [{
                "url": format!("{IG}/backport-payload-content"), "valueCode": "id-only",
            }] },
            "extension": [
                { "url": format!("{IG}/backport-heartbeat-period"), "valueUnsignedInt": 1 },
                { "url": format!("{IG}/backport-max-count"), "valuePositiveInt": 20 },
            ],
        },
    })
}

fn read(value: Value) -> Result<Subscription, SubscriptionError> {
    Subscription::read(&Resource::from_value(value).unwrap())
}

#[test]
fn a_subscription_of_the_profile_is_read() {
    let read = read(asked()).unwrap();
    assert_eq!(read.topic, Topic::Record);
    assert_eq!(read.content, Content::IdOnly);
    assert_eq!(read.heartbeat_seconds, Some(HEARTBEAT_SECONDS_MIN));
    assert_eq!(read.events_max, Some(20));
    assert_eq!(read.filters[0].resource_type.as_str(), "Observation");
    assert_eq!(read.filters[0].query, "patient=1&code=718-7");
    let Channel::RestHook { endpoint, headers } = &read.channel else {
        panic!("another channel")
    };
    assert_eq!(endpoint, "https://ehr.example/hook");
    let header = ("Authorization".to_owned(), "Bearer secret".to_owned());
    assert_eq!(headers, &[header]);
}

#[test]
fn what_cannot_be_done_is_refused_by_element() {
    use SubscriptionError::{Invalid, Missing, NotSupported};
    let cases: [(&str, Value, SubscriptionError); 8] = [
        (
            "/criteria",
            json!("Observation?code=1"),
            NotSupported("Subscription.criteria"),
        ),
        (
            "/_criteria/extension/0/valueString",
            json!("Rubbish?x=1"),
            Invalid("Subscription.criteria.extension"),
        ),
        (
            "/channel/type",
            json!("email"),
            NotSupported("Subscription.channel.type"),
        ),
        (
            "/channel/payload",
            json!("application/fhir+xml"),
            NotSupported("Subscription.channel.payload"),
        ),
        (
            "/channel/header",
            json!(["A: b\r\nHost: c"]),
            Invalid("Subscription.channel.header"),
        ),
        (
            "/channel/header",
            json!(["Host: c"]),
            Invalid("Subscription.channel.header"),
        ),
        (
            "/channel/_payload",
            json!({"id": "x"}),
            Missing("Subscription.channel.payload.extension"),
        ),
        (
            "/channel/_payload/extension/0/valueCode",
            json!("all"),
            Invalid("Subscription.channel.payload.extension"),
        ),
    ];
    for (at, value, expected) in cases {
        let mut asked = asked();
        *asked.pointer_mut(at).unwrap() = value;
        assert_eq!(read(asked), Err(expected), "{at}");
    }
}

#[test]
fn a_notification_says_no_more_than_its_content_allows() {
    let status = Status {
        url: "https://a.org/fhir/Subscription/1",
        topic: Topic::Record,
        code: "active",
        events: 2,
        now_ms: 0,
        error: None,
    };
    let event = Event {
        number: 2,
        at_ms: 0,
        focus: Some(json!({ "reference": "https://a.org/fhir/Observation/o1" })),
        context: Vec::new(),
        resource: Some((
            "https://a.org/fhir/Observation/o1".to_owned(),
            json!({ "resourceType": "Observation", "id": "o1", "status": "final" }),
        )),
        request: Some(("POST", "Observation".to_owned(), "201")),
    };
    let told = |content| {
        let bundle = notification(
            "n1",
            Kind::Events,
            &status,
            content,
            std::slice::from_ref(&event),
        );
        assert!(Resource::from_value(bundle.clone()).is_ok());
        bundle.to_string()
    };
    let (empty, ids, full) = (
        told(Content::Empty),
        told(Content::IdOnly),
        told(Content::FullResource),
    );
    assert!(empty.contains("event-number") && !empty.contains("Observation"));
    assert!(ids.contains("Observation/o1") && !ids.contains("final"));
    assert!(full.contains("final"));
}

#[test]
fn topics_have_their_own_canonical_urls() {
    for topic in Topic::ALL {
        assert_eq!(Topic::of(topic.canonical()), Some(topic));
        assert_eq!(
            Topic::of(&format!("{}|1.0.0", topic.canonical())),
            Some(topic)
        );
    }
    assert!(Resource::from_value(topic_list("https://a.org/fhir/Subscription/$topics")).is_ok());
}
