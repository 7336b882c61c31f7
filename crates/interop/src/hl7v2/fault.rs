//! What is wrong with a message, by place and code; never with what stands there.

use std::fmt;

/// A code of HL7 table 0357 (message error condition codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the texts of table 0357 say it")]
pub enum ErrorCode {
    SegmentSequence,
    RequiredFieldMissing,
    DataType,
    TableValueNotFound,
    ValueTooLong,
    UnsupportedMessageType,
    UnsupportedEventCode,
    UnsupportedProcessingId,
    UnsupportedVersion,
    UnknownKeyIdentifier,
    DuplicateKeyIdentifier,
    RecordLocked,
    Internal,
}

impl ErrorCode {
    /// The code, as it stands in ERR-3.
    pub fn number(self) -> u16 {
        match self {
            Self::SegmentSequence => 100,
            Self::RequiredFieldMissing => 101,
            Self::DataType => 102,
            Self::TableValueNotFound => 103,
            Self::ValueTooLong => 104,
            Self::UnsupportedMessageType => 200,
            Self::UnsupportedEventCode => 201,
            Self::UnsupportedProcessingId => 202,
            Self::UnsupportedVersion => 203,
            Self::UnknownKeyIdentifier => 204,
            Self::DuplicateKeyIdentifier => 205,
            Self::RecordLocked => 206,
            Self::Internal => 207,
        }
    }

    /// The name that the table gives it.
    pub fn text(self) -> &'static str {
        match self {
            Self::SegmentSequence => "Segment sequence error",
            Self::RequiredFieldMissing => "Required field missing",
            Self::DataType => "Data type error",
            Self::TableValueNotFound => "Table value not found",
            Self::ValueTooLong => "Value too long",
            Self::UnsupportedMessageType => "Unsupported message type",
            Self::UnsupportedEventCode => "Unsupported event code",
            Self::UnsupportedProcessingId => "Unsupported processing id",
            Self::UnsupportedVersion => "Unsupported version id",
            Self::UnknownKeyIdentifier => "Unknown key identifier",
            Self::DuplicateKeyIdentifier => "Duplicate key identifier",
            Self::RecordLocked => "Application record locked",
            Self::Internal => "Application internal error",
        }
    }

    /// Whether the message itself cannot be taken, whoever sends it again: AR rather than AE.
    pub fn is_rejection(self) -> bool {
        matches!(
            self,
            Self::UnsupportedMessageType
                | Self::UnsupportedEventCode
                | Self::UnsupportedProcessingId
                | Self::UnsupportedVersion
        )
    }
}

/// How bad it is: table 0516.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the table has these words")]
pub enum Severity {
    Error,
    Warning,
    Information,
}

impl Severity {
    /// As it stands in ERR-4.
    pub fn letter(self) -> char {
        match self {
            Self::Error => 'E',
            Self::Warning => 'W',
            Self::Information => 'I',
        }
    }
}

/// Something that is wrong in a message. Holds no value of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it is.
    pub place: Place,
    /// What it is.
    pub code: ErrorCode,
    /// How bad.
    pub severity: Severity,
    /// What was expected there, in words of ours.
    pub expected: &'static str,
}

/// Where in a message something is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Three capitals or digits; `???` where no such name stands.
    pub segment: String,
    /// Which of the segments with this name, from 1.
    pub ordinal: usize,
    /// The field, from 1.
    pub field: Option<usize>,
    /// The component, from 1.
    pub component: Option<usize>,
}

impl Place {
    /// A segment.
    pub fn segment(name: &str, ordinal: usize) -> Self {
        let is_name = name.len() == 3
            && name
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        Self {
            segment: if is_name { name } else { "???" }.to_owned(),
            ordinal,
            field: None,
            component: None,
        }
    }

    /// A field of it.
    #[must_use]
    pub fn field(mut self, field: usize) -> Self {
        self.field = Some(field);
        self
    }

    /// A component of the field.
    #[must_use]
    pub fn component(mut self, component: usize) -> Self {
        self.component = Some(component);
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.segment)?;
        if self.ordinal > 1 {
            write!(out, "[{}]", self.ordinal)?;
        }
        if let Some(field) = self.field {
            write!(out, "-{field}")?;
        }
        if let Some(component) = self.component {
            write!(out, ".{component}")?;
        }
        Ok(())
    }
}

impl Fault {
    /// An error.
    pub fn error(place: Place, code: ErrorCode, expected: &'static str) -> Self {
        Self {
            place,
            code,
            severity: Severity::Error,
            expected,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.code.text().to_ascii_lowercase();
        write!(out, "{}: {text}: {}", self.place, self.expected)
    }
}

impl std::error::Error for Fault {}
