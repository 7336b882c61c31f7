//! ICD-10-CM, the order file of a release: a number, the code without its dot, whether it is a code for billing, a short
//! and a long description, at fixed columns. What a code begins with is above it. And the tabular list.

mod tabular;

use super::{Dialect, Read, Row, RowProblem, Table};
use crate::terminology::{Designation, Draft, Kind};

pub(super) const TABLES: &[Table] = &[
    Table {
        name: ("icd10cm", ".txt"),
        is_required: false,
        dialect: Dialect::Line,
        columns: &["line"],
        read: Read::Row(line),
    },
    Table {
        name: ("icd10cm", ".xml"),
        is_required: false,
        dialect: Dialect::Xml,
        columns: &[],
        read: Read::Whole(tabular::read),
    },
];

/// A category has three characters; what is more stands behind a dot.
const CATEGORY: usize = 3;

fn line(row: &Row<'_>, draft: &mut Draft) -> Result<(), RowProblem> {
    let [line] = row.fields else {
        return Err(RowProblem::TooShort("line"));
    };
    let part = |from: usize, to: usize| {
        let part = line.get(from..to.min(line.len()));
        part.map(str::trim).unwrap_or_default()
    };
    let bare = part(6, 13);
    if bare.len() < CATEGORY || !bare.bytes().all(|letter| letter.is_ascii_alphanumeric()) {
        return Err(RowProblem::Unknown("code"));
    }
    let billable = match part(14, 15) {
        "1" => "true",
        "0" => "false",
        _ => return Err(RowProblem::Unknown("billable")),
    };
    let (short, long) = (part(16, 76), part(77, line.len()));
    let name = if long.is_empty() { short } else { long };
    if name.is_empty() {
        return Err(RowProblem::Empty("description"));
    }
    let code = dotted(bare);
    draft.concept(&code).display = Some(name.to_owned());
    if short != name && !short.is_empty() {
        let designation = Designation {
            language: None,
            usage: None,
            value: short.to_owned(),
        };
        draft.designate(&code, designation);
    }
    draft.say(&code, "billable", Kind::Boolean, billable);
    let mut shorter = (CATEGORY..bare.len()).rev();
    let above = shorter.find_map(|end| bare.get(..end).map(dotted).filter(|it| draft.has(it)));
    if let Some(above) = above {
        draft.link(&code, &above);
    }
    Ok(())
}

fn dotted(bare: &str) -> String {
    match bare.split_at_checked(CATEGORY) {
        Some((category, rest)) if !rest.is_empty() => format!("{category}.{rest}"),
        _ => bare.to_owned(),
    }
}
