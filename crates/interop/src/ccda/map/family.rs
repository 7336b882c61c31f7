//! Family history organizers: FamilyMemberHistory.

use serde_json::{Value, json};

use super::datatypes::coded;
use super::draft::Draft;
use super::section::{Section, template};
use crate::ccda::codes::{self, code};
use crate::ccda::document::At;
use crate::compose::put;

const SEX: &str = "http://hl7.org/fhir/administrative-gender";
/// UCUM units of ages.
const AGE_UNITS: [&str; 6] = ["min", "h", "d", "wk", "mo", "a"];

impl<'a> Draft<'a> {
    pub(super) fn family_member(&mut self, organizer: At<'a>, _: Section<'a>) -> Vec<usize> {
        let mut history = self.start("FamilyMemberHistory", organizer);
        let status = organizer.child("statusCode");
        let status = status.and_then(|status| status.attribute("code"));
        let status = if status == Some("completed") {
            "completed"
        } else {
            "partial"
        };
        put(&mut history, "status", status.into());
        put(&mut history, "patient", self.subject());
        let time = self.times_in(organizer).start();
        put(&mut history, "date", time.into());
        let relative = organizer.find(&["subject", "relatedSubject"]);
        self.relative(relative, &mut history);
        for observation in organizer
            .all("component")
            .filter_map(|part| part.child("observation"))
        {
            // FHIR R4 has no word for what a relative did not have.
            if observation.is_negated() {
                self.leave_unread(observation);
                continue;
            }
            let condition = self.condition_of_relative(observation);
            put(&mut history, "condition[]", condition);
        }
        self.notes(organizer, &mut history);
        vec![self.add(organizer, history)]
    }

    fn relative(&mut self, relative: Option<At<'a>>, history: &mut Value) {
        let kind = relative.and_then(|relative| relative.child("code"));
        let kind = self.concept_or_reason(kind);
        put(history, "relationship", kind);
        let Some(person) = relative.and_then(|relative| relative.child("subject")) else {
            return;
        };
        let name = person.child("name").map(At::text);
        let name = name.filter(|name| !name.is_empty());
        put(history, "name", name.into());
        let sex = person.child("administrativeGenderCode");
        let sex = sex.and_then(|sex| sex.attribute("code"));
        let sex = sex.and_then(|sex| code(codes::GENDER, sex));
        put(history, "sex", sex.map(|sex| coded(SEX, sex)).into());
        let born = person.child("birthTime").and_then(|born| self.date(born));
        put(history, "bornDate", born.into());
        let died = person.child("deceasedTime");
        let died = died.and_then(|died| self.date(died));
        let is_dead = person
            .child("deceasedInd")
            .and_then(|flag| flag.attribute("value"));
        match (died, is_dead) {
            (Some(died), _) => put(history, "deceasedDate", died.into()),
            (None, Some(flag)) => put(history, "deceasedBoolean", (flag == "true").into()),
            (None, None) => {}
        }
    }

    fn condition_of_relative(&mut self, at: At<'a>) -> Value {
        let mut condition = json!({"code": self.concept_or_reason(at.child("value"))});
        let parts = || at.related("observation");
        let is_fatal = parts().any(|part| part.follows(&template("22.4.47")));
        if is_fatal {
            put(&mut condition, "contributedToDeath", true.into());
        }
        let age = parts().find(|part| part.follows(&template("22.4.31")));
        let age = age.and_then(|age| age.child("value"));
        let age = age.filter(|age| {
            age.attribute("unit")
                .is_some_and(|unit| AGE_UNITS.contains(&unit))
        });
        let age = age.and_then(|age| self.quantity(age));
        let since = self.times_in(at);
        match age {
            Some(age) => put(&mut condition, "onsetAge", age),
            None => put(&mut condition, "onsetString", since.start().into()),
        }
        self.notes(at, &mut condition);
        condition
    }
}
