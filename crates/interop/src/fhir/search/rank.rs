//! The order of matches (`_sort`).

use std::cmp::Reverse;

use super::Decimal;
use super::limits::SORT_KEYS_MAX;
use super::parameter::{ParameterKind, parameter};
use super::problem::QueryProblem;
use super::query::Candidate;
use super::terms::Term;
use super::text::fold;
use crate::fhir::ResourceType;

/// One key of `_sort`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SortKey {
    parameter: &'static str,
    is_descending: bool,
}

/// Where a match stands among others. Never equal for different resources, so that pages
/// neither repeat nor lose a match.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    keys: Vec<Key>,
    resource: (ResourceType, String),
}

impl std::fmt::Debug for Rank {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Rank(..)")
    }
}

/// Whichever the direction, what has no value comes last.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Up(SortValue),
    Down(Reverse<SortValue>),
    Absent,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum SortValue {
    Moment(i64),
    Number(Decimal),
    Text(String),
}

/// Reads `_sort`; every type must have the parameters.
pub(super) fn sort_keys(types: &[ResourceType], value: &str) -> Result<Vec<SortKey>, QueryProblem> {
    let words: Vec<&str> = value.split(',').collect();
    if words.len() > SORT_KEYS_MAX {
        return Err(QueryProblem::TooManySortKeys);
    }
    let key = |word: &&str| {
        let name = word.strip_prefix('-').unwrap_or(word);
        let mut found = None;
        for resource_type in types {
            let own = parameter(*resource_type, name).ok_or(QueryProblem::ValueUnsupported)?;
            let has_order = !own.is_of_words()
                && !matches!(own.kind, ParameterKind::Composite | ParameterKind::Special);
            if !own.is_supported() || !has_order {
                return Err(QueryProblem::ValueUnsupported);
            }
            found = Some(own.name);
        }
        let parameter = found.ok_or(QueryProblem::ValueUnsupported)?;
        Ok(SortKey {
            parameter,
            is_descending: name.len() < word.len(),
        })
    };
    words.iter().map(key).collect()
}

/// The place of a match; without keys the newest comes first.
pub(super) fn rank(
    keys: &[SortKey],
    resource_type: ResourceType,
    candidate: Candidate<'_>,
) -> Rank {
    let newest = [SortKey {
        parameter: "_lastUpdated",
        is_descending: true,
    }];
    let keys = if keys.is_empty() {
        newest.as_slice()
    } else {
        keys
    };
    Rank {
        keys: keys.iter().map(|key| key.of(candidate)).collect(),
        resource: (resource_type, candidate.id.to_owned()),
    }
}

impl SortKey {
    fn of(self, candidate: Candidate<'_>) -> Key {
        let value = match self.parameter {
            "_id" => Some(SortValue::Text(candidate.id.to_owned())),
            "_lastUpdated" => Some(SortValue::Moment(candidate.last_updated_ms)),
            parameter => self.first(candidate.terms.get(parameter)),
        };
        match value {
            None => Key::Absent,
            Some(value) if self.is_descending => Key::Down(Reverse(value)),
            Some(value) => Key::Up(value),
        }
    }

    /// The least of several values when ascending, the greatest when descending.
    fn first(self, terms: &[Term]) -> Option<SortValue> {
        let values = terms.iter().filter_map(|term| self.value(term));
        if self.is_descending {
            values.max()
        } else {
            values.min()
        }
    }

    fn value(self, term: &Term) -> Option<SortValue> {
        let bound = |interval: &super::Interval| {
            let (near, far) = if self.is_descending {
                (interval.high, interval.low)
            } else {
                (interval.low, interval.high)
            };
            near.or(far).map(SortValue::Number)
        };
        match term {
            // Of what goes on still, the end says nothing.
            Term::Date(span) => Some(SortValue::Moment(span.start_ms)),
            Term::Number(interval) => bound(interval),
            Term::Quantity(quantity) => {
                let canonical = quantity.canonical.as_ref().map(|it| &it.value);
                bound(canonical.unwrap_or(&quantity.value))
            }
            Term::Text(text) => Some(SortValue::Text(fold(text))),
            Term::Token(token) => Some(SortValue::Text(fold(&token.code))),
            Term::Uri(uri) => Some(SortValue::Text(uri.clone())),
            Term::Reference(reference) => {
                let local = reference.resource_type.as_ref().zip(reference.id.as_ref());
                let local = local.map(|(kind, id)| format!("{kind}/{id}"));
                local.or_else(|| reference.uri.clone()).map(SortValue::Text)
            }
            Term::Label(_)
            | Term::Typed(_)
            | Term::Composite(_)
            | Term::Words(_)
            | Term::Position(_) => None,
        }
    }
}
