//! The types of which there are documents here: only these need a look when a patient's whole record is asked for.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use interop::fhir::ResourceType;

use super::CustodyError;
use super::keys::Keys;
use super::store::{Store, Table};

/// Types that were indexed at some time; they are never taken out.
pub(crate) struct Types(RwLock<BTreeSet<ResourceType>>);

impl Types {
    pub(crate) fn read(store: &Store, keys: &Keys) -> Result<Self, CustodyError> {
        let view = store.view()?;
        let mut types = BTreeSet::new();
        for resource_type in ResourceType::all() {
            let prefix = keys.terms(resource_type.as_str(), &[]);
            if view.keys(Table::Terms, &prefix).next().is_some() {
                types.insert(resource_type);
            }
        }
        Ok(Self(RwLock::new(types)))
    }

    pub(crate) fn note(&self, resource_type: ResourceType) {
        let is_known = self
            .0
            .read()
            .is_ok_and(|types| types.contains(&resource_type));
        if !is_known {
            let mut types = self.0.write().unwrap_or_else(PoisonError::into_inner);
            types.insert(resource_type);
        }
    }

    pub(crate) fn all(&self) -> BTreeSet<ResourceType> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
