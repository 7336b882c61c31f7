//! RXA and RXR: Immunization.

use serde_json::{Value, json};

use super::codes;
use super::draft::{Draft, Writing};
use super::rule::{Rule, Shape, rule};
use crate::compose::put;
use crate::hl7v2::message::Segment;

const RXA: &[Rule] = &[
    rule(20, "status", Shape::Code(&codes::COMPLETION)),
    rule(3, "occurrenceDateTime", Shape::DateTime),
    rule(5, "vaccineCode", Shape::Concept("0292")),
    rule(15, "lotNumber", Shape::Text),
    rule(16, "expirationDate", Shape::Date),
    rule(17, "manufacturer", Shape::Manufacturer),
    rule(18, "statusReason", Shape::Concept("")),
    rule(19, "reasonCode[]", Shape::Concept("")),
    rule(27, "location", Shape::Location),
];

const RXR: &[Rule] = &[
    rule(1, "route", Shape::Concept("0162")),
    rule(2, "site", Shape::Concept("0163")),
];

impl<'a> Draft<'a> {
    pub(super) fn immunization(&mut self, segment: &Segment<'a>) {
        let [placer, filler] = self.order_numbers(None);
        let [vaccine, when] = [5, 3].map(|field| segment.field(field).text());
        let scope = match filler.as_ref().or(placer.as_ref()) {
            Some(number) => format!("{} {}", number["system"], number["value"]),
            None => format!("{} {when}", self.patient_scope()),
        };
        let own = self.own_identifier("immunization", &[&scope, &vaccine]);
        let mut immunization = json!({"resourceType": "Immunization", "identifier": [own]});
        for number in [placer, filler].into_iter().flatten() {
            put(&mut immunization, "identifier[]", number);
        }
        if segment.field(21).text() == "D" {
            put(&mut immunization, "status", "entered-in-error".into());
        }
        self.fill(segment, RXA, &mut immunization);
        put(&mut immunization, "status", "completed".into());
        self.required(segment, 3, &immunization["occurrenceDateTime"]);
        self.required(segment, 5, &immunization["vaccineCode"]);
        self.dose(segment, &mut immunization);
        for person in segment.field(10).repeats() {
            if let Some(actor) = self.practitioner(person) {
                let system = "http://terminology.hl7.org/CodeSystem/v2-0443";
                let function = json!({"coding": [{"system": system, "code": "AP"}]});
                put(
                    &mut immunization,
                    "performer[]",
                    json!({"function": function, "actor": actor}),
                );
            }
        }
        // NIP001: 00 is a new administration, all else was told.
        let source = segment.field(9).text();
        if !source.is_empty() {
            put(&mut immunization, "primarySource", (source == "00").into());
        }
        put(&mut immunization, "patient", self.subject());
        put(&mut immunization, "encounter", self.context());
        let place = self.place(segment);
        let immunization = self.add(immunization, Writing::Replace, place);
        self.immunization = Some(immunization);
        self.scope = Some(format!("{scope} {vaccine}"));
        self.noted = Some(immunization);
    }

    /// RXA-6 and RXA-7; 999 is an amount that is not known.
    fn dose(&mut self, segment: &Segment<'_>, immunization: &mut Value) {
        let amount = segment.field(6).text();
        if amount.is_empty() || amount == "999" {
            return;
        }
        let place = self.place(segment).field(6);
        let Some(value) = self.decimal(&amount, &place) else {
            return;
        };
        let mut dose = json!({"value": value});
        self.unit(segment, 7, &mut dose);
        put(immunization, "doseQuantity", dose);
    }

    pub(super) fn route(&mut self, segment: &Segment<'_>) {
        match (self.immunization, self.medication) {
            (None, None) => self.leave_unread(segment),
            (None, Some(_)) => self.medication_route(segment),
            (immunization, _) => self.fill_entry(immunization, segment, RXR),
        }
    }
}
