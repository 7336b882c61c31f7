//! A message as it is read: segments, fields, repetitions, components, subcomponents.

use std::fmt;

use super::{Fault, Overrides, escape, read};
use crate::compose::key;

/// The characters that a message declares in MSH-1 and MSH-2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Separators {
    /// MSH-1.
    pub field: char,
    /// Between components.
    pub component: char,
    /// Between repetitions.
    pub repetition: char,
    /// Around escape sequences; none where MSH-2 has two characters.
    pub escape: Option<char>,
    /// Between subcomponents.
    pub subcomponent: char,
    /// Behind a value that was cut (2.7 and later).
    pub truncation: Option<char>,
}

/// What a message is (MSH-9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind<'a> {
    /// MSH-9.1, such as `ADT`.
    pub message_type: &'a str,
    /// MSH-9.2, such as `A01`.
    pub trigger: &'a str,
    /// MSH-9.3, such as `ADT_A01`; often empty.
    pub structure: &'a str,
}

/// Who sent a message (MSH-3.1 and MSH-4.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sender {
    /// The application.
    pub application: String,
    /// The facility.
    pub facility: String,
}

impl Sender {
    /// The system and the value of the identifier by which the Provenance of what they sent names them.
    pub fn identifier(&self) -> (&'static str, String) {
        let parts = [self.application.as_str(), &self.facility];
        ("urn:careledger:v2:sender", key(&parts))
    }
}

/// A version that is read: MSH-12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The number behind `2.`.
    pub minor: u8,
}

/// A patient by one identifier of a message: what has the same key is kept in order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PatientKey(String);

impl PatientKey {
    /// Authority and identifier; the text is patient data.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PatientKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PatientKey(..)")
    }
}

/// A message of HL7 v2 with the bytes that it came as.
///
/// Debug shows what it is and how long, nothing of a patient.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub(super) bytes: Vec<u8>,
    pub(super) text: String,
    pub(super) separators: Separators,
    pub(super) version: Version,
}

impl fmt::Debug for Message {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Message({} bytes)", self.bytes.len())
    }
}

impl Message {
    /// Reads a message within the usual bounds.
    ///
    /// # Errors
    ///
    /// The first thing that makes it unreadable.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        read::message(bytes, &read::Limits::default(), encoding_rs::UTF_8)
    }

    /// Reads a message of a sender who may name no character set, and has one that is known.
    ///
    /// # Errors
    ///
    /// The first thing that makes it unreadable.
    pub fn parse_from(bytes: &[u8], overrides: &Overrides) -> Result<Self, Fault> {
        let usual = overrides.character_set(&read::raw_sender(bytes));
        let usual = usual.unwrap_or(encoding_rs::UTF_8);
        read::message(bytes, &read::Limits::default(), usual)
    }

    /// Reads a message within these bounds.
    ///
    /// # Errors
    ///
    /// The first thing that makes it unreadable.
    pub fn parse_within(bytes: &[u8], limits: &read::Limits) -> Result<Self, Fault> {
        read::message(bytes, limits, encoding_rs::UTF_8)
    }

    /// The bytes that were read.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The segments in their order, Z-segments among them.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        lines(&self.text).map(|text| Segment {
            text,
            separators: &self.separators,
        })
    }

    /// MSH.
    pub fn header(&self) -> Segment<'_> {
        Segment {
            text: lines(&self.text).next().unwrap_or_default(),
            separators: &self.separators,
        }
    }

    /// MSH-10.
    pub fn control_id(&self) -> String {
        self.header().field(10).text()
    }

    /// MSH-3 and MSH-4.
    pub fn sender(&self) -> Sender {
        let header = self.header();
        Sender {
            application: header.field(3).text(),
            facility: header.field(4).text(),
        }
    }

    /// MSH-9.
    pub fn kind(&self) -> Kind<'_> {
        let kind = self.header().field(9).first();
        Kind {
            message_type: kind.component(1).raw(),
            trigger: kind.component(2).raw(),
            structure: kind.component(3).raw(),
        }
    }

    /// MSH-12.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The identifiers of the patients that the message is about: all of PID-2 to PID-4 and of MRG-1. Messages that share
    /// one are kept in order.
    pub fn patient_key(&self) -> Vec<PatientKey> {
        let mut keys: Vec<PatientKey> = self
            .segments()
            .flat_map(|segment| {
                let fields: &[usize] = match segment.name() {
                    "PID" => &[2, 3, 4],
                    "MRG" => &[1],
                    _ => &[],
                };
                fields
                    .iter()
                    .flat_map(move |number| segment.field(*number).repeats())
            })
            .filter(|repeat| !repeat.component(1).is_empty())
            .map(|repeat| {
                PatientKey(format!(
                    "{}|{}",
                    repeat.component(4).text(),
                    repeat.component(1).text()
                ))
            })
            .collect();
        keys.sort();
        keys.dedup();
        keys
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\r', '\n'])
        .filter(|line| !line.trim().is_empty())
}

/// One segment.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    text: &'a str,
    separators: &'a Separators,
}

impl fmt::Debug for Segment<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Segment(..)")
    }
}

impl<'a> Segment<'a> {
    /// Its three letters.
    pub fn name(self) -> &'a str {
        self.text
            .split(self.separators.field)
            .next()
            .unwrap_or_default()
    }

    /// A field by its number, from 1; empty if it is not there.
    pub fn field(self, number: usize) -> Field<'a> {
        let is_header = matches!(self.name(), "MSH" | "BHS" | "FHS");
        let text = match (is_header, number) {
            (_, 0) => "",
            (true, 1) => self.text.get(3..4).unwrap_or_default(),
            // The separators themselves are no structure.
            (true, _) => self
                .text
                .split(self.separators.field)
                .nth(number - 1)
                .unwrap_or_default(),
            (false, _) => self
                .text
                .split(self.separators.field)
                .nth(number)
                .unwrap_or_default(),
        };
        Field {
            text,
            separators: self.separators,
        }
    }

    /// How many fields there are.
    pub fn fields(self) -> usize {
        self.text
            .split(self.separators.field)
            .count()
            .saturating_sub(1)
    }

    /// The segment as it stands.
    pub fn raw(self) -> &'a str {
        self.text
    }
}

/// One field with its repetitions.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    text: &'a str,
    separators: &'a Separators,
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Field(..)")
    }
}

impl<'a> Field<'a> {
    /// Its repetitions that hold something.
    pub fn repeats(self) -> impl Iterator<Item = Repeat<'a>> {
        self.text
            .split(self.separators.repetition)
            .map(move |text| Repeat {
                text,
                separators: self.separators,
            })
            .filter(|repeat| !repeat.is_empty())
    }

    /// The first repetition; empty if there is none.
    pub fn first(self) -> Repeat<'a> {
        Repeat {
            text: self
                .text
                .split(self.separators.repetition)
                .next()
                .unwrap_or_default(),
            separators: self.separators,
        }
    }

    /// Whether nothing stands in it. `""`, which deletes, is nothing as well.
    pub fn is_empty(self) -> bool {
        self.repeats().next().is_none()
    }

    /// The first component of the first repetition, decoded.
    pub fn text(self) -> String {
        self.first().component(1).text()
    }

    /// The field as it stands.
    pub fn raw(self) -> &'a str {
        self.text
    }
}

/// One repetition of a field.
#[derive(Clone, Copy)]
pub struct Repeat<'a> {
    text: &'a str,
    separators: &'a Separators,
}

impl fmt::Debug for Repeat<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Repeat(..)")
    }
}

impl<'a> Repeat<'a> {
    /// A component by its number, from 1.
    pub fn component(self, number: usize) -> Component<'a> {
        let text = match number.checked_sub(1) {
            None => "",
            Some(at) => self
                .text
                .split(self.separators.component)
                .nth(at)
                .unwrap_or_default(),
        };
        Component {
            text,
            separators: self.separators,
        }
    }

    /// Whether no component holds anything.
    pub fn is_empty(self) -> bool {
        self.text
            .split([self.separators.component, self.separators.subcomponent])
            .all(is_nothing)
    }

    /// The whole repetition, decoded; for texts in which a component separator was meant as text.
    pub fn text(self) -> String {
        escape::decode(self.text, self.separators)
    }
}

/// One component.
#[derive(Clone, Copy)]
pub struct Component<'a> {
    text: &'a str,
    separators: &'a Separators,
}

impl fmt::Debug for Component<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Component(..)")
    }
}

impl<'a> Component<'a> {
    /// Its first subcomponent, decoded; empty for `""`.
    pub fn text(self) -> String {
        self.subcomponent(1)
    }

    /// A subcomponent by its number, from 1, decoded.
    pub fn subcomponent(self, number: usize) -> String {
        let part = number
            .checked_sub(1)
            .and_then(|at| self.text.split(self.separators.subcomponent).nth(at))
            .unwrap_or_default();
        if is_nothing(part) {
            return String::new();
        }
        escape::decode(part, self.separators).trim().to_owned()
    }

    /// Whether nothing stands in it.
    pub fn is_empty(self) -> bool {
        self.text
            .split(self.separators.subcomponent)
            .all(is_nothing)
    }

    /// The component as it stands.
    pub fn raw(self) -> &'a str {
        self.text
    }
}

fn is_nothing(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || text == "\"\""
}
