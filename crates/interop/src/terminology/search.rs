//! What queries ask of vocabularies (`:in`, `:not-in`, `:above`, `:below`).

use std::fmt;

use fixedbitset::FixedBitSet;

use super::selection::{Selection, known};
use super::{Canonical, Concepts, Library, TerminologyProblem};
use crate::fhir::search::{Terminology, TokenTerm, ValueSets};

/// Codes that a query is made of at most.
const SEARCHED_MAX: usize = 20_000;

/// What records define, then what is loaded.
pub struct Searched<'a> {
    records: Terminology,
    library: &'a dyn Library,
}

impl<'a> Searched<'a> {
    /// Definitions among the records count before those that are loaded.
    pub fn new(records: Terminology, library: &'a dyn Library) -> Self {
        Self { records, library }
    }

    fn loaded(&self, url: &str) -> Result<Option<Vec<TokenTerm>>, TerminologyProblem> {
        let Some(value_set) = known(&Canonical::parse(url), self.library) else {
            return Ok(None);
        };
        let selection = Selection::of(&value_set, self.library)?;
        if selection.len() > SEARCHED_MAX {
            return Ok(None);
        }
        let mut terms = Vec::with_capacity(selection.len());
        for (system, chosen) in &selection.0 {
            let term = |code: String| TokenTerm {
                system: Some(system.clone()),
                code,
            };
            if let Some(concepts) = &chosen.concepts {
                terms.extend(
                    codes(concepts.as_ref(), &chosen.numbers)?
                        .into_iter()
                        .map(term),
                );
            }
            terms.extend(chosen.listed.keys().cloned().map(term));
        }
        Ok(Some(terms))
    }

    fn related(
        &self,
        system: &str,
        code: &str,
        is_below: bool,
    ) -> Result<Option<Vec<String>>, TerminologyProblem> {
        let Some(concepts) = self.library.code_system(&Canonical::of(system)) else {
            return Ok(None);
        };
        let hierarchy = concepts.hierarchy();
        let Some(number) = concepts.number(code)?.filter(|_| hierarchy.has_links()) else {
            return Ok(None);
        };
        let found = match is_below {
            true => hierarchy.below(number),
            false => hierarchy.above(number),
        };
        if found.count_ones(..) > SEARCHED_MAX {
            return Ok(None);
        }
        Ok(Some(codes(concepts.as_ref(), &found)?))
    }
}

impl ValueSets for Searched<'_> {
    fn codes(&self, url: &str) -> Option<Vec<TokenTerm>> {
        let of_records = self.records.codes(url);
        of_records.or_else(|| self.loaded(url).ok().flatten())
    }

    fn below(&self, system: &str, code: &str) -> Option<Vec<String>> {
        let of_records = self.records.below(system, code);
        of_records.or_else(|| self.related(system, code, true).ok().flatten())
    }

    fn above(&self, system: &str, code: &str) -> Option<Vec<String>> {
        let of_records = self.records.above(system, code);
        of_records.or_else(|| self.related(system, code, false).ok().flatten())
    }
}

fn codes(of: &dyn Concepts, numbers: &FixedBitSet) -> Result<Vec<String>, TerminologyProblem> {
    let mut codes = Vec::with_capacity(numbers.count_ones(..));
    for number in numbers.ones().filter_map(|it| u32::try_from(it).ok()) {
        codes.extend(of.concept(number)?.map(|concept| concept.code));
    }
    Ok(codes)
}

impl fmt::Debug for Searched<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Searched")
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}
