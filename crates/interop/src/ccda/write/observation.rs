//! Results, vital signs and social history.

use serde_json::{Value, json};

use super::Record;
use super::clinical::{act, notes, status};
use super::datatypes::{
    back, concept, each, effective, id, ids, quantity, some_concept, template, value,
};
use super::people::{performers, referred};
use super::tag::{Tag, tag, text};
use crate::ccda::codes;

pub(super) fn results(found: &[&Value], record: &Record<'_>) -> Vec<Tag> {
    let is_report = |one: &&&Value| one["resourceType"] == "DiagnosticReport";
    let mut shown: Vec<&Value> = Vec::new();
    let mut entries = Vec::new();
    for report in found.iter().filter(is_report) {
        let results = referred(&report["result"], record);
        entries.push(organizer(report, &results, record));
        shown.extend(results);
    }
    for single in found.iter().filter(|one| !is_report(one)) {
        if !shown.contains(single) {
            entries.push(organizer(single, &[*single], record));
        }
    }
    entries
}

/// A report with its results; of a result alone the report has its code and time.
fn organizer(report: &Value, results: &[&Value], record: &Record<'_>) -> Tag {
    let is_report = report["resourceType"] == "DiagnosticReport";
    let (numbers, people) = if is_report {
        (ids(report), each(&report["performer"]))
    } else {
        (vec![tag("id").with("nullFlavor", "NI")], &[][..])
    };
    let parts = results.iter().map(|result| {
        let inner = observation(result, ("22.4.2", "2015-08-01"), record);
        tag("component").holding([inner])
    });
    act("organizer", "BATTERY", "EVN")
        .holding([template("22.4.1", "2015-08-01")])
        .holding(numbers)
        .holding([
            concept("code", &report["code"]),
            status(said(report)),
            effective(report, "effective"),
        ])
        .holding(performers(record, people))
        .holding(parts)
}

pub(super) fn vital_signs(found: &[&Value], record: &Record<'_>) -> Vec<Tag> {
    let is_panel = |one: &&&Value| one["hasMember"].is_array();
    let mut shown: Vec<&Value> = Vec::new();
    let mut entries = Vec::new();
    for panel in found.iter().filter(is_panel) {
        let signs = referred(&panel["hasMember"], record);
        entries.push(signs_of(panel, &signs, record));
        shown.extend(signs);
    }
    for single in found.iter().filter(|one| !is_panel(one)) {
        if !shown.contains(single) {
            entries.push(signs_of(
                &json!({"status": single["status"],
                "effectiveDateTime": single["effectiveDateTime"],
                "effectivePeriod": single["effectivePeriod"]}),
                &[*single],
                record,
            ));
        }
    }
    entries
}

fn signs_of(panel: &Value, signs: &[&Value], record: &Record<'_>) -> Tag {
    let parts = signs.iter().flat_map(|sign| apart(sign));
    let parts = parts.map(|sign| {
        let inner = observation(&sign, ("22.4.27", "2014-06-09"), record);
        tag("component").holding([inner])
    });
    act("organizer", "CLUSTER", "EVN")
        .holding([template("22.4.26", "2015-08-01")])
        .holding(ids(panel))
        .holding([
            super::datatypes::snomed("code", "46680005"),
            status(said(panel)),
            effective(panel, "effective"),
        ])
        .holding(parts)
}

/// A sign and its components, each an observation as CDA has them. Of several identifiers each gets its own.
fn apart(sign: &Value) -> Vec<Value> {
    let components = each(&sign["component"]);
    let mut numbers = each(&sign["identifier"]).iter();
    let has_value = value(sign).is_some();
    let mut parts = Vec::new();
    if has_value || components.is_empty() {
        let mut whole = sign.clone();
        whole["identifier"] = json!(numbers.next().into_iter().collect::<Vec<_>>());
        parts.push(whole);
    }
    for component in components {
        let mut part = component.clone();
        for name in [
            "status",
            "effectiveDateTime",
            "effectivePeriod",
            "performer",
        ] {
            if let Some(shared) = sign.get(name) {
                part[name] = shared.clone();
            }
        }
        part["identifier"] = json!(numbers.next().into_iter().collect::<Vec<_>>());
        parts.push(part);
    }
    parts
}

pub(super) fn social(found: &Value, record: &Record<'_>) -> Tag {
    let is_smoking = found["code"]["coding"][0]["code"] == "72166-2";
    let own = if is_smoking {
        ("22.4.78", "2014-06-09")
    } else {
        ("22.4.38", "2015-08-01")
    };
    observation(found, own, record)
}

/// What somebody can do, body and mind.
pub(super) fn function(found: &Value, record: &Record<'_>) -> Tag {
    observation(found, ("22.4.67", "2014-06-09"), record)
}

/// What somebody wants done, with the documents that say it.
pub(super) fn directive(found: &Value, record: &Record<'_>) -> Tag {
    let documents = each(&found["derivedFrom"]).iter();
    let documents = documents
        .filter_map(|one| id(&one["identifier"]))
        .map(|id| {
            let document = tag("externalDocument").holding([id]);
            tag("reference")
                .with("typeCode", "REFR")
                .holding([document])
        });
    observation(found, ("22.4.48", "2015-08-01"), record).holding(documents)
}

fn observation(found: &Value, own: (&str, &str), record: &Record<'_>) -> Tag {
    let interpretations = each(&found["interpretation"]).iter();
    let interpretations = interpretations.map(|one| concept("interpretationCode", one));
    let numbers: Vec<Tag> = each(&found["identifier"]).iter().filter_map(id).collect();
    let numbers = if numbers.is_empty() {
        vec![tag("id").with("nullFlavor", "NI")]
    } else {
        numbers
    };
    act("observation", "OBS", "EVN")
        .holding([template(own.0, own.1)])
        .holding(numbers)
        .holding([
            concept("code", &found["code"]),
            status(said(found)),
            effective(found, "effective"),
        ])
        .holding(value(found))
        .holding(interpretations)
        .holding(some_concept("methodCode", &found["method"]))
        .holding(some_concept("targetSiteCode", &found["bodySite"]))
        .holding(performers(record, each(&found["performer"])))
        .holding(notes(found))
        .holding(each(&found["referenceRange"]).iter().map(range))
}

fn range(range: &Value) -> Tag {
    let words = range["text"].as_str().map(|words| text("text", words));
    let ends = [
        quantity("low", &range["low"]),
        quantity("high", &range["high"]),
    ];
    let ends: Vec<Tag> = ends.into_iter().flatten().collect();
    let value = (!ends.is_empty()).then(|| tag("value").with("xsi:type", "IVL_PQ").holding(ends));
    let inner = tag("observationRange").holding(words).holding(value);
    tag("referenceRange").holding([inner])
}

fn said(found: &Value) -> &'static str {
    let own = found["status"].as_str().unwrap_or_default();
    match own {
        "amended" | "corrected" | "appended" => "completed",
        "preliminary" | "partial" => "active",
        own => back(codes::REPORT_STATUS, own).unwrap_or("completed"),
    }
}
