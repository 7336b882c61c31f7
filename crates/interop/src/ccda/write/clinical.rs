//! Allergies, problems, procedures and encounters.

use serde_json::Value;

use super::Record;
use super::datatypes::{
    back, concept, each, effective, ids, interval, loinc, snomed, some_concept, template, time,
};
use super::device::{devices as devices_of, product};
use super::people::{author, participants, performers};
use super::tag::{Tag, tag, text};
use crate::ccda::codes;

const ASSERTION: &str = "2.16.840.1.113883.5.4";

pub(super) fn act(name: &'static str, class: &str, mood: &str) -> Tag {
    tag(name).with("classCode", class).with("moodCode", mood)
}

pub(super) fn status(code: &str) -> Tag {
    tag("statusCode").with("code", code)
}

pub(super) fn related(kind: &str, inner: Tag) -> Tag {
    tag("entryRelationship")
        .with("typeCode", kind)
        .holding([inner])
}

pub(super) fn inverted(kind: &str, inner: Tag) -> Tag {
    let relation = tag("entryRelationship").with("typeCode", kind);
    relation.with("inversionInd", "true").holding([inner])
}

/// Comment Activities.
pub(super) fn notes(resource: &Value) -> Vec<Tag> {
    let notes = each(&resource["note"]).iter();
    let notes = notes.filter_map(|note| note["text"].as_str());
    notes
        .map(|note| {
            let comment = act("act", "ACT", "EVN").holding([
                template("22.4.64", ""),
                loinc("code", "48767-8"),
                text("text", note),
            ]);
            inverted("SUBJ", comment)
        })
        .collect()
}

/// Indications.
pub(super) fn reasons(resource: &Value) -> Vec<Tag> {
    let reasons = each(&resource["reasonCode"]).iter();
    reasons
        .map(|reason| {
            let value = concept("value", reason).with("xsi:type", "CD");
            let indication = act("observation", "OBS", "EVN").holding([
                template("22.4.19", "2014-06-09"),
                tag("id").with("nullFlavor", "NI"),
                snomed("code", "404684003"),
                status("completed"),
                value,
            ]);
            related("RSON", indication)
        })
        .collect()
}

fn code_of<'a>(resource: &'a Value, element: &str) -> &'a str {
    let code = resource[element]["coding"][0]["code"].as_str();
    code.unwrap_or_default()
}

/// The observation of a status, in SNOMED CT.
fn clinical_status(own: (&str, &str), code: Option<&str>) -> Option<Tag> {
    let value = snomed("value", code?).with("xsi:type", "CD");
    let observation = act("observation", "OBS", "EVN").holding([
        template(own.0, own.1),
        loinc("code", "33999-4"),
        status("completed"),
        value,
    ]);
    Some(related("REFR", observation))
}

/// The wrapper of what somebody is concerned about.
fn concern(own: (&str, &str), resource: &Value, inner: Tag) -> Tag {
    let is_over =
        ["inactive", "resolved", "remission"].contains(&code_of(resource, "clinicalStatus"));
    let since = [&resource["recordedDate"], &resource["onsetDateTime"]];
    let since = since.into_iter().find_map(|since| time("low", since));
    let since = since.unwrap_or_else(|| tag("low").with("nullFlavor", "UNK"));
    act("act", "ACT", "EVN").holding([
        template(own.0, own.1),
        tag("id").with("nullFlavor", "NI"),
        tag("code")
            .with("code", "CONC")
            .with("codeSystem", "2.16.840.1.113883.5.6"),
        status(if is_over { "completed" } else { "active" }),
        tag("effectiveTime").holding([since]),
        related("SUBJ", inner),
    ])
}

fn negated(inner: Tag, resource: &Value, is_none: bool) -> Tag {
    if is_none || code_of(resource, "verificationStatus") == "refuted" {
        return inner.with("negationInd", "true");
    }
    inner
}

pub(super) fn problem(condition: &Value, record: &Record<'_>) -> Tag {
    let is_none = code_of(condition, "code") == "160245001";
    let value = if is_none {
        snomed("value", "55607006")
    } else {
        concept("value", &condition["code"])
    };
    let mut times = interval(&condition["onsetDateTime"], &condition["abatementDateTime"]);
    let is_unknown = condition["_abatementDateTime"].is_object();
    if is_unknown && condition["abatementDateTime"].is_null() {
        let low = time("low", &condition["onsetDateTime"]);
        let high = tag("high").with("nullFlavor", "UNK");
        times = tag("effectiveTime").holding(low).holding([high]);
    }
    let said = back(codes::PROBLEM_STATUS, code_of(condition, "clinicalStatus"));
    let inner = negated(act("observation", "OBS", "EVN"), condition, is_none)
        .holding([template("22.4.4", "2015-08-01")])
        .holding(ids(condition))
        .holding([
            snomed("code", "64572001"),
            status("completed"),
            times,
            value.with("xsi:type", "CD"),
        ])
        .holding(author(
            record,
            &condition["recorder"],
            &condition["recordedDate"],
        ))
        .holding(clinical_status(("22.4.6", "2019-06-20"), said))
        .holding(notes(condition));
    concern(("22.4.3", "2015-08-01"), condition, inner)
}

pub(super) fn allergy(allergy: &Value, record: &Record<'_>) -> Tag {
    let code = code_of(allergy, "code");
    let none = back(codes::NO_KNOWN_ALLERGY, code);
    let kind = none.unwrap_or_else(|| kind_of(allergy));
    let substance = match none {
        Some(_) => tag("code").with("nullFlavor", "NA"),
        None => concept("code", &allergy["code"]),
    };
    let entity = tag("playingEntity")
        .with("classCode", "MMAT")
        .holding([substance]);
    let role = tag("participantRole")
        .with("classCode", "MANU")
        .holding([entity]);
    let end = each(&allergy["extension"]).iter().find(|one| {
        one["url"]
            .as_str()
            .is_some_and(|url| url.ends_with("allergyintolerance-abatement"))
    });
    let end = end.map_or(&Value::Null, |end| &end["valueDateTime"]);
    let said = back(codes::ALLERGY_STATUS, code_of(allergy, "clinicalStatus"));
    let inner = negated(act("observation", "OBS", "EVN"), allergy, none.is_some())
        .holding([template("22.4.7", "2014-06-09")])
        .holding(ids(allergy))
        .holding([
            tag("code")
                .with("code", "ASSERTION")
                .with("codeSystem", ASSERTION),
            status("completed"),
            interval(&allergy["onsetDateTime"], end),
            snomed("value", kind).with("xsi:type", "CD"),
        ])
        .holding(author(
            record,
            &allergy["recorder"],
            &allergy["recordedDate"],
        ))
        .holding([tag("participant").with("typeCode", "CSM").holding([role])])
        .holding(clinical_status(("22.4.28", "2019-06-20"), said))
        .holding(each(&allergy["reaction"]).iter().flat_map(reaction))
        .holding(criticality(allergy))
        .holding(notes(allergy));
    concern(("22.4.30", "2015-08-01"), allergy, inner)
}

fn kind_of(allergy: &Value) -> &'static str {
    let (kind, category) = (allergy["type"].as_str(), allergy["category"][0].as_str());
    match (kind, category) {
        (Some("allergy"), Some("medication")) => "416098002",
        (Some("allergy"), Some("food")) => "414285001",
        (Some("allergy"), _) => "419199007",
        (Some("intolerance"), Some("medication")) => "59037007",
        (Some("intolerance"), Some("food")) => "235719002",
        (_, Some("medication")) => "419511003",
        (_, Some("food")) => "418471000",
        _ => "420134006",
    }
}

fn reaction(reaction: &Value) -> Vec<Tag> {
    let severity = reaction["severity"].as_str();
    let severity = severity.and_then(|severity| back(codes::SEVERITY, severity));
    let severity = severity.map(|code| {
        let value = snomed("value", code).with("xsi:type", "CD");
        let observation = act("observation", "OBS", "EVN").holding([
            template("22.4.8", "2014-06-09"),
            tag("code")
                .with("code", "SEV")
                .with("codeSystem", ASSERTION),
            status("completed"),
            value,
        ]);
        inverted("SUBJ", observation)
    });
    let manifestations = each(&reaction["manifestation"]).iter();
    manifestations
        .map(|manifestation| {
            let value = concept("value", manifestation).with("xsi:type", "CD");
            let observation = act("observation", "OBS", "EVN")
                .holding([
                    template("22.4.9", "2014-06-09"),
                    tag("id").with("nullFlavor", "NI"),
                    tag("code")
                        .with("code", "ASSERTION")
                        .with("codeSystem", ASSERTION),
                    status("completed"),
                    interval(&reaction["onset"], &Value::Null),
                    value,
                ])
                .holding(severity.clone());
            inverted("MFST", observation)
        })
        .collect()
}

fn criticality(allergy: &Value) -> Option<Tag> {
    let code = back(codes::CRITICALITY, allergy["criticality"].as_str()?)?;
    let value = tag("value")
        .with("code", code)
        .with("codeSystem", "2.16.840.1.113883.5.1063")
        .with("xsi:type", "CD");
    let observation = act("observation", "OBS", "EVN").holding([
        template("22.4.145", ""),
        loinc("code", "82606-5"),
        status("completed"),
        value,
    ]);
    Some(inverted("SUBJ", observation))
}

pub(super) fn procedure(procedure: &Value, record: &Record<'_>) -> Tag {
    let own = procedure["status"].as_str().unwrap_or_default();
    let whole = act("procedure", "PROC", "EVN");
    let devices = each(&procedure["focalDevice"]).iter();
    let devices = devices_of(
        procedure,
        devices.map(|device| &device["manipulated"]),
        record,
    );
    let (whole, said) = if own == "not-done" {
        (whole.with("negationInd", "true"), "completed")
    } else {
        (
            whole,
            back(codes::PROCEDURE_STATUS, own).unwrap_or("active"),
        )
    };
    whole
        .holding([template("22.4.14", "2014-06-09")])
        .holding(ids(procedure))
        .holding([
            concept("code", &procedure["code"]),
            status(said),
            effective(procedure, "performed"),
        ])
        .holding(
            each(&procedure["bodySite"])
                .iter()
                .map(|site| concept("targetSiteCode", site)),
        )
        .holding(performers(
            record,
            each(&procedure["performer"])
                .iter()
                .map(|one| &one["actor"]),
        ))
        .holding(author(record, &procedure["recorder"], &Value::Null))
        .holding(devices.iter().map(|device| product("DEV", device)))
        .holding(reasons(procedure))
        .holding(notes(procedure))
}

pub(super) fn encounter(encounter: &Value, record: &Record<'_>) -> Tag {
    let class = &encounter["class"];
    let mut coding = encounter["type"][0].clone();
    if coding.is_null() {
        coding = serde_json::json!({"coding": []});
    }
    if let (Some(codings), true) = (coding["coding"].as_array_mut(), class["code"].is_string()) {
        codings.push(class.clone());
    }
    let own = encounter["status"].as_str().unwrap_or_default();
    let left = &encounter["hospitalization"]["dischargeDisposition"];
    act("encounter", "ENC", "EVN")
        .holding([template("22.4.49", "2015-08-01")])
        .holding(ids(encounter))
        .holding([concept("code", &coding)])
        .holding(back(codes::ENCOUNTER_STATUS, own).map(status))
        .holding([interval(
            &encounter["period"]["start"],
            &encounter["period"]["end"],
        )])
        .holding(some_concept("sdtc:dischargeDispositionCode", left))
        .holding(participants(record, &encounter["participant"]))
        .holding(reasons(encounter))
}
