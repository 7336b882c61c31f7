//! Notes: their words for people, and the note as it is kept for programs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Record;
use super::clinical::{act, status};
use super::datatypes::{concept, each, id, ids, interval, loinc, template};
use super::people::author;
use super::section::said;
use super::tag::{Tag, tag, text};

/// The section; nothing without a note whose content is in the record.
pub(super) fn section(record: &Record<'_>) -> Option<Tag> {
    let notes: Vec<&Value> = record.resources.iter().filter(|one| is_note(one)).collect();
    if notes.is_empty() {
        return None;
    }
    let entries = notes.iter().map(|one| note(one, record));
    let entries = entries.map(|entry| tag("entry").with("typeCode", "DRIV").holding([entry]));
    Some(
        tag("section")
            .holding([
                template("22.2.65", "2016-11-01"),
                loinc("code", "34109-9"),
                text("title", "Notes"),
                tag("text").holding(notes.iter().flat_map(|note| words(note))),
            ])
            .holding(entries),
    )
}

fn is_note(resource: &Value) -> bool {
    let categories = each(&resource["category"]).iter();
    let mut codings = categories.flat_map(|category| each(&category["coding"]));
    resource["resourceType"] == "DocumentReference"
        && resource["content"][0]["attachment"]["data"].is_string()
        && codings.any(|coding| coding["code"] == "clinical-note")
}

/// What it is, and what it says, where that is text.
fn words(note: &Value) -> Vec<Tag> {
    let attachment = &note["content"][0]["attachment"];
    let title = said(&note["type"]).unwrap_or_else(|| "Note".to_owned());
    let when = note["date"].as_str().unwrap_or_default();
    let head = format!("{title} {when}");
    let kind = attachment["contentType"].as_str().unwrap_or_default();
    let content = STANDARD.decode(attachment["data"].as_str().unwrap_or_default());
    let content = content.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let content = content.and_then(|content| match kind {
        "application/xhtml+xml" | "text/html" => Some(without_tags(&content)),
        kind if kind.starts_with("text/plain") => Some(content),
        _ => None,
    });
    let content = content.unwrap_or_else(|| "The note is not text: it is in the entry".to_owned());
    vec![text("paragraph", head.trim()), text("paragraph", &content)]
}

fn without_tags(markup: &str) -> String {
    let mut plain = String::new();
    for piece in markup.split('<') {
        let words = piece.split_once('>').map_or(piece, |(_, words)| words);
        plain.push_str(words);
        plain.push(' ');
    }
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&amp;", "&"),
    ];
    let plain = entities
        .iter()
        .fold(plain, |plain, (name, letter)| plain.replace(name, letter));
    let words: Vec<&str> = plain.split_whitespace().collect();
    words.join(" ")
}

fn note(note: &Value, record: &Record<'_>) -> Tag {
    let attachment = &note["content"][0]["attachment"];
    let kind = attachment["contentType"].as_str();
    let content = text("text", attachment["data"].as_str().unwrap_or_default())
        .with("mediaType", kind.unwrap_or("application/octet-stream"))
        .with("representation", "B64");
    let mut authors: Vec<Tag> = Vec::new();
    for who in each(&note["author"]) {
        authors.extend(author(record, who, &note["date"]));
    }
    if authors.is_empty() {
        authors.extend(author(record, &Value::Null, &note["date"]));
    }
    let related = each(&note["relatesTo"]).iter();
    let related = related
        .filter_map(|one| id(&one["target"]["identifier"]))
        .map(|id| {
            let document = tag("externalDocument").holding([id]);
            tag("reference")
                .with("typeCode", "REFR")
                .holding([document])
        });
    let period = &note["context"]["period"];
    act("act", "ACT", "EVN")
        .holding([template("22.4.202", "2016-11-01")])
        .holding(ids(note))
        .holding([
            concept("code", &note["type"]),
            content,
            status("completed"),
            interval(&period["start"], &period["end"]),
        ])
        .holding(authors)
        .holding(related)
}
