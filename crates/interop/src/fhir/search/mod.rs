//! Search: which parameters a type has, what a resource is found by, and queries.
//!
//! A resource is indexed once, at its write, into [`IndexTerms`]; a [`Query`] is matched against
//! them, so that a search opens no payload. Adding a parameter: `docs/guides/adding-a-search-parameter.md`.

mod filter;
mod link;
mod lookup;
mod parameter;
mod query;
mod terms;

pub use lookup::{LookupKey, index_format};
pub use parameter::{ParameterKind, SearchParameter, parameters};
pub use query::{Candidate, Handling, Query, QueryError, QueryProblem, Summary, Total};
pub use terms::{IndexTerms, ReferenceTerm, Term, TokenTerm};

#[cfg(test)]
mod tests;
