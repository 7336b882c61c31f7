//! Codes of one's own: CSV with the columns `code` and `display`, and if there are some `parent` (several are separated by
//! blanks), `active` (`true` or `false`), `definition`; every other column is a property.

use super::{Dialect, Read, Row, RowProblem, Table};
use crate::terminology::{Draft, Kind};

pub(super) const TABLES: &[Table] = &[Table {
    name: ("", ".csv"),
    is_required: true,
    dialect: Dialect::Csv,
    columns: &["code", "display"],
    read: Read::Row(concept),
}];

const OWN: [&str; 5] = ["code", "display", "parent", "active", "definition"];

fn concept(row: &Row<'_>, draft: &mut Draft) -> Result<(), RowProblem> {
    let code = row.filled("code")?;
    let display = row.get("display")?;
    let is_inactive = match row.optional("active") {
        "" | "true" => false,
        "false" => true,
        _ => return Err(RowProblem::Unknown("active")),
    };
    let definition = row.optional("definition");
    let concept = draft.concept(code);
    concept.display = Some(display.to_owned()).filter(|display| !display.is_empty());
    concept.definition = Some(definition.to_owned()).filter(|definition| !definition.is_empty());
    concept.is_inactive = is_inactive;
    for above in row.optional("parent").split_whitespace() {
        draft.link(code, above);
    }
    for (name, value) in row.columns.iter().zip(row.fields) {
        if !OWN.contains(&name.as_str()) {
            draft.say(code, name, Kind::String, value.trim());
        }
    }
    Ok(())
}
