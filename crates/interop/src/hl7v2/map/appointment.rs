//! SCH, AIS, AIL, AIP: Appointment.

use serde_json::{Value, json};

use super::codes;
use super::draft::{Draft, Writing};
use super::rule::{Rule, Shape, rule};
use crate::compose::put;
use crate::fhir::TimeSpan;
use crate::fhir::timespan::format_instant;
use crate::hl7v2::message::Segment;

const SCH: &[Rule] = &[
    rule(2, "identifier[]", Shape::EntityIdentifier("FILL")),
    rule(1, "identifier[]", Shape::EntityIdentifier("PLAC")),
    rule(25, "status", Shape::Code(&codes::APPOINTMENT_STATUS)),
    rule(7, "reasonCode[]", Shape::Concept("0276")),
    rule(8, "appointmentType", Shape::Concept("0277")),
    rule(9, "minutesDuration", Shape::Integer),
];

const CANCELLED: &[Rule] = &[rule(6, "cancelationReason", Shape::Concept(""))];

const AIS: &[Rule] = &[
    rule(3, "serviceType[]", Shape::Concept("")),
    rule(4, "start", Shape::Instant),
];

const AIL: &[Rule] = &[
    rule(3, "actor", Shape::Location),
    rule(6, "period.start", Shape::DateTime),
];

const AIP: &[Rule] = &[
    rule(3, "actor", Shape::Practitioner),
    rule(4, "type[]", Shape::Concept("")),
    rule(6, "period.start", Shape::DateTime),
];

impl Draft<'_> {
    pub(super) fn appointment(&mut self, segment: &Segment<'_>) {
        let mut appointment = json!({"resourceType": "Appointment"});
        self.fill(segment, SCH, &mut appointment);
        if self.message.kind().trigger == "S15" {
            put(&mut appointment, "status", "cancelled".into());
            self.fill(segment, CANCELLED, &mut appointment);
        }
        put(&mut appointment, "status", "booked".into());
        self.required(segment, 2, &appointment["identifier"]);
        // TQ of 2.3 and 2.4: its fourth and fifth component.
        let place = self.place(segment).field(11);
        for (component, element) in [(4, "start"), (5, "end")] {
            let moment = segment.field(11).first().component(component).text();
            if !moment.is_empty() {
                let moment = self.instant(&moment, &place);
                put(&mut appointment, element, moment.into());
            }
        }
        let place = self.place(segment);
        let entry = self.add(appointment, Writing::Replace, place);
        self.appointment = Some(entry);
        self.noted = Some(entry);
    }

    /// The patient stands behind SCH.
    pub(super) fn open_patient(&mut self, patient: usize) {
        self.patient = Some(patient);
        self.encounter = None;
        self.order = None;
        self.close_order();
        self.noted = Some(patient);
        self.add_participant(json!({"actor": Self::reference(patient)}));
    }

    pub(super) fn service(&mut self, segment: &Segment<'_>) {
        self.fill_entry(self.appointment, segment, AIS);
        let minutes = segment.field(7).text().parse::<i64>().ok();
        let is_minutes =
            ["", "MIN", "M"].contains(&segment.field(8).text().to_ascii_uppercase().as_str());
        let Some(entry) = self
            .appointment
            .and_then(|entry| self.entries.get_mut(entry))
        else {
            return;
        };
        let minutes = minutes.filter(|minutes| is_minutes && (1..=100_000).contains(minutes));
        let start = entry.resource["start"].as_str().and_then(TimeSpan::parse);
        if let (Some(minutes), Some(start)) = (minutes, start) {
            put(
                &mut entry.resource,
                "end",
                format_instant(start.start_ms + minutes * 60_000).into(),
            );
        }
    }

    pub(super) fn place_of_service(&mut self, segment: &Segment<'_>) {
        self.resource(segment, AIL);
    }

    pub(super) fn person_of_service(&mut self, segment: &Segment<'_>) {
        self.resource(segment, AIP);
    }

    fn resource(&mut self, segment: &Segment<'_>, rules: &[Rule]) {
        let mut participant = json!({});
        self.fill(segment, rules, &mut participant);
        self.required(segment, 3, &participant["actor"]);
        self.add_participant(participant);
    }

    fn add_participant(&mut self, mut participant: Value) {
        put(&mut participant, "status", "accepted".into());
        if let Some(entry) = self
            .appointment
            .and_then(|entry| self.entries.get_mut(entry))
        {
            put(&mut entry.resource, "participant[]", participant);
        }
    }
}
