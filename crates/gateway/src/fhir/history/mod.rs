//! history of an instance, a type and everything: <https://hl7.org/fhir/R4/http.html#history>
//!
//! Each version is decided as a read of it would be; what may not be read is not counted and leaves no page shorter.

mod parameters;

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::ResourceType;
use interop::fhir::bundle::{self, Past};
use interop::fhir::timespan::format_instant;
use node::custody::{HistoryEntry, HistoryQuery};

use super::Fhir;
use super::address::{InstanceAddress, TypeAddress};
use super::caller::Caller;
use super::preferences::Preferences;
use crate::auth::Permission;
use crate::http::fhir_json;
use crate::problem::Problem;
use parameters::Parameters;

pub(crate) async fn history(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    InstanceAddress { resource_type, id }: InstanceAddress,
    preferences: Preferences,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let parameters = Parameters::read(query.as_deref().unwrap_or_default(), preferences.handling)?;
    caller.may(resource_type, Permission::Read)?;
    caller.may_address(resource_type, &id)?;
    let versions = fhir
        .custody
        .history(caller.requester(), resource_type, &id)
        .await?;
    let versions = visible(&caller, versions)?;
    let page = Page::of(&parameters, &versions)?;
    let path = format!("{}/{resource_type}/{id}/_history", fhir.base);
    let mut links = vec![("self", parameters.link(&path, parameters.page.as_deref()))];
    if let Some(next) = &page.next {
        links.push(("next", parameters.link(&path, Some(next))));
    }
    let entries = page.shown.iter().map(|one| past(&parameters, one));
    let total = Some(page.total);
    let body = bundle::history(&fhir.base, total, &links, entries.collect());
    Ok(fhir_json(StatusCode::OK, &body))
}

pub(crate) async fn history_of_type(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    preferences: Preferences,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    caller.may(resource_type, Permission::Read)?;
    let parameters = Parameters::read(query.as_deref().unwrap_or_default(), preferences.handling)?;
    let types = Some(vec![resource_type]);
    fhir.feed(&caller, types, &format!("{resource_type}/"), &parameters)
        .await
}

/// Of everything that the token may read.
pub(crate) async fn history_of_system(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    preferences: Preferences,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let types: Vec<ResourceType> = ResourceType::all()
        .filter(|resource_type| caller.may(*resource_type, Permission::Read).is_ok())
        .collect();
    if types.is_empty() {
        caller.may_on_all_types(Permission::Read)?;
    }
    let parameters = Parameters::read(query.as_deref().unwrap_or_default(), preferences.handling)?;
    let is_all = types.len() == ResourceType::all().count();
    let types = (!is_all).then_some(types);
    fhir.feed(&caller, types, "", &parameters).await
}

impl Fhir {
    /// A page of the history of these types. It has no total: to count would be to decide every version there ever was.
    async fn feed(
        &self,
        caller: &Caller,
        types: Option<Vec<ResourceType>>,
        below: &str,
        parameters: &Parameters,
    ) -> Result<Response, Problem> {
        let client = caller.client();
        let path = format!("{}/{below}_history", self.base);
        let before = match &parameters.page {
            None => None,
            Some(text) => Some(self.place_of(client, &path, text).ok_or_else(no_page)?),
        };
        let query = HistoryQuery {
            types,
            since_ms: parameters.since_ms,
            at: parameters.at,
            before,
            count: parameters.count,
        };
        let may_touch = |resource: &interop::fhir::Resource| caller.may_touch(resource).is_ok();
        let page = self
            .custody
            .history_of_all(caller.requester(), &query, &may_touch)
            .await?;
        let mut links = vec![("self", parameters.link(&path, parameters.page.as_deref()))];
        let next = page
            .next
            .and_then(|next| self.cursors.seal(client, &path, &digits(next)));
        if let Some(next) = next {
            links.push(("next", parameters.link(&path, Some(&next))));
        }
        let entries = page.entries.iter().map(|one| past(parameters, one));
        let body = bundle::history(&self.base, None, &links, entries.collect());
        Ok(fhir_json(StatusCode::OK, &body))
    }

    /// Where the page that a link names begins.
    fn place_of(&self, client: &str, path: &str, text: &str) -> Option<u64> {
        let place: String = self.cursors.open(client, path, text)?;
        place.parse().ok()
    }
}

/// A number in as many digits as any other.
fn digits(number: u64) -> String {
    format!("{number:020}")
}

/// Some versions of one document.
struct Page<'a> {
    shown: Vec<&'a HistoryEntry>,
    total: usize,
    next: Option<String>,
}

impl<'a> Page<'a> {
    /// The page that the parameters name: after a version, of those that were there when the first page was asked for.
    fn of(parameters: &Parameters, versions: &'a [HistoryEntry]) -> Result<Self, Problem> {
        let (newest, before) = match &parameters.page {
            None => (u64::MAX, u64::MAX),
            Some(text) => text
                .split_once('.')
                .and_then(|(newest, before)| Some((newest.parse().ok()?, before.parse().ok()?)))
                .ok_or_else(no_page)?,
        };
        let until =
            std::iter::once(None).chain(versions.iter().map(|one| Some(one.last_updated_ms)));
        let wanted: Vec<&HistoryEntry> = versions
            .iter()
            .zip(until)
            .filter(|(one, until)| {
                one.version <= newest && parameters.wants(one.last_updated_ms, *until)
            })
            .map(|(one, _)| one)
            .collect();
        let total = wanted.len();
        let newest = wanted.first().map_or(0, |one| one.version);
        let mut rest = wanted.into_iter().filter(|one| one.version < before);
        let shown: Vec<&HistoryEntry> = rest.by_ref().take(parameters.count).collect();
        let next = match (shown.last(), rest.next()) {
            (Some(last), Some(_)) => Some(format!("{newest}.{}", last.version)),
            _ => None,
        };
        Ok(Self { shown, total, next })
    }
}

/// The versions that the token reaches; an error if it does not reach the newest content.
fn visible(caller: &Caller, versions: Vec<HistoryEntry>) -> Result<Vec<HistoryEntry>, Problem> {
    let mut newest_first = versions.iter().filter_map(|one| one.opened.as_ref());
    if let Some(newest) = newest_first.next() {
        caller.may_touch(&newest.resource)?;
    }
    let is_visible = |one: &HistoryEntry| {
        let opened = one.opened.as_ref();
        opened.is_none_or(|opened| caller.may_touch(&opened.resource).is_ok())
    };
    Ok(versions.into_iter().filter(is_visible).collect())
}

fn past(parameters: &Parameters, entry: &HistoryEntry) -> bundle::HistoryEntry {
    let last_updated = i64::try_from(entry.last_updated_ms).unwrap_or(i64::MAX);
    bundle::HistoryEntry {
        resource_type: entry.resource_type,
        id: entry.id.clone(),
        version: entry.version,
        last_updated: format_instant(last_updated),
        past: match &entry.opened {
            Some(opened) => Past::Content(parameters.shape.apply(opened.presented())),
            None if entry.is_erased => Past::Erased,
            None => Past::Deleted,
        },
    }
}

fn no_page() -> Problem {
    Problem::new(
        StatusCode::GONE,
        interop::fhir::IssueType::Expired,
        "the link to this page is no longer valid; ask for the history again",
    )
}
