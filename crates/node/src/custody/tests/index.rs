//! The index for searches finds what a scan finds, holds nothing of what is gone, and is made anew while the node runs.

use std::collections::BTreeSet;

use interop::fhir::ResourceType;
use interop::fhir::search::{Handling, Query};

use crate::custody::postings::{Filed, Posting};
use crate::custody::reindex::STATE_KEY;
use crate::custody::store::Table;

use super::*;

/// More than a search scans without a look at the postings.
const MANY: usize = 200;

fn query(resource_type: &str, pairs: &[(&str, &str)]) -> Query {
    let resource_type = ResourceType::parse(resource_type).unwrap();
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Query::parse(resource_type, &pairs, Handling::Strict).unwrap()
}

async fn ids(custody: &Custody, query: &Query) -> BTreeSet<String> {
    let mut query = query.clone();
    query.count = 1_000;
    let page = custody
        .search(&clinician("hospital"), &query)
        .await
        .unwrap();
    assert_eq!(page.total, Some(page.matches.len()));
    page.matches.into_iter().map(|one| one.id).collect()
}

fn numbered(number: usize) -> Value {
    json!({"resourceType": "Observation", "id": format!("o{number}"),
        "status": if number.is_multiple_of(2) { "final" } else { "preliminary" },
        "code": {"coding": [{"system": "http://loinc.org", "code": format!("c{}", number % 10)}]},
        "subject": {"reference": format!("Patient/p{}", number % 3)},
        "effectiveDateTime": format!("2026-{:02}-{:02}", number % 12 + 1, number % 28 + 1)})
}

async fn filled(site: &Site) -> Custody {
    let custody = site.open();
    let by = clinician("hospital");
    let patients = (0..3).map(|number| update(patient(&format!("p{number}")), None));
    custody.write(&by, patients.collect()).await.unwrap();
    let observations = (0..MANY).map(|number| update(numbered(number), None));
    custody.write(&by, observations.collect()).await.unwrap();
    custody
}

fn postings(custody: &Custody) -> Vec<Vec<u8>> {
    let rows = custody.0.store.scan(Table::Postings, &[]);
    rows.map(|row| row.unwrap().0).collect()
}

fn queries() -> Vec<Query> {
    let pairs: [&[(&str, &str)]; 10] = [
        &[("code", "http://loinc.org|c3")],
        &[("code", "c3,c4"), ("status", "preliminary")],
        &[("code", "c3"), ("patient", "p1")],
        &[("status", "final")],
        &[("date", "2026-03")],
        &[("date", "ge2026-03-01"), ("date", "lt2026-05-01")],
        &[("date", "gt2026-11-01"), ("code", "c1")],
        &[("code", "none")],
        &[("_id", "o3,o5,p1,none"), ("code", "c3")],
        &[("code:not", "c3"), ("date", "lt2026-02-01")],
    ];
    pairs.map(|pairs| query("Observation", pairs)).to_vec()
}

fn expected(query: &Query) -> BTreeSet<String> {
    let is_match = |number: &usize| {
        let resource = resource(numbered(*number));
        let terms = interop::fhir::search::IndexTerms::of(&resource);
        query.matches(&terms, 0, &format!("o{number}"))
    };
    let found = (0..MANY).filter(is_match);
    found.map(|number| format!("o{number}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_by_postings_finds_what_matches() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = filled(&site).await;
    assert!(custody.0.indexing.is_complete());
    let mut chosen = 0;
    for query in queries() {
        let asked = custody.0.home.keys.asked(&query.parts[0]);
        let prefix = custody.0.home.keys.terms("Observation", &[]);
        let view = custody.0.store.view().unwrap();
        let candidates = asked.candidates(&view, &prefix, None).unwrap();
        chosen += usize::from(candidates.is_some());
        assert_eq!(ids(&custody, &query).await, expected(&query), "{query:?}");
    }
    assert!(chosen >= 6, "{chosen} of the queries choose candidates");
}

#[tokio::test(flavor = "multi_thread")]
async fn postings_follow_their_document() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = filled(&site).await;
    let by = clinician("hospital");
    let before: BTreeSet<_> = postings(&custody).into_iter().collect();

    let mut changed = numbered(7);
    changed["code"]["coding"][0]["code"] = json!("other");
    custody
        .write(&by, vec![update(changed, None)])
        .await
        .unwrap();
    let after: BTreeSet<_> = postings(&custody).into_iter().collect();
    assert_eq!(
        before.difference(&after).count(),
        2,
        "the code's old postings are gone, as a code and as a word"
    );
    assert_eq!(
        after.difference(&before).count(),
        2,
        "its new ones are there"
    );
    assert!(
        !ids(&custody, &query("Observation", &[("code", "c7")]))
            .await
            .contains("o7")
    );
    let other = query("Observation", &[("code", "other")]);
    assert_eq!(
        ids(&custody, &other).await,
        BTreeSet::from(["o7".to_owned()])
    );

    let observation = ResourceType::parse("Observation").unwrap();
    let delete = Change::Delete {
        resource_type: observation,
        id: "o7".to_owned(),
        if_match: None,
    };
    custody.write(&by, vec![delete]).await.unwrap();
    let document = custody.0.home.keys.document("Observation", "o7");
    let erased = custody.0.home.keys.document("Observation", "o8");
    assert!(
        !postings(&custody)
            .iter()
            .any(|key| key.ends_with(&document))
    );
    assert!(postings(&custody).iter().any(|key| key.ends_with(&erased)));
    custody.erase(&by, observation, "o8").await.unwrap();
    assert!(!postings(&custody).iter().any(|key| key.ends_with(&erased)));
}

/// Rows as releases before the index wrote them: without postings, here with terms that do not open either.
async fn age(custody: &Custody, is_readable: bool) {
    let rows: Vec<_> = custody
        .0
        .store
        .scan(Table::Terms, &[])
        .map(Result::unwrap)
        .collect();
    let keys = postings(custody);
    let put = move |transaction: &mut crate::custody::store::Transaction<'_>| {
        for (key, row) in rows {
            let filed = Filed::read(&row).unwrap();
            let mut old = [filed.version.to_be_bytes().as_slice(), filed.sealed].concat();
            if !is_readable {
                *old.last_mut().unwrap() ^= 1;
            }
            transaction.put(Table::Terms, &key, old);
        }
        for key in keys {
            transaction.remove(Table::Postings, &key);
        }
        transaction.remove(Table::Indexing, STATE_KEY);
        Ok(())
    };
    custody.0.store.transact(put).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_index_is_made_anew_while_searches_go_on() {
    for is_readable in [true, false] {
        let ledger = Ledger::of(&["hospital"]);
        let site = Site::at(&ledger, "hospital");
        let custody = filled(&site).await;
        let before = postings(&custody);
        age(&custody, is_readable).await;
        drop(custody);
        let custody = site.open();
        for query in queries() {
            assert_eq!(ids(&custody, &query).await, expected(&query), "{query:?}");
        }
        eventually("the index is made", || custody.0.indexing.is_complete()).await;
        assert_eq!(postings(&custody), before);
        for query in queries() {
            assert_eq!(ids(&custody, &query).await, expected(&query), "{query:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_has_the_index_made_anew() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = filled(&site).await;
    let before = postings(&custody);
    custody.reindex().await.unwrap();
    assert!(
        custody.0.indexing.is_complete(),
        "the old one serves meanwhile"
    );
    eventually("it is made", || !custody.indexing().is_running).await;
    assert_eq!(custody.indexing().done, u64::try_from(MANY + 3).unwrap());
    assert_eq!(postings(&custody), before);
}

#[test]
fn rows_of_terms_keep_their_parts() {
    let postings: Vec<Posting> = vec![[1; 8], [2; 8]];
    let row = Filed::write(7, &postings, b"sealed");
    let filed = Filed::read(&row).unwrap();
    assert_eq!((filed.version, filed.sealed), (7, b"sealed".as_slice()));
    assert_eq!(filed.postings, Some(postings.as_slice()));
    let old = [7_u64.to_be_bytes().as_slice(), b"sealed"].concat();
    let filed = Filed::read(&old).unwrap();
    assert_eq!((filed.version, filed.sealed), (7, b"sealed".as_slice()));
    assert!(filed.postings.is_none());
    assert!(Filed::read(&row[..20]).is_err());
}
