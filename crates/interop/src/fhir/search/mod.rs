//! Search: which parameters a type has, what a resource is found by, and queries.
//!
//! A resource is indexed once, at its write, into [`IndexTerms`]; a [`Query`] is matched against
//! them, so that a search opens no payload. Where the values of a parameter stand says a table made
//! from the published definitions: `docs/guides/adding-a-search-parameter.md`.
//!
//! Chains and `_has` are no matter of one resource: who holds the resources finds what they lead to,
//! and puts it in their place ([`Filter::resolve`]).

mod code_system;
mod compare;
mod compartment;
mod decimal;
mod expression;
mod extract;
mod filter;
mod filter_reader;
mod include;
pub mod limits;
mod link;
mod lookup;
mod parameter;
mod place;
mod problem;
mod query;
mod rank;
mod summary;
mod terminology;
mod terms;
mod text;
mod units;
mod value;
mod value_path;
mod value_sets;
mod wanted;
mod words;
mod words_wanted;

pub use compartment::Compartment;
pub use decimal::{Decimal, Interval};
pub use filter::{Condition, Filter, Link, Reverse};
pub use include::{Include, includes};
pub use lookup::{LookupKey, index_format};
pub use parameter::{ParameterKind, SearchParameter, parameter, parameters};
pub use place::{Near, Position};
pub use problem::{QueryError, QueryProblem};
pub use query::{Candidate, Handling, Part, Query, Scope, Total};
pub use rank::Rank;
pub use summary::{Summary, summarized};
pub use terminology::{Terminologies, Terminology};
pub use terms::{Canonical, IndexTerms, QuantityTerm, ReferenceTerm, Term, TokenTerm, TypedTerm};
pub use text::fold;
pub use value_sets::{NoValueSets, ValueSets};
pub use wanted::{
    CanonicalWanted, Prefix, QuantityWanted, Resources, SystemWanted, TokenWanted, UnitWanted,
    Wanted,
};

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;
