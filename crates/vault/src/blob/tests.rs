use std::time::Duration;

use tempfile::TempDir;

use super::*;

const PLACE: &[u8] = b"place";

/// A folder, or with `CARELEDGER_TEST_S3=http://HOST:PORT/BUCKET` a place of its own in that bucket.
fn place(folder: &TempDir) -> BlobConfig {
    let Ok(url) = std::env::var("CARELEDGER_TEST_S3") else {
        return folder.path().join("blobs").into();
    };
    let (endpoint, bucket) = url.rsplit_once('/').unwrap();
    BlobConfig::S3(S3Config {
        bucket: bucket.to_owned(),
        endpoint: Some(endpoint.to_owned()),
        region: "us-east-1".to_owned(),
        prefix: BlobId::random().to_string(),
        path_style: true,
        credentials: S3Credentials::new("test", "secret", None),
    })
}

fn store(folder: &TempDir) -> BlobStore {
    BlobStore::open(&place(folder)).unwrap()
}

fn key() -> DataKey {
    DataKey::from_bytes([1; 32])
}

fn file(folder: &TempDir, id: BlobId) -> PathBuf {
    folder
        .path()
        .join("blobs")
        .join(id.shard())
        .join(id.to_string())
}

#[tokio::test]
async fn a_blob_comes_back_until_it_is_deleted() {
    let folder = TempDir::new().unwrap();
    let blobs = store(&folder);
    let id = blobs
        .put(seal::seal(&key(), PLACE, b"payload"))
        .await
        .unwrap();
    let opened = blobs.open_payload(id, &key(), PLACE).await.unwrap();
    assert_eq!(*opened, *b"payload");
    let listed: Vec<_> = blobs.list().try_collect().await.unwrap();
    assert_eq!(
        listed.iter().map(|entry| entry.id).collect::<Vec<_>>(),
        [id]
    );
    blobs.delete(id).await.unwrap();
    blobs.delete(id).await.unwrap();
    let gone = blobs.open_payload(id, &key(), PLACE).await;
    assert!(matches!(gone, Err(BlobError::Missing(missing)) if missing == id));
}

#[tokio::test]
async fn a_damaged_blob_is_named() {
    let folder = TempDir::new().unwrap();
    let blobs = store(&folder);
    let id = blobs
        .put(seal::seal(&key(), PLACE, &vec![7; 100_000]))
        .await
        .unwrap();
    let mut bytes = blobs.get(id).await.unwrap().into_bytes();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let damaged = PutPayload::from(bytes);
    blobs.objects.put(&location(id), damaged).await.unwrap();
    let damaged = blobs.open_payload(id, &key(), PLACE).await;
    assert!(matches!(damaged, Err(BlobError::Unsound { id: named, .. }) if named == id));
}

#[tokio::test]
async fn a_large_payload_is_written_and_read_piece_by_piece() {
    let folder = TempDir::new().unwrap();
    let blobs = store(&folder);
    let mut writer = blobs.writer(&key(), PLACE).await.unwrap();
    // More than two parts of an upload.
    for _ in 0..12 {
        writer.write(&vec![7; 1_000_000]).await.unwrap();
    }
    let id = writer.finish().await.unwrap();
    assert_eq!(
        blobs.size(id).await.unwrap(),
        seal::sealed_bytes(12_000_000)
    );
    let mut reader = blobs.reader(id, &key(), PLACE).await.unwrap();
    let mut bytes = 0;
    while let Some(piece) = reader.next().await.unwrap() {
        assert!(piece.iter().all(|byte| *byte == 7));
        bytes += piece.len();
    }
    assert_eq!(bytes, 12_000_000);
}

#[tokio::test]
async fn a_write_that_is_given_up_leaves_no_blob() {
    let folder = TempDir::new().unwrap();
    let blobs = store(&folder);
    let mut writer = blobs.writer(&key(), PLACE).await.unwrap();
    writer.write(&vec![7; 6_000_000]).await.unwrap();
    drop(writer);
    let listed: Vec<_> = blobs.list().try_collect().await.unwrap();
    assert_eq!(listed, []);
}

#[tokio::test]
async fn what_an_interrupted_write_left_is_swept_once_it_is_old() {
    let folder = TempDir::new().unwrap();
    let blobs = BlobStore::open(&folder.path().join("blobs").into()).unwrap();
    let live = blobs.put(seal::seal(&key(), PLACE, b"live")).await.unwrap();
    let leftover = file(&folder, live).with_file_name(format!("{live}#1"));
    std::fs::write(&leftover, b"unfinished").unwrap();
    let early = SystemTime::now() - Duration::from_secs(3_600);
    assert_eq!(blobs.sweep_leftovers(early).await.unwrap(), 0);
    let late = SystemTime::now() + Duration::from_secs(3_600);
    assert_eq!(blobs.sweep_leftovers(late).await.unwrap(), 1);
    assert!(!leftover.exists());
    assert!(blobs.get(live).await.is_ok());
}

#[tokio::test]
async fn a_bucket_belongs_to_one_node() {
    let folder = TempDir::new().unwrap();
    let place = place(&folder);
    let blobs = BlobStore::open(&place).unwrap();
    blobs.claim("clinic").await.unwrap();
    blobs.claim("clinic").await.unwrap();
    let listed: Vec<_> = blobs.list().try_collect().await.unwrap();
    assert_eq!(listed, [], "what a check leaves is no blob");
    if matches!(place, BlobConfig::S3(_)) {
        let other = blobs.claim("hospital").await;
        assert!(matches!(other, Err(BlobError::OwnedByAnother)));
        let BlobConfig::S3(mut elsewhere) = place else {
            return;
        };
        elsewhere.bucket = "nobody-made-this".to_owned();
        let elsewhere = BlobStore::open(&BlobConfig::S3(elsewhere)).unwrap();
        let refused = elsewhere.claim("clinic").await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the object store does not serve: the bucket is not there"
        );
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_is_said_so_within_a_bounded_time() {
    // A port that is taken, and at which nobody listens.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap();
    let blobs = BlobStore::open(&BlobConfig::S3(S3Config {
        bucket: "records".to_owned(),
        endpoint: Some(format!("http://{port}")),
        region: "us-east-1".to_owned(),
        prefix: String::new(),
        path_style: true,
        credentials: S3Credentials::new("planted-id", "planted-secret", None),
    }))
    .unwrap();
    let put = blobs.put(seal::seal(&key(), PLACE, b"payload"));
    let refused = tokio::time::timeout(Duration::from_secs(120), put).await;
    let refused = refused.unwrap().unwrap_err();
    assert!(matches!(refused, BlobError::Unavailable(_)));
    let said = format!("{refused} {refused:?} {blobs:?}");
    assert!(said.contains("refused"), "{said}");
    assert!(!said.contains("planted"), "{said}");
}

#[test]
fn names_that_are_no_blob_are_refused() {
    let id: BlobId = [0xab; 16].into();
    assert_eq!(id.to_string().parse(), Ok(id));
    for name in ["", "ab", &"AB".repeat(16), &"g".repeat(32), &"a".repeat(33)] {
        assert_eq!(name.parse::<BlobId>(), Err(InvalidBlobId), "{name}");
    }
}
