//! What a sender does in its own way, as data.

use std::collections::BTreeMap;

use encoding_rs::Encoding;
use serde::{Deserialize, Serialize};

use super::charset;
use super::message::Sender;

/// What is known about senders; the first entry that answers a question is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overrides {
    /// One entry for each sender, or for several.
    pub senders: Vec<SenderOverrides>,
}

/// What is known about a sender, or about all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SenderOverrides {
    /// MSH-3.1; any if not given.
    pub application: Option<String>,
    /// MSH-4.1; any if not given.
    pub facility: Option<String>,
    /// The character set of messages that name none: a code of table 0211, such as `8859/1`; UTF-8 if not given.
    pub character_set: Option<String>,
    /// The zone of times without one, such as `+01:00`; UTC if not given.
    pub time_zone: Option<String>,
    /// The authority of identifiers that name none: a URI.
    pub default_authority: Option<String>,
    /// Namespaces of assigning authorities (HD.1) to URIs.
    pub authorities: BTreeMap<String, String>,
    /// Names of coding systems (CWE.3) to URIs.
    pub code_systems: BTreeMap<String, String>,
    /// Local codes: name of the coding system (CWE.3, empty if codes come without one), then code.
    pub codes: BTreeMap<String, BTreeMap<String, StandardCode>>,
    /// Codes of HL7's tables: number of the table, such as `0001`, then the sender's code to the table's.
    pub tables: BTreeMap<String, BTreeMap<String, String>>,
    /// Where fields of Z-segments go.
    pub z_fields: Vec<ZField>,
}

/// A code that stands for a local one; the local one is kept beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandardCode {
    /// The URI of the code system.
    pub system: String,
    /// The code.
    pub code: String,
    /// Its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
}

/// Where a field of a Z-segment goes: an extension of a resource of the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZField {
    /// The segment, such as `ZPI`.
    pub segment: String,
    /// The field, from 1.
    pub field: usize,
    /// `Patient` or `Encounter`.
    pub resource: String,
    /// The URL of the extension.
    pub extension: String,
    /// The type of its value: `string` (or not given), `date`, `dateTime`, `CodeableConcept` or `Identifier`.
    #[serde(default, rename = "type")]
    pub value_type: Option<String>,
}

fn readable(code: &str) -> Option<&'static Encoding> {
    charset::by_code(code).filter(|encoding| charset::is_readable(encoding))
}

impl Overrides {
    /// A character set that an entry names and that is not read here.
    pub fn unknown_character_set(&self) -> Option<&str> {
        let mut named = self
            .senders
            .iter()
            .filter_map(|entry| entry.character_set.as_deref());
        named.find(|code| readable(code).is_none())
    }

    /// The character set of a sender's messages that name none.
    pub(super) fn character_set(&self, sender: &Sender) -> Option<&'static Encoding> {
        let entries = self.of(sender).into_iter();
        let mut named = entries.filter_map(|entry| entry.character_set.as_deref());
        named.next().and_then(readable)
    }

    /// The entries that speak of this sender.
    pub(super) fn of<'a>(&'a self, sender: &Sender) -> Vec<&'a SenderOverrides> {
        let fits = |wanted: &Option<String>, given: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == given)
        };
        self.senders
            .iter()
            .filter(|entry| {
                fits(&entry.application, &sender.application)
                    && fits(&entry.facility, &sender.facility)
            })
            .collect()
    }
}
