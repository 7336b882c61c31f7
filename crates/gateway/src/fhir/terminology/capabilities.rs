//! `GET /metadata?mode=terminology` (<https://hl7.org/fhir/R4/terminologycapabilities.html>).

use std::collections::BTreeMap;

use interop::terminology::{Concepts as _, Ucum};
use node::terminology::Shelf;
use serde_json::{Value, json};

/// What is loaded, and what can be asked of it.
pub(crate) fn terminology_capabilities(shelf: &Shelf, base: &str, date: &str) -> Value {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::from([(Ucum::URL, Vec::new())]);
    for release in shelf.systems() {
        let about = release.about();
        versions.entry(&about.url).or_default().push(&about.version);
    }
    let systems = versions.into_iter().map(|(url, versions)| {
        let mut system = json!({ "uri": url, "subsumption": url != Ucum::URL });
        let listed: Vec<Value> = versions
            .into_iter()
            .filter(|version| !version.is_empty())
            .map(|version| json!({ "code": version }))
            .collect();
        if !listed.is_empty() {
            system["version"] = listed.into();
        }
        system
    });
    let parameters = [
        "url",
        "valueSet",
        "valueSetVersion",
        "filter",
        "offset",
        "count",
        "activeOnly",
        "displayLanguage",
        "includeDesignations",
    ];
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|name| json!({ "name": name }))
        .collect();
    json!({
        "resourceType": "TerminologyCapabilities",
        "status": "active",
        "date": date,
        "kind": "instance",
        "software": { "name": "CareLedger", "version": env!("CARGO_PKG_VERSION") },
        "implementation": { "description": "CareLedger", "url": base },
        "codeSystem": systems.collect::<Vec<_>>(),
        "expansion": { "hierarchical": false, "paging": true, "incomplete": false, "parameter": parameters,
            "textFilter": "Words of codes and of all names; each word of the filter begins one." },
        "codeSearch": "all",
        "validateCode": { "translations": true },
        "translation": { "needsMap": true },
    })
}
