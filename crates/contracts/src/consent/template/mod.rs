//! Consents in the forms that patients usually give: sentences in plain words, questions, and the Consent that answers make.
//!
//! `templates.json` has them. A string `{question}` in `provision` stands for the element that the answer makes, within a
//! longer string for its text, and in a sentence for its words; an element without an answer is left out. `#name` is a
//! sentence that several templates have. `patient`, `through` and `start` come with the filing.

mod data;
mod fill;
mod questionnaire;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value, json};

pub use self::data::DataClass;
use self::fill::{Filler, escaped};
pub use self::questionnaire::{answers, canonical};
use super::part2;

static FORMS: LazyLock<Forms> =
    LazyLock::new(|| serde_json::from_str(include_str!("templates.json")).unwrap_or_default());

#[derive(Default, Deserialize)]
struct Forms {
    questions: BTreeMap<String, Question>,
    sentences: BTreeMap<String, String>,
    templates: Vec<Template>,
}

/// A form in which patients consent.
#[derive(Debug, Deserialize)]
pub struct Template {
    /// Its name, on command lines and in addresses.
    pub name: String,
    /// What it is for.
    pub title: String,
    sentences: Vec<String>,
    /// The questions that have to be answered, those with an initial answer apart.
    asks: Vec<String>,
    #[serde(default)]
    may_ask: Vec<String>,
    /// For a consent under 42 CFR part 2, the statements that the sentences make (paragraphs of § 2.31).
    #[serde(default)]
    part2: Vec<String>,
    provision: Value,
}

/// What a template asks.
#[derive(Debug, Deserialize)]
struct Question {
    text: String,
    /// What sentences say before it is answered.
    blank: String,
    #[serde(default)]
    kind: Kind,
    /// The answer that it has until another is given.
    initial: Option<String>,
    /// What sentences say where it has no answer and needs none.
    #[serde(default)]
    unanswered: String,
}

/// What answers to a question are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Text,
    /// The name of a member.
    Member,
    /// Who gives the consent in the patient's place, as `Type/id`.
    Performer,
    /// Classes of data.
    Data,
    /// Resource types.
    Types,
    /// A code of v3-ActReason.
    Purpose,
    /// A FHIR date or dateTime.
    Date,
}

/// Answers by the names of the questions.
pub type Answers = BTreeMap<String, Vec<String>>;

/// Who consents, where and when.
#[derive(Debug, Clone, Copy)]
pub struct Filing<'a> {
    /// The patient's reference at the member through which the consent is filed.
    pub patient: &'a str,
    /// That member.
    pub through: &'a str,
    /// From when, as a FHIR dateTime; also the consent's date.
    pub start: &'a str,
}

/// Why answers make no consent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// A question has no answer.
    #[error("`{0}` has no answer")]
    Missing(String),
    /// An answer is none of those that the question takes.
    #[error("`{0}` has an answer that it does not take")]
    NotTaken(String),
}

impl Template {
    /// All templates.
    pub fn all() -> &'static [Self] {
        &FORMS.templates
    }

    /// The template with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::all().iter().find(|one| one.name == name)
    }

    /// What it says before its questions are answered.
    pub fn blank(&self) -> Vec<String> {
        let words = FORMS.questions.iter();
        let mut words: BTreeMap<&str, &str> = words
            .map(|(name, question)| (name.as_str(), question.blank.as_str()))
            .collect();
        words.insert("through", "the place where you sign this");
        self.said(|name| words.get(name).map(|words| (*words).to_owned()))
    }

    /// Its questions: name, text, and whether an answer is needed.
    pub fn questions(&self) -> impl Iterator<Item = (&str, &'static str, bool)> {
        self.asked()
            .map(|(name, question, must)| (name, question.text.as_str(), must))
    }

    /// The Consent that answers make (FHIR R4), its sentences as its text; answers to other questions are passed over.
    pub fn consent(&self, filing: &Filing<'_>, answers: &Answers) -> Result<Value, Unanswered> {
        let filler = Filler::of(self, filing, answers)?;
        let mut provision = json!({ "period": { "start": "{start}", "end": "{end}" } });
        if let (Some(whole), Some(own)) = (provision.as_object_mut(), self.provision.as_object()) {
            whole.extend(own.clone());
        }
        let mut consent = json!({
            "resourceType": "Consent",
            "status": "active",
            "scope": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy" }] },
            "category": [{ "coding": [{ "system": "http://loinc.org", "code": "59284-0" }] }],
            "patient": { "reference": "{patient}" },
            "dateTime": "{start}",
            "performer": "{by}",
            "policyRule": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN" }] },
            "provision": provision,
        });
        if !self.part2.is_empty() {
            self.put_under_part2(&mut consent);
        }
        let mut consent = filler.fill(&consent).unwrap_or_default();
        let sentences = self.said(|name| filler.words(name));
        consent["text"] = json!({ "status": "additional", "div": div(&sentences) });
        Ok(consent)
    }

    fn put_under_part2(&self, consent: &mut Value) {
        let cite = |paragraph: &String| json!({ "uri": format!("{}{paragraph}", part2::SECTION) });
        consent["category"] = json!([{ "coding": [part2::category()] }]);
        consent["patient"]["display"] = json!("{name}");
        consent["organization"] = json!([{ "identifier": fill::member("{through-name}") }]);
        consent["policy"] = self.part2.iter().map(cite).collect();
    }

    fn asked(&self) -> impl Iterator<Item = (&str, &'static Question, bool)> {
        let must = self.asks.iter().map(|name| (name, true));
        let all = must.chain(self.may_ask.iter().map(|name| (name, false)));
        all.filter_map(|(name, must)| Some((name.as_str(), FORMS.questions.get(name)?, must)))
    }

    fn said(&self, words: impl Fn(&str) -> Option<String>) -> Vec<String> {
        let written = self.sentences.iter().map(|sentence| {
            let shared = sentence.strip_prefix('#');
            shared
                .and_then(|name| FORMS.sentences.get(name))
                .unwrap_or(sentence)
        });
        written
            .map(|sentence| capitalized(&fill::replaced(sentence, &words)))
            .collect()
    }
}

/// What a patient grants.
#[derive(Debug, Clone)]
pub struct Grant<'a> {
    /// The patient's reference at the member through which the consent is filed.
    pub patient: &'a str,
    /// The member that is let in.
    pub grantee: &'a str,
    /// To what; sensitive documents are never included.
    pub data: &'a [DataClass],
    /// Purpose of use (v3-ActReason code).
    pub purpose: &'a str,
    /// From when, as a FHIR dateTime; also the consent's date.
    pub start: &'a str,
    /// Until when, as a FHIR dateTime.
    pub end: &'a str,
}

/// A consent that lets `grant.grantee` see some classes of data for one purpose and time: the template `share`.
pub fn access(grant: &Grant<'_>) -> Value {
    let data = grant.data.iter().map(|class| class.word().to_owned());
    let answers = Answers::from([
        ("to".to_owned(), vec![grant.grantee.to_owned()]),
        ("data".to_owned(), data.collect()),
        ("purpose".to_owned(), vec![grant.purpose.to_owned()]),
        ("end".to_owned(), vec![grant.end.to_owned()]),
    ]);
    let filing = Filing {
        patient: grant.patient,
        through: grant.grantee,
        start: grant.start,
    };
    let share = Template::named("share").map(|share| share.consent(&filing, &answers));
    // INVARIANT: the template asks for nothing else.
    share.and_then(Result::ok).unwrap_or_default()
}

fn types(names: &[&str]) -> Value {
    let coding =
        |code: &&str| json!({ "system": "http://hl7.org/fhir/resource-types", "code": code });
    names.iter().map(coding).collect()
}

fn div(sentences: &[String]) -> String {
    let paragraphs = sentences
        .iter()
        .map(|one| format!("<p>{}</p>", escaped(one)));
    format!(
        "<div xmlns=\"http://www.w3.org/1999/xhtml\">{}</div>",
        paragraphs.collect::<String>()
    )
}

fn capitalized(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|one| one.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}
