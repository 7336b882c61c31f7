//! Bundles of type `transaction` and `batch`: from entries to a plan, from results to a response.
//!
//! Planning decides everything that can be decided without a store. What needs one stays in the
//! plan as [`Pending`]: the caller looks it up and tells the plan.
//!
//! References in `Reference.reference` are resolved, also in contained resources and extensions.
//! Other elements of type uri, and links in narrative text, stay as they are.

mod entry;
mod problem;
mod references;
mod response;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::{Resource, ResourceType};

pub use problem::{EntryProblem, TransactionError};
pub use response::{EntryResponse, response_bundle};

/// More entries than this are refused.
pub const ENTRIES_MAX: usize = 5_000;

/// How a Bundle is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleKind {
    /// All entries or none.
    Transaction,
    /// Each entry alone.
    Batch,
}

/// What an entry asks for.
#[derive(Clone, PartialEq, Eq)]
pub enum Action {
    /// Create under the assigned id. With a query: only if nothing matches it.
    Create {
        /// The query of `ifNoneExist`.
        if_none_exist: Option<String>,
    },
    /// Nothing is written: the conditional create found the resource with the entry's id.
    Exists,
    /// Create or update at the id of the URL.
    Update {
        /// The version that must be current.
        if_match: Option<u64>,
    },
    /// Delete.
    Delete,
    /// Read or search; the URL of the request, relative to the base.
    Read(String),
}

/// One entry, ready to execute.
#[derive(Clone, PartialEq)]
pub struct PlannedEntry {
    /// Its place in the Bundle, and of its response.
    pub index: usize,
    /// What to do.
    pub action: Action,
    /// The type of the request URL.
    pub resource_type: ResourceType,
    /// The id: assigned for a create, of the URL otherwise; none for a search.
    pub id: Option<String>,
    /// What to write, with references resolved.
    pub resource: Option<Resource>,
}

// Queries hold identifiers of patients: Debug shows what is asked for alone.
impl fmt::Debug for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create {
                if_none_exist: Some(_),
            } => out.write_str("Create(if none exists)"),
            Self::Create {
                if_none_exist: None,
            } => out.write_str("Create"),
            Self::Exists => out.write_str("Exists"),
            Self::Update {
                if_match: Some(version),
            } => write!(out, "Update(if match {version})"),
            Self::Update { if_match: None } => out.write_str("Update"),
            Self::Delete => out.write_str("Delete"),
            Self::Read(_) => out.write_str("Read(..)"),
        }
    }
}

impl fmt::Debug for PlannedEntry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "PlannedEntry({}, {:?}, {}/..)",
            self.index, self.action, self.resource_type
        )
    }
}

/// An entry of a batch that is not executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedEntry {
    /// Its place in the Bundle.
    pub index: usize,
    /// Why.
    pub problem: EntryProblem,
}

/// What is to be executed, in the order of R4: DELETE, POST, PUT, GET; in each, the order of the
/// Bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// All or each.
    pub kind: BundleKind,
    /// The entries to execute.
    pub entries: Vec<PlannedEntry>,
    /// The entries of a batch that are wrong; empty for a transaction.
    pub refused: Vec<RefusedEntry>,
}

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
        match self {
            Self::Create {
                index,
                resource_type,
                ..
            } => {
                write!(out, "Create({index}, {resource_type}?..)")
            }
            Self::Reference {
                index,
                resource_type,
                ..
            } => {
                write!(out, "Reference({index}, {resource_type}?..)")
            }
        }
    }
}

/// Plans a Bundle. `new_id` is asked once for each create, in the order of the Bundle.
///
/// In a transaction the first wrong entry refuses the whole Bundle; in a batch wrong entries are
/// listed in the plan.
pub fn plan(
    bundle: Resource,
    new_id: &mut dyn FnMut() -> String,
) -> Result<Plan, TransactionError> {
    let (kind, values) = entries_of(bundle)?;
    let mut drafts = Vec::new();
    let mut refused = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        match entry::read(index, value, new_id) {
            Ok(draft) => drafts.push(draft),
            Err(problem) => refused.push(RefusedEntry { index, problem }),
        }
    }
    entry::refuse_repeated(&mut drafts, &mut refused);
    let targets = match kind {
        BundleKind::Transaction => references::targets(&drafts),
        // Entries of a batch stand alone: none may name another.
        BundleKind::Batch => BTreeMap::new(),
    };
    let mut entries = Vec::new();
    for mut draft in drafts {
        match references::resolve(&mut draft, &targets) {
            Ok(()) => entries.push(draft.planned),
            Err(problem) => {
                refused.push(RefusedEntry {
                    index: draft.planned.index,
                    problem,
                });
            }
        }
    }
    refused.sort_by_key(|entry| entry.index);
    if kind == BundleKind::Transaction && !refused.is_empty() {
        let RefusedEntry { index, problem } = refused.swap_remove(0);
        return Err(TransactionError::Entry { index, problem });
    }
    entries.sort_by_key(|entry| (rank(&entry.action), entry.index));
    Ok(Plan {
        kind,
        entries,
        refused,
    })
}

impl Plan {
    /// What the caller must look up before it executes the plan. Creates come first: their
    /// answers can change references.
    pub fn pending(&self) -> Vec<Pending> {
        let mut pending: Vec<Pending> = self
            .entries
            .iter()
            .filter_map(|entry| match &entry.action {
                Action::Create {
                    if_none_exist: Some(query),
                } => Some(Pending::Create {
                    index: entry.index,
                    resource_type: entry.resource_type,
                    query: query.clone(),
                }),
                _ => None,
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
        let kind = entry.resource_type;
        let assigned = entry.id.replace(id.to_owned());
        entry.action = Action::Exists;
        entry.resource = None;
        if let Some(assigned) = assigned {
            let (from, to) = (format!("{kind}/{assigned}"), format!("{kind}/{id}"));
            references::replace(&mut self.entries, &from, &to);
        }
    }

    /// Tells the plan the one resource that a conditional reference matched.
    pub fn resolve_reference(&mut self, resource_type: ResourceType, query: &str, id: &str) {
        let (from, to) = (
            format!("{resource_type}?{query}"),
            format!("{resource_type}/{id}"),
        );
        references::replace(&mut self.entries, &from, &to);
    }
}

fn entries_of(bundle: Resource) -> Result<(BundleKind, Vec<Value>), TransactionError> {
    if bundle.resource_type() != ResourceType::BUNDLE {
        return Err(TransactionError::NotABundle);
    }
    let kind = match bundle.get("type").and_then(Value::as_str) {
        Some("transaction") => BundleKind::Transaction,
        Some("batch") => BundleKind::Batch,
        _ => return Err(TransactionError::KindUnsupported),
    };
    let mut value = bundle.into_value();
    let entries = match value.get_mut("entry").map(Value::take) {
        None => Vec::new(),
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err(TransactionError::EntriesMalformed),
    };
    if entries.len() > ENTRIES_MAX {
        let entries = entries.len();
        return Err(TransactionError::TooManyEntries {
            entries,
            limit: ENTRIES_MAX,
        });
    }
    Ok((kind, entries))
}

fn rank(action: &Action) -> u8 {
    match action {
        Action::Delete => 0,
        Action::Create { .. } | Action::Exists => 1,
        Action::Update { .. } => 2,
        Action::Read(_) => 3,
    }
}

#[cfg(test)]
mod tests;
