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
        let readers: [(&str, Reader<'a>); 53] = [
            ("22.4.3", Self::problem_concern),
            ("22.4.4", Self::problem_alone),
            ("22.4.33", Self::problems_in),
            ("22.4.34", Self::problems_in),
            ("22.4.30", Self::allergy_concern),
            ("22.4.7", Self::allergy_alone),
            ("22.4.16", Self::medication),
            ("22.4.35", Self::medications_in),
            ("22.4.36", Self::medications_in),
            ("22.4.52", Self::immunization),
            ("22.4.1", Self::results),
            ("22.4.2", Self::result),
            ("22.4.26", Self::vital_signs),
            ("22.4.27", Self::vital_sign),
            ("22.4.38", Self::social),
            ("22.4.78", Self::social),
            ("22.4.85", Self::social),
            ("15.3.8", Self::pregnancy),
            ("22.4.200", Self::birth_sex),
            ("22.4.12", Self::procedure),
            ("22.4.13", Self::procedure),
            ("22.4.14", Self::procedure),
            ("22.4.49", Self::encounter),
            ("22.4.202", Self::note),
            ("22.4.121", Self::goal),
            ("22.4.39", Self::planned),
            ("22.4.40", Self::planned),
            ("22.4.41", Self::planned),
            ("22.4.44", Self::planned),
            ("22.4.140", Self::planned),
            ("22.4.42", Self::planned_medication),
            ("22.4.120", Self::planned_medication),
            ("22.4.20", Self::instruction_alone),
            ("22.4.45", Self::family_member),
            ("22.4.50", Self::supply_given),
            ("22.4.135", Self::equipment),
            ("22.4.500", Self::care_team),
            ("22.4.132", Self::health_concern),
            ("22.4.48", Self::directive),
            ("22.4.108", Self::directives),
            ("22.4.66", Self::functions),
            ("22.4.75", Self::functions),
            ("22.4.67", Self::function),
            ("22.4.68", Self::function),
            ("22.4.69", Self::function),
            ("22.4.72", Self::function),
            ("22.4.73", Self::function),
            ("22.4.74", Self::function),
            ("22.4.124", Self::function),
            ("22.4.127", Self::function),
            ("22.4.128", Self::function),
            ("22.4.144", Self::function),
            ("22.4.5", Self::function),
        ];
        let templates = at.all("templateId").filter_map(|id| id.attribute("root"));
        let found = templates
            .filter_map(|root| root.strip_prefix(TEMPLATES))
            .find_map(|own| readers.iter().find(|(template, _)| *template == own));
        match found {
            Some((_, read)) => read(self, at, section),
            None => {
                self.leave_unread(at);
                Vec::new()
            }
        }
    }
}

/// The full OID of a template of C-CDA.
pub(super) fn template(own: &str) -> String {
    format!("{TEMPLATES}{own}")
}
