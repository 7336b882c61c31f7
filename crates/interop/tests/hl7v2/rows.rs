//! What becomes of the fields of messages: each line of `fixtures/hl7v2/rows.txt`, tried on its message.

use std::path::Path;

use interop::hl7v2::{Message, Overrides, map};

use super::table::{self, Row};

const FOLDER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../crates/interop/tests/fixtures/hl7v2"
);

/// A message of the folder.
pub(crate) fn message(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(FOLDER).join(name).with_extension("hl7")).unwrap()
}

/// The overrides of the folder.
pub(crate) fn overrides() -> Overrides {
    let text = std::fs::read(Path::new(FOLDER).join("overrides.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// All lines, tried.
pub(crate) fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(Path::new(FOLDER).join("rows.txt")).unwrap();
    table::rows(&text, |name| {
        let parsed = Message::parse(&message(name)).unwrap();
        let mapped = map(&parsed, &overrides());
        mapped
            .unwrap_or_else(|faults| panic!("{name}: {faults:?}"))
            .bundle
    })
}
