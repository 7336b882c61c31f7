//! A query: parsed from the parameters of a URL, matched against index terms.

use std::cell::Cell;
use std::fmt;

use super::compartment::Compartment;
use super::filter::Filter;
use super::include::Include;
use super::limits::{COUNT_DEFAULT, COUNT_MAX, INCLUDES_MAX, PARAMETERS_MAX};
use super::link;
use super::problem::{QueryError, QueryProblem};
use super::rank::{Rank, SortKey, rank, sort_keys};
use super::summary::Summary;
use super::terms::IndexTerms;
use super::value_sets::{NoValueSets, ValueSets};
use crate::fhir::ResourceType;

/// What happens to parameters that are not known (`Prefer: handling=…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// The query is refused.
    Strict,
    /// The parameter is ignored, and left out of the self link.
    Lenient,
}

/// Whether the number of matches is wanted (`_total`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the codes of R4")]
pub enum Total {
    /// Not asked about: it is told where it is known anyway.
    Unasked,
    None,
    Estimate,
    Accurate,
}

/// Where is searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// `[base]?_type=…`: all types, or those named.
    System,
    /// `[base]/[type]`
    Type(ResourceType),
    /// `[base]/[compartment]/[id]/[type]`, or `*` for all types in it.
    Compartment(Compartment, Option<ResourceType>),
}

/// A parsed query.
#[derive(Clone, PartialEq, Eq)]
pub struct Query {
    /// What is asked of each type.
    pub parts: Vec<Part>,
    /// The page size; 0 asks for the number of matches alone.
    pub count: usize,
    /// How much of a resource is answered.
    pub summary: Summary,
    /// Whether the number of matches is wanted.
    pub total: Total,
    /// The elements wanted; empty for all.
    pub elements: Vec<String>,
    /// What comes along with the matches.
    pub includes: Vec<Include>,
    /// The types that may come along; all without a list.
    pub included_types: Option<Vec<ResourceType>>,
    /// Whether what is the network's ([`crate::fhir::care_services`]) does not match: nobody writes it here.
    pub is_of_own: bool,
    /// The names of parameters that were ignored.
    pub ignored: Vec<String>,
    path: String,
    sort: Vec<SortKey>,
    applied: Vec<(String, String)>,
}

/// What is asked of one type.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// The type.
    pub resource_type: ResourceType,
    /// All of these must hold.
    pub filters: Vec<Filter>,
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

// Values are identifiers and names of patients.
impl fmt::Debug for Query {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Query({:?})", self.parts)
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {:?}", self.resource_type, self.filters)
    }
}

impl Scope {
    /// The path below the base; empty for the whole system.
    pub fn path(&self) -> String {
        match self {
            Self::System => String::new(),
            Self::Type(resource_type) => resource_type.to_string(),
            Self::Compartment(compartment, resource_type) => {
                let kind = resource_type.map_or("*", ResourceType::as_str);
                format!("{}/{}/{kind}", compartment.resource_type, compartment.id)
            }
        }
    }

    fn types(&self) -> Vec<ResourceType> {
        match self {
            Self::System => ResourceType::all().collect(),
            Self::Type(resource_type) | Self::Compartment(_, Some(resource_type)) => {
                vec![*resource_type]
            }
            Self::Compartment(compartment, None) => compartment.types(),
        }
    }
}

impl Part {
    /// Whether the version of this type matches all filters.
    pub fn matches(&self, terms: &IndexTerms, last_updated_ms: i64, id: &str) -> bool {
        let mut filters = self.filters.iter();
        filters.all(|filter| filter.accepts(self.resource_type, terms, last_updated_ms, id))
    }

    /// All filters that have to hold, those within a conjunction of `_filter` each for itself.
    pub(super) fn required(&self) -> impl Iterator<Item = &Filter> {
        self.filters.iter().flat_map(Filter::required)
    }

    /// Whether the part looks at the words of everything (`_content`), which not every member keeps.
    pub fn asks_content(&self) -> bool {
        self.filters.iter().any(Filter::asks_content)
    }

    /// The ids of patients to whom the part is confined by `patient`, `subject` or, for
    /// patients, `_id`; `None` if it is not confined.
    pub fn patients(&self) -> Option<Vec<&str>> {
        let is_patient = self.resource_type == ResourceType::PATIENT;
        self.required().find_map(|filter| match filter.parameter {
            "_id" if is_patient => filter.ids_of(ResourceType::PATIENT),
            "patient" | "subject" | "beneficiary" if !is_patient => {
                filter.ids_of(ResourceType::PATIENT)
            }
            _ => None,
        })
    }
}

impl Query {
    /// Reads decoded names and values of a search of one type, in the order of the URL.
    pub fn parse(
        resource_type: ResourceType,
        pairs: &[(String, String)],
        handling: Handling,
    ) -> Result<Self, QueryError> {
        Self::read(&Scope::Type(resource_type), pairs, handling, &NoValueSets)
    }

    /// Reads decoded names and values, in the order of the URL.
    pub fn read(
        scope: &Scope,
        pairs: &[(String, String)],
        handling: Handling,
        value_sets: &dyn ValueSets,
    ) -> Result<Self, QueryError> {
        let types = types_asked(scope, pairs).map_err(|problem| refusal("_type", problem))?;
        let mut query = Self {
            parts: Vec::new(),
            count: COUNT_DEFAULT,
            summary: Summary::False,
            total: Total::Unasked,
            elements: Vec::new(),
            includes: Vec::new(),
            included_types: None,
            is_of_own: false,
            ignored: Vec::new(),
            path: scope.path(),
            sort: Vec::new(),
            applied: Vec::new(),
        };
        for resource_type in &types {
            let filters = match scope {
                Scope::Compartment(compartment, _) => match compartment.filter(*resource_type) {
                    Some(filter) => vec![filter],
                    None => continue,
                },
                _ => Vec::new(),
            };
            query.parts.push(Part {
                resource_type: *resource_type,
                filters,
            });
        }
        let read = Cell::new(0);
        let read = Reading {
            types: &types,
            value_sets,
            read: &read,
        };
        for (name, value) in pairs {
            match query.take(&read, name, value) {
                Ok(()) => query.applied.push((name.clone(), value.clone())),
                Err(QueryProblem::ParameterUnknown) if handling == Handling::Lenient => {
                    query.ignored.push(showable(name));
                }
                Err(problem) => return Err(refusal(name, problem)),
            }
        }
        Ok(query)
    }

    /// Reads URLs below `base`, the server's own, as references to its resources.
    #[must_use]
    pub fn at(mut self, base: &str) -> Self {
        let filters = self.parts.iter_mut().flat_map(|part| &mut part.filters);
        filters.for_each(|filter| filter.localize(base));
        self
    }

    /// Whether the version matches, for a query on one type.
    pub fn matches(&self, terms: &IndexTerms, last_updated_ms: i64, id: &str) -> bool {
        match self.parts.as_slice() {
            [part] => part.matches(terms, last_updated_ms, id),
            _ => false,
        }
    }

    /// The place of a match among the others, by `_sort`; without it the newest comes first.
    pub fn rank(&self, resource_type: ResourceType, candidate: Candidate<'_>) -> Rank {
        rank(&self.sort, resource_type, candidate)
    }

    /// The one type that is searched, if it is one.
    pub fn resource_type(&self) -> Option<ResourceType> {
        match self.parts.as_slice() {
            [part] => Some(part.resource_type),
            _ => None,
        }
    }

    /// The ids of patients to whom every part is confined; `None` if one is not.
    pub fn patients(&self) -> Option<Vec<&str>> {
        let parts: Option<Vec<Vec<&str>>> = self.parts.iter().map(Part::patients).collect();
        parts.map(|parts| parts.concat())
    }

    /// Whether the query looks at the words of everything (`_content`), which not every member keeps.
    pub fn asks_content(&self) -> bool {
        self.parts.iter().any(Part::asks_content)
    }

    /// The types that chains and `_has` go through.
    pub fn types_touched(&self) -> Vec<ResourceType> {
        let mut touched = Vec::new();
        let filters = self.parts.iter().flat_map(|part| &part.filters);
        filters.for_each(|filter| filter.types_touched(&mut touched));
        touched
    }

    /// Keeps the parts, and the ways of chains and `_has`, of these types alone; `false` if
    /// something that was asked has none left.
    pub fn keep_types(&mut self, may: &dyn Fn(ResourceType) -> bool) -> bool {
        self.parts.retain(|part| may(part.resource_type));
        let mut filters = self.parts.iter_mut().flat_map(|part| &mut part.filters);
        filters.all(|filter| filter.keep_types(may))
    }

    /// Whether resources of the type may come along with the matches.
    pub fn may_include(&self, resource_type: ResourceType) -> bool {
        let types = self.included_types.as_ref();
        types.is_none_or(|types| types.contains(&resource_type))
    }

    /// The path of the search below the base, as it goes on record: without values.
    pub fn target(&self) -> String {
        let is_shown = self
            .resource_type()
            .filter(|kind| kind.as_str() == self.path);
        format!("{}?", is_shown.map_or("", ResourceType::as_str))
    }

    /// The URL of the query as it was understood, for the `self` link.
    pub fn self_link(&self, base: &str) -> String {
        link::build(base, &self.path, &self.applied)
    }

    fn take(&mut self, reading: &Reading<'_>, name: &str, value: &str) -> Result<(), QueryProblem> {
        let (plain, modifier) = match name.split_once(':') {
            Some((plain, modifier)) => (plain, Some(modifier)),
            None => (name, None),
        };
        match (plain, modifier) {
            ("_include" | "_revinclude", _) => {
                if self.includes.len() >= INCLUDES_MAX {
                    return Err(QueryProblem::TooManyIncludes);
                }
                self.includes
                    .push(Include::parse(plain == "_revinclude", modifier, value)?);
            }
            ("_count", None) => self.count = whole_number(value)?.min(COUNT_MAX),
            ("_sort", None) => self.sort = sort_keys(reading.types, value)?,
            ("_summary", None) => {
                self.summary = Summary::with_code(value).ok_or(QueryProblem::ValueMalformed)?;
            }
            ("_total", None) => self.total = total(value)?,
            ("_elements", None) => self.elements = element_names(value)?,
            ("_contained", None) if value == "false" => {}
            // To pass over these would be to answer more than was asked for.
            ("_contained" | "_containedType" | "_list" | "_query", _) => {
                return Err(QueryProblem::ParameterUnsupported);
            }
            // `_type` was read first; the gateway negotiates the format.
            ("_type" | "_format" | "_pretty", None) => {}
            _ => self.add_filters(reading, name, value)?,
        }
        Ok(())
    }

    fn add_filters(
        &mut self,
        reading: &Reading<'_>,
        name: &str,
        value: &str,
    ) -> Result<(), QueryProblem> {
        let mut kind = None;
        let mut filters = Vec::new();
        for part in &self.parts {
            if part.filters.len() >= PARAMETERS_MAX {
                return Err(QueryProblem::TooManyParameters);
            }
            let filter = Filter::parse(
                part.resource_type,
                name,
                value,
                reading.value_sets,
                reading.read,
            )?;
            if kind.is_some_and(|kind| kind != filter.kind) {
                return Err(QueryProblem::KindsDiffer);
            }
            kind = Some(filter.kind);
            filters.push(filter);
        }
        for (part, filter) in self.parts.iter_mut().zip(filters) {
            part.filters.push(filter);
        }
        Ok(())
    }
}

/// What reading a parameter takes.
struct Reading<'a> {
    types: &'a [ResourceType],
    value_sets: &'a dyn ValueSets,
    /// How many values were read.
    read: &'a Cell<usize>,
}

/// The types of the scope, or those of them that `_type` names.
fn types_asked(
    scope: &Scope,
    pairs: &[(String, String)],
) -> Result<Vec<ResourceType>, QueryProblem> {
    let mut types = scope.types();
    for (_, value) in pairs.iter().filter(|(name, _)| name == "_type") {
        if matches!(scope, Scope::Type(_) | Scope::Compartment(_, Some(_))) {
            return Err(QueryProblem::ParameterUnsupported);
        }
        let named = value.split(',').map(ResourceType::parse);
        let named: Option<Vec<ResourceType>> = named.collect();
        let named = named.ok_or(QueryProblem::ValueMalformed)?;
        types.retain(|resource_type| named.contains(resource_type));
    }
    Ok(types)
}

fn refusal(name: &str, problem: QueryProblem) -> QueryError {
    QueryError {
        parameter: showable(name),
        problem,
    }
}

fn total(value: &str) -> Result<Total, QueryProblem> {
    match value {
        "none" => Ok(Total::None),
        "estimate" => Ok(Total::Estimate),
        "accurate" => Ok(Total::Accurate),
        _ => Err(QueryProblem::ValueMalformed),
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
        // `Type.element` is meant for the type alone; all types have such an element or lack it.
        let name = name.rsplit('.').next().unwrap_or(name);
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
