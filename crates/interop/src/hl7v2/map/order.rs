//! ORC and OBR: ServiceRequest for an order, DiagnosticReport for a result. TQ1: when.

use serde_json::{Value, json};

use super::codes;
use super::draft::{Draft, Writing};
use super::rule::{Rule, Shape, rule};
use crate::compose::put;
use crate::hl7v2::fault::ErrorCode;
use crate::hl7v2::message::Segment;

const OBR_REQUEST: &[Rule] = &[
    rule(4, "code", Shape::Concept("")),
    rule(5, "priority", Shape::Code(&codes::PRIORITY)),
    rule(6, "occurrenceDateTime", Shape::DateTime),
    rule(16, "requester", Shape::Practitioner),
    rule(31, "reasonCode[]", Shape::Concept("")),
    rule(46, "orderDetail[]", Shape::Concept("")),
    rule(47, "orderDetail[]", Shape::Concept("")),
];

const ORC_REQUEST: &[Rule] = &[
    rule(4, "requisition", Shape::EntityIdentifier("PGN")),
    rule(9, "authoredOn", Shape::DateTime),
    rule(12, "requester", Shape::Practitioner),
];

const OBR_REPORT: &[Rule] = &[
    rule(4, "code", Shape::Concept("")),
    rule(22, "issued", Shape::Instant),
    rule(24, "category[]", Shape::Concept("0074")),
    rule(25, "status", Shape::Code(&codes::REPORT_STATUS)),
    rule(32, "resultsInterpreter[]", Shape::Interpreter),
];

impl<'a> Draft<'a> {
    /// ORC begins an order; what it says goes into what follows.
    pub(super) fn order(&mut self, segment: &Segment<'a>) {
        self.order = Some(*segment);
        self.timed = None;
        self.close_order();
    }

    pub(super) fn order_detail(&mut self, segment: &Segment<'a>) {
        self.close_order();
        match self.message.kind().message_type {
            "ORU" => self.report(segment),
            "ORM" | "OML" => self.service_request(segment),
            _ => self.leave_unread(segment),
        }
    }

    /// The order's numbers, OBR before ORC: placer's and filler's.
    pub(super) fn order_numbers(&mut self, segment: Option<&Segment<'a>>) -> [Option<Value>; 2] {
        let order = self.order;
        [(2, "PLAC"), (3, "FILL")].map(|(field, kind)| {
            let fields = [segment.copied(), order].into_iter().flatten();
            let repeat = fields
                .filter_map(|segment| segment.field(field).repeats().next())
                .next()?;
            self.entity_identifier(repeat, kind)
        })
    }

    fn service_request(&mut self, segment: &Segment<'a>) {
        let [placer, filler] = self.order_numbers(Some(segment));
        let code = segment.field(4).first().component(1).text();
        let mut request = json!({"resourceType": "ServiceRequest"});
        if let Some(number) = placer.as_ref().or(filler.as_ref()) {
            let own = self.own_identifier(
                "request",
                &[
                    &number["system"].to_string(),
                    &number["value"].to_string(),
                    &code,
                ],
            );
            put(&mut request, "identifier[]", own);
        }
        for number in [placer, filler].into_iter().flatten() {
            put(&mut request, "identifier[]", number);
        }
        put(&mut request, "status", self.order_status(segment).into());
        let intent = if segment.field(11).text() == "G" {
            "reflex-order"
        } else {
            "order"
        };
        put(&mut request, "intent", intent.into());
        if let Some(order) = self.order {
            self.fill(&order, ORC_REQUEST, &mut request);
        }
        self.fill(segment, OBR_REQUEST, &mut request);
        self.required(segment, 4, &request["code"]);
        put(&mut request, "subject", self.subject());
        put(&mut request, "encounter", self.context());
        let place = self.place(segment);
        let request = self.add(request, Writing::Replace, place);
        self.request = Some(request);
        self.noted = Some(request);
        if let Some(timed) = self.timed.take() {
            self.timing(&timed);
        }
    }

    /// ORC-5, else what ORC-1 asks for.
    pub(super) fn order_status(&mut self, segment: &Segment<'_>) -> &'static str {
        let Some(order) = self.order else {
            return "active";
        };
        let place = self.place(segment);
        let status = self.code(&order.field(5).text(), &codes::ORDER_STATUS, &place);
        status
            .or_else(|| codes::ORDER_CONTROL.get(&order.field(1).text()))
            .unwrap_or("active")
    }

    fn report(&mut self, segment: &Segment<'a>) {
        let [placer, filler] = self.order_numbers(Some(segment));
        let code = segment.field(4).first().component(1).text();
        let mut report = json!({"resourceType": "DiagnosticReport"});
        let scope = match filler.as_ref().or(placer.as_ref()) {
            Some(number) => format!("{} {}", number["system"], number["value"]),
            None => format!("message {}", self.message.control_id()),
        };
        let own = self.own_identifier("report", &[&scope, &code]);
        put(&mut report, "identifier[]", own);
        if let Some(number) = &placer {
            put(
                &mut report,
                "basedOn[]",
                json!({"type": "ServiceRequest", "identifier": number}),
            );
        }
        for number in [placer, filler].into_iter().flatten() {
            put(&mut report, "identifier[]", number);
        }
        self.fill(segment, OBR_REPORT, &mut report);
        put(&mut report, "status", "unknown".into());
        self.required(segment, 4, &report["code"]);
        put(&mut report, "subject", self.subject());
        put(&mut report, "encounter", self.context());
        self.collected(segment, &mut report);
        self.scope = Some(format!("{scope} {code}"));
        self.section = codes::SECTION.get(&segment.field(24).text());
        self.effective = match &report["effectiveDateTime"] {
            Value::Null => report["effectivePeriod"]["start"].clone(),
            moment => moment.clone(),
        };
        let place = self.place(segment);
        let report = self.add(report, Writing::Replace, place);
        self.report = Some(report);
        self.noted = Some(report);
        if let Some(timed) = self.timed.take() {
            self.leave_unread(&timed);
        }
    }

    /// OBR-7 and OBR-8: when the specimen was collected.
    fn collected(&mut self, segment: &Segment<'_>, report: &mut Value) {
        let moment = |number: usize| segment.field(number).text();
        let place = self.place(segment);
        let mut read = |number: usize| {
            let text = moment(number);
            (!text.is_empty())
                .then(|| self.date_time(&text, &place.clone().field(number)))
                .flatten()
        };
        let (start, end) = (read(7), read(8));
        if end.is_none() {
            return put(report, "effectiveDateTime", start.into());
        }
        put(report, "effectivePeriod.start", start.into());
        put(report, "effectivePeriod.end", end.into());
    }

    /// TQ1-7 to TQ1-9: start, end and priority of an order or an appointment.
    pub(super) fn timing(&mut self, segment: &Segment<'a>) {
        const REQUEST: &[Rule] = &[
            rule(7, "occurrenceDateTime", Shape::DateTime),
            rule(9, "priority", Shape::Code(&codes::PRIORITY)),
        ];
        const APPOINTMENT: &[Rule] = &[
            rule(7, "start", Shape::Instant),
            rule(8, "end", Shape::Instant),
        ];
        match (self.appointment, self.request) {
            (Some(_), _) => self.fill_entry(self.appointment, segment, APPOINTMENT),
            (None, Some(_)) => self.fill_entry(self.request, segment, REQUEST),
            (None, None) if self.order.is_some() && self.report.is_none() => {
                // A medication that is given now so and then otherwise is not the last of both.
                if self.timed.is_some() && self.message.kind().message_type == "OMP" {
                    let place = self.place(segment);
                    self.fault(place, ErrorCode::SegmentSequence, "one TQ1 of a medication");
                }
                self.timed = Some(*segment);
            }
            (None, None) => self.leave_unread(segment),
        }
    }
}
