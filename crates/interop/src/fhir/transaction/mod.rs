//! Bundles of type `transaction` and `batch`: from entries to a plan, from results to a response.
//!
//! Planning decides everything that can be decided without a store. What needs one stays in the
//! plan as [`Pending`]: the caller looks it up and tells the plan.
//!
//! References in `Reference.reference` are resolved, also in contained resources and extensions.
//! Other elements of type uri, and links in narrative text, stay as they are.

mod entry;
mod references;
mod response;

use std::collections::BTreeMap;

use serde_json::Value;
use thiserror::Error;

use super::{Issue, IssueType, OperationOutcome, Resource, ResourceError, ResourceType};

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
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq)]
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
impl std::fmt::Debug for Pending {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

/// What is wrong with a Bundle.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TransactionError {
    #[error("the resource is not a Bundle")]
    NotABundle,
    #[error("`Bundle.type` is neither transaction nor batch")]
    KindUnsupported,
    #[error("`Bundle.entry` is not an array")]
    EntriesMalformed,
    #[error("the Bundle has {entries} entries, the limit is {limit}")]
    TooManyEntries { entries: usize, limit: usize },
    #[error("entry {index}: {problem}")]
    Entry { index: usize, problem: EntryProblem },
}

/// What is wrong with an entry. Holds no value of the Bundle.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum EntryProblem {
    #[error("the entry is not an object")]
    NotAnObject,
    #[error("`request` is missing")]
    RequestMissing,
    #[error("`request.method` is missing or not one of R4")]
    MethodUnknown,
    #[error("`request.method` is not supported here")]
    MethodUnsupported,
    #[error("`request.url` is missing")]
    UrlMissing,
    #[error("`request.url` does not fit the method")]
    UrlMalformed,
    #[error("`request.url` names no R4 resource type")]
    TypeUnknown,
    #[error("conditional update and delete are not supported")]
    ConditionalUnsupported,
    #[error("`request.ifMatch` is not a weak ETag of a version")]
    IfMatchMalformed,
    #[error("`request.ifNoneExist` is not a query")]
    IfNoneExistMalformed,
    #[error("`resource` is missing")]
    ResourceMissing,
    #[error("`resource`: {0}")]
    Resource(ResourceError),
    #[error("`resource.id` is not the id of `request.url`")]
    IdMismatch,
    #[error("`fullUrl` is not a URL or URN")]
    FullUrlMalformed,
    #[error("`fullUrl` is that of entry {first}")]
    FullUrlRepeated { first: usize },
    #[error("the entry writes the resource that entry {first} writes")]
    TargetRepeated { first: usize },
    #[error("the id source gave no usable id")]
    IdUnusable,
    #[error("the reference at `{path}` names no entry of the Bundle")]
    ReferenceUnresolved { path: String },
}

impl TransactionError {
    /// The outcome to answer with.
    pub fn outcome(&self) -> OperationOutcome {
        let code = match self {
            Self::NotABundle | Self::KindUnsupported => IssueType::Value,
            Self::EntriesMalformed => IssueType::Structure,
            Self::TooManyEntries { .. } => IssueType::TooCostly,
            Self::Entry { index, problem } => return problem.outcome(*index),
        };
        OperationOutcome::error(code, self.to_string())
    }
}

impl EntryProblem {
    /// The outcome for the entry at this place.
    pub fn outcome(&self, index: usize) -> OperationOutcome {
        if let Self::Resource(error) = self {
            return error.issues().into_iter().fold(
                OperationOutcome::of(
                    Issue::error(
                        IssueType::Invalid,
                        format!("entry {index}: `resource` is refused"),
                    )
                    .at(format!("Bundle.entry[{index}].resource")),
                ),
                OperationOutcome::with,
            );
        }
        let issue = Issue::error(self.issue_type(), format!("entry {index}: {self}"));
        OperationOutcome::of(issue.at(format!("Bundle.entry[{index}]{}", self.element())))
    }

    fn issue_type(&self) -> IssueType {
        match self {
            Self::NotAnObject => IssueType::Structure,
            Self::RequestMissing | Self::UrlMissing | Self::ResourceMissing => IssueType::Required,
            Self::MethodUnknown
            | Self::UrlMalformed
            | Self::IfMatchMalformed
            | Self::IfNoneExistMalformed
            | Self::FullUrlMalformed => IssueType::Value,
            Self::MethodUnsupported | Self::TypeUnknown | Self::ConditionalUnsupported => {
                IssueType::NotSupported
            }
            Self::Resource(_) | Self::IdMismatch => IssueType::Invalid,
            Self::FullUrlRepeated { .. } | Self::TargetRepeated { .. } => IssueType::Duplicate,
            Self::IdUnusable => IssueType::Exception,
            Self::ReferenceUnresolved { .. } => IssueType::NotFound,
        }
    }

    fn element(&self) -> &'static str {
        match self {
            Self::NotAnObject | Self::TargetRepeated { .. } | Self::IdUnusable => "",
            Self::RequestMissing => ".request",
            Self::MethodUnknown | Self::MethodUnsupported => ".request.method",
            Self::UrlMissing
            | Self::UrlMalformed
            | Self::TypeUnknown
            | Self::ConditionalUnsupported => ".request.url",
            Self::IfMatchMalformed => ".request.ifMatch",
            Self::IfNoneExistMalformed => ".request.ifNoneExist",
            Self::ResourceMissing | Self::Resource(_) | Self::ReferenceUnresolved { .. } => {
                ".resource"
            }
            Self::IdMismatch => ".resource.id",
            Self::FullUrlMalformed | Self::FullUrlRepeated { .. } => ".fullUrl",
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
