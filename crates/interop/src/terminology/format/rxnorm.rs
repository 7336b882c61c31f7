//! RxNorm in Rich Release Format: <https://www.nlm.nih.gov/research/umls/rxnorm/docs/techdoc.html>.

use super::{Dialect, Read, Row, RowProblem, Table};
use crate::terminology::{Designation, Draft, Kind};

pub(super) const TABLES: &[Table] = &[
    Table {
        name: ("rxnconso", ".rrf"),
        is_required: true,
        dialect: Dialect::Bars,
        columns: &[
            "RXCUI", "LAT", "TS", "LUI", "STT", "SUI", "ISPREF", "RXAUI", "SAUI", "SCUI", "SDUI",
            "SAB", "TTY", "CODE", "STR", "SRL", "SUPPRESS", "CVF",
        ],
        read: Read::Row(name),
    },
    Table {
        name: ("rxnrel", ".rrf"),
        is_required: false,
        dialect: Dialect::Bars,
        columns: &[
            "RXCUI1", "RXAUI1", "STYPE1", "REL", "RXCUI2", "RXAUI2", "STYPE2", "RELA", "RUI",
            "SRUI", "SAB", "SL", "RG", "DIR", "SUPPRESS", "CVF",
        ],
        read: Read::Row(relation),
    },
];

/// Names of other sources are not RxNorm's.
const OWN: &str = "RXNORM";
/// Kinds of names that stand beside a concept's own.
const BESIDES: [&str; 4] = ["SY", "TMSY", "PSN", "ET"];

fn name(row: &Row<'_>, draft: &mut Draft) -> Result<(), RowProblem> {
    let (code, kind) = (row.filled("RXCUI")?, row.filled("TTY")?);
    if row.get("SAB")? != OWN {
        return Ok(());
    }
    let text = row.filled("STR")?;
    let is_suppressed = row.optional("SUPPRESS") == "O";
    let is_known = draft.has(code);
    let is_beside = BESIDES.contains(&kind);
    let concept = draft.concept(code);
    if !is_beside || !is_known {
        concept.display = Some(text.to_owned());
        concept.is_inactive = is_suppressed;
    }
    if is_beside {
        let designation = Designation {
            language: Some("en".to_owned()),
            usage: Some(format!(
                "http://www.nlm.nih.gov/research/umls/rxnorm|{kind}"
            )),
            value: text.to_owned(),
        };
        draft.designate(code, designation);
    } else {
        draft.say(code, "TTY", Kind::Code, kind);
    }
    Ok(())
}

/// The second concept has this relation to the first.
fn relation(row: &Row<'_>, draft: &mut Draft) -> Result<(), RowProblem> {
    let (to, from) = (row.get("RXCUI1")?, row.get("RXCUI2")?);
    let relation = row.get("RELA")?;
    // Relations of names, not of concepts, have no such codes.
    if row.get("SAB")? != OWN || to.is_empty() || from.is_empty() {
        return Ok(());
    }
    match relation {
        "isa" => draft.link(from, to),
        "inverse_isa" => draft.link(to, from),
        _ => draft.say(from, relation, Kind::Code, to),
    }
    Ok(())
}
