//! CVX, vaccines: <https://www2.cdc.gov/vaccines/iis/iisstandards/vaccines.asp>.

use super::{Dialect, Read, Row, RowProblem, Table};
use crate::terminology::{Designation, Draft, Kind};

pub(super) const TABLES: &[Table] = &[Table {
    name: ("cvx", ".txt"),
    is_required: true,
    dialect: Dialect::Bars,
    columns: &[
        "code",
        "short",
        "full",
        "notes",
        "status",
        "nonvaccine",
        "updated",
    ],
    read: Read::Row(vaccine),
}];

fn vaccine(row: &Row<'_>, draft: &mut Draft) -> Result<(), RowProblem> {
    let code = row.filled("code")?;
    let (short, full) = (row.filled("short")?, row.get("full")?);
    let status = row.filled("status")?;
    let concept = draft.concept(code);
    concept.display = Some(short.to_owned());
    concept.is_inactive = status.eq_ignore_ascii_case("inactive");
    let notes = row.get("notes")?;
    concept.definition = Some(notes.to_owned()).filter(|notes| !notes.is_empty());
    if !full.is_empty() {
        let designation = Designation {
            language: Some("en".to_owned()),
            usage: None,
            value: full.to_owned(),
        };
        draft.designate(code, designation);
    }
    draft.say(code, "VaccineStatus", Kind::Code, status);
    Ok(())
}
