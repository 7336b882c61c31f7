//! The extension `ihe_pcf` of access tokens (IHE PCF, update to ITI-71, 3.71.4.2.2.1.4): what the consents of the patient
//! in context say for the bearer when the token is issued.
//!
//! It is for those who enforce consents beside this node. Here each request is decided by itself, by the consents of that
//! moment.

use contracts::consent::{Considered, Data, Kind, Meaning, Residual, Span};
use interop::fhir::labels::Label;
use interop::fhir::timespan::format_instant;
use ledger::ids::MemberName;
use serde_json::{Map, Value, json};

/// The claim `extensions`; consents that were filed at other members are named by a URN.
pub(super) fn extensions(member: &MemberName, patient: &str, considered: &Considered) -> Value {
    let consents = considered
        .consents
        .iter()
        .map(|name| match name.split_once('/') {
            Some((home, id)) if home == member.as_str() => json!(format!("Consent/{id}")),
            _ => json!(format!("urn:careledger:consent:{name}")),
        });
    let mut pcf = json!({
        "patient_id": format!("Patient/{patient}"),
        "doc_id": consents.collect::<Vec<Value>>(),
    });
    let residual: Vec<Value> = considered.residual.iter().map(residual).collect();
    if !residual.is_empty() {
        pcf["residual"] = residual.into();
    }
    json!({ "ihe_pcf": pcf })
}

fn residual(one: &Residual) -> Value {
    let mut said = Map::new();
    let kind = match one.kind {
        Kind::Permit => "permit",
        Kind::Deny => "forbid",
    };
    said.insert("type".to_owned(), kind.into());
    if !one.labels.is_empty() {
        let labels = one.labels.iter().map(|code| coding(code));
        said.insert("securityLabel".to_owned(), labels.collect());
    }
    if let Some(span) = one.data_period {
        said.insert("dataPeriod".to_owned(), period(span));
    }
    if !one.data.is_empty() {
        said.insert("data".to_owned(), one.data.iter().map(data).collect());
    }
    said.into()
}

fn coding(code: &str) -> Value {
    match Label::parse(code) {
        Some(label) => json!({ "system": label.system(), "code": code }),
        None => json!({ "code": code }),
    }
}

/// A Period, whose end belongs to it.
fn period(span: Span) -> Value {
    let mut period = Map::new();
    let last = span.end.map(|end| end.saturating_sub(1));
    for (name, at) in [("start", span.start), ("end", last)] {
        period.extend(at.map(|at| (name.to_owned(), Value::from(format_instant(at)))));
    }
    period.into()
}

fn data(one: &Data) -> Value {
    let meaning = match one.meaning {
        Meaning::Instance => "instance",
        Meaning::Dependents => "dependents",
        Meaning::AuthoredBy => "authoredby",
    };
    let reference = match one.reference.split_once('|') {
        Some((system, value)) => json!({ "identifier": { "system": system, "value": value } }),
        None => json!({ "reference": one.reference }),
    };
    json!({ "meaning": meaning, "reference": reference })
}
