//! Large payloads: swept when nobody names them, streamed in constant memory, missed when their store is away.

use std::time::SystemTime;

use vault::blob::BlobConfig;

use super::*;
use crate::custody::BinaryDraft;
use crate::custody::keys::Keys;
use crate::custody::payload::Payloads;
use crate::custody::store::Table;
use crate::custody::sweep::Sweeper;

const LARGE: usize = 100_000;

fn large(text: &str) -> Change {
    create(observation("p", &text.repeat(LARGE)))
}

fn late() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3_600)
}

/// What a node that is stopped would sweep with.
fn sweeper(site: &Site) -> Sweeper {
    let options = site.options();
    Sweeper {
        store: Arc::new(site.store()),
        keys: Keys::new(&options.root, &options.wrapping),
        payloads: Payloads::open_in(&options.blobs).unwrap(),
    }
}

async fn orphan(site: &Site) -> BlobId {
    let key = vault::secret::DataKey::from_bytes([1; 32]);
    let sealed = vault::seal::seal(&key, b"", b"nobody names this");
    let blobs = BlobStore::open(&site.blobs()).unwrap();
    blobs.put(sealed).await.unwrap()
}

fn draft(content_type: &str) -> BinaryDraft {
    BinaryDraft {
        content_type: content_type.to_owned(),
        security_context: Some("Patient/p".to_owned()),
        id: None,
        if_match: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_names_is_swept_once_it_is_old_and_the_rest_stays() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    let by = clinician("hospital");
    let changes = vec![update(patient("p"), None), large("a"), large("b")];
    let written = custody.write(&by, changes).await.unwrap();
    drop(custody);
    let orphan = orphan(&site).await;
    assert_eq!(site.blob_names().await.len(), 3);

    let sweeper = sweeper(&site);
    let early = SystemTime::now() - Duration::from_secs(3_600);
    assert_eq!(sweeper.sweep(early).await.unwrap().looked_at, 0);
    let swept = sweeper.sweep(late()).await.unwrap();
    assert_eq!((swept.looked_at, swept.deleted, swept.left), (3, 1, 0));
    assert!(!site.blob_names().await.contains(&orphan));
    drop(sweeper);

    let custody = site.open();
    for one in &written[1..] {
        custody.read(&by, one.resource_type, &one.id).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_swept_while_a_row_cannot_be_opened_or_the_rows_are_lost() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    let by = clinician("hospital");
    let changes = vec![update(patient("p"), None), large("a")];
    custody.write(&by, changes).await.unwrap();
    drop(custody);
    orphan(&site).await;
    let sweeper = sweeper(&site);
    let rows: Vec<_> = sweeper
        .store
        .scan(Table::Versions, &[])
        .map(Result::unwrap)
        .collect();
    let damaged = rows.clone();
    let damaging = sweeper.store.transact(move |transaction| {
        for (key, mut row) in damaged {
            let last = row.len() - 1;
            row[last] ^= 1;
            transaction.put(Table::Versions, &key, row);
        }
        Ok(())
    });
    damaging.await.unwrap();
    assert!(sweeper.sweep(late()).await.is_err());
    assert_eq!(site.blob_names().await.len(), 2);

    let losing = sweeper.store.transact(move |transaction| {
        for (key, _) in rows {
            transaction.remove(Table::Versions, &key);
        }
        Ok(())
    });
    losing.await.unwrap();
    for _ in 0..16 {
        orphan(&site).await;
    }
    let swept = sweeper.sweep(late()).await.unwrap();
    assert_eq!((swept.deleted, swept.left), (0, 18));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_takes_longer_than_an_hour_is_not_swept() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    let payloads = custody.0.payloads.clone();
    let erase = crate::custody::keys::EraseKey::new();
    let (mut writer, under_way) = payloads.writer(&erase).await.unwrap();
    writer.write(b"slow").await.unwrap();
    writer.finish().await.unwrap();
    let sweeper = Sweeper {
        store: Arc::clone(&custody.0.store),
        keys: Arc::clone(&custody.0.home.keys),
        payloads,
    };
    assert_eq!(sweeper.sweep(late()).await.unwrap().deleted, 0);
    drop(under_way);
    assert_eq!(sweeper.sweep(late()).await.unwrap().deleted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_binary_comes_back_and_is_committed_to_like_any_version() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    let by = clinician("hospital");
    custody
        .write(&by, vec![update(patient("p"), None)])
        .await
        .unwrap();
    for length in [0, 1, 2, 3, 65_536, 1_000_000] {
        let bytes: Vec<u8> = (0..length).map(|at: u32| (at % 251) as u8).collect();
        let mut upload = custody
            .upload(&by, draft("application/dicom"))
            .await
            .unwrap();
        for piece in bytes.chunks(70_001) {
            upload.write(piece).await.unwrap();
        }
        let written = upload.finish().await.unwrap();
        assert!(written.created);
        let mut opened = custody.download(&by, &written.id, None).await.unwrap();
        assert_eq!(opened.bytes, u64::from(length));
        let mut read = Vec::new();
        while let Some(piece) = opened.next().await.unwrap() {
            read.extend(piece);
        }
        assert!(read == bytes, "{length}");
        // As JSON it says what it is, and that the content is elsewhere.
        let json = custody
            .read(&by, written.resource_type, &written.id)
            .await
            .unwrap();
        let json = json.presented();
        assert_eq!(json["contentType"], "application/dicom");
        assert_eq!(json["meta"]["tag"][0]["code"], "SUBSETTED");
        assert_eq!(json.get("data"), None);
    }
    drop(custody);
    let report = site.inspected().await;
    assert_eq!(report.damages, []);
    assert_eq!((report.blobs, report.orphans.len()), (6, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    let by = clinician("hospital");
    let unknown = custody.upload(&by, draft("text/plain")).await;
    assert!(matches!(unknown, Err(CustodyError::UnknownPatient)));
    custody
        .write(&by, vec![update(patient("p"), None)])
        .await
        .unwrap();
    let mut upload = custody.upload(&by, draft("text/plain")).await.unwrap();
    upload.write(&vec![7; 6_000_000]).await.unwrap();
    drop(upload);
    let stale = BinaryDraft {
        id: Some("unknown".to_owned()),
        if_match: Some(3),
        ..draft("text/plain")
    };
    let stale = custody.upload(&by, stale).await;
    assert!(matches!(stale, Err(CustodyError::PreconditionFailed)));
    assert_eq!(site.blob_names().await, []);
    assert_eq!(custody.0.payloads.under_way().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_without_the_store_of_large_payloads_small_records_are_written_and_read() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    // A port that is taken, and at which nobody listens.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap();
    let mut options = site.options();
    options.blobs = BlobConfig::S3(S3Config {
        bucket: "away".to_owned(),
        endpoint: Some(format!("http://{port}")),
        region: "us-east-1".to_owned(),
        prefix: String::new(),
        path_style: true,
        credentials: S3Credentials::new("test", "secret", None),
    });
    let anchor: Arc<dyn Anchor> = Arc::new(ledger.clone());
    let custody = Custody::open_on(options, anchor, Disk).unwrap();
    let by = clinician("hospital");
    let small = vec![
        update(patient("p"), None),
        create(observation("p", "small")),
    ];
    let written = custody.write(&by, small).await.unwrap();
    let refused = custody.write(&by, vec![large("a")]).await;
    assert!(matches!(refused, Err(CustodyError::Unavailable { .. })));
    let one = &written[1];
    custody.read(&by, one.resource_type, &one.id).await.unwrap();
}
