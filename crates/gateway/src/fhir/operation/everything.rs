//! `Patient/[id]/$everything`: the longitudinal record, from all members
//! (<https://hl7.org/fhir/R4/patient-operation-everything.html>).
//!
//! What a member withholds, and which members did not answer, is said in outcomes after the matches.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::bundle::{Match, searchset};
use interop::fhir::disclosure::DisclosureFacts;
use interop::fhir::{OperationOutcome, ResourceType, TimeSpan};
use node::custody::{CustodyError, Opened, Requester};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::gap::{Gap, gathered};
use super::pinned::{self, Place};
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::caller::Caller;
use crate::fhir::search::expired;
use crate::http::{fhir_json, pairs_of};
use crate::problem::Problem;

/// The parameter of a link to a further page.
const PAGE: &str = "_page";
/// Names the member that holds the entry's resource.
const HOME_EXTENSION: &str = "urn:careledger:extension:home-member";
/// Where a further page begins.
#[derive(Serialize, Deserialize)]
struct Cursor {
    pairs: Vec<(String, String)>,
    /// The list that the first page fixed.
    list: u64,
    offset: usize,
}

pub(crate) async fn everything(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let id = address.patient()?;
    let path = format!("Patient/{id}/$everything");
    let (mut asked, from) = fhir.asked(&caller, &path, query.as_deref().unwrap_or_default())?;
    if asked.types.is_none() {
        asked.types = caller.declared_types();
    }
    match &asked.types {
        None => caller.may_on_all_types(Permission::Read)?,
        Some(types) => {
            for resource_type in types {
                caller.may(*resource_type, Permission::Read)?;
            }
        }
    }
    caller.may_touch_patient(&id)?;
    let by = caller.requester();
    let (here, elsewhere) = tokio::join!(
        fhir.custody.local_everything(by, &id),
        fhir.network.everything(by, &id)
    );
    let (mut opened, mut gaps) = gathered(here?, elsewhere)?;
    opened.retain(|one| asked.wants(one));
    opened.sort_by_key(place_of);
    let count = asked.count.unwrap_or(usize::MAX);
    let (shown, list, offset, total) = match from {
        None => {
            let total = opened.len();
            let list = (count < total).then(|| fhir.lists.keep(&opened));
            opened.truncate(count);
            (opened, list, 0, total)
        }
        Some((list, offset)) => {
            // What is missing is said once, on the first page.
            gaps.clear();
            let pinned = fhir.lists.list(list).ok_or_else(expired)?;
            let page = pinned.get(offset..).unwrap_or_default();
            let page = page.get(..count.min(page.len())).unwrap_or_default();
            let shown = fhir.as_pinned(by, opened, page).await?;
            (shown, Some(list), offset, pinned.len())
        }
    };
    let offset = offset.saturating_add(count);
    let cursor = list.filter(|_| offset < total).map(|list| Cursor {
        pairs: asked.pairs.clone(),
        list,
        offset,
    });
    let next = cursor.and_then(|cursor| fhir.cursors.seal(caller.client(), &path, &cursor));
    let page = Page {
        shown: &shown,
        total,
        next,
    };
    let body = fhir.record(&path, &asked, &page, &gaps);
    Ok(fhir_json(StatusCode::OK, &body))
}

impl Fhir {
    /// What is asked for, and which list a further page continues, and where.
    fn asked(
        &self,
        caller: &Caller,
        path: &str,
        query: &str,
    ) -> Result<(Asked, Option<(u64, usize)>), Problem> {
        let Some((_, text)) = pairs_of(query).find(|(name, _)| name == PAGE) else {
            return Ok((Asked::read(pairs_of(query))?, None));
        };
        let cursor: Option<Cursor> = self.cursors.open(caller.client(), path, &text);
        let Cursor {
            pairs,
            list,
            offset,
        } = cursor.ok_or_else(expired)?;
        let mut asked = Asked::read(pairs.into_iter())?;
        asked.page = Some(text);
        Ok((asked, Some((list, offset))))
    }

    /// The documents of a page in the versions that the list fixed, less what may no longer be seen. Other members give
    /// what is current.
    async fn as_pinned(
        &self,
        by: &Requester,
        opened: Vec<Opened>,
        page: &[(Place, u64)],
    ) -> Result<Vec<Opened>, Problem> {
        let mut current: BTreeMap<Place, Opened> = opened
            .into_iter()
            .map(|one| (pinned::place(&one), one))
            .collect();
        let mut shown = Vec::new();
        for (place, version) in page {
            let Some(one) = current.remove(place) else {
                continue;
            };
            if one.version == *version || one.member != self.identity.member {
                shown.push(one);
                continue;
            }
            let (_, resource_type, id) = place;
            let earlier = self.custody.vread(by, *resource_type, id, *version).await;
            match earlier {
                Ok(earlier) => shown.push(earlier),
                // It was erased since, or may be seen in its current version alone.
                Err(CustodyError::Gone | CustodyError::Denied { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(shown)
    }

    fn record(&self, path: &str, asked: &Asked, page: &Page<'_>, gaps: &[Gap]) -> Value {
        let opened = page.shown;
        let matches = opened.iter().map(|opened| Match {
            full_url: self.full_url(opened),
            resource: opened.presented(),
        });
        let outcomes: Vec<OperationOutcome> = gaps.iter().map(|gap| gap.outcome.clone()).collect();
        let path = format!("{}/{path}", self.base);
        let mut links = vec![("self", asked.link(&path, asked.page.as_deref()))];
        if let Some(next) = &page.next {
            links.push(("next", Asked::default().link(&path, Some(next))));
        }
        let mut body = searchset(Some(page.total), &links, matches.collect(), &outcomes);
        let homes = opened.iter().map(|opened| {
            let home = opened.member.as_str();
            Some(json!({ "url": HOME_EXTENSION, "valueString": home }))
        });
        let gaps = gaps.iter().map(|gap| gap.extension.clone());
        let entries = body.get_mut("entry").and_then(Value::as_array_mut);
        for (entry, extension) in entries.into_iter().flatten().zip(homes.chain(gaps)) {
            if let Some(extension) = extension {
                entry["extension"] = json!([extension]);
            }
        }
        body
    }

    /// Where a resource is: at another member the URL names that member, and references relative to
    /// it resolve among the entries of that member (R4 §2.36.4.1). `$open` reads it.
    pub(crate) fn full_url(&self, opened: &Opened) -> String {
        let (kind, id) = (opened.resource.resource_type(), &opened.id);
        if opened.member == self.identity.member {
            format!("{}/{kind}/{id}", self.base)
        } else {
            format!("https://{}/fhir/{kind}/{id}", opened.member)
        }
    }
}

/// What of a record is asked for.
#[derive(Default)]
struct Asked {
    types: Option<Vec<ResourceType>>,
    since_ms: Option<u64>,
    start: Option<String>,
    end: Option<String>,
    care: Option<TimeSpan>,
    count: Option<usize>,
    /// The link by which it is asked for, if it is a further page.
    page: Option<String>,
    pairs: Vec<(String, String)>,
}

/// Some of what is asked for.
struct Page<'a> {
    shown: &'a [Opened],
    total: usize,
    next: Option<String>,
}

impl Asked {
    fn read(pairs: impl Iterator<Item = (String, String)>) -> Result<Self, Problem> {
        let mut asked = Self::default();
        for (name, value) in pairs {
            asked.take(&name, &value)?;
            asked.pairs.push((name, value));
        }
        if asked.start.is_some() || asked.end.is_some() {
            let span = TimeSpan::between(asked.start.as_deref(), asked.end.as_deref());
            let problem = || Problem::malformed("`start` and `end` are dates, the first one first");
            asked.care = Some(span.ok_or_else(problem)?);
        }
        Ok(asked)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        match name {
            "_format" | "_pretty" => {}
            "start" => self.start = Some(value.to_owned()),
            "end" => self.end = Some(value.to_owned()),
            "_since" => {
                // In a query `+` is a blank.
                let span = TimeSpan::parse(&value.replace(' ', "+"));
                let start = span.and_then(|span| u64::try_from(span.start_ms).ok());
                let problem = || Problem::malformed("`_since` is not an instant");
                self.since_ms = Some(start.ok_or_else(problem)?);
            }
            "_count" => {
                let count = value.parse().ok().filter(|count| *count > 0);
                let problem = || Problem::malformed("`_count` is not a number from 1 on");
                self.count = Some(count.ok_or_else(problem)?);
            }
            "_type" => {
                for name in value.split(',') {
                    let known = ResourceType::parse(name)
                        .ok_or_else(|| Problem::malformed("`_type` names no R4 resource type"))?;
                    self.types.get_or_insert_default().push(known);
                }
            }
            _ => {
                return Err(Problem::not_supported(
                    "$everything is supported with `start`, `end`, `_since`, `_type` and `_count`",
                ));
            }
        }
        Ok(())
    }

    fn wants(&self, one: &Opened) -> bool {
        let kind = one.resource.resource_type();
        let is_of_type = self
            .types
            .as_ref()
            .is_none_or(|types| types.contains(&kind));
        let is_recent = self
            .since_ms
            .is_none_or(|since| one.last_updated_ms >= since);
        // What has no time of care belongs to every time.
        let is_of_time = self.care.is_none_or(|care| {
            let own = DisclosureFacts::of(&one.resource).period;
            own.is_none_or(|own| own.overlaps(care))
        });
        is_of_type && is_recent && is_of_time
    }

    fn link(&self, path: &str, page: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        match page {
            // It says all else.
            Some(page) => query.append_pair(PAGE, page),
            None => query.extend_pairs(&self.pairs),
        };
        match query.finish() {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }
}

/// Where a resource stands in the record.
fn place_of(one: &Opened) -> String {
    let kind = one.resource.resource_type();
    // The patient comes first.
    let rank = u8::from(kind != ResourceType::PATIENT);
    format!("{rank}/{}/{kind}/{}", one.member, one.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_others_are_refused() {
        let names = |query: &str| {
            let types = Asked::read(pairs_of(query)).ok()?.types;
            let names =
                |types: Vec<ResourceType>| types.iter().map(|one| one.as_str()).collect::<Vec<_>>();
            Some(types.map(names))
        };
        assert_eq!(names(""), Some(None));
        assert_eq!(names("_format=json"), Some(None));
        assert_eq!(
            names("_type=Observation,Patient&_type=Condition"),
            Some(Some(vec!["Observation", "Patient", "Condition"]))
        );
        for wrong in [
            "_type=Rubbish",
            "_type=",
            "_since=x",
            "_count=0",
            "start=x",
            "other=1",
        ] {
            assert_eq!(names(wrong), None, "{wrong}");
        }
    }
}
