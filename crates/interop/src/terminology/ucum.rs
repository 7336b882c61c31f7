//! UCUM, whose codes are made by a grammar (<https://ucum.org/ucum>).

use fixedbitset::FixedBitSet;

use super::{About, Concept, Concepts, Hierarchy, Unavailable};

/// No unit that is written by hand is longer.
const UNIT_BYTES_MAX: usize = 64;

/// The code system of units.
#[derive(Debug)]
pub struct Ucum {
    about: About,
    hierarchy: Hierarchy,
}

impl Ucum {
    /// Its canonical URL.
    pub const URL: &'static str = "http://unitsofmeasure.org";
}

impl Default for Ucum {
    fn default() -> Self {
        Self {
            about: About {
                url: Self::URL.to_owned(),
                version: String::new(),
                name: "UCUM".to_owned(),
            },
            hierarchy: Hierarchy::default(),
        }
    }
}

impl Concepts for Ucum {
    fn about(&self) -> &About {
        &self.about
    }

    fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    fn number(&self, _: &str) -> Result<Option<u32>, Unavailable> {
        Ok(None)
    }

    fn concept(&self, _: u32) -> Result<Option<Concept>, Unavailable> {
        Ok(None)
    }

    fn with_prefix(&self, _: &str) -> Result<FixedBitSet, Unavailable> {
        Ok(FixedBitSet::new())
    }

    fn with_property(&self, _: &str, _: &str) -> Result<Vec<u32>, Unavailable> {
        Ok(Vec::new())
    }

    fn each_value(&self, _: &str, _: &mut dyn FnMut(&str, &[u32])) -> Result<(), Unavailable> {
        Ok(())
    }

    fn is_grammar(&self) -> bool {
        true
    }

    fn of_code(&self, code: &str) -> Result<Option<Concept>, Unavailable> {
        let is_bounded = !code.is_empty() && code.len() <= UNIT_BYTES_MAX;
        let is_unit = is_bounded && octofhir_ucum::validate(code).is_ok();
        Ok(is_unit.then(|| Concept {
            code: code.to_owned(),
            display: Some(code.to_owned()),
            ..Concept::default()
        }))
    }
}
