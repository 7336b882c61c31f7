//! Primitive types and the form of their text.

use time::{Date, Month};

/// Longer strings are refused: R4 allows a mebi of characters.
const STRING_CHARACTERS_MAX: usize = 1 << 20;

/// A primitive type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fhir) enum Primitive {
    Base64Binary,
    Boolean,
    Canonical,
    Code,
    Date,
    DateTime,
    Decimal,
    Id,
    Instant,
    Integer,
    Markdown,
    Oid,
    PositiveInt,
    String,
    Time,
    UnsignedInt,
    Uri,
    Url,
    Uuid,
    Xhtml,
}

impl Primitive {
    const ALL: [Self; 20] = [
        Self::Base64Binary,
        Self::Boolean,
        Self::Canonical,
        Self::Code,
        Self::Date,
        Self::DateTime,
        Self::Decimal,
        Self::Id,
        Self::Instant,
        Self::Integer,
        Self::Markdown,
        Self::Oid,
        Self::PositiveInt,
        Self::String,
        Self::Time,
        Self::UnsignedInt,
        Self::Uri,
        Self::Url,
        Self::Uuid,
        Self::Xhtml,
    ];

    /// The type with this name.
    pub(in crate::fhir) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|primitive| primitive.name() == name)
    }

    /// The name in the definitions.
    pub(in crate::fhir) const fn name(self) -> &'static str {
        match self {
            Self::Base64Binary => "base64Binary",
            Self::Boolean => "boolean",
            Self::Canonical => "canonical",
            Self::Code => "code",
            Self::Date => "date",
            Self::DateTime => "dateTime",
            Self::Decimal => "decimal",
            Self::Id => "id",
            Self::Instant => "instant",
            Self::Integer => "integer",
            Self::Markdown => "markdown",
            Self::Oid => "oid",
            Self::PositiveInt => "positiveInt",
            Self::String => "string",
            Self::Time => "time",
            Self::UnsignedInt => "unsignedInt",
            Self::Uri => "uri",
            Self::Url => "url",
            Self::Uuid => "uuid",
            Self::Xhtml => "xhtml",
        }
    }

    /// Whether JSON has it as a number.
    pub(in crate::fhir) const fn is_number(self) -> bool {
        matches!(
            self,
            Self::Decimal | Self::Integer | Self::PositiveInt | Self::UnsignedInt
        )
    }

    /// Whether the text has the form of the type. That of a Narrative is looked at elsewhere.
    pub(in crate::fhir) fn is_well_formed(self, text: &str) -> bool {
        match self {
            Self::Base64Binary => is_base64(text),
            Self::Boolean => matches!(text, "true" | "false"),
            Self::Canonical | Self::Uri | Self::Url => !text.contains(char::is_whitespace),
            Self::Code => is_code(text),
            Self::Date => is_date(text),
            Self::DateTime => match text.split_once('T') {
                Some((date, time)) => date.len() == 10 && is_date(date) && is_zoned(time),
                None => is_date(text),
            },
            Self::Decimal => is_decimal(text),
            Self::Id => crate::fhir::resource::is_id(text),
            Self::Instant => text
                .split_once('T')
                .is_some_and(|(date, time)| date.len() == 10 && is_date(date) && is_zoned(time)),
            Self::Integer => is_integer(text, i64::from(i32::MIN)),
            Self::Markdown | Self::String => is_string(text),
            Self::Oid => text.strip_prefix("urn:oid:").is_some_and(is_oid),
            Self::PositiveInt => is_integer(text, 1),
            Self::Time => is_time(text),
            Self::UnsignedInt => is_integer(text, 0),
            Self::Uuid => text.strip_prefix("urn:uuid:").is_some_and(is_uuid),
            Self::Xhtml => true,
        }
    }
}

fn is_code(text: &str) -> bool {
    let mut after_space = true;
    for letter in text.chars() {
        let is_space = letter.is_whitespace();
        if is_space && after_space {
            return false;
        }
        after_space = is_space;
    }
    !after_space
}

fn is_string(text: &str) -> bool {
    let is_control = |byte: u8| byte < 0x20 && !matches!(byte, b'\t' | b'\r' | b'\n');
    !text.is_empty()
        && !text.bytes().any(is_control)
        && (text.len() <= STRING_CHARACTERS_MAX || text.chars().count() <= STRING_CHARACTERS_MAX)
}

fn is_base64(text: &str) -> bool {
    let mut digits = 0_usize;
    let mut padding = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => digits += 1,
            b'=' => padding += 1,
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => return false,
        }
    }
    digits > 0 && padding <= 2 && (digits + padding).is_multiple_of(4)
}

fn is_integer(text: &str, min: i64) -> bool {
    let digits = match text.strip_prefix('-') {
        Some(_) if min >= 0 => return false,
        Some(digits) => digits,
        None => text,
    };
    let is_plain = digits == "0" || !digits.starts_with('0');
    is_plain
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && text
            .parse()
            .is_ok_and(|number: i64| (min..=i64::from(i32::MAX)).contains(&number))
}

fn is_decimal(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let exponent = exponent.map(|text| text.strip_prefix(['+', '-']).unwrap_or(text));
    are_digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(are_digits)
        && exponent.is_none_or(are_digits)
}

fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`: a day that the calendar has.
fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let year = number(parts.next(), 4);
    let month = parts.next().map(|part| number(Some(part), 2));
    let day = parts.next().map(|part| number(Some(part), 2));
    if parts.next().is_some() || year.is_none_or(|year| year == 0) {
        return false;
    }
    let (month, day) = match (month, day) {
        (None, _) => return true,
        (Some(month), None) => (month, Some(1)),
        (Some(month), Some(day)) => (month, day),
    };
    let (Some(year), Some(month), Some(day)) = (year, month, day) else {
        return false;
    };
    let month = u8::try_from(month)
        .ok()
        .and_then(|month| Month::try_from(month).ok());
    let day = u8::try_from(day).ok();
    let date = month.zip(day);
    date.is_some_and(|(month, day)| Date::from_calendar_date(year, month, day).is_ok())
}

fn is_zoned(text: &str) -> bool {
    if let Some(time) = text.strip_suffix('Z') {
        return is_time(time);
    }
    let Some(at) = text.rfind(['+', '-']) else {
        return false;
    };
    let (time, zone) = text.split_at(at);
    let zone = zone.get(1..).and_then(|zone| zone.split_once(':'));
    let is_zone = zone.is_some_and(|(hours, minutes)| {
        let pair = number(Some(hours), 2).zip(number(Some(minutes), 2));
        pair.is_some_and(|(hours, minutes)| {
            (hours < 14 && minutes < 60) || (hours == 14 && minutes == 0)
        })
    });
    is_zone && is_time(time)
}

/// `hh:mm:ss` with any number of decimals; second 60 is a leap second.
fn is_time(text: &str) -> bool {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let mut parts = whole.split(':');
    let mut below = |max: i32| number(parts.next(), 2).is_some_and(|number| number <= max);
    below(23) && below(59) && below(60) && parts.next().is_none() && fraction.is_none_or(are_digits)
}

/// A number of exactly so many digits.
fn number(text: Option<&str>, digits: usize) -> Option<i32> {
    let text = text.filter(|text| text.len() == digits && are_digits(text))?;
    text.parse().ok()
}

fn is_oid(text: &str) -> bool {
    let mut arcs = text.split('.');
    let has_root = matches!(arcs.next(), Some("0" | "1" | "2"));
    let mut count = 0;
    let are_sound = arcs.all(|arc| {
        count += 1;
        are_digits(arc) && (arc == "0" || !arc.starts_with('0'))
    });
    has_root && are_sound && count > 0
}

fn is_uuid(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let lengths = [8, 4, 4, 4, 12];
    let mut parts = text.split('-');
    let fit = lengths.into_iter().all(|length| {
        let part = parts.next().unwrap_or_default();
        part.len() == length && part.bytes().all(is_hex)
    });
    fit && parts.next().is_none()
}
