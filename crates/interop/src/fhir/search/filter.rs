//! One parameter of a query: what is asked of a resource.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use super::limits::{ALL_VALUES_MAX, CHAIN_MAX, VALUE_BYTES_MAX, VALUES_MAX, WAYS_MAX};
use super::parameter::{ParameterKind, SearchParameter, parameter};
use super::problem::QueryProblem;
use super::terms::{IndexTerms, Term, TokenTerm};
use super::value;
use super::value_sets::ValueSets;
use super::wanted::{Resources, SystemWanted, TokenWanted, Wanted};
use crate::fhir::{ResourceType, TimeSpan};

/// A parameter with what one of its values must be like.
#[derive(Clone, PartialEq, Eq)]
pub struct Filter {
    /// The parameter.
    pub parameter: &'static str,
    /// How its values are compared.
    pub kind: ParameterKind,
    /// What is asked.
    pub condition: Condition,
}

/// What a parameter asks.
#[derive(Clone, PartialEq, Eq)]
pub enum Condition {
    /// `:missing`
    Missing(bool),
    /// One value is like one of these.
    AnyOf(Vec<Wanted>),
    /// No value is like any of these.
    NoneOf(Vec<Wanted>),
    /// The reference leads to a resource of which this holds, one filter for each type that it
    /// may lead to. Matches nothing until custody has put resources in its place.
    Chain(Vec<Link>),
    /// A resource of the type refers here by the parameter, and of it this holds (`_has`).
    /// Matches nothing until custody has put resources in its place.
    Has(Box<Reverse>),
    /// One of these references leads to the resource: a compartment.
    RefersTo {
        /// The reference parameters.
        parameters: Vec<&'static str>,
        /// The compartment's type.
        resource_type: ResourceType,
        /// The compartment's id.
        id: String,
    },
}

/// One type that a chain leads to, and what must hold there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The type.
    pub resource_type: ResourceType,
    /// What must hold of the resource.
    pub filter: Filter,
}

/// A type that refers here, and what must hold there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reverse {
    /// The type that refers.
    pub resource_type: ResourceType,
    /// Its reference parameter.
    pub parameter: &'static str,
    /// What must hold of the resource that refers.
    pub filter: Filter,
}

// Values are identifiers and names of patients.
impl fmt::Debug for Filter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Filter({})", self.parameter)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Condition(..)")
    }
}

impl Filter {
    /// `read` counts the values of the whole query.
    ///
    /// Reads `name[:modifier]=value`, `name[:Type].next=value` or `_has:Type:name:next=value`.
    pub(super) fn parse(
        resource_type: ResourceType,
        name: &str,
        value: &str,
        value_sets: &dyn ValueSets,
        read: &Cell<usize>,
    ) -> Result<Self, QueryProblem> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(QueryProblem::ValueTooLong);
        }
        let ways = Cell::new(0);
        Reader {
            value,
            value_sets,
            ways: &ways,
            read,
        }
        .read(resource_type, name, 0)
    }

    /// The resource refers to a compartment by one of the parameters.
    pub(super) fn refers_to(
        parameters: Vec<&'static str>,
        resource_type: ResourceType,
        id: &str,
    ) -> Self {
        let id = id.to_owned();
        Self {
            parameter: "",
            kind: ParameterKind::Reference,
            condition: Condition::RefersTo {
                parameters,
                resource_type,
                id,
            },
        }
    }

    /// The resource has this id.
    pub(super) fn id_is(id: &str) -> Self {
        let code = Some(id.to_owned());
        let wanted = Wanted::Token(TokenWanted {
            system: SystemWanted::Any,
            code,
        });
        Self {
            parameter: "_id",
            kind: ParameterKind::Token,
            condition: Condition::AnyOf(vec![wanted]),
        }
    }

    /// Reads URLs below `base`, the server's own, as the references that they are.
    pub(super) fn localize(&mut self, base: &str) {
        match &mut self.condition {
            Condition::AnyOf(values) | Condition::NoneOf(values) => {
                values.iter_mut().for_each(|value| value.localize(base));
            }
            Condition::Chain(links) => {
                let filters = links.iter_mut().map(|link| &mut link.filter);
                filters.for_each(|filter| filter.localize(base));
            }
            Condition::Has(reverse) => reverse.filter.localize(base),
            Condition::Missing(_) | Condition::RefersTo { .. } => {}
        }
    }

    /// Puts the resources in the place of a chain or `_has` through which they were found.
    pub fn resolve(&mut self, found: Resources) {
        if matches!(self.condition, Condition::Has(_)) {
            self.parameter = "_id";
        }
        self.condition = Condition::AnyOf(vec![Wanted::OneOf(Arc::new(found))]);
    }

    pub(super) fn accepts(
        &self,
        resource_type: ResourceType,
        terms: &IndexTerms,
        last_updated_ms: i64,
        id: &str,
    ) -> bool {
        match self.parameter {
            "_id" => self.accepts_id(resource_type, id),
            "_lastUpdated" => {
                let end_ms = last_updated_ms.saturating_add(1);
                let span = TimeSpan {
                    start_ms: last_updated_ms,
                    end_ms,
                };
                self.accepts_any(&[Term::Date(span)])
            }
            _ => self.is_named(resource_type, id) || self.accepts_terms(terms),
        }
    }

    /// Whether the compartment is the resource's own: it is in it, though R4 does not list it.
    fn is_named(&self, found: ResourceType, found_id: &str) -> bool {
        match &self.condition {
            Condition::RefersTo {
                resource_type, id, ..
            } => *resource_type == found && id == found_id,
            _ => false,
        }
    }

    fn accepts_id(&self, resource_type: ResourceType, id: &str) -> bool {
        let among = |wanted: &Wanted| match wanted {
            Wanted::OneOf(found) => found.contains(&(resource_type, id.to_owned())),
            _ => false,
        };
        if let Condition::AnyOf(wanted) = &self.condition
            && wanted.iter().any(among)
        {
            return true;
        }
        let code = id.to_owned();
        self.accepts_any(&[Term::Token(TokenTerm { system: None, code })])
    }

    fn accepts_terms(&self, terms: &IndexTerms) -> bool {
        match &self.condition {
            Condition::RefersTo {
                parameters,
                resource_type,
                id,
            } => parameters.iter().any(|parameter| {
                let mut references = terms.references(parameter);
                references.any(|found| found == (resource_type.as_str(), id.as_str()))
            }),
            _ => self.accepts_any(terms.get(self.parameter)),
        }
    }

    fn accepts_any(&self, terms: &[Term]) -> bool {
        let any = |wanted: &[Wanted]| {
            terms
                .iter()
                .any(|term| wanted.iter().any(|wanted| wanted.accepts(term)))
        };
        match &self.condition {
            Condition::Missing(missing) => terms.is_empty() == *missing,
            Condition::AnyOf(wanted) => any(wanted),
            Condition::NoneOf(wanted) => !any(wanted),
            Condition::Chain(_) | Condition::Has(_) | Condition::RefersTo { .. } => false,
        }
    }

    /// The ids that references of this type may have, if the filter leaves nothing else.
    pub(super) fn ids_of(&self, wanted: ResourceType) -> Option<Vec<&str>> {
        let Condition::AnyOf(alternatives) = &self.condition else {
            return None;
        };
        let mut ids = Vec::new();
        for alternative in alternatives {
            match alternative {
                Wanted::Reference {
                    resource_type, id, ..
                } if resource_type.is_none_or(|kind| kind == wanted) => {
                    ids.push(id.as_str());
                }
                Wanted::Token(TokenWanted {
                    system: SystemWanted::Any,
                    code: Some(code),
                }) => {
                    ids.push(code.as_str());
                }
                Wanted::OneOf(found) if found.iter().all(|(kind, _)| *kind == wanted) => {
                    ids.extend(found.iter().map(|(_, id)| id.as_str()));
                }
                _ => return None,
            }
        }
        Some(ids)
    }

    /// The types that the filter looks at beside its own.
    pub(super) fn types_touched(&self, touched: &mut Vec<ResourceType>) {
        match &self.condition {
            Condition::Chain(links) => {
                for link in links {
                    touched.push(link.resource_type);
                    link.filter.types_touched(touched);
                }
            }
            Condition::Has(reverse) => {
                touched.push(reverse.resource_type);
                reverse.filter.types_touched(touched);
            }
            _ => {}
        }
    }

    /// Keeps the ways of chains through these types alone; `false` if none is left.
    pub(super) fn keep_types(&mut self, may: &dyn Fn(ResourceType) -> bool) -> bool {
        match &mut self.condition {
            Condition::Chain(links) => {
                links.retain_mut(|link| may(link.resource_type) && link.filter.keep_types(may));
                !links.is_empty()
            }
            Condition::Has(reverse) => may(reverse.resource_type) && reverse.filter.keep_types(may),
            _ => true,
        }
    }
}

struct Reader<'a> {
    value: &'a str,
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
        let condition = if modifier == Some("missing") {
            Condition::Missing(
                self.value
                    .parse()
                    .map_err(|_| QueryProblem::ValueMalformed)?,
            )
        } else {
            let alternatives = value::split(self.value, ',');
            let read = self.read.get().saturating_add(alternatives.len());
            self.read.set(read);
            if alternatives.len() > VALUES_MAX || read > ALL_VALUES_MAX {
                return Err(QueryProblem::TooManyValues);
            }
            let mut wanted = Vec::new();
            for text in alternatives {
                wanted.extend(value::read(parameter, modifier, &text, self.value_sets)?);
            }
            match modifier {
                Some("not" | "not-in") => Condition::NoneOf(wanted),
                _ => Condition::AnyOf(wanted),
            }
        };
        Ok(Filter {
            parameter: parameter.name,
            kind: parameter.kind,
            condition,
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
