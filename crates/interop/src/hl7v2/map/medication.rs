//! RXO, with the ORC and TQ1 before it and the RXR after it: MedicationRequest.

use serde_json::{Value, json};

use super::codes;
use super::draft::{Draft, Writing};
use super::rule::{Rule, Shape, rule};
use crate::compose::put;
use crate::hl7v2::message::Segment;

const RXO: &[Rule] = &[
    rule(1, "medicationCodeableConcept", Shape::Concept("")),
    rule(13, "dispenseRequest.numberOfRepeatsAllowed", Shape::Integer),
    rule(
        7,
        "dosageInstruction[0].additionalInstruction[]",
        Shape::Concept(""),
    ),
    rule(20, "reasonCode[]", Shape::Concept("")),
];

const ORC: &[Rule] = &[
    rule(4, "groupIdentifier", Shape::EntityIdentifier("PGN")),
    rule(9, "authoredOn", Shape::DateTime),
    rule(12, "requester", Shape::Practitioner),
];

const TQ1: &[Rule] = &[
    rule(
        7,
        "dosageInstruction[0].timing.repeat.boundsPeriod.start",
        Shape::DateTime,
    ),
    rule(
        8,
        "dosageInstruction[0].timing.repeat.boundsPeriod.end",
        Shape::DateTime,
    ),
    rule(9, "priority", Shape::Code(&codes::PRIORITY)),
    rule(
        10,
        "dosageInstruction[0].additionalInstruction[].text",
        Shape::Whole,
    ),
    rule(11, "dosageInstruction[0].text", Shape::Whole),
];

const RXR: &[Rule] = &[
    rule(1, "dosageInstruction[0].route", Shape::Concept("0162")),
    rule(2, "dosageInstruction[0].site", Shape::Concept("0163")),
    rule(4, "dosageInstruction[0].method", Shape::Concept("0165")),
];

/// Repeat patterns: table 0335.
const PATTERNS: &str = "http://terminology.hl7.org/CodeSystem/v2-0335";
/// As needed: a pattern that is none of timing.
const AS_NEEDED: &str = "PRN";

impl<'a> Draft<'a> {
    pub(super) fn medication_order(&mut self, segment: &Segment<'a>) {
        let timed = self.timed.take();
        self.close_order();
        if self.message.kind().message_type != "OMP" {
            return self.leave_unread(segment);
        }
        let [placer, filler] = self.order_numbers(None);
        let code = segment.field(1).first().component(1).text();
        let mut request = json!({"resourceType": "MedicationRequest"});
        if let Some(number) = placer.as_ref().or(filler.as_ref()) {
            let (system, value) = (number["system"].to_string(), number["value"].to_string());
            let own = self.own_identifier("medication-request", &[&system, &value, &code]);
            put(&mut request, "identifier[]", own);
        }
        for number in [placer, filler].into_iter().flatten() {
            put(&mut request, "identifier[]", number);
        }
        put(
            &mut request,
            "status",
            self.medication_status(segment).into(),
        );
        put(&mut request, "intent", "original-order".into());
        if let Some(order) = self.order {
            self.fill(&order, ORC, &mut request);
        }
        self.fill(segment, RXO, &mut request);
        self.required(segment, 1, &request["medicationCodeableConcept"]);
        self.amounts(segment, &mut request);
        put(&mut request, "subject", self.subject());
        put(&mut request, "encounter", self.context());
        if let Some(timed) = timed {
            self.pattern(&timed, &mut request);
            self.fill(&timed, TQ1, &mut request);
        }
        let place = self.place(segment);
        let request = self.add(request, Writing::Replace, place);
        self.medication = Some(request);
        self.noted = Some(request);
    }

    /// That of an order, in the words of a MedicationRequest.
    fn medication_status(&mut self, segment: &Segment<'_>) -> &'static str {
        let order = self.order;
        let said = order.map(|order| [5, 1].map(|field| order.field(field).text()));
        let is_stopped = said.is_some_and(|[status, control]| {
            status == "DC" || (status.is_empty() && ["DC", "OD", "DR"].contains(&control.as_str()))
        });
        match self.order_status(segment) {
            "revoked" if is_stopped => "stopped",
            "revoked" => "cancelled",
            status => status,
        }
    }

    /// RXO-2 to RXO-4: what is given at a time. RXO-11 and RXO-12: what is dispensed.
    fn amounts(&mut self, segment: &Segment<'_>, request: &mut Value) {
        let [low, high, dispensed] =
            [(2, 4), (3, 4), (11, 12)].map(|fields| self.amount(segment, fields));
        let dose = "dosageInstruction[0].doseAndRate[0]";
        match (low, high) {
            (Some(low), None) => put(request, &format!("{dose}.doseQuantity"), low),
            (low, high) => {
                let range = [("low", low), ("high", high)];
                for (end, amount) in range {
                    let path = format!("{dose}.doseRange.{end}");
                    put(request, &path, amount.unwrap_or_default());
                }
            }
        }
        let dispensed = dispensed.unwrap_or_default();
        put(request, "dispenseRequest.quantity", dispensed);
    }

    fn amount(&mut self, segment: &Segment<'_>, (amount, unit): (usize, usize)) -> Option<Value> {
        let text = segment.field(amount).text();
        if text.is_empty() {
            return None;
        }
        let place = self.place(segment).field(amount);
        let value = self.decimal(&text, &place)?;
        let mut quantity = json!({"value": value});
        self.unit(segment, unit, &mut quantity);
        Some(quantity)
    }

    /// TQ1-3: how often, and whether as needed.
    fn pattern(&mut self, timed: &Segment<'_>, request: &mut Value) {
        for repeat in timed.field(3).repeats() {
            let pattern = repeat.component(1);
            let [code, display, system] = [1, 2, 3].map(|number| pattern.subcomponent(number));
            if code == AS_NEEDED {
                let path = "dosageInstruction[0].asNeededBoolean";
                put(request, path, true.into());
                continue;
            }
            let mut timing = json!({});
            if ["", "HL70335"].contains(&system.as_str()) {
                self.put_text(&mut timing, "coding[0].code", code.clone());
                if timing["coding"].is_array() {
                    put(&mut timing, "coding[0].system", PATTERNS.into());
                    self.put_text(&mut timing, "coding[0].display", display.clone());
                }
            }
            self.put_text(&mut timing, "text", display);
            self.put_text(&mut timing, "text", code);
            let path = "dosageInstruction[0].timing.code";
            put(request, path, timing);
        }
    }

    /// RXR after RXO.
    pub(super) fn medication_route(&mut self, segment: &Segment<'_>) {
        self.fill_entry(self.medication, segment, RXR);
    }
}
