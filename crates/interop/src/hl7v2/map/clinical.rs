//! AL1: AllergyIntolerance. DG1: Condition. IN1: Coverage.

use serde_json::{Value, json};

use super::codes;
use super::draft::{Draft, Writing};
use super::rule::{Rule, Shape, rule};
use crate::compose::put;
use crate::hl7v2::fault::ErrorCode;
use crate::hl7v2::message::Segment;

const AL1: &[Rule] = &[
    rule(2, "type", Shape::Code(&codes::ALLERGY_TYPE)),
    rule(2, "category[]", Shape::Code(&codes::ALLERGY_CATEGORY)),
    rule(3, "code", Shape::Concept("")),
    rule(4, "criticality", Shape::Code(&codes::CRITICALITY)),
    rule(5, "reaction[0].manifestation[]", Shape::TextConcept),
    rule(6, "onsetDateTime", Shape::Date),
];

/// A severity belongs to a reaction, and a reaction has a manifestation.
const SEVERITY: &[Rule] = &[rule(
    4,
    "reaction[0].severity",
    Shape::Code(&codes::SEVERITY),
)];

const DG1: &[Rule] = &[
    rule(20, "identifier[]", Shape::EntityIdentifier("")),
    rule(3, "code", Shape::Concept("")),
    rule(4, "code.text", Shape::Text),
    rule(5, "onsetDateTime", Shape::DateTime),
    rule(16, "asserter", Shape::Practitioner),
    rule(19, "recordedDate", Shape::DateTime),
];

const IN1: &[Rule] = &[
    rule(4, "payor[]", Shape::Organization),
    rule(12, "period.start", Shape::Date),
    rule(13, "period.end", Shape::Date),
    rule(15, "type", Shape::Concept("0086")),
    rule(17, "relationship", Shape::Concept("0063")),
    rule(36, "subscriberId", Shape::Text),
];

impl Draft<'_> {
    pub(super) fn allergy(&mut self, segment: &Segment<'_>) {
        let code = segment.field(3).first();
        let parts = [code.component(1).text(), code.component(2).text()];
        let identifier =
            self.own_identifier("allergy", &[&self.patient_scope(), &parts[0], &parts[1]]);
        let status = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical";
        let mut allergy = json!({
            "resourceType": "AllergyIntolerance",
            "identifier": [identifier],
            "clinicalStatus": {"coding": [{"system": status, "code": "active"}]},
        });
        self.fill(segment, AL1, &mut allergy);
        if !allergy["reaction"].is_null() {
            self.fill(segment, SEVERITY, &mut allergy);
        }
        self.required(segment, 3, &allergy["code"]);
        put(&mut allergy, "patient", self.subject());
        let place = self.place(segment);
        self.noted = Some(self.add(allergy, Writing::Replace, place));
    }

    pub(super) fn diagnosis(&mut self, segment: &Segment<'_>) {
        let mut condition = json!({"resourceType": "Condition"});
        if segment.field(20).is_empty() {
            let code = segment.field(3).first();
            let parts = [
                code.component(1).text(),
                code.component(3).text(),
                segment.field(6).text(),
            ];
            let scope = self.visit_scope();
            let identifier =
                self.own_identifier("diagnosis", &[&scope, &parts[0], &parts[1], &parts[2]]);
            put(&mut condition, "identifier[]", identifier);
        }
        if segment.field(21).text() == "D" {
            let system = "http://terminology.hl7.org/CodeSystem/condition-ver-status";
            let wrong = json!({"system": system, "code": "entered-in-error"});
            put(&mut condition, "verificationStatus.coding[]", wrong);
        }
        let system = "http://terminology.hl7.org/CodeSystem/condition-category";
        put(
            &mut condition,
            "category[].coding[]",
            json!({"system": system, "code": "encounter-diagnosis"}),
        );
        self.fill(segment, DG1, &mut condition);
        self.required(segment, 3, &condition["code"]);
        put(&mut condition, "subject", self.subject());
        put(&mut condition, "encounter", self.context());
        let place = self.place(segment);
        let condition = self.add(condition, Writing::Replace, place);
        self.noted = Some(condition);
        self.connect_diagnosis(segment, condition);
    }

    /// A diagnosis is one of the visit, or the reason of the order that it stands under.
    fn connect_diagnosis(&mut self, segment: &Segment<'_>, condition: usize) {
        let reference = Self::reference(condition);
        if let Some(request) = self.request.and_then(|entry| self.entries.get_mut(entry)) {
            return put(&mut request.resource, "reasonReference[]", reference);
        }
        let mut diagnosis = json!({"condition": reference});
        let role = match segment.field(6).text().as_str() {
            "A" => Some("AD"),
            "F" => Some("DD"),
            _ => None,
        };
        if let Some(role) = role {
            let system = "http://terminology.hl7.org/CodeSystem/diagnosis-role";
            put(
                &mut diagnosis,
                "use.coding[]",
                json!({"system": system, "code": role}),
            );
        }
        if let Ok(rank @ 1..=0x7fff_ffff) = segment.field(15).text().parse::<u32>() {
            put(&mut diagnosis, "rank", rank.into());
        }
        if let Some(visit) = self.encounter.and_then(|entry| self.entries.get_mut(entry)) {
            put(&mut visit.resource, "diagnosis[]", diagnosis);
        }
    }

    pub(super) fn insurance(&mut self, segment: &Segment<'_>) {
        let [plan, company, policy] = [2, 3, 36].map(|field| segment.field(field).text());
        let identifier = self.own_identifier(
            "coverage",
            &[&self.patient_scope(), &plan, &company, &policy],
        );
        let mut coverage =
            json!({"resourceType": "Coverage", "identifier": [identifier], "status": "active"});
        self.fill(segment, IN1, &mut coverage);
        if coverage["payor"].is_null()
            && let Some(number) = segment.field(3).repeats().next()
            && let Some(number) = self.identifier(number)
        {
            put(
                &mut coverage,
                "payor[]",
                json!({"type": "Organization", "identifier": number}),
            );
        }
        self.required(segment, 4, &coverage["payor"]);
        put(&mut coverage, "beneficiary", self.subject());
        for (field, kind) in [(8, "group"), (2, "plan")] {
            let value = segment.field(field).text();
            let system = "http://terminology.hl7.org/CodeSystem/coverage-class";
            let mut class = json!({"type": {"coding": [{"system": system, "code": kind}]}});
            self.put_text(&mut class, "value", value);
            if !class["value"].is_null() {
                put(&mut coverage, "class[]", class);
            }
        }
        let place = self.place(segment);
        self.add(coverage, Writing::Replace, place);
    }

    /// Notes that a field is missing, if nothing came of it.
    pub(super) fn required(&mut self, segment: &Segment<'_>, field: usize, value: &Value) {
        if value.is_null() {
            let place = self.place(segment).field(field);
            self.fault(place, ErrorCode::RequiredFieldMissing, "a value");
        }
    }
}
