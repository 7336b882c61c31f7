//! From the text of a query to what is wanted.

use super::decimal::{Decimal, Interval};
use super::parameter::{Component, ParameterKind, Places, SearchParameter};
use super::place::Near;
use super::problem::QueryProblem;
use super::terms::{TokenTerm, TypedTerm};
use super::text::fold;
use super::units::{Conversion, UCUM};
use super::value_sets::ValueSets;
use super::wanted::{
    CanonicalWanted, Prefix, QuantityWanted, SystemWanted, TokenWanted, UnitWanted, Wanted,
};
use crate::fhir::reference::Target;
use crate::fhir::resource::is_id;
use crate::fhir::{ResourceType, TimeSpan};

/// Reads one alternative; a modifier may make several of it.
pub(super) fn read(
    parameter: &SearchParameter,
    modifier: Option<&str>,
    text: &str,
    value_sets: &dyn ValueSets,
) -> Result<Vec<Wanted>, QueryProblem> {
    if text.is_empty() {
        return Err(QueryProblem::ValueMissing);
    }
    if let (Places::Position, None) = (&parameter.places, modifier) {
        return Near::parse(text).map(|it| vec![Wanted::Near(it)]);
    }
    if let (ParameterKind::Token, Some(modifier)) = (parameter.kind, modifier) {
        return token_modified(modifier, text, value_sets);
    }
    let one = match (parameter.kind, modifier) {
        (ParameterKind::Reference, Some(modifier)) => {
            return reference_modified(parameter, modifier, text).map(|it| vec![it]);
        }
        (ParameterKind::String, Some("contains")) => Ok(Wanted::Contains(fold(&unescape(text)))),
        (ParameterKind::String, Some("exact")) => Ok(Wanted::Exactly(unescape(text))),
        (ParameterKind::Uri, Some("below")) => Ok(Wanted::UriBelow(unescape(text))),
        (ParameterKind::Uri, Some("above")) => Ok(Wanted::UriAbove(unescape(text))),
        (ParameterKind::Composite, None) => composite(parameter, text),
        (kind, None) => plain(kind, text),
        _ => Err(QueryProblem::ModifierUnknown),
    };
    one.map(|it| vec![it])
}

/// A value without a modifier.
fn plain(kind: ParameterKind, text: &str) -> Result<Wanted, QueryProblem> {
    match kind {
        ParameterKind::Token => token(text).map(Wanted::Token),
        ParameterKind::Reference => reference(&unescape(text)),
        ParameterKind::Date => date(text),
        ParameterKind::String => Ok(Wanted::StartsWith(fold(&unescape(text)))),
        ParameterKind::Uri => Ok(Wanted::Uri(unescape(text))),
        ParameterKind::Number => {
            let (prefix, number) = Prefix::split(text);
            let number = Decimal::parse(number).ok_or(QueryProblem::ValueMalformed)?;
            Ok(Wanted::Number(prefix, number))
        }
        ParameterKind::Quantity => quantity(text),
        ParameterKind::Composite | ParameterKind::Special => Err(QueryProblem::ValueUnsupported),
    }
}

fn token_modified(
    modifier: &str,
    text: &str,
    value_sets: &dyn ValueSets,
) -> Result<Vec<Wanted>, QueryProblem> {
    match modifier {
        "not" => token(text).map(|it| vec![Wanted::Token(it)]),
        "text" => Ok(vec![Wanted::Label(fold(&unescape(text)))]),
        "of-type" => of_type(text).map(|it| vec![it]),
        "in" | "not-in" => {
            let codes = value_sets
                .codes(&unescape(text))
                .ok_or(QueryProblem::ValueSetUnknown)?;
            Ok(codes.into_iter().map(exactly).collect())
        }
        "above" | "below" => {
            let TokenWanted {
                system: SystemWanted::Is(system),
                code: Some(code),
            } = token(text)?
            else {
                return Err(QueryProblem::ValueMalformed);
            };
            let found = if modifier == "below" {
                value_sets.below(&system, &code)
            } else {
                value_sets.above(&system, &code)
            };
            let codes = found.ok_or(QueryProblem::HierarchyUnknown)?;
            let token = |code| TokenTerm {
                system: Some(system.clone()),
                code,
            };
            Ok(codes.into_iter().map(|code| exactly(token(code))).collect())
        }
        _ => Err(QueryProblem::ModifierUnknown),
    }
}

/// This token, in this system.
fn exactly(token: TokenTerm) -> Wanted {
    Wanted::Token(TokenWanted {
        system: token.system.map_or(SystemWanted::Any, SystemWanted::Is),
        code: Some(token.code),
    })
}

/// Types whose resources are parts of others of their type, by `partof`.
const HIERARCHIES: [&str; 2] = ["Location", "Organization"];

/// Below or above a resource; of what has no hierarchy, a URI.
fn hierarchical(parameter: &SearchParameter, is_below: bool, text: &str) -> Wanted {
    if let Ok(Wanted::Reference {
        resource_type: Some(kind),
        id,
        ..
    }) = reference(text)
        && HIERARCHIES.contains(&kind.as_str())
        && parameter.may_target(kind)
    {
        return match is_below {
            true => Wanted::PartsOf(kind, id),
            false => Wanted::WholesOf(kind, id),
        };
    }
    match is_below {
        true => Wanted::UriBelow(text.to_owned()),
        false => Wanted::UriAbove(text.to_owned()),
    }
}

fn reference_modified(
    parameter: &SearchParameter,
    modifier: &str,
    text: &str,
) -> Result<Wanted, QueryProblem> {
    match modifier {
        "identifier" => token(text).map(Wanted::Identifier),
        "below" | "above" => Ok(hierarchical(
            parameter,
            modifier == "below",
            &unescape(text),
        )),
        name => {
            let resource_type = ResourceType::parse(name).ok_or(QueryProblem::ModifierUnknown)?;
            let id = Some(unescape(text)).filter(|id| is_id(id));
            let id = id.ok_or(QueryProblem::ValueMalformed)?;
            if !parameter.may_target(resource_type) {
                return Err(QueryProblem::TargetImpossible);
            }
            Ok(Wanted::Reference {
                resource_type: Some(resource_type),
                id,
                version: None,
            })
        }
    }
}

fn token(text: &str) -> Result<TokenWanted, QueryProblem> {
    let parts = split(text, '|');
    let (system, code) = match parts.as_slice() {
        [code] => (SystemWanted::Any, code),
        [system, code] if system.is_empty() => (SystemWanted::Absent, code),
        [system, code] => (SystemWanted::Is(unescape(system)), code),
        _ => return Err(QueryProblem::ValueMalformed),
    };
    let code = Some(unescape(code)).filter(|code| !code.is_empty());
    if code.is_none() && !matches!(system, SystemWanted::Is(_)) {
        return Err(QueryProblem::ValueMissing);
    }
    Ok(TokenWanted { system, code })
}

fn of_type(text: &str) -> Result<Wanted, QueryProblem> {
    let parts: Vec<String> = split(text, '|').iter().map(|part| unescape(part)).collect();
    match parts.as_slice() {
        [system, code, value] if !code.is_empty() && !value.is_empty() => {
            let system = Some(system.clone()).filter(|system| !system.is_empty());
            let kind = TokenTerm {
                system,
                code: code.clone(),
            };
            Ok(Wanted::OfType(TypedTerm {
                kind,
                value: value.clone(),
            }))
        }
        _ => Err(QueryProblem::ValueMalformed),
    }
}

pub(super) fn reference(text: &str) -> Result<Wanted, QueryProblem> {
    match Target::parse(text) {
        Target::Relative(local) => Ok(Wanted::Reference {
            resource_type: Some(local.resource_type),
            id: local.id.to_owned(),
            version: local.version.map(str::to_owned),
        }),
        Target::Absolute(uri, _) | Target::Urn(uri) => Ok(Wanted::Canonical(uri.to_owned())),
        _ if is_id(text) => Ok(Wanted::Reference {
            resource_type: None,
            id: text.to_owned(),
            version: None,
        }),
        // A canonical may be any URI.
        _ if text.contains(':') => Ok(Wanted::Canonical(text.to_owned())),
        _ => Err(QueryProblem::ValueMalformed),
    }
}

fn date(text: &str) -> Result<Wanted, QueryProblem> {
    let (prefix, value) = Prefix::split(text);
    // In a URL an unescaped `+` of a zone arrives as a space.
    let span = TimeSpan::parse(&value.replace(' ', "+")).ok_or(QueryProblem::ValueMalformed)?;
    Ok(Wanted::Date(prefix, span))
}

fn quantity(text: &str) -> Result<Wanted, QueryProblem> {
    let parts = split(text, '|');
    let (number, system, code) = match parts.as_slice() {
        [number] => (number, "", ""),
        [number, system, code] => (number, system.as_str(), code.as_str()),
        _ => return Err(QueryProblem::ValueMalformed),
    };
    let (prefix, number) = Prefix::split(number);
    let value = Decimal::parse(number).ok_or(QueryProblem::ValueMalformed)?;
    let system = Some(unescape(system)).filter(|system| !system.is_empty());
    let code = Some(unescape(code)).filter(|code| !code.is_empty());
    let unit = match (system, code) {
        (None, None) => None,
        (Some(_), None) => return Err(QueryProblem::ValueMalformed),
        (system, Some(code)) => {
            let is_ucum = system.as_deref() == Some(UCUM);
            let canonical = is_ucum.then(|| canonical(value, &code)).flatten();
            Some(UnitWanted {
                system,
                code,
                canonical,
            })
        }
    };
    Ok(Wanted::Quantity(QuantityWanted {
        prefix,
        value,
        unit,
    }))
}

fn canonical(value: Decimal, unit: &str) -> Option<CanonicalWanted> {
    let conversion = Conversion::of(unit)?;
    let all = |interval: Interval| conversion.apply_all(interval);
    Some(CanonicalWanted {
        value: conversion.apply(value)?,
        implicit: all(value.implicit())?,
        approximate: all(value.approximate())?,
        unit: conversion.unit,
    })
}

fn composite(parameter: &SearchParameter, text: &str) -> Result<Wanted, QueryProblem> {
    let Places::Composite { components, .. } = &parameter.places else {
        return Err(QueryProblem::ValueUnsupported);
    };
    let parts = split(text, '$');
    if parts.len() != components.len() {
        return Err(QueryProblem::ValueMalformed);
    }
    let one = |(component, part): (&Component, &String)| {
        if part.is_empty() {
            return Err(QueryProblem::ValueMissing);
        }
        plain(component.kind, part)
    };
    components
        .iter()
        .zip(&parts)
        .map(one)
        .collect::<Result<_, _>>()
        .map(Wanted::Composite)
}

/// Splits at separators that no backslash precedes; escapes stay.
pub(super) fn split(text: &str, separator: char) -> Vec<String> {
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
