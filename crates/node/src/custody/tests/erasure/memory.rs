//! What a process holds after an erasure.

use super::*;

/// Whether the memory of this process that can be written holds `masked`, of which each byte is inverted here.
#[cfg(target_os = "linux")]
fn memory_holds(masked: &[u8; 32]) -> bool {
    use std::io::{Read as _, Seek as _, SeekFrom};

    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = std::fs::File::open("/proc/self/mem").unwrap();
    let first = !masked[0];
    maps.lines().any(|line| {
        let mut words = line.split_whitespace();
        let (range, access) = (words.next().unwrap(), words.next().unwrap());
        if !access.starts_with("rw") || line.contains("[v") {
            return false;
        }
        let (start, end) = range.split_once('-').unwrap();
        let start = u64::from_str_radix(start, 16).unwrap();
        let length = u64::from_str_radix(end, 16).unwrap() - start;
        let mut bytes =
            zeroize::Zeroizing::new(vec![0; usize::try_from(length.min(512 << 20)).unwrap()]);
        if memory.seek(SeekFrom::Start(start)).is_err() || memory.read_exact(&mut bytes).is_err() {
            return false;
        }
        let is_it = |window: &[u8]| {
            window
                .iter()
                .zip(masked)
                .all(|(one, other)| *one == !*other)
        };
        bytes
            .windows(32)
            .any(|window| window[0] == first && is_it(window))
    })
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn p6_the_process_holds_no_erase_key_after_the_erasure() {
    let clinic = Clinic::new(&Ledger::of(&["hospital"]));
    let id = clinic.document(1).await;
    let by = clinician("hospital");
    clinic.custody.read(&by, observations(), &id).await.unwrap();
    let keys = &clinic.custody.0.home.keys;
    let document = keys.document("Observation", &id);
    let key = keys
        .erase_key(&clinic.custody.0.store, &document, 1)
        .unwrap()
        .unwrap();
    let masked = key.masked();
    assert!(memory_holds(&masked), "the test finds what is there");
    drop(key);
    erase_whole(&clinic.custody, &by, observations(), &id)
        .await
        .unwrap();
    clinic.settled().await;
    assert!(!memory_holds(&masked));
}
