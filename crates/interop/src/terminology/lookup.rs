//! `$lookup` and `$subsumes` (<https://hl7.org/fhir/R4/codesystem-operations.html>).

use serde_json::{Value, json};

use super::Concepts;
use super::parameters::{code as coded, flag, parameters, parts, text};
use super::problem::TerminologyProblem;

/// Neighbours of a concept that are named at most.
const NEIGHBOURS_MAX: usize = 1_000;

/// What is known of a code, as `Parameters`.
///
/// `properties` names what is given; all if it is empty. The display is in `language` where there is one.
///
/// # Errors
///
/// [`TerminologyProblem::CodeUnknown`]
pub fn lookup(
    of: &dyn Concepts,
    code: &str,
    properties: &[String],
    language: Option<&str>,
) -> Result<Value, TerminologyProblem> {
    let concept = of.of_code(code)?.ok_or(TerminologyProblem::CodeUnknown)?;
    let is_asked = |name: &str| properties.is_empty() || properties.iter().any(|one| one == name);
    let about = of.about();
    let mut all = vec![text("name", &about.name)];
    if !about.version.is_empty() {
        all.push(text("version", &about.version));
    }
    all.push(text(
        "display",
        concept.display_in(language).unwrap_or(code),
    ));
    if concept.is_abstract {
        all.push(flag("abstract", true));
    }
    if let Some(definition) = concept
        .definition
        .as_deref()
        .filter(|_| is_asked("definition"))
    {
        all.push(text("definition", definition));
    }
    if is_asked("designation") {
        all.extend(concept.designations.iter().map(|designation| {
            let value = designation.to_value();
            let mut own = Vec::new();
            if let Some(language) = value.get("language").and_then(Value::as_str) {
                own.push(coded("language", language));
            }
            if let Some(usage) = value.get("use") {
                own.push(json!({ "name": "use", "valueCoding": usage }));
            }
            own.push(text("value", &designation.value));
            parts("designation", &own)
        }));
    }
    if is_asked("inactive") {
        all.push(property(
            "inactive",
            ("valueBoolean", concept.is_inactive.into()),
        ));
    }
    for one in concept.properties.iter().filter(|one| is_asked(&one.name)) {
        all.push(property(&one.name, one.value()));
    }
    let hierarchy = of.hierarchy();
    if let Some(number) = of.number(code)? {
        for (name, near) in [
            ("parent", hierarchy.parents(number)),
            ("child", hierarchy.children(number)),
        ] {
            for number in near.iter().take(NEIGHBOURS_MAX).filter(|_| is_asked(name)) {
                if let Some(concept) = of.concept(*number)? {
                    all.push(property(name, ("valueCode", concept.code.into())));
                }
            }
        }
    }
    Ok(parameters(all))
}

fn property(name: &str, (element, value): (&str, Value)) -> Value {
    parts(
        "property",
        &[
            coded("code", name),
            json!({ "name": "value", element: value }),
        ],
    )
}

/// How two codes stand to each other: `equivalent`, `subsumes`, `subsumed-by` or `not-subsumed`, as `Parameters`.
///
/// # Errors
///
/// [`TerminologyProblem::CodeUnknown`]
pub fn subsumes(of: &dyn Concepts, one: &str, other: &str) -> Result<Value, TerminologyProblem> {
    let unknown = TerminologyProblem::CodeUnknown;
    let number = |code: &str| of.number(code);
    let (Some(first), Some(second)) = (number(one)?, number(other)?) else {
        return Err(unknown);
    };
    let hierarchy = of.hierarchy();
    let outcome = match (
        hierarchy.subsumes(first, second),
        hierarchy.subsumes(second, first),
    ) {
        (true, true) => "equivalent",
        (true, false) => "subsumes",
        (false, true) => "subsumed-by",
        (false, false) => "not-subsumed",
    };
    Ok(parameters(vec![coded("outcome", outcome)]))
}
