//! search: <https://hl7.org/fhir/R4/http.html#search>, of a type, a compartment or the whole system.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::bundle::{Match, searchset};
use interop::fhir::search::limits::{INCLUDED_MAX, ITERATIONS_MAX};
use interop::fhir::search::{
    Compartment, Handling, NoValueSets, Query, Scope, Summary, Terminologies, Terminology, Total,
    summarized,
};
use interop::fhir::{Issue, IssueType, OperationOutcome, Resource, ResourceType, Severity};
use interop::terminology::Searched;
use node::custody::{Further, SearchPage};
use serde_json::{Value, json};

use super::Fhir;
use super::address::{InstanceAddress, TypeAddress};
use super::caller::Caller;
use super::care_services;
use super::cursor::Cursor;
use super::preferences::Preferences;
use crate::auth::Permission;
use crate::http::{FormPairs, fhir_json, pairs_of};
use crate::problem::{self, Problem};

/// Names and values of a URL or a form.
type Pairs = Vec<(String, String)>;

/// The parameter of a link to a further page.
const CURSOR: &str = "_cursor";
/// Value sets that one query may name, and code systems.
const TERMINOLOGIES_MAX: usize = 8;
/// All types of a compartment.
const ALL_TYPES: &str = "*";

pub(crate) async fn search(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    preferences: Preferences,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let scope = Scope::Type(resource_type);
    fhir.answer_search(
        &caller,
        &scope,
        pairs(query.as_deref(), None),
        preferences.handling,
    )
    .await
}

pub(crate) async fn search_by_form(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    preferences: Preferences,
    RawQuery(query): RawQuery,
    FormPairs(form): FormPairs,
) -> Result<Response, Problem> {
    let scope = Scope::Type(resource_type);
    let pairs = pairs(query.as_deref(), Some(form));
    fhir.answer_search(&caller, &scope, pairs, preferences.handling)
        .await
}

pub(crate) async fn search_system(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    preferences: Preferences,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let pairs = pairs(query.as_deref(), None);
    fhir.answer_search(&caller, &Scope::System, pairs, preferences.handling)
        .await
}

pub(crate) async fn search_system_by_form(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    preferences: Preferences,
    RawQuery(query): RawQuery,
    FormPairs(form): FormPairs,
) -> Result<Response, Problem> {
    let pairs = pairs(query.as_deref(), Some(form));
    fhir.answer_search(&caller, &Scope::System, pairs, preferences.handling)
        .await
}

pub(crate) async fn search_compartment(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Path((_, _, member)): Path<(String, String, String)>,
    preferences: Preferences,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let scope = compartment(address, &member)?;
    fhir.answer_search(
        &caller,
        &scope,
        pairs(query.as_deref(), None),
        preferences.handling,
    )
    .await
}

pub(crate) async fn search_compartment_by_form(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Path((_, _, member)): Path<(String, String, String)>,
    preferences: Preferences,
    RawQuery(query): RawQuery,
    FormPairs(form): FormPairs,
) -> Result<Response, Problem> {
    let scope = compartment(address, &member)?;
    let pairs = pairs(query.as_deref(), Some(form));
    fhir.answer_search(&caller, &scope, pairs, preferences.handling)
        .await
}

fn pairs(query: Option<&str>, form: Option<Pairs>) -> Pairs {
    let mut pairs: Pairs = query.into_iter().flat_map(pairs_of).collect();
    pairs.extend(form.into_iter().flatten());
    pairs
}

fn compartment(address: InstanceAddress, member: &str) -> Result<Scope, Problem> {
    let member = match member {
        ALL_TYPES => None,
        name => Some(ResourceType::parse(name).ok_or_else(Problem::not_found)?),
    };
    if !Compartment::is_defined(address.resource_type) {
        return Err(Problem::not_supported(
            "R4 has no compartments of this type",
        ));
    }
    let compartment = Compartment {
        resource_type: address.resource_type,
        id: address.id,
    };
    Ok(Scope::Compartment(compartment, member))
}

impl Fhir {
    async fn answer_search(
        &self,
        caller: &Caller,
        scope: &Scope,
        pairs: Pairs,
        handling: Handling,
    ) -> Result<Response, Problem> {
        let body = self.search_within(caller, scope, pairs, handling).await?;
        Ok(fhir_json(StatusCode::OK, &body))
    }

    pub(crate) async fn search_within(
        &self,
        caller: &Caller,
        scope: &Scope,
        pairs: Pairs,
        handling: Handling,
    ) -> Result<Value, Problem> {
        let (pairs, handling, from) = self.place(caller, scope, pairs, handling)?;
        let terminology = self.terminology(caller, &pairs).await?;
        let shelf = self.vocabularies.shelf();
        let known = Searched::new(terminology, shelf.as_ref());
        let query = Query::read(scope, &pairs, handling, &known)?;
        let mut query = query.at(&self.base);
        caller.may_search_within(scope, &mut query)?;
        let requester = caller.requester();
        let page = match from {
            None => self.custody.search(requester, &query).await?,
            Some(from) => {
                let page = self.custody.search_further(requester, &query, from).await?;
                page.ok_or_else(expired)?
            }
        };
        for opened in &page.matches {
            caller.may_touch(&opened.resource)?;
        }
        let mut links = vec![("self", query.self_link(&self.base))];
        if let Some(further) = page.further {
            let cursor = Cursor {
                pairs,
                is_strict: handling == Handling::Strict,
                further: further.into(),
            };
            links.extend(self.page_link(caller, scope, &cursor));
        }
        Ok(self.bundle(caller, &query, page, &links))
    }

    /// The value sets and code systems that the query names, of those that are kept here and the caller may see.
    async fn terminology(
        &self,
        caller: &Caller,
        pairs: &[(String, String)],
    ) -> Result<Terminology, Problem> {
        let mut known = Terminology::default();
        let mut named = Terminologies::named(pairs);
        for url in named.value_sets.iter().take(TERMINOLOGIES_MAX) {
            let found = self.defined(caller, ResourceType::VALUE_SET, url).await?;
            found.into_iter().for_each(|one| known.add_value_set(one));
        }
        named.code_systems.extend(known.code_systems_chosen_from());
        for url in named.code_systems.iter().take(TERMINOLOGIES_MAX) {
            let found = self.defined(caller, ResourceType::CODE_SYSTEM, url).await?;
            found.iter().for_each(|one| known.add_code_system(one));
        }
        Ok(known)
    }

    /// Resources with this canonical URL, of those that the caller may see.
    pub(super) async fn defined(
        &self,
        caller: &Caller,
        resource_type: ResourceType,
        url: &str,
    ) -> Result<Vec<Resource>, Problem> {
        if caller.may(resource_type, Permission::Search).is_err() {
            return Ok(Vec::new());
        }
        let pairs = [("url".to_owned(), url.to_owned())];
        let query = Query::read(
            &Scope::Type(resource_type),
            &pairs,
            Handling::Strict,
            &NoValueSets,
        )?;
        let page = self.custody.search(caller.requester(), &query).await?;
        Ok(page.matches.into_iter().map(|one| one.resource).collect())
    }

    fn bundle(
        &self,
        caller: &Caller,
        query: &Query,
        page: SearchPage,
        links: &[(&str, String)],
    ) -> Value {
        let mut outcomes = Vec::new();
        if !query.ignored.is_empty() {
            outcomes.push(problem::ignored(&query.ignored));
        }
        if !page.includes_all {
            outcomes.push(cut());
        }
        outcomes.extend(care_services::stale(&self.custody, query));
        let matches = page.matches.into_iter().map(|opened| Match {
            full_url: self.full_url(&opened),
            resource: summarized(opened.into_presented(), query.summary, &query.elements),
        });
        let is_told = query.total != Total::None || query.summary == Summary::Count;
        let total = page.total.filter(|_| is_told);
        let mut bundle = searchset(total, links, matches.collect(), &outcomes);
        let included: Vec<Value> = page
            .included
            .into_iter()
            .filter(|opened| caller.may_touch(&opened.resource).is_ok())
            .map(|opened| {
                let mut entry = json!({ "fullUrl": self.full_url(&opened) });
                entry["resource"] = summarized(opened.into_presented(), query.summary, &[]);
                entry["search"] = json!({ "mode": "include" });
                entry
            })
            .collect();
        if let Some(Value::Array(entries)) = bundle.get_mut("entry") {
            entries.extend(included);
        }
        bundle
    }

    /// What is asked for: the first page of a query, or the one that a link names.
    fn place(
        &self,
        caller: &Caller,
        scope: &Scope,
        pairs: Pairs,
        handling: Handling,
    ) -> Result<(Pairs, Handling, Option<Further>), Problem> {
        let Some((_, text)) = pairs.iter().find(|(name, _)| name == CURSOR) else {
            return Ok((pairs, handling, None));
        };
        let cursor: Cursor = self
            .cursors
            .open(caller.client(), &scope.path(), text)
            .ok_or_else(expired)?;
        let handling = if cursor.is_strict {
            Handling::Strict
        } else {
            Handling::Lenient
        };
        Ok((cursor.pairs, handling, Some(cursor.further.into())))
    }

    fn page_link(
        &self,
        caller: &Caller,
        scope: &Scope,
        cursor: &Cursor,
    ) -> Option<(&'static str, String)> {
        let path = scope.path();
        let sealed = self.cursors.seal(caller.client(), &path, cursor)?;
        let slash = if path.is_empty() { "" } else { "/" };
        Some((
            "next",
            format!("{}{slash}{path}?{CURSOR}={sealed}", self.base),
        ))
    }
}

impl Caller {
    /// A search is of types that the token permits; chains go through such types alone, and only
    /// such types come along.
    fn may_search_within(&self, scope: &Scope, query: &mut Query) -> Result<(), Problem> {
        let may = |resource_type| self.may(resource_type, Permission::Search).is_ok();
        match scope {
            Scope::Type(resource_type) | Scope::Compartment(_, Some(resource_type)) => {
                self.may(*resource_type, Permission::Search)?;
            }
            _ => {}
        }
        let touched = query.types_touched();
        let barred = touched.into_iter().find(|kind| !may(*kind));
        if !query.keep_types(&may) || query.parts.is_empty() {
            let name = barred.map_or(ALL_TYPES, ResourceType::as_str);
            return Err(Problem::insufficient_scope(name, Permission::Search));
        }
        if !query.includes.is_empty() {
            let readable = |kind: &ResourceType| self.may(*kind, Permission::Read).is_ok();
            query.included_types = Some(ResourceType::all().filter(readable).collect());
        }
        match scope {
            Scope::Compartment(compartment, _)
                if compartment.resource_type == ResourceType::PATIENT =>
            {
                self.may_touch_patient(&compartment.id)
            }
            _ => self.may_search(query),
        }
    }
}

pub(super) fn expired() -> Problem {
    Problem::new(
        StatusCode::GONE,
        IssueType::Expired,
        "the link to this page is no longer valid; search again",
    )
}

fn cut() -> OperationOutcome {
    let issue = Issue::error(
        IssueType::TooCostly,
        format!(
            "not all is included: at most {INCLUDED_MAX} resources on a page, in at most {ITERATIONS_MAX} rounds"
        ),
    );
    OperationOutcome::of(issue.with_severity(Severity::Warning))
}
