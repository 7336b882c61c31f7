//! What becomes of the elements of documents: each line of `fixtures/ccda/rows.txt`, tried on its document.

use std::path::Path;

use interop::ccda::{Limits, Mapped, map, read};

use super::table::{self, Row};

const FOLDER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../crates/interop/tests/fixtures/ccda"
);

/// A document of the folder.
pub(crate) fn document(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(FOLDER).join(name).with_extension("xml")).unwrap()
}

/// What it becomes; entries are called `urn:uuid:…` and a number.
pub(crate) fn mapped(name: &str) -> Mapped {
    let document = read(&document(name), &Limits::default()).unwrap();
    map(&document, &mut urls()).unwrap_or_else(|faults| panic!("{name}: {faults:?}"))
}

pub(crate) fn urls() -> impl FnMut() -> String {
    let mut number = 0_u64;
    move || {
        number += 1;
        format!("urn:uuid:00000000-0000-4000-8000-{number:012x}")
    }
}

/// All lines, tried.
pub(crate) fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(Path::new(FOLDER).join("rows.txt")).unwrap();
    table::rows(&text, |name| mapped(name).bundle)
}
