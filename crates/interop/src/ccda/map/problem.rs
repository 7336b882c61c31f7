//! Problem concerns and problem observations: Condition.

use serde_json::{Value, json};

use super::datatypes::{LOINC, SNOMED, coded};
use super::draft::Draft;
use super::section::{Section, template};
use crate::ccda::codes::{self, code};
use crate::ccda::document::At;
use crate::compose::put;

const CLINICAL: &str = "http://terminology.hl7.org/CodeSystem/condition-clinical";
const VERIFIED: &str = "http://terminology.hl7.org/CodeSystem/condition-ver-status";
const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/condition-category";
const US_CATEGORY: &str = "http://hl7.org/fhir/us/core/CodeSystem/condition-category";
/// `Problem`, the value of an observation that there is none.
const PROBLEM: &str = "55607006";
/// `No current problems or disability`.
const NO_PROBLEM: &str = "160245001";

impl<'a> Draft<'a> {
    pub(super) fn problem_concern(&mut self, act: At<'a>, section: Section<'a>) -> Vec<usize> {
        act.related("observation")
            .map(|observation| self.problem((observation, Some(act)), category(section)))
            .collect()
    }

    pub(super) fn problem_alone(&mut self, at: At<'a>, section: Section<'a>) -> Vec<usize> {
        vec![self.problem((at, None), category(section))]
    }

    /// The problems of a health concern; those to which it refers stand elsewhere in the document.
    pub(super) fn health_concern(&mut self, act: At<'a>, section: Section<'a>) -> Vec<usize> {
        let own = template("22.4.4");
        let problems = act.related("observation").filter(|one| one.follows(&own));
        let made: Vec<usize> = problems
            .map(|observation| self.problem((observation, Some(act)), category(section)))
            .collect();
        if made.is_empty() {
            self.leave_unread(act);
        }
        made
    }

    /// The observations of a diagnosis at admission or discharge.
    pub(super) fn problems_in(&mut self, act: At<'a>, _: Section<'a>) -> Vec<usize> {
        act.related("observation")
            .map(|observation| self.problem((observation, None), diagnosis()))
            .collect()
    }

    pub(super) fn problem(
        &mut self,
        (at, concern): (At<'a>, Option<At<'a>>),
        category: Value,
    ) -> usize {
        let mut condition = self.start("Condition", at);
        let times = self.times_in(at);
        let has_ended = times.high.is_some() || times.has_unknown_end;
        put(
            &mut condition,
            "clinicalStatus",
            coded(CLINICAL, status(at, concern, has_ended)),
        );
        put(&mut condition, "category[]", category);
        let value = at.child("value");
        let is_none = value.is_some_and(|value| value.is("code", PROBLEM));
        if at.is_negated() && !is_none {
            put(
                &mut condition,
                "verificationStatus",
                coded(VERIFIED, "refuted"),
            );
        }
        let code = if at.is_negated() && is_none {
            coded(SNOMED, NO_PROBLEM)
        } else {
            self.concept_or_reason(value)
        };
        put(&mut condition, "code", code);
        put(&mut condition, "subject", self.subject());
        self.onset(at, &times.start(), &mut condition);
        put(
            &mut condition,
            "abatementDateTime",
            times.high.clone().into(),
        );
        if times.high.is_none() && times.has_unknown_end {
            let absent = super::datatypes::absent(Some("UNK"));
            put(&mut condition, "_abatementDateTime", absent);
        }
        self.diagnosed(at, &mut condition);
        self.put_author((at, concern), &mut condition, ("recorder", "recordedDate"));
        self.notes(at, &mut condition);
        self.add(at, condition)
    }

    /// When it began, or at what age where no time is said.
    fn onset(&mut self, at: At<'a>, start: &Option<String>, condition: &mut Value) {
        put(condition, "onsetDateTime", start.clone().into());
        let age = at
            .related("observation")
            .find(|observation| observation.is_coded("445518008"));
        let age = age.and_then(|age| age.child("value"));
        if let (None, Some(age)) = (start, age) {
            put(condition, "onsetAge", self.quantity(age).into());
        }
    }

    fn diagnosed(&mut self, at: At<'a>, condition: &mut Value) {
        let act = at.related("act").find(|act| act.is_coded("77975-1"));
        let time = act.and_then(|act| self.times_in(act).start());
        if let Some(time) = time {
            let url = "http://hl7.org/fhir/StructureDefinition/condition-assertedDate";
            put(
                condition,
                "extension[]",
                json!({"url": url, "valueDateTime": time}),
            );
        }
    }

    /// The text of comments (Comment Activity).
    pub(super) fn notes(&mut self, at: At<'a>, resource: &mut Value) {
        let comments = at.related("act").filter(|act| act.is_coded("48767-8"));
        for text in comments
            .filter_map(|act| act.child("text"))
            .filter_map(At::said)
        {
            put(resource, "note[]", json!({"text": text}));
        }
    }
}

/// The category of an encounter's diagnosis.
pub(super) fn diagnosis() -> Value {
    coded(CATEGORY, "encounter-diagnosis")
}

fn category(section: Section<'_>) -> Value {
    match section.code {
        Some("46240-8") => diagnosis(),
        Some("75310-3") => coded(US_CATEGORY, "health-concern"),
        _ => coded(CATEGORY, "problem-list-item"),
    }
}

/// As the status observation says, then the concern; what has ended is not active.
fn status(at: At<'_>, concern: Option<At<'_>>, has_ended: bool) -> &'static str {
    let said = at
        .related("observation")
        .find(|observation| observation.is_coded("33999-4"))
        .and_then(|observation| observation.child("value")?.attribute("code"))
        .and_then(|said| code(codes::PROBLEM_STATUS, said));
    let of_concern = concern
        .and_then(|concern| concern.child("statusCode")?.attribute("code"))
        .and_then(|status| code(codes::CONCERN_STATUS, status));
    match said {
        Some("active" | "relapse" | "recurrence") if has_ended => "inactive",
        Some(said) => said,
        None if has_ended => "resolved",
        None => of_concern.unwrap_or("active"),
    }
}

/// A concept of LOINC.
pub(super) fn loinc(code: &str, display: &str) -> Value {
    json!({"coding": [{"system": LOINC, "code": code, "display": display}]})
}
