//! What a resource is found by.

use std::fmt;

use minicbor::{Decode, Encode};
use serde_json::Value;

use super::parameter::{ParameterKind, ValuePath, parameters};
use crate::fhir::reference::Target;
use crate::fhir::{Resource, ResourceType, TimeSpan};

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
    /// A text in lower case.
    #[n(3)]
    Text(#[n(0)] String),
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
    /// A URL or URN, as it stands.
    #[n(2)]
    pub uri: Option<String>,
    /// The identifier of a logical reference.
    #[n(3)]
    pub identifier: Option<TokenTerm>,
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
        })
    }
}

impl fmt::Debug for TokenTerm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("TokenTerm(..)")
    }
}

impl fmt::Debug for ReferenceTerm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ReferenceTerm(..)")
    }
}

impl IndexTerms {
    /// The terms of a resource, for every parameter of its type that finds a value in it.
    pub fn of(resource: &Resource) -> Self {
        let entries = parameters(resource.resource_type())
            .iter()
            .filter_map(|parameter| {
                let mut terms: Vec<Term> = Vec::new();
                for path in &parameter.paths {
                    for value in path.values(resource.object()) {
                        extract(parameter.kind, path, value, &mut |term| {
                            if !terms.contains(&term) {
                                terms.push(term);
                            }
                        });
                    }
                }
                let parameter = parameter.name.to_owned();
                (!terms.is_empty()).then_some(Entry { parameter, terms })
            });
        Self {
            entries: entries.collect(),
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

    /// Every parameter with its values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[Term])> {
        let entries = self.entries.iter();
        entries.map(|entry| (entry.parameter.as_str(), entry.terms.as_slice()))
    }

    pub(super) fn dates(&self, parameter: &str) -> impl Iterator<Item = TimeSpan> {
        self.get(parameter).iter().filter_map(|term| match term {
            Term::Date(span) => Some(*span),
            _ => None,
        })
    }
}

/// Text as it is compared: without regard to case.
pub(super) fn fold(text: &str) -> String {
    text.trim().to_lowercase()
}

fn extract(kind: ParameterKind, path: &ValuePath, value: &Value, add: &mut dyn FnMut(Term)) {
    match kind {
        ParameterKind::Token => tokens(value, &mut |token| add(Term::Token(token))),
        ParameterKind::Reference => {
            if let Some(reference) = reference(value, path.target) {
                add(Term::Reference(reference));
            }
        }
        ParameterKind::Date => dates(value, &mut |span| add(Term::Date(span))),
        ParameterKind::String => texts(value, &mut |text| add(Term::Text(fold(text)))),
    }
}

fn tokens(value: &Value, add: &mut dyn FnMut(TokenTerm)) {
    match value {
        Value::String(code) => add(TokenTerm {
            system: None,
            code: code.clone(),
        }),
        Value::Bool(flag) => add(TokenTerm {
            system: None,
            code: flag.to_string(),
        }),
        Value::Object(object) => {
            if let Some(Value::Array(codings)) = object.get("coding") {
                codings.iter().for_each(|coding| tokens(coding, add));
            }
            let code = object.get("code").or_else(|| object.get("value"));
            if let Some(Value::String(code)) = code {
                // A ContactPoint has a `system` that is no URI: phone, email.
                let system = object.get("system").and_then(Value::as_str);
                let system = system
                    .filter(|system| system.contains(':'))
                    .map(str::to_owned);
                add(TokenTerm {
                    system,
                    code: code.clone(),
                });
            }
        }
        _ => {}
    }
}

fn reference(value: &Value, only: Option<ResourceType>) -> Option<ReferenceTerm> {
    let text = value.get("reference").and_then(Value::as_str);
    let said = value.get("type").and_then(Value::as_str);
    let identifier = value.get("identifier").and_then(|identifier| {
        let code = identifier.get("value").and_then(Value::as_str)?.to_owned();
        let system = identifier
            .get("system")
            .and_then(Value::as_str)
            .map(str::to_owned);
        Some(TokenTerm { system, code })
    });
    let target = text.map(Target::parse);
    let resource_type = match target.and_then(Target::local) {
        Some(local) => Some(local.resource_type),
        None => said.and_then(ResourceType::parse),
    };
    if only.is_some() && resource_type != only {
        return None;
    }
    let (id, uri) = match target {
        Some(Target::Relative(local)) => (Some(local.id.to_owned()), None),
        Some(Target::Absolute(uri, _) | Target::Urn(uri)) => (None, Some(uri.to_owned())),
        _ => (None, None),
    };
    let resource_type = resource_type.map(|kind| kind.as_str().to_owned());
    let is_findable = id.is_some() || uri.is_some() || identifier.is_some();
    is_findable.then_some(ReferenceTerm {
        resource_type,
        id,
        uri,
        identifier,
    })
}

fn dates(value: &Value, add: &mut dyn FnMut(TimeSpan)) {
    match value {
        Value::String(text) => TimeSpan::parse(text).into_iter().for_each(add),
        Value::Object(object) => {
            let text = |name: &str| object.get(name).and_then(Value::as_str);
            TimeSpan::between(text("start"), text("end"))
                .into_iter()
                .for_each(&mut *add);
            // A Timing: its events, or the period that it repeats in.
            if let Some(Value::Array(events)) = object.get("event") {
                events.iter().for_each(|event| dates(event, add));
            }
            if let Some(bounds) = object.get("repeat").and_then(|it| it.get("boundsPeriod")) {
                dates(bounds, add);
            }
        }
        _ => {}
    }
}

fn texts(value: &Value, add: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => add(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, add)),
        Value::Object(object) => {
            for name in [
                "text",
                "family",
                "given",
                "prefix",
                "suffix",
                "line",
                "city",
                "district",
                "state",
                "postalCode",
                "country",
            ] {
                if let Some(part) = object.get(name) {
                    texts(part, add);
                }
            }
        }
        _ => {}
    }
}
