//! Medical equipment.

use serde_json::Value;

use super::Record;
use super::clinical::{act, notes, reasons, status};
use super::datatypes::{back, each, effective, ids, some_concept, template};
use super::people::referred;
use super::tag::{Tag, tag, text};
use crate::ccda::codes;

pub(super) fn device_use(used: &Value, record: &Record<'_>) -> Tag {
    let own = used["status"].as_str().unwrap_or_default();
    let devices = devices(used, [&used["device"]], record);
    act("supply", "SPLY", "EVN")
        .holding([template("22.4.50", "2014-06-09")])
        .holding(ids(used))
        .holding([
            status(back(codes::DEVICE_STATUS, own).unwrap_or("active")),
            effective(used, "timing").with("xsi:type", "IVL_TS"),
        ])
        .holding(devices.iter().map(|device| product("PRD", device)))
        .holding(reasons(used))
        .holding(notes(used))
}

/// The devices to which references lead, be they contained or not.
pub(super) fn devices<'a>(
    holder: &'a Value,
    references: impl IntoIterator<Item = &'a Value>,
    record: &Record<'a>,
) -> Vec<&'a Value> {
    let contained = |reference: &Value| {
        let id = reference["reference"].as_str()?.strip_prefix('#')?;
        let mut inner = each(&holder["contained"]).iter();
        inner.find(|one| one["id"] == id)
    };
    let found = references.into_iter().flat_map(|reference| {
        let inner = contained(reference).into_iter();
        inner.chain(referred(reference, record))
    });
    found.collect()
}

/// A device as a participant.
pub(super) fn product(kind: &str, device: &Value) -> Tag {
    let model = device["modelNumber"].as_str();
    let entity = tag("playingDevice")
        .holding(some_concept("code", &device["type"]))
        .holding(model.map(|model| text("manufacturerModelName", model)));
    let maker = device["manufacturer"].as_str().map(|maker| {
        let nobody = tag("id").with("nullFlavor", "NI");
        tag("scopingEntity").holding([nobody, text("desc", maker)])
    });
    let role = tag("participantRole")
        .with("classCode", "MANU")
        .holding([template("22.4.37", "")])
        .holding(ids(device))
        .holding([entity])
        .holding(maker);
    tag("participant").with("typeCode", kind).holding([role])
}
