//! Medical equipment: DeviceUseStatement for what the patient has.
//!
//! The Device is contained: R4 has Devices in no patient's compartment, so that one which stands alone is under nobody's consent.

use serde_json::{Value, json};

use super::datatypes::some_text;
use super::draft::Draft;
use super::section::Section;
use crate::ccda::codes::{self, code};
use crate::ccda::document::At;
use crate::compose::put;

/// The authority for UDIs (FDA).
const UDI: &str = "2.16.840.1.113883.3.3719";

impl<'a> Draft<'a> {
    /// A supply that was given.
    pub(super) fn supply_given(&mut self, at: At<'a>, _: Section<'a>) -> Vec<usize> {
        let role = product_of(at);
        let (true, Some(role)) = (at.is("moodCode", "EVN"), role) else {
            self.leave_unread(at);
            return Vec::new();
        };
        let mut used = self.start("DeviceUseStatement", at);
        let status = at.child("statusCode");
        let status = status.and_then(|status| status.attribute("code"));
        let status = status.and_then(|status| code(codes::DEVICE_STATUS, status));
        put(&mut used, "status", status.unwrap_or("active").into());
        put(&mut used, "subject", self.subject());
        self.times_in(at).put(&mut used, "timing");
        let device = self.device(role, &mut used);
        put(&mut used, "device", device);
        self.reasons(at, &mut used);
        self.notes(at, &mut used);
        vec![self.add(at, used)]
    }

    /// What stands together.
    pub(super) fn equipment(&mut self, organizer: At<'a>, section: Section<'a>) -> Vec<usize> {
        let parts = organizer.all("component").flat_map(At::elements);
        parts
            .flat_map(|part| self.statement(part, section))
            .collect()
    }

    /// Puts a product instance into what it is for; a reference to it.
    fn device(&mut self, role: At<'a>, holder: &mut Value) -> Value {
        let mut device = self.start("Device", role);
        let before = holder["contained"].as_array().map_or(0, Vec::len);
        let id = format!("device-{before}");
        put(&mut device, "id", id.clone().into());
        let carrier = role.all("id").find(|id| id.is("root", UDI));
        if let Some(carrier) = carrier.and_then(|id| id.attribute("extension")) {
            let mut udi = json!({"carrierHRF": carrier});
            put(&mut udi, "deviceIdentifier", identifier_in(carrier).into());
            put(
                &mut udi,
                "issuer",
                "http://hl7.org/fhir/NamingSystem/fda-udi".into(),
            );
            put(&mut device, "udiCarrier[]", udi);
        }
        let entity = role.child("playingDevice");
        let kind = entity.and_then(|entity| self.concept_in(entity, "code"));
        put(&mut device, "type", kind.into());
        let model = entity.and_then(|entity| entity.child("manufacturerModelName"));
        put(
            &mut device,
            "modelNumber",
            some_text(model.map_or_else(String::new, At::text)),
        );
        let maker = role.find(&["scopingEntity", "desc"]);
        put(
            &mut device,
            "manufacturer",
            some_text(maker.map_or_else(String::new, At::text)),
        );
        let words = device["type"]["text"].clone();
        put(holder, "contained[]", device);
        let mut reference = json!({"reference": format!("#{id}")});
        put(&mut reference, "display", words);
        reference
    }

    /// The devices of a procedure.
    pub(super) fn devices(&mut self, at: At<'a>, procedure: &mut Value) {
        for participant in at
            .all("participant")
            .filter(|one| one.is("typeCode", "DEV"))
        {
            if let Some(role) = participant.child("participantRole") {
                let manipulated = self.device(role, procedure);
                put(
                    procedure,
                    "focalDevice[]",
                    json!({"manipulated": manipulated}),
                );
            }
        }
    }
}

fn product_of(at: At<'_>) -> Option<At<'_>> {
    let mut products = at.all("participant");
    products
        .find(|one| one.is("typeCode", "PRD") || one.is("typeCode", "DEV"))?
        .child("participantRole")
}

/// The device identifier of a UDI in the form of GS1: `(01)` and 14 digits.
fn identifier_in(carrier: &str) -> Option<&str> {
    let digits = carrier.strip_prefix("(01)")?.get(..14)?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(digits)
}
