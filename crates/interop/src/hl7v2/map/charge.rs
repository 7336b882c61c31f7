//! FT1: ChargeItem.

use serde_json::json;

use super::draft::{Draft, Writing};
use super::rule::{Rule, Shape, rule};
use crate::compose::put;
use crate::hl7v2::message::Segment;

const FT1: &[Rule] = &[
    rule(2, "identifier[]", Shape::Identifier),
    rule(4, "occurrenceDateTime", Shape::DateTime),
    rule(5, "enteredDate", Shape::DateTime),
    rule(7, "code", Shape::Concept("0132")),
    rule(10, "quantity.value", Shape::Decimal),
    rule(19, "reason[]", Shape::Concept("")),
    rule(21, "performer[].actor", Shape::Practitioner),
    rule(20, "performer[].actor", Shape::Practitioner),
    rule(24, "enterer", Shape::Practitioner),
];

impl Draft<'_> {
    /// Charges and credits; payments and adjustments belong to accounts.
    pub(super) fn charge(&mut self, segment: &Segment<'_>) {
        let status = match self.standard("0017", &segment.field(6).text()).as_str() {
            "CG" | "" => "billable",
            "CD" => "aborted",
            _ => return self.leave_unread(segment),
        };
        let mut charge = json!({"resourceType": "ChargeItem"});
        if segment.field(2).is_empty() {
            let [when, code] = [4, 7].map(|field| segment.field(field).text());
            let identifier = self.own_identifier("charge", &[&self.visit_scope(), &when, &code]);
            put(&mut charge, "identifier[]", identifier);
        }
        put(&mut charge, "status", status.into());
        self.fill(segment, FT1, &mut charge);
        self.required(segment, 7, &charge["code"]);
        // CP or, before 2.8, a number: the whole price.
        let price = segment.field(11).first().component(1);
        let currency = price.subcomponent(2);
        if let (false, 3) = (price.is_empty(), currency.len()) {
            let place = self.place(segment).field(11);
            let value = self.decimal(&price.subcomponent(1), &place);
            put(
                &mut charge,
                "priceOverride",
                json!({"value": value, "currency": currency.to_ascii_uppercase()}),
            );
        }
        put(&mut charge, "subject", self.subject());
        put(&mut charge, "context", self.context());
        let place = self.place(segment);
        self.noted = Some(self.add(charge, Writing::Replace, place));
    }
}
