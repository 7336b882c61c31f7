//! The patients among whom a practitioner chooses one. Looking for them is a search like any other: consent decides it, and
//! it goes on record.

use contracts::consent::Considered;
use futures::future::BoxFuture;
use interop::fhir::ResourceType;
use interop::fhir::search::{Handling, Query};
use node::custody::{Custody, Opened, Requester};
use serde_json::Value;
use thiserror::Error;

const SHOWN_MAX: usize = 20;
const WORDS_BYTES_MAX: usize = 100;

/// A patient to choose.
#[derive(Clone, PartialEq, Eq)]
pub struct Choice {
    /// The local id.
    pub id: String,
    /// Name and birth date.
    pub label: String,
}

/// The records cannot be searched at the moment, or may not be by this person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the records cannot be searched at the moment")]
pub struct PatientsUnavailable;

type Found<'a> = BoxFuture<'a, Result<Vec<Choice>, PatientsUnavailable>>;

/// Finds patients. Implemented by the record store.
pub trait Patients: Send + Sync {
    /// Patients with this name, identifier or birth date.
    fn find<'a>(&'a self, by: &'a Requester, words: &'a str) -> Found<'a>;
    /// The patient to whom a RelatedPerson is related.
    fn principal_of(&self, related: &str) -> Result<Option<String>, PatientsUnavailable>;
    /// What the patient's consents say for this person.
    fn considered<'a>(
        &'a self,
        by: &'a Requester,
        patient: &'a str,
    ) -> BoxFuture<'a, Result<Option<Considered>, PatientsUnavailable>>;
    /// The patient with this local id.
    fn one<'a>(&'a self, by: &'a Requester, id: &'a str) -> Found<'a>;
}

impl Patients for Custody {
    fn find<'a>(&'a self, by: &'a Requester, words: &'a str) -> Found<'a> {
        Box::pin(async move {
            let words = words.trim();
            if words.is_empty() || words.len() > WORDS_BYTES_MAX {
                return Ok(Vec::new());
            }
            look(self, by, parameter(words), words).await
        })
    }

    fn principal_of(&self, related: &str) -> Result<Option<String>, PatientsUnavailable> {
        Custody::principal_of(self, related).map_err(|_| PatientsUnavailable)
    }

    fn considered<'a>(
        &'a self,
        by: &'a Requester,
        patient: &'a str,
    ) -> BoxFuture<'a, Result<Option<Considered>, PatientsUnavailable>> {
        Box::pin(async move {
            let considered = Custody::considered(self, by, patient).await;
            considered.map_err(|_| PatientsUnavailable)
        })
    }

    fn one<'a>(&'a self, by: &'a Requester, id: &'a str) -> Found<'a> {
        Box::pin(async move {
            if interop::fhir::resource::is_id(id) {
                look(self, by, "_id", id).await
            } else {
                Ok(Vec::new())
            }
        })
    }
}

impl std::fmt::Debug for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Choice(..)")
    }
}

async fn look(
    custody: &Custody,
    by: &Requester,
    parameter: &str,
    value: &str,
) -> Result<Vec<Choice>, PatientsUnavailable> {
    // What FHIR gives a meaning is meant as it stands.
    let escaped = ['\\', ',', '$', '|']
        .iter()
        .fold(value.to_owned(), |text, one| {
            text.replace(*one, &format!("\\{one}"))
        });
    let pairs = [
        (parameter.to_owned(), escaped),
        ("_count".to_owned(), SHOWN_MAX.to_string()),
    ];
    let Ok(query) = Query::parse(ResourceType::PATIENT, &pairs, Handling::Strict) else {
        return Ok(Vec::new());
    };
    let page = custody.search(by, &query).await;
    let page = page.map_err(|_| PatientsUnavailable)?;
    Ok(page.matches.iter().map(choice).collect())
}

fn parameter(words: &str) -> &'static str {
    let digits = words.bytes().filter(u8::is_ascii_digit).count();
    let is_date = words.len() == 10 && digits == 8 && words.matches('-').count() == 2;
    match (is_date, digits) {
        (true, _) => "birthdate",
        (false, 0) => "name",
        (false, _) => "identifier",
    }
}

fn choice(opened: &Opened) -> Choice {
    let patient = opened.presented();
    let text = |pointer: &str| patient.pointer(pointer).and_then(Value::as_str);
    let given = patient.pointer("/name/0/given").and_then(Value::as_array);
    let mut parts: Vec<&str> = given
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    parts.extend(text("/name/0/family"));
    if parts.is_empty() {
        parts.extend(text("/name/0/text"));
    }
    let mut label = parts.join(" ");
    if label.is_empty() {
        label = format!("Patient {}", opened.id);
    }
    if let Some(born) = text("/birthDate") {
        label = format!("{label}, born {born}");
    }
    Choice {
        id: opened.id.clone(),
        label,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_a_name_a_date_or_an_identifier() {
        for (words, expected) in [
            ("Ann", "name"),
            ("1970-01-31", "birthdate"),
            ("MRN-7731", "identifier"),
        ] {
            assert_eq!(parameter(words), expected);
        }
    }
}
