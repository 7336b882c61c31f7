//! Goal observations: Goal.

use serde_json::{Value, json};

use super::draft::Draft;
use super::section::Section;
use crate::ccda::codes::{self, code};
use crate::ccda::document::At;
use crate::compose::put;

/// `Priority` (Priority Preference).
const PRIORITY: &str = "225773000";
impl<'a> Draft<'a> {
    pub(super) fn goal(&mut self, at: At<'a>, _: Section<'a>) -> Vec<usize> {
        let mut goal = self.start("Goal", at);
        let status = at.child("statusCode");
        let status = status.and_then(|status| status.attribute("code"));
        let status = status.and_then(|status| code(codes::GOAL_STATUS, status));
        put(
            &mut goal,
            "lifecycleStatus",
            status.unwrap_or("active").into(),
        );
        let priority = at
            .related("observation")
            .find(|observation| observation.is_coded(PRIORITY));
        let priority = priority.and_then(|priority| self.concept_in(priority, "value"));
        put(&mut goal, "priority", priority.into());
        let mut description = self.require_code(at);
        if let Some(words) = at.child("text").and_then(At::said) {
            description["text"] = words.into();
        }
        put(&mut goal, "description", description);
        put(&mut goal, "subject", self.subject());
        let time = at.child("effectiveTime");
        let begin = time.map(|time| time.child("low").unwrap_or(time));
        let begin = begin.and_then(|begin| self.date(begin));
        put(&mut goal, "startDate", begin.into());
        let target = self.target(at);
        put(&mut goal, "target[]", target.into());
        let authors = self.authors_of(at).into_iter();
        let author = authors.rev().find_map(|author| author.person);
        put(&mut goal, "expressedBy", author.into());
        self.notes(at, &mut goal);
        vec![self.add(at, goal)]
    }

    /// What is to be measured, how it should turn out, and until when.
    fn target(&mut self, at: At<'a>) -> Option<Value> {
        let mut target = json!({});
        let mut found = json!({});
        if at.child("value").is_some() {
            self.value(at, &mut found);
        }
        for kind in codes::DETAILS {
            let value = found.get(format!("value{kind}")).cloned();
            put(&mut target, &format!("detail{kind}"), value.into());
        }
        if target != json!({}) {
            let measure = self.concept_or_reason(at.child("code"));
            put(&mut target, "measure", measure);
        }
        let due = at
            .child("effectiveTime")
            .and_then(|time| time.child("high"));
        let due = due.and_then(|due| self.date(due));
        put(&mut target, "dueDate", due.into());
        crate::compose::filled(target)
    }
}
