//! Functions on texts.

use std::borrow::Cow;

use regex::Regex;

use super::super::EvaluationError;
use super::super::item::{Item, Items};
use super::super::operators::truth;
use super::super::parse::pattern;
use super::{Function, Invocation, Outcome, function};

/// The longest text that a function makes.
const BYTES_MAX: usize = 1 << 20;

pub(super) const FUNCTIONS: &[Function] = &[
    function("indexOf", 1..=1, |it| position(it, false)),
    function("lastIndexOf", 1..=1, |it| position(it, true)),
    function("substring", 1..=2, substring),
    function("startsWith", 1..=1, |it| {
        test(it, |text, other| text.starts_with(other))
    }),
    function("endsWith", 1..=1, |it| {
        test(it, |text, other| text.ends_with(other))
    }),
    function("contains", 1..=1, |it| {
        test(it, |text, other| text.contains(other))
    }),
    function("upper", 0..=0, |it| map(it, |text| text.to_uppercase())),
    function("lower", 0..=0, |it| map(it, |text| text.to_lowercase())),
    function("trim", 0..=0, |it| map(it, |text| text.trim().to_owned())),
    function("replace", 2..=2, replace),
    Function {
        takes_pattern: true,
        ..function("matches", 1..=1, |it| matches(it, false))
    },
    function("matchesFull", 1..=1, |it| matches(it, true)),
    Function {
        takes_pattern: true,
        ..function("replaceMatches", 2..=2, replace_matches)
    },
    function("length", 0..=0, |it| {
        Ok(it
            .subject()?
            .and_then(|text| i64::try_from(text.chars().count()).ok())
            .map(Item::Integer)
            .into_iter()
            .collect())
    }),
    function("toChars", 0..=0, |it| {
        let text = it.subject()?.unwrap_or_default();
        it.run.spend(text.len())?;
        Ok(text
            .chars()
            .map(|letter| Item::text(letter.to_string()))
            .collect())
    }),
    function("split", 1..=1, |it| {
        let (Some(text), Some(separator)) = (it.subject()?, it.text(0)?) else {
            return Ok(Vec::new());
        };
        it.run.spend(text.len())?;
        Ok(text
            .split(&separator)
            .map(|part| Item::text(part.to_owned()))
            .collect())
    }),
    function("join", 0..=1, join),
];

fn one<'a>(text: Option<impl Into<Cow<'a, str>>>) -> Items<'a> {
    text.map(Item::text).into_iter().collect()
}

fn map<'a>(it: &Invocation<'_, 'a>, change: fn(&str) -> String) -> Outcome<'a> {
    Ok(one(it.subject()?.map(|text| change(&text))))
}

fn test<'a>(it: &Invocation<'_, 'a>, test: fn(&str, &str) -> bool) -> Outcome<'a> {
    let (Some(text), Some(other)) = (it.subject()?, it.text(0)?) else {
        return Ok(Vec::new());
    };
    Ok(truth(Some(test(&text, &other))))
}

/// By letters, not bytes.
fn position<'a>(it: &Invocation<'_, 'a>, is_last: bool) -> Outcome<'a> {
    let (Some(text), Some(other)) = (it.subject()?, it.text(0)?) else {
        return Ok(Vec::new());
    };
    let at = if is_last {
        text.rfind(&other)
    } else {
        text.find(&other)
    };
    let letters = at
        .and_then(|at| text.get(..at))
        .map(|head| head.chars().count());
    let position = letters.map_or(-1, |count| i64::try_from(count).unwrap_or(-1));
    Ok(vec![Item::Integer(position)])
}

fn substring<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let (Some(text), Some(start)) = (it.subject()?, it.integer(0)?) else {
        return Ok(Vec::new());
    };
    let length = match it.arguments.len() {
        1 => Some(usize::MAX),
        _ => it
            .integer(1)?
            .map(|length| usize::try_from(length).unwrap_or(0)),
    };
    let Ok(start) = usize::try_from(start) else {
        return Ok(Vec::new());
    };
    if start >= text.chars().count() {
        return Ok(Vec::new());
    }
    let part: String = text
        .chars()
        .skip(start)
        .take(length.unwrap_or(usize::MAX))
        .collect();
    Ok(one(Some(part)))
}

fn replace<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let (Some(text), Some(from), Some(to)) = (it.subject()?, it.text(0)?, it.text(1)?) else {
        return Ok(Vec::new());
    };
    it.run.spend(text.len())?;
    let letters = text.len() + 1;
    if letters.saturating_mul(to.len().max(1)) > BYTES_MAX {
        return Err(EvaluationError::TooCostly);
    }
    Ok(one(Some(text.replace(&from, &to))))
}

fn matches<'a>(it: &Invocation<'_, 'a>, is_full: bool) -> Outcome<'a> {
    let Some(text) = it.subject()? else {
        return Ok(Vec::new());
    };
    it.run.spend(text.len())?;
    let answer = match it.pattern {
        Some(pattern) => pattern.is_match(&text),
        None => match it.text(0)? {
            None => return Ok(Vec::new()),
            Some(wanted) if is_full => compiled(&format!("^(?:{wanted})$"))?.is_match(&text),
            Some(wanted) => compiled(&wanted)?.is_match(&text),
        },
    };
    Ok(truth(Some(answer)))
}

fn replace_matches<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let (Some(text), Some(to)) = (it.subject()?, it.text(1)?) else {
        return Ok(Vec::new());
    };
    it.run.spend(text.len())?;
    if (text.len() + 1).saturating_mul(to.len().max(1)) > BYTES_MAX {
        return Err(EvaluationError::TooCostly);
    }
    let own;
    let pattern = match it.pattern {
        Some(pattern) => pattern,
        None => match it.text(0)? {
            None => return Ok(Vec::new()),
            Some(wanted) if wanted.is_empty() => return Ok(one(Some(text))),
            Some(wanted) => {
                own = compiled(&wanted)?;
                &own
            }
        },
    };
    if pattern.as_str().is_empty() {
        return Ok(one(Some(text)));
    }
    Ok(one(Some(
        pattern.replace_all(&text, to.as_str()).into_owned(),
    )))
}

fn join<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let separator = it.text(0)?.unwrap_or_default();
    let mut parts = Vec::new();
    for item in it.input {
        match item.value() {
            Some(Item::String(part)) => parts.push(part.into_owned()),
            _ => return Err(EvaluationError::Types),
        }
    }
    let separators = separator.len().saturating_mul(parts.len());
    if separators > BYTES_MAX {
        return Err(EvaluationError::TooCostly);
    }
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    Ok(one(Some(parts.join(&separator))))
}

fn compiled(text: &str) -> Result<Regex, EvaluationError> {
    pattern(text).ok_or(EvaluationError::Pattern)
}
