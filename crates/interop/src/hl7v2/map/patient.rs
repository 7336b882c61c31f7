//! PID: Patient.

use serde_json::json;

use super::codes;
use super::draft::{Draft, Writing};
use super::rule::{Rule, Shape, rule};
use crate::hl7v2::fault::ErrorCode;
use crate::hl7v2::message::Segment;

const PID: &[Rule] = &[
    rule(3, "identifier[]", Shape::Identifier),
    rule(2, "identifier[]", Shape::Identifier),
    rule(4, "identifier[]", Shape::Identifier),
    rule(5, "name[]", Shape::Name),
    rule(7, "birthDate", Shape::Date),
    rule(8, "gender", Shape::Code(&codes::SEX)),
    rule(9, "name[]", Shape::Name),
    rule(11, "address[]", Shape::Address),
    rule(13, "telecom[]", Shape::Telecom("home")),
    rule(14, "telecom[]", Shape::Telecom("work")),
];

impl Draft<'_> {
    pub(super) fn patient(&mut self, segment: &Segment<'_>) {
        let mut patient = json!({"resourceType": "Patient"});
        self.fill(segment, PID, &mut patient);
        if patient["identifier"][0].is_null() {
            let place = self.place(segment).field(3);
            self.fault(
                place,
                ErrorCode::RequiredFieldMissing,
                "an identifier of the patient",
            );
        }
        let place = self.place(segment);
        self.patient = Some(self.add(patient, Writing::Replace, place));
    }
}
