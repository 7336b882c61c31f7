//! The expressions of search parameters, compiled to paths over JSON.

use super::elements::{Elements, Step, capitalised};

/// A path, the type at its end, and the type that a reference must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Compiled {
    pub(super) path: String,
    pub(super) leaf: String,
    pub(super) target: Option<String>,
    place: String,
}

impl Compiled {
    pub(super) fn word(&self) -> String {
        let target = self
            .target
            .as_ref()
            .map_or_else(String::new, |it| format!("@{it}"));
        format!("{}:{}{target}", self.path, self.leaf)
    }
}

/// The paths of an expression within one base type.
pub(super) fn compile(
    expression: &str,
    base: &str,
    kind: &str,
    elements: &Elements,
) -> Result<Vec<Compiled>, String> {
    if expression == format!("{base}.deceased.exists() and {base}.deceased != false") {
        let paths = compile(&format!("{base}.deceased"), base, "any", elements)?;
        return Ok(paths
            .into_iter()
            .map(|path| Compiled {
                leaf: "present".to_owned(),
                ..path
            })
            .collect());
    }
    let mut compiled = Vec::new();
    for alternative in split(expression, '|') {
        let alternative = without_group(alternative.trim());
        let steps = split(&alternative, '.');
        let Some((root, rest)) = steps.split_first() else {
            continue;
        };
        // Some expressions leave out the type.
        let is_relative = root.starts_with(|letter: char| letter.is_ascii_lowercase());
        let rest = if is_relative { &steps } else { rest };
        if root != base && !is_relative {
            continue;
        }
        let start = Compiled {
            path: String::new(),
            leaf: base.to_owned(),
            target: None,
            place: base.to_owned(),
        };
        compiled.extend(walk(start, rest, kind, elements)?);
    }
    if compiled.is_empty() {
        return Err(format!("nothing in `{expression}`"));
    }
    Ok(compiled)
}

/// The paths of a component, from a base of its composite on.
pub(super) fn compile_component(
    expression: &str,
    resource: &str,
    base: &Compiled,
    kind: &str,
    elements: &Elements,
) -> Result<Vec<Compiled>, String> {
    let mut compiled = Vec::new();
    for alternative in split(expression, '|') {
        let steps = split(alternative.trim(), '.');
        let (place, steps, mark) = match steps.split_first() {
            Some((first, rest)) if first == "%resource" => (resource, rest, "/"),
            _ => (base.place.as_str(), steps.as_slice(), ""),
        };
        let start = Compiled {
            path: String::new(),
            leaf: String::new(),
            target: None,
            place: place.to_owned(),
        };
        let found = walk(start, steps, kind, elements)?;
        compiled.extend(found.into_iter().map(|it| Compiled {
            path: format!("{mark}{}", it.path),
            ..it
        }));
    }
    Ok(compiled)
}

fn walk(
    start: Compiled,
    steps: &[String],
    kind: &str,
    elements: &Elements,
) -> Result<Vec<Compiled>, String> {
    let mut at = vec![start];
    let mut steps = steps.iter().peekable();
    while let Some(step) = steps.next() {
        if let Some(condition) = argument(step, "where") {
            constrain(&mut at, condition)?;
            continue;
        }
        let (name, index) = match step.strip_suffix("[0]") {
            Some(name) => (name, "[0]"),
            None => (step.as_str(), ""),
        };
        let only = steps.peek().and_then(|next| argument(next, "ofType"));
        let wanted = only.map(capitalised);
        let mut next = Vec::new();
        for one in &at {
            for Step {
                name: json,
                leaf,
                place,
            } in elements.step(&one.place, name)
            {
                if wanted.as_ref().is_some_and(|it| *it != capitalised(&leaf)) {
                    continue;
                }
                let dot = if one.path.is_empty() { "" } else { "." };
                next.push(Compiled {
                    path: format!("{}{dot}{json}{index}", one.path),
                    leaf,
                    target: one.target.clone(),
                    place,
                });
            }
        }
        if only.is_some() {
            steps.next();
        }
        at = next;
    }
    at.retain(|one| fits(kind, &one.leaf));
    if at.is_empty() {
        return Err(format!("no element that a {kind} is read from"));
    }
    Ok(at)
}

fn constrain(at: &mut [Compiled], condition: &str) -> Result<(), String> {
    if let Some(target) = condition.strip_prefix("resolve() is ") {
        at.iter_mut()
            .for_each(|one| one.target = Some(target.to_owned()));
        return Ok(());
    }
    let (name, value) = condition
        .split_once('=')
        .ok_or_else(|| format!("the condition `{condition}`"))?;
    let value = value.trim_matches('\'');
    at.iter_mut()
        .for_each(|one| one.path = format!("{}{{{name}={value}}}", one.path));
    Ok(())
}

/// Whether values of the type can be indexed for the kind.
fn fits(kind: &str, leaf: &str) -> bool {
    let leaves: &[&str] = match kind {
        "token" => &[
            "boolean",
            "code",
            "string",
            "id",
            "uri",
            "Coding",
            "CodeableConcept",
            "Identifier",
            "ContactPoint",
        ],
        "reference" => &["Reference", "canonical", "uri", "Resource"],
        "date" => &["date", "dateTime", "instant", "Period", "Timing"],
        "string" => &[
            "string",
            "markdown",
            "HumanName",
            "Address",
            "CodeableConcept",
        ],
        "number" => &["integer", "decimal", "positiveInt", "unsignedInt", "Range"],
        "quantity" => &[
            "Quantity",
            "Age",
            "Duration",
            "Count",
            "Distance",
            "Money",
            "Range",
            "SampledData",
        ],
        "uri" => &["uri", "url", "canonical", "oid", "uuid"],
        _ => return true,
    };
    leaves.contains(&leaf)
}

fn argument<'a>(step: &'a str, function: &str) -> Option<&'a str> {
    step.strip_prefix(function)?
        .strip_prefix('(')?
        .strip_suffix(')')
}

/// `(a.b).c` as `a.b.c`.
fn without_group(text: &str) -> String {
    let Some(rest) = text.strip_prefix('(') else {
        return text.to_owned();
    };
    let mut depth = 1_usize;
    for (at, letter) in rest.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return format!("{}{}", &rest[..at], &rest[at + 1..]);
        }
    }
    text.to_owned()
}

/// Splits outside parentheses.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_i32;
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if letter == separator && depth == 0 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    parts
}
