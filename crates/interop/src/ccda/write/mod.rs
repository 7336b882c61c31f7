//! A CCD (C-CDA R2.1) of a patient's record.
//!
//! Each section has a table for people and entries for programs. What the entries cannot say is in the table; what no section
//! has is not in the document.

mod care_team;
mod clinical;
mod datatypes;
mod device;
mod family;
mod medication;
mod note;
mod observation;
mod people;
mod plan;
mod section;
mod tag;

use serde_json::Value;

use self::datatypes::{address, digits, each, ids, loinc, name, telecom, template, time};
use self::tag::{Tag, tag, text};
use crate::fhir::Resource;
use crate::fhir::labels::{carries_notice, is_restricted, labels_of};
use crate::fhir::timespan::format_instant;

/// What a document is made of.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// The Patient.
    pub patient: &'a Value,
    /// The other resources.
    pub resources: &'a [Value],
    /// Who keeps the record, and says it.
    pub custodian: &'a str,
    /// The document's id, a UUID.
    pub id: &'a str,
    /// Now, in milliseconds since 1970.
    pub time_ms: i64,
    /// What is missing, in words.
    pub gaps: &'a [String],
}

impl std::fmt::Debug for Record<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Record({} resources, ..)", self.resources.len())
    }
}

/// Writes a document.
pub fn ccd(record: &Record<'_>) -> String {
    let now = digits(&format_instant(record.time_ms));
    let root = tag("ClinicalDocument")
        .with("xmlns", "urn:hl7-org:v3")
        .with("xmlns:sdtc", "urn:hl7-org:sdtc")
        .with("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance");
    let header = [
        tag("realmCode").with("code", "US"),
        tag("typeId")
            .with("root", "2.16.840.1.113883.1.3")
            .with("extension", "POCD_HD000040"),
        template("22.1.1", "2015-08-01"),
        template("22.1.2", "2015-08-01"),
        tag("id").with("root", record.id.to_uppercase()),
        loinc("code", "34133-9").with("displayName", "Summarization of Episode Note"),
        text("title", "Continuity of Care Document"),
        tag("effectiveTime").with("value", now.clone()),
        tag("confidentialityCode")
            .with("code", confidentiality(record))
            .with("codeSystem", "2.16.840.1.113883.5.25"),
        tag("languageCode").with("code", "en-US"),
        record_target(record.patient),
        author(record.custodian, &now),
        custodian(record.custodian),
        event(&now),
    ];
    let body = tag("component").holding([tag("structuredBody").holding(section::all(record))]);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    root.holding(header).holding([body]).write(&mut out);
    out
}

/// The highest that something in it has.
fn confidentiality(record: &Record<'_>) -> &'static str {
    let mut found = "N";
    for resource in record.resources.iter().chain([record.patient]) {
        let security = each(&resource["meta"]["security"]);
        let is_very = security.iter().any(|label| label["code"] == "V");
        let labels = Resource::from_value(resource.clone());
        let labels = labels.map(|resource| labels_of(&resource));
        let is_sensitive = labels.is_ok_and(|labels| is_restricted(&labels));
        let is_marked = security.iter().any(|label| label["code"] == "R");
        if is_very {
            return "V";
        }
        if is_sensitive || is_marked || carries_notice(resource) {
            found = "R";
        }
    }
    found
}

fn record_target(patient: &Value) -> Tag {
    let gender = patient["gender"].as_str().unwrap_or("unknown");
    let gender = datatypes::gender(gender);
    let birth_time = each(&patient["_birthDate"]["extension"])
        .iter()
        .find(|one| one["url"] == "http://hl7.org/fhir/StructureDefinition/patient-birthTime")
        .map_or(&patient["birthDate"], |one| &one["valueDateTime"]);
    let birth = time("birthTime", birth_time);
    let birth = birth.unwrap_or_else(|| tag("birthTime").with("nullFlavor", "UNK"));
    let died = time("sdtc:deceasedTime", &patient["deceasedDateTime"]);
    let is_dead = patient["deceasedBoolean"].as_bool();
    let is_dead = is_dead.or(died.as_ref().map(|_| true));
    let is_dead = is_dead.map(|flag| tag("sdtc:deceasedInd").with("value", flag.to_string()));
    let languages = each(&patient["communication"]).iter().filter_map(|one| {
        let code = one["language"]["coding"][0]["code"].as_str()?;
        let preferred = one["preferred"].as_bool();
        let preferred = preferred.map(|flag| tag("preferenceInd").with("value", flag.to_string()));
        let language = tag("languageCommunication");
        Some(
            language
                .holding([tag("languageCode").with("code", code)])
                .holding(preferred),
        )
    });
    let names: Vec<Tag> = each(&patient["name"]).iter().map(name).collect();
    let names = if names.is_empty() {
        vec![tag("name").with("nullFlavor", "UNK")]
    } else {
        names
    };
    let person = tag("patient")
        .holding(names)
        .holding([gender, birth])
        .holding(is_dead)
        .holding(died)
        .holding(datatypes::some_concept(
            "maritalStatusCode",
            &patient["maritalStatus"],
        ))
        .holding(languages);
    let role = tag("patientRole")
        .holding(ids(patient))
        .holding(each(&patient["address"]).iter().map(address))
        .holding(each(&patient["telecom"]).iter().filter_map(telecom))
        .holding([person]);
    tag("recordTarget").holding([role])
}

fn author(custodian: &str, now: &str) -> Tag {
    let device = tag("assignedAuthoringDevice").holding([
        text("manufacturerModelName", "CareLedger"),
        text("softwareName", "CareLedger"),
    ]);
    let organization = tag("representedOrganization").holding([text("name", custodian)]);
    let role =
        tag("assignedAuthor").holding([tag("id").with("nullFlavor", "NI"), device, organization]);
    tag("author").holding([tag("time").with("value", now), role])
}

fn custodian(name: &str) -> Tag {
    let organization = tag("representedCustodianOrganization")
        .holding([tag("id").with("nullFlavor", "NI"), text("name", name)]);
    tag("custodian").holding([tag("assignedCustodian").holding([organization])])
}

/// What the summary is of: care until now.
fn event(now: &str) -> Tag {
    let until = tag("effectiveTime").holding([
        tag("low").with("nullFlavor", "UNK"),
        tag("high").with("value", now),
    ]);
    let event = tag("serviceEvent")
        .with("classCode", "PCPR")
        .holding([until]);
    tag("documentationOf").holding([event])
}
