//! Bundles of answers: search results and histories.

use serde_json::{Map, Value, json};

use super::{ResourceType, etag};

/// One match of a search.
#[derive(Clone, PartialEq)]
pub struct Match {
    /// Where the resource is.
    pub full_url: String,
    /// The resource as presented.
    pub resource: Value,
}

impl std::fmt::Debug for Match {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Match(..)")
    }
}

/// One version in a history.
#[derive(Clone, PartialEq)]
pub struct HistoryEntry {
    /// The type.
    pub resource_type: ResourceType,
    /// The logical id.
    pub id: String,
    /// The version.
    pub version: u64,
    /// When it was written.
    pub last_updated: String,
    /// What the version is.
    pub past: Past,
}

/// What a version in a history is.
#[derive(Clone, PartialEq)]
pub enum Past {
    /// The resource as presented.
    Content(Value),
    /// It deleted the resource.
    Deleted,
    /// Its content was erased.
    Erased,
}

impl std::fmt::Debug for Past {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Content(_) => "Content(..)",
            Self::Deleted => "Deleted",
            Self::Erased => "Erased",
        })
    }
}

impl std::fmt::Debug for HistoryEntry {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "HistoryEntry({}/.., {})",
            self.resource_type, self.version
        )
    }
}

/// A `searchset`. Outcomes, such as what was withheld, follow the matches.
pub fn searchset(
    total: Option<usize>,
    links: &[(&str, String)],
    matches: Vec<Match>,
    outcomes: &[super::OperationOutcome],
) -> Value {
    let mut entries: Vec<Value> = matches
        .into_iter()
        .map(|found| {
            let mut entry = json!({"fullUrl": found.full_url});
            entry["resource"] = found.resource;
            entry["search"] = json!({"mode": "match"});
            entry
        })
        .collect();
    entries.extend(
        outcomes
            .iter()
            .map(|outcome| json!({"resource": outcome.to_value(), "search": {"mode": "outcome"}})),
    );
    bundle("searchset", total, links, entries)
}

/// A `history`; the caller gives the newest version first.
pub fn history(
    base: &str,
    total: Option<usize>,
    links: &[(&str, String)],
    versions: Vec<HistoryEntry>,
) -> Value {
    let entries = versions.into_iter().map(|version| {
        let url = format!("{}/{}", version.resource_type, version.id);
        let mut entry = json!({"fullUrl": format!("{}/{url}", base.trim_end_matches('/'))});
        let (method, request_url, status) = match (version.past, version.version) {
            (Past::Deleted, _) => ("DELETE", url, "204"),
            (Past::Erased, _) => ("PUT", url, "410"),
            (Past::Content(resource), number) => {
                entry["resource"] = resource;
                if number == 1 {
                    ("POST", version.resource_type.to_string(), "201")
                } else {
                    ("PUT", url, "200")
                }
            }
        };
        entry["request"] = json!({"method": method, "url": request_url});
        entry["response"] = json!({"status": status, "etag": etag::format(version.version),
            "lastModified": version.last_updated});
        entry
    });
    bundle("history", total, links, entries.collect())
}

fn bundle(
    kind: &str,
    total: Option<usize>,
    links: &[(&str, String)],
    entries: Vec<Value>,
) -> Value {
    let mut bundle = Map::new();
    bundle.insert("resourceType".to_owned(), "Bundle".into());
    bundle.insert("type".to_owned(), kind.into());
    if let Some(total) = total {
        bundle.insert("total".to_owned(), total.into());
    }
    let links = links
        .iter()
        .map(|(relation, url)| json!({"relation": relation, "url": url}));
    let links: Vec<Value> = links.collect();
    if !links.is_empty() {
        bundle.insert("link".to_owned(), links.into());
    }
    // An empty array is not FHIR.
    if !entries.is_empty() {
        bundle.insert("entry".to_owned(), entries.into());
    }
    bundle.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::{IssueType, OperationOutcome, Resource};

    #[test]
    fn answers_are_well_formed_bundles() {
        let patient = json!({"resourceType": "Patient", "id": "1"});
        let found = Match {
            full_url: "http://a.org/Patient/1".to_owned(),
            resource: patient.clone(),
        };
        let withheld = OperationOutcome::error(IssueType::Suppressed, "2 resources are withheld");
        let links = [("self", "http://a.org/Patient".to_owned())];
        let set = searchset(Some(1), &links, vec![found], &[withheld]);
        assert_eq!(set["entry"][1]["search"]["mode"], "outcome");
        assert_eq!(
            (&set["total"], &set["link"][0]["relation"]),
            (&json!(1), &json!("self"))
        );
        let version = |version, past| HistoryEntry {
            resource_type: ResourceType::PATIENT,
            id: "1".to_owned(),
            version,
            last_updated: "2020-01-01T00:00:00Z".to_owned(),
            past,
        };
        let versions = vec![
            version(4, Past::Deleted),
            version(3, Past::Erased),
            version(2, Past::Content(patient.clone())),
            version(1, Past::Content(patient)),
        ];
        let past = history("http://a.org/", Some(4), &[], versions);
        let methods: Vec<_> = (0..4)
            .map(|i| past["entry"][i]["request"]["method"].clone())
            .collect();
        assert_eq!(methods, ["DELETE", "PUT", "PUT", "POST"]);
        assert_eq!(past["entry"][3]["request"]["url"], "Patient");
        for bundle in [set, past, searchset(None, &[], Vec::new(), &[])] {
            assert!(Resource::from_value(bundle).is_ok());
        }
    }
}
