//! Note activities: a DocumentReference with the text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::datatypes::{absent, coded};
use super::draft::Draft;
use super::section::Section;
use crate::ccda::document::At;
use crate::ccda::fault::Rule;
use crate::ccda::narrative::division;
use crate::compose::{filled, put};

const CATEGORY: &str = "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category";

impl<'a> Draft<'a> {
    pub(super) fn note(&mut self, at: At<'a>, _: Section<'a>) -> Vec<usize> {
        let mut note = self.start("DocumentReference", at);
        put(&mut note, "status", "current".into());
        let kind = self.concept_or_reason(at.child("code"));
        put(&mut note, "type", kind);
        put(&mut note, "category[]", coded(CATEGORY, "clinical-note"));
        put(&mut note, "subject", self.subject());
        let authors = self.authors_of(at);
        let written = authors.iter().filter_map(|author| author.time.clone());
        let written = written.filter(|time| time.contains('T')).min();
        put(&mut note, "date", written.into());
        for author in authors.into_iter().filter_map(|author| author.party) {
            put(&mut note, "author[]", author);
        }
        for document in at
            .all("reference")
            .filter_map(|reference| reference.find(&["externalDocument", "id"]))
        {
            if let Some(identifier) = self.identifier(document) {
                let target = json!({"code": "appends", "target": {"identifier": identifier}});
                put(&mut note, "relatesTo[]", target);
            }
        }
        let attachment = self.note_text(at);
        put(&mut note, "content[]", json!({"attachment": attachment}));
        self.context(at, &mut note);
        vec![self.add(at, note)]
    }

    fn note_text(&mut self, at: At<'a>) -> Value {
        let Some(text) = at.child("text") else {
            return absent(None);
        };
        if text.is("representation", "B64") {
            let data: String = text.text().split_whitespace().collect();
            if STANDARD.decode(&data).is_err() {
                self.misread(text, Rule::Form("base64"));
            }
            let kind = text.attribute("mediaType");
            let kind = kind.unwrap_or("application/octet-stream");
            return json!({"contentType": kind, "data": data});
        }
        match text.referred().or(Some(text)).and_then(division) {
            Some(xhtml) => {
                json!({"contentType": "application/xhtml+xml", "data": STANDARD.encode(xhtml)})
            }
            None => absent(text.attribute("nullFlavor")),
        }
    }

    fn context(&mut self, at: At<'a>, note: &mut Value) {
        let mut context = json!({});
        let times = self.times_in(at);
        let mut period = json!({});
        put(&mut period, "start", times.start().into());
        put(&mut period, "end", times.high.into());
        put(&mut context, "period", filled(period).into());
        let visit = self.encounter.map(|visit| self.reference(visit));
        put(&mut context, "encounter[]", visit.into());
        put(note, "context", filled(context).into());
    }
}
