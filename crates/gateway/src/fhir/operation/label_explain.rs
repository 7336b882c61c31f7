//! `$label-explain`: which rules give a resource its security labels, and by what in it.
//!
//! Of an instance for whoever may read it, on record as a read; of a resource that is sent, which is not stored, by its
//! own content alone: what it refers to stays unsaid.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::Resource;
use interop::fhir::labels::{Cause, Finding};
use node::custody::Explanation;
use serde_json::{Value, json};

use super::parameters::{parameters, text};
use crate::auth::Permission;
use crate::fhir::address::{InstanceAddress, TypeAddress};
use crate::fhir::caller::Caller;
use crate::fhir::{Fhir, limits};
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

pub(crate) async fn label_explain(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
) -> Result<Response, Problem> {
    caller.may(resource_type, Permission::Read)?;
    caller.may_address(resource_type, &id)?;
    let by = caller.requester();
    let opened = fhir.custody.read(by, resource_type, &id).await?;
    caller.may_touch(&opened.resource)?;
    let place = Some((resource_type, id.as_str()));
    let explained = fhir.custody.explain_labels(&opened.resource, place)?;
    Ok(fhir_json(StatusCode::OK, &said(&explained)))
}

pub(crate) async fn label_explain_posted(
    State(fhir): State<Arc<Fhir>>,
    _caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let resource = Resource::parse_as(resource_type, &body, &limits())?;
    let explained = fhir.custody.explain_labels(&resource, None)?;
    Ok(fhir_json(StatusCode::OK, &said(&explained)))
}

fn said(explained: &Explanation) -> Value {
    let mut all = vec![text("rules", explained.digest.to_string())];
    let versions = explained.versions.iter();
    all.extend(versions.map(|version| text("version", version)));
    let labels = explained.labels.iter();
    all.extend(labels.filter_map(|label| {
        let (system, code) = label.rsplit_once('|')?;
        Some(json!({ "name": "label", "valueCoding": coding(system, code) }))
    }));
    all.extend(explained.findings.iter().map(finding));
    parameters(all)
}

fn finding(finding: &Finding) -> Value {
    let label = coding(finding.label.system(), finding.label.code());
    let certainty = if finding.possible {
        "possible"
    } else {
        "certain"
    };
    let mut part = vec![
        json!({ "name": "label", "valueCoding": label }),
        text("path", &finding.path),
        json!({ "name": "certainty", "valueCode": certainty }),
    ];
    part.extend(cause(&finding.cause));
    part.push(text("explanation", in_words(finding)));
    json!({ "name": "finding", "part": part })
}

fn cause(cause: &Cause) -> Vec<Value> {
    match cause {
        Cause::Rule {
            set,
            id,
            system,
            met,
        } => {
            let met = match system {
                Some(system) => json!({ "name": "code", "valueCoding": coding(system, met) }),
                None => text("met", met),
            };
            vec![text("ruleSet", set), text("rule", id), met]
        }
        Cause::Security { system, code } if code.is_empty() && system.is_empty() => Vec::new(),
        Cause::Security { system, code } => {
            vec![json!({ "name": "code", "valueCoding": coding(system, code) })]
        }
        Cause::Inherited { from } => {
            vec![json!({ "name": "from", "valueReference": { "reference": from } })]
        }
    }
}

/// An empty string is not FHIR.
fn coding(system: &str, code: &str) -> Value {
    match (system, code) {
        ("", code) => json!({ "code": code }),
        (system, "") => json!({ "system": system }),
        (system, code) => json!({ "system": system, "code": code }),
    }
}

fn in_words(finding: &Finding) -> String {
    let (label, path) = (finding.label.code(), &finding.path);
    let why = match &finding.cause {
        Cause::Rule { set, id, .. } => format!("rule `{id}` of rule set `{set}` met {path}"),
        Cause::Security { .. } => format!("a security label is at {path}"),
        Cause::Inherited { from } => format!("{path} refers to {from}, which has it"),
    };
    if finding.possible {
        format!("possibly {label}, restricted until a person has looked: {why}")
    } else {
        format!("{label}: {why}")
    }
}
