//! The tables of segments: which field goes to which element, as which data type.

use serde_json::{Value, json};

use super::codes::{self, Table};
use super::draft::Draft;
use crate::compose::put;
use crate::hl7v2::fault::Place;
use crate::hl7v2::message::{Repeat, Segment};

/// One line of a segment's table.
#[derive(Debug)]
pub(super) struct Rule {
    /// The field, from 1.
    pub(super) field: usize,
    /// Where it goes; see [`put`].
    pub(super) to: &'static str,
    /// As what.
    pub(super) shape: Shape,
}

/// What a repetition of a field becomes.
#[derive(Debug)]
pub(super) enum Shape {
    /// The first component.
    Text,
    /// All of it, component separators as text.
    Whole,
    /// A number without sign.
    Integer,
    /// A decimal.
    Decimal,
    /// Y or N: table 0136.
    Boolean,
    /// DT, TS or DTM as `date`.
    Date,
    /// TS or DTM as `dateTime`.
    DateTime,
    /// CX.
    Identifier,
    /// EI, with this code of table 0203.
    EntityIdentifier(&'static str),
    /// XPN.
    Name,
    /// XAD.
    Address,
    /// A text as an Address.
    AddressText,
    /// A text as a CodeableConcept.
    TextConcept,
    /// TS or DTM with a time of day.
    Instant,
    /// CWE of table 0078.
    Interpretation,
    /// ID of table 0272.
    Confidentiality,
    /// NDL: a person in the subcomponents of its first component.
    Interpreter,
    /// CWE of an organization, such as MVX.
    Manufacturer,
    /// XTN, with the use that it has if it names none.
    Telecom(&'static str),
    /// CE, CWE or a code of this table of HL7.
    Concept(&'static str),
    /// The same as Coding.
    Coding(&'static Table),
    /// A code of FHIR.
    Code(&'static Table),
    /// XCN, as a reference to a Practitioner.
    Practitioner,
    /// PL, as a reference to a Location.
    Location,
    /// XON, as a reference to an Organization by identifier and name.
    Organization,
    /// XCN in an element with `type` and the actor: the code of v3 ParticipationType, the actor's element.
    Participant(&'static str, &'static str),
    /// PL in an element of `Encounter.location`, with its status.
    Stay(&'static str),
    /// A number or CQ in minutes, days and so on: the UCUM code.
    Quantity(&'static str),
    /// An extension with this URL, the name of its value, and what that is.
    Extension(&'static str, &'static str, &'static Shape),
    /// The same in the first part of a complex extension: URL, name of the part, name of its value.
    Nested(&'static str, &'static str, &'static str, &'static Shape),
}

pub(super) const fn rule(field: usize, to: &'static str, shape: Shape) -> Rule {
    Rule { field, to, shape }
}

impl Draft<'_> {
    /// Fills a resource by a segment's table.
    pub(super) fn fill(&mut self, segment: &Segment<'_>, rules: &[Rule], resource: &mut Value) {
        for rule in rules {
            let place = self.place(segment).field(rule.field);
            for repeat in segment.field(rule.field).repeats() {
                if let Some(value) = self.shaped(repeat, &rule.shape, &place) {
                    put(resource, rule.to, value);
                }
            }
        }
    }

    /// Fills a resource of the Bundle, if it is there.
    pub(super) fn fill_entry(
        &mut self,
        entry: Option<usize>,
        segment: &Segment<'_>,
        rules: &[Rule],
    ) {
        let Some(index) = entry.filter(|entry| *entry < self.entries.len()) else {
            return self.leave_unread(segment);
        };
        let mut resource = self
            .entries
            .get_mut(index)
            .map_or(Value::Null, |entry| entry.resource.take());
        self.fill(segment, rules, &mut resource);
        if let Some(entry) = self.entries.get_mut(index) {
            entry.resource = resource;
        }
    }

    /// A repetition as this shape; nothing if it holds nothing of the kind. What is malformed is noted.
    pub(super) fn shaped(
        &mut self,
        repeat: Repeat<'_>,
        shape: &Shape,
        place: &Place,
    ) -> Option<Value> {
        if repeat.is_empty() {
            return None;
        }
        match shape {
            Shape::Text => text(repeat.component(1).text()),
            Shape::Whole => text(repeat.text()),
            Shape::Integer => self.integer(repeat, place),
            Shape::Decimal => self.decimal(&repeat.component(1).text(), place),
            Shape::Boolean => self.boolean(repeat, place),
            Shape::Date => self.date(&repeat.component(1).text(), place),
            Shape::DateTime => self.date_time(&repeat.component(1).text(), place),
            Shape::Identifier => self.identifier(repeat),
            Shape::EntityIdentifier(kind) => self.entity_identifier(repeat, kind),
            Shape::Name => self.name(repeat, place),
            Shape::Address => self.address(repeat),
            Shape::AddressText => {
                text(repeat.component(1).text()).map(|text| json!({"text": text}))
            }
            Shape::TextConcept => {
                text(repeat.component(1).text()).map(|text| json!({"text": text}))
            }
            Shape::Instant => self
                .instant(&repeat.component(1).text(), place)
                .map(Value::from),
            Shape::Interpretation => self.coded(repeat, &codes::INTERPRETATION, place),
            Shape::Confidentiality => self.coded(repeat, &codes::CONFIDENTIALITY, place),
            Shape::Interpreter => self.interpreter(repeat),
            Shape::Manufacturer => self.manufacturer(repeat, place),
            Shape::Telecom(usual) => self.telecom(repeat, usual),
            Shape::Concept(table) => self.concept(repeat, table, place),
            Shape::Coding(table) => self.table_coding(repeat, table, place),
            Shape::Code(table) => self
                .code(&repeat.component(1).text(), table, place)
                .map(Value::from),
            Shape::Practitioner => self.practitioner(repeat),
            Shape::Location => self.location(repeat),
            Shape::Organization => self.organization(repeat),
            Shape::Participant(code, actor) => {
                let person = self.practitioner(repeat)?;
                let system = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
                Some(
                    json!({"type": [{"coding": [{"system": system, "code": code}]}], (*actor): person}),
                )
            }
            Shape::Stay(status) => {
                let location = self.location(repeat)?;
                Some(json!({"location": location, "status": status}))
            }
            Shape::Quantity(unit) => {
                let value = self.decimal(&repeat.component(1).text(), place)?;
                let system = "http://unitsofmeasure.org";
                Some(json!({"value": value, "unit": unit, "system": system, "code": unit}))
            }
            Shape::Extension(url, name, inner) => {
                let value = self.shaped(repeat, inner, place)?;
                Some(json!({"url": url, (*name): value}))
            }
            Shape::Nested(url, part, name, inner) => {
                let value = self.shaped(repeat, inner, place)?;
                Some(json!({"url": url, "extension": [{"url": part, (*name): value}]}))
            }
        }
    }
}

/// A text as FHIR has it: not empty, without control characters.
#[expect(
    clippy::needless_pass_by_value,
    reason = "most of its callers have just made the text"
)]
pub(super) fn text(text: String) -> Option<Value> {
    let kept: String = text
        .chars()
        .filter(|one| !one.is_control() || matches!(one, '\n' | '\r' | '\t'))
        .collect();
    let kept = kept.trim();
    (!kept.is_empty()).then(|| kept.into())
}
