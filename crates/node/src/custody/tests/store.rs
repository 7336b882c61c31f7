//! What the store promises wherever its rows are.

use super::*;
use crate::custody::store::{Store, Table, Transaction};

fn number(key: &[u8]) -> u32 {
    u32::from_be_bytes(key.try_into().unwrap())
}

async fn put(store: &Store, rows: std::ops::Range<u32>, value: u8) {
    let work = move |transaction: &mut Transaction<'_>| {
        for row in rows {
            transaction.put(Table::Terms, &row.to_be_bytes(), vec![value]);
        }
        Ok(())
    };
    store.transact(work).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn scans_end_where_their_prefix_does_whatever_their_length() {
    let site = Site::at(&Ledger::of(&["hospital"]), "hospital");
    let store = site.store();
    // Within a page, a page exactly, pages, and with keys of which the last bytes are the highest.
    for (prefix, rows) in [(0, 3), (1, 128), (2, 3_000), (255, 300)] {
        let first = u32::from_be_bytes([prefix, 0, 0, 0]);
        put(&store, first..first + rows, prefix).await;
    }
    let view = store.view().unwrap();
    for (prefix, rows) in [(0_u8, 3_u32), (1, 128), (2, 3_000), (3, 0), (255, 300)] {
        let first = u32::from_be_bytes([prefix, 0, 0, 0]);
        let expected: Vec<u32> = (first..first + rows).collect();
        let scanned = store.scan(Table::Terms, &[prefix]).map(|row| {
            let (key, value) = row.unwrap();
            assert_eq!(value, [prefix]);
            number(&key)
        });
        assert!(scanned.collect::<Vec<_>>() == expected, "{prefix}");
        let viewed = view.scan(Table::Terms, &[prefix]).map(|row| {
            let (key, value) = row.unwrap();
            assert_eq!(*value, [prefix]);
            number(&key)
        });
        assert!(viewed.collect::<Vec<_>>() == expected, "{prefix}");
        let keys = view.keys(Table::Terms, &[prefix]);
        let keys = keys.map(|key| number(&key.unwrap()));
        assert!(keys.collect::<Vec<_>>() == expected, "{prefix}");
    }
    let on = view.scan_from(Table::Terms, &[2, 0, 0, 7]);
    assert_eq!(on.count(), 3_000 - 7 + 300);
    let all = store.scan(Table::Terms, &[]);
    assert_eq!(all.count(), 3 + 128 + 3_000 + 300);
    assert_eq!(store.scan(Table::Postings, &[]).count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_shows_one_moment_and_so_does_a_scan() {
    let site = Site::at(&Ledger::of(&["hospital"]), "hospital");
    let store = site.store();
    put(&store, 0..2_000, 1).await;
    let view = store.view().unwrap();
    let mut scan = store.scan(Table::Terms, &[]);
    assert_eq!(scan.next().unwrap().unwrap().1, [1]);
    put(&store, 0..2_500, 2).await;
    assert!(scan.all(|row| row.unwrap().1 == [1]));
    let viewed = view.scan(Table::Terms, &[]);
    assert_eq!(
        viewed.filter(|row| *row.as_ref().unwrap().1 == [1]).count(),
        2_000
    );
    let key = 2_400_u32.to_be_bytes();
    let known = 0_u32.to_be_bytes();
    let asked = [key, known, key, known];
    let viewed = view.get_all(Table::Terms, &asked).unwrap();
    let viewed: Vec<_> = viewed
        .into_iter()
        .map(|row| row.map(|row| row.to_vec()))
        .collect();
    assert_eq!(viewed, [None, Some(vec![1]), None, Some(vec![1])]);
    let now = store.get_all(Table::Terms, &asked).unwrap();
    assert!(now.iter().all(|row| row.as_deref() == Some(&[2])));
    assert_eq!(store.get(Table::Terms, &key).unwrap(), Some(vec![2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_puts_and_removes_and_later_ones_win() {
    let site = Site::at(&Ledger::of(&["hospital"]), "hospital");
    let store = site.store();
    let key = b"key".as_slice();
    let large = vec![7; 1 << 20];
    let stored = large.clone();
    let work = move |transaction: &mut Transaction<'_>| {
        transaction.put(Table::Heads, key, vec![1]);
        transaction.remove(Table::Heads, key);
        transaction.put(Table::Versions, key, stored);
        transaction.put(Table::Postings, b"other", Vec::new());
        Ok(())
    };
    store.transact(work).await.unwrap();
    assert_eq!(store.get(Table::Heads, key).unwrap(), None);
    assert!(store.get(Table::Versions, key).unwrap() == Some(large));
    assert_eq!(
        store.get(Table::Postings, b"other").unwrap(),
        Some(Vec::new())
    );
    let remove = move |transaction: &mut Transaction<'_>| {
        assert!(transaction.get(Table::Versions, key)?.is_some());
        transaction.remove(Table::Versions, key);
        assert!(transaction.get(Table::Versions, key)?.is_none());
        Ok(())
    };
    store.transact(remove).await.unwrap();
    assert_eq!(store.get(Table::Versions, key).unwrap(), None);
    store.purge(Table::Versions).unwrap();
    assert!(store.about(Table::Postings) < 10);
}

#[test]
fn a_store_is_read_without_a_runtime_and_in_one_with_a_single_thread() {
    let site = Site::at(&Ledger::of(&["hospital"]), "hospital");
    let store = site.store();
    let single = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    single.block_on(async {
        put(&store, 0..1, 3).await;
        assert_eq!(store.scan(Table::Terms, &[]).count(), 1);
    });
    assert_eq!(store.scan(Table::Terms, &[]).count(), 1);
}
