//! From bytes to a message: separators, character set, version, bounds.

use encoding_rs::Encoding;

use super::charset;
use super::fault::{ErrorCode, Fault, Place};
use super::message::{Message, Sender, Separators, Version};

/// Bounds on what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest message.
    pub bytes_max: usize,
    /// The longest segment.
    pub segment_bytes_max: usize,
    /// The most segments.
    pub segments_max: usize,
    /// The most fields of a segment.
    pub fields_max: usize,
    /// The most repetitions and components of a message.
    pub parts_max: usize,
}

impl Default for Limits {
    /// 16 MiB, as much in one segment (a document in OBX-5 is one), 10,000 segments of 512 fields.
    fn default() -> Self {
        Self {
            bytes_max: 16 << 20,
            segment_bytes_max: 16 << 20,
            segments_max: 10_000,
            fields_max: 512,
            parts_max: 1_000_000,
        }
    }
}

/// `usual` is the character set of messages that name none.
pub(super) fn message(
    bytes: &[u8],
    limits: &Limits,
    usual: &'static Encoding,
) -> Result<Message, Fault> {
    if bytes.len() > limits.bytes_max {
        return Err(header(0, ErrorCode::ValueTooLong, "a shorter message"));
    }
    let encoding = encoding(bytes, usual)?;
    let text = charset::decode(bytes, encoding).ok_or_else(|| {
        header(
            18,
            ErrorCode::DataType,
            "bytes of the character set that MSH-18 or the sender's entry names",
        )
    })?;
    let separators = separators(&text)?;
    segments(&text, &separators, limits)?;
    let mut message = Message {
        bytes: bytes.to_vec(),
        text,
        separators,
        version: Version { minor: 0 },
    };
    message.version = version(&message.header().field(12).text())?;
    if message.control_id().is_empty() {
        return Err(header(10, ErrorCode::RequiredFieldMissing, "a control id"));
    }
    if message.kind().message_type.is_empty() {
        return Err(header(9, ErrorCode::RequiredFieldMissing, "a message type"));
    }
    Ok(message)
}

fn header(field: usize, code: ErrorCode, expected: &'static str) -> Fault {
    let place = Place::segment("MSH", 1);
    let place = if field == 0 {
        place
    } else {
        place.field(field)
    };
    Fault::error(place, code, expected)
}

/// The encoding of the bytes: a byte order mark, or what the first repetition of MSH-18 says; the usual one without either.
fn encoding(bytes: &[u8], usual: &'static Encoding) -> Result<&'static Encoding, Fault> {
    if let Some((marked, _)) = Encoding::for_bom(bytes) {
        return Ok(marked);
    }
    let named = raw_header_field(bytes, 18);
    let first = named
        .split(|byte| !is_charset_byte(*byte))
        .next()
        .unwrap_or_default();
    let code = std::str::from_utf8(first).unwrap_or_default();
    if code.trim().is_empty() {
        return Ok(usual);
    }
    charset::by_code(code)
        .filter(|encoding| charset::is_readable(encoding))
        .ok_or_else(|| {
            header(
                18,
                ErrorCode::TableValueNotFound,
                "a character set of table 0211 that is read here",
            )
        })
}

fn is_charset_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'/' | b'-' | b'_')
}

/// Application and facility, of bytes whose character set is not known yet.
pub(super) fn raw_sender(bytes: &[u8]) -> Sender {
    let component = bytes.get(4).copied().unwrap_or(b'^');
    let first = |number| {
        let field = raw_header_field(bytes, number);
        let first = field.split(|byte| *byte == component).next();
        String::from_utf8_lossy(first.unwrap_or_default()).into_owned()
    };
    Sender {
        application: first(3),
        facility: first(4),
    }
}

/// A field of the first segment, of bytes whose character set is not known yet.
pub(super) fn raw_header_field(bytes: &[u8], number: usize) -> &[u8] {
    let line = bytes
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .next()
        .unwrap_or_default();
    let Some(separator) = line.get(3) else {
        return &[];
    };
    line.split(|byte| byte == separator)
        .nth(number.saturating_sub(1))
        .unwrap_or_default()
}

fn separators(text: &str) -> Result<Separators, Fault> {
    let mut letters = text.chars();
    let name: String = letters.by_ref().take(3).collect();
    if name != "MSH" {
        return Err(Fault::error(
            Place::segment("MSH", 1),
            ErrorCode::SegmentSequence,
            "a message that begins with MSH",
        ));
    }
    let wrong = |field| {
        header(
            field,
            ErrorCode::DataType,
            "separators that differ, of ASCII punctuation",
        )
    };
    let field = letters
        .next()
        .filter(|letter| is_separator(*letter))
        .ok_or_else(|| wrong(1))?;
    let declared: Vec<char> = letters
        .take_while(|letter| *letter != field && !matches!(letter, '\r' | '\n'))
        .take(6)
        .collect();
    let (component, repetition) = match declared.as_slice() {
        [component, repetition, ..] if declared.len() <= 5 => (*component, *repetition),
        _ => return Err(wrong(2)),
    };
    let mut all = declared.clone();
    all.push(field);
    let are_separators = all.iter().all(|letter| is_separator(*letter));
    all.sort_unstable();
    all.dedup();
    if !are_separators || all.len() != declared.len() + 1 {
        return Err(wrong(2));
    }
    Ok(Separators {
        field,
        component,
        repetition,
        escape: declared.get(2).copied(),
        // A message without subcomponents may leave it out; nothing then separates them.
        subcomponent: declared.get(3).copied().unwrap_or('\u{1}'),
        truncation: declared.get(4).copied(),
    })
}

fn is_separator(letter: char) -> bool {
    letter.is_ascii_punctuation()
}

fn segments(text: &str, separators: &Separators, limits: &Limits) -> Result<(), Fault> {
    let mut parts: usize = 0;
    let lines = text
        .split(['\r', '\n'])
        .filter(|line| !line.trim().is_empty());
    for (index, line) in lines.enumerate() {
        let name = line.split(separators.field).next().unwrap_or_default();
        let place = Place::segment(name, 1);
        let is_name = name.len() == 3
            && name
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if !is_name {
            let expected = "the name of a segment: three capitals or digits";
            return Err(Fault::error(
                Place::segment(name, index + 1),
                ErrorCode::SegmentSequence,
                expected,
            ));
        }
        if index > 0 && name == "MSH" {
            let expected = "one message; several are a batch";
            return Err(Fault::error(place, ErrorCode::SegmentSequence, expected));
        }
        if line.len() > limits.segment_bytes_max || index >= limits.segments_max {
            let expected = "fewer or shorter segments";
            return Err(Fault::error(place, ErrorCode::ValueTooLong, expected));
        }
        if line.split(separators.field).count() > limits.fields_max {
            return Err(Fault::error(place, ErrorCode::ValueTooLong, "fewer fields"));
        }
        parts += line
            .chars()
            .filter(|letter| {
                [
                    separators.component,
                    separators.repetition,
                    separators.subcomponent,
                ]
                .contains(letter)
            })
            .count();
        if parts > limits.parts_max {
            return Err(Fault::error(
                place,
                ErrorCode::ValueTooLong,
                "fewer repetitions and components",
            ));
        }
    }
    Ok(())
}

fn version(text: &str) -> Result<Version, Fault> {
    let mut parts = text.split('.');
    let (major, minor) = (parts.next(), parts.next());
    let minor = minor.and_then(|minor| minor.parse::<u8>().ok());
    match (major, minor) {
        (Some("2"), Some(minor)) if (3..=8).contains(&minor) => Ok(Version { minor }),
        (Some(""), None) => Err(header(
            12,
            ErrorCode::RequiredFieldMissing,
            "a version, 2.3 to 2.8",
        )),
        _ => Err(header(12, ErrorCode::UnsupportedVersion, "2.3 to 2.8")),
    }
}
