//! `Observation/$lastn`: the latest observations of each code
//! (<https://hl7.org/fhir/R4/observation-operation-lastn.html>).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::bundle::{Match, searchset};
use interop::fhir::search::{Handling, Query};
use node::custody::Opened;
use serde_json::Value;

use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::TypeAddress;
use crate::fhir::caller::Caller;
use crate::http::{fhir_json, pairs_of};
use crate::problem::Problem;

/// Observations that are looked through at most.
const LOOKED_AT_MAX: usize = 10_000;

pub(crate) async fn lastn(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    if resource_type.as_str() != "Observation" {
        return Err(Problem::not_supported(
            "the operation is defined for Observation",
        ));
    }
    caller.may(resource_type, Permission::Search)?;
    let mut max = 1;
    let mut pairs = Vec::new();
    for (name, value) in pairs_of(query.as_deref().unwrap_or_default()) {
        match name.as_str() {
            "max" => {
                let given = value.parse().ok().filter(|max| *max > 0);
                max = given.ok_or_else(|| {
                    Problem::malformed("the parameter `max` is not a number from 1 on")
                })?;
            }
            "_sort" | "_count" => {}
            _ => pairs.push((name, value)),
        }
    }
    pairs.push(("_sort".to_owned(), "-date".to_owned()));
    let mut query = Query::parse(resource_type, &pairs, Handling::Strict)?;
    if query.patients().is_none() {
        return Err(Problem::malformed(
            "the operation takes `patient` or `subject`",
        ));
    }
    caller.may_search(&query)?;
    query.count = LOOKED_AT_MAX;
    let page = fhir.custody.search(caller.requester(), &query).await?;
    if page.further.is_some() {
        let diagnostics =
            format!("more than {LOOKED_AT_MAX} observations match; name a code or a category");
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            interop::fhir::IssueType::TooCostly,
            diagnostics,
        ));
    }
    for opened in &page.matches {
        caller.may_touch(&opened.resource)?;
    }
    let latest = latest(&page.matches, max);
    let total = Some(latest.len());
    let matches = latest.iter().map(|opened| Match {
        full_url: fhir.full_url(opened),
        resource: opened.presented(),
    });
    let link = format!("{}/Observation/$lastn", fhir.base);
    let body = searchset(total, &[("self", link)], matches.collect(), &[]);
    Ok(fhir_json(StatusCode::OK, &body))
}

/// The first `max` of each code, of observations in the order of time, the latest first; what has the same time as the
/// last of them is there too.
fn latest(observations: &[Opened], max: usize) -> Vec<&Opened> {
    let mut by_code: BTreeMap<String, Vec<&Opened>> = BTreeMap::new();
    for opened in observations {
        let of_code = by_code.entry(code_of(opened)).or_default();
        let ties = of_code
            .last()
            .is_some_and(|last| time_of(last).is_some() && time_of(last) == time_of(opened));
        if of_code.len() < max || ties {
            of_code.push(opened);
        }
    }
    by_code.into_values().flatten().collect()
}

fn code_of(opened: &Opened) -> String {
    let code = opened.resource.get("code");
    let coding = code.and_then(|code| code.get("coding")?.get(0));
    match coding {
        Some(coding) => format!("{}|{}", coding["system"], coding["code"]),
        None => code
            .and_then(|code| code.get("text"))
            .map(Value::to_string)
            .unwrap_or_default(),
    }
}

fn time_of(opened: &Opened) -> Option<&Value> {
    ["effectiveDateTime", "effectiveInstant", "effectivePeriod"]
        .iter()
        .find_map(|name| opened.resource.get(name))
}
