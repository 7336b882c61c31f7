//! HL7 v2 from other systems: messages, batch files.

use interop::fhir::{Checking, Resource, transaction};
use interop::hl7v2::{Code, Message, Original, Overrides, ack, map, split};

use crate::Target;

/// The targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "hl7v2",
        run: message,
    },
    Target {
        name: "hl7v2-batch",
        run: batch,
    },
];

fn message(bytes: &[u8]) {
    let _refusal = ack(Original::Broken(bytes), Code::CR, &[], "1", 0);
    let Ok(message) = Message::parse(bytes) else {
        return;
    };
    assert_eq!(message.bytes(), bytes, "the original is kept");
    let _acceptance = ack(Original::Read(&message), Code::CA, &[], "1", i64::MAX);
    let _keys = message.patient_key();
    let Ok(mapped) = map(&message, &Overrides::default()) else {
        return;
    };
    let bundle = Resource::from_value(mapped.with_provenance("Binary/1", 0)).unwrap();
    let mut number = 0_u64;
    let mut new_id = || {
        number += 1;
        format!("n{number}")
    };
    transaction::plan(bundle, Checking::Strict, &mut new_id).unwrap();
}

fn batch(bytes: &[u8]) {
    let Ok(messages) = split(bytes) else {
        return;
    };
    let together: usize = messages.iter().map(|one| one.len()).sum();
    assert!(together <= bytes.len(), "no byte belongs to two messages");
}
