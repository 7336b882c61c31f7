//! Encounters and what comes out of them.

use serde_json::json;

use super::catalog::{self, Chronic, Coded, Illness};
use super::person::{DAY_MS, END_MS, Person, Provider, provider};
use super::record::{CVX, RXNORM, Record, SNOMED, concept, decimal, reference, time_text};
use super::{billing, findings};

const MINUTE_MS: i64 = 60_000;
const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

/// An encounter with what is billed for it.
pub(super) struct Visit {
    pub(super) patient: String,
    pub(super) encounter: String,
    pub(super) kind: Coded,
    pub(super) provider: Provider,
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) conditions: Vec<String>,
    pub(super) procedures: Vec<(String, Coded)>,
    pub(super) immunizations: Vec<(String, Coded)>,
}

/// Some years of care.
pub(super) fn life(record: &mut Record, person: &Person, index: u64) {
    if record.draw.is_one_in(3) {
        allergy(record, person);
    }
    let years = record.draw.between(4, 6);
    for year in 0..years {
        let start_ms = days_before_end(years - year, 365) + noise(record, 60);
        wellness(record, person, start_ms, year);
    }
    for _ in 0..record.draw.between(1, 2) {
        let start_ms = days_before_end(years, 360) + noise(record, 300 * years);
        let illness = record.draw.pick(&catalog::MINOR);
        treatment(
            record,
            person,
            illness,
            ("AMB", ("185345009", "Encounter for symptom")),
            start_ms,
        );
    }
    for _ in 0..record.draw.between(1, 2) {
        let start_ms = days_before_end(years, 350) + noise(record, 300 * years);
        let illness = record.draw.pick(&catalog::EMERGENCY);
        let kind = ("50849002", "Emergency room admission (procedure)");
        treatment(record, person, illness, ("EMER", kind), start_ms);
    }
    if record.draw.is_one_in(3) {
        let start_ms = days_before_end(years, 340) + noise(record, 300 * years);
        let illness = record.draw.pick(&catalog::INPATIENT);
        treatment(
            record,
            person,
            illness,
            ("IMP", ("183452005", "Encounter Inpatient")),
            start_ms,
        );
    }
    sensitive(record, person, index);
}

fn sensitive(record: &mut Record, person: &Person, index: u64) {
    let start_ms = days_before_end(1, 300) + noise(record, 200);
    match index % 6 {
        1 => {
            let kind = ("56876005", "Drug rehabilitation and detoxification");
            treatment(record, person, &catalog::OPIOID, ("IMP", kind), start_ms);
        }
        3 => {
            let kind = ("185347001", "Encounter for problem (procedure)");
            treatment(
                record,
                person,
                &catalog::DEPRESSION,
                ("AMB", kind),
                start_ms,
            );
        }
        5 => {
            let kind = ("185349003", "Encounter for check up (procedure)");
            let visit = open(record, person, "AMB", kind, start_ms, 20);
            let code = (
                "56888-1",
                "HIV 1+2 Ab+HIV1 p24 Ag [Presence] in Serum or Plasma by Immunoassay",
            );
            let negative = concept(SNOMED, "260385009", "Negative (qualifier value)");
            findings::observe(
                record,
                &visit,
                "laboratory",
                code,
                json!({"valueCodeableConcept": negative}),
            );
            billing::bill(record, &visit, &[]);
        }
        _ => {}
    }
}

fn wellness(record: &mut Record, person: &Person, start_ms: i64, year: u64) {
    let kind = ("185349003", "Encounter for check up (procedure)");
    let mut visit = open(record, person, "AMB", kind, start_ms, 30);
    findings::vital_signs(record, &visit, person);
    immunize(record, &mut visit, catalog::INFLUENZA);
    if year == 1 {
        let vaccine = *record.draw.pick(&catalog::VACCINES);
        immunize(record, &mut visit, vaccine);
    }
    if year == 0 {
        let chronic = record.draw.pick(&catalog::CHRONIC);
        plan_care(record, &mut visit, chronic);
    }
    if year.is_multiple_of(3) {
        let (panel, analytes) = &catalog::BASIC_METABOLIC;
        findings::report(record, &visit, *panel, analytes);
        let (panel, analytes) = &catalog::LIPIDS;
        findings::report(record, &visit, *panel, analytes);
        findings::measure(record, &visit, &catalog::HEMOGLOBIN_A1C);
    }
    billing::bill(record, &visit, &[]);
}

fn treatment(
    record: &mut Record,
    person: &Person,
    illness: &Illness,
    (class, kind): (&str, Coded),
    start_ms: i64,
) {
    let minutes = if class == "IMP" { 4 * 24 * 60 } else { 45 };
    let mut visit = open(record, person, class, kind, start_ms, minutes);
    let condition = diagnose(record, &visit, illness.condition, true);
    visit.conditions.push(condition.clone());
    if let Some(code) = illness.procedure {
        let procedure = record.add("Procedure", json!({
            "status": "completed",
            "code": concept(SNOMED, code.0, code.1),
            "subject": reference(&visit.patient),
            "encounter": reference(&visit.encounter),
            "performedPeriod": {"start": time_text(start_ms), "end": time_text(start_ms + 20 * MINUTE_MS)},
            "reasonReference": [reference(&condition)],
        }));
        visit.procedures.push((procedure, code));
    }
    let medication = illness
        .medication
        .map(|code| (prescribe(record, &visit, code, &condition), code));
    billing::bill(record, &visit, medication.as_slice());
}

fn open(
    record: &mut Record,
    person: &Person,
    class: &str,
    kind: Coded,
    start_ms: i64,
    minutes: i64,
) -> Visit {
    let provider = provider(record, class != "AMB");
    let end_ms = start_ms + minutes * MINUTE_MS;
    let encounter = record.add(
        "Encounter",
        json!({
            "status": "finished",
            "class": {"system": ACT_CODE, "code": class},
            "type": [concept(SNOMED, kind.0, kind.1)],
            "subject": reference(&person.urn),
            "participant": [{"individual": reference(&provider.practitioner)}],
            "period": {"start": time_text(start_ms), "end": time_text(end_ms)},
            "serviceProvider": reference(&provider.organization),
        }),
    );
    Visit {
        patient: person.urn.clone(),
        encounter,
        kind,
        provider,
        start_ms,
        end_ms,
        conditions: Vec::new(),
        procedures: Vec::new(),
        immunizations: Vec::new(),
    }
}

fn immunize(record: &mut Record, visit: &mut Visit, vaccine: Coded) {
    let urn = record.add(
        "Immunization",
        json!({
            "status": "completed",
            "vaccineCode": concept(CVX, vaccine.0, vaccine.1),
            "patient": reference(&visit.patient),
            "encounter": reference(&visit.encounter),
            "occurrenceDateTime": time_text(visit.start_ms),
            "primarySource": true,
        }),
    );
    visit.immunizations.push((urn, vaccine));
}

fn diagnose(record: &mut Record, visit: &Visit, code: Coded, is_resolved: bool) -> String {
    let base = "http://terminology.hl7.org/CodeSystem/condition-";
    let clinical = if is_resolved { "resolved" } else { "active" };
    let mut elements = json!({
        "clinicalStatus": {"coding": [{"system": format!("{base}clinical"), "code": clinical}]},
        "verificationStatus": {"coding": [{"system": format!("{base}ver-status"), "code": "confirmed"}]},
        "code": concept(SNOMED, code.0, code.1),
        "subject": reference(&visit.patient),
        "encounter": reference(&visit.encounter),
        "onsetDateTime": time_text(visit.start_ms),
        "recordedDate": time_text(visit.start_ms),
    });
    if is_resolved {
        elements["abatementDateTime"] = time_text(visit.end_ms + 21 * DAY_MS).into();
    }
    record.add("Condition", elements)
}

fn prescribe(record: &mut Record, visit: &Visit, code: Coded, reason: &str) -> String {
    record.add("MedicationRequest", json!({
        "status": "stopped",
        "intent": "order",
        "medicationCodeableConcept": concept(RXNORM, code.0, code.1),
        "subject": reference(&visit.patient),
        "encounter": reference(&visit.encounter),
        "authoredOn": time_text(visit.start_ms),
        "requester": reference(&visit.provider.practitioner),
        "reasonReference": [reference(reason)],
        "dosageInstruction": [{"sequence": 1, "asNeededBoolean": false,
            "timing": {"repeat": {"frequency": 1, "period": decimal(10, 1), "periodUnit": "d"}}}],
    }))
}

fn plan_care(record: &mut Record, visit: &mut Visit, chronic: &Chronic) {
    let condition = diagnose(record, visit, chronic.illness.condition, false);
    visit.conditions.push(condition.clone());
    if let Some(code) = chronic.illness.medication {
        prescribe(record, visit, code, &condition);
    }
    let goal = record.add(
        "Goal",
        json!({
            "lifecycleStatus": "accepted",
            "description": {"text": chronic.goal},
            "subject": reference(&visit.patient),
            "addresses": [reference(&condition)],
        }),
    );
    record.add("CarePlan", json!({
        "status": "active",
        "intent": "order",
        "category": [concept(SNOMED, chronic.plan.0, chronic.plan.1)],
        "subject": reference(&visit.patient),
        "encounter": reference(&visit.encounter),
        "period": {"start": time_text(visit.start_ms)},
        "addresses": [reference(&condition)],
        "goal": [reference(&goal)],
        "activity": [{"detail": {"code": concept(SNOMED, chronic.activity.0, chronic.activity.1),
                                 "status": "in-progress"}}],
    }));
}

fn allergy(record: &mut Record, person: &Person) {
    let code = *record.draw.pick(&catalog::ALLERGIES);
    let recorded_ms = days_before_end(8, 365) + noise(record, 300);
    let base = "http://terminology.hl7.org/CodeSystem/allergyintolerance-";
    record.add("AllergyIntolerance", json!({
        "clinicalStatus": {"coding": [{"system": format!("{base}clinical"), "code": "active"}]},
        "verificationStatus": {"coding": [{"system": format!("{base}verification"), "code": "confirmed"}]},
        "type": "allergy",
        "category": [if code.0 == "91934008" { "food" } else { "environment" }],
        "criticality": "low",
        "code": concept(SNOMED, code.0, code.1),
        "patient": reference(&person.urn),
        "recordedDate": time_text(recorded_ms),
    }));
}

fn days_before_end(years: u64, days_per_year: u64) -> i64 {
    END_MS - i64::try_from(years * days_per_year).unwrap_or(0) * DAY_MS
}

/// Some days and a time within office hours.
fn noise(record: &mut Record, days_max: u64) -> i64 {
    let days = i64::try_from(record.draw.below(days_max)).unwrap_or(0);
    let minutes = i64::try_from(record.draw.between(8 * 60, 17 * 60)).unwrap_or(0);
    days * DAY_MS + minutes * MINUTE_MS
}
