//! `Patient/[id]/$ccd`: a CCD (C-CDA R2.1) of what is known here and at other members, as far as consents allow. It is answered
//! as XML; errors as everywhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use interop::ccda::{Record, ccd};
use interop::fhir::ResourceType;
use serde_json::Value;

use super::summary::Gathered;
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::caller::Caller;
use crate::problem::Problem;

pub(crate) async fn continuity_of_care(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
) -> Result<Response, Problem> {
    let id = address.patient()?;
    let Gathered {
        patient,
        opened,
        gaps,
    } = fhir.gather(&caller, &id).await?;
    let home = &fhir.identity.member;
    let shown = opened.iter().map(|one| {
        let mut resource = one.presented();
        if one.member != *home {
            forget_names(&mut resource);
        }
        resource
    });
    let mut resources: Vec<Value> = shown.collect();
    resources.extend(fhir.named(&caller, &resources).await);
    let issues = gaps.iter().flat_map(|gap| gap.outcome.issues());
    let gaps: Vec<String> = issues.map(|issue| issue.diagnostics.clone()).collect();
    let document = ccd(&Record {
        patient: &patient.presented(),
        resources: &resources,
        custodian: fhir.identity.member.as_str(),
        id: &uuid::Uuid::new_v4().to_string(),
        time_ms: i64::try_from(fhir.custody.now()).unwrap_or(i64::MAX),
        gaps: &gaps,
    });
    let xml = HeaderValue::from_static("application/cda+xml; charset=utf-8");
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, xml)], document).into_response())
}

/// Types that are no patient's, and that a document names.
const NAMED: [&str; 2] = ["Practitioner", "Organization"];
/// How many of them are read.
const NAMED_MAX: usize = 200;

impl Fhir {
    /// The practitioners and organizations of this member that resources name. Who may not be read, or is not there, stays a
    /// name.
    async fn named(&self, caller: &Caller, resources: &[Value]) -> Vec<Value> {
        let mut places = BTreeSet::new();
        for resource in resources {
            references(resource, &mut places);
        }
        let mut found = Vec::new();
        for (kind, id) in places.into_iter().take(NAMED_MAX) {
            let Some(kind) = ResourceType::parse(&kind) else {
                continue;
            };
            if caller.may(kind, Permission::Read).is_err() {
                continue;
            }
            if let Ok(opened) = self.custody.read(caller.requester(), kind, &id).await {
                found.push(opened.into_presented());
            }
        }
        found
    }
}

/// Takes away where practitioners and organizations of another member are: under the same id may be others here.
fn forget_names(value: &mut Value) {
    match value {
        Value::Object(object) => {
            let is_named = named_in(object.get("reference")).is_some();
            if is_named {
                object.remove("reference");
            }
            object.values_mut().for_each(forget_names);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_names),
        _ => {}
    }
}

/// The type and the id, if the type is one that is read.
fn named_in(reference: Option<&Value>) -> Option<(&str, &str)> {
    let place = reference?.as_str()?.split_once('/')?;
    NAMED.contains(&place.0).then_some(place)
}

/// The places of what is named, as type and id.
fn references(value: &Value, places: &mut BTreeSet<(String, String)>) {
    match value {
        Value::Object(object) => {
            if let Some((kind, id)) = named_in(object.get("reference")) {
                places.insert((kind.to_owned(), id.to_owned()));
            }
            for inner in object.values() {
                references(inner, places);
            }
        }
        Value::Array(items) => {
            for item in items {
                references(item, places);
            }
        }
        _ => {}
    }
}
