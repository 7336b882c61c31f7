//! Encounter activities, and the encounter in which the document was made.

use serde_json::{Value, json};

use super::datatypes::{Times, absent};
use super::draft::Draft;
use super::problem::diagnosis;
use super::section::Section;
use crate::ccda::codes::{self, code};
use crate::ccda::document::At;
use crate::compose::put;

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const CPT: &str = "http://www.ama-assn.org/go/cpt";

impl<'a> Draft<'a> {
    /// `componentOf/encompassingEncounter`.
    pub(super) fn encompassing(&mut self, at: At<'a>) -> usize {
        let mut encounter = self.visit(at);
        let people = at
            .all("encounterParticipant")
            .chain(at.all("responsibleParty"));
        for person in people {
            let who = person.child("assignedEntity");
            if let Some(who) = who.and_then(|who| self.person_of(who)) {
                put(&mut encounter, "participant[]", json!({"individual": who}));
            }
        }
        let place = at.find(&["location", "healthCareFacility"]);
        if let Some(place) = place.and_then(|place| self.place(place)) {
            put(&mut encounter, "location[]", json!({"location": place}));
        }
        self.add(at, encounter)
    }

    pub(super) fn encounter(&mut self, at: At<'a>, section: Section<'a>) -> Vec<usize> {
        if at.attribute("moodCode").is_some_and(|mood| mood != "EVN") {
            self.leave_unread(at);
            return Vec::new();
        }
        let mut encounter = self.visit(at);
        for performer in at.all("performer") {
            let who = performer.child("assignedEntity");
            let mut participant = json!({});
            let function = self.concept_in(performer, "functionCode");
            put(&mut participant, "type[]", function.into());
            let who = who.and_then(|who| self.person_of(who));
            if let Some(who) = who {
                put(&mut participant, "individual", who);
                put(&mut encounter, "participant[]", participant);
            }
        }
        if let Some(place) = self.service_place(at) {
            put(&mut encounter, "location[]", json!({"location": place}));
        }
        self.reasons(at, &mut encounter);
        let mut made = Vec::new();
        for act in at.related("act").filter(|act| act.is_coded("29308-4")) {
            for observation in act.related("observation") {
                let condition = self.problem((observation, None), diagnosis());
                let reference = self.reference(condition);
                put(
                    &mut encounter,
                    "diagnosis[]",
                    json!({"condition": reference}),
                );
                made.push(condition);
            }
        }
        made.insert(0, self.add(at, encounter));
        for note in at.related("act").filter(|act| !act.is_coded("29308-4")) {
            made.extend(self.statement(note, section));
        }
        made
    }

    /// What both kinds have.
    fn visit(&mut self, at: At<'a>) -> Value {
        let mut encounter = self.start("Encounter", at);
        let times = self.times_in(at);
        put(&mut encounter, "status", status(at, &times).into());
        self.class(at, &mut encounter);
        put(&mut encounter, "subject", self.subject());
        let mut period = json!({});
        put(&mut period, "start", times.start().into());
        put(&mut period, "end", times.high.into());
        put(
            &mut encounter,
            "period",
            crate::compose::filled(period).into(),
        );
        let left = self.concept_in(at, "dischargeDispositionCode");
        put(
            &mut encounter,
            "hospitalization.dischargeDisposition",
            left.into(),
        );
        encounter
    }

    /// The class is the code of ActCode, or what the guide derives from CPT; the others are types.
    fn class(&mut self, at: At<'a>, encounter: &mut Value) {
        let kind = self.concept_in(at, "code");
        let codings = kind.iter().filter_map(|kind| kind["coding"].as_array());
        let codings: Vec<Value> = codings.flatten().cloned().collect();
        let (classes, types): (Vec<Value>, Vec<Value>) = codings
            .into_iter()
            .partition(|one| one["system"] == ACT_CODE);
        let derived = types.iter().find_map(|one| {
            let number: u32 = one["code"].as_str()?.parse().ok()?;
            let is_cpt = one["system"] == CPT;
            let mut known = codes::CPT_CLASS.iter().filter(|_| is_cpt);
            let (_, class) = known.find(|(range, _)| range.contains(&number))?;
            Some(json!({"system": ACT_CODE, "code": class}))
        });
        let class = classes.into_iter().next().or(derived);
        put(encounter, "class", class.unwrap_or_else(|| absent(None)));
        let mut concept = json!({});
        for coding in types {
            put(&mut concept, "coding[]", coding);
        }
        let text = kind.map_or(Value::Null, |kind| kind["text"].clone());
        put(&mut concept, "text", text);
        put(encounter, "type[]", crate::compose::filled(concept).into());
    }
}

fn status(at: At<'_>, times: &Times) -> &'static str {
    let said = at.child("statusCode");
    let said = said.and_then(|status| status.attribute("code"));
    match (said, times.at.is_some() || times.high.is_some()) {
        (Some("completed" | "active") | None, true) => "finished",
        (None, false) if times.low.is_some() => "in-progress",
        (said, _) => said
            .and_then(|said| code(codes::ENCOUNTER_STATUS, said))
            .unwrap_or("unknown"),
    }
}
