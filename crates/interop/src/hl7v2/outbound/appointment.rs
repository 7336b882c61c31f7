//! An Appointment as SIU.

use serde_json::Value;

use super::fields::{
    back, concept, entity, finish, header, notes, numbered, order_numbers, repeated, segment, time,
};
use super::person::{location, pid, practitioner};
use super::{Around, Envelope};

/// SCH-25: table 0278.
const STATUS: &[(&str, &str)] = &[
    ("pending", "Pending"),
    ("waitlist", "Waitlist"),
    ("booked", "Booked"),
    ("arrived", "Started"),
    ("checked-in", "Started"),
    ("fulfilled", "Complete"),
    ("cancelled", "Cancelled"),
    ("noshow", "Noshow"),
    ("entered-in-error", "Deleted"),
];

/// The reference to the patient of an Appointment.
pub(super) fn patient(appointment: &Value) -> Option<String> {
    let participants = appointment["participant"].as_array()?.iter();
    let mut actors = participants.filter_map(|one| one["actor"]["reference"].as_str());
    let named = actors.find(|reference| is_of("Patient", reference));
    named.map(str::to_owned)
}

fn is_of(kind: &str, reference: &str) -> bool {
    let mut steps = reference.rsplit('/');
    steps.nth(1) == Some(kind)
}

pub(super) fn appointment(
    envelope: &Envelope<'_>,
    appointment: &Value,
    around: &Around,
) -> Option<Vec<u8>> {
    let status = back(&appointment["status"], STATUS);
    if status.is_empty() {
        // Not more than a proposal.
        return None;
    }
    let (trigger, why) = trigger(&around.before, appointment);
    let why = match (trigger, concept(&appointment["cancelationReason"])) {
        ("S15", reason) => reason,
        _ => format!("^{why}"),
    };
    let minutes = appointment["minutesDuration"].as_u64();
    let [start, end] = ["start", "end"].map(|name| time(appointment[name].as_str()));
    let placer = numbered(appointment, "PLAC").map(entity);
    let [_, filler] = match numbered(appointment, "FILL") {
        Some(filler) => [String::new(), entity(filler)],
        None => order_numbers(appointment, "FILL"),
    };
    let schedule = [
        (1, placer.clone().unwrap_or_default()),
        // It has to have one.
        (
            2,
            if filler.is_empty() {
                placer.unwrap_or_default()
            } else {
                filler
            },
        ),
        (6, why),
        (7, concept(&appointment["reasonCode"][0])),
        (8, concept(&appointment["appointmentType"])),
        (
            9,
            minutes.map(|number| number.to_string()).unwrap_or_default(),
        ),
        (10, minutes.map(|_| "min".to_owned()).unwrap_or_default()),
        (
            11,
            format!("^^^{start}^{end}").trim_end_matches('^').to_owned(),
        ),
        (25, status),
    ];
    let kind = format!("SIU^{trigger}^SIU_S12");
    let mut lines = vec![header(envelope, &kind), segment("SCH", &schedule)];
    lines.extend(notes(appointment.get("comment").into_iter()));
    lines.push(pid(&around.patient));
    lines.push("RGS|1".to_owned());
    lines.extend(services(appointment, &start));
    lines.extend(resources(appointment, around));
    Some(finish(&lines))
}

/// The event, and why it is said.
fn trigger(before: &Value, appointment: &Value) -> (&'static str, &'static str) {
    let is_off = matches!(
        appointment["status"].as_str(),
        Some("cancelled" | "entered-in-error")
    );
    let was_there = before["status"]
        .as_str()
        .is_some_and(|status| status != "proposed");
    match (is_off, was_there) {
        (true, _) => ("S15", ""),
        (false, false) => ("S12", "Booked"),
        (false, true) if before["start"] != appointment["start"] => ("S13", "Rescheduled"),
        (false, true) => ("S14", "Modified"),
    }
}

/// AIS for each service.
fn services(appointment: &Value, start: &str) -> Vec<String> {
    let all = appointment["serviceType"].as_array().into_iter().flatten();
    let all = all.enumerate().map(|(index, service)| {
        let number = (index + 1).to_string();
        segment(
            "AIS",
            &[(1, number), (3, concept(service)), (4, start.to_owned())],
        )
    });
    all.collect()
}

/// AIL for places, then AIP for people.
fn resources(appointment: &Value, around: &Around) -> Vec<String> {
    let all = appointment["participant"].as_array();
    let of = |kind: &'static str| {
        all.into_iter().flatten().filter(move |one| {
            let reference = one["actor"]["reference"].as_str().unwrap_or_default();
            let found = around.of(&one["actor"]);
            found.map_or_else(
                || is_of(kind, reference),
                |found| found["resourceType"] == kind,
            )
        })
    };
    let when = |one: &Value| time(one["period"]["start"].as_str());
    let places = of("Location").enumerate().map(|(index, one)| {
        let place = location(&one["actor"], around);
        segment(
            "AIL",
            &[(1, (index + 1).to_string()), (3, place), (6, when(one))],
        )
    });
    let people = of("Practitioner").enumerate().map(|(index, one)| {
        let person = practitioner(&one["actor"], around);
        let kind = repeated(&one["type"], concept);
        let number = (index + 1).to_string();
        segment(
            "AIP",
            &[(1, number), (3, person), (4, kind), (6, when(one))],
        )
    });
    places
        .chain(people)
        .filter(|line| names_somebody(line))
        .collect()
}

/// Whether AIL-3 or AIP-3 is there: it has to be.
fn names_somebody(line: &str) -> bool {
    line.split('|')
        .nth(3)
        .is_some_and(|field| !field.is_empty())
}
