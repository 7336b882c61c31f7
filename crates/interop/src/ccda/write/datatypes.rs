//! Data types of FHIR as those of CDA.

use serde_json::Value;

use super::tag::{Tag, tag, text};
use crate::ccda::codes::{self, Table};

const URI: &str = "urn:ietf:rfc:3986";
const URI_ROOT: &str = "2.16.840.1.113883.4.873";
const ABSENT_CODES: &str = "http://terminology.hl7.org/CodeSystem/data-absent-reason";

/// The code for which the table has this one.
pub(super) fn back(table: Table, to: &str) -> Option<&'static str> {
    let found = table.iter().find(|(_, own)| *own == to);
    found.map(|(from, _)| *from)
}

/// The items of a list, or the one there is.
pub(super) fn each(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(items) => items,
        one => std::slice::from_ref(one),
    }
}

pub(super) fn template(own: &str, release: &str) -> Tag {
    let root = format!("2.16.840.1.113883.10.20.{own}");
    let id = tag("templateId").with("root", root);
    if release.is_empty() {
        id
    } else {
        id.with("extension", release)
    }
}

/// II of all identifiers; at least one, which says that there is none.
pub(super) fn ids(resource: &Value) -> Vec<Tag> {
    let found: Vec<Tag> = each(&resource["identifier"])
        .iter()
        .filter_map(id)
        .collect();
    if found.is_empty() {
        return vec![tag("id").with("nullFlavor", "NI")];
    }
    found
}

pub(super) fn id(identifier: &Value) -> Option<Tag> {
    let value = identifier["value"].as_str()?;
    let id = tag("id");
    Some(match identifier["system"].as_str() {
        None => return None,
        Some(URI) => match (
            value.strip_prefix("urn:oid:"),
            value.strip_prefix("urn:uuid:"),
        ) {
            (Some(oid), _) => id.with("root", oid),
            (_, Some(uuid)) => id.with("root", uuid.to_uppercase()),
            _ => id.with("root", URI_ROOT).with("extension", value),
        },
        Some(system) => {
            let known = back(codes::AUTHORITIES, system).map(str::to_owned);
            match known.or_else(|| own_root(system)) {
                Some(root) => id.with("root", root).with("extension", value),
                None => {
                    let joint = if system.starts_with("urn:") { ':' } else { '/' };
                    let whole = format!("{system}{joint}{value}");
                    id.with("root", URI_ROOT).with("extension", whole)
                }
            }
        }
    })
}

fn own_root(system: &str) -> Option<String> {
    let uuid = system.strip_prefix("urn:uuid:").map(str::to_uppercase);
    uuid.or_else(|| system.strip_prefix("urn:oid:").map(str::to_owned))
}

/// The sex of a person.
pub(super) fn gender(code: &str) -> Tag {
    match back(codes::GENDER, code) {
        Some(code) if code != "UNK" => tag("administrativeGenderCode")
            .with("code", code)
            .with("codeSystem", "2.16.840.1.113883.5.1"),
        _ => tag("administrativeGenderCode").with("nullFlavor", "UNK"),
    }
}

/// TS.
pub(super) fn time(name: &'static str, value: &Value) -> Option<Tag> {
    Some(tag(name).with("value", digits(value.as_str()?)))
}

pub(super) fn digits(time: &str) -> String {
    let Some((day, clock)) = time.split_once('T') else {
        return time.replace('-', "");
    };
    let clock = clock.replace('Z', "+0000").replace(':', "");
    format!("{}{clock}", day.replace('-', ""))
}

/// `effectiveTime` of what has a `[prefix]DateTime` or a `[prefix]Period`.
pub(super) fn effective(resource: &Value, prefix: &str) -> Tag {
    let point = &resource[format!("{prefix}DateTime")];
    let period = &resource[format!("{prefix}Period")];
    match time("effectiveTime", point) {
        Some(time) => time,
        None => interval(&period["start"], &period["end"]),
    }
}

/// `effectiveTime` with its ends.
pub(super) fn interval(low: &Value, high: &Value) -> Tag {
    let ends = [time("low", low), time("high", high)];
    let whole = tag("effectiveTime").holding(ends.into_iter().flatten());
    if whole.is_empty() {
        return whole.with("nullFlavor", "UNK");
    }
    whole
}

/// CD and CE. A coding whose system has no OID is left to the words.
pub(super) fn concept(name: &'static str, concept: &Value) -> Tag {
    let codings: Vec<&Value> = each(&concept["coding"]).iter().collect();
    let missing = codings.iter().find(|one| one["system"] == ABSENT_CODES);
    let mut known = codings.iter().filter_map(|one| coded(name, one));
    let whole = match (known.next(), missing) {
        (Some(first), _) => first,
        (None, Some(missing)) => {
            let flavor = back(
                codes::NULL_FLAVOR,
                missing["code"].as_str().unwrap_or_default(),
            );
            tag(name).with("nullFlavor", flavor.unwrap_or("UNK"))
        }
        (None, None) => tag(name).with("nullFlavor", "OTH"),
    };
    let words = concept["text"]
        .as_str()
        .map(|words| text("originalText", words));
    let first = codings.iter().position(|one| coded(name, one).is_some());
    let others = codings.iter().skip(first.map_or(0, |first| first + 1));
    let others = others.filter_map(|one| coded("translation", one));
    whole.holding(words).holding(others)
}

fn coded(name: &'static str, coding: &Value) -> Option<Tag> {
    let system = coding["system"].as_str()?;
    let oid = back(codes::SYSTEMS, system);
    let oid = oid.or_else(|| system.strip_prefix("urn:oid:"))?;
    let mut tag = tag(name)
        .with("code", coding["code"].as_str()?)
        .with("codeSystem", oid);
    if let Some(display) = coding["display"].as_str() {
        tag = tag.with("displayName", display);
    }
    Some(tag)
}

/// The same, if there is a concept.
pub(super) fn some_concept(name: &'static str, value: &Value) -> Option<Tag> {
    value.is_object().then(|| concept(name, value))
}

pub(super) fn snomed(name: &'static str, code: &str) -> Tag {
    tag(name)
        .with("code", code)
        .with("codeSystem", "2.16.840.1.113883.6.96")
}

pub(super) fn loinc(name: &'static str, code: &str) -> Tag {
    tag(name)
        .with("code", code)
        .with("codeSystem", "2.16.840.1.113883.6.1")
}

/// PQ.
pub(super) fn quantity(name: &'static str, quantity: &Value) -> Option<Tag> {
    let whole = tag(name).with("value", number(&quantity["value"])?);
    let unit = quantity["code"].as_str().or(quantity["unit"].as_str());
    Some(match unit {
        Some(unit) => whole.with("unit", unit),
        None => whole,
    })
}

pub(super) fn number(value: &Value) -> Option<String> {
    value.is_number().then(|| value.to_string())
}

/// `value` of an observation or a part of one.
pub(super) fn value(observation: &Value) -> Option<Tag> {
    let typed = |kind: &'static str| move |tag: Tag| typed_as(tag, kind);
    if let Some(found) = observation.get("valueQuantity") {
        return match found["comparator"].as_str() {
            Some(comparator) => bound(found, comparator),
            None => quantity("value", found).map(typed("PQ")),
        };
    }
    if let Some(range) = observation.get("valueRange") {
        let ends = [
            quantity("low", &range["low"]),
            quantity("high", &range["high"]),
        ];
        let whole = tag("value").with("xsi:type", "IVL_PQ");
        return Some(whole.holding(ends.into_iter().flatten()));
    }
    let string = observation["valueString"].as_str();
    let flag = observation["valueBoolean"].as_bool();
    some_concept("value", &observation["valueCodeableConcept"])
        .map(typed("CD"))
        .or_else(|| string.map(|words| text("value", words)).map(typed("ST")))
        .or_else(|| {
            flag.map(|flag| tag("value").with("value", flag.to_string()))
                .map(typed("BL"))
        })
        .or_else(|| {
            number(&observation["valueInteger"])
                .map(|all| typed_as(tag("value").with("value", all), "INT"))
        })
        .or_else(|| time("value", &observation["valueDateTime"]).map(typed("TS")))
        .or_else(|| {
            let why = &observation["dataAbsentReason"]["coding"][0]["code"];
            let flavor = back(codes::NULL_FLAVOR, why.as_str()?).unwrap_or("UNK");
            Some(typed_as(tag("value").with("nullFlavor", flavor), "PQ"))
        })
}

fn typed_as(tag: Tag, kind: &str) -> Tag {
    tag.with("xsi:type", kind)
}

fn bound(found: &Value, comparator: &str) -> Option<Tag> {
    let end = if comparator.starts_with('<') {
        "high"
    } else {
        "low"
    };
    let end = quantity(end, found)?;
    let end = if comparator.ends_with('=') {
        end
    } else {
        end.with("inclusive", "false")
    };
    Some(typed_as(tag("value").holding([end]), "IVL_PQ"))
}

/// PN.
pub(super) fn name(human: &Value) -> Tag {
    let mut whole = tag("name");
    let used = human["use"]
        .as_str()
        .and_then(|used| back(codes::NAME_USE, used));
    if let Some(used) = used {
        whole = whole.with("use", used);
    }
    let parts = [
        ("prefix", "prefix"),
        ("given", "given"),
        ("family", "family"),
        ("suffix", "suffix"),
    ];
    let pieces = parts.into_iter().flat_map(|(own, name)| {
        let pieces = each(&human[own]).iter().filter_map(Value::as_str);
        pieces
            .map(move |piece| text(name, piece))
            .collect::<Vec<_>>()
    });
    let whole = whole.holding(pieces);
    match (whole.is_empty(), human["text"].as_str()) {
        (true, Some(words)) => text("name", words),
        (true, None) => whole.with("nullFlavor", "UNK"),
        _ => whole,
    }
}

/// AD.
pub(super) fn address(address: &Value) -> Tag {
    let used = address["use"].as_str();
    let used = used.and_then(|used| {
        back(
            &[
                ("HP", "home"),
                ("WP", "work"),
                ("TMP", "temp"),
                ("BAD", "old"),
            ],
            used,
        )
    });
    let mut whole = tag("addr");
    if let Some(used) = used {
        whole = whole.with("use", used);
    }
    let parts = [
        ("line", "streetAddressLine"),
        ("city", "city"),
        ("district", "county"),
        ("state", "state"),
        ("postalCode", "postalCode"),
        ("country", "country"),
    ];
    whole.holding(parts.into_iter().flat_map(|(own, name)| {
        let pieces = each(&address[own]).iter().filter_map(Value::as_str);
        pieces
            .map(move |piece| text(name, piece))
            .collect::<Vec<_>>()
    }))
}

/// TEL.
pub(super) fn telecom(point: &Value) -> Option<Tag> {
    let value = point["value"].as_str()?;
    let scheme = match point["system"].as_str() {
        Some("email") => "mailto:",
        Some("fax") => "fax:",
        Some("sms") => "sms:",
        Some("phone" | "pager") => "tel:",
        _ => "",
    };
    let whole = tag("telecom").with("value", format!("{scheme}{value}"));
    let used = point["use"].as_str();
    let used = used.and_then(|used| {
        back(
            &[
                ("HP", "home"),
                ("WP", "work"),
                ("MC", "mobile"),
                ("TMP", "temp"),
                ("BAD", "old"),
            ],
            used,
        )
    });
    Some(match used {
        Some(used) => whole.with("use", used),
        None => whole,
    })
}
