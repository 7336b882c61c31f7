//! `$validate-code` of code systems and of value sets.

use serde_json::Value;

use super::parameters::{code as coded, flag, parameters, text};
use super::problem::TerminologyProblem;
use super::selection::Selection;
use super::words::words;
use super::{Canonical, Concept, Concepts, Library, ValueSet};

/// A code that somebody asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its code system; without it, any that the value set has the code of.
    pub system: Option<Canonical>,
    /// The code.
    pub code: String,
    /// What whoever asks shows it as.
    pub display: Option<String>,
}

impl Asked {
    /// The codings of a `Coding` or a `CodeableConcept`.
    pub fn of(value: &Value) -> Vec<Self> {
        let codings = match value.get("coding").and_then(Value::as_array) {
            Some(codings) => codings.iter().collect(),
            None => vec![value],
        };
        let read = |coding: &Value| {
            let text = |name: &str| coding.get(name).and_then(Value::as_str);
            let system = text("system").map(|url| Canonical::of(url).with_version(text("version")));
            Some(Self {
                system,
                code: text("code")?.to_owned(),
                display: text("display").map(str::to_owned),
            })
        };
        codings.into_iter().filter_map(read).collect()
    }
}

/// Whether a code is one of the code system, and is called so, as `Parameters`.
pub fn validated(
    of: &dyn Concepts,
    asked: &[Asked],
    language: Option<&str>,
) -> Result<Value, TerminologyProblem> {
    for one in asked {
        if let Some(concept) = of.of_code(&one.code)? {
            let url = of.about().url.as_str();
            return Ok(found(one, url, Some(&concept), None, language));
        }
    }
    Ok(not_found("the code is not one of the code system"))
}

/// Whether one of the codes is of the value set, and is called so, as `Parameters`.
pub fn validated_in(
    value_set: &ValueSet,
    asked: &[Asked],
    library: &dyn Library,
    language: Option<&str>,
) -> Result<Value, TerminologyProblem> {
    let selection = Selection::of(value_set, library)?;
    for one in asked {
        for (system, chosen) in &selection.0 {
            let is_meant = |wanted: &Canonical| wanted.url == *system;
            let is_asked = one.system.as_ref().is_none_or(is_meant);
            if !is_asked || !chosen.has(&one.code)? {
                continue;
            }
            let concept = match &chosen.concepts {
                Some(concepts) => concepts.of_code(&one.code)?,
                None => None,
            };
            let listed = chosen.listed.get(&one.code).and_then(Option::as_deref);
            return Ok(found(one, system, concept.as_ref(), listed, language));
        }
    }
    Ok(not_found("the code is not one of the value set"))
}

fn found(
    asked: &Asked,
    system: &str,
    concept: Option<&Concept>,
    listed: Option<&str>,
    language: Option<&str>,
) -> Value {
    let display = concept
        .and_then(|concept| concept.display_in(language))
        .or(listed);
    let is_called_so = match (&asked.display, display) {
        (Some(asked), Some(display)) => {
            let names = concept.into_iter().flat_map(|it| &it.designations);
            let mut names = names
                .map(|one| one.value.as_str())
                .chain(concept.and_then(|it| it.display.as_deref()))
                .chain([display]);
            names.any(|name| words(name) == words(asked))
        }
        _ => true,
    };
    let mut all = vec![flag("result", is_called_so)];
    if !is_called_so {
        all.push(text(
            "message",
            "the concept is not called what the display says",
        ));
    } else if concept.is_some_and(|concept| concept.is_inactive) {
        all.push(text("message", "the concept is not to be used any more"));
    }
    all.extend(display.map(|display| text("display", display)));
    all.push(coded("code", &asked.code));
    all.push(serde_json::json!({ "name": "system", "valueUri": system }));
    parameters(all)
}

fn not_found(message: &str) -> Value {
    parameters(vec![flag("result", false), text("message", message)])
}
