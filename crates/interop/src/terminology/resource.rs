//! A FHIR `CodeSystem` (<https://hl7.org/fhir/R4/codesystem.html>).

use serde_json::Value;

use super::problem::TerminologyProblem;
use super::value_set::items;
use super::{About, Designation, Draft, Kind};

/// How deep concepts stand in each other.
const DEPTH_MAX: usize = 64;

/// Reads a `CodeSystem` that has all its concepts.
///
/// # Errors
///
/// If it is a fragment, has no URL, or concepts stand in each other too deep.
pub fn code_system(resource: &Value) -> Result<(About, Draft), TerminologyProblem> {
    let malformed = TerminologyProblem::Malformed;
    let about = About::of(resource).ok_or(malformed("no canonical URL"))?;
    let text = |name: &str| resource.get(name).and_then(Value::as_str);
    if text("content") != Some("complete") {
        return Err(malformed("not all of its concepts"));
    }
    let mut reader = Reader {
        draft: Draft::default(),
        is_hierarchy: text("hierarchyMeaning").is_none_or(|meaning| meaning == "is-a"),
    };
    reader.take(resource, None, 0)?;
    Ok((about, reader.draft))
}

struct Reader {
    draft: Draft,
    /// Whether what is above a concept subsumes it.
    is_hierarchy: bool,
}

impl Reader {
    fn take(
        &mut self,
        holder: &Value,
        above: Option<&str>,
        depth: usize,
    ) -> Result<(), TerminologyProblem> {
        if depth > DEPTH_MAX {
            return Err(TerminologyProblem::TooDeep(DEPTH_MAX));
        }
        for concept in items(holder, "concept") {
            let text = |name: &str| concept.get(name).and_then(Value::as_str);
            let Some(code) = text("code") else { continue };
            let drafted = self.draft.concept(code);
            drafted.display = text("display").map(str::to_owned);
            drafted.definition = text("definition").map(str::to_owned);
            for designation in items(concept, "designation") {
                self.draft.designate(code, named(designation));
            }
            for property in items(concept, "property") {
                self.say(code, property);
            }
            if let Some(above) = above.filter(|_| self.is_hierarchy) {
                self.draft.link(code, above);
            }
            self.take(concept, Some(code), depth.saturating_add(1))?;
        }
        Ok(())
    }

    fn say(&mut self, code: &str, property: &Value) {
        let Some(name) = property.get("code").and_then(Value::as_str) else {
            return;
        };
        let Some((kind, value)) = valued(property) else {
            return;
        };
        match name {
            "parent" | "subsumedBy" => return self.draft.link(code, &value),
            "child" => return self.draft.link(&value, code),
            "inactive" => self.draft.concept(code).is_inactive = value == "true",
            "notSelectable" => self.draft.concept(code).is_abstract = value == "true",
            "status" if matches!(value.as_str(), "retired" | "inactive") => {
                self.draft.concept(code).is_inactive = true;
            }
            _ => {}
        }
        // It is told of every concept.
        if name != "inactive" {
            self.draft.say(code, name, kind, &value);
        }
    }
}

fn named(designation: &Value) -> Designation {
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
    let usage = designation.get("use").and_then(|usage| {
        let code = text(usage, "code")?;
        Some(match text(usage, "system") {
            Some(system) => format!("{system}|{code}"),
            None => code,
        })
    });
    Designation {
        language: text(designation, "language"),
        usage,
        value: text(designation, "value").unwrap_or_default(),
    }
}

fn valued(property: &Value) -> Option<(Kind, String)> {
    let kinds = [
        ("valueCode", Kind::Code),
        ("valueString", Kind::String),
        ("valueBoolean", Kind::Boolean),
        ("valueInteger", Kind::Integer),
        ("valueDecimal", Kind::Decimal),
        ("valueDateTime", Kind::DateTime),
    ];
    let coding = property
        .get("valueCoding")
        .and_then(|coding| coding.get("code")?.as_str());
    let plain = kinds.into_iter().find_map(|(element, kind)| {
        let value = property.get(element)?;
        let text = value.as_str().map(str::to_owned);
        Some((kind, text.unwrap_or_else(|| value.to_string())))
    });
    plain.or(coding.map(|code| (Kind::Code, code.to_owned())))
}
