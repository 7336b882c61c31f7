//! TXA and its OBX: DocumentReference.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::codes;
use super::draft::{Draft, Writing};
use super::rule::{Rule, Shape, rule, text};
use crate::compose::put;
use crate::hl7v2::fault::{ErrorCode, Place};
use crate::hl7v2::message::Segment;

const TXA: &[Rule] = &[
    rule(12, "masterIdentifier", Shape::EntityIdentifier("")),
    rule(19, "status", Shape::Code(&codes::AVAILABILITY)),
    rule(17, "docStatus", Shape::Code(&codes::DOCUMENT_STATUS)),
    rule(2, "type", Shape::Concept("0270")),
    rule(4, "context.period.start", Shape::DateTime),
    rule(6, "date", Shape::Instant),
    rule(9, "author[]", Shape::Practitioner),
    rule(10, "authenticator", Shape::Practitioner),
    rule(18, "securityLabel[]", Shape::Confidentiality),
    rule(25, "description", Shape::Text),
];

/// A document whose content is being read.
pub(super) struct OpenDocument {
    entry: usize,
    place: Place,
    title: Option<Value>,
    lines: Vec<String>,
    has_content: bool,
}

impl Draft<'_> {
    pub(super) fn document(&mut self, segment: &Segment<'_>) {
        let mut document = json!({"resourceType": "DocumentReference"});
        self.fill(segment, TXA, &mut document);
        put(&mut document, "status", "current".into());
        self.required(segment, 12, &document["masterIdentifier"]);
        put(&mut document, "subject", self.subject());
        if let Some(visit) = self.encounter {
            put(&mut document, "context.encounter[]", Self::reference(visit));
        }
        let place = self.place(segment);
        let entry = self.add(document, Writing::Replace, place.clone());
        self.noted = Some(entry);
        self.document = Some(OpenDocument {
            entry,
            place,
            title: text(segment.field(16).text()),
            lines: Vec::new(),
            has_content: false,
        });
    }

    /// OBX under TXA: lines of text, or an attachment.
    pub(super) fn document_content(&mut self, segment: &Segment<'_>, kind: &str) {
        let place = self.place(segment).field(5);
        if !matches!(kind, "ED" | "RP") {
            let lines: Vec<String> = segment
                .field(5)
                .repeats()
                .map(|repeat| repeat.text())
                .collect();
            if let Some(document) = &mut self.document {
                document.lines.extend(lines);
            }
            return;
        }
        for repeat in segment.field(5).repeats() {
            if let Some(attachment) = self.attachment(repeat, kind, &place) {
                self.add_content(attachment);
            }
        }
    }

    fn add_content(&mut self, mut attachment: Value) {
        let Some(document) = &mut self.document else {
            return;
        };
        put(&mut attachment, "title", document.title.clone().into());
        document.has_content = true;
        if let Some(entry) = self.entries.get_mut(document.entry) {
            put(&mut entry.resource, "content[].attachment", attachment);
        }
    }

    /// The lines of text become one attachment; a document without any content is none.
    pub(super) fn close_document(&mut self) {
        let Some(document) = &mut self.document else {
            return;
        };
        let lines = std::mem::take(&mut document.lines);
        if !lines.is_empty() {
            let data = STANDARD.encode(lines.join("\n"));
            self.add_content(json!({"contentType": "text/plain; charset=utf-8", "data": data}));
        }
        if let Some(document) = self.document.take()
            && !document.has_content
        {
            self.fault(
                document.place,
                ErrorCode::SegmentSequence,
                "the document's content in OBX",
            );
        }
    }
}
