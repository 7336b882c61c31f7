//! From a message to a transaction Bundle.
//!
//! Segments are walked in their order; each fills the resource that it belongs to. The rules of a segment are a table of
//! `field, element, data type` beside the code that needs more than a table.

mod appointment;
mod charge;
mod clinical;
mod coded;
mod codes;
mod datatypes;
mod document;
mod draft;
mod immunization;
mod medication;
mod observation;
mod order;
mod patient;
mod people;
mod provenance;
mod rule;
mod value;
mod visit;

use std::fmt;

use serde_json::Value;

pub(super) use self::codes::CODE_SYSTEMS;
use self::draft::Draft;
pub(super) use self::people::{DESCRIBED_PLACES, PLACES};
use super::fault::{ErrorCode, Fault, Place};
use super::message::{Message, Sender};
use super::overrides::Overrides;

/// What a message became.
#[derive(Clone, PartialEq)]
pub struct Mapped {
    /// A transaction Bundle: conditional updates and creates by identifier.
    pub bundle: Value,
    /// The segment from which each entry of the Bundle is; MSH for what several segments name.
    pub origins: Vec<Place>,
    /// Patients that are one, as MRG says; to be done after the Bundle.
    pub merges: Vec<Merge>,
    /// Codes that nobody has given a meaning.
    pub unmapped: Vec<Unmapped>,
    /// Segments of which nothing was made; the original has them.
    pub unread: Vec<Place>,
    sender: Sender,
    /// The trigger event.
    trigger: String,
}

/// Two patients are one.
#[derive(Clone, PartialEq, Eq)]
pub struct Merge {
    /// The identifiers of the patient that remains (PID-3).
    pub survivor: Vec<PatientIdentifier>,
    /// The identifiers of the patient that goes into it (MRG-1).
    pub absorbed: Vec<PatientIdentifier>,
}

/// An identifier of a patient.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PatientIdentifier {
    /// The URI of the authority.
    pub system: String,
    /// The identifier.
    pub value: String,
}

/// A code without a meaning in a code system that others know.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unmapped {
    /// Where it stands.
    pub place: Place,
    /// The coding system as the message names it, or the number of HL7's table.
    pub system: String,
    /// The URI under which the code is filed; none where the message names no coding system.
    pub uri: Option<String>,
    /// The code.
    pub code: String,
    /// The text that came with it.
    pub text: String,
}

impl PatientIdentifier {
    /// The search that finds who has it.
    pub fn query(&self) -> String {
        let [system, value] =
            [&self.system, &self.value].map(|text| crate::compose::query_value(text));
        format!("identifier={system}|{value}")
    }
}

impl fmt::Debug for Mapped {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (merges, unmapped) = (self.merges.len(), self.unmapped.len());
        write!(out, "Mapped(.., {merges} merges, {unmapped} unmapped)")
    }
}

impl fmt::Debug for Merge {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Merge(..)")
    }
}

impl fmt::Debug for PatientIdentifier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PatientIdentifier(..)")
    }
}

impl fmt::Debug for Unmapped {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Unmapped({}, ..)", self.place)
    }
}

/// Maps a message.
///
/// # Errors
///
/// All that is wrong in it, if anything is; nothing of the message is to be filed then.
pub fn map(message: &Message, overrides: &Overrides) -> Result<Mapped, Vec<Fault>> {
    check_kind(message).map_err(|fault| vec![fault])?;
    let mut draft = Draft::new(message, overrides);
    for segment in draft.segments() {
        draft.read(&segment);
    }
    draft.finish()
}

/// The trigger events of each message type that are mapped.
const KINDS: &[(&str, &[&str])] = &[
    (
        "ADT",
        &[
            "A01", "A02", "A03", "A04", "A05", "A06", "A07", "A08", "A11", "A12", "A13", "A18",
            "A28", "A31", "A34", "A38", "A40",
        ],
    ),
    ("ORU", &["R01"]),
    ("ORM", &["O01"]),
    ("OML", &["O21"]),
    ("OMP", &["O09"]),
    ("MDM", &["T02"]),
    ("VXU", &["V04"]),
    ("SIU", &["S12", "S13", "S14", "S15"]),
    ("DFT", &["P03"]),
];

fn check_kind(message: &Message) -> Result<(), Fault> {
    let kind = message.kind();
    let place = Place::segment("MSH", 1).field(9);
    let Some((_, triggers)) = KINDS.iter().find(|(name, _)| *name == kind.message_type) else {
        let code = ErrorCode::UnsupportedMessageType;
        return Err(Fault::error(
            place.component(1),
            code,
            "a message type that is mapped",
        ));
    };
    if triggers.contains(&kind.trigger) {
        return Ok(());
    }
    let code = ErrorCode::UnsupportedEventCode;
    Err(Fault::error(
        place.component(2),
        code,
        "a trigger event that is mapped",
    ))
}
