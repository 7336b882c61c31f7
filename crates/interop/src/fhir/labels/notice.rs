//! The notice that goes with records of substance use disorder (42 CFR 2.32).
//!
//! It is part of `meta`, which every shape of a resource keeps: the refrain code of v3-ActCode for machines, and the
//! text, to be displayed (DS4P), for people.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Label;
use super::mark::with_labels;
use super::vocabulary::{SENSITIVITY, security_label};

/// The short form of the statement (42 CFR 2.32(a)(2)).
pub const NOTICE: &str = "42 CFR part 2 prohibits unauthorized use or disclosure of these records.";
/// v3-ActCode: no redisclosure without the patient's consent.
const NO_REDISCLOSURE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode|NORDSCLCD";
const DISPLAY: &str =
    "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-display";

/// Whether labels (`system|code`) are of records that the notice goes with.
pub fn needs_notice<'a>(labels: impl IntoIterator<Item = &'a str>) -> bool {
    let mut codings = labels.into_iter().filter_map(|one| one.rsplit_once('|'));
    codings.any(|(system, code)| is_part2(system, code))
}

/// Adds the notice to a resource that is to be shown, if its labels ask for it, and beside it the scope of the consent on
/// which it is disclosed. Adding it twice is adding it once.
pub fn with_notice(resource: &mut Value, scope: Option<&str>) {
    let security = resource.pointer("/meta/security").and_then(Value::as_array);
    let mut codings = security.into_iter().flatten();
    let text =
        |coding: &Value, name: &str| coding.get(name).and_then(Value::as_str).map(str::to_owned);
    let needs = codings.any(|coding| {
        let system = text(coding, "system").unwrap_or_default();
        text(coding, "code").is_some_and(|code| is_part2(&system, &code))
    });
    if needs {
        add_notice(resource, scope);
    }
}

/// The scopes that stand beside notices in a Bundle, each once; `None` if nothing in it carries the notice.
pub(super) fn scopes_within(bundle: &Value) -> Option<BTreeSet<String>> {
    if bundle["resourceType"] != "Bundle" {
        return None;
    }
    let entries = bundle.get("entry").and_then(Value::as_array);
    let resources = entries.into_iter().flatten();
    let resources = resources.filter_map(|entry| entry.get("resource"));
    let noticed: Vec<&Value> = resources.filter(|one| carries_notice(one)).collect();
    let scopes = noticed.iter().flat_map(|one| scopes(one));
    (!noticed.is_empty()).then(|| scopes.map(str::to_owned).collect())
}

/// The scopes of consents beside the notice in `meta`.
pub fn scopes(resource: &Value) -> impl Iterator<Item = &str> {
    let extensions = resource
        .pointer("/meta/extension")
        .and_then(Value::as_array);
    let shown = extensions.into_iter().flatten().filter_map(displayed);
    shown.filter(|text| *text != NOTICE)
}

/// Whether the notice is in `meta`, code and text.
pub fn carries_notice(resource: &Value) -> bool {
    let in_meta = |name: &str| resource.pointer(name).and_then(Value::as_array);
    let security = in_meta("/meta/security").into_iter().flatten();
    let mut coded =
        security.map(|one| format!("{}|{}", text_of(one, "system"), text_of(one, "code")));
    let is_coded = coded.any(|label| label == NO_REDISCLOSURE);
    let extensions = in_meta("/meta/extension").into_iter().flatten();
    is_coded && extensions.into_iter().any(is_notice)
}

fn text_of<'a>(coding: &'a Value, name: &str) -> &'a str {
    coding.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn is_notice(extension: &Value) -> bool {
    displayed(extension) == Some(NOTICE)
}

/// The text that an extension has displayed with the resource.
fn displayed(extension: &Value) -> Option<&str> {
    let text = extension.pointer("/valueAnnotation/text")?.as_str();
    text.filter(|_| text_of(extension, "url") == DISPLAY)
}

fn is_part2(system: &str, code: &str) -> bool {
    system == SENSITIVITY
        && matches!(
            security_label(system, code),
            Some(Label::SubstanceUse | Label::AlcoholUse | Label::OpioidUse)
        )
}

pub(super) fn add_notice<'a>(resource: &mut Value, scopes: impl IntoIterator<Item = &'a str>) {
    with_labels(resource, [NO_REDISCLOSURE]);
    let Some(meta) = resource.get_mut("meta").and_then(Value::as_object_mut) else {
        return;
    };
    if !meta.get("extension").is_some_and(Value::is_array) {
        put_first(meta, "extension", json!([]));
    }
    let Some(Value::Array(extensions)) = meta.get_mut("extension") else {
        return;
    };
    for text in [NOTICE].into_iter().chain(scopes) {
        if !extensions.iter().any(|one| displayed(one) == Some(text)) {
            extensions.push(json!({ "url": DISPLAY, "valueAnnotation": { "text": text } }));
        }
    }
}

/// Extensions come before everything else in an element's XML.
fn put_first(object: &mut Map<String, Value>, name: &str, value: Value) {
    let rest = std::mem::take(object);
    object.insert(name.to_owned(), value);
    object.extend(rest.into_iter().filter(|(one, _)| one != name));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::labels::high_water_mark;

    fn labelled(code: &str) -> Value {
        let label = format!("{SENSITIVITY}|{code}");
        let mut resource = json!({"resourceType": "Basic", "meta": {"versionId": "1"}});
        with_labels(&mut resource, [label.as_str()]);
        with_notice(&mut resource, Some("what was agreed"));
        resource
    }

    #[test]
    fn part2_2_what_is_of_substance_use_carries_the_notice_and_nothing_else_does() {
        for code in ["ETH", "ETHUD", "OPIOIDUD", "SUD", "42CFRPart2"] {
            let resource = labelled(code);
            assert!(carries_notice(&resource), "{code}");
            let label = format!("{SENSITIVITY}|{code}");
            assert!(needs_notice([label.as_str()]), "{code}");
            let mut again = resource.clone();
            with_notice(&mut again, Some("what was agreed"));
            assert_eq!(again, resource, "once");
            assert!(scopes(&resource).eq(["what was agreed"]));
            let first = resource["meta"].as_object().unwrap().keys().next();
            assert_eq!(first.unwrap(), "extension");
            assert_eq!(resource["meta"]["versionId"], "1");
        }
        for code in ["HIV", "PSY", "R", "NORDSCLCD", "no such code"] {
            assert!(!carries_notice(&labelled(code)), "{code}");
        }
        let mut other = json!({"meta": {"security": [{"system": "urn:other", "code": "ETH"}]}});
        with_notice(&mut other, Some("what was agreed"));
        assert!(!carries_notice(&other) && scopes(&other).next().is_none());
    }

    #[test]
    fn part2_2_a_bundle_carries_the_notice_of_what_is_in_it() {
        let bundle = |code: &str| {
            let plain = json!({"resource": {"resourceType": "Basic"}});
            let mut bundle = json!({
                "resourceType": "Bundle", "entry": [plain, {"resource": labelled(code)}],
            });
            high_water_mark(&mut bundle);
            bundle
        };
        let noticed = bundle("OPIOIDUD");
        assert!(carries_notice(&noticed) && scopes(&noticed).eq(["what was agreed"]));
        assert!(!carries_notice(&bundle("HIV")));
    }
}
