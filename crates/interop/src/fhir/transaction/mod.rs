//! Bundles of type `transaction` and `batch`: from entries to a plan, from results to a response.
//!
//! Planning decides everything that can be decided without a store. What needs one stays in the
//! plan as [`Pending`]: the caller looks it up and tells the plan.
//!
//! References in `Reference.reference` are resolved, also in contained resources and extensions; URNs of entries also in
//! elements of type uri and in links of narrative text.

mod attachments;
mod entry;
mod links;
mod pending;
mod problem;
mod references;
mod request;
mod response;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::resource::Checking;
use super::{Resource, ResourceType};
use entry::Read;

pub use pending::Pending;
pub use problem::{EntryProblem, TransactionError};
pub use request::{EntryRequest, Method};
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

/// The change that an entry asks for.
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
        /// What must hold of the current version.
        expected: Expected,
    },
    /// Update the one match of a query; create if nothing matches.
    UpdateWhere {
        /// The query.
        query: String,
        /// What must hold of the version that is found.
        expected: Expected,
    },
    /// Delete.
    Delete {
        /// The version that must be current.
        if_match: Option<u64>,
    },
    /// Delete the one match of a query.
    DeleteWhere {
        /// The query.
        query: String,
        /// The version that must be current.
        if_match: Option<u64>,
    },
    /// Nothing is deleted: the query of the conditional delete matched nothing.
    Absent,
    /// Change by the patch that stands as the entry's resource.
    Patch {
        /// The version that must be current.
        if_match: Option<u64>,
    },
    /// Patch the one match of a query.
    PatchWhere {
        /// The query.
        query: String,
        /// The version that must be current.
        if_match: Option<u64>,
    },
}

/// What must hold of the current version for an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Anything,
    /// There is none (`ifNoneMatch: *`).
    Nothing,
    /// It is this one (`ifMatch`).
    Version(u64),
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
    /// The id: of the URL, or assigned for a create; none for a delete or a patch whose query is still pending.
    pub id: Option<String>,
    /// What to write, with references resolved.
    pub resource: Option<Resource>,
    /// The request as it was sent.
    pub request: EntryRequest,
}

/// An entry that changes no resource by itself: a read, a search, a history, an operation.
#[derive(Clone, PartialEq)]
pub struct PlannedCall {
    /// Its place in the Bundle, and of its response.
    pub index: usize,
    /// The request.
    pub request: EntryRequest,
    /// The input of an operation.
    pub resource: Option<Resource>,
}

// Queries hold identifiers of patients: Debug shows what is asked for alone.
impl fmt::Debug for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Create {
                if_none_exist: Some(_),
            } => "Create(if none exists)",
            Self::Create {
                if_none_exist: None,
            } => "Create",
            Self::Exists => "Exists",
            Self::Update { expected } => return write!(out, "Update({expected:?})"),
            Self::UpdateWhere { .. } => "UpdateWhere(..)",
            Self::Delete { .. } => "Delete",
            Self::DeleteWhere { .. } => "DeleteWhere(..)",
            Self::Absent => "Absent",
            Self::Patch { .. } => "Patch",
            Self::PatchWhere { .. } => "PatchWhere(..)",
        })
    }
}

impl fmt::Debug for PlannedCall {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PlannedCall({}, {:?})", self.index, self.request)
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

/// What is to be executed, in the order of R4: DELETE, POST, PUT and PATCH, then calls; in each, the order of the Bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// All or each.
    pub kind: BundleKind,
    /// The changes to make.
    pub entries: Vec<PlannedEntry>,
    /// What is asked for when the changes are made.
    pub calls: Vec<PlannedCall>,
    /// The entries of a batch that are wrong; empty for a transaction.
    pub refused: Vec<RefusedEntry>,
}

/// Plans a Bundle. `new_id` is asked once for each entry that can create, in the order of the Bundle.
///
/// In a transaction the first wrong entry refuses the whole Bundle; in a batch wrong entries are
/// listed in the plan. What is written is held against the definitions as `checking` says.
pub fn plan(
    bundle: Resource,
    checking: Checking,
    new_id: &mut dyn FnMut() -> String,
) -> Result<Plan, TransactionError> {
    let (kind, values) = entries_of(bundle)?;
    let mut drafts = Vec::new();
    let mut calls = Vec::new();
    let mut refused = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        match entry::read(index, (value, checking), new_id) {
            Ok(Read::Change(draft)) => drafts.push(draft),
            Ok(Read::Call(call)) if kind == BundleKind::Transaction && !call.request.is_safe() => {
                let problem = EntryProblem::OperationInTransaction;
                refused.push(RefusedEntry { index, problem });
            }
            Ok(Read::Call(call)) => calls.push(call),
            Err(problem) => refused.push(RefusedEntry { index, problem }),
        }
    }
    entry::refuse_repeated(&mut drafts, &mut refused);
    if kind == BundleKind::Transaction {
        attachments::protect(&mut drafts);
        attachments::refuse_untrue(&drafts, &mut refused);
    }
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
        calls,
        refused,
    })
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
        Action::Delete { .. } | Action::DeleteWhere { .. } | Action::Absent => 0,
        Action::Create { .. } | Action::Exists => 1,
        Action::Update { .. }
        | Action::UpdateWhere { .. }
        | Action::Patch { .. }
        | Action::PatchWhere { .. } => 2,
    }
}

#[cfg(test)]
mod tests;
