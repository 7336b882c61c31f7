//! Damage to the records, counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use vault::blob::BlobId;

/// A kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordPart {
    /// A patient, and the branches that this member has of the patient.
    Subject,
    /// Which version of a document is current.
    Head,
    /// A version of a document.
    Version,
    /// What opens a version.
    EraseKey,
    /// What search finds a document by.
    Terms,
    /// What stands for a word that a document is found by.
    Posting,
    /// What a tag stands for.
    Entry,
    /// An access.
    Access,
    /// A consent that another member filed.
    Consent,
    /// The last position of a stream.
    Position,
    /// Items and statements on their way to the ledger.
    Outbox,
    /// A version's place in the change feed.
    Change,
    /// A large payload.
    Blob,
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordFault {
    /// It is not there, though another implies it.
    Missing,
    /// It cannot be read or opened.
    Unreadable,
    /// It is not what another record, or the ledger, says it is.
    Differs,
    /// The ledger does not have its item, and the outbox neither.
    NotAnchored,
    /// The ledger has items behind it of which nothing is known here.
    Lost,
}

/// Records of one kind with one fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordDamage {
    /// The kind.
    pub part: RecordPart,
    /// What is wrong.
    pub fault: RecordFault,
    /// How many.
    pub count: u64,
    /// The blobs, if it is blobs: their names are random.
    pub blobs: BTreeSet<BlobId>,
}

#[derive(Debug, Default)]
pub(super) struct Findings(BTreeMap<(RecordPart, RecordFault), (u64, BTreeSet<BlobId>)>);

impl Findings {
    pub(super) fn note(&mut self, part: RecordPart, fault: RecordFault) {
        self.0.entry((part, fault)).or_default().0 += 1;
    }

    pub(super) fn note_blob(&mut self, id: BlobId) {
        let found = (RecordPart::Blob, RecordFault::Unreadable);
        let (count, blobs) = self.0.entry(found).or_default();
        *count += u64::from(blobs.insert(id));
    }

    pub(super) fn damages(&self) -> Vec<RecordDamage> {
        let damage =
            |(&(part, fault), (count, blobs)): (&_, &(u64, BTreeSet<BlobId>))| RecordDamage {
                part,
                fault,
                count: *count,
                blobs: blobs.clone(),
            };
        self.0.iter().map(damage).collect()
    }
}

impl RecordPart {
    /// The word for it in machine-readable reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Subject => "patient",
            Self::Head => "head",
            Self::Version => "version",
            Self::EraseKey => "erase-key",
            Self::Terms => "search-terms",
            Self::Posting => "search-posting",
            Self::Entry => "entry",
            Self::Access => "access",
            Self::Consent => "adopted-consent",
            Self::Position => "position",
            Self::Outbox => "outbox",
            Self::Change => "change",
            Self::Blob => "blob",
        }
    }

    fn nouns(self) -> (&'static str, &'static str) {
        match self {
            Self::Subject => ("patient's row", "patients' rows"),
            Self::Head => ("document's head", "documents' heads"),
            Self::Version => ("version of a document", "versions of documents"),
            Self::EraseKey => ("key of a version", "keys of versions"),
            Self::Terms => ("document's search terms", "documents' search terms"),
            Self::Posting => ("posting of the index", "postings of the index"),
            Self::Entry => ("entry of a stream", "entries of streams"),
            Self::Access => ("recorded access", "recorded accesses"),
            Self::Consent => ("consent from another member", "consents from other members"),
            Self::Position => ("position of a stream", "positions of streams"),
            Self::Outbox => ("row of the outbox", "rows of the outbox"),
            Self::Change => ("row of the change feed", "rows of the change feed"),
            Self::Blob => ("large payload", "large payloads"),
        }
    }

    fn consequence(self) -> &'static str {
        match self {
            Self::Subject => "the patients' records cannot be reached",
            Self::Head | Self::Version | Self::EraseKey | Self::Blob => {
                "reading those versions answers an error"
            }
            Self::Terms => "search does not find those documents",
            Self::Posting => "search may not find documents until the index is made anew",
            Self::Entry => "other members do not get what they may see",
            Self::Access => "the patients' access histories have gaps",
            Self::Consent => "other members' consents have to be fetched again",
            Self::Position => "nothing more can be recorded of those patients",
            Self::Change => "subscribers do not hear of those versions",
            Self::Outbox => "what is recorded since is not anchored",
        }
    }
}

impl RecordFault {
    /// The word for it in machine-readable reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::Differs => "differs",
            Self::NotAnchored => "not-anchored",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for RecordDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, many) = self.part.nouns();
        let is_one = self.count == 1;
        let noun = if is_one { one } else { many };
        let verb = match (self.fault, is_one) {
            (RecordFault::Missing, true) => "is missing",
            (RecordFault::Missing, false) => "are missing",
            (RecordFault::Unreadable, _) => "cannot be opened",
            (RecordFault::Differs, true) => "is not what was recorded",
            (RecordFault::Differs, false) => "are not what was recorded",
            (RecordFault::Lost, true) => "ends before the ledger does",
            (RecordFault::Lost, false) => "end before the ledger does",
            (RecordFault::NotAnchored, true) => "is neither on the ledger nor on its way",
            (RecordFault::NotAnchored, false) => "are neither on the ledger nor on their way",
        };
        let consequence = match self.fault {
            RecordFault::Lost => "what was recorded last is not here any more",
            _ => self.part.consequence(),
        };
        write!(f, "{} {noun} {verb}: {consequence}", self.count)
    }
}
