//! What nodes that join ask for is served to anybody, page by page; what is not kept is said to be gone.

use axum::body::Body;
use axum::http::Request;
use ledger::ids::Digest;
use ledger::snapshot::{EntryKey, LeafPage, StatePage, StatementPage};

use crate::support::{Answer, Site};

async fn get(site: &Site, path: &str) -> Answer {
    let request = Request::get(path).body(Body::empty()).unwrap();
    site.send(request).await
}

#[tokio::test]
async fn a_snapshot_is_served_in_pages_without_a_token() {
    let site = Site::new();
    let leaves = get(&site, "/network/snapshot/1/leaves/0").await;
    let page = LeafPage::decode(&leaves.bytes).unwrap();
    assert_eq!(page.leaves, [Digest([7; 32])]);
    let from = "ab".repeat(32);
    let state = get(&site, &format!("/network/snapshot/1/state/{from}")).await;
    let page = StatePage::decode(&state.bytes).unwrap();
    assert_eq!(page.entries[0].key, EntryKey([0xab; 32]));
    let own = get(&site, "/network/snapshot/1/statements/clinic/41").await;
    assert_eq!(StatementPage::decode(&own.bytes).unwrap().next, Some(42));
}

#[tokio::test]
async fn what_there_is_not_and_what_is_not_kept_any_more_is_told_apart() {
    let site = Site::new();
    for (path, status) in [
        ("/network/snapshot", 404),
        ("/network/snapshot/2/leaves/0", 404),
        ("/network/snapshot/1/state/short", 400),
        ("/network/snapshot/1/statements/No-Name/0", 400),
        ("/network/snapshot/x/leaves/0", 400),
        ("/network/statements/7", 404),
        ("/network/statements/0", 410),
    ] {
        let answer = get(&site, path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(!answer.bytes.is_empty(), "{path} says why");
    }
}
