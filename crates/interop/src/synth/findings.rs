//! Observations and reports.

use serde_json::{Value, json};

use super::catalog::{Analyte, Coded};
use super::person::Person;
use super::record::{LOINC, Record, SNOMED, concept, decimal, quantity, reference, time_text};
use super::visit::Visit;

pub(super) fn vital_signs(record: &mut Record, visit: &Visit, person: &Person) {
    let category = "vital-signs";
    let vital = |record: &mut Record, code: Coded, value: Value| {
        observe(
            record,
            visit,
            category,
            code,
            json!({"valueQuantity": value}),
        );
    };
    let weight_hg = record.draw.between(520, 1_050);
    let bmi_tenths = weight_hg * 1_000_000 / (person.height_mm * person.height_mm);
    let pulse = record.draw.between(56, 92);
    let pain = record.draw.below(5);
    vital(
        record,
        ("8302-2", "Body Height"),
        quantity(&decimal(person.height_mm, 1), "cm"),
    );
    vital(
        record,
        ("29463-7", "Body Weight"),
        quantity(&decimal(weight_hg, 1), "kg"),
    );
    vital(
        record,
        ("39156-5", "Body Mass Index"),
        quantity(&decimal(bmi_tenths, 1), "kg/m2"),
    );
    vital(
        record,
        ("8867-4", "Heart rate"),
        quantity(&decimal(pulse, 0), "/min"),
    );
    let pain_code = (
        "72514-3",
        "Pain severity - 0-10 verbal numeric rating [Score] - Reported",
    );
    vital(record, pain_code, quantity(&decimal(pain, 0), "{score}"));
    blood_pressure(record, visit);
    smoking_status(record, visit, person);
}

fn blood_pressure(record: &mut Record, visit: &Visit) {
    let category = "vital-signs";
    let component = |code: &str, display: &str, value: u64| {
        json!({"code": concept(LOINC, code, display),
               "valueQuantity": quantity(&decimal(value, 0), "mm[Hg]")})
    };
    let pressure = [
        component(
            "8462-4",
            "Diastolic Blood Pressure",
            record.draw.between(62, 92),
        ),
        component(
            "8480-6",
            "Systolic Blood Pressure",
            record.draw.between(102, 148),
        ),
    ];
    observe(
        record,
        visit,
        category,
        ("55284-4", "Blood Pressure"),
        json!({"component": pressure}),
    );
}

fn smoking_status(record: &mut Record, visit: &Visit, person: &Person) {
    let smoking = if person.is_smoker {
        concept(SNOMED, "77176002", "Smoker (finding)")
    } else {
        concept(SNOMED, "266919005", "Never smoked tobacco (finding)")
    };
    let code = ("72166-2", "Tobacco smoking status NHIS");
    observe(
        record,
        visit,
        "survey",
        code,
        json!({"valueCodeableConcept": smoking}),
    );
}

pub(super) fn observe(
    record: &mut Record,
    visit: &Visit,
    category: &str,
    code: Coded,
    value: Value,
) -> String {
    let system = "http://terminology.hl7.org/CodeSystem/observation-category";
    let mut elements = json!({
        "status": "final",
        "category": [{"coding": [{"system": system, "code": category, "display": category}]}],
        "code": concept(LOINC, code.0, code.1),
        "subject": reference(&visit.patient),
        "encounter": reference(&visit.encounter),
        "effectiveDateTime": time_text(visit.start_ms),
        "issued": time_text(visit.start_ms + 1_000),
    });
    if let (Some(elements), Value::Object(mut value)) = (elements.as_object_mut(), value) {
        elements.append(&mut value);
    }
    record.add("Observation", elements)
}

pub(super) fn measure(record: &mut Record, visit: &Visit, analyte: &Analyte) -> String {
    let value = decimal(
        record.draw.between(analyte.range.0, analyte.range.1),
        analyte.scale,
    );
    let value = json!({"valueQuantity": quantity(&value, analyte.unit)});
    observe(record, visit, "laboratory", analyte.code, value)
}

pub(super) fn report(record: &mut Record, visit: &Visit, panel: Coded, analytes: &[Analyte]) {
    let results: Vec<Value> = analytes
        .iter()
        .map(|analyte| {
            let urn = measure(record, visit, analyte);
            json!({"reference": urn, "display": analyte.code.1})
        })
        .collect();
    let laboratory = json!([{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074",
        "code": "LAB", "display": "Laboratory"}]}]);
    record.add(
        "DiagnosticReport",
        json!({
            "status": "final",
            "category": laboratory,
            "code": concept(LOINC, panel.0, panel.1),
            "subject": reference(&visit.patient),
            "encounter": reference(&visit.encounter),
            "effectiveDateTime": time_text(visit.start_ms),
            "issued": time_text(visit.start_ms + 1_000),
            "result": results,
        }),
    );
}
