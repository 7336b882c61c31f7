//! The formats in which vocabularies are published, as tables whose rows somebody else reads.
//!
//! | Format | Release | Files |
//! |---|---|---|
//! | `loinc` | LOINC table, as its folder or `Loinc.csv` | `Loinc.csv`, `ComponentHierarchyBySystem.csv` |
//! | `snomed` | SNOMED CT RF2, snapshot | `sct2_Concept_`, `sct2_Description_`, `sct2_Relationship_` |
//! | `icd10cm` | ICD-10-CM order file, tabular list, or both | `icd10cm_order_`, `icd10cm_tabular_` |
//! | `rxnorm` | RxNorm RRF | `RXNCONSO.RRF`, `RXNREL.RRF` |
//! | `ndc` | NDC directory, text | `product.txt` |
//! | `cvx` | CVX, text | `cvx.txt` |
//! | `csv` | codes of one's own | any `.csv` |

mod cvx;
mod icd10cm;
mod local;
mod loinc;
mod ndc;
mod rxnorm;
mod snomed;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::Draft;

/// A format of code systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the module's table says it")]
pub enum Format {
    Loinc,
    Snomed,
    Icd10Cm,
    RxNorm,
    Ndc,
    Cvx,
    Csv,
}

/// One kind of file of a format.
#[derive(Debug)]
pub struct Table {
    /// How the file's name begins, and how it ends; letters of either case.
    pub name: (&'static str, &'static str),
    /// Whether there is no code system without it.
    pub is_required: bool,
    /// How its lines are separated into fields.
    pub dialect: Dialect,
    /// The columns that have to be there; of a table without a header, all of them.
    pub columns: &'static [&'static str],
    read: Read,
}

/// Who reads a table.
#[derive(Debug, Clone, Copy)]
enum Read {
    /// Row by row.
    Row(fn(&Row<'_>, &mut Draft) -> Result<(), RowProblem>),
    /// All of it; what is wrong is told with its line.
    Whole(fn(&str, &mut Draft) -> Result<(), AtLine>),
}

/// How lines are separated into fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Commas, quotes, and a header.
    Csv,
    /// Tabulators and a header.
    Tabs,
    /// Vertical lines, no header.
    Bars,
    /// One field that is the line, no header.
    Line,
    /// No lines: XML.
    Xml,
}

/// A row of a table.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The names of the columns.
    pub columns: &'a [String],
    /// As many values, or fewer where the last ones are missing.
    pub fields: &'a [&'a str],
}

/// What is wrong with a row. It says nothing of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RowProblem {
    #[error("the column `{0}` is missing")]
    ColumnMissing(&'static str),
    #[error("the row ends before the column `{0}`")]
    TooShort(&'static str),
    #[error("the column `{0}` is empty")]
    Empty(&'static str),
    #[error("the column `{0}` has no value that the format knows")]
    Unknown(&'static str),
    #[error("the XML is not as the format has it")]
    Malformed,
}

/// What is wrong with a file, and in which line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AtLine {
    pub line: u64,
    pub problem: RowProblem,
}

/// A name that is none of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the format is none of loinc, snomed, icd10cm, rxnorm, ndc, cvx, csv, fhir")]
pub struct UnknownFormat;

impl Format {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Loinc, "loinc"),
        (Self::Snomed, "snomed"),
        (Self::Icd10Cm, "icd10cm"),
        (Self::RxNorm, "rxnorm"),
        (Self::Ndc, "ndc"),
        (Self::Cvx, "cvx"),
        (Self::Csv, "csv"),
    ];

    /// Its files, in the order in which they are read.
    pub fn tables(self) -> &'static [Table] {
        match self {
            Self::Loinc => loinc::TABLES,
            Self::Snomed => snomed::TABLES,
            Self::Icd10Cm => icd10cm::TABLES,
            Self::RxNorm => rxnorm::TABLES,
            Self::Ndc => ndc::TABLES,
            Self::Cvx => cvx::TABLES,
            Self::Csv => local::TABLES,
        }
    }

    /// The code system's canonical URL (<https://hl7.org/fhir/R4/terminologies-systems.html>) and name; `None` for codes
    /// of one's own.
    pub fn system(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Loinc => Some(("http://loinc.org", "LOINC")),
            Self::Snomed => Some(("http://snomed.info/sct", "SNOMED CT")),
            Self::Icd10Cm => Some(("http://hl7.org/fhir/sid/icd-10-cm", "ICD-10-CM")),
            Self::RxNorm => Some(("http://www.nlm.nih.gov/research/umls/rxnorm", "RxNorm")),
            Self::Ndc => Some(("http://hl7.org/fhir/sid/ndc", "NDC")),
            Self::Cvx => Some(("http://hl7.org/fhir/sid/cvx", "CVX")),
            Self::Csv => None,
        }
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let mut all = Self::ALL.iter();
        let found = all.find(|(_, name)| *name == text);
        found.map(|(format, _)| *format).ok_or(UnknownFormat)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = Self::ALL.iter();
        let name = all
            .find(|(format, _)| format == self)
            .map(|(_, name)| *name);
        out.write_str(name.unwrap_or_default())
    }
}

impl Table {
    /// Whether a file with this name is one of its kind.
    pub fn is_called(&self, name: &str) -> bool {
        let (begin, end) = self.name;
        let name = name.to_ascii_lowercase();
        name.starts_with(begin) && name.ends_with(end)
    }

    /// Says that a column is missing which has to be there.
    pub fn check(&self, columns: &[String]) -> Result<(), RowProblem> {
        let missing = |name: &&&str| !columns.iter().any(|column| column == **name);
        match self.columns.iter().find(missing) {
            Some(name) => Err(RowProblem::ColumnMissing(name)),
            None => Ok(()),
        }
    }

    /// Takes what a row says.
    pub fn read(&self, row: &Row<'_>, draft: &mut Draft) -> Result<(), RowProblem> {
        match self.read {
            Read::Row(read) => read(row, draft),
            Read::Whole(_) => Ok(()),
        }
    }

    /// Takes what a file of XML says; of other tables nothing.
    ///
    /// # Errors
    ///
    /// The first problem, with its line.
    pub fn read_whole(&self, text: &str, draft: &mut Draft) -> Result<(), AtLine> {
        match self.read {
            Read::Row(_) => Ok(()),
            Read::Whole(read) => read(text, draft),
        }
    }
}

impl<'a> Row<'a> {
    /// The value in a column that has to be there, without blanks around it.
    fn get(&self, name: &'static str) -> Result<&'a str, RowProblem> {
        let at = self.columns.iter().position(|column| column == name);
        let at = at.ok_or(RowProblem::ColumnMissing(name))?;
        let field = self.fields.get(at).ok_or(RowProblem::TooShort(name))?;
        Ok(field.trim())
    }

    /// The value in a column, empty if the column is not there.
    fn optional(&self, name: &'static str) -> &'a str {
        self.get(name).unwrap_or_default()
    }

    /// The value in a column that may not be empty.
    fn filled(&self, name: &'static str) -> Result<&'a str, RowProblem> {
        let value = self.get(name)?;
        match value.is_empty() {
            true => Err(RowProblem::Empty(name)),
            false => Ok(value),
        }
    }
}
