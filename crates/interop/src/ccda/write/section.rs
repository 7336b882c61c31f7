//! The sections: which resources stand in each, the table for people, the entries for programs.

use std::collections::BTreeSet;

use serde_json::Value;

use super::care_team::care_team;
use super::clinical::{allergy, encounter, problem, procedure};
use super::datatypes::{each, loinc, template};
use super::device::device_use;
use super::family::family_member;
use super::medication::{immunization, medication};
use super::observation::{directive, function, results, social, vital_signs};
use super::plan::{self, goal};
use super::tag::{Tag, tag, text};
use super::{Record, note};
use crate::fhir::labels::{NOTICE, carries_notice, scopes};

struct Section {
    template: (&'static str, &'static str),
    code: &'static str,
    title: &'static str,
    types: &'static [&'static str],
    /// The category of its Observations.
    category: Option<&'static str>,
    /// A CCD has it even if nothing is in it.
    is_required: bool,
    entries: fn(&[&Value], &Record<'_>) -> Vec<Tag>,
}

const SECTIONS: [Section; 15] = [
    Section {
        template: ("22.2.6.1", "2015-08-01"),
        code: "48765-2",
        title: "Allergies and adverse reactions",
        types: &["AllergyIntolerance"],
        category: None,
        is_required: true,
        entries: |found, record| found.iter().map(|one| allergy(one, record)).collect(),
    },
    Section {
        template: ("22.2.1.1", "2014-06-09"),
        code: "10160-0",
        title: "Medications",
        types: &["MedicationRequest", "MedicationStatement"],
        category: None,
        is_required: true,
        entries: |found, record| found.iter().map(|one| medication(one, record)).collect(),
    },
    Section {
        template: ("22.2.5.1", "2015-08-01"),
        code: "11450-4",
        title: "Problems",
        types: &["Condition"],
        category: None,
        is_required: true,
        entries: |found, record| found.iter().map(|one| problem(one, record)).collect(),
    },
    Section {
        template: ("22.2.3.1", "2015-08-01"),
        code: "30954-2",
        title: "Results",
        types: &["DiagnosticReport", "Observation"],
        category: Some("laboratory"),
        is_required: true,
        entries: results,
    },
    Section {
        template: ("22.2.4.1", "2015-08-01"),
        code: "8716-3",
        title: "Vital signs",
        types: &["Observation"],
        category: Some("vital-signs"),
        is_required: true,
        entries: vital_signs,
    },
    Section {
        template: ("22.2.17", "2015-08-01"),
        code: "29762-2",
        title: "Social history",
        types: &["Observation"],
        category: Some("social-history"),
        is_required: true,
        entries: |found, record| found.iter().map(|one| social(one, record)).collect(),
    },
    Section {
        template: ("22.2.2.1", "2015-08-01"),
        code: "11369-6",
        title: "Immunizations",
        types: &["Immunization"],
        category: None,
        is_required: false,
        entries: |found, record| found.iter().map(|one| immunization(one, record)).collect(),
    },
    Section {
        template: ("22.2.7.1", "2014-06-09"),
        code: "47519-4",
        title: "Procedures",
        types: &["Procedure"],
        category: None,
        is_required: false,
        entries: |found, record| found.iter().map(|one| procedure(one, record)).collect(),
    },
    Section {
        template: ("22.2.22.1", "2015-08-01"),
        code: "46240-8",
        title: "Encounters",
        types: &["Encounter"],
        category: None,
        is_required: false,
        entries: |found, record| found.iter().map(|one| encounter(one, record)).collect(),
    },
    Section {
        template: ("22.2.60", ""),
        code: "61146-7",
        title: "Goals",
        types: &["Goal"],
        category: None,
        is_required: false,
        entries: |found, record| found.iter().map(|one| goal(one, record)).collect(),
    },
    Section {
        template: ("22.2.15", "2015-08-01"),
        code: "10157-6",
        title: "Family history",
        types: &["FamilyMemberHistory"],
        category: None,
        is_required: false,
        entries: |found, record| found.iter().map(|one| family_member(one, record)).collect(),
    },
    Section {
        template: ("22.2.23", "2014-06-09"),
        code: "46264-8",
        title: "Medical equipment",
        types: &["DeviceUseStatement"],
        category: None,
        is_required: false,
        entries: |found, record| found.iter().map(|one| device_use(one, record)).collect(),
    },
    Section {
        template: ("22.2.500", "2022-06-01"),
        code: "85847-2",
        title: "Care team",
        types: &["CareTeam"],
        category: None,
        is_required: false,
        entries: |found, record| found.iter().map(|one| care_team(one, record)).collect(),
    },
    Section {
        template: ("22.2.21", "2015-08-01"),
        code: "42348-3",
        title: "Advance directives",
        types: &["Observation"],
        category: Some("observation-adi-documentation"),
        is_required: false,
        entries: |found, record| found.iter().map(|one| directive(one, record)).collect(),
    },
    Section {
        template: ("22.2.14", "2014-06-09"),
        code: "47420-5",
        title: "Functional status",
        types: &["Observation"],
        category: Some("survey"),
        is_required: false,
        entries: |found, record| found.iter().map(|one| function(one, record)).collect(),
    },
];

/// All sections, as components; first what a reader has to know of the document.
pub(super) fn all(record: &Record<'_>) -> Vec<Tag> {
    let mut sections = Vec::new();
    let noticed = || record.resources.iter().filter(|one| carries_notice(one));
    if noticed().next().is_some() {
        let covered: BTreeSet<&str> = noticed().flat_map(scopes).collect();
        let lines = [NOTICE].into_iter().chain(covered).map(str::to_owned);
        sections.push(words("Notice", &lines.collect::<Vec<_>>()));
    }
    if !record.gaps.is_empty() {
        sections.push(words("Not complete", record.gaps));
    }
    sections.extend(SECTIONS.iter().filter_map(|section| section.write(record)));
    sections.extend(plan::sections(record));
    sections.extend(note::section(record));
    sections
        .into_iter()
        .map(|section| tag("component").holding([section]))
        .collect()
}

/// A section that has words alone.
fn words(title: &str, lines: &[String]) -> Tag {
    let lines = lines.iter().map(|line| text("paragraph", line));
    // Annotation comment.
    tag("section").holding([
        loinc("code", "48767-8"),
        text("title", title),
        tag("text").holding(lines),
    ])
}

impl Section {
    fn write(&self, record: &Record<'_>) -> Option<Tag> {
        let found: Vec<&Value> = record
            .resources
            .iter()
            .filter(|one| self.holds(one))
            .collect();
        if found.is_empty() && !self.is_required {
            return None;
        }
        let mut section = tag("section");
        if found.is_empty() {
            section = section.with("nullFlavor", "NI");
        }
        let (own, release) = self.template;
        let table = if found.is_empty() {
            text("paragraph", "No information")
        } else {
            table(&found)
        };
        let entries = (self.entries)(&found, record);
        let entries = entries
            .into_iter()
            .map(|entry| tag("entry").with("typeCode", "DRIV").holding([entry]));
        Some(
            section
                .holding([
                    template(own, release),
                    loinc("code", self.code),
                    text("title", self.title),
                    tag("text").holding([table]),
                ])
                .holding(entries),
        )
    }

    fn holds(&self, resource: &Value) -> bool {
        let kind = resource["resourceType"].as_str().unwrap_or_default();
        if !self.types.contains(&kind) || plan::is_planned(resource) {
            return false;
        }
        let Some(wanted) = self.category.filter(|_| kind == "Observation") else {
            return true;
        };
        let categories = each(&resource["category"]).iter();
        categories
            .flat_map(|category| each(&category["coding"]))
            .any(|coding| coding["code"] == wanted)
    }
}

/// The table of what stands in a section.
pub(super) fn table(found: &[&Value]) -> Tag {
    let row = |name: &'static str, cells: [String; 4]| {
        tag("tr").holding(cells.map(|cell| text(name, &cell)))
    };
    let heads = ["What", "When", "Value", "Status"].map(str::to_owned);
    tag("table").holding([
        tag("thead").holding([row("th", heads)]),
        tag("tbody").holding(found.iter().map(|one| row("td", cells(one)))),
    ])
}

/// What a resource says, in words.
fn cells(resource: &Value) -> [String; 4] {
    let concepts = [
        "code",
        "medicationCodeableConcept",
        "vaccineCode",
        "type",
        "description",
        "relationship",
    ];
    let what = concepts.iter().find_map(|name| said(resource.get(*name)?));
    let names = [&resource["name"], &resource["device"]["display"]];
    let what = what.or_else(|| {
        names
            .iter()
            .find_map(|name| name.as_str().map(str::to_owned))
    });
    let dates = [
        "effectiveDateTime",
        "onsetDateTime",
        "occurrenceDateTime",
        "performedDateTime",
        "authoredOn",
        "recordedDate",
        "startDate",
        "timingDateTime",
    ];
    let date = dates.iter().find_map(|name| resource.get(*name)?.as_str());
    let periods = [
        "effectivePeriod",
        "performedPeriod",
        "period",
        "occurrencePeriod",
        "timingPeriod",
    ];
    let period = || {
        let period = periods.iter().find_map(|name| resource.get(*name))?;
        let end = |name| period[name].as_str().unwrap_or_default();
        Some(format!("{} to {}", end("start"), end("end")))
    };
    let when = date.map(str::to_owned).or_else(period);
    let parts = each(&resource["component"]).iter();
    let parts =
        parts.filter_map(|part| Some(format!("{}: {}", said(&part["code"])?, value(part)?)));
    let goal = value(&plan::detail(resource));
    let values = value(resource).into_iter().chain(goal).chain(parts);
    let values = values.chain(others(resource)).collect::<Vec<_>>();
    let status = said(&resource["clinicalStatus"]);
    let own = [&resource["status"], &resource["lifecycleStatus"]];
    let status = status.or_else(|| own.iter().find_map(|own| own.as_str().map(str::to_owned)));
    let denied = said(&resource["verificationStatus"]);
    let status = [status, denied].into_iter().flatten().collect::<Vec<_>>();
    [
        what.unwrap_or_else(|| "not said".to_owned()),
        when.unwrap_or_default(),
        values.join("; "),
        status.join(", "),
    ]
}

/// The illnesses of a relative, and the members of a team.
fn others(resource: &Value) -> Vec<String> {
    let conditions = each(&resource["condition"]).iter();
    let conditions = conditions.filter_map(|one| said(&one["code"]));
    let members = each(&resource["participant"]).iter();
    let members = members.filter_map(|one| one["member"]["display"].as_str().map(str::to_owned));
    conditions.chain(members).collect()
}

fn value(observation: &Value) -> Option<String> {
    let quantity = |quantity: &Value| {
        let comparator = quantity["comparator"].as_str().unwrap_or_default();
        let unit = quantity["unit"].as_str().unwrap_or_default();
        let number = super::datatypes::number(&quantity["value"])?;
        Some(format!("{comparator}{number} {unit}"))
    };
    let range = || {
        let range = observation.get("valueRange")?;
        let ends = [quantity(&range["low"]), quantity(&range["high"])];
        Some(ends.map(Option::unwrap_or_default).join(" to "))
    };
    let text = observation["valueString"].as_str().map(str::to_owned);
    quantity(&observation["valueQuantity"])
        .or_else(|| said(observation.get("valueCodeableConcept")?))
        .or(text)
        .or_else(range)
        .or_else(|| super::datatypes::number(&observation["valueInteger"]))
}

/// A concept in words.
pub(super) fn said(concept: &Value) -> Option<String> {
    let concept = each(concept).first()?;
    let coding = &concept["coding"][0];
    let words = concept["text"].as_str().or(coding["display"].as_str());
    words.or(coding["code"].as_str()).map(str::to_owned)
}
