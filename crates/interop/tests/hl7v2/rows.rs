//! What becomes of the fields of messages: each line of `fixtures/hl7v2/rows.txt`, tried on its message.

use std::path::Path;

use interop::fhir::fhirpath::{Context, Element, Expression, Item};
use interop::hl7v2::{Message, Overrides, map};
use serde_json::Value;

const FOLDER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../crates/interop/tests/fixtures/hl7v2"
);

/// One field and what became of it.
pub(crate) struct Row {
    /// The message's file, without its ending.
    pub(crate) message: String,
    /// Segment and field.
    pub(crate) field: String,
    /// The element.
    pub(crate) element: String,
    /// Whether what it says holds; nothing where it says that nothing is made of it.
    pub(crate) works: Option<bool>,
}

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
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(row).collect()
}

fn row(line: &str) -> Row {
    let parts: Vec<&str> = line.splitn(5, '|').map(str::trim).collect();
    let [message, field, element, resource, expression] = parts[..] else {
        panic!("a line has five parts: {line}");
    };
    let expression = expression.replace("\\|", "|");
    Row {
        works: (resource != "-").then(|| holds(message, resource, &expression)),
        message: message.to_owned(),
        field: field.to_owned(),
        element: element.to_owned(),
    }
}

fn holds(name: &str, resource: &str, expression: &str) -> bool {
    let parsed = Message::parse(&message(name)).unwrap();
    let mapped = map(&parsed, &overrides()).unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
    let all = format!("Bundle.entry.resource.ofType({resource}).where({expression}).exists()");
    let all = Expression::compile(&all).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let Value::Object(bundle) = &mapped.bundle else {
        panic!("a Bundle is an object");
    };
    let focus = Element::object(bundle, "Bundle");
    let context = Context {
        focus,
        resource: focus,
        root: focus,
        now: None,
    };
    let found = all
        .evaluate(&context)
        .unwrap_or_else(|error| panic!("{expression}: {error}"));
    matches!(found.first(), Some(Item::Boolean(true)))
}
