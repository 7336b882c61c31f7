//! HL7 v2, 2.3 to 2.8: reading messages, what they become in FHIR R4, acknowledgements.
//!
//! The mapping follows HL7's guide (<https://hl7.org/fhir/uv/v2mappings/>, version 1.0.0). What a sender does in its own way
//! is data: [`Overrides`].

mod ack;
mod batch;
mod charset;
mod escape;
mod fault;
mod map;
mod message;
pub(crate) mod moment;
mod outbound;
mod overrides;
mod read;
mod record;

pub use ack::{Code, Original, ack};
pub use batch::{answer_batch, is_batch, split};
pub use fault::{ErrorCode, Fault, Place, Severity};
pub use map::{Mapped, Merge, PatientIdentifier, Unmapped, map};
pub use message::{
    Component, Field, Kind, Message, PatientKey, Repeat, Segment, Sender, Separators, Version,
};
pub use outbound::{Around, Envelope, Needed, Orders, event, needed, patient_update};
pub use overrides::{Overrides, SenderOverrides, StandardCode, ZField};
pub use read::Limits;
pub use record::{Earlier, OnRecord};

#[cfg(test)]
mod tests;
