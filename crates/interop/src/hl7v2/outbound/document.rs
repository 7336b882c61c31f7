//! A DocumentReference as MDM^T02.

use serde_json::Value;

use super::fields::{back, entity, finish, header, own_number, repeated, segment, text, time};
use super::person::{pid, practitioner};
use super::visit::visit_of;
use super::{Around, Envelope};
use crate::hl7v2::ack::moment;
use crate::hl7v2::escape::encode;

/// A DocumentReference as MDM^T02: its attachments, in the message or by their URL.
pub(super) fn document(envelope: &Envelope<'_>, document: &Value, around: &Around) -> Vec<u8> {
    let number = document.get("masterIdentifier");
    let kind = &document["type"];
    let kind = kind["coding"][0]["code"].as_str().or(kind["text"].as_str());
    let txa = [
        (1, "1".to_owned()),
        (2, encode(kind.unwrap_or_default())),
        (4, time(document["context"]["period"]["start"].as_str())),
        (6, time(document["date"].as_str())),
        (
            9,
            repeated(&document["author"], |one| practitioner(one, around)),
        ),
        (10, practitioner(&document["authenticator"], around)),
        (12, number.map_or_else(|| own_number(document), entity)),
        (16, text(&document["content"][0]["attachment"]["title"])),
        (17, back(&document["docStatus"], DOCUMENT_STATUS)),
        (18, confidentiality(&document["securityLabel"])),
        (19, back(&document["status"], AVAILABILITY)),
    ];
    let visit = visit_of(&document["context"]["encounter"][0], around);
    let visit = visit.unwrap_or_else(|| "PV1|1|N".to_owned());
    let mut lines = vec![
        header(envelope, "MDM^T02^MDM_T02"),
        segment(
            "EVN",
            &[(1, "T02".to_owned()), (2, moment(envelope.time_ms))],
        ),
        pid(&around.patient),
        visit,
        segment("TXA", &txa),
    ];
    let content = document["content"].as_array().into_iter().flatten();
    let attachments = content.filter_map(|one| attached(&one["attachment"]));
    lines.extend(
        attachments
            .enumerate()
            .map(|(index, one)| attachment(index + 1, one)),
    );
    finish(&lines)
}

/// TXA-18 (table 0272): the first label that says how confidential a document is.
fn confidentiality(labels: &Value) -> String {
    let labels = labels.as_array().into_iter().flatten();
    let codes = labels.map(|label| back(&label["coding"][0]["code"], CONFIDENTIALITY));
    let mut codes = codes.filter(|code| !code.is_empty());
    codes.next().unwrap_or_default()
}

/// OBX of an attachment.
pub(super) fn attachment(number: usize, (kind, value): (&str, String)) -> String {
    segment(
        "OBX",
        &[
            (1, number.to_string()),
            (2, kind.to_owned()),
            (3, "DOC^Document^L".to_owned()),
            (5, value),
            (11, "F".to_owned()),
        ],
    )
}

/// OBX-2 and OBX-5 of an attachment.
pub(super) fn attached(attachment: &Value) -> Option<(&'static str, String)> {
    let media = attachment["contentType"].as_str().unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    let (media, subtype) = media.split_once('/').unwrap_or((media, ""));
    let (media, subtype) = (encode(media), encode(subtype));
    if let Some(data) = attachment["data"].as_str() {
        return Some(("ED", format!("^{media}^{subtype}^Base64^{}", encode(data))));
    }
    let url = attachment["url"].as_str()?;
    Some(("RP", format!("{}^^{media}^{subtype}", encode(url))))
}

const DOCUMENT_STATUS: &[(&str, &str)] =
    &[("final", "AU"), ("amended", "AU"), ("preliminary", "IP")];

const CONFIDENTIALITY: &[(&str, &str)] = &[("V", "V"), ("R", "R"), ("N", "U")];

const AVAILABILITY: &[(&str, &str)] = &[
    ("current", "AV"),
    ("superseded", "OB"),
    ("entered-in-error", "CA"),
];
