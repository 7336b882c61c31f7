//! `DocumentReference/$docref`: the documents of a patient
//! (<http://hl7.org/fhir/us/core/OperationDefinition/docref>). Documents are not made on demand.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::bundle::{Match, searchset};
use interop::fhir::search::{Handling, Query};
use interop::fhir::{Resource, TimeSpan};
use serde_json::Value;

use super::parameters::Given;
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::TypeAddress;
use crate::fhir::caller::Caller;
use crate::http::{Payload, fhir_json, pairs_of};
use crate::problem::Problem;

/// Documents that are answered at most.
const DOCUMENTS_MAX: usize = 1_000;

pub(crate) async fn docref(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: TypeAddress,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let given = pairs_of(query.as_deref().unwrap_or_default()).collect();
    fhir.docref(&caller, address, given).await
}

pub(crate) async fn docref_posted(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: TypeAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let given = Given::parse(&body)?;
    let mut pairs = Vec::new();
    for name in ["patient", "start", "end", "on-demand"] {
        let values = [
            "valueId",
            "valueString",
            "valueDateTime",
            "valueDate",
            "valueBoolean",
        ];
        if let Some(value) = given.value(name, &values) {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            pairs.push((name.to_owned(), text));
        }
    }
    let kind = given.value("type", &["valueCodeableConcept"]);
    let coding = kind.as_ref().and_then(|kind| kind.get("coding")?.get(0));
    if let Some(code) = coding.and_then(|coding| coding.get("code")?.as_str()) {
        let system = coding.and_then(|coding| coding.get("system")?.as_str());
        let token = format!("{}|{code}", system.unwrap_or_default());
        pairs.push(("type".to_owned(), token));
    }
    fhir.docref(&caller, address, pairs).await
}

impl Fhir {
    async fn docref(
        &self,
        caller: &Caller,
        TypeAddress(resource_type): TypeAddress,
        given: Vec<(String, String)>,
    ) -> Result<Response, Problem> {
        if resource_type.as_str() != "DocumentReference" {
            return Err(Problem::not_supported(
                "the operation is defined for DocumentReference",
            ));
        }
        caller.may(resource_type, Permission::Search)?;
        let (mut pairs, mut start, mut end) = (Vec::new(), None, None);
        for (name, value) in given {
            match name.as_str() {
                "patient" | "type" => pairs.push((name, value)),
                "start" => start = Some(value),
                "end" => end = Some(value),
                "on-demand" if value == "false" => {}
                "_format" | "_pretty" => {}
                _ => {
                    return Err(Problem::not_supported(
                        "the operation is supported with `patient`, `type`, `start` and `end`",
                    ));
                }
            }
        }
        let malformed = || Problem::malformed("`start` and `end` are times, the first one first");
        let span = match (start.as_deref(), end.as_deref()) {
            (None, None) => None,
            (start, end) => Some(TimeSpan::between(start, end).ok_or_else(malformed)?),
        };
        let mut query = Query::parse(resource_type, &pairs, Handling::Strict)?;
        if query.patients().is_none() {
            return Err(Problem::malformed("the parameter `patient` is missing"));
        }
        caller.may_search(&query)?;
        query.count = DOCUMENTS_MAX;
        let page = self.custody.search(caller.requester(), &query).await?;
        let mut matches = Vec::new();
        for opened in &page.matches {
            caller.may_touch(&opened.resource)?;
            if span.is_none_or(|span| is_within(&opened.resource, span)) {
                matches.push(Match {
                    full_url: self.full_url(opened),
                    resource: opened.presented(),
                });
            }
        }
        let link = format!("{}/DocumentReference/$docref", self.base);
        let body = searchset(Some(matches.len()), &[("self", link)], matches, &[]);
        Ok(fhir_json(StatusCode::OK, &body))
    }
}

/// Whether the care that the document is about, or else the document, is of this time.
fn is_within(document: &Resource, span: TimeSpan) -> bool {
    let period = document
        .get("context")
        .and_then(|context| context.get("period"));
    let own = match period {
        Some(period) => {
            let text = |name| period.get(name).and_then(Value::as_str);
            TimeSpan::between(text("start"), text("end"))
        }
        None => document
            .get("date")
            .and_then(Value::as_str)
            .and_then(TimeSpan::parse),
    };
    own.is_some_and(|own| own.overlaps(span))
}
