//! The National Drug Code directory, products: <https://open.fda.gov/data/ndc/>.

use super::{Dialect, Read, Row, RowProblem, Table};
use crate::terminology::{Designation, Draft, Kind};

pub(super) const TABLES: &[Table] = &[Table {
    name: ("product", ".txt"),
    is_required: true,
    dialect: Dialect::Tabs,
    columns: &["PRODUCTNDC", "PROPRIETARYNAME", "NONPROPRIETARYNAME"],
    read: Read::Row(product),
}];

const PROPERTIES: [&str; 8] = [
    "PRODUCTTYPENAME",
    "DOSAGEFORMNAME",
    "ROUTENAME",
    "LABELERNAME",
    "SUBSTANCENAME",
    "ACTIVE_NUMERATOR_STRENGTH",
    "ACTIVE_INGRED_UNIT",
    "ENDMARKETINGDATE",
];

fn product(row: &Row<'_>, draft: &mut Draft) -> Result<(), RowProblem> {
    let code = row.filled("PRODUCTNDC")?;
    let name = [
        row.get("PROPRIETARYNAME")?,
        row.optional("PROPRIETARYNAMESUFFIX"),
    ];
    let name = name.join(" ").trim().to_owned();
    let generic = row.get("NONPROPRIETARYNAME")?;
    let display = if name.is_empty() { generic } else { &name };
    if display.is_empty() {
        return Err(RowProblem::Empty("PROPRIETARYNAME"));
    }
    // A product with several routes has several rows.
    if !draft.has(code) {
        draft.concept(code).display = Some(display.to_owned());
        if !generic.is_empty() && generic != display {
            let designation = Designation {
                language: Some("en".to_owned()),
                usage: None,
                value: generic.to_owned(),
            };
            draft.designate(code, designation);
        }
    }
    for name in PROPERTIES {
        draft.say(code, name, Kind::String, row.optional(name));
    }
    Ok(())
}
