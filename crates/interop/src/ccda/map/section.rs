//! The body: sections, and which template an entry follows.

use serde_json::{Value, json};

use super::draft::Draft;
use super::header::{label_of, title};
use crate::ccda::document::At;
use crate::ccda::narrative::division;
use crate::compose::put;

/// Elements in an `entry` that say something about the patient.
const STATEMENTS: [&str; 7] = [
    "act",
    "encounter",
    "observation",
    "organizer",
    "procedure",
    "substanceAdministration",
    "supply",
];
const TEMPLATES: &str = "2.16.840.1.113883.10.20.";

/// The section in which an entry stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section<'a> {
    /// Its LOINC code.
    pub(super) code: Option<&'a str>,
}

type Reader<'a> = fn(&mut Draft<'a>, At<'a>, Section<'a>) -> Vec<usize>;

impl<'a> Draft<'a> {
    pub(super) fn body(&mut self) {
        let root = self.root;
        for part in root.all("component") {
            if let Some(whole) = part.child("nonXMLBody") {
                self.leave_unread(whole);
            }
            let bodies = part.all("structuredBody");
            for section in bodies
                .flat_map(|body| body.all("component"))
                .filter_map(|part| part.child("section"))
            {
                if let Some(section) = self.section(section) {
                    self.put_section(section);
                }
            }
        }
        let composition = std::mem::take(&mut self.composition);
        self.add(root, composition.clone());
        self.composition = composition;
    }

    fn section(&mut self, at: At<'a>) -> Option<Value> {
        let outer = self.confidentiality;
        self.confidentiality = outer.max(label_of(at));
        let place = Section {
            code: at.child("code").and_then(|code| code.attribute("code")),
        };
        let mut section = json!({});
        put(&mut section, "title", title(at));
        put(&mut section, "code", self.concept_in(at, "code").into());
        if let Some(div) = at.child("text").and_then(division) {
            let text = json!({"status": "additional", "div": div});
            put(&mut section, "text", text);
        }
        let mut made = Vec::new();
        for statement in at.all("entry").flat_map(At::elements) {
            if STATEMENTS.contains(&statement.name()) {
                made.extend(self.statement(statement, place));
            }
        }
        made.extend(self.care_plan(at, (&section, &made)));
        for entry in made {
            put(&mut section, "entry[]", self.reference(entry));
        }
        let parts = at.all("component").filter_map(|part| part.child("section"));
        for part in parts {
            put(&mut section, "section[]", self.section(part).into());
        }
        self.confidentiality = outer;
        let has_content = ["text", "entry", "section"];
        has_content
            .iter()
            .any(|name| section.get(name).is_some())
            .then_some(section)
    }

    /// What an entry becomes; nothing if no template of it is mapped.
    pub(super) fn statement(&mut self, at: At<'a>, section: Section<'a>) -> Vec<usize> {
        let templates = at.all("templateId").filter_map(|id| id.attribute("root"));
        let found = templates
            .filter_map(|root| root.strip_prefix(TEMPLATES))
            .find_map(reader);
        match found {
            Some(read) => read(self, at, section),
            None => {
                self.leave_unread(at);
                Vec::new()
            }
        }
    }
}

/// What reads entries of a template.
fn reader<'a>(template: &str) -> Option<Reader<'a>> {
    let read: Reader<'a> = match template {
        "22.4.3" => Draft::problem_concern,
        "22.4.4" => Draft::problem_alone,
        "22.4.33" | "22.4.34" => Draft::problems_in,
        "22.4.30" => Draft::allergy_concern,
        "22.4.7" => Draft::allergy_alone,
        "22.4.16" => Draft::medication,
        "22.4.35" | "22.4.36" => Draft::medications_in,
        "22.4.52" => Draft::immunization,
        "22.4.1" => Draft::results,
        "22.4.2" => Draft::result,
        "22.4.26" => Draft::vital_signs,
        "22.4.27" => Draft::vital_sign,
        "22.4.38" | "22.4.78" | "22.4.85" => Draft::social,
        "15.3.8" => Draft::pregnancy,
        "22.4.200" => Draft::birth_sex,
        "22.4.12" | "22.4.13" | "22.4.14" => Draft::procedure,
        "22.4.49" => Draft::encounter,
        "22.4.202" => Draft::note,
        "22.4.121" => Draft::goal,
        "22.4.39" | "22.4.40" | "22.4.41" | "22.4.44" | "22.4.140" => Draft::planned,
        "22.4.42" | "22.4.120" => Draft::planned_medication,
        "22.4.20" => Draft::instruction_alone,
        "22.4.45" => Draft::family_member,
        "22.4.50" => Draft::supply_given,
        "22.4.135" => Draft::equipment,
        "22.4.500" => Draft::care_team,
        "22.4.132" => Draft::health_concern,
        "22.4.48" => Draft::directive,
        "22.4.108" => Draft::directives,
        "22.4.66" | "22.4.75" => Draft::functions,
        "22.4.67" | "22.4.68" | "22.4.69" | "22.4.72" | "22.4.73" | "22.4.74" | "22.4.124"
        | "22.4.127" | "22.4.128" | "22.4.144" | "22.4.5" => Draft::function,
        _ => return None,
    };
    Some(read)
}

/// The full OID of a template of C-CDA.
pub(super) fn template(own: &str) -> String {
    format!("{TEMPLATES}{own}")
}
