//! LOINC: <https://loinc.org/kb/loinc-table-structure/>.

use super::{Dialect, Read, Row, RowProblem, Table};
use crate::terminology::{Designation, Draft, Kind};

pub(super) const TABLES: &[Table] = &[
    Table {
        name: ("loinc.csv", "loinc.csv"),
        is_required: true,
        dialect: Dialect::Csv,
        columns: &["LOINC_NUM", "COMPONENT", "STATUS", "LONG_COMMON_NAME"],
        read: Read::Row(term),
    },
    Table {
        name: ("componenthierarchybysystem", ".csv"),
        is_required: false,
        dialect: Dialect::Csv,
        columns: &["IMMEDIATE_PARENT", "CODE", "CODE_TEXT"],
        read: Read::Row(place),
    },
];

/// The properties that R4 names for LOINC (<https://hl7.org/fhir/R4/loinc.html>), and two of use.
const PROPERTIES: [&str; 11] = [
    "COMPONENT",
    "PROPERTY",
    "TIME_ASPCT",
    "SYSTEM",
    "SCALE_TYP",
    "METHOD_TYP",
    "CLASS",
    "CLASSTYPE",
    "STATUS",
    "ORDER_OBS",
    "EXAMPLE_UCUM_UNITS",
];

fn term(row: &Row<'_>, draft: &mut Draft) -> Result<(), RowProblem> {
    let code = row.filled("LOINC_NUM")?;
    let concept = draft.concept(code);
    concept.display = Some(row.filled("LONG_COMMON_NAME")?.to_owned());
    concept.is_inactive = row.get("STATUS")? == "DEPRECATED";
    for (column, usage) in [("SHORTNAME", "SHORTNAME"), ("DisplayName", "DISPLAY_NAME")] {
        let value = row.optional(column);
        if !value.is_empty() {
            let designation = Designation {
                language: None,
                usage: Some(format!("http://loinc.org|{usage}")),
                value: value.to_owned(),
            };
            draft.designate(code, designation);
        }
    }
    for name in PROPERTIES {
        draft.say(code, name, Kind::String, row.optional(name));
    }
    Ok(())
}

/// Where a term or a part stands in the hierarchy of components.
fn place(row: &Row<'_>, draft: &mut Draft) -> Result<(), RowProblem> {
    let code = row.filled("CODE")?;
    if !draft.has(code) {
        draft.concept(code).display = Some(row.get("CODE_TEXT")?.to_owned());
    }
    let above = row.get("IMMEDIATE_PARENT")?;
    if !above.is_empty() {
        draft.link(code, above);
    }
    Ok(())
}
