//! `$expand`: a page of a value set's codes (<https://hl7.org/fhir/R4/valueset-operation-expand.html>).

use std::sync::Arc;

use fixedbitset::FixedBitSet;
use serde_json::{Value, json};

use super::problem::TerminologyProblem;
use super::selection::{Chosen, Selection};
use super::words::words;
use super::{Concept, Concepts, Library, ValueSet};

/// Codes that are given at once at most.
pub const EXPANDED_MAX: usize = 10_000;
/// What a text finds is put into the order of its fit if it is not more.
const RANKED_MAX: usize = 2_000;

/// What is asked of an expansion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expand {
    /// Words that begin words of the concepts' names.
    pub filter: Option<String>,
    /// How many codes are passed over.
    pub offset: usize,
    /// How many codes are given.
    pub count: Option<usize>,
    /// Whether concepts that are not to be used any more are left out.
    pub active_only: bool,
    /// BCP 47, or a list of it: in which language names are given, where there are some.
    pub language: Option<String>,
    /// Whether all names are given.
    pub has_designations: bool,
}

/// A code of an expansion.
enum Member<'a> {
    Numbered(&'a Arc<dyn Concepts>, u32, Option<&'a str>),
    Listed(&'a str, &'a str, Option<&'a str>),
}

/// A page of a value set, as a `ValueSet` with an expansion that was made at `timestamp`.
///
/// # Errors
///
/// [`TerminologyProblem::TooCostly`] if more than [`EXPANDED_MAX`] codes would be given, [`TerminologyProblem::Endless`];
/// what the definition refers to and is not at hand.
pub fn expand(
    value_set: &ValueSet,
    asked: &Expand,
    library: &dyn Library,
    (identifier, timestamp): (&str, &str),
) -> Result<Value, TerminologyProblem> {
    let mut selection = Selection::of(value_set, library)?;
    if asked.active_only {
        selection.remove_inactive()?;
    }
    let filter = asked.filter.as_deref().map(words).unwrap_or_default();
    if !filter.is_empty() {
        selection.narrow(&filter)?;
    }
    let found = selection.len();
    if selection.0.values().any(|chosen| chosen.is_grammar) {
        return Err(TerminologyProblem::Endless);
    }
    let rest = found.saturating_sub(asked.offset);
    let given = asked.count.map_or(rest, |count| count.min(rest));
    if given > EXPANDED_MAX {
        let limit = EXPANDED_MAX;
        return Err(TerminologyProblem::TooCostly { found, limit });
    }
    let mut members = selection.members();
    if !filter.is_empty() && found <= RANKED_MAX {
        members = ranked(members)?;
    }
    let page = members.into_iter().skip(asked.offset).take(given);
    let contains: Vec<Value> = page
        .map(|member| member.shown(asked))
        .collect::<Result<_, _>>()?;
    let mut expansion = json!({ "identifier": identifier, "timestamp": timestamp, "total": found,
        "offset": asked.offset, "parameter": asked.parameters(&selection) });
    if !contains.is_empty() {
        expansion["contains"] = contains.into();
    }
    let mut resource = json!({ "resourceType": "ValueSet", "status": "active" });
    for (name, text) in [
        ("url", &value_set.about.url),
        ("version", &value_set.about.version),
        ("title", &value_set.about.name),
    ] {
        if !text.is_empty() {
            resource[name] = text.as_str().into();
        }
    }
    resource["expansion"] = expansion;
    Ok(resource)
}

impl Expand {
    /// What the expansion was made with: what was asked, and the versions of code systems.
    fn parameters(&self, selection: &Selection) -> Vec<Value> {
        let mut parameters = Vec::new();
        if let Some(filter) = &self.filter {
            parameters.push(json!({ "name": "filter", "valueString": filter }));
        }
        if let Some(count) = self.count {
            parameters.push(json!({ "name": "count", "valueInteger": count }));
        }
        if self.active_only {
            parameters.push(json!({ "name": "activeOnly", "valueBoolean": true }));
        }
        if let Some(language) = &self.language {
            parameters.push(json!({ "name": "displayLanguage", "valueCode": language }));
        }
        let known = selection.0.values().filter_map(|it| it.concepts.as_ref());
        parameters.extend(known.map(|concepts| {
            let about = concepts.about();
            json!({ "name": "version", "valueUri": format!("{}|{}", about.url, about.version) })
        }));
        parameters
    }
}

impl Selection {
    /// Leaves what has a word that begins so, for each of these.
    fn narrow(&mut self, filter: &[String]) -> Result<(), TerminologyProblem> {
        for chosen in self.0.values_mut() {
            chosen.narrow(filter)?;
        }
        Ok(())
    }

    fn members(&self) -> Vec<Member<'_>> {
        let mut members = Vec::with_capacity(self.len());
        for (system, chosen) in &self.0 {
            if let Some(concepts) = &chosen.concepts {
                let numbers = chosen
                    .numbers
                    .ones()
                    .filter_map(|it| u32::try_from(it).ok());
                members.extend(numbers.map(|number| {
                    let shown = chosen.shown.get(&number).map(String::as_str);
                    Member::Numbered(concepts, number, shown)
                }));
            }
            let listed = chosen.listed.iter();
            members.extend(
                listed.map(|(code, display)| Member::Listed(system, code, display.as_deref())),
            );
        }
        members
    }
}

impl Chosen {
    fn narrow(&mut self, filter: &[String]) -> Result<(), TerminologyProblem> {
        for prefix in filter {
            let found = match &self.concepts {
                Some(concepts) => concepts.with_prefix(prefix)?,
                None => FixedBitSet::new(),
            };
            self.numbers.intersect_with(&found);
            self.listed.retain(|code, display| {
                let text = format!("{code} {}", display.as_deref().unwrap_or_default());
                words(&text).iter().any(|word| word.starts_with(prefix))
            });
        }
        Ok(())
    }
}

impl Member<'_> {
    fn concept(&self) -> Result<Option<Concept>, TerminologyProblem> {
        match self {
            Self::Numbered(concepts, number, _) => Ok(concepts.concept(*number)?),
            Self::Listed(..) => Ok(None),
        }
    }

    fn shown(&self, asked: &Expand) -> Result<Value, TerminologyProblem> {
        let (system, own) = match self {
            Self::Listed(system, code, display) => {
                return Ok(entry(system, code, *display));
            }
            Self::Numbered(concepts, _, shown) => (concepts.about().url.as_str(), *shown),
        };
        let concept = self.concept()?.unwrap_or_default();
        let display = match &asked.language {
            Some(language) => concept.display_in(Some(language)),
            None => own.or(concept.display.as_deref()),
        };
        let mut value = entry(system, &concept.code, display);
        if concept.is_inactive {
            value["inactive"] = true.into();
        }
        if concept.is_abstract {
            value["abstract"] = true.into();
        }
        if asked.has_designations && !concept.designations.is_empty() {
            let all = concept.designations.iter().map(|it| it.to_value());
            value["designation"] = all.collect();
        }
        Ok(value)
    }
}

fn entry(system: &str, code: &str, display: Option<&str>) -> Value {
    let mut value = json!({ "system": system, "code": code });
    if let Some(display) = display {
        value["display"] = display.into();
    }
    value
}

/// Short names first: the filter is most of them.
fn ranked(members: Vec<Member<'_>>) -> Result<Vec<Member<'_>>, TerminologyProblem> {
    let mut ranked = Vec::with_capacity(members.len());
    for member in members {
        let length = match &member {
            Member::Listed(_, _, display) => display.map_or(usize::MAX, str::len),
            Member::Numbered(..) => {
                let display = member.concept()?.and_then(|concept| concept.display);
                display.map_or(usize::MAX, |display| display.len())
            }
        };
        ranked.push((length, member));
    }
    ranked.sort_by_key(|(length, _)| *length);
    Ok(ranked.into_iter().map(|(_, member)| member).collect())
}
