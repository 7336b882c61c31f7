//! What a resource is found by.

use std::fmt;

use minicbor::{Decode, Encode};

use super::decimal::Interval;
use super::extract;
use super::parameter::{CONTENT, parameters};
use super::place::Position;
use crate::fhir::{Resource, TimeSpan};

/// The index terms of one version of a resource. They are patient data: store them sealed.
///
/// Debug shows their number alone.
#[derive(Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct IndexTerms {
    #[n(0)]
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Eq, Encode, Decode)]
struct Entry {
    #[n(0)]
    parameter: String,
    #[n(1)]
    terms: Vec<Term>,
}

/// One value of a parameter.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub enum Term {
    /// A code, an identifier, a boolean.
    #[n(0)]
    Token(#[n(0)] TokenTerm),
    /// A reference.
    #[n(1)]
    Reference(#[n(0)] ReferenceTerm),
    /// A date, a time, a period.
    #[n(2)]
    Date(#[n(0)] TimeSpan),
    /// A text, as it stands.
    #[n(3)]
    Text(#[n(0)] String),
    /// A number, or a range of numbers.
    #[n(4)]
    Number(#[n(0)] Interval),
    /// A measurement.
    #[n(5)]
    Quantity(#[n(0)] QuantityTerm),
    /// A URI.
    #[n(6)]
    Uri(#[n(0)] String),
    /// What is written beside a token, for people.
    #[n(7)]
    Label(#[n(0)] String),
    /// An identifier with its type.
    #[n(8)]
    Typed(#[n(0)] TypedTerm),
    /// The components of one item, each with its values.
    #[n(9)]
    Composite(#[n(0)] Vec<Vec<Term>>),
    /// The words of a text in their order.
    #[n(10)]
    Words(#[n(0)] String),
    /// A place on the globe.
    #[n(11)]
    Position(#[n(0)] Position),
}

/// A value in a system.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct TokenTerm {
    /// The URI of the code system or identifier system.
    #[n(0)]
    pub system: Option<String>,
    /// The code or identifier.
    #[n(1)]
    pub code: String,
}

/// A reference by its parts.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct ReferenceTerm {
    /// The type of the target, if the reference says it.
    #[n(0)]
    pub resource_type: Option<String>,
    /// The logical id on this server.
    #[n(1)]
    pub id: Option<String>,
    /// A URL, URN or canonical, as it stands.
    #[n(2)]
    pub uri: Option<String>,
    /// The identifier of a logical reference.
    #[n(3)]
    pub identifier: Option<TokenTerm>,
    /// The version, in a version-specific reference.
    #[n(4)]
    pub version: Option<String>,
}

/// A measurement with its unit.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct QuantityTerm {
    /// The value; a Range from its low to its high value.
    #[n(0)]
    pub value: Interval,
    /// The system of the unit.
    #[n(1)]
    pub system: Option<String>,
    /// The code of the unit, or the currency.
    #[n(2)]
    pub code: Option<String>,
    /// The unit as it is written for people.
    #[n(3)]
    pub unit: Option<String>,
    /// The value and the unit, in the canonical units of UCUM.
    #[n(4)]
    pub canonical: Option<Canonical>,
}

/// A measurement in canonical units.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Canonical {
    /// The value.
    #[n(0)]
    pub value: Interval,
    /// The unit.
    #[n(1)]
    pub unit: String,
}

/// An identifier under one coding of its type.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct TypedTerm {
    /// The coding of the type.
    #[n(0)]
    pub kind: TokenTerm,
    /// The value of the identifier.
    #[n(1)]
    pub value: String,
}

impl fmt::Debug for IndexTerms {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "IndexTerms({} parameters)", self.entries.len())
    }
}

impl fmt::Debug for Term {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Token(_) => "Token(..)",
            Self::Reference(_) => "Reference(..)",
            Self::Date(_) => "Date(..)",
            Self::Text(_) => "Text(..)",
            Self::Number(_) => "Number(..)",
            Self::Quantity(_) => "Quantity(..)",
            Self::Uri(_) => "Uri(..)",
            Self::Label(_) => "Label(..)",
            Self::Typed(_) => "Typed(..)",
            Self::Composite(_) => "Composite(..)",
            Self::Words(_) => "Words(..)",
            Self::Position(_) => "Position(..)",
        })
    }
}

macro_rules! redacted {
    ($($name:ident),* $(,)?) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

redacted!(TokenTerm, ReferenceTerm, QuantityTerm, Canonical, TypedTerm);

impl IndexTerms {
    /// The terms of a resource, for every parameter of its type that finds a value in it, but for `_content`.
    pub fn of(resource: &Resource) -> Self {
        Self::new(resource, false)
    }

    /// The terms of a resource, for every parameter of its type that finds a value in it.
    pub fn with_content(resource: &Resource) -> Self {
        Self::new(resource, true)
    }

    fn new(resource: &Resource, with_content: bool) -> Self {
        let parameters = parameters(resource.resource_type());
        let parameters = parameters.filter(|it| with_content || it.name != CONTENT);
        let entries = parameters.filter_map(|parameter| {
            let terms = extract::terms(parameter, resource.object());
            let parameter = parameter.name.to_owned();
            (!terms.is_empty()).then_some(Entry { parameter, terms })
        });
        Self {
            entries: entries.collect(),
        }
    }

    /// Adds codes to a parameter's values, unless they are there.
    pub fn add_tokens(&mut self, parameter: &str, tokens: impl IntoIterator<Item = TokenTerm>) {
        let terms: Vec<Term> = tokens.into_iter().map(Term::Token).collect();
        if terms.is_empty() {
            return;
        }
        let entry = self
            .entries
            .iter_mut()
            .find(|entry| entry.parameter == parameter);
        match entry {
            Some(entry) => {
                let fresh = terms.into_iter();
                let fresh: Vec<Term> = fresh.filter(|one| !entry.terms.contains(one)).collect();
                entry.terms.extend(fresh);
            }
            None => self.entries.push(Entry {
                parameter: parameter.to_owned(),
                terms,
            }),
        }
    }

    /// The values of a parameter.
    pub fn get(&self, parameter: &str) -> &[Term] {
        let entry = self
            .entries
            .iter()
            .find(|entry| entry.parameter == parameter);
        entry.map_or(&[], |entry| entry.terms.as_slice())
    }

    /// All parameters that have values, with them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Term])> {
        let entries = self.entries.iter();
        entries.map(|entry| (entry.parameter.as_str(), entry.terms.as_slice()))
    }

    /// The local resources that a parameter refers to, as type and id.
    pub fn references(&self, parameter: &str) -> impl Iterator<Item = (&str, &str)> {
        self.get(parameter).iter().filter_map(|term| match term {
            Term::Reference(it) => it.resource_type.as_deref().zip(it.id.as_deref()),
            _ => None,
        })
    }
}
