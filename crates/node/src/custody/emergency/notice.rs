//! What the patient is told of an emergency, and the task of whoever reviews it, as FHIR resources.
//!
//! Both are of restricted confidentiality: that there was an emergency is not for everybody who sees the index.

use contracts::emergency::Declaration;
use interop::fhir::timespan::format_instant;
use interop::fhir::{IssueType, Resource};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{EmergencyReview, EmergencyRow, NOTICE, OUTCOME, REVIEW, ReviewRow};
use crate::custody::CustodyError;
use crate::custody::write::invalid;

/// The system of codes of tasks.
pub const TASK_SYSTEM: &str = "urn:careledger:task";
/// The code of a review.
pub const REVIEW_CODE: &str = "break-glass-review";
/// Why breaking the glass was justified.
pub const JUSTIFIED: [&str; 3] = ["emergency-confirmed", "patient-agrees", "drill"];
/// Why it was not.
pub const NOT_JUSTIFIED: [&str; 4] = [
    "no-emergency",
    "not-involved-in-care",
    "more-than-needed",
    "not-documented",
];

const OUTCOME_SYSTEM: &str = "urn:careledger:break-glass-outcome";
const REASON_SYSTEM: &str = "urn:careledger:break-glass-outcome-reason";
const MEMBER_SYSTEM: &str = "urn:careledger:member";
const PURPOSES: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
const CATEGORIES: &str = "http://terminology.hl7.org/CodeSystem/communication-category";
const COMMENT_BYTES_MAX: usize = 4_000;

/// Whether a reviewer's finding has a reason of its kind.
pub(super) fn check_reason(review: &EmergencyReview) -> Result<(), CustodyError> {
    let known = if review.is_justified {
        JUSTIFIED.as_slice()
    } else {
        NOT_JUSTIFIED.as_slice()
    };
    if !known.contains(&review.reason.as_str()) {
        let why = "the reason is not one of this outcome";
        return Err(invalid(IssueType::CodeInvalid, why));
    }
    let comment = review.comment.as_deref().unwrap_or_default();
    if comment.len() > COMMENT_BYTES_MAX {
        return Err(invalid(IssueType::TooLong, "the comment is too long"));
    }
    Ok(())
}

/// The review: waiting, or done.
pub(super) fn task(row: &EmergencyRow) -> Result<Resource, CustodyError> {
    let declaration = &row.declaration;
    let changed = row.review.as_ref().map(|review| instant(review.at));
    let authored = format_instant(declaration.emergency.from);
    let mut task = json!({
        "resourceType": "Task",
        "id": named(REVIEW, declaration),
        "meta": restricted(),
        "status": "requested",
        "intent": "order",
        "priority": "urgent",
        "code": { "coding": [{ "system": TASK_SYSTEM, "code": REVIEW_CODE }] },
        "description": "Review of a declared emergency",
        "focus": { "reference": format!("Communication/{}", named(NOTICE, declaration)) },
        "for": { "reference": format!("Patient/{}", row.patient_id) },
        "authoredOn": authored,
        "lastModified": changed.unwrap_or(authored),
        "requester": member(row.requester.as_str()),
        "performerType": [{ "coding": [{ "system": TASK_SYSTEM, "code": "privacy-officer" }] }],
        "reasonCode": reason(declaration),
        "restriction": { "period": { "end": instant(row.deadline) } },
        "input": inputs(row),
    });
    if let Some(review) = &row.review {
        close(&mut task, review);
    }
    resource(task)
}

fn inputs(row: &EmergencyRow) -> Vec<Value> {
    let declaration = &row.declaration;
    let types: Vec<&str> = declaration.types.iter().map(String::as_str).collect();
    let input = |name: &str, text: &str| json!({ "type": { "text": name }, "valueString": text });
    let mut inputs = vec![
        input("practitioner", &row.practitioner),
        input("personnel", &declaration.personnel),
        input("affiliation", &declaration.affiliation),
        input("discloser", &declaration.discloser),
        input("nature", &declaration.nature),
        input("types", &types.join(" ")),
        json!({ "type": { "text": "span" }, "valuePeriod": {
            "start": format_instant(declaration.emergency.from),
            "end": format_instant(declaration.emergency.until),
        } }),
    ];
    let justification = declaration.justification.iter();
    inputs.extend(justification.map(|text| input("justification", text)));
    inputs
}

fn close(task: &mut Value, review: &ReviewRow) {
    let coded =
        |system: &str, code: &str| json!({ "coding": [{ "system": system, "code": code }] });
    let outcome = if review.is_justified {
        "justified"
    } else {
        "not-justified"
    };
    task["status"] = "completed".into();
    task["businessStatus"] = coded(OUTCOME_SYSTEM, outcome);
    task["statusReason"] = coded(REASON_SYSTEM, &review.reason);
    task["executionPeriod"] = json!({ "end": instant(review.at) });
    let mut output = vec![
        json!({ "type": { "text": "reviewer" }, "valueString": review.by }),
        json!({ "type": { "text": "outcome" },
            "valueCodeableConcept": coded(OUTCOME_SYSTEM, outcome) }),
    ];
    let comment = review.comment.iter();
    output
        .extend(comment.map(|text| json!({ "type": { "text": "comment" }, "valueString": text })));
    task["output"] = output.into();
}

/// What the patient is told at once.
pub(super) fn notice(row: &EmergencyRow) -> Result<Resource, CustodyError> {
    let Declaration {
        emergency,
        personnel,
        affiliation,
        discloser,
        nature,
        types,
        ..
    } = &row.declaration;
    let types: Vec<&str> = types.iter().map(String::as_str).collect();
    let text = format!(
        "An emergency was declared for you: {personnel}, {affiliation}, may open your records at {discloser} without \
         your consent, by the rule `network/break-glass`, from {} until {}. Nature of the emergency: {nature}. Kinds of \
         records: {}. Each opening is in your access history. Somebody else reviews this until {}; you are told what \
         was found.",
        format_instant(emergency.from),
        format_instant(emergency.until),
        types.join(", "),
        instant(row.deadline),
    );
    let sent = format_instant(emergency.from);
    communication(row, &named(NOTICE, &row.declaration), &sent, &text)
}

/// What the patient is told of the review.
pub(super) fn outcome(row: &EmergencyRow) -> Result<Resource, CustodyError> {
    let (found, at) = match &row.review {
        Some(review) if review.is_justified => ("was justified", review.at),
        Some(review) => ("was not justified, and has ended", review.at),
        None => return Err(CustodyError::NotFound),
    };
    let reason = row.review.as_ref().map(|review| review.reason.as_str());
    let text = format!(
        "The emergency that was declared for you on {} by {}, {}, was reviewed: it {found} ({}).",
        format_instant(row.declaration.emergency.from),
        row.declaration.personnel,
        row.declaration.affiliation,
        reason.unwrap_or_default(),
    );
    communication(row, &named(OUTCOME, &row.declaration), &instant(at), &text)
}

fn communication(
    row: &EmergencyRow,
    id: &str,
    sent: &str,
    text: &str,
) -> Result<Resource, CustodyError> {
    let patient = json!({ "reference": format!("Patient/{}", row.patient_id) });
    let review = format!("Task/{}", named(REVIEW, &row.declaration));
    resource(json!({
        "resourceType": "Communication",
        "id": id,
        "meta": restricted(),
        "status": "completed",
        "category": [{ "coding": [{ "system": CATEGORIES, "code": "notification" }] }],
        "priority": "urgent",
        "subject": patient,
        "about": [{ "reference": review }],
        "sent": sent,
        "recipient": [patient],
        "sender": member(&row.declaration.discloser),
        "reasonCode": [reason(&row.declaration)],
        "payload": [{ "contentString": text }],
    }))
}

fn named(prefix: &str, declaration: &Declaration) -> String {
    format!("{prefix}{}", Uuid::from_bytes(declaration.id.0))
}

fn restricted() -> Value {
    json!({ "security": [{ "system": CONFIDENTIALITY, "code": "R" }] })
}

fn reason(declaration: &Declaration) -> Value {
    let code = &declaration.emergency.reason;
    json!({ "coding": [{ "system": PURPOSES, "code": code }] })
}

fn member(name: &str) -> Value {
    json!({ "type": "Organization", "identifier": { "system": MEMBER_SYSTEM, "value": name } })
}

fn instant(at: u64) -> String {
    format_instant(i64::try_from(at).unwrap_or(i64::MAX))
}

fn resource(value: Value) -> Result<Resource, CustodyError> {
    // INVARIANT: what is made here keeps to R4, which a test holds it against.
    Resource::from_value(value)
        .map_err(|_| CustodyError::Storage("a notice does not keep to R4".to_owned()))
}
