//! search of a type: <https://hl7.org/fhir/R4/http.html#search>

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::ResourceType;
use interop::fhir::bundle::{Match, searchset};
use interop::fhir::search::{Handling, Query, Summary, Total};
use serde_json::{Map, Value, json};

use super::Fhir;
use super::address::TypeAddress;
use super::caller::Caller;
use super::cursor::Cursor;
use super::preferences::Preferences;
use crate::auth::Permission;
use crate::http::{FormPairs, fhir_json, pairs_of};
use crate::problem::{self, Problem};

/// The parameter of a link to a further page.
const CURSOR: &str = "_cursor";

pub(crate) async fn search(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    preferences: Preferences,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let pairs = query.as_deref().into_iter().flat_map(pairs_of).collect();
    fhir.answer_search(&caller, resource_type, pairs, preferences.handling)
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
    let mut pairs: Vec<_> = query.as_deref().into_iter().flat_map(pairs_of).collect();
    pairs.extend(form);
    fhir.answer_search(&caller, resource_type, pairs, preferences.handling)
        .await
}

impl Fhir {
    async fn answer_search(
        &self,
        caller: &Caller,
        resource_type: ResourceType,
        pairs: Vec<(String, String)>,
        handling: Handling,
    ) -> Result<Response, Problem> {
        let body = self
            .searchset(caller, resource_type, pairs, handling)
            .await?;
        Ok(fhir_json(StatusCode::OK, &body))
    }

    /// The `searchset` for these parameters.
    pub(super) async fn searchset(
        &self,
        caller: &Caller,
        resource_type: ResourceType,
        pairs: Vec<(String, String)>,
        handling: Handling,
    ) -> Result<Value, Problem> {
        caller.may(resource_type, Permission::Search)?;
        let cursor = self.cursor(caller, resource_type, pairs, handling)?;
        let mut pairs = cursor.pairs.clone();
        if cursor.offset > 0 {
            pairs.push(("_offset".to_owned(), cursor.offset.to_string()));
        }
        let handling = if cursor.is_strict {
            Handling::Strict
        } else {
            Handling::Lenient
        };
        let query = Query::parse(resource_type, &pairs, handling)?;
        caller.may_search(&query)?;
        let page = self.custody.search(caller.requester(), &query).await?;
        let wants_matches = query.summary == Summary::Full && query.count > 0;
        let shown = if wants_matches {
            page.matches
        } else {
            Vec::new()
        };
        for opened in &shown {
            caller.may_touch(&opened.resource)?;
        }
        let mut links = vec![("self", query.self_link(&self.base))];
        let next = query.offset.saturating_add(shown.len());
        if !shown.is_empty() && next < page.total {
            let further = Cursor {
                offset: next,
                ..cursor
            };
            links.extend(self.page_link(caller, resource_type, &further));
        }
        let outcomes = match query.ignored.as_slice() {
            [] => Vec::new(),
            names => vec![problem::ignored(names)],
        };
        let matches = shown
            .iter()
            .map(|opened| Match {
                full_url: format!("{}/{resource_type}/{}", self.base, opened.id),
                resource: only_elements(opened.presented(), &query.elements),
            })
            .collect();
        let total = (query.total != Total::None).then_some(page.total);
        Ok(searchset(total, &links, matches, &outcomes))
    }

    /// The page asked for: the first one of a query, or the one that a link names.
    fn cursor(
        &self,
        caller: &Caller,
        resource_type: ResourceType,
        pairs: Vec<(String, String)>,
        handling: Handling,
    ) -> Result<Cursor, Problem> {
        let Some((_, text)) = pairs.iter().find(|(name, _)| name == CURSOR) else {
            return Ok(Cursor {
                pairs,
                is_strict: handling == Handling::Strict,
                offset: 0,
            });
        };
        self.cursors
            .open(caller.client(), resource_type, text)
            .ok_or_else(|| {
                Problem::new(
                    StatusCode::GONE,
                    interop::fhir::IssueType::Expired,
                    "the link to this page is no longer valid; search again",
                )
            })
    }

    fn page_link(
        &self,
        caller: &Caller,
        resource_type: ResourceType,
        cursor: &Cursor,
    ) -> Option<(&'static str, String)> {
        let sealed = self.cursors.seal(caller.client(), resource_type, cursor)?;
        Some((
            "next",
            format!("{}/{resource_type}?{CURSOR}={sealed}", self.base),
        ))
    }
}

/// `_elements`: these alone, with what every resource needs, and a tag that says so.
fn only_elements(resource: Value, elements: &[String]) -> Value {
    let Value::Object(object) = resource else {
        return resource;
    };
    if elements.is_empty() {
        return object.into();
    }
    let always = ["resourceType", "id", "meta"];
    let mut kept: Map<String, Value> = object
        .into_iter()
        .filter(|(name, _)| {
            let base = name.trim_start_matches('_');
            always.contains(&base) || elements.iter().any(|element| element == base)
        })
        .collect();
    let subsetted = json!({
        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "code": "SUBSETTED",
    });
    if let Some(Value::Object(meta)) = kept.get_mut("meta") {
        match meta.get_mut("tag") {
            Some(Value::Array(tags)) => tags.push(subsetted),
            _ => {
                meta.insert("tag".to_owned(), json!([subsetted]));
            }
        }
    }
    kept.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_that_were_not_asked_for_are_left_out() {
        let resource = json!({
            "resourceType": "Patient", "id": "1", "meta": {"versionId": "1"},
            "gender": "female", "birthDate": "1970-01-01", "_birthDate": {}, "active": true,
        });
        let kept = only_elements(resource.clone(), &["birthDate".to_owned()]);
        let names: Vec<&String> = kept.as_object().unwrap().keys().collect();
        assert_eq!(
            names,
            ["resourceType", "id", "meta", "birthDate", "_birthDate"]
        );
        assert_eq!(kept["meta"]["tag"][0]["code"], "SUBSETTED");
        assert_eq!(only_elements(resource.clone(), &[]), resource);
    }
}
