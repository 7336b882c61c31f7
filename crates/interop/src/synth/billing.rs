//! Claims, and the payer's answers to them.

use serde_json::{Value, json};

use super::catalog::Coded;
use super::person::DAY_MS;
use super::record::{CVX, RXNORM, Record, SNOMED, concept, decimal, reference, time_text};
use super::visit::Visit;

const CLAIM_TYPE: &str = "http://terminology.hl7.org/CodeSystem/claim-type";
const INSURER: &str = "Evergreen Mutual";

/// Bills the visit and each prescription, and answers the visit's claim.
pub(super) fn bill(record: &mut Record, visit: &Visit, medications: &[(String, Coded)]) {
    for (urn, code) in medications {
        pharmacy_claim(record, visit, urn, *code);
    }
    let total_cents = record.draw.between(9_000, 42_000);
    let claim = visit_claim(record, visit, total_cents);
    explanation(record, visit, &claim, total_cents);
}

fn pharmacy_claim(record: &mut Record, visit: &Visit, prescription: &str, code: Coded) {
    let cents = record.draw.between(600, 9_000);
    let mut elements = claim_elements(visit, "pharmacy", cents);
    elements["prescription"] = reference(prescription);
    elements["item"] = json!([{"sequence": 1, "productOrService": concept(RXNORM, code.0, code.1),
        "encounter": [reference(&visit.encounter)]}]);
    record.add("Claim", elements);
}

fn visit_claim(record: &mut Record, visit: &Visit, total_cents: u64) -> String {
    let mut elements = claim_elements(visit, "institutional", total_cents);
    let mut items = vec![visit_item(visit)];
    let mut add_item = |system: &str, code: Coded, link: (&str, usize)| {
        let mut item = json!({"sequence": items.len() + 1});
        item[link.0] = json!([link.1]);
        item["productOrService"] = concept(system, code.0, code.1);
        items.push(item);
    };
    for (at, (_, code)) in visit.immunizations.iter().enumerate() {
        add_item(CVX, *code, ("informationSequence", at + 1));
    }
    for (at, (_, code)) in visit.procedures.iter().enumerate() {
        add_item(SNOMED, *code, ("procedureSequence", at + 1));
    }
    let information = numbered(visit.immunizations.iter().map(|(urn, _)| json!({
        "category": {"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/claiminformationcategory", "code": "info"}]},
        "valueReference": reference(urn),
    })));
    let procedures = visit
        .procedures
        .iter()
        .map(|(urn, _)| json!({"procedureReference": reference(urn)}));
    let lists = [
        ("supportingInfo", information),
        ("diagnosis", diagnoses(visit)),
        ("procedure", numbered(procedures)),
        ("item", items),
    ];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        elements[name] = list.into();
    }
    record.add("Claim", elements)
}

fn explanation(record: &mut Record, visit: &Visit, claim: &str, total_cents: u64) {
    let practitioner = reference(&visit.provider.practitioner);
    let patient = reference(&visit.patient);
    let claim_id = claim.trim_start_matches("urn:uuid:");
    let mut elements = json!({
        "contained": [
            {"resourceType": "ServiceRequest", "id": "referral", "status": "completed", "intent": "order",
             "subject": patient, "requester": practitioner, "performer": [practitioner]},
            {"resourceType": "Coverage", "id": "coverage", "status": "active", "type": {"text": INSURER},
             "beneficiary": patient, "payor": [{"display": INSURER}]},
        ],
        "identifier": [{"system": "https://bluebutton.cms.gov/resources/variables/clm_id", "value": claim_id}],
        "status": "active",
        "type": {"coding": [{"system": CLAIM_TYPE, "code": "institutional"}]},
        "use": "claim",
        "patient": patient,
        "billablePeriod": {"start": time_text(visit.end_ms), "end": time_text(visit.end_ms + 365 * DAY_MS)},
        "created": time_text(visit.end_ms + 7 * DAY_MS),
        "insurer": {"display": INSURER},
        "provider": practitioner,
        "referral": {"reference": "#referral"},
        "claim": reference(claim),
        "outcome": "complete",
        "insurance": [{"focal": true, "coverage": {"reference": "#coverage", "display": INSURER}}],
        "item": [visit_item(visit)],
        "total": [{"category": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/adjudication",
            "code": "submitted"}]}, "amount": money(total_cents)}],
        "payment": {"amount": money(total_cents * 4 / 5)},
    });
    if !visit.conditions.is_empty() {
        elements["diagnosis"] = diagnoses(visit).into();
    }
    record.add("ExplanationOfBenefit", elements);
}

fn claim_elements(visit: &Visit, kind: &str, cents: u64) -> Value {
    json!({
        "status": "active",
        "type": {"coding": [{"system": CLAIM_TYPE, "code": kind}]},
        "use": "claim",
        "patient": reference(&visit.patient),
        "billablePeriod": {"start": time_text(visit.start_ms), "end": time_text(visit.end_ms)},
        "created": time_text(visit.end_ms),
        "provider": reference(&visit.provider.organization),
        "priority": {"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/processpriority", "code": "normal"}]},
        "insurance": [{"sequence": 1, "focal": true, "coverage": {"display": INSURER}}],
        "total": money(cents),
    })
}

fn visit_item(visit: &Visit) -> Value {
    json!({"sequence": 1, "productOrService": concept(SNOMED, visit.kind.0, visit.kind.1),
           "encounter": [reference(&visit.encounter)]})
}

fn diagnoses(visit: &Visit) -> Vec<Value> {
    numbered(
        visit
            .conditions
            .iter()
            .map(|urn| json!({"diagnosisReference": reference(urn)})),
    )
}

/// Puts `sequence` before the other elements, counting from 1.
fn numbered(items: impl Iterator<Item = Value>) -> Vec<Value> {
    items
        .enumerate()
        .map(|(at, mut item)| {
            let mut numbered = json!({"sequence": at + 1});
            if let (Some(all), Some(elements)) = (numbered.as_object_mut(), item.as_object_mut()) {
                all.append(elements);
            }
            numbered
        })
        .collect()
}

fn money(cents: u64) -> Value {
    json!({"value": decimal(cents, 2), "currency": "USD"})
}
