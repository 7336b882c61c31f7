//! One parameter of a query: its alternatives, and whether a resource has one of them.

use std::fmt;

use super::parameter::ParameterKind;
use super::query::QueryProblem;
use super::terms::{IndexTerms, Term, TokenTerm, fold};
use crate::fhir::reference::Target;
use crate::fhir::resource::is_id;
use crate::fhir::{ResourceType, TimeSpan};

/// A parameter with the values of which one must match.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) parameter: &'static str,
    pub(super) condition: Condition,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Condition {
    Missing(bool),
    AnyOf(Vec<Match>),
    NoneOf(Vec<Match>),
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Match {
    Token(TokenMatch),
    Reference {
        resource_type: Option<ResourceType>,
        id: String,
    },
    Uri(String),
    Identifier(TokenMatch),
    Date(DatePrefix, TimeSpan),
    StartsWith(String),
    Contains(String),
    Equals(String),
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct TokenMatch {
    system: SystemMatch,
    pub(super) code: Option<String>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum SystemMatch {
    Any,
    Absent,
    Is(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum DatePrefix {
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

// Values are identifiers and names of patients.
impl fmt::Debug for Filter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Filter({})", self.parameter)
    }
}

impl Filter {
    pub(super) fn parse(
        parameter: &'static str,
        kind: ParameterKind,
        modifier: Option<&str>,
        text: &str,
    ) -> Result<Self, QueryProblem> {
        if modifier == Some("missing") {
            let missing = text.parse().map_err(|_| QueryProblem::ValueMalformed)?;
            return Ok(Self {
                parameter,
                condition: Condition::Missing(missing),
            });
        }
        let alternatives = split(text, ',');
        let matches = alternatives
            .into_iter()
            .map(|value| parse_match(kind, modifier, &value))
            .collect::<Result<Vec<_>, _>>()?;
        let condition = match (kind, modifier) {
            (ParameterKind::Token, Some("not")) => Condition::NoneOf(matches),
            _ => Condition::AnyOf(matches),
        };
        Ok(Self {
            parameter,
            condition,
        })
    }

    pub(super) fn accepts(&self, terms: &IndexTerms) -> bool {
        let terms = terms.get(self.parameter);
        let any = |matches: &[Match]| {
            terms
                .iter()
                .any(|term| matches.iter().any(|wanted| wanted.accepts(term)))
        };
        match &self.condition {
            Condition::Missing(missing) => terms.is_empty() == *missing,
            Condition::AnyOf(matches) => any(matches),
            Condition::NoneOf(matches) => !any(matches),
        }
    }

    /// For `_id`: whether the id is one of the alternatives.
    pub(super) fn accepts_token(&self, code: &str) -> bool {
        let term = Term::Token(TokenTerm {
            system: None,
            code: code.to_owned(),
        });
        self.accepts_term(&term)
    }

    /// For `_lastUpdated`: whether the moment is in one of the alternatives.
    pub(super) fn accepts_moment(&self, unix_ms: i64) -> bool {
        let end_ms = unix_ms.saturating_add(1);
        self.accepts_term(&Term::Date(TimeSpan {
            start_ms: unix_ms,
            end_ms,
        }))
    }

    fn accepts_term(&self, term: &Term) -> bool {
        match &self.condition {
            Condition::Missing(missing) => !missing,
            Condition::AnyOf(matches) => matches.iter().any(|wanted| wanted.accepts(term)),
            Condition::NoneOf(matches) => !matches.iter().any(|wanted| wanted.accepts(term)),
        }
    }

    /// The ids that references of this type may have, if the filter leaves nothing else.
    pub(super) fn ids_of(&self, wanted: ResourceType) -> Option<Vec<&str>> {
        let Condition::AnyOf(matches) = &self.condition else {
            return None;
        };
        let ids = matches.iter().map(|alternative| match alternative {
            Match::Reference {
                resource_type: None,
                id,
            } => Some(id.as_str()),
            Match::Reference {
                resource_type: Some(kind),
                id,
            } if *kind == wanted => Some(id.as_str()),
            Match::Token(TokenMatch {
                system: SystemMatch::Any,
                code,
            }) => code.as_deref(),
            _ => None,
        });
        ids.collect()
    }
}

impl Match {
    fn accepts(&self, term: &Term) -> bool {
        match (self, term) {
            (Self::Token(wanted), Term::Token(token)) => wanted.accepts(token),
            (Self::Reference { resource_type, id }, Term::Reference(reference)) => {
                reference.id.as_deref() == Some(id)
                    && resource_type.is_none_or(|kind| {
                        reference.resource_type.as_deref() == Some(kind.as_str())
                    })
            }
            (Self::Uri(uri), Term::Reference(reference)) => reference.uri.as_deref() == Some(uri),
            (Self::Identifier(wanted), Term::Reference(reference)) => reference
                .identifier
                .as_ref()
                .is_some_and(|it| wanted.accepts(it)),
            (Self::Date(prefix, wanted), Term::Date(span)) => prefix.accepts(*wanted, *span),
            (Self::StartsWith(wanted), Term::Text(text)) => text.starts_with(wanted),
            (Self::Contains(wanted), Term::Text(text)) => text.contains(wanted),
            (Self::Equals(wanted), Term::Text(text)) => text == wanted,
            _ => false,
        }
    }
}

impl TokenMatch {
    fn accepts(&self, token: &TokenTerm) -> bool {
        let system_fits = match &self.system {
            SystemMatch::Any => true,
            SystemMatch::Absent => token.system.is_none(),
            SystemMatch::Is(system) => token.system.as_deref() == Some(system),
        };
        system_fits && self.code.as_ref().is_none_or(|code| *code == token.code)
    }
}

impl DatePrefix {
    fn accepts(self, wanted: TimeSpan, found: TimeSpan) -> bool {
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
}

fn parse_match(
    kind: ParameterKind,
    modifier: Option<&str>,
    text: &str,
) -> Result<Match, QueryProblem> {
    if text.is_empty() {
        return Err(QueryProblem::ValueMissing);
    }
    match (kind, modifier) {
        (ParameterKind::Token, None | Some("not")) => token(text).map(Match::Token),
        (ParameterKind::Reference, Some("identifier")) => token(text).map(Match::Identifier),
        (ParameterKind::Reference, None) => reference(&unescape(text)),
        (ParameterKind::Reference, Some(name)) => {
            let resource_type = ResourceType::parse(name).ok_or(QueryProblem::ModifierUnknown)?;
            let id = Some(unescape(text))
                .filter(|id| is_id(id))
                .ok_or(QueryProblem::ValueMalformed)?;
            Ok(Match::Reference {
                resource_type: Some(resource_type),
                id,
            })
        }
        (ParameterKind::Date, None) => date(text),
        (ParameterKind::String, None) => Ok(Match::StartsWith(fold(&unescape(text)))),
        (ParameterKind::String, Some("contains")) => Ok(Match::Contains(fold(&unescape(text)))),
        (ParameterKind::String, Some("exact")) => Ok(Match::Equals(fold(&unescape(text)))),
        _ => Err(QueryProblem::ModifierUnknown),
    }
}

fn token(text: &str) -> Result<TokenMatch, QueryProblem> {
    let parts = split(text, '|');
    let (system, code) = match parts.as_slice() {
        [code] => (SystemMatch::Any, code),
        [system, code] if system.is_empty() => (SystemMatch::Absent, code),
        [system, code] => (SystemMatch::Is(unescape(system)), code),
        _ => return Err(QueryProblem::ValueMalformed),
    };
    let code = Some(unescape(code)).filter(|code| !code.is_empty());
    if code.is_none() && !matches!(system, SystemMatch::Is(_)) {
        return Err(QueryProblem::ValueMissing);
    }
    Ok(TokenMatch { system, code })
}

fn reference(text: &str) -> Result<Match, QueryProblem> {
    match Target::parse(text) {
        Target::Relative(local) => {
            let resource_type = Some(local.resource_type);
            Ok(Match::Reference {
                resource_type,
                id: local.id.to_owned(),
            })
        }
        Target::Absolute(uri, _) | Target::Urn(uri) => Ok(Match::Uri(uri.to_owned())),
        _ if is_id(text) => Ok(Match::Reference {
            resource_type: None,
            id: text.to_owned(),
        }),
        _ => Err(QueryProblem::ValueMalformed),
    }
}

fn date(text: &str) -> Result<Match, QueryProblem> {
    let prefix = match text.get(..2) {
        Some("eq") => Some(DatePrefix::Eq),
        Some("ne") => Some(DatePrefix::Ne),
        Some("gt") => Some(DatePrefix::Gt),
        Some("lt") => Some(DatePrefix::Lt),
        Some("ge") => Some(DatePrefix::Ge),
        Some("le") => Some(DatePrefix::Le),
        Some("sa") => Some(DatePrefix::Sa),
        Some("eb") => Some(DatePrefix::Eb),
        Some("ap") => Some(DatePrefix::Ap),
        _ => None,
    };
    let value = if prefix.is_some() {
        text.get(2..).unwrap_or_default()
    } else {
        text
    };
    // In a URL an unescaped `+` of a zone arrives as a space.
    let span = TimeSpan::parse(&value.replace(' ', "+")).ok_or(QueryProblem::ValueMalformed)?;
    Ok(Match::Date(prefix.unwrap_or(DatePrefix::Eq), span))
}

/// Splits at separators that no backslash precedes; escapes stay.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == separator {
            parts.push(String::new());
            continue;
        }
        if let Some(part) = parts.last_mut() {
            part.push(letter);
            if letter == '\\' {
                part.extend(letters.next());
            }
        }
    }
    parts
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        plain.push(if letter == '\\' {
            letters.next().unwrap_or(letter)
        } else {
            letter
        });
    }
    plain
}
