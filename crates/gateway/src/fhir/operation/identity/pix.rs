//! `Patient/$ihe-pix`: the other identifiers of the person with one
//! (<https://profiles.ihe.net/ITI/PIXm/ITI-83.html>). A person's identifiers are those of the Patient and of those into
//! which it was merged, that were merged into it, or that are linked with it, as far as the caller may see them.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::ResourceType;
use interop::fhir::search::{Handling, Query};
use interop::identity::links::linked_to;
use node::custody::Opened;
use serde_json::{Value, json};

use super::of_patients;
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::TypeAddress;
use crate::fhir::caller::Caller;
use crate::fhir::operation::parameters::parameters;
use crate::http::{fhir_json, pairs_of};
use crate::problem::Problem;

/// Patients of one person at most.
const PATIENTS_MAX: usize = 64;

pub(crate) async fn pix(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    of_patients(resource_type)?;
    caller.may(resource_type, Permission::Search)?;
    let mut source = None;
    let mut targets = BTreeSet::new();
    for (name, value) in pairs_of(query.as_deref().unwrap_or_default()) {
        match name.as_str() {
            "sourceIdentifier" => source = Some(value),
            "targetSystem" => targets.extend(value.split(',').map(str::to_owned)),
            "_format" => {}
            _ => {
                return Err(Problem::malformed(
                    "the operation takes `sourceIdentifier` and `targetSystem`",
                ));
            }
        }
    }
    let source = source.filter(|source| {
        let parts = source.split_once('|');
        parts.is_some_and(|(system, value)| !system.is_empty() && !value.is_empty())
    });
    let source = source.ok_or_else(|| {
        Problem::malformed("the parameter `sourceIdentifier` must be there, as system|value")
    })?;
    let mut person = fhir.patients_by(&caller, "identifier", &source).await?;
    if person.is_empty() {
        return Err(Problem::not_found());
    }
    fhir.follow_links(&caller, &mut person).await?;
    let mut answer = Vec::new();
    for patient in &person {
        answer.extend(identifiers(patient, &source, &targets));
    }
    for patient in &person {
        let reference = fhir.full_url(patient);
        answer.push(json!({ "name": "targetId", "valueReference": { "reference": reference } }));
    }
    answer.dedup();
    Ok(fhir_json(StatusCode::OK, &parameters(answer)))
}

impl Fhir {
    async fn patients_by(
        &self,
        caller: &Caller,
        parameter: &str,
        value: &str,
    ) -> Result<Vec<Opened>, Problem> {
        let pairs = [(parameter.to_owned(), value.to_owned())];
        let mut query = Query::parse(ResourceType::PATIENT, &pairs, Handling::Strict)?;
        caller.may_search(&query)?;
        query.count = PATIENTS_MAX;
        let page = self.custody.search(caller.requester(), &query).await?;
        Ok(page.matches)
    }

    /// Adds the patients that are linked with these, and so on.
    async fn follow_links(&self, caller: &Caller, person: &mut Vec<Opened>) -> Result<(), Problem> {
        let mut known: BTreeSet<String> = person.iter().map(|one| one.id.clone()).collect();
        let mut at = 0;
        while let Some(one) = person.get(at) {
            at += 1;
            let value = one.resource.clone().into_value();
            let new: Vec<String> = linked_to(&value)
                .filter(|id| known.insert((*id).to_owned()))
                .map(str::to_owned)
                .collect();
            if known.len() > PATIENTS_MAX {
                return Err(Problem::unprocessable("too many patients are linked"));
            }
            if !new.is_empty() {
                person.extend(self.patients_by(caller, "_id", &new.join(",")).await?);
            }
        }
        for one in person.iter() {
            caller.may_touch(&one.resource)?;
        }
        Ok(())
    }
}

/// The identifiers of a Patient in the wanted systems, but for the one that was asked with.
fn identifiers(patient: &Opened, source: &str, targets: &BTreeSet<String>) -> Vec<Value> {
    let all = patient.resource.get("identifier").and_then(Value::as_array);
    let all = all.into_iter().flatten().filter(|one| {
        let system = one["system"].as_str().unwrap_or_default();
        let value = one["value"].as_str().unwrap_or_default();
        let is_wanted = targets.is_empty() || targets.contains(system);
        is_wanted && !value.is_empty() && format!("{system}|{value}") != source
    });
    all.map(|one| {
        let plain = json!({ "system": one["system"], "value": one["value"] });
        json!({ "name": "targetIdentifier", "valueIdentifier": plain })
    })
    .collect()
}
