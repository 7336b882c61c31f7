//! What holds of a database server alone: whose it is, and what happens when it goes.
//!
//! Without `CARELEDGER_TEST_POSTGRESQL` there is nothing to test with.

use tokio_postgres::NoTls;

use super::*;
use crate::custody::store::{Store, Table, Transaction};

/// A site in a database, with a connection beside the store's.
async fn site() -> Option<(Site, tokio_postgres::Client, String)> {
    let url = std::env::var("CARELEDGER_TEST_POSTGRESQL").ok()?;
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let site = Site::at(&Ledger::of(&["hospital"]), "hospital");
    let schema = site.schema();
    Some((site, client, schema))
}

async fn put(store: &Store, key: u8) -> Result<(), CustodyError> {
    let work = move |transaction: &mut Transaction<'_>| {
        transaction.put(Table::Terms, &[key], vec![key]);
        Ok(())
    };
    store.transact(work).await
}

/// Ends the connections of a schema's node.
async fn cut(client: &tokio_postgres::Client, schema: &str) {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
    let name = format!("careledger {schema}");
    let ended = client.query(sql, &[&name]).await.unwrap();
    assert!(!ended.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_told_that_the_schema_is_in_use() {
    let Some((site, _, schema)) = site().await else {
        return;
    };
    let store = site.store();
    let refused = Store::open(&site.records(), Disk).err().unwrap();
    let refused = refused.to_string();
    assert!(
        refused.contains(&schema) && refused.contains("stop it first"),
        "{refused}"
    );
    drop(store);
    drop(site.store());
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_a_later_release_are_not_opened() {
    let Some((site, client, schema)) = site().await else {
        return;
    };
    drop(site.store());
    let newer = format!("UPDATE {schema}.store SET schema_version = 1000");
    client.batch_execute(&newer).await.unwrap();
    eventually("it is let go of", || {
        let refused = Store::open(&site.records(), Disk).err();
        let refused = refused.unwrap().to_string();
        let is_newer = refused.contains("of version 1000");
        assert!(is_newer || refused.contains("stop it first"), "{refused}");
        is_newer
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_made_anew_and_no_write_is_lost_or_doubled() {
    let Some((site, client, schema)) = site().await else {
        return;
    };
    let store = site.store();
    for round in 0..5 {
        put(&store, round).await.unwrap();
        let counted = format!("SELECT batch FROM {schema}.store");
        let before: i64 = client.query_one(&counted, &[]).await.unwrap().get(0);
        assert_eq!(
            store.get(Table::Terms, &[round]).unwrap(),
            Some(vec![round])
        );
        cut(&client, &schema).await;
        put(&store, 100 + round).await.unwrap();
        let after: i64 = client.query_one(&counted, &[]).await.unwrap().get(0);
        assert_eq!(after, before + 1);
        cut(&client, &schema).await;
        assert_eq!(
            store.scan(Table::Terms, &[]).count(),
            2 * usize::from(round) + 2
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_whose_connection_is_lost_says_so_and_the_next_one_is_whole() {
    let Some((site, client, schema)) = site().await else {
        return;
    };
    let store = site.store();
    put(&store, 1).await.unwrap();
    let view = store.view().unwrap();
    assert_eq!(view.scan(Table::Terms, &[1]).count(), 1);
    cut(&client, &schema).await;
    let lost = view.get_all(Table::Terms, &[[1]]);
    assert!(matches!(lost, Err(CustodyError::Unavailable { .. })));
    drop(view);
    let view = store.view().unwrap();
    assert_eq!(view.scan(Table::Terms, &[1]).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_the_schema_to_another_writes_no_more() {
    let Some((site, client, schema)) = site().await else {
        return;
    };
    let store = site.store();
    put(&store, 1).await.unwrap();
    let other = format!("UPDATE {schema}.store SET writer = 'another', batch = batch + 1");
    client.batch_execute(&other).await.unwrap();
    cut(&client, &schema).await;
    let refused = put(&store, 2).await.unwrap_err().to_string();
    assert!(refused.contains("another node"), "{refused}");
    store.stopped().await;
    put(&store, 3).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_came_back_with_less_is_not_written_to() {
    let Some((site, client, schema)) = site().await else {
        return;
    };
    let store = site.store();
    put(&store, 1).await.unwrap();
    put(&store, 2).await.unwrap();
    let behind = format!("UPDATE {schema}.store SET batch = batch - 1");
    client.batch_execute(&behind).await.unwrap();
    cut(&client, &schema).await;
    let refused = put(&store, 3).await.unwrap_err().to_string();
    assert!(refused.contains("a copy that was behind"), "{refused}");
    store.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_views_than_connections_wait_for_each_other() {
    let Some((site, ..)) = site().await else {
        return;
    };
    let RecordsConfig::Postgresql(config) = site.records() else {
        panic!("no database")
    };
    let records = RecordsConfig::Postgresql(config.with_views(2));
    let store = Arc::new(Store::open(&records, Disk).unwrap());
    put(&store, 1).await.unwrap();
    let readers = (0..20).map(|_| {
        let store = Arc::clone(&store);
        tokio::task::spawn_blocking(move || {
            let view = store.view().unwrap();
            // A view of its own besides would wait for ever: single reads do not.
            assert!(store.get(Table::Terms, &[1]).unwrap().is_some());
            view.scan(Table::Terms, &[]).count()
        })
    });
    for rows in futures::future::join_all(readers).await {
        assert_eq!(rows.unwrap(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_known_by_its_certificate_and_its_password_proof_is_bound_to_it() {
    let Ok(url) = std::env::var("CARELEDGER_TEST_POSTGRESQL_TLS") else {
        return;
    };
    let authority = std::env::var("CARELEDGER_TEST_POSTGRESQL_CA").unwrap();
    let site = Site::at(&Ledger::of(&["hospital"]), "hospital");
    let at = |url: &str| {
        let config = PostgresqlConfig::parse(url).unwrap();
        config.with_schema(&site.schema()).unwrap()
    };
    let open = |config| Store::open(&RecordsConfig::Postgresql(config), Disk);
    let verified = format!("{url}&sslmode=verify-full");
    let store = open(at(&verified).with_authorities(authority.clone().into())).unwrap();
    put(&store, 1).await.unwrap();
    assert_eq!(store.get(Table::Terms, &[1]).unwrap(), Some(vec![1]));

    let unknown = open(at(&verified)).err().unwrap().to_string();
    assert!(unknown.contains("certificate"), "{unknown}");
    let elsewhere = at(&verified.replace("localhost", "127.0.0.1"));
    let misnamed = open(elsewhere.with_authorities(authority.clone().into()));
    let misnamed = misnamed.err().unwrap().to_string();
    assert!(misnamed.contains("not valid for name"), "{misnamed}");
    let guessed = at(&verified.replace(":secret@", ":planted@"));
    let refused = open(guessed.with_authorities(authority.into()));
    let refused = refused.err().unwrap().to_string();
    assert!(
        refused.contains("password") && !refused.contains("planted"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn records_move_there_and_back_and_nothing_is_mixed() {
    let Some((site, ..)) = site().await else {
        return;
    };
    let local = |name: &str| RecordsConfig::from(site.folder.path().join(name));
    let open = |name: &str| {
        let options = CustodyOptions {
            records: local(name),
            ..site.options()
        };
        let anchor: Arc<dyn Anchor> = Arc::new(site.ledger.clone());
        Custody::open(options, anchor).unwrap()
    };
    let custody = open("first");
    let by = clinician("hospital");
    let large = "x".repeat(20_000);
    let changes = vec![update(patient("p"), None), create(observation("p", &large))];
    let written = custody.write(&by, changes).await.unwrap();
    settled(&custody).await;
    drop(custody);
    let moved = async |from: &RecordsConfig, to: &RecordsConfig| {
        // The previous handle's threads may be letting go still.
        until("the places are free", async || {
            match move_records(from, to, |_, _| ()) {
                Err(MoveError::Place { .. }) => None,
                moved => Some(moved),
            }
        })
        .await
    };
    let (first, there) = (local("first"), site.records());
    let rows = moved(&first, &there).await.unwrap();
    assert!(rows > 20, "{rows}");
    let mixed = moved(&first, &there).await;
    assert!(matches!(mixed, Err(MoveError::NotEmpty(_))));
    let custody = site.open();
    let (kind, id) = (written[1].resource_type, &written[1].id);
    let opened = custody.read(&by, kind, id).await.unwrap();
    assert!(opened.presented()["code"]["text"] == large.as_str());
    drop(custody);
    moved(&there, &local("second")).await.unwrap();
    let custody = open("second");
    eventually("entered", || custody.last_access("p").unwrap() == 1).await;
    custody.read(&by, kind, id).await.unwrap();
}
