//! Search parameters in a scope: documents that do not match are beyond it.

use std::fmt;
use std::sync::Arc;

use interop::fhir::ResourceType;
use interop::fhir::search::{Handling, IndexTerms, Query};

use super::ScopeError;
use crate::http::pairs_of;

const PAIRS_MAX: usize = 8;

/// Parameters that a document of a type has to match.
#[derive(Clone)]
pub(super) struct Constraint {
    resource_type: ResourceType,
    pairs: Vec<(String, String)>,
    query: Arc<Query>,
}

impl Constraint {
    /// Reads the query of a scope. It must say the same of a document wherever that is met: so it speaks of the document's
    /// own content, not of other documents, nor of how results are shown.
    pub(super) fn parse(resource_type: ResourceType, query: &str) -> Result<Self, ScopeError> {
        Self::of(resource_type, pairs_of(query).collect())
    }

    fn of(resource_type: ResourceType, pairs: Vec<(String, String)>) -> Result<Self, ScopeError> {
        let is_content = |name: &str| !name.starts_with('_') && !name.contains('.');
        let is_usable = (1..=PAIRS_MAX).contains(&pairs.len())
            && pairs
                .iter()
                .all(|(name, value)| is_content(name) && !value.is_empty());
        if !is_usable {
            return Err(ScopeError);
        }
        let query =
            Query::parse(resource_type, &pairs, Handling::Strict).map_err(|_| ScopeError)?;
        Ok(Self {
            resource_type,
            pairs,
            query: Arc::new(query),
        })
    }

    /// What matches both.
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        let mut pairs = self.pairs.clone();
        let further = other.pairs.iter();
        pairs.extend(further.filter(|pair| !self.pairs.contains(pair)).cloned());
        Self::of(self.resource_type, pairs).ok()
    }

    pub(super) fn admits(&self, terms: &IndexTerms, id: &str) -> bool {
        self.query.matches(terms, 0, id)
    }
}

impl PartialEq for Constraint {
    fn eq(&self, other: &Self) -> bool {
        (self.resource_type, &self.pairs) == (other.resource_type, &other.pairs)
    }
}

impl Eq for Constraint {}

// Values may name patients.
impl fmt::Debug for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Constraint(..)")
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.pairs);
        f.write_str(&query.finish())
    }
}
