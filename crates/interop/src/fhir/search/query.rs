//! A query: parsed from the parameters of a URL, matched against index terms.

use std::cmp::Ordering;
use std::fmt;

use thiserror::Error;

use super::filter::Filter;
use super::link;
use super::parameter::{ParameterKind, parameter};
use super::terms::IndexTerms;
use crate::fhir::{Issue, IssueType, OperationOutcome, ResourceType};

/// The page size when none is asked for, and the largest.
const COUNT_DEFAULT: usize = 50;
const COUNT_MAX: usize = 1_000;

/// What happens to parameters that are not known (`Prefer: handling=…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// The query is refused.
    Strict,
    /// The parameter is ignored, and left out of the self link.
    Lenient,
}

/// How much is answered (`_summary`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summary {
    /// Resources.
    Full,
    /// The number of matches alone.
    Count,
}

/// Whether the number of matches is wanted (`_total`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the codes of R4")]
pub enum Total {
    None,
    Estimate,
    Accurate,
}

/// Why a query is refused. Names the parameter, never a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("parameter `{parameter}` {problem}")]
pub struct QueryError {
    /// The name as it was sent; `*` if it is not of the form of a parameter.
    pub parameter: String,
    /// What is wrong with it.
    pub problem: QueryProblem,
}

/// What is wrong with a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum QueryProblem {
    #[error("is not known for this type")]
    ParameterUnknown,
    #[error("has a modifier that is not supported")]
    ModifierUnknown,
    #[error("has no value")]
    ValueMissing,
    #[error("has a value of another form")]
    ValueMalformed,
    #[error("asks for something that is not supported")]
    ValueUnsupported,
}

impl QueryError {
    /// The outcome to answer with.
    pub fn outcome(&self) -> OperationOutcome {
        let code = match self.problem {
            QueryProblem::ParameterUnknown
            | QueryProblem::ModifierUnknown
            | QueryProblem::ValueUnsupported => IssueType::NotSupported,
            QueryProblem::ValueMissing => IssueType::Required,
            QueryProblem::ValueMalformed => IssueType::Value,
        };
        OperationOutcome::of(Issue::error(code, self.to_string()))
    }
}

/// A parsed query on one type.
#[derive(Clone, PartialEq, Eq)]
pub struct Query {
    /// The type.
    pub resource_type: ResourceType,
    /// The page size; 0 asks for the number of matches alone.
    pub count: usize,
    /// How many matches to skip (`_offset`, ours, for links to further pages).
    pub offset: usize,
    /// How much is answered.
    pub summary: Summary,
    /// Whether the number of matches is wanted.
    pub total: Total,
    /// The elements wanted; empty for all.
    pub elements: Vec<String>,
    /// The names of parameters that were ignored.
    pub ignored: Vec<String>,
    filters: Vec<Filter>,
    sort: Vec<SortKey>,
    applied: Vec<(String, String)>,
}

/// A version among the candidates of a search.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// Its index terms.
    pub terms: &'a IndexTerms,
    /// When it was written.
    pub last_updated_ms: i64,
    /// Its logical id.
    pub id: &'a str,
}

impl fmt::Debug for Candidate<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Candidate(..)")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SortKey {
    parameter: &'static str,
    is_descending: bool,
}

// Values are identifiers and names of patients.
impl fmt::Debug for Query {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Query({}, {:?})", self.resource_type, self.filters)
    }
}

impl Query {
    /// Reads decoded names and values, in the order of the URL.
    pub fn parse(
        resource_type: ResourceType,
        pairs: &[(String, String)],
        handling: Handling,
    ) -> Result<Self, QueryError> {
        let mut query = Self {
            resource_type,
            count: COUNT_DEFAULT,
            offset: 0,
            summary: Summary::Full,
            total: Total::Accurate,
            elements: Vec::new(),
            ignored: Vec::new(),
            filters: Vec::new(),
            sort: Vec::new(),
            applied: Vec::new(),
        };
        for (name, value) in pairs {
            match query.take(name, value) {
                Ok(()) => query.applied.push((name.clone(), value.clone())),
                Err(QueryProblem::ParameterUnknown) if handling == Handling::Lenient => {
                    query.ignored.push(showable(name));
                }
                Err(problem) => {
                    return Err(QueryError {
                        parameter: showable(name),
                        problem,
                    });
                }
            }
        }
        Ok(query)
    }

    /// Whether the version matches all parameters.
    pub fn matches(&self, terms: &IndexTerms, last_updated_ms: i64, id: &str) -> bool {
        self.filters.iter().all(|filter| match filter.parameter {
            "_id" => filter.accepts_token(id),
            "_lastUpdated" => filter.accepts_moment(last_updated_ms),
            _ => filter.accepts(terms),
        })
    }

    /// The order of two matches by `_sort`; without it the newest first. What has no value comes
    /// last. Never equal for different ids, so that pages neither repeat nor lose a match.
    pub fn order(&self, one: Candidate<'_>, other: Candidate<'_>) -> Ordering {
        let newest_first = [SortKey {
            parameter: "_lastUpdated",
            is_descending: true,
        }];
        let keys = if self.sort.is_empty() {
            newest_first.as_slice()
        } else {
            &self.sort
        };
        keys.iter()
            .map(|key| key.compare(one, other))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| one.id.cmp(other.id))
    }

    /// The ids of patients to whom the query is confined by `patient`, `subject` or, for
    /// patients, `_id`; `None` if it is not confined.
    pub fn patients(&self) -> Option<Vec<&str>> {
        let is_patient = self.resource_type == ResourceType::PATIENT;
        self.filters
            .iter()
            .find_map(|filter| match filter.parameter {
                "_id" if is_patient => filter.ids_of(ResourceType::PATIENT),
                "patient" | "subject" | "beneficiary" if !is_patient => {
                    filter.ids_of(ResourceType::PATIENT)
                }
                _ => None,
            })
    }

    /// The URL of the query as it was understood, for the `self` link.
    pub fn self_link(&self, base: &str) -> String {
        link::build(base, self.resource_type, &self.applied, None)
    }

    /// The URL of the page that starts at this match.
    pub fn page_link(&self, base: &str, offset: usize) -> String {
        link::build(base, self.resource_type, &self.applied, Some(offset))
    }

    pub(super) fn filters(&self) -> &[Filter] {
        &self.filters
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), QueryProblem> {
        match name {
            "_count" => self.count = whole_number(value)?.min(COUNT_MAX),
            "_offset" => self.offset = whole_number(value)?,
            "_sort" => self.sort = self.sort_keys(value)?,
            "_summary" => match value {
                "count" => self.summary = Summary::Count,
                "false" => self.summary = Summary::Full,
                _ => return Err(QueryProblem::ValueUnsupported),
            },
            "_total" => match value {
                "none" => self.total = Total::None,
                "estimate" => self.total = Total::Estimate,
                "accurate" => self.total = Total::Accurate,
                _ => return Err(QueryProblem::ValueMalformed),
            },
            "_elements" => self.elements = element_names(value)?,
            // The gateway negotiates the format.
            "_format" | "_pretty" => {}
            _ => {
                let filter = self.filter(name, value)?;
                self.filters.push(filter);
            }
        }
        Ok(())
    }

    fn filter(&self, name: &str, value: &str) -> Result<Filter, QueryProblem> {
        let (name, modifier) = match name.split_once(':') {
            Some((name, modifier)) => (name, Some(modifier)),
            None => (name, None),
        };
        let (name, kind) = match (name, parameter(self.resource_type, name)) {
            ("_id", _) => ("_id", ParameterKind::Token),
            ("_lastUpdated", _) => ("_lastUpdated", ParameterKind::Date),
            (_, Some(found)) => (found.name, found.kind),
            (_, None) => return Err(QueryProblem::ParameterUnknown),
        };
        Filter::parse(name, kind, modifier, value)
    }

    fn sort_keys(&self, value: &str) -> Result<Vec<SortKey>, QueryProblem> {
        let keys = value.split(',').map(|word| {
            let name = word.strip_prefix('-').unwrap_or(word);
            let is_descending = name.len() < word.len();
            let parameter = match (name, parameter(self.resource_type, name)) {
                ("_lastUpdated", _) => "_lastUpdated",
                ("_id", _) => "_id",
                (_, Some(found)) if found.kind == ParameterKind::Date => found.name,
                _ => return Err(QueryProblem::ValueUnsupported),
            };
            Ok(SortKey {
                parameter,
                is_descending,
            })
        });
        keys.collect()
    }
}

impl SortKey {
    fn compare(self, one: Candidate<'_>, other: Candidate<'_>) -> Ordering {
        let order = match self.parameter {
            "_id" => one.id.cmp(other.id),
            "_lastUpdated" => one.last_updated_ms.cmp(&other.last_updated_ms),
            _ => match (self.moment(one), self.moment(other)) {
                (Some(one), Some(other)) => one.cmp(&other),
                // Whichever the direction: what has no value comes last.
                (one, other) => return other.is_some().cmp(&one.is_some()),
            },
        };
        if self.is_descending {
            order.reverse()
        } else {
            order
        }
    }

    /// The earliest moment when ascending, the latest when descending.
    fn moment(self, candidate: Candidate<'_>) -> Option<i64> {
        let dates = candidate.terms.dates(self.parameter);
        if self.is_descending {
            dates.map(|span| span.end_ms).max()
        } else {
            dates.map(|span| span.start_ms).min()
        }
    }
}

fn whole_number(text: &str) -> Result<usize, QueryProblem> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| is_plain)
        .ok_or(QueryProblem::ValueMalformed)
}

fn element_names(text: &str) -> Result<Vec<String>, QueryProblem> {
    let names = text.split(',').map(|name| {
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_name
            .then(|| name.to_owned())
            .ok_or(QueryProblem::ValueMalformed)
    });
    names.collect()
}

fn showable(name: &str) -> String {
    let is_form = (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte));
    if is_form {
        name.to_owned()
    } else {
        "*".to_owned()
    }
}
