//! Care teams.

use serde_json::Value;

use super::Record;
use super::clinical::{act, status};
use super::datatypes::{back, concept, each, ids, interval, loinc, some_concept, template};
use super::people::assigned;
use super::tag::{Tag, tag, text};
use crate::ccda::codes;

pub(super) fn care_team(team: &Value, record: &Record<'_>) -> Tag {
    let own = team["status"].as_str();
    let own = own.and_then(|own| back(codes::TEAM_STATUS, own));
    let name = team["name"].as_str().map(|name| text("originalText", name));
    let kinds = each(&team["category"]).iter().map(|kind| {
        act("observation", "OBS", "EVN").holding([
            template("22.4.500.2", "2019-07-01"),
            loinc("code", "86744-0"),
            status("completed"),
            concept("value", kind).with("xsi:type", "CD"),
        ])
    });
    let members = each(&team["participant"])
        .iter()
        .map(|one| member(one, record));
    let parts = kinds.chain(members);
    act("organizer", "CLUSTER", "EVN")
        .holding([template("22.4.500", "2022-06-01")])
        .holding(ids(team))
        .holding([loinc("code", "86744-0").holding(name)])
        .holding(own.map(status))
        .holding([interval(&team["period"]["start"], &team["period"]["end"])])
        .holding(parts.map(|part| tag("component").holding([part])))
}

fn member(participant: &Value, record: &Record<'_>) -> Tag {
    let period = &participant["period"];
    let performer = tag("performer")
        .with("typeCode", "PRF")
        .holding(some_concept("sdtc:functionCode", &participant["role"][0]))
        .holding([assigned("assignedEntity", record, &participant["member"])]);
    act("act", "PCPR", "EVN").holding([
        template("22.4.500.1", "2022-06-01"),
        tag("id").with("nullFlavor", "NI"),
        loinc("code", "92707-9"),
        status("active"),
        interval(&period["start"], &period["end"]),
        performer,
    ])
}
