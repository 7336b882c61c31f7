//! Goals, and what is planned.

use serde_json::{Value, json};

use super::Record;
use super::clinical::{act, notes, reasons, related, status};
use super::datatypes::{
    back, concept, each, effective, id, ids, interval, loinc, snomed, template, value,
};
use super::medication::{instruction, medication};
use super::people::{author, performers, referred};
use super::section::table;
use super::tag::{Tag, tag, text};
use crate::ccda::codes;

/// The value of a goal's target, as that of an observation.
pub(super) fn detail(goal: &Value) -> Value {
    let target = &goal["target"][0];
    let mut found = json!({});
    for kind in codes::DETAILS {
        if let Some(detail) = target.get(format!("detail{kind}")) {
            found[format!("value{kind}")] = detail.clone();
        }
    }
    found
}

pub(super) fn goal(goal: &Value, record: &Record<'_>) -> Tag {
    let target = &goal["target"][0];
    let measured = [&target["measure"], &goal["description"]];
    let code = measured.into_iter().find(|one| one.is_object());
    let words = goal["description"]["text"].as_str();
    let own = goal["lifecycleStatus"].as_str().unwrap_or_default();
    let priority = goal["priority"].is_object().then(|| {
        let value = concept("value", &goal["priority"]).with("xsi:type", "CD");
        let preference = act("observation", "OBS", "EVN").holding([
            template("22.4.143", ""),
            tag("id").with("nullFlavor", "NI"),
            snomed("code", "225773000"),
            value,
        ]);
        related("REFR", preference)
    });
    act("observation", "OBS", "GOL")
        .holding([template("22.4.121", "2022-06-01")])
        .holding(ids(goal))
        .holding(code.map(|code| concept("code", code)))
        .holding(words.map(|words| text("text", words)))
        .holding([
            status(back(codes::GOAL_STATUS, own).unwrap_or("active")),
            interval(&goal["startDate"], &target["dueDate"]),
        ])
        .holding(value(&detail(goal)))
        .holding(author(record, &goal["expressedBy"], &Value::Null))
        .holding(priority)
        .holding(notes(goal))
}

/// Whether something is planned: it stands in the plan, not among what is taken.
pub(super) fn is_planned(resource: &Value) -> bool {
    match resource["resourceType"].as_str() {
        Some("ServiceRequest") => true,
        Some("MedicationRequest") => {
            let intent = resource["intent"].as_str().unwrap_or_default();
            ["plan", "proposal", "directive"].contains(&intent)
        }
        _ => false,
    }
}

/// A section for each plan, and one for what is in none.
pub(super) fn sections(record: &Record<'_>) -> Vec<Tag> {
    let (mut shown, mut sections) = (Vec::new(), Vec::new());
    let plans = record.resources.iter().filter(|one| {
        one["resourceType"] == "CarePlan"
            && one["category"][0]["coding"][0]["code"] == "assess-plan"
    });
    for plan in plans {
        let activities = each(&plan["activity"]).iter();
        let references = activities.map(|one| one["reference"].clone());
        let found = referred(&references.collect(), record);
        sections.push(section(plan, &found, record));
        shown.extend(found);
    }
    let others = record.resources.iter().filter(|one| is_planned(one));
    let others: Vec<&Value> = others.filter(|one| !shown.contains(one)).collect();
    if !others.is_empty() {
        sections.push(section(&Value::Null, &others, record));
    }
    sections
}

fn section(plan: &Value, found: &[&Value], record: &Record<'_>) -> Tag {
    let activities = each(&plan["activity"]).iter();
    let details: Vec<&Value> = activities
        .map(|one| &one["detail"])
        .filter(|detail| detail.is_object())
        .collect();
    let said = details.iter().filter_map(|one| one["description"].as_str());
    let said: Vec<Tag> = said.map(|words| text("paragraph", words)).collect();
    let entries = found.iter().map(|one| match one["resourceType"].as_str() {
        Some("MedicationRequest") => medication(one, record),
        _ => request(one, record),
    });
    let entries = entries.chain(details.iter().map(|detail| advice(detail)));
    let entries = entries.map(|entry| tag("entry").with("typeCode", "DRIV").holding([entry]));
    tag("section")
        .holding([template("22.2.10", "2014-06-09")])
        .holding(each(&plan["identifier"]).first().and_then(id))
        .holding([
            loinc("code", "18776-5"),
            text(
                "title",
                plan["title"].as_str().unwrap_or("Plan of treatment"),
            ),
            tag("text").holding([table(found)]).holding(said),
        ])
        .holding(author(record, &plan["author"], &Value::Null))
        .holding(entries)
}

/// An instruction that is an activity of a plan.
fn advice(detail: &Value) -> Tag {
    let words = detail["description"].as_str();
    act("act", "ACT", "INT")
        .holding([
            template("22.4.20", "2014-06-09"),
            concept("code", &detail["code"]),
        ])
        .holding(words.map(|words| text("text", words)))
        .holding([status("completed")])
}

/// A planned act; with a place on the body, a planned procedure.
fn request(request: &Value, record: &Record<'_>) -> Tag {
    let sites = each(&request["bodySite"]);
    let mood = mood(request);
    let (whole, own) = if sites.is_empty() {
        (act("act", "ACT", mood), "22.4.39")
    } else {
        (act("procedure", "PROC", mood), "22.4.41")
    };
    let whole = match request["doNotPerform"] == true {
        true => whole.with("negationInd", "true"),
        false => whole,
    };
    let said = request["status"].as_str().unwrap_or_default();
    let said = back(codes::REQUEST_STATUS, said).unwrap_or("active");
    let priority = request["priority"].as_str();
    let priority = priority.and_then(|priority| back(codes::PRIORITY, priority));
    let priority = priority.map(|code| {
        let system = "2.16.840.1.113883.5.7";
        tag("priorityCode")
            .with("code", code)
            .with("codeSystem", system)
    });
    whole
        .holding([template(own, "2014-06-09")])
        .holding(ids(request))
        .holding([
            concept("code", &request["code"]),
            status(said),
            effective(request, "occurrence"),
        ])
        .holding(priority)
        .holding(sites.iter().map(|site| concept("targetSiteCode", site)))
        .holding(performers(record, each(&request["performer"])))
        .holding(author(
            record,
            &request["requester"],
            &request["authoredOn"],
        ))
        .holding(reasons(request))
        .holding(instruction(request))
        .holding(notes(request))
}

/// The mood of what is planned.
pub(super) fn mood(request: &Value) -> &'static str {
    let intent = request["intent"].as_str().unwrap_or_default();
    back(codes::INTENT, intent).unwrap_or("RQO")
}
