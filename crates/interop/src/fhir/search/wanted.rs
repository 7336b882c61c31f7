//! One alternative of a parameter: what a value must be like.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::decimal::{Decimal, Interval};
use super::place::Near;
use super::terms::{QuantityTerm, ReferenceTerm, Term, TokenTerm, TypedTerm};
use super::text::fold;
use super::value;
use super::words;
use crate::fhir::{ResourceType, TimeSpan};

/// Resources by type and id.
pub type Resources = BTreeSet<(ResourceType, String)>;

/// What one of the values must be like.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the comparisons of R4")]
pub enum Wanted {
    Token(TokenWanted),
    /// `:text`: how the text beside a token starts, folded.
    Label(String),
    /// `:of-type`
    OfType(TypedTerm),
    Reference {
        resource_type: Option<ResourceType>,
        id: String,
        version: Option<String>,
    },
    /// A reference by URL, URN or canonical.
    Canonical(String),
    /// `:identifier`
    Identifier(TokenWanted),
    /// A reference to one of these, or for `_id` one of these.
    OneOf(Arc<Resources>),
    Date(Prefix, TimeSpan),
    /// Folded.
    StartsWith(String),
    /// `:contains`, folded.
    Contains(String),
    /// Folded.
    EndsWith(String),
    /// The whole text, folded.
    Same(String),
    /// `:exact`, as it stands.
    Exactly(String),
    /// Words that stand one after the other.
    Phrase(String),
    /// Some other value than all of these.
    Other(Vec<Wanted>),
    Near(Near),
    Number(Prefix, Decimal),
    Quantity(QuantityWanted),
    Uri(String),
    /// `:below`: the URI, or one under it.
    UriBelow(String),
    /// `:above`: the URI, or one that it is under.
    UriAbove(String),
    /// `:below` of a reference: to the resource, or to one that is a part of it. Matches nothing until custody has put
    /// resources in its place.
    PartsOf(ResourceType, String),
    /// `:above` of a reference: to the resource, or to one of which it is a part. Matches nothing until custody has put
    /// resources in its place.
    WholesOf(ResourceType, String),
    /// The components of one item, each as wanted.
    Composite(Vec<Wanted>),
}

/// A code, in a system or in any.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenWanted {
    /// In which system.
    pub system: SystemWanted,
    /// The code; `None` for any in the system.
    pub code: Option<String>,
}

/// A system of tokens.
#[derive(Clone, PartialEq, Eq)]
pub enum SystemWanted {
    /// Whatever it is.
    Any,
    /// None.
    Absent,
    /// This one.
    Is(String),
}

/// A measurement.
#[derive(Clone, PartialEq, Eq)]
pub struct QuantityWanted {
    /// How values are compared.
    pub prefix: Prefix,
    /// The number as it was written.
    pub value: Decimal,
    /// The unit: a code in the system, or without one a code or a text.
    pub unit: Option<UnitWanted>,
}

/// A unit.
#[derive(Clone, PartialEq, Eq)]
pub struct UnitWanted {
    /// The system of the code.
    pub system: Option<String>,
    /// The code, or what people write.
    pub code: String,
    /// The canonical unit of UCUM, with the number, what it stands for, and what is near it.
    pub canonical: Option<CanonicalWanted>,
}

/// A measurement in canonical units.
#[derive(Clone, PartialEq, Eq)]
pub struct CanonicalWanted {
    /// The unit.
    pub unit: String,
    /// The number.
    pub value: Decimal,
    /// What it stands for by its digits.
    pub implicit: Interval,
    /// What is near it.
    pub approximate: Interval,
}

/// How a number or a date is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the prefixes of R4")]
pub enum Prefix {
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    Sa,
    Eb,
    Ap,
}

impl Prefix {
    /// The prefix of a value, and the rest.
    pub(super) fn split(text: &str) -> (Self, &str) {
        let prefix = match text.get(..2) {
            Some("eq") => Self::Eq,
            Some("ne") => Self::Ne,
            Some("gt") => Self::Gt,
            Some("lt") => Self::Lt,
            Some("ge") => Self::Ge,
            Some("le") => Self::Le,
            Some("sa") => Self::Sa,
            Some("eb") => Self::Eb,
            Some("ap") => Self::Ap,
            _ => return (Self::Eq, text),
        };
        (prefix, text.get(2..).unwrap_or_default())
    }

    fn accepts_span(self, wanted: TimeSpan, found: TimeSpan) -> bool {
        let is_equal = wanted.contains(found);
        match self {
            Self::Eq => is_equal,
            Self::Ne => !is_equal,
            Self::Gt => found.end_ms > wanted.end_ms,
            Self::Lt => found.start_ms < wanted.start_ms,
            Self::Ge => is_equal || found.end_ms > wanted.end_ms,
            Self::Le => is_equal || found.start_ms < wanted.start_ms,
            Self::Sa => found.start_ms >= wanted.end_ms,
            Self::Eb => found.end_ms <= wanted.start_ms,
            Self::Ap => found.overlaps(wanted),
        }
    }

    /// `implicit` counts for equality alone; other prefixes take the number as it is.
    fn accepts_interval(self, wanted: &Numbers, found: Interval) -> bool {
        let is_equal = wanted.implicit.contains(found);
        let above = |low: Option<Decimal>| low.is_none_or(|it| it > wanted.value);
        let below = |high: Option<Decimal>| high.is_none_or(|it| it < wanted.value);
        match self {
            Self::Eq => is_equal,
            Self::Ne => !is_equal,
            Self::Gt => above(found.high),
            Self::Lt => below(found.low),
            Self::Ge => is_equal || above(found.high),
            Self::Le => is_equal || below(found.low),
            Self::Sa => found.low.is_some_and(|it| it > wanted.value),
            Self::Eb => found.high.is_some_and(|it| it < wanted.value),
            Self::Ap => wanted.approximate.overlaps(found),
        }
    }
}

/// A number with what it stands for.
struct Numbers {
    value: Decimal,
    implicit: Interval,
    approximate: Interval,
}

impl Numbers {
    fn of(value: Decimal) -> Self {
        Self {
            value,
            implicit: value.implicit(),
            approximate: value.approximate(),
        }
    }
}

// Values are identifiers, names and measurements of patients.
impl fmt::Debug for Wanted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Wanted(..)")
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

redacted!(
    TokenWanted,
    SystemWanted,
    QuantityWanted,
    UnitWanted,
    CanonicalWanted
);

impl Wanted {
    /// Whether the value is as wanted.
    pub fn accepts(&self, term: &Term) -> bool {
        match (self, term) {
            (Self::Token(wanted), Term::Token(token)) => wanted.accepts(token),
            (Self::Label(wanted), Term::Label(text)) => fold(text).starts_with(wanted),
            (Self::OfType(wanted), Term::Typed(typed)) => wanted == typed,
            (_, Term::Reference(reference)) => self.accepts_reference(reference),
            (Self::Date(prefix, wanted), Term::Date(span)) => prefix.accepts_span(*wanted, *span),
            (Self::StartsWith(wanted), Term::Text(text)) => fold(text).starts_with(wanted),
            (Self::Contains(wanted), Term::Text(text)) => fold(text).contains(wanted),
            (Self::EndsWith(wanted), Term::Text(text)) => fold(text).ends_with(wanted),
            (Self::Same(wanted), Term::Text(text)) => fold(text) == *wanted,
            (Self::Exactly(wanted), Term::Text(text)) => text == wanted,
            (Self::Phrase(wanted), Term::Words(text)) => words::has_phrase(text, wanted),
            (Self::Near(near), Term::Position(position)) => near.reaches(*position),
            // What is written beside a value is none.
            (Self::Other(_), Term::Label(_) | Term::Typed(_)) => false,
            (Self::Other(wanted), term) => !wanted.iter().any(|wanted| wanted.accepts(term)),
            (Self::Number(prefix, wanted), Term::Number(found)) => {
                prefix.accepts_interval(&Numbers::of(*wanted), *found)
            }
            (Self::Quantity(wanted), Term::Quantity(found)) => wanted.accepts(found),
            (Self::Composite(wanted), Term::Composite(found)) => {
                wanted.len() == found.len()
                    && wanted
                        .iter()
                        .zip(found)
                        .all(|(wanted, terms)| terms.iter().any(|term| wanted.accepts(term)))
            }
            (_, Term::Uri(uri)) => self.accepts_uri(uri),
            _ => false,
        }
    }

    /// A URL below `base` as the reference that it is.
    pub(super) fn localize(&mut self, base: &str) {
        if let Self::Other(wanted) = self {
            wanted.iter_mut().for_each(|wanted| wanted.localize(base));
        }
        let Self::Canonical(url) = self else { return };
        let relative = url
            .strip_prefix(base)
            .and_then(|rest| rest.strip_prefix('/'));
        if let Some(Ok(local @ Self::Reference { .. })) = relative.map(value::reference) {
            *self = local;
        }
    }

    fn accepts_reference(&self, reference: &ReferenceTerm) -> bool {
        match self {
            Self::Reference {
                resource_type,
                id,
                version,
            } => {
                reference.id.as_ref() == Some(id)
                    && resource_type.is_none_or(|kind| {
                        reference.resource_type.as_deref() == Some(kind.as_str())
                    })
                    && version
                        .as_ref()
                        .is_none_or(|version| reference.version.as_ref() == Some(version))
            }
            Self::Canonical(wanted) => reference
                .uri
                .as_deref()
                .is_some_and(|uri| is_canonical(uri, wanted)),
            Self::UriBelow(_) | Self::UriAbove(_) => reference
                .uri
                .as_deref()
                .is_some_and(|uri| self.accepts_uri(uri)),
            Self::Identifier(wanted) => reference
                .identifier
                .as_ref()
                .is_some_and(|it| wanted.accepts(it)),
            Self::OneOf(resources) => {
                let kind = reference
                    .resource_type
                    .as_deref()
                    .and_then(ResourceType::parse);
                let key = kind.zip(reference.id.clone());
                key.is_some_and(|key| resources.contains(&key))
            }
            _ => false,
        }
    }

    fn accepts_uri(&self, uri: &str) -> bool {
        match self {
            Self::Uri(wanted) => uri == wanted,
            Self::UriBelow(wanted) => is_under(uri, wanted),
            Self::UriAbove(wanted) => is_under(wanted, uri),
            _ => false,
        }
    }
}

impl TokenWanted {
    /// Whether the token is as wanted.
    pub fn accepts(&self, token: &TokenTerm) -> bool {
        let system_fits = match &self.system {
            SystemWanted::Any => true,
            SystemWanted::Absent => token.system.is_none(),
            SystemWanted::Is(system) => token.system.as_deref() == Some(system),
        };
        system_fits && self.code.as_ref().is_none_or(|code| *code == token.code)
    }
}

impl QuantityWanted {
    fn accepts(&self, found: &QuantityTerm) -> bool {
        let numbers = Numbers::of(self.value);
        let Some(unit) = &self.unit else {
            return self.prefix.accepts_interval(&numbers, found.value);
        };
        if let (Some(wanted), Some(found)) = (&unit.canonical, &found.canonical) {
            let numbers = Numbers {
                value: wanted.value,
                implicit: wanted.implicit,
                approximate: wanted.approximate,
            };
            return wanted.unit == found.unit
                && self.prefix.accepts_interval(&numbers, found.value);
        }
        let is_code = found.code.as_deref() == Some(&unit.code);
        let is_unit = match &unit.system {
            Some(system) => is_code && found.system.as_deref() == Some(system),
            None => is_code || found.unit.as_deref() == Some(&unit.code),
        };
        is_unit && self.prefix.accepts_interval(&numbers, found.value)
    }
}

/// Whether a canonical is the one wanted: without a version every version of it.
fn is_canonical(found: &str, wanted: &str) -> bool {
    found == wanted
        || found
            .strip_prefix(wanted)
            .is_some_and(|rest| rest.starts_with('|'))
}

/// Whether the URI is the other, or a path below it.
fn is_under(uri: &str, top: &str) -> bool {
    let top = top.trim_end_matches('/');
    uri.strip_prefix(top)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '|', '?', '#']))
}
