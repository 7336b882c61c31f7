//! Filling a template in: what answers put in the place of names.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Answers, DataClass, Filing, Kind, Question, Template, Unanswered, types};
use crate::consent::MEMBER_SYSTEM;
use crate::consent::explain::{PURPOSES, TYPES, called, listed};

/// What stands for each name: the element, and the words.
pub(super) struct Filler {
    answered: BTreeMap<String, (Value, String)>,
    /// Words where no answer is needed and none is there.
    unanswered: BTreeMap<String, String>,
}

impl Filler {
    pub(super) fn of(
        template: &Template,
        filing: &Filing<'_>,
        answers: &Answers,
    ) -> Result<Self, Unanswered> {
        let start = answer(Kind::Date, &[filing.start.to_owned()]);
        let through = answer(Kind::Member, &[filing.through.to_owned()]);
        let patient = answer(Kind::Text, &[filing.patient.to_owned()]);
        let through_name = answer(Kind::Text, &[filing.through.to_owned()]);
        let known = [
            ("start", start),
            ("through", through),
            ("through-name", through_name),
            ("patient", patient),
        ];
        let known = known
            .into_iter()
            .filter_map(|(name, it)| Some((name.to_owned(), it?)));
        let mut filler = Self {
            answered: known.collect(),
            unanswered: BTreeMap::new(),
        };
        for (name, question, must) in template.asked() {
            filler.put(answers, (name, question, must))?;
        }
        Ok(filler)
    }

    fn put(
        &mut self,
        answers: &Answers,
        (name, question, must): (&str, &Question, bool),
    ) -> Result<(), Unanswered> {
        let given = answers.get(name).cloned().unwrap_or_default();
        let given = match (given.is_empty(), &question.initial) {
            (true, Some(initial)) => vec![initial.clone()],
            _ => given,
        };
        if given.is_empty() {
            if must {
                return Err(Unanswered::Missing(name.to_owned()));
            }
            let words = question.unanswered.clone();
            self.unanswered.insert(name.to_owned(), words);
            return Ok(());
        }
        let taken = answer(question.kind, &given);
        let taken = taken.ok_or_else(|| Unanswered::NotTaken(name.to_owned()))?;
        self.answered.insert(name.to_owned(), taken);
        Ok(())
    }

    pub(super) fn words(&self, name: &str) -> Option<String> {
        let answered = self.answered.get(name).map(|(_, words)| words);
        answered.or_else(|| self.unanswered.get(name)).cloned()
    }

    /// The same with what the names stand for; `None` for what has no answer.
    pub(super) fn fill(&self, value: &Value) -> Option<Value> {
        match value {
            Value::String(text) => match whole(text) {
                Some(name) => self.answered.get(name).map(|(value, _)| value.clone()),
                None => Some(text.clone().into()),
            },
            Value::Array(all) => {
                let all: Vec<Value> = all.iter().filter_map(|one| self.fill(one)).collect();
                Some(all.into())
            }
            Value::Object(all) => {
                let filled =
                    |(name, value): (&String, &Value)| Some((name.clone(), self.fill(value)?));
                Some(Value::Object(all.iter().filter_map(filled).collect()))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Some(value.clone()),
        }
    }
}

/// A text with the words for each `{name}`; a name without words stays.
pub(super) fn replaced(text: &str, words: impl Fn(&str) -> Option<String>) -> String {
    let mut parts = text.split('{');
    let mut done = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let named = part
            .split_once('}')
            .and_then(|(name, rest)| Some((words(name)?, rest)));
        match named {
            Some((words, rest)) => done.extend([words.as_str(), rest]),
            None => done.extend(["{", part]),
        }
    }
    done
}

/// A member's name as an Identifier.
pub(super) fn member(name: &str) -> Value {
    json!({ "system": MEMBER_SYSTEM, "value": name })
}

/// Text as it stands in XHTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn whole(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.strip_suffix('}')?;
    (!name.contains(['{', '}'])).then_some(name)
}

/// The element and the words of an answer; `None` if it is none to a question of this kind.
fn answer(kind: Kind, given: &[String]) -> Option<(Value, String)> {
    let one = || match given {
        [one] if !one.trim().is_empty() => Some(one.as_str()),
        _ => None,
    };
    let words = |words: Vec<String>| listed(words.into_iter());
    Some(match kind {
        Kind::Text => (one()?.into(), one()?.to_owned()),
        Kind::Date => (one()?.into(), one()?.chars().take(10).collect()),
        Kind::Performer => (json!([{ "reference": one()? }]), one()?.to_owned()),
        Kind::Member => (json!([recipient(one()?)]), one()?.to_owned()),
        Kind::Purpose => {
            let coding = json!({ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": one()? });
            (json!([coding]), called(&PURPOSES, one()?))
        }
        Kind::Types => {
            let names: Vec<&str> = given.iter().map(String::as_str).collect();
            let called = names.iter().map(|one| called(&TYPES, one)).collect();
            (types(&names), words(called)?)
        }
        Kind::Data => {
            let classes = given.iter().map(|word| DataClass::parse(word));
            let classes: Vec<DataClass> = classes.collect::<Option<_>>()?;
            let called = classes.iter().map(|one| one.called().to_owned()).collect();
            let rules = classes.iter().flat_map(|one| one.provisions());
            (rules.collect(), words(called)?)
        }
    })
}

fn recipient(name: &str) -> Value {
    json!({
        "role": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP" }] },
        "reference": { "identifier": member(name) },
    })
}
