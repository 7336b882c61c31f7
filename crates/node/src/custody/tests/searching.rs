//! Searches leave no trace of what the requester may not see.

use std::cell::Cell;

use contracts::consent::life::withdrawn;
use contracts::consent::template::{DataClass, Grant, access};
use interop::fhir::ResourceType;
use interop::fhir::search::{Compartment, Handling, NoValueSets, Query, Scope};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::custody::{Opened, SearchPage};

const PATIENTS: usize = 4;

/// Searches of every kind whose answer a forbidden resource might change.
const SEARCHES: [&str; 31] = [
    "Patient?",
    "Patient?_sort=-family&_count=1",
    "Patient?_summary=count",
    "Patient?link.family=planted",
    "Patient?link:Patient.gender:not=male",
    "Patient?_has:Observation:patient:code=a",
    "Patient?_has:Observation:patient:has-member:Observation.code=b",
    "Patient?_revinclude=Observation:subject&_revinclude:iterate=Observation:has-member",
    "Patient?_include:iterate=Patient:link",
    "Observation?",
    "Observation?_count=2&_sort=value-quantity",
    "Observation?subject.family=planted",
    "Observation?has-member.subject:Patient.family=planted",
    "Observation?has-member.code=a",
    "Observation?has-member:Observation.code:not=a",
    "Observation?_include=*",
    "Observation?_include:iterate=Observation:has-member&_include:iterate=Observation:subject",
    "Observation?_id=o0,o1,o2&_revinclude=Observation:has-member",
    "Observation?_has:Observation:has-member:code=b",
    "Practitioner?_revinclude=Observation:performer",
    "Practitioner?_has:Observation:performer:code=a",
    "?_type=Patient,Observation&_count=3",
    "?_lastUpdated=ge2020&_count=2",
    "Practitioner/d/Observation?_count=1",
    "Patient?_text=secret",
    "Patient?_content=planted OR secret&_count=1",
    "Observation?_content=NOT a",
    "Observation?_filter=code eq a or subject.family co planted",
    "Observation?_filter=not(has-member.code eq a) and value-quantity gt 5&_count=2",
    "Patient?_filter=not(link.gender eq male) or _text co secret",
    "Observation?_filter=subject pr true and not(subject:Patient._text co secret)",
];

#[derive(Debug, Clone)]
struct World {
    granted: Vec<bool>,
    links: Vec<usize>,
    /// Patient, code, member, value.
    observations: Vec<(usize, usize, usize, u32)>,
}

fn worlds() -> impl Strategy<Value = World> {
    let one = (0..PATIENTS, 0..3_usize, 0..8_usize, 0..50_u32);
    (
        proptest::collection::vec(any::<bool>(), PATIENTS),
        proptest::collection::vec(0..PATIENTS, PATIENTS),
        proptest::collection::vec(one, 1..8),
    )
        .prop_map(|(granted, links, observations)| World {
            granted,
            links,
            observations,
        })
}

impl World {
    /// What is written; without the rest, only what the clinic may see.
    fn changes(&self, with_forbidden: bool) -> Vec<Change> {
        let mut changes = vec![json!({"resourceType": "Practitioner", "id": "d"})];
        let is_there = |of: usize| with_forbidden || self.granted[of];
        for (index, link) in self.links.iter().enumerate() {
            if is_there(index) {
                let mut patient = patient(&format!("p{index}"));
                let div =
                    format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">secret {index}</div>");
                patient["text"] = json!({"status": "generated", "div": div});
                patient["gender"] = json!(if index % 2 == 0 { "male" } else { "female" });
                patient["link"] = json!([{"type": "seealso",
                    "other": {"reference": format!("Patient/p{link}")}}]);
                changes.push(patient);
            }
        }
        for (index, (of, code, member, value)) in self.observations.iter().enumerate() {
            if is_there(*of) {
                let mut one = observation(&format!("p{of}"), "x");
                one["id"] = json!(format!("o{index}"));
                let code = ["a", "b", "c"][*code];
                one["code"] = json!({"coding": [{"code": code}]});
                one["performer"] = json!([{"reference": "Practitioner/d"}]);
                one["hasMember"] = json!([{"reference": format!("Observation/o{member}")}]);
                one["valueQuantity"] = json!({"value": value});
                changes.push(one);
            }
        }
        for (index, granted) in self.granted.iter().enumerate() {
            if *granted {
                let mut consent = grant(&format!("Patient/p{index}"));
                consent["id"] = json!(format!("c{index}"));
                changes.push(consent);
            }
        }
        changes
            .into_iter()
            .map(|value| update(value, None))
            .collect()
    }
}

fn grant(patient: &str) -> Value {
    access(&Grant {
        patient,
        grantee: "clinic",
        data: &[DataClass::All],
        purpose: "TREAT",
        start: "2026-05-15T00:00:00Z",
        end: "2026-07-15T00:00:00Z",
    })
}

fn query(text: &str) -> Query {
    let (path, pairs) = text.split_once('?').unwrap();
    let scope = match path.split('/').collect::<Vec<_>>().as_slice() {
        [""] => Scope::System,
        [kind] => Scope::Type(ResourceType::parse(kind).unwrap()),
        [kind, id, member] => {
            let resource_type = ResourceType::parse(kind).unwrap();
            let compartment = Compartment {
                resource_type,
                id: (*id).to_owned(),
            };
            Scope::Compartment(compartment, ResourceType::parse(member))
        }
        _ => panic!("{text}"),
    };
    let pairs = pairs.split('&').filter_map(|pair| pair.split_once('='));
    let pairs: Vec<_> = pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Query::read(&scope, &pairs, Handling::Strict, &NoValueSets).unwrap()
}

fn shown(opened: &[Opened]) -> Vec<String> {
    opened
        .iter()
        .map(|one| one.presented().to_string())
        .collect()
}

/// All pages, byte for byte.
async fn answer(custody: &Custody, text: &str) -> Vec<(Vec<String>, Vec<String>, Option<usize>)> {
    let by = clinician("clinic");
    let query = query(text);
    let mut page: SearchPage = custody.search(&by, &query).await.unwrap();
    let mut pages = Vec::new();
    loop {
        pages.push((shown(&page.matches), shown(&page.included), page.total));
        let Some(further) = page.further else {
            return pages;
        };
        page = custody
            .search_further(&by, &query, further)
            .await
            .unwrap()
            .unwrap();
    }
}

#[test]
fn an_answer_is_the_same_whether_what_is_forbidden_exists_or_not() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let seen = [Cell::new(0), Cell::new(0)];
    let config = Config {
        cases: 12,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&worlds(), |world| {
            let answers = [true, false].map(|with_forbidden| {
                let ledger = Ledger::of(&["clinic", "hospital"]);
                let site = Site::at(&ledger, "hospital");
                runtime.block_on(async {
                    let custody = site.open();
                    let changes = world.changes(with_forbidden);
                    custody
                        .write(&clinician("hospital"), changes)
                        .await
                        .unwrap();
                    let mut answers = Vec::new();
                    for text in SEARCHES {
                        answers.push((text, answer(&custody, text).await));
                    }
                    answers
                })
            });
            let [with, without] = &answers;
            for ((text, with), (_, without)) in with.iter().zip(without) {
                prop_assert!(with == without, "{}", text);
                let is_found = with.iter().any(|page| !page.0.is_empty());
                let count = &seen[usize::from(is_found)];
                count.set(count.get() + 1);
            }
            Ok(())
        })
        .unwrap();
    assert!(
        seen.iter().all(|count| count.get() > 0),
        "some searches find, some do not"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_is_asked_again_at_each_page() {
    let ledger = Ledger::of(&["clinic", "hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    let mut consent = grant("Patient/p");
    consent["id"] = json!("c");
    let mut changes = vec![update(patient("p"), None), update(consent.clone(), None)];
    changes.extend((0..3).map(|_| create(observation("p", "x"))));
    custody
        .write(&clinician("hospital"), changes)
        .await
        .unwrap();

    let by = clinician("clinic");
    let query = query("Observation?_count=1");
    let first = custody.search(&by, &query).await.unwrap();
    assert_eq!((first.matches.len(), first.total), (1, None));
    let second = custody
        .search_further(&by, &query, first.further.unwrap())
        .await;
    let second = second.unwrap().unwrap();
    assert_eq!((second.matches.len(), second.total), (1, None));
    let withdrawn = vec![update(withdrawn(consent), None)];
    custody
        .write(&clinician("hospital"), withdrawn)
        .await
        .unwrap();
    let third = custody
        .search_further(&by, &query, second.further.unwrap())
        .await;
    let third = third.unwrap().unwrap();
    assert!(third.matches.is_empty());
    assert_eq!(third.further, None);
    assert_eq!(custody.search(&by, &query).await.unwrap().total, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hierarchy_is_searched_to_its_ends_and_around_its_corners() {
    let ledger = Ledger::of(&["clinic", "hospital"]);
    let site = Site::at(&ledger, "clinic");
    let custody = site.open();
    let by = clinician("clinic");
    let place = |id: &str, whole: Option<&str>| {
        let mut place = json!({"resourceType": "Location", "id": id, "name": id});
        if let Some(whole) = whole {
            place["partOf"] = json!({"reference": format!("Location/{whole}")});
        }
        update(place, None)
    };
    let changes = vec![
        place("house", None),
        place("floor", Some("house")),
        place("room", Some("floor")),
        place("bed", Some("room")),
        place("east", Some("west")),
        place("west", Some("east")),
    ];
    custody.write(&by, changes).await.unwrap();
    for (text, expected) in [
        ("below=Location/house", "bed floor room"),
        ("below=Location/floor", "bed room"),
        ("below=Location/bed", ""),
        ("below=Location/nowhere", ""),
        ("above=Location/floor", "floor room"),
        ("above=Location/bed", "bed floor room"),
        ("above=Location/house", "floor"),
        ("below=Location/east", "east west"),
        ("above=Location/east", "east west"),
    ] {
        let query = query(&format!("Location?partof:{text}"));
        let page = custody.search(&by, &query).await.unwrap();
        let mut found: Vec<&str> = page.matches.iter().map(|one| one.id.as_str()).collect();
        found.sort_unstable();
        assert_eq!(found.join(" "), expected, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_each_of_some_queries_is_answered_in_its_place_and_on_record() {
    let ledger = Ledger::of(&["clinic"]);
    let site = Site::at(&ledger, "clinic");
    let custody = site.open();
    let by = clinician("clinic");
    custody
        .write(
            &by,
            vec![update(patient("p"), None), update(patient("q"), None)],
        )
        .await
        .unwrap();
    let asked = [
        "Patient?_id=q",
        "Observation?_id=r",
        "Patient?_id=p",
        "Condition?_id=s",
    ];
    let queries = asked.map(query);
    let pages = custody.search_each(&by, &queries).await.unwrap();
    let found = pages.iter().map(|page| shown(&page.matches));
    let found: Vec<Vec<String>> = found.collect();
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 1, 0]);
    assert!(
        found[0][0].contains('q') && found[2][0].contains('p'),
        "{found:?}"
    );
    let wanted = crate::custody::audit::AuditWanted::all();
    let log = custody.audit_log(&wanted, 100).unwrap().into_iter();
    let searches = log.filter(|(_, entry)| entry.interaction == "search");
    let mut searches: Vec<String> = searches.map(|(_, entry)| entry.target).collect();
    searches.sort();
    assert_eq!(
        searches,
        ["Condition?", "Observation?", "Patient?", "Patient?"]
    );
}
