//! How far a request reaches: documents beyond it are, for a search, not there.

use std::fmt;
use std::sync::Arc;

use interop::fhir::ResourceType;
use interop::fhir::search::IndexTerms;

/// A current version that a search has come across.
pub struct Reached<'a> {
    /// Its type.
    pub resource_type: ResourceType,
    /// The local id of the patient whose record it is in.
    pub patient_id: Option<&'a str>,
    /// What it is found by.
    pub terms: &'a IndexTerms,
    /// FHIR `meta.lastUpdated`, milliseconds since 1970.
    pub last_updated_ms: i64,
    /// Its logical id.
    pub id: &'a str,
}

type Admits = dyn Fn(&Reached<'_>) -> bool + Send + Sync;

/// Which documents a request reaches, such as by the scopes of its token: all without a limit. What is beyond is neither
/// shown, counted nor named as withheld.
#[derive(Clone, Default)]
pub struct Reach(Option<Arc<Admits>>);

impl Reach {
    /// A reach of what `admits` says.
    pub fn limited(admits: impl Fn(&Reached<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(admits)))
    }

    /// Whether the version is within reach.
    pub fn admits(&self, reached: &Reached<'_>) -> bool {
        self.0.as_ref().is_none_or(|admits| admits(reached))
    }
}

impl PartialEq for Reach {
    /// Whether they are one limit, or none.
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl Eq for Reach {}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "Reach(all)",
            Some(_) => "Reach(limited)",
        })
    }
}

impl fmt::Debug for Reached<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reached(..)")
    }
}
