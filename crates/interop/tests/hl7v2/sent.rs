//! Messages of ours become FHIR, that is sent, and read again: what of it is where, line by line of `fixtures/hl7v2/sent.txt`.

use interop::hl7v2::{Around, Envelope, Message, Orders, Overrides, event, map, needed};
use serde_json::Value;

use super::rows;
use super::table::{self, Row};

/// What is sent: the sample that it is made of, its type, what its status was before if that counts, and as what orders go.
pub(crate) struct Sending {
    /// As in `sent.txt`: the message that goes out.
    pub(crate) name: &'static str,
    sample: &'static str,
    pub(crate) resource: &'static str,
    before: Option<&'static str>,
    orders: Orders,
}

const fn sending(name: &'static str, sample: &'static str, resource: &'static str) -> Sending {
    Sending {
        name,
        sample,
        resource,
        before: None,
        orders: Orders::Oml,
    }
}

pub(crate) const SENDINGS: &[Sending] = &[
    sending("adt-a28", "adt-a01", "Patient"),
    sending("adt-a01", "adt-a01", "Encounter"),
    sending("adt-a03", "adt-a03", "Encounter"),
    Sending {
        orders: Orders::Orm,
        ..sending("orm-o01", "orm-o01", "ServiceRequest")
    },
    sending("oml-o21", "orm-o01", "ServiceRequest"),
    Sending {
        before: Some("active"),
        ..sending("oml-o21-cancelled", "oml-o21", "ServiceRequest")
    },
    sending("omp-o09", "omp-o09", "MedicationRequest"),
    sending("siu-s12", "siu-s12", "Appointment"),
    Sending {
        before: Some("booked"),
        ..sending("siu-s15", "siu-s15", "Appointment")
    },
    sending("vxu-v04", "vxu-v04", "Immunization"),
    sending("oru-r01", "oru-r01", "DiagnosticReport"),
    sending("mdm-t02", "mdm-t02", "DocumentReference"),
];

pub(crate) const ENVELOPE: Envelope<'static> = Envelope {
    from: ("CARE", "NORTH"),
    to: ("HIS", "SOUTH"),
    control_id: "X|1",
    time_ms: 0,
    orders: Orders::Oml,
};

/// The lines of `sent.txt`, tried on what was sent and read again.
pub(crate) fn rows() -> Vec<Row> {
    let text = rows::file("sent.txt");
    table::rows(&text, |name| {
        let sending = SENDINGS.iter().find(|one| one.name == name);
        let sending = sending.unwrap_or_else(|| panic!("{name} is sent"));
        read(&sending.message())
    })
}

impl Sending {
    /// What the sample became, as it is on record: with references by type and id.
    pub(crate) fn original(&self) -> Value {
        let message = Message::parse(&rows::message(self.sample)).unwrap();
        let bundle = map(&message, &rows::overrides()).unwrap().bundle;
        let mut text = bundle.to_string();
        for (id, entry) in bundle["entry"].as_array().unwrap().iter().enumerate() {
            let kind = entry["resource"]["resourceType"].as_str().unwrap();
            let local = format!("\"{kind}/{id}\"");
            text = text.replace(&entry["fullUrl"].to_string(), &local);
        }
        serde_json::from_str(&text).unwrap()
    }

    /// The message that goes out.
    pub(crate) fn message(&self) -> Vec<u8> {
        let bundle = self.original();
        let named = |reference: &str| named(&bundle, reference).clone();
        let resource = of_type(&bundle, self.resource);
        let needed = needed(resource).unwrap();
        let others = needed.others.into_iter();
        let around = Around {
            is_new: self.before.is_none(),
            patient: needed.patient.map_or(Value::Null, |one| named(&one)),
            others: others.map(|one| (one.clone(), named(&one))).collect(),
            before: self.before.map_or(Value::Null, |status| {
                let mut before = resource.clone();
                before["status"] = status.into();
                before
            }),
        };
        let envelope = Envelope {
            orders: self.orders,
            ..ENVELOPE
        };
        event(&envelope, resource, &around).unwrap_or_else(|| panic!("{} is sent", self.name))
    }
}

pub(crate) fn read(message: &[u8]) -> Value {
    let message = Message::parse(message).unwrap();
    let mapped = map(&message, &Overrides::default());
    mapped
        .unwrap_or_else(|faults| panic!("{faults:?}: {}", String::from_utf8_lossy(message.bytes())))
        .bundle
}

pub(crate) fn of_type<'a>(bundle: &'a Value, kind: &str) -> &'a Value {
    let mut all = bundle["entry"].as_array().unwrap().iter();
    let found = all.find(|entry| entry["resource"]["resourceType"] == kind);
    &found.unwrap()["resource"]
}

pub(crate) fn named<'a>(bundle: &'a Value, reference: &str) -> &'a Value {
    let mut all = bundle["entry"].as_array().unwrap().iter();
    let found = all.find(|entry| entry["fullUrl"] == reference);
    &found.unwrap_or_else(|| panic!("{reference}"))["resource"]
}
