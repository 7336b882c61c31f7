//! From the name and the value of a parameter to a filter.

use std::cell::Cell;

use super::expression::{Comparison, Expression, Operator};
use super::filter::{Condition, Filter, Link, Reverse};
use super::limits::{ALL_VALUES_MAX, CHAIN_MAX, VALUES_MAX, WAYS_MAX};
use super::parameter::{ParameterKind, SearchParameter, parameter};
use super::problem::QueryProblem;
use super::value_sets::ValueSets;
use super::{compare, value, words_wanted};
use crate::fhir::ResourceType;

/// The parameter that takes an expression.
pub(super) const FILTER: &str = "_filter";

pub(super) fn read(
    resource_type: ResourceType,
    (name, value): (&str, &str),
    value_sets: &dyn ValueSets,
    counted: &Cell<usize>,
) -> Result<Filter, QueryProblem> {
    let reader = Reader {
        value: Asked::Value(value),
        value_sets,
        ways: &Cell::new(0),
        read: counted,
    };
    if name == FILTER {
        let filter = reader.expression(resource_type, &Expression::parse(value)?)?;
        let kind = ParameterKind::Special;
        return Ok(Filter { kind, ..filter });
    }
    reader.read(resource_type, name, 0)
}

#[derive(Clone, Copy)]
enum Asked<'a> {
    /// What a URL says.
    Value(&'a str),
    /// A value of a `_filter`.
    Compared(Operator, &'a str),
}

struct Reader<'a> {
    value: Asked<'a>,
    value_sets: &'a dyn ValueSets,
    /// How many ways of the chain were looked at.
    ways: &'a Cell<usize>,
    /// How many values were read for the query as a whole.
    read: &'a Cell<usize>,
}

impl Reader<'_> {
    fn read(
        &self,
        resource_type: ResourceType,
        name: &str,
        followed: usize,
    ) -> Result<Filter, QueryProblem> {
        if followed > CHAIN_MAX {
            return Err(QueryProblem::ChainTooLong);
        }
        self.ways.set(self.ways.get().saturating_add(1));
        if self.ways.get() > WAYS_MAX {
            return Err(QueryProblem::ChainTooWide);
        }
        if let Some(rest) = name.strip_prefix("_has:") {
            return self.reverse(rest, followed);
        }
        if let Some((reference, next)) = name.split_once('.') {
            return self.chain(resource_type, reference, next, followed);
        }
        let (name, modifier) = match name.split_once(':') {
            Some((name, modifier)) => (name, Some(modifier)),
            None => (name, None),
        };
        let found = parameter(resource_type, name).ok_or(QueryProblem::ParameterUnknown)?;
        self.direct(found, modifier)
    }

    fn direct(
        &self,
        parameter: &SearchParameter,
        modifier: Option<&str>,
    ) -> Result<Filter, QueryProblem> {
        if !parameter.is_supported() {
            return Err(QueryProblem::ParameterUnsupported);
        }
        let condition = match (self.value, modifier) {
            (Asked::Compared(operator, text), None) => {
                compare::condition(parameter, (operator, text), self.value_sets)?
            }
            (Asked::Compared(..), Some(_)) => return Err(QueryProblem::ModifierUnknown),
            (Asked::Value(text), Some("missing")) => {
                let is_missing = text.parse().map_err(|_| QueryProblem::ValueMalformed)?;
                Condition::Missing(is_missing)
            }
            (Asked::Value(_), Some(_)) if parameter.is_of_words() => {
                return Err(QueryProblem::ModifierUnknown);
            }
            (Asked::Value(text), None) if parameter.is_of_words() => {
                words_wanted::read(parameter, text)?
            }
            (Asked::Value(text), modifier) => self.alternatives(parameter, modifier, text)?,
        };
        Ok(Filter {
            parameter: parameter.name,
            kind: parameter.kind,
            condition,
        })
    }

    fn alternatives(
        &self,
        parameter: &SearchParameter,
        modifier: Option<&str>,
        text: &str,
    ) -> Result<Condition, QueryProblem> {
        let alternatives = value::split(text, ',');
        let read = self.read.get().saturating_add(alternatives.len());
        self.read.set(read);
        if alternatives.len() > VALUES_MAX || read > ALL_VALUES_MAX {
            return Err(QueryProblem::TooManyValues);
        }
        let mut wanted = Vec::new();
        for text in alternatives {
            wanted.extend(value::read(parameter, modifier, &text, self.value_sets)?);
        }
        Ok(match modifier {
            Some("not" | "not-in") => Condition::NoneOf(wanted),
            _ => Condition::AnyOf(wanted),
        })
    }

    /// A `_filter`.
    fn expression(
        &self,
        resource_type: ResourceType,
        expression: &Expression,
    ) -> Result<Filter, QueryProblem> {
        let all = |parts: &[Expression]| {
            let parts = parts
                .iter()
                .map(|part| self.expression(resource_type, part));
            parts.collect::<Result<Vec<_>, _>>()
        };
        let condition = match expression {
            Expression::Compare(comparison) => return self.compared(resource_type, comparison),
            Expression::All(parts) => Condition::All(all(parts)?),
            Expression::Any(parts) => Condition::Any(all(parts)?),
            Expression::Not(inner) => {
                Condition::Not(Box::new(self.expression(resource_type, inner)?))
            }
        };
        Ok(Filter {
            parameter: FILTER,
            kind: ParameterKind::Special,
            condition,
        })
    }

    fn compared(
        &self,
        resource_type: ResourceType,
        comparison: &Comparison,
    ) -> Result<Filter, QueryProblem> {
        let reader = Reader {
            value: Asked::Compared(comparison.operator, &comparison.value),
            ..*self
        };
        let read = reader.read(resource_type, &comparison.path, 0);
        // Not ignored by a lenient client's wish: the expression as a whole is wrong.
        read.map_err(|problem| match problem {
            QueryProblem::ParameterUnknown => QueryProblem::ExpressionParameterUnknown,
            problem => problem,
        })
    }

    /// `reference[:Type]` and what follows the dot.
    fn chain(
        &self,
        resource_type: ResourceType,
        reference: &str,
        next: &str,
        followed: usize,
    ) -> Result<Filter, QueryProblem> {
        let (name, only) = match reference.split_once(':') {
            Some((name, only)) => {
                let only = ResourceType::parse(only).ok_or(QueryProblem::ModifierUnknown)?;
                (name, Some(only))
            }
            None => (reference, None),
        };
        let found = parameter(resource_type, name).ok_or(QueryProblem::ParameterUnknown)?;
        if found.kind != ParameterKind::Reference {
            return Err(QueryProblem::ChainBroken);
        }
        let targets = match only {
            Some(only) if found.may_target(only) => vec![only],
            Some(_) => return Err(QueryProblem::TargetImpossible),
            None => found.targets(),
        };
        let mut links = Vec::new();
        let mut broken = QueryProblem::ChainBroken;
        for target in targets {
            match self.read(target, next, followed + 1) {
                Ok(filter) => links.push(Link {
                    resource_type: target,
                    filter,
                }),
                // Another type may have the parameter.
                Err(QueryProblem::ParameterUnknown | QueryProblem::ChainBroken) => {}
                Err(problem @ (QueryProblem::ChainTooWide | QueryProblem::TooManyValues)) => {
                    return Err(problem);
                }
                Err(problem) => broken = problem,
            }
        }
        if links.is_empty() {
            return Err(broken);
        }
        let condition = Condition::Chain(links);
        Ok(Filter {
            parameter: found.name,
            kind: found.kind,
            condition,
        })
    }

    /// `Type:name:next` after `_has:`.
    fn reverse(&self, rest: &str, followed: usize) -> Result<Filter, QueryProblem> {
        let mut parts = rest.splitn(3, ':');
        let (Some(kind), Some(name), Some(next)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(QueryProblem::ChainBroken);
        };
        let resource_type = ResourceType::parse(kind).ok_or(QueryProblem::TargetImpossible)?;
        let found = parameter(resource_type, name).ok_or(QueryProblem::ChainBroken)?;
        if found.kind != ParameterKind::Reference {
            return Err(QueryProblem::ChainBroken);
        }
        let filter = match self.read(resource_type, next, followed + 1) {
            // Not ignored by a lenient client's wish: the chain as a whole is wrong.
            Err(QueryProblem::ParameterUnknown) => return Err(QueryProblem::ChainBroken),
            read => read?,
        };
        let reverse = Reverse {
            resource_type,
            parameter: found.name,
            filter,
        };
        Ok(Filter {
            parameter: "_has",
            kind: ParameterKind::Special,
            condition: Condition::Has(Box::new(reverse)),
        })
    }
}
