//! A template as a FHIR R4 Questionnaire, and the answers in a QuestionnaireResponse.

use serde_json::{Value, json};

use super::{Answers, DataClass, Kind, Question, Template};

const CANONICAL: &str = "urn:careledger:consent-template:";

/// The canonical address of a template.
pub fn canonical(template: &Template) -> String {
    format!("{CANONICAL}{}", template.name)
}

impl Template {
    /// The template as a Questionnaire: a `display` item for each sentence, then an item for each question; the `linkId`
    /// of a question is its name.
    pub fn questionnaire(&self) -> Value {
        let sentences = self.blank().into_iter().enumerate();
        let said = sentences.map(|(at, text)| {
            json!({ "linkId": format!("sentence-{at}"), "text": text, "type": "display" })
        });
        let asked = self
            .asked()
            .map(|(name, question, must)| item(name, question, must));
        json!({
            "resourceType": "Questionnaire",
            "id": self.name,
            "url": canonical(self),
            "title": self.title,
            "status": "active",
            "subjectType": ["Patient"],
            "item": said.chain(asked).collect::<Vec<_>>(),
        })
    }

    /// The template that a QuestionnaireResponse answers.
    pub fn answered_by(response: &Value) -> Option<&'static Self> {
        let questionnaire = response.get("questionnaire")?.as_str()?;
        Self::named(questionnaire.strip_prefix(CANONICAL)?)
    }
}

/// The answers in a QuestionnaireResponse; an item without one is passed over. `None` if it is not well formed.
pub fn answers(response: &Value) -> Option<Answers> {
    let Some(items) = response.get("item") else {
        return Some(Answers::new());
    };
    let read = |item: &Value| {
        let name = item.get("linkId")?.as_str()?.to_owned();
        let Some(given) = item.get("answer") else {
            return Some((name, Vec::new()));
        };
        let texts = given.as_array()?.iter().map(text);
        Some((name, texts.collect::<Option<_>>()?))
    };
    items.as_array()?.iter().map(read).collect()
}

fn text(answer: &Value) -> Option<String> {
    let kinds = ["valueString", "valueDate", "valueDateTime"];
    let plain = kinds
        .into_iter()
        .find_map(|kind| answer.get(kind)?.as_str());
    let coded = || answer.pointer("/valueCoding/code")?.as_str();
    plain.or_else(coded).map(str::to_owned)
}

fn item(name: &str, question: &Question, must: bool) -> Value {
    let kind = match question.kind {
        Kind::Date => "date",
        Kind::Data => "choice",
        Kind::Text | Kind::Member | Kind::Performer | Kind::Types | Kind::Purpose => "string",
    };
    let mut item = json!({
        "linkId": name,
        "text": question.text,
        "type": kind,
        "required": must,
        "repeats": matches!(question.kind, Kind::Data | Kind::Types),
    });
    if question.kind == Kind::Data {
        let option = |class: DataClass| json!({ "valueCoding": { "code": class.word(), "display": class.called() } });
        item["answerOption"] = DataClass::EACH.into_iter().map(option).collect();
    } else if let Some(initial) = &question.initial {
        item["initial"] = json!([{ "valueString": initial }]);
    }
    item
}
