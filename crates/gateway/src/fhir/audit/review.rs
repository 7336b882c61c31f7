//! `AuditEvent/$gaps` and `AuditEvent/$replay`: whether the log is complete, and whether decisions come out the same.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::TimeSpan;
use ledger::ids::Height;
use node::custody::audit::gaps::{Gap, GapReport};
use node::custody::audit::replay::{Finding, ReplayRange, ReplayReport, replay_range};
use serde_json::{Value, json};

use super::must_audit;
use crate::fhir::Fhir;
use crate::fhir::caller::Caller;
use crate::http::{fhir_json, pairs_of};
use crate::problem::Problem;

pub(crate) async fn gaps(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
) -> Result<Response, Problem> {
    must_audit(&caller)?;
    let mut own = caller.requester().audited("gaps");
    "AuditEvent/$gaps".clone_into(&mut own.target);
    fhir.custody.audit(own).await?;
    let held = fhir.custody.held().await?;
    let found =
        tokio::task::spawn_blocking(move || node::custody::audit::gaps::gaps(&held, |_| {}));
    let report = found.await.map_err(|_| Problem::internal("gaps"))??;
    Ok(fhir_json(StatusCode::OK, &gaps_as_parameters(&report)))
}

pub(crate) async fn replay(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    must_audit(&caller)?;
    let range = range(query.as_deref().unwrap_or_default())?;
    let mut own = caller.requester().audited("replay");
    "AuditEvent/$replay".clone_into(&mut own.target);
    fhir.custody.audit(own).await?;
    let held = fhir.custody.held().await?;
    let report = replay_range(&held, range, |_| {}).await?;
    Ok(fhir_json(StatusCode::OK, &replay_as_parameters(&report)))
}

/// `from` and `to`: heights, or dates.
fn range(query: &str) -> Result<ReplayRange, Problem> {
    let pairs: Vec<(String, String)> = pairs_of(query).collect();
    let value = |name: &str| {
        let found = pairs.iter().find(|(one, _)| one == name);
        found.map(|(_, value)| value.as_str())
    };
    let (from, to) = (value("from"), value("to"));
    let malformed = || Problem::malformed("`from` and `to` are heights, or dates");
    let is_height =
        |text: Option<&str>| text.is_none_or(|text| text.parse::<u64>().is_ok() && text.len() != 4);
    if is_height(from) && is_height(to) && (from.is_some() || to.is_some()) {
        let height =
            |text: Option<&str>, open| text.and_then(|one| one.parse().ok()).unwrap_or(open);
        return Ok(ReplayRange::Heights(
            Height(height(from, 0)),
            Height(height(to, u64::MAX)),
        ));
    }
    let span = TimeSpan::between(from, to);
    if span.is_none() && (from.is_some() || to.is_some()) {
        return Err(malformed());
    }
    let at = |ms: i64| u64::try_from(ms).unwrap_or(0);
    Ok(span.map_or(ReplayRange::Times(0, u64::MAX), |span| {
        let until = if to.is_some() {
            at(span.end_ms)
        } else {
            u64::MAX
        };
        ReplayRange::Times(at(span.start_ms), until)
    }))
}

fn count(name: &str, number: u64) -> Value {
    json!({ "name": name, "valueDecimal": number })
}

fn text(name: &str, value: &str) -> Value {
    json!({ "name": name, "valueString": value })
}

fn gaps_as_parameters(report: &GapReport) -> Value {
    let mut parameters = vec![
        json!({ "name": "complete", "valueBoolean": report.gaps.is_empty() }),
        count("anchored", report.anchored),
        count("waiting", report.waiting),
        count("beforeLog", report.before_log),
        count("events", report.events),
        count("covered", report.covered),
    ];
    parameters.extend(
        report
            .gaps
            .iter()
            .map(|gap| json!({ "name": "gap", "part": parts(gap) })),
    );
    json!({ "resourceType": "Parameters", "parameter": parameters })
}

fn parts(gap: &Gap) -> Vec<Value> {
    let mut parts = vec![text("kind", gap.kind.name())];
    parts.extend(
        gap.patient
            .iter()
            .map(|id| text("patient", &format!("Patient/{id}"))),
    );
    parts.extend(gap.position.map(|position| count("position", position)));
    parts.extend(gap.number.map(|number| count("number", number)));
    parts.extend(gap.version.iter().map(|version| text("version", version)));
    parts
}

fn replay_as_parameters(report: &ReplayReport) -> Value {
    let mut parameters = vec![
        count("decisions", report.decisions),
        count("same", report.same),
        count("erased", report.erased),
    ];
    let lists = [
        ("diverged", &report.diverged),
        ("inputsMissing", &report.inputs_missing),
        ("unanswered", &report.unanswered),
    ];
    for (name, list) in lists {
        let found = list
            .iter()
            .map(|one| json!({ "name": name, "part": told(one) }));
        parameters.extend(found);
    }
    json!({ "resourceType": "Parameters", "parameter": parameters })
}

fn told(found: &Finding) -> Vec<Value> {
    let at = i64::try_from(found.at).unwrap_or(i64::MAX);
    let mut parts = vec![
        count("position", found.position),
        text("principal", &found.principal),
        text("purpose", &found.purpose),
        text("interaction", &found.interaction),
        text("target", &found.target),
        json!({ "name": "at", "valueInstant": interop::fhir::timespan::format_instant(at) }),
        text("what", &found.what),
    ];
    parts.extend(
        found
            .patient
            .iter()
            .map(|id| text("patient", &format!("Patient/{id}"))),
    );
    parts
}
