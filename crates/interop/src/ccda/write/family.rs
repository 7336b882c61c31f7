//! Family history.

use serde_json::Value;

use super::Record;
use super::clinical::{act, inverted, notes, related, status};
use super::datatypes::{concept, each, gender, ids, quantity, snomed, template, time};
use super::tag::{Tag, tag, text};
use crate::fhir::TimeSpan;

pub(super) fn family_member(history: &Value, _: &Record<'_>) -> Tag {
    let is_whole = history["status"] == "completed";
    let conditions = each(&history["condition"]).iter().map(condition);
    act("organizer", "CLUSTER", "EVN")
        .holding([template("22.4.45", "2015-08-01")])
        .holding(ids(history))
        .holding([status(if is_whole { "completed" } else { "active" })])
        .holding(time("effectiveTime", &history["date"]))
        .holding([tag("subject").holding([relative(history)])])
        .holding(conditions.map(|one| tag("component").holding([one])))
        .holding(notes(history))
}

fn relative(history: &Value) -> Tag {
    let died = time("sdtc:deceasedTime", &history["deceasedDate"]);
    let is_dead = history["deceasedBoolean"].as_bool();
    let is_dead = is_dead.or(died.as_ref().map(|_| true));
    let sex = history["sex"]["coding"][0]["code"].as_str();
    let person = tag("subject")
        .holding(history["name"].as_str().map(|named| text("name", named)))
        .holding(sex.map(gender))
        .holding(time("birthTime", &history["bornDate"]))
        .holding(is_dead.map(|flag| tag("sdtc:deceasedInd").with("value", flag.to_string())))
        .holding(died);
    tag("relatedSubject")
        .with("classCode", "PRS")
        .holding([concept("code", &history["relationship"]), person])
}

fn condition(condition: &Value) -> Tag {
    let since = condition["onsetString"].as_str();
    let since = since.filter(|since| TimeSpan::parse(since).is_some());
    let since = since.and_then(|_| time("effectiveTime", &condition["onsetString"]));
    let age = quantity("value", &condition["onsetAge"]).map(|age| {
        let age = act("observation", "OBS", "EVN").holding([
            template("22.4.31", ""),
            snomed("code", "445518008"),
            status("completed"),
            age.with("xsi:type", "PQ"),
        ]);
        inverted("SUBJ", age)
    });
    let death = (condition["contributedToDeath"] == true).then(|| {
        let death = act("observation", "OBS", "EVN").holding([
            template("22.4.47", ""),
            tag("id").with("nullFlavor", "NI"),
            tag("code")
                .with("code", "ASSERTION")
                .with("codeSystem", "2.16.840.1.113883.5.4"),
            status("completed"),
            snomed("value", "419099009").with("xsi:type", "CD"),
        ]);
        related("CAUS", death)
    });
    act("observation", "OBS", "EVN")
        .holding([
            template("22.4.46", "2015-08-01"),
            tag("id").with("nullFlavor", "NI"),
            snomed("code", "64572001"),
            status("completed"),
        ])
        .holding(since)
        .holding([concept("value", &condition["code"]).with("xsi:type", "CD")])
        .holding(age)
        .holding(death)
        .holding(notes(condition))
}
