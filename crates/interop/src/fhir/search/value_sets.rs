//! What a query needs to know of terminologies (`:in`, `:not-in`, `:above`, `:below`).

use super::terms::TokenTerm;

/// Knows value sets and the hierarchies of code systems.
pub trait ValueSets {
    /// The codes of a value set; `None` if it is not known.
    fn codes(&self, url: &str) -> Option<Vec<TokenTerm>>;

    /// The code and all that it subsumes; `None` if the hierarchy is not known.
    fn below(&self, system: &str, code: &str) -> Option<Vec<String>>;

    /// The code and all that subsume it; `None` if the hierarchy is not known.
    fn above(&self, system: &str, code: &str) -> Option<Vec<String>>;
}

/// Knows no terminology.
#[derive(Debug, Clone, Copy)]
pub struct NoValueSets;

impl ValueSets for NoValueSets {
    fn codes(&self, _: &str) -> Option<Vec<TokenTerm>> {
        None
    }

    fn below(&self, _: &str, _: &str) -> Option<Vec<String>> {
        None
    }

    fn above(&self, _: &str, _: &str) -> Option<Vec<String>> {
        None
    }
}
