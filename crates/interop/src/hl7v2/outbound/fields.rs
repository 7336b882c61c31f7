//! Segments, and data types of FHIR as those of v2.

use serde_json::Value;

use super::Envelope;
use crate::hl7v2::ack::moment;
use crate::hl7v2::escape::encode;
use crate::hl7v2::map::CODE_SYSTEMS;

/// Where HL7's tables are code systems.
const TABLES: &str = "http://terminology.hl7.org/CodeSystem/v2-";

/// The code of v2 for one of FHIR; empty if there is none.
pub(super) fn back(code: &Value, table: &[(&str, &str)]) -> String {
    let found = table.iter().find(|(fhir, _)| Some(*fhir) == code.as_str());
    found.map_or_else(String::new, |(_, v2)| (*v2).to_owned())
}

pub(super) fn finish(lines: &[String]) -> Vec<u8> {
    let mut text = lines.join("\r");
    text.push('\r');
    text.into_bytes()
}

pub(super) fn header(envelope: &Envelope<'_>, kind: &str) -> String {
    let [from, at, to, there] = [
        envelope.from.0,
        envelope.from.1,
        envelope.to.0,
        envelope.to.1,
    ]
    .map(encode);
    let (sent, number) = (moment(envelope.time_ms), encode(envelope.control_id));
    format!("MSH|^~\\&|{from}|{at}|{to}|{there}|{sent}||{kind}|{number}|P|2.5.1||||||UNICODE UTF-8")
}

/// A segment from its fields, whose values are encoded already.
pub(super) fn segment(name: &str, fields: &[(usize, String)]) -> String {
    let last = fields
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(number, _)| *number)
        .max();
    let mut text = name.to_owned();
    for number in 1..=last.unwrap_or(0) {
        text.push('|');
        if let Some((_, value)) = fields.iter().find(|(own, _)| *own == number) {
            text.push_str(value);
        }
    }
    text
}

/// CWE: the first two codings, and the text.
pub(super) fn concept(concept: &Value) -> String {
    let triplet = |index: usize| {
        let coding = &concept["coding"][index];
        let [code, display] =
            ["code", "display"].map(|name| encode(coding[name].as_str().unwrap_or_default()));
        let system = coding["system"].as_str().map(coding_system);
        let system = system.unwrap_or_default();
        format!("{code}^{display}^{system}")
    };
    let text = encode(concept["text"].as_str().unwrap_or_default());
    trimmed(&format!("{}^{}^^^{text}", triplet(0), triplet(1)))
}

/// CWE-3: the name that v2 has for a code system, else its URI.
fn coding_system(uri: &str) -> String {
    let table = uri.strip_prefix(TABLES).filter(|number| number.len() == 4);
    if let Some(number) = table {
        return encode(&format!("HL7{number}"));
    }
    let known = CODE_SYSTEMS.iter().find(|(_, own)| *own == uri);
    known.map_or_else(|| encode(uri), |(name, _)| (*name).to_owned())
}

/// IS: a code of one of HL7's tables; nothing if the concept has none of that table.
pub(super) fn table_code(concept: &Value, number: &str) -> String {
    let mut codings = concept["coding"].as_array().into_iter().flatten();
    let own = codings.find(|coding| {
        let system = coding["system"].as_str();
        system.and_then(|uri| uri.strip_prefix(TABLES)) == Some(number)
    });
    own.map_or_else(String::new, |coding| text(&coding["code"]))
}

/// A text of FHIR, encoded; empty for what is none.
pub(super) fn text(value: &Value) -> String {
    encode(value.as_str().unwrap_or_default())
}

/// HD: an assigning authority by its URI.
pub(super) fn authority(system: &Value) -> String {
    match text(system) {
        system if system.is_empty() => system,
        system => format!("&{system}&URI"),
    }
}

/// CX: the namespace is the URI of the system.
pub(super) fn identifier(one: &Value) -> String {
    let value = text(&one["value"]);
    let kind = text(&one["type"]["coding"][0]["code"]);
    let authority = authority(&one["system"]);
    trimmed(&format!("{value}^^^{authority}^{kind}"))
}

/// The identifier of this type of table 0203.
pub(super) fn numbered<'a>(report: &'a Value, kind: &str) -> Option<&'a Value> {
    let mut all = report["identifier"].as_array()?.iter();
    all.find(|one| one["type"]["coding"][0]["code"] == kind)
}

/// Numbers that messages of others got here: they say nothing where they come from.
const MADE_HERE: &str = "urn:careledger:v2:";

/// The placer's and the filler's number of an order, as EI; what has neither has the first that it has, or its id, as one
/// that the `usual` of the two gave.
pub(super) fn order_numbers(resource: &Value, usual: &str) -> [String; 2] {
    let [placer, filler] = ["PLAC", "FILL"].map(|kind| numbered(resource, kind).map(entity));
    if placer.is_none() && filler.is_none() {
        let all = resource["identifier"].as_array();
        let is_theirs = |one: &&Value| {
            let system = one["system"].as_str();
            !system.is_some_and(|system| system.starts_with(MADE_HERE))
        };
        let first = all.into_iter().flatten().find(is_theirs);
        let own = first.map_or_else(|| own_number(resource), entity);
        return match usual {
            "PLAC" => [own, String::new()],
            _ => [String::new(), own],
        };
    }
    [placer, filler].map(Option::unwrap_or_default)
}

/// A note for each text, after what it is about.
pub(super) fn notes<'a>(texts: impl Iterator<Item = &'a Value>) -> Vec<String> {
    let note = |(index, said): (usize, &Value)| {
        segment("NTE", &[(1, (index + 1).to_string()), (3, text(said))])
    };
    texts.enumerate().map(note).collect()
}

/// The number of a resource that has none but its id.
pub(super) fn own_number(resource: &Value) -> String {
    encode(resource["id"].as_str().unwrap_or_default())
}

/// NM, and CWE of its unit; nothing for what has no value.
pub(super) fn quantity(quantity: &Value) -> (String, String) {
    if !quantity["value"].is_number() {
        return (String::new(), String::new());
    }
    let unit = text(&quantity["unit"]);
    let unit = match quantity["code"].as_str() {
        Some(_) if quantity["system"] == "http://unitsofmeasure.org" => {
            format!("{}^{unit}^UCUM", text(&quantity["code"]))
        }
        _ => unit,
    };
    (quantity["value"].to_string(), unit)
}

/// EI.
pub(super) fn entity(one: &Value) -> String {
    let [value, system] =
        ["value", "system"].map(|name| encode(one[name].as_str().unwrap_or_default()));
    if system.is_empty() {
        value
    } else {
        format!("{value}^^{system}^URI")
    }
}

pub(super) fn repeated(list: &Value, each: impl Fn(&Value) -> String) -> String {
    let all = list.as_array().into_iter().flatten();
    all.map(each).collect::<Vec<_>>().join("~")
}

pub(super) fn trimmed(text: &str) -> String {
    text.trim_end_matches('^').to_owned()
}

/// A date or time of FHIR as DTM.
pub(super) fn time(moment: Option<&str>) -> String {
    let Some(text) = moment else {
        return String::new();
    };
    let (day, clock) = text.split_once('T').unwrap_or((text, ""));
    let at = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at_checked(at).unwrap_or((clock, ""));
    let zone = if zone == "Z" {
        "+0000".to_owned()
    } else {
        zone.replace(':', "")
    };
    format!("{}{}{zone}", day.replace('-', ""), clock.replace(':', ""))
}
