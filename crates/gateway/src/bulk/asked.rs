//! What a kick-off request asks for.

use axum::http::HeaderMap;
use interop::fhir::search::{Handling, Query};
use interop::fhir::{ResourceType, TimeSpan};
use serde_json::Value;

use crate::http::pairs_of;
use crate::problem::Problem;

const FORMATS: [&str; 3] = ["application/fhir+ndjson", "application/ndjson", "ndjson"];
const FILTERS_MAX: usize = 32;

/// What is to be exported.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) types: Vec<ResourceType>,
    pub(super) since: Option<u64>,
    pub(super) filters: Vec<String>,
    pub(super) elements: Vec<String>,
    /// Patients that the request names.
    pub(super) patients: Vec<String>,
}

impl Asked {
    pub(super) fn read(headers: &HeaderMap, query: &str, body: &[u8]) -> Result<Self, Problem> {
        if !is_async(headers) {
            return Err(Problem::malformed(
                "an export is asked for with `Prefer: respond-async`",
            ));
        }
        let is_lenient = preferences(headers).any(|one| one == "handling=lenient");
        let mut pairs: Vec<_> = pairs_of(query).collect();
        if !body.is_empty() {
            pairs.extend(in_parameters(body)?);
        }
        let mut asked = Self::default();
        for (name, value) in pairs {
            asked.take(&name, &value, is_lenient)?;
        }
        if asked.filters.len() > FILTERS_MAX {
            return Err(Problem::malformed("there are too many filters"));
        }
        Ok(asked)
    }

    fn take(&mut self, name: &str, value: &str, is_lenient: bool) -> Result<(), Problem> {
        let malformed = |what: &str| Problem::malformed(format!("`{name}` {what}"));
        match name {
            "_outputFormat" if FORMATS.contains(&value) => {}
            "_outputFormat" => return Err(malformed("names a format that is not supported")),
            "_type" => {
                for one in value.split(',') {
                    let known = ResourceType::parse(one);
                    self.types
                        .push(known.ok_or_else(|| malformed("names no R4 resource type"))?);
                }
            }
            "_since" => {
                let span = TimeSpan::parse(value).ok_or_else(|| malformed("is no instant"))?;
                self.since = Some(u64::try_from(span.start_ms).unwrap_or(0));
            }
            "_typeFilter" => {
                let query = query(value).ok_or_else(|| malformed("is no search that is known"))?;
                let is_asked = self.types.is_empty()
                    || query
                        .resource_type()
                        .is_some_and(|kind| self.types.contains(&kind));
                if !is_asked && !is_lenient {
                    return Err(malformed("names a type that `_type` does not"));
                }
                self.filters.push(value.to_owned());
            }
            "_elements" => self.elements.extend(value.split(',').map(str::to_owned)),
            "patient" => {
                let id = value.strip_prefix("Patient/").unwrap_or(value);
                self.patients.push(id.to_owned());
            }
            "_format" => {}
            _ if is_lenient => {}
            _ => return Err(malformed("is not a parameter that is supported here")),
        }
        Ok(())
    }
}

/// Whether the answer may come later.
pub(super) fn is_async(headers: &HeaderMap) -> bool {
    preferences(headers).any(|one| one == "respond-async")
}

fn preferences(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all("prefer").iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .map(str::trim)
}

/// A `_typeFilter`.
pub(super) fn query(text: &str) -> Option<Query> {
    let (name, query) = text.split_once('?')?;
    let pairs: Vec<_> = pairs_of(query).collect();
    let query = Query::parse(ResourceType::parse(name)?, &pairs, Handling::Strict).ok()?;
    // Which not every member keeps.
    (!query.asks_content()).then_some(query)
}

fn in_parameters(body: &[u8]) -> Result<Vec<(String, String)>, Problem> {
    let malformed = || Problem::malformed("the body is no Parameters");
    let value: Value = serde_json::from_slice(body).map_err(|_| malformed())?;
    let parameters = value.get("parameter").and_then(Value::as_array);
    let mut pairs = Vec::new();
    for one in parameters.into_iter().flatten() {
        let object = one.as_object().ok_or_else(malformed)?;
        let name = object.get("name").and_then(Value::as_str);
        let given = object.iter().find(|(name, _)| name.starts_with("value"));
        let given = given.and_then(|(_, value)| match value {
            Value::String(text) => Some(text.clone()),
            Value::Object(reference) => {
                let reference = reference.get("reference")?.as_str()?;
                Some(reference.to_owned())
            }
            _ => None,
        });
        let (name, given) = name.zip(given).ok_or_else(malformed)?;
        pairs.push((name.to_owned(), given));
    }
    Ok(pairs)
}
