//! Labels on what is disclosed: `meta.security` of a resource, and the high-water mark of a Bundle (DS4P, PCF).
//!
//! Only what is shown is marked; what is stored, hashed and sealed stays as it was written.

use serde_json::{Map, Value, json};

use super::notice::{add_notice, scopes_within};
use super::vocabulary::{CONFIDENTIALITY, rank};

/// Adds labels (`system|code`) to `meta.security` of a resource that is to be shown.
pub fn with_labels<'a>(resource: &mut Value, labels: impl IntoIterator<Item = &'a str>) {
    let codings = labels.into_iter().filter_map(|one| one.rsplit_once('|'));
    let codings: Vec<_> = codings.collect();
    let Some(object) = resource.as_object_mut().filter(|_| !codings.is_empty()) else {
        return;
    };
    let meta = object.entry("meta").or_insert_with(|| Map::new().into());
    let Some(meta) = meta.as_object_mut() else {
        return;
    };
    let security = meta.entry("security").or_insert_with(|| json!([]));
    let Some(security) = security.as_array_mut() else {
        return;
    };
    for (system, code) in codings {
        let is_it = |one: &Value| one["system"] == system && one["code"] == code;
        if !security.iter().any(is_it) {
            security.push(json!({ "system": system, "code": code }));
        }
    }
}

/// Gives a Bundle that is to be shown the highest confidentiality of what is in it, and the notice that goes with that,
/// with the scopes of consents beside it.
pub fn high_water_mark(bundle: &mut Value) {
    if let Some(code) = highest(bundle) {
        let label = format!("{CONFIDENTIALITY}|{code}");
        with_labels(bundle, [label.as_str()]);
    }
    if let Some(scopes) = scopes_within(bundle) {
        add_notice(bundle, scopes.iter().map(String::as_str));
    }
}

/// Whether a resource is a Bundle with something in it that marks the whole.
pub fn is_to_be_marked(resource: &Value) -> bool {
    highest(resource).is_some() || scopes_within(resource).is_some()
}

/// The highest confidentiality of what is in a Bundle; `None` for other resources, and if nothing in it says any.
fn highest(bundle: &Value) -> Option<String> {
    if bundle["resourceType"] != "Bundle" {
        return None;
    }
    let entries = bundle["entry"].as_array().into_iter().flatten();
    let codings = entries
        .filter_map(|entry| entry.pointer("/resource/meta/security")?.as_array())
        .flatten();
    let highest = codings
        .filter(|coding| coding["system"] == CONFIDENTIALITY)
        .filter_map(|coding| coding["code"].as_str())
        .filter(|code| rank(code).is_some())
        .max_by_key(|code| rank(code));
    highest.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ihe_pcf_7_a_bundle_is_as_confidential_as_the_most_confidential_in_it() {
        let mut secret = json!({"resourceType": "Basic"});
        with_labels(
            &mut secret,
            ["http://terminology.hl7.org/CodeSystem/v3-ActCode|HIV"],
        );
        let label = |code: &str| format!("{CONFIDENTIALITY}|{code}");
        let (restricted, normal) = (label("R"), label("N"));
        with_labels(&mut secret, [restricted.as_str(), restricted.as_str()]);
        assert_eq!(
            secret["meta"]["security"].as_array().unwrap().len(),
            2,
            "once"
        );
        let mut plain = json!({"resourceType": "Basic", "meta": {"versionId": "1"}});
        with_labels(&mut plain, [normal.as_str()]);
        assert_eq!(plain["meta"]["versionId"], "1");
        let mut bundle = json!({"resourceType": "Bundle", "entry": [{"resource": plain},
            {"resource": secret}, {"resource": {"resourceType": "Basic"}}]});
        high_water_mark(&mut bundle);
        let mark = json!([{"system": CONFIDENTIALITY, "code": "R"}]);
        assert_eq!(bundle["meta"]["security"], mark);
        let mut open = json!({"resourceType": "Bundle", "entry": [{"resource": {}}]});
        high_water_mark(&mut open);
        assert_eq!(open.get("meta"), None);
    }
}
