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

/// A text of the folder.
pub(crate) fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(FOLDER).join(name)).unwrap()
}

/// The overrides of the folder.
pub(crate) fn overrides() -> Overrides {
    serde_json::from_str(&file("overrides.json")).unwrap()
}

/// All lines, tried.
pub(crate) fn rows() -> Vec<Row> {
    table::rows(&file("rows.txt"), |name| {
        let parsed = Message::parse(&message(name)).unwrap();
        let mapped = map(&parsed, &overrides());
        mapped
            .unwrap_or_else(|faults| panic!("{name}: {faults:?}"))
            .bundle
    })
}
