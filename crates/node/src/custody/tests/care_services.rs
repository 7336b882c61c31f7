//! Care services of other members: taken once, from their member, and known to be stale.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use interop::fhir::ResourceType;
use interop::fhir::care_services::{Interfaces, published_id};
use serde_json::json;

use super::ledger::{JUNE, Ledger};
use super::{Site, clinician};
use crate::custody::{Custody, Publication, Publisher};

const TEN_MINUTES: u64 = 600_000;

fn practitioner() -> ResourceType {
    ResourceType::parse("Practitioner").unwrap()
}

fn said(id: &str, version: u64, content: &serde_json::Value) -> Publication {
    Publication {
        resource_type: practitioner(),
        id: id.to_owned(),
        version,
        content: (!content.is_null()).then(|| content.to_string().into_bytes()),
    }
}

#[tokio::test]
async fn iti_90_members_that_were_not_heard_for_ten_minutes_are_stale() {
    let ledger = Ledger::of(&["clinic", "hospital"]);
    let site = Site::at(&ledger, "clinic");
    let now = Arc::new(AtomicU64::new(JUNE));
    let clock = Arc::clone(&now);
    let mut options = site.options();
    options.clock = Arc::new(move || clock.load(Ordering::Relaxed));
    let custody = Custody::open(options, Arc::new(ledger)).unwrap();
    let hospital = "hospital".parse().unwrap();
    assert!(custody.stale_publishers().is_empty(), "nobody is followed");
    custody.follow_publishers(std::slice::from_ref(&hospital));
    assert_eq!(custody.stale_publishers()[0].heard_at_ms, None);
    custody.publisher_heard(&hospital);
    custody.follow_publishers(std::slice::from_ref(&hospital));
    now.fetch_add(TEN_MINUTES, Ordering::Relaxed);
    assert!(custody.stale_publishers().is_empty());
    now.fetch_add(1, Ordering::Relaxed);
    assert_eq!(custody.stale_publishers()[0].heard_at_ms, Some(JUNE));
    custody.follow_publishers(&[]);
    assert!(custody.stale_publishers().is_empty(), "it is no member");
}

#[tokio::test]
async fn iti_90_what_is_published_twice_is_taken_once_and_what_is_unsound_is_not() {
    let ledger = Ledger::of(&["clinic", "hospital"]);
    let site = Site::at(&ledger, "clinic");
    let custody = site.open();
    let hospital = "hospital".parse().unwrap();
    let digest = |text: &str| ::ledger::ids::Digest::of(text.as_bytes()).to_string();
    let kept = |id: &str| published_id("hospital", (practitioner(), id), &digest);
    let doctor = json!({"resourceType": "Practitioner", "id": "d1", "name": [{"family": "Holm"}]});
    let patient = json!({"resourceType": "Patient", "id": "d3"});
    let by = clinician("clinic");
    for through in [4, 4, 5] {
        let page = vec![
            said("d1", 1, &doctor),
            said(
                "d2",
                1,
                &json!({"resourceType": "Practitioner", "names": 7}),
            ),
            said("d3", 1, &patient),
            said("../d4", 1, &doctor),
            said("d5", 2, &serde_json::Value::Null),
        ];
        let interfaces = Interfaces {
            fhir: Some("https://hospital.example/fhir".to_owned()),
            hl7v2: vec!["file:///etc/passwd".to_owned()],
            dicom_web: Some("javascript:1".to_owned()),
        };
        let goes_on = Publisher::of(through, interfaces);
        custody
            .keep_publications(&hospital, page, goes_on)
            .await
            .unwrap();
    }
    let one = custody
        .read(&by, practitioner(), &kept("d1"))
        .await
        .unwrap();
    assert_eq!(one.version, 1, "it was written once");
    for id in ["d2", "d3", "../d4", "d5"] {
        let read = custody.read(&by, practitioner(), &kept(id)).await;
        assert!(read.is_err(), "{id}");
    }
    let publisher = custody.publisher(&hospital).unwrap();
    assert_eq!(publisher.through, 5);
    let interfaces = publisher.interfaces();
    assert!(interfaces.hl7v2.is_empty() && interfaces.dicom_web.is_none());

    let gone = vec![said("d1", 2, &serde_json::Value::Null)];
    let goes_on = Publisher::of(6, Interfaces::default());
    custody
        .keep_publications(&hospital, gone, goes_on)
        .await
        .unwrap();
    assert!(
        custody
            .read(&by, practitioner(), &kept("d1"))
            .await
            .is_err()
    );
}
