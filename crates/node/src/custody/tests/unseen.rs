use std::path::Path;

use ::ledger::ids::Digest;
use serde_json::json;

use super::*;
use crate::custody::store::Table;

/// Whether a file below `folder` holds `bytes`.
pub(super) fn holds(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holds(&path, bytes)
        } else {
            contains(&std::fs::read(path).unwrap_or_default(), bytes)
        }
    })
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_neither_ledger_nor_disk_hold_what_was_planted_or_its_hash() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    let by = clinician("hospital");
    let mut planted_patient = patient("planted-id-0815");
    planted_patient["identifier"] = json!([{"system": "urn:mrn", "value": "PLANTEDMRN42"}]);
    planted_patient["birthDate"] = json!("1931-07-04");
    let planted_observation = observation("planted-id-0815", "Plantedtext");
    let changes = vec![
        update(planted_patient.clone(), None),
        create(planted_observation.clone()),
    ];
    let written = custody.write(&by, changes).await.unwrap();
    let opened = custody
        .read(&by, written[1].resource_type, &written[1].id)
        .await
        .unwrap();
    custody
        .local_everything(&by, "planted-id-0815")
        .await
        .unwrap();
    // Two versions, and an entry of two accesses of one subject, or two.
    eventually("anchored", || items(&ledger) >= 3).await;
    settled(&custody).await;
    let content = |value: Value, id: &str| resource(value).stored(id).unwrap();
    let planted = [
        b"Plantedfamily".to_vec(),
        b"PLANTEDMRN42".to_vec(),
        b"1931-07-04".to_vec(),
        b"Plantedtext".to_vec(),
        b"planted-id-0815".to_vec(),
        b"718-7".to_vec(),
        b"Practitioner/p1".to_vec(),
        b"TREAT".to_vec(),
        b"Observation".to_vec(),
        written[1].id.clone().into_bytes(),
        content(planted_patient, "planted-id-0815"),
        content(planted_observation, &written[1].id),
        opened.presented().to_string().into_bytes(),
    ];
    let submitted = ledger.submitted().concat();
    let store = &custody.0.store;
    let rows = Table::ALL.iter().flat_map(|table| store.scan(*table, &[]));
    let rows: Vec<u8> = rows
        .flat_map(|row| {
            let (key, value) = row.unwrap();
            [key, value].concat()
        })
        .collect();
    for value in planted {
        for value in [Digest::of(&value).0.to_vec(), value] {
            assert!(!contains(&submitted, &value), "on the ledger");
            assert!(!holds(site.folder.path(), &value), "on disk");
            assert!(!contains(&rows, &value), "in the database");
        }
    }
    let item = ledger.statements()[0].items()[0].to_bytes();
    assert!(contains(&submitted, &item), "the test finds what is there");
}

fn items(ledger: &Ledger) -> usize {
    ledger
        .statements()
        .iter()
        .map(|one| one.items().len())
        .sum()
}
