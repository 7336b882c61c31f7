//! Retrieve ATNA Audit Event (ITI-81): by date, patient and what else R4 has for `AuditEvent`.
//!
//! An auditor names a date range: without one a search would go over years, and national profiles refuse it.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::audit::events;
use interop::fhir::bundle::{Match, searchset};
use interop::fhir::search::{Handling, IndexTerms, NoValueSets, Query, Scope};
use interop::fhir::{IssueType, Resource, ResourceType, TimeSpan};
use node::custody::audit::AuditWanted;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Seen, seen};
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::caller::Caller;
use crate::fhir::preferences::Preferences;
use crate::fhir::search::expired;
use crate::http::{FormPairs, fhir_json, pairs_of};
use crate::problem::Problem;

const CURSOR: &str = "_cursor";
const PATH: &str = "AuditEvent";
/// Entries that are read at once.
const AT_ONCE: usize = 256;
/// Entries that one page looks at; a page may have fewer events than asked for, and a further one then.
const EXAMINED_MAX: usize = 20_000;

/// A further page.
#[derive(Serialize, Deserialize)]
struct Place {
    pairs: Vec<(String, String)>,
    before: u64,
}

type Pairs = Vec<(String, String)>;

pub(crate) async fn search(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    preferences: Preferences,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let pairs = query.iter().flat_map(|query| pairs_of(query)).collect();
    fhir.find_events(&caller, preferences, pairs).await
}

pub(crate) async fn search_by_form(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    preferences: Preferences,
    RawQuery(query): RawQuery,
    FormPairs(form): FormPairs,
) -> Result<Response, Problem> {
    let mut pairs: Pairs = query.iter().flat_map(|query| pairs_of(query)).collect();
    pairs.extend(form);
    fhir.find_events(&caller, preferences, pairs).await
}

impl Fhir {
    async fn find_events(
        &self,
        caller: &Caller,
        preferences: Preferences,
        pairs: Pairs,
    ) -> Result<Response, Problem> {
        let seen = seen(caller, Permission::Search)?;
        let cursor = pairs.iter().find(|(name, _)| name == CURSOR);
        let (pairs, before) = match cursor {
            None => (pairs, u64::MAX),
            Some((_, text)) => {
                let place: Option<Place> = self.cursors.open(caller.client(), PATH, text);
                let place = place.ok_or_else(expired)?;
                (place.pairs, place.before)
            }
        };
        let pairs = self.with_patients(caller, pairs).await?;
        let scope = Scope::Type(ResourceType::AUDIT_EVENT);
        let query = Query::read(&scope, &pairs, preferences.handling, &NoValueSets)?;
        let query = query.at(&self.base);
        let mut wanted = wanted(&seen, &pairs, &query)?;
        wanted.before = before;
        let mut own = caller.requester().audited("search");
        own.target = query.target();
        own.patient.clone_from(&wanted.patient);
        self.custody.audit(own).await?;
        let (matches, next) = self.events_of(wanted, &query)?;
        let mut links = vec![("self", query.self_link(&self.base))];
        if let Some(before) = next {
            let place = Place { pairs, before };
            let sealed = self.cursors.seal(caller.client(), PATH, &place);
            let url = |sealed| format!("{}/{PATH}?{CURSOR}={sealed}", self.base);
            links.extend(sealed.map(|sealed| ("next", url(sealed))));
        }
        let bundle = searchset(None, &links, matches, &[]);
        Ok(fhir_json(StatusCode::OK, &bundle))
    }

    /// The events on a page, and the number of the last entry that was looked at, if there are more.
    fn events_of(
        &self,
        mut wanted: AuditWanted,
        query: &Query,
    ) -> Result<(Vec<Match>, Option<u64>), Problem> {
        let site = self.audit_site();
        let mut matches = Vec::new();
        let mut examined = 0_usize;
        loop {
            let entries = self.custody.audit_log(&wanted, AT_ONCE)?;
            let is_last = entries.len() < AT_ONCE;
            for (number, entry) in entries {
                if matches.len() >= query.count || examined >= EXAMINED_MAX {
                    return Ok((matches, Some(wanted.before)));
                }
                examined = examined.saturating_add(1);
                wanted.before = number;
                let recorded = i64::try_from(entry.recorded).unwrap_or(i64::MAX);
                for event in events(&site, number, &entry) {
                    matches.extend(self.matching(query, event, recorded));
                }
            }
            if is_last {
                return Ok((matches, None));
            }
        }
    }

    fn matching(&self, query: &Query, event: Value, recorded: i64) -> Option<Match> {
        let id = event.get("id")?.as_str()?.to_owned();
        let resource = Resource::from_value(event);
        let resource = resource
            .inspect_err(|_| tracing::error!(id, "an audit event is not as R4 has them"))
            .ok()?;
        let terms = IndexTerms::of(&resource);
        query.matches(&terms, recorded, &id).then(|| Match {
            full_url: format!("{}/{PATH}/{id}", self.base),
            resource: resource.into_value(),
        })
    }

    /// Identifiers of patients become the patients who have them.
    async fn with_patients(&self, caller: &Caller, pairs: Pairs) -> Result<Pairs, Problem> {
        let mut named = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            let is_identifier = matches!(
                name.as_str(),
                "patient.identifier" | "entity.identifier" | "patient:Patient.identifier"
            );
            if !is_identifier {
                named.push((name, value));
                continue;
            }
            let pairs = [("identifier".to_owned(), value)];
            let scope = Scope::Type(ResourceType::PATIENT);
            let query = Query::read(&scope, &pairs, Handling::Lenient, &NoValueSets)?;
            let page = self.custody.search(caller.requester(), &query).await?;
            let ids = page.matches.iter().map(|one| format!("Patient/{}", one.id));
            let ids: Vec<String> = ids.collect();
            let ids = if ids.is_empty() {
                // Nobody has it: nothing is found.
                "Patient/-".to_owned()
            } else {
                ids.join(",")
            };
            named.push(("patient".to_owned(), ids));
        }
        Ok(named)
    }
}

/// Which entries have to be looked at.
fn wanted(seen: &Seen, pairs: &Pairs, query: &Query) -> Result<AuditWanted, Problem> {
    let mut wanted = AuditWanted::all();
    let mut has_date = false;
    for (_, value) in pairs.iter().filter(|(name, _)| name == "date") {
        has_date = true;
        narrow(&mut wanted, value);
    }
    let has_id = pairs.iter().any(|(name, _)| name == "_id");
    let asked = query.patients();
    match seen {
        Seen::Of(own) => {
            let is_other = asked.is_some_and(|asked| asked.iter().any(|one| one != own));
            if is_other {
                return Err(Problem::forbidden(
                    "a patient's token is for that patient's records alone",
                ));
            }
            wanted.patient = Some(own.clone());
        }
        Seen::All if !has_date && !has_id => {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                IssueType::Required,
                "a search of audit events names a date range: date=ge…&date=lt…",
            ));
        }
        Seen::All => {
            if let Some([one]) = asked.as_deref() {
                wanted.patient = Some((*one).to_owned());
            }
        }
    }
    Ok(wanted)
}

/// Takes a value of `date` into account; what it does not narrow is found by the filter.
fn narrow(wanted: &mut AuditWanted, value: &str) {
    let (prefix, date) = match value.get(..2) {
        Some(prefix) if prefix.chars().all(|one| one.is_ascii_lowercase()) => {
            (prefix, value.get(2..).unwrap_or_default())
        }
        _ => ("eq", value),
    };
    let Some(span) = TimeSpan::parse(date) else {
        return;
    };
    let at = |ms: i64| u64::try_from(ms).unwrap_or(0);
    let (start, end) = (at(span.start_ms), at(span.end_ms));
    match prefix {
        "ge" => wanted.from_ms = wanted.from_ms.max(start),
        "gt" | "sa" => wanted.from_ms = wanted.from_ms.max(end),
        "le" => wanted.until_ms = wanted.until_ms.min(end),
        "lt" | "eb" => wanted.until_ms = wanted.until_ms.min(start),
        "eq" => {
            wanted.from_ms = wanted.from_ms.max(start);
            wanted.until_ms = wanted.until_ms.min(end);
        }
        _ => {}
    }
}
