//! Plan of treatment: what is intended, ordered or proposed. ServiceRequest, and CarePlan for the whole section.

use serde_json::{Value, json};

use super::datatypes::coded;
use super::draft::Draft;
use super::section::{Section, template};
use crate::ccda::codes::{self, code};
use crate::ccda::document::At;
use crate::compose::{filled, put};

/// Plan of treatment, and assessment and plan.
const PLANS: [&str; 2] = ["18776-5", "51847-2"];
const CATEGORY: &str = "http://hl7.org/fhir/us/core/CodeSystem/careplan-category";

impl<'a> Draft<'a> {
    /// A planned act, encounter, observation or procedure, or a referral.
    pub(super) fn planned(&mut self, at: At<'a>, section: Section<'a>) -> Vec<usize> {
        if at.is("moodCode", "GOL") {
            return self.goal(at, section);
        }
        let Some(intent) = intent(at) else {
            self.leave_unread(at);
            return Vec::new();
        };
        let mut request = self.start("ServiceRequest", at);
        put(&mut request, "status", status(at).into());
        put(&mut request, "intent", intent.into());
        let priority = at.child("priorityCode");
        let priority = priority.and_then(|priority| priority.attribute("code"));
        let priority = priority.and_then(|priority| code(codes::PRIORITY, priority));
        put(&mut request, "priority", priority.into());
        if at.is_negated() {
            put(&mut request, "doNotPerform", true.into());
        }
        let kind = self.require_code(at);
        put(&mut request, "code", kind);
        put(&mut request, "subject", self.subject());
        self.times_in(at).put(&mut request, "occurrence");
        self.put_author((at, None), &mut request, ("requester", "authoredOn"));
        for performer in self.performers(at) {
            put(&mut request, "performer[]", performer);
        }
        let place = self.service_place(at);
        put(&mut request, "locationReference[]", place.into());
        self.reasons(at, &mut request);
        let site = self.concept_in(at, "targetSiteCode");
        put(&mut request, "bodySite[]", site.into());
        self.notes(at, &mut request);
        let instruction = at.related("act").find(|act| act.follows(&instruction()));
        let instruction = instruction.and_then(|act| act.child("text")?.said());
        put(&mut request, "patientInstruction", instruction.into());
        vec![self.add(at, request)]
    }

    /// A medication or a vaccination that is planned.
    pub(super) fn planned_medication(&mut self, at: At<'a>, _: Section<'a>) -> Vec<usize> {
        let Some(intent) = intent(at) else {
            self.leave_unread(at);
            return Vec::new();
        };
        let request = self.request(at, intent);
        vec![self.add(at, request)]
    }

    /// The CarePlan of a section that holds one; `made` are the places of what its entries became.
    pub(super) fn care_plan(
        &mut self,
        at: At<'a>,
        (section, made): (&Value, &[usize]),
    ) -> Option<usize> {
        let kind = at.child("code")?.attribute("code")?;
        if !PLANS.contains(&kind) || section.get("text").is_none() {
            return None;
        }
        let mut plan = self.start("CarePlan", at);
        put(&mut plan, "text", section["text"].clone());
        put(&mut plan, "status", "active".into());
        put(&mut plan, "intent", "plan".into());
        put(&mut plan, "category[]", coded(CATEGORY, "assess-plan"));
        put(&mut plan, "title", section["title"].clone());
        put(&mut plan, "subject", self.subject());
        let visit = self.encounter.map(|visit| self.reference(visit));
        put(&mut plan, "encounter", visit.into());
        let author = self
            .authors_of(at)
            .into_iter()
            .find_map(|author| author.person);
        put(&mut plan, "author", author.into());
        for entry in made {
            let reference = self.reference(*entry);
            match self.kind_of(*entry) {
                "Goal" => put(&mut plan, "goal[]", reference),
                "ServiceRequest" | "MedicationRequest" => {
                    put(&mut plan, "activity[]", json!({"reference": reference}));
                }
                _ => {}
            }
        }
        for act in at.all("entry").filter_map(|entry| entry.child("act")) {
            if act.follows(&instruction()) {
                let detail = self.instruction(act);
                put(&mut plan, "activity[]", detail.into());
            }
        }
        Some(self.add(at, plan))
    }

    fn instruction(&mut self, act: At<'a>) -> Option<Value> {
        let mut detail = json!({});
        put(&mut detail, "code", self.concept_in(act, "code").into());
        let words = act.child("text").and_then(At::said);
        put(&mut detail, "description", words.into());
        let mut detail = filled(detail)?;
        put(&mut detail, "status", "unknown".into());
        Some(json!({"detail": detail}))
    }

    /// An instruction that stands by itself: in a plan it is an activity, elsewhere nothing is made of it.
    pub(super) fn instruction_alone(&mut self, at: At<'a>, section: Section<'a>) -> Vec<usize> {
        if !section.code.is_some_and(|code| PLANS.contains(&code)) {
            self.leave_unread(at);
        }
        Vec::new()
    }
}

fn instruction() -> String {
    template("22.4.20")
}

/// What a mood is; nothing for what has happened.
pub(super) fn intent(at: At<'_>) -> Option<&'static str> {
    code(codes::INTENT, at.attribute("moodCode")?)
}

fn status(at: At<'_>) -> &'static str {
    let status = at.child("statusCode");
    let status = status.and_then(|status| status.attribute("code"));
    let status = status.and_then(|status| code(codes::REQUEST_STATUS, status));
    status.unwrap_or("unknown")
}
