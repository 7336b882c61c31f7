//! `Patient/[id]/$break-glass`: a practitioner declares an emergency.
//!
//! In: `reason` (v3-ActReason), `justification`, `nature`; if wished `minutes`, `type` (repeated), `personnel`, `affiliation`,
//! `discloser`; from a system `assertion`. Out: a token as RFC 6749 has it, and what was declared.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use contracts::emergency::Declaration;
use interop::fhir::timespan::format_instant;
use interop::fhir::{IssueType, ResourceType};
use node::custody::EmergencyAsk;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Desk;
use crate::auth::{NotFresh, Permission};
use crate::fhir::{Caller, Given, parameters, text};
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

/// The purposes of use of whoever treats patients.
const CARE: [&str; 3] = ["TREAT", "ETREAT", "BTG"];

pub(super) async fn declare(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(patient_id): Path<String>,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    may_declare(&caller)?;
    let given = Given::parse(&body)?;
    let assertion = given.string("assertion")?;
    let ask = desk.asked(&caller, &patient_id, &given).await?;
    // Last: an assertion that was used is used up.
    let url = format!("{}/Patient/{patient_id}/$break-glass", desk.base);
    let fresh = desk
        .auth
        .stepped_up(caller.token(), assertion.as_deref(), &url);
    fresh.await.map_err(Problem::step_up)?;
    let declaration = desk
        .custody
        .declare_emergency(caller.requester(), ask)
        .await?;
    let opened = (declaration.id, &*patient_id, declaration.emergency.until);
    let types = declaration.types.iter().cloned();
    let token = desk.auth.emergency_token(caller.token(), opened, types);
    let token = token.map_err(|_| Problem::unavailable("the authorization server"))?;
    let mut response = fhir_json(StatusCode::OK, &answer(&declaration, &token));
    let no_store = header::HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    Ok(response.into_response())
}

fn may_declare(caller: &Caller) -> Result<(), Problem> {
    let by = caller.requester();
    caller.may(ResourceType::PATIENT, Permission::Read)?;
    if by.patient.is_some() || by.related.is_some() || by.practitioner.is_none() {
        return Err(Problem::forbidden(
            "an emergency is declared by a practitioner",
        ));
    }
    if !CARE.contains(&by.purpose.as_str()) || by.emergency.is_some() {
        return Err(Problem::forbidden(
            "an emergency is declared with a token for treatment",
        ));
    }
    Ok(())
}

impl Desk {
    async fn asked(
        &self,
        caller: &Caller,
        patient_id: &str,
        given: &Given,
    ) -> Result<EmergencyAsk, Problem> {
        let required = |name: &'static str| {
            let said = given.string(name)?.filter(|text| !text.trim().is_empty());
            said.ok_or_else(|| missing(name))
        };
        let member = || self.auth.member().to_string();
        let personnel = match given.string("personnel")? {
            Some(said) => said,
            None => self.personnel(caller).await,
        };
        Ok(EmergencyAsk {
            patient_id: patient_id.to_owned(),
            reason: required("reason")?,
            lasts_ms: self.lasts_ms(given)?,
            personnel,
            affiliation: given.string("affiliation")?.unwrap_or_else(member),
            discloser: given.string("discloser")?.unwrap_or_else(member),
            nature: required("nature")?,
            types: self.types(given)?,
            justification: required("justification")?,
        })
    }

    fn lasts_ms(&self, given: &Given) -> Result<i64, Problem> {
        let elements = ["valuePositiveInt", "valueInteger", "valueUnsignedInt"];
        let minutes = match given.value("minutes", &elements) {
            None => self.config.minutes,
            Some(said) => said.as_u64().unwrap_or(0),
        };
        if !(1..=self.config.minutes_max).contains(&minutes) {
            let most = self.config.minutes_max;
            let why = format!("an emergency is declared for 1 to {most} minutes");
            return Err(Problem::unprocessable(why));
        }
        Ok(i64::try_from(minutes.saturating_mul(60_000)).unwrap_or(i64::MAX))
    }

    fn types(&self, given: &Given) -> Result<BTreeSet<String>, Problem> {
        let said = given.all("type", &["valueCode", "valueString"]);
        if said.is_empty() {
            return Ok(self.config.types.iter().cloned().collect());
        }
        let known = |one: &Value| {
            let name = one.as_str().and_then(ResourceType::parse);
            name.map(|name| name.as_str().to_owned())
        };
        let types: Option<BTreeSet<String>> = said.iter().map(known).collect();
        types.ok_or_else(|| Problem::malformed("the parameter `type` is a resource type of R4"))
    }

    /// The practitioner by name, where the directory has one.
    async fn personnel(&self, caller: &Caller) -> String {
        let reference = caller.requester().practitioner.clone().unwrap_or_default();
        let (Some(kind), Some(id)) = (
            ResourceType::parse("Practitioner"),
            reference.strip_prefix("Practitioner/"),
        ) else {
            return reference;
        };
        let found = self.custody.read(caller.requester(), kind, id).await;
        let name = found.ok().and_then(|found| named(&found.presented()));
        name.map_or(reference.clone(), |name| format!("{name} ({reference})"))
    }
}

fn named(practitioner: &Value) -> Option<String> {
    let name = practitioner.pointer("/name/0")?;
    if let Some(text) = name.get("text").and_then(Value::as_str) {
        return Some(text.to_owned());
    }
    let given = name.get("given").and_then(Value::as_array);
    let mut parts: Vec<&str> = given
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    parts.extend(name.get("family").and_then(Value::as_str));
    (!parts.is_empty()).then(|| parts.join(" "))
}

fn missing(name: &str) -> Problem {
    let why = format!("the parameter `{name}` is missing: an emergency is not declared without it");
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, IssueType::Required, why)
}

fn answer(declaration: &Declaration, token: &Value) -> Value {
    let id = Uuid::from_bytes(declaration.id.0);
    let said = |name: &str| text(name, token[name].as_str().unwrap_or_default());
    let types = declaration.types.iter();
    let mut parts = vec![
        text("emergency", id.to_string()),
        said("access_token"),
        said("token_type"),
        json!({ "name": "expires_in", "valueUnsignedInt": token["expires_in"] }),
        said("scope"),
        json!({ "name": "until",
            "valueInstant": format_instant(declaration.emergency.until) }),
        json!({ "name": "review",
            "valueReference": { "reference": format!("Task/break-glass-review-{id}") } }),
    ];
    parts.extend(types.map(|name| json!({ "name": "type", "valueCode": name })));
    parameters(parts)
}

impl Problem {
    /// RFC 9470.
    fn step_up(not_fresh: NotFresh) -> Self {
        match not_fresh {
            NotFresh::Unavailable => Self::unavailable("the authorization server"),
            _ => Self::insufficient_authentication(&not_fresh.to_string()),
        }
    }
}
