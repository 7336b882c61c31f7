//! Acknowledgements (HL7 v2.8, chapter 2.9).

use time::OffsetDateTime;

use super::fault::Fault;
use super::read::raw_header_field;
use super::{Message, escape};

/// What an acknowledgement says: table 0008.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// Application accept.
    AA,
    /// Application error: the content is wrong.
    AE,
    /// Application reject: not this kind of message, or not now.
    AR,
    /// Commit accept: it is safely stored.
    CA,
    /// Commit error: it could not be stored.
    CE,
    /// Commit reject.
    CR,
}

impl Code {
    /// As it stands in MSA-1.
    pub fn text(self) -> &'static str {
        match self {
            Self::AA => "AA",
            Self::AE => "AE",
            Self::AR => "AR",
            Self::CA => "CA",
            Self::CE => "CE",
            Self::CR => "CR",
        }
    }
}

/// What is acknowledged.
#[derive(Debug, Clone, Copy)]
pub enum Original<'a> {
    /// A message that was read.
    Read(&'a Message),
    /// Bytes that are no message; of their MSH is taken what can be found.
    Broken(&'a [u8]),
}

/// The longest text of a broken header that is sent back.
const ECHO_BYTES_MAX: usize = 180;

/// An acknowledgement: MSH, MSA and an ERR for each fault. `control_id` is its own (MSH-10), `time_ms` since 1970.
///
/// It has the form of the original's version. ASCII, without patient data: of the original it repeats who sent it to whom and its control id.
pub fn ack(
    original: Original<'_>,
    code: Code,
    faults: &[Fault],
    control_id: &str,
    time_ms: i64,
) -> Vec<u8> {
    let bytes = match original {
        Original::Read(message) => message.bytes(),
        Original::Broken(bytes) => bytes,
    };
    let is_usual = bytes.starts_with(b"MSH|^~\\&");
    let echoed = |number| match original {
        _ if is_usual => echo(raw_header_field(bytes, number)),
        // Other separators than those of the acknowledgement.
        Original::Read(message) => {
            escape::encode(&echo(message.header().field(number).text().as_bytes()))
        }
        Original::Broken(_) => String::new(),
    };
    let trigger = match original {
        Original::Read(message) => echo(message.kind().trigger.as_bytes()),
        Original::Broken(_) => String::new(),
    };
    let or = |text: String, other: &str| {
        if text.is_empty() {
            other.to_owned()
        } else {
            text
        }
    };
    let (processing, version) = (or(echoed(11), "P"), or(echoed(12), "2.5.1"));
    let (application, facility, to_application, to_facility) =
        (echoed(5), echoed(6), echoed(3), echoed(4));
    let form = Form::of(&version);
    let kind = match (trigger.as_str(), form) {
        ("", _) => "ACK".to_owned(),
        (trigger, Form::Old) => format!("ACK^{trigger}"),
        (trigger, Form::New | Form::Middle) => format!("ACK^{trigger}^ACK"),
    };
    let own = escape::encode(control_id);
    let mut lines = vec![
        format!(
            "MSH|^~\\&|{application}|{facility}|{to_application}|{to_facility}|{}||{kind}|{own}|{processing}|{version}",
            moment(time_ms)
        ),
        format!("MSA|{}|{}", code.text(), echoed(10)),
    ];
    match form {
        Form::New => lines.extend(faults.iter().map(error)),
        Form::Old | Form::Middle => lines.extend(errors_before_2_5(faults)),
    }
    let mut out = lines.join("\r");
    out.push('\r');
    out.into_bytes()
}

/// How acknowledgements of a version look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Up to 2.3: MSH-9 has no structure.
    Old,
    /// 2.3.1 and 2.4: ERR has one field.
    Middle,
    /// From 2.5 on.
    New,
}

impl Form {
    fn of(version: &str) -> Self {
        match version.split('^').next().unwrap_or_default() {
            "2.1" | "2.2" | "2.3" => Self::Old,
            "2.3.1" | "2.4" => Self::Middle,
            _ => Self::New,
        }
    }
}

/// One ERR whose first field says of each fault where it is and what (ELD).
fn errors_before_2_5(faults: &[Fault]) -> Option<String> {
    let one = |fault: &Fault| {
        let place = &fault.place;
        let field = place.field.map(|field| field.to_string());
        format!(
            "{}^{}^{}^{}&{}&HL70357",
            place.segment,
            place.ordinal,
            field.unwrap_or_default(),
            fault.code.number(),
            fault.code.text()
        )
    };
    let all: Vec<String> = faults.iter().map(one).collect();
    (!all.is_empty()).then(|| format!("ERR|{}", all.join("~")))
}

fn error(fault: &Fault) -> String {
    let place = &fault.place;
    let number = |part: Option<usize>| part.map(|part| part.to_string()).unwrap_or_default();
    let (field, component) = (number(place.field), number(place.component));
    let repetition = if place.field.is_some() { "1" } else { "" };
    let location = format!(
        "{}^{}^{field}^{repetition}^{component}",
        place.segment, place.ordinal
    );
    let severity = fault.severity.letter();
    format!(
        "ERR||{}|{}^{}^HL70357|{severity}||||{}",
        location.trim_end_matches('^'),
        fault.code.number(),
        fault.code.text(),
        escape::encode(&fault.to_string())
    )
}

/// Text of the original's header as it stands, if it is printable ASCII.
pub(super) fn echo(bytes: &[u8]) -> String {
    let is_plain =
        bytes.len() <= ECHO_BYTES_MAX && bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
    match std::str::from_utf8(bytes) {
        Ok(text) if is_plain => text.to_owned(),
        _ => String::new(),
    }
}

/// Milliseconds since 1970 as a DTM with seconds, in UTC.
pub(super) fn moment(time_ms: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(time_ms.div_euclid(1_000))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}+0000",
        moment.year(),
        u8::from(moment.month()),
        moment.day(),
        moment.hour(),
        moment.minute(),
        moment.second()
    )
}
