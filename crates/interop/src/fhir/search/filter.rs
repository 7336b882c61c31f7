//! One parameter of a query: what is asked of a resource.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use super::filter_reader::read;
use super::limits::VALUE_BYTES_MAX;
use super::parameter::{CONTENT, NARRATIVE, ParameterKind};
use super::problem::QueryProblem;
use super::terms::{IndexTerms, Term, TokenTerm};
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
    /// All of these hold.
    All(Vec<Filter>),
    /// One of these holds.
    Any(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
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
    /// `counted` counts the values of the whole query.
    ///
    /// Reads `name[:modifier]=value`, `name[:Type].next=value` or `_has:Type:name:next=value`.
    pub(super) fn parse(
        resource_type: ResourceType,
        name: &str,
        value: &str,
        value_sets: &dyn ValueSets,
        counted: &Cell<usize>,
    ) -> Result<Self, QueryProblem> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(QueryProblem::ValueTooLong);
        }
        read(resource_type, (name, value), value_sets, counted)
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
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter_mut().for_each(|part| part.localize(base));
            }
            Condition::Not(inner) => inner.localize(base),
            Condition::Missing(_) | Condition::RefersTo { .. } => {}
        }
    }

    /// The filter itself, or those that all have to hold for it.
    pub(super) fn required(&self) -> Vec<&Self> {
        match &self.condition {
            Condition::All(parts) => parts.iter().flat_map(Self::required).collect(),
            _ => vec![self],
        }
    }

    /// Whether it looks at the words of everything (`_content`).
    pub(super) fn asks_content(&self) -> bool {
        self.parameter == CONTENT
            || match &self.condition {
                Condition::Chain(links) => links.iter().any(|link| link.filter.asks_content()),
                Condition::Has(reverse) => reverse.filter.asks_content(),
                Condition::All(parts) | Condition::Any(parts) => {
                    parts.iter().any(Self::asks_content)
                }
                Condition::Not(inner) => inner.asks_content(),
                _ => false,
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
        let holds = |part: &Self| part.accepts(resource_type, terms, last_updated_ms, id);
        match &self.condition {
            Condition::All(parts) => return parts.iter().all(holds),
            Condition::Any(parts) => return parts.iter().any(holds),
            Condition::Not(inner) => return !holds(inner),
            _ => {}
        }
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
            // The narrative is part of the content, and its words are kept once.
            _ if self.parameter == CONTENT => {
                self.accepts_any(terms.get(CONTENT).iter().chain(terms.get(NARRATIVE)))
            }
            _ => self.accepts_any(terms.get(self.parameter)),
        }
    }

    fn accepts_any<'a>(&self, terms: impl IntoIterator<Item = &'a Term>) -> bool {
        let mut terms = terms.into_iter();
        let mut any =
            |wanted: &[Wanted]| terms.any(|term| wanted.iter().any(|wanted| wanted.accepts(term)));
        match &self.condition {
            Condition::Missing(missing) => terms.next().is_none() == *missing,
            Condition::AnyOf(wanted) => any(wanted),
            Condition::NoneOf(wanted) => !any(wanted),
            _ => false,
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
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().for_each(|part| part.types_touched(touched));
            }
            Condition::Not(inner) => inner.types_touched(touched),
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
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter_mut().all(|part| part.keep_types(may))
            }
            Condition::Not(inner) => inner.keep_types(may),
            _ => true,
        }
    }
}
