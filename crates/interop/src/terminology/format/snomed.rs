//! SNOMED CT in Release Format 2, snapshot: <https://docs.snomed.org/> (Release File Specification).
//!
//! Shown is the fully specified name without its semantic tag: which synonym is preferred is said in the language
//! reference sets, which are not read.

use super::{Dialect, Read, Row, RowProblem, Table};
use crate::terminology::{Designation, Draft, Kind};

pub(super) const TABLES: &[Table] = &[
    Table {
        name: ("sct2_concept_snapshot", ".txt"),
        is_required: true,
        dialect: Dialect::Tabs,
        columns: &["id", "active", "moduleId", "definitionStatusId"],
        read: Read::Row(concept),
    },
    Table {
        name: ("sct2_description_snapshot", ".txt"),
        is_required: true,
        dialect: Dialect::Tabs,
        columns: &["active", "conceptId", "languageCode", "typeId", "term"],
        read: Read::Row(description),
    },
    Table {
        name: ("sct2_relationship_snapshot", ".txt"),
        is_required: true,
        dialect: Dialect::Tabs,
        columns: &["active", "sourceId", "destinationId", "typeId"],
        read: Read::Row(relationship),
    },
];

const FULLY_SPECIFIED: &str = "900000000000003001";
const SUFFICIENTLY_DEFINED: &str = "900000000000073002";
const IS_A: &str = "116680003";

fn concept(row: &Row<'_>, draft: &mut Draft) -> Result<(), RowProblem> {
    let code = row.filled("id")?;
    draft.concept(code).is_inactive = !is_active(row)?;
    draft.say(code, "moduleId", Kind::Code, row.get("moduleId")?);
    let is_defined = row.get("definitionStatusId")? == SUFFICIENTLY_DEFINED;
    let value = if is_defined { "true" } else { "false" };
    draft.say(code, "sufficientlyDefined", Kind::Boolean, value);
    Ok(())
}

fn description(row: &Row<'_>, draft: &mut Draft) -> Result<(), RowProblem> {
    let code = row.filled("conceptId")?;
    if !is_active(row)? || !draft.has(code) {
        return Ok(());
    }
    let (usage, term) = (row.filled("typeId")?, row.filled("term")?);
    let is_shown = usage == FULLY_SPECIFIED && row.get("languageCode")?.starts_with("en");
    let concept = draft.concept(code);
    if is_shown || concept.display.is_none() {
        concept.display = Some(without_tag(term).to_owned());
    }
    let designation = Designation {
        language: Some(row.get("languageCode")?.to_owned()),
        usage: Some(format!("http://snomed.info/sct|{usage}")),
        value: term.to_owned(),
    };
    draft.designate(code, designation);
    Ok(())
}

fn relationship(row: &Row<'_>, draft: &mut Draft) -> Result<(), RowProblem> {
    if !is_active(row)? {
        return Ok(());
    }
    let (code, other) = (row.filled("sourceId")?, row.filled("destinationId")?);
    match row.filled("typeId")? {
        IS_A => draft.link(code, other),
        attribute => draft.say(code, attribute, Kind::Code, other),
    }
    Ok(())
}

fn is_active(row: &Row<'_>) -> Result<bool, RowProblem> {
    match row.get("active")? {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err(RowProblem::Unknown("active")),
    }
}

/// `Fracture of bone (disorder)` is shown as `Fracture of bone`.
fn without_tag(term: &str) -> &str {
    let tagged = term.strip_suffix(')');
    let name = tagged.and_then(|term| term.rsplit_once(" ("));
    name.map_or(term, |(name, _)| name)
}
