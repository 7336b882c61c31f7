//! What only the store can tell of a plan, and what follows from its answers.

use std::collections::BTreeMap;
use std::fmt;

use super::{Action, EntryProblem, Expected, Plan, TransactionError, references};
use crate::fhir::{Resource, ResourceType};

/// What only the store can tell.
#[derive(Clone, PartialEq, Eq)]
pub enum Pending {
    /// Answer with [`Plan::resolve_create`].
    Create {
        /// The entry.
        index: usize,
        /// What is created.
        resource_type: ResourceType,
        /// The query that must match nothing.
        query: String,
    },
    /// A conditional update, patch or delete. Answer with [`Plan::resolve_target`].
    Target {
        /// The entry.
        index: usize,
        /// What is changed.
        resource_type: ResourceType,
        /// The query that must match at most one resource.
        query: String,
    },
    /// Answer with [`Plan::resolve_reference`].
    Reference {
        /// The first entry that holds it.
        index: usize,
        /// What is searched.
        resource_type: ResourceType,
        /// The query that must match one resource.
        query: String,
    },
}

// Queries hold identifiers of patients: Debug shows what is asked for alone.
impl fmt::Debug for Pending {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, index, resource_type) = match self {
            Self::Create {
                index,
                resource_type,
                ..
            } => ("Create", index, resource_type),
            Self::Target {
                index,
                resource_type,
                ..
            } => ("Target", index, resource_type),
            Self::Reference {
                index,
                resource_type,
                ..
            } => ("Reference", index, resource_type),
        };
        write!(out, "{name}({index}, {resource_type}?..)")
    }
}

impl Plan {
    /// What the caller must look up before it executes the plan. References come last: the answers
    /// to what stands before can change them.
    pub fn pending(&self) -> Vec<Pending> {
        let mut pending: Vec<Pending> = self
            .entries
            .iter()
            .filter_map(|entry| {
                let (index, resource_type) = (entry.index, entry.resource_type);
                match &entry.action {
                    Action::Create {
                        if_none_exist: Some(query),
                    } => Some(Pending::Create {
                        index,
                        resource_type,
                        query: query.clone(),
                    }),
                    Action::UpdateWhere { query, .. }
                    | Action::DeleteWhere { query, .. }
                    | Action::PatchWhere { query, .. } => Some(Pending::Target {
                        index,
                        resource_type,
                        query: query.clone(),
                    }),
                    _ => None,
                }
            })
            .collect();
        pending.extend(references::conditional(&self.entries));
        pending
    }

    /// Tells the plan what the query of a conditional create matched: one id, or nothing. All
    /// references to the entry follow.
    pub fn resolve_create(&mut self, index: usize, existing_id: Option<&str>) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.index == index) else {
            return;
        };
        let Some(id) = existing_id else {
            entry.action = Action::Create {
                if_none_exist: None,
            };
            return;
        };
        entry.action = Action::Exists;
        entry.resource = None;
        self.rename(index, id);
    }

    /// Tells the plan what the query of a conditional update, patch or delete matched: one id, or
    /// nothing. All references to the entry follow.
    pub fn resolve_target(
        &mut self,
        index: usize,
        found: Option<&str>,
    ) -> Result<(), TransactionError> {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.index == index) else {
            return Ok(());
        };
        let refused = |problem| TransactionError::Entry { index, problem };
        entry.action = match (std::mem::replace(&mut entry.action, Action::Absent), found) {
            (Action::DeleteWhere { if_match, .. }, Some(_)) => Action::Delete { if_match },
            (Action::DeleteWhere { .. }, None) => Action::Absent,
            (Action::PatchWhere { if_match, .. }, Some(_)) => Action::Patch { if_match },
            (Action::PatchWhere { .. }, None) => return Err(refused(EntryProblem::NothingMatches)),
            (Action::UpdateWhere { expected, .. }, None) => {
                let named = entry.resource.as_ref().and_then(Resource::id);
                match (expected, named) {
                    (Expected::Version(_), _) => {
                        return Err(refused(EntryProblem::NothingMatches));
                    }
                    // The id that the client gave is free, or the entry conflicts.
                    (_, Some(_)) => Action::Update {
                        expected: Expected::Nothing,
                    },
                    (_, None) => Action::Create {
                        if_none_exist: None,
                    },
                }
            }
            (Action::UpdateWhere { expected, .. }, Some(id)) => {
                let resource = entry.resource.take();
                if resource
                    .as_ref()
                    .and_then(Resource::id)
                    .is_some_and(|named| named != id)
                {
                    return Err(refused(EntryProblem::IdMismatch));
                }
                entry.resource = match resource {
                    Some(resource) => Some(
                        resource
                            .with_id(id)
                            .map_err(|error| refused(EntryProblem::Resource(error)))?,
                    ),
                    None => None,
                };
                Action::Update { expected }
            }
            (other, _) => other,
        };
        if let Some(id) = found {
            self.rename(index, id);
        }
        Ok(())
    }

    /// Tells the plan the one resource that a conditional reference matched.
    pub fn resolve_reference(&mut self, resource_type: ResourceType, query: &str, id: &str) {
        let (from, to) = (
            format!("{resource_type}?{query}"),
            format!("{resource_type}/{id}"),
        );
        references::replace(&mut self.entries, &from, &to);
    }

    /// Refuses a plan of which two entries change one resource; asked when nothing is pending.
    pub fn check_targets(&self) -> Result<(), TransactionError> {
        let mut by_target: BTreeMap<(ResourceType, &str), usize> = BTreeMap::new();
        for entry in &self.entries {
            if matches!(entry.action, Action::Exists | Action::Absent) {
                continue;
            }
            let Some(id) = entry.id.as_deref() else {
                continue;
            };
            let (index, target) = (entry.index, (entry.resource_type, id));
            if let Some(first) = by_target.insert(target, index) {
                let problem = EntryProblem::TargetRepeated { first };
                return Err(TransactionError::Entry { index, problem });
            }
        }
        Ok(())
    }

    /// The entry is the resource with this id.
    fn rename(&mut self, index: usize, id: &str) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.index == index) else {
            return;
        };
        let kind = entry.resource_type;
        if let Some(assigned) = entry.id.replace(id.to_owned())
            && assigned != id
        {
            let (from, to) = (format!("{kind}/{assigned}"), format!("{kind}/{id}"));
            references::replace(&mut self.entries, &from, &to);
        }
    }
}
