//! Matching shows what a search would, and its work list follows what is written.

use contracts::consent::template::{DataClass, Grant, access};
use interop::fhir::ResourceType;
use interop::identity::{Grade, Reason, Traits, blocking_keys};

use super::*;
use crate::custody::store::Table;
use crate::custody::{MatchFound, MatchWanted, PossibleMatch};

const ALL: MatchWanted = MatchWanted {
    at_least: Grade::Possible,
    count: 20,
};

fn person(id: &str, given: &str, born: &str) -> Value {
    json!({ "resourceType": "Patient", "id": id, "active": true,
        "identifier": [{ "system": "urn:mrn", "value": format!("mrn-{id}") }],
        "name": [{ "family": "Winterbourne", "given": [given] }],
        "gender": "female", "birthDate": born,
        "telecom": [{ "system": "phone", "value": "+49 30 1234-5678" }],
        "address": [{ "line": ["12 Mill Lane"], "city": "Arborfield", "postalCode": "01001" }] })
}

async fn write(custody: &Custody, patients: &[Value]) {
    let changes = patients.iter().map(|one| update(one.clone(), None));
    let by = clinician("clinic");
    custody.write(&by, changes.collect()).await.unwrap();
}

fn ids(found: &[MatchFound]) -> Vec<&str> {
    found.iter().map(|one| one.opened.id.as_str()).collect()
}

fn recorded(custody: &Custody) -> u64 {
    let inner = &custody.0;
    crate::custody::audit::head(&inner.store, &inner.home.keys)
        .unwrap()
        .number
}

/// The list once everything written is looked at.
async fn listed(custody: &Custody, all: bool) -> Vec<PossibleMatch> {
    until("the feed ends", async || {
        !custody.match_some().await.unwrap()
    })
    .await;
    let by = clinician("clinic");
    custody.possible_matches(&by, all).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_match_finds_the_person_and_not_the_others() {
    let site = Site::at(&Ledger::of(&["clinic"]), "clinic");
    let custody = site.open();
    write(
        &custody,
        &[
            person("a", "Elizabeth", "1980-03-07"),
            person("twin", "Dorothea", "1980-03-07"),
            person("child", "Judith", "2006-01-02"),
        ],
    )
    .await;
    let by = clinician("clinic");
    let mut asked = person("x", "Liz", "1980-07-03");
    asked.as_object_mut().unwrap().remove("identifier");
    let found = custody
        .match_patients(&by, &resource(asked), ALL)
        .await
        .unwrap();
    assert_eq!(ids(&found), ["a", "twin"]);
    assert_eq!(found[0].judgement.grade, Grade::Certain);
    let asked = resource(person("x", "Dorothea", "1980-03-07"));
    let found = custody.match_patients(&by, &asked, ALL).await.unwrap();
    assert_eq!(ids(&found), ["twin", "a"]);
    assert_eq!(found[1].judgement.grade, Grade::Possible);
    let nothing = resource(json!({ "resourceType": "Patient", "gender": "female" }));
    let refused = custody.match_patients(&by, &nothing, ALL).await;
    assert!(matches!(refused, Err(CustodyError::Invalid(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_match_shows_nobody_whom_a_read_would_deny_and_is_on_record() {
    let site = Site::at(&Ledger::of(&["clinic"]), "clinic");
    let custody = site.open();
    write(
        &custody,
        &[
            person("seen", "Elizabeth", "1980-03-07"),
            person("hidden", "Elizabeth", "1980-03-07"),
        ],
    )
    .await;
    let mut consent = access(&Grant {
        patient: "Patient/seen",
        grantee: "clinic",
        data: &[DataClass::All],
        purpose: "HMARKT",
        start: "2026-05-15T00:00:00Z",
        end: "2026-07-15T00:00:00Z",
    });
    consent["id"] = json!("c");
    write(&custody, &[consent]).await;
    let mut marketing = clinician("clinic");
    marketing.purpose = "HMARKT".to_owned();
    let reads = |id: &'static str| {
        let (custody, by) = (custody.clone(), marketing.clone());
        async move { custody.read(&by, ResourceType::PATIENT, id).await.is_ok() }
    };
    assert!(reads("seen").await && !reads("hidden").await);
    let before = recorded(&custody);
    let asked = resource(person("x", "Elizabeth", "1980-03-07"));
    let found = custody
        .match_patients(&marketing, &asked, ALL)
        .await
        .unwrap();
    assert_eq!(ids(&found), ["seen"]);
    assert!(recorded(&custody) > before);
    assert!(listed(&custody, true).await.len() == 1);
    assert!(
        custody
            .possible_matches(&marketing, true)
            .await
            .unwrap()
            .is_empty()
    );
    let refused = custody
        .dismiss_match(&marketing, ["seen", "hidden"], "x")
        .await;
    assert!(matches!(refused, Err(CustodyError::NotFound)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_work_list_follows_what_is_written() {
    let site = Site::at(&Ledger::of(&["clinic"]), "clinic");
    let custody = site.open();
    write(&custody, &[person("a", "Elizabeth", "1980-03-07")]).await;
    assert!(listed(&custody, true).await.is_empty());
    let mut second = person("b", "Liz", "1980-03-07");
    write(&custody, &[second.clone()]).await;
    let list = listed(&custody, false).await;
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].patients, ["a", "b"]);
    assert_eq!(
        (list[0].grade, list[0].reason),
        (Grade::Certain, Reason::Weights)
    );
    second["name"][0]["given"] = json!(["Robert"]);
    second["birthDate"] = json!("1955-01-01");
    write(&custody, &[second.clone()]).await;
    assert!(listed(&custody, true).await.is_empty());
    second["identifier"] = person("a", "", "")["identifier"].clone();
    write(&custody, &[second]).await;
    let list = listed(&custody, false).await;
    assert_eq!(
        (list[0].grade, list[0].reason),
        (Grade::Possible, Reason::SharedIdentifier)
    );
    let by = clinician("clinic");
    custody
        .dismiss_match(&by, ["b", "a"], "two people")
        .await
        .unwrap();
    assert!(listed(&custody, false).await.is_empty());
    let dismissed = &listed(&custody, true).await[0].dismissed;
    assert_eq!(dismissed.as_ref().unwrap().2, "two people");
    drop(custody);
    let again = site.open();
    assert_eq!(listed(&again, true).await.len(), 1);
    assert!(listed(&again, false).await.is_empty());
    erase_whole(&again, &by, ResourceType::PATIENT, "b")
        .await
        .unwrap();
    assert!(listed(&again, true).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn merges_that_lead_back_are_refused_at_every_write() {
    let site = Site::at(&Ledger::of(&["clinic"]), "clinic");
    let custody = site.open();
    let merged = |id: &str, into: &str| {
        let mut one = person(id, "Elizabeth", "1980-03-07");
        one["link"] =
            json!([{ "type": "replaced-by", "other": { "reference": format!("Patient/{into}") } }]);
        update(one, None)
    };
    write(
        &custody,
        &[
            person("a", "A", "1980-03-07"),
            person("b", "B", "1980-03-07"),
        ],
    )
    .await;
    let by = clinician("clinic");
    custody.write(&by, vec![merged("a", "b")]).await.unwrap();
    custody.write(&by, vec![merged("b", "c")]).await.unwrap();
    for changes in [
        vec![merged("c", "a")],
        vec![merged("d", "d")],
        vec![merged("d", "e"), merged("e", "d")],
    ] {
        let refused = custody.write(&by, changes).await;
        let Err(CustodyError::Invalid(issue)) = refused else {
            panic!("a circle was written");
        };
        assert_eq!(issue.expression, ["Patient.link"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_the_index_for_matching_holds_no_name_number_or_date() {
    let site = Site::at(&Ledger::of(&["clinic"]), "clinic");
    let custody = site.open();
    let mut planted = person("p", "Plantedgiven", "1980-03-07");
    planted["name"][0]["family"] = json!("Plantedfamily");
    write(
        &custody,
        &[planted.clone(), person("q", "Plantedgiven", "1980-03-07")],
    )
    .await;
    listed(&custody, true).await;
    drop(custody);
    let store = site.store();
    for table in [Table::Postings, Table::Matches] {
        for row in store.scan(table, &[]) {
            let (key, row) = row.unwrap();
            for bytes in [key.as_slice(), row.as_slice()] {
                let text = String::from_utf8_lossy(bytes).to_lowercase();
                assert!(!text.contains("planted") && !text.contains("1980"));
            }
        }
    }
    let terms = interop::fhir::search::IndexTerms::of(&resource(planted));
    assert!(blocking_keys(&Traits::of(&terms)).len() >= 5);
}
