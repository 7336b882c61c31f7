use std::time::Duration;

use tempfile::TempDir;

use super::*;

const PLACE: &[u8] = b"place";

fn store(folder: &TempDir) -> BlobStore {
    let folder = folder.path().join("blobs");
    BlobStore::open(&BlobConfig::Local { folder }).unwrap()
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
    let mut bytes = std::fs::read(file(&folder, id)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file(&folder, id), bytes).unwrap();
    let damaged = blobs.open_payload(id, &key(), PLACE).await;
    assert!(matches!(damaged, Err(BlobError::Unsound { id: named, .. }) if named == id));
}

#[tokio::test]
async fn a_large_payload_is_written_and_read_piece_by_piece() {
    let folder = TempDir::new().unwrap();
    let blobs = store(&folder);
    let mut writer = blobs.writer(&key(), PLACE).await.unwrap();
    for _ in 0..10 {
        writer.write(&vec![7; 50_000]).await.unwrap();
    }
    let id = writer.finish().await.unwrap();
    let opened = blobs.open_payload(id, &key(), PLACE).await.unwrap();
    assert!(*opened == *vec![7; 500_000]);
}

#[tokio::test]
async fn orphans_and_leftovers_are_swept_and_what_is_live_stays() {
    let folder = TempDir::new().unwrap();
    let blobs = store(&folder);
    let live = blobs.put(seal::seal(&key(), PLACE, b"live")).await.unwrap();
    let orphan = blobs
        .put(seal::seal(&key(), PLACE, b"orphan"))
        .await
        .unwrap();
    let leftover = file(&folder, orphan).with_file_name(format!("{orphan}#1"));
    std::fs::write(&leftover, b"unfinished").unwrap();
    let early = SystemTime::now() - Duration::from_secs(3_600);
    assert_eq!(blobs.sweep_orphans(&[live].into(), early).await.unwrap(), 0);
    let late = SystemTime::now() + Duration::from_secs(3_600);
    assert_eq!(blobs.sweep_orphans(&[live].into(), late).await.unwrap(), 2);
    assert!(!leftover.exists());
    assert!(blobs.get(live).await.is_ok());
    assert!(matches!(
        blobs.get(orphan).await,
        Err(BlobError::Missing(_))
    ));
}

#[test]
fn names_that_are_no_blob_are_refused() {
    let id: BlobId = [0xab; 16].into();
    assert_eq!(id.to_string().parse(), Ok(id));
    for name in ["", "ab", &"AB".repeat(16), &"g".repeat(32), &"a".repeat(33)] {
        assert_eq!(name.parse::<BlobId>(), Err(InvalidBlobId), "{name}");
    }
}
