//! Damage to the chain's store, named: what, where, what follows from it.

use std::collections::BTreeMap;
use std::fmt;

/// A kind of rows of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChainPart {
    /// The row that says which block is the last.
    Tip,
    /// Headers, by height.
    Block,
    /// Statements, by index in the log.
    Statement,
    /// Hashes of the log, by index.
    LogHash,
    /// Where tags were used, by the statement that uses them.
    Tag,
    /// Nodes of the state tree, by the statement whose tags they lead to.
    StateNode,
    /// Revisions of the registry.
    Registry,
    /// Finality certificates, by height.
    Certificate,
    /// Checkpoints, by size of the log.
    Checkpoint,
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChainFault {
    /// It is not there, though another implies it.
    Missing,
    /// It cannot be read, or does not decode.
    Unreadable,
    /// It is not what follows from the others.
    Differs,
    /// Nothing implies it.
    Unexpected,
}

/// Rows of one kind with one fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainDamage {
    /// The kind of row.
    pub part: ChainPart,
    /// What is wrong.
    pub fault: ChainFault,
    /// The lowest number.
    pub first: u64,
    /// The highest number.
    pub last: u64,
    /// How many.
    pub count: u64,
}

/// Collects damages; its size does not grow with how many rows are damaged.
#[derive(Debug, Default)]
pub(super) struct Findings(BTreeMap<(ChainPart, ChainFault), (u64, u64, u64)>);

impl Findings {
    pub(super) fn note(&mut self, part: ChainPart, fault: ChainFault, number: u64) {
        self.note_some(part, fault, (number, number), 1);
    }

    /// Notes `count` rows that are somewhere between two numbers.
    pub(super) fn note_some(
        &mut self,
        part: ChainPart,
        fault: ChainFault,
        (first, last): (u64, u64),
        count: u64,
    ) {
        let span = self.0.entry((part, fault)).or_insert((first, last, 0));
        *span = (span.0.min(first), span.1.max(last), span.2 + count);
    }

    /// Whether a row of a kind was found damaged.
    pub(super) fn has(&self, part: ChainPart) -> bool {
        self.0.keys().any(|(one, _)| *one == part)
    }

    pub(super) fn damages(&self) -> Vec<ChainDamage> {
        let damage = |(&(part, fault), &(first, last, count))| ChainDamage {
            part,
            fault,
            first,
            last,
            count,
        };
        self.0.iter().map(damage).collect()
    }
}

impl ChainPart {
    /// The word for it in machine-readable reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tip => "tip",
            Self::Block => "block",
            Self::Statement => "statement",
            Self::LogHash => "log-hash",
            Self::Tag => "tag",
            Self::StateNode => "state-node",
            Self::Registry => "registry",
            Self::Certificate => "certificate",
            Self::Checkpoint => "checkpoint",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Tip => "the row of the last block",
            Self::Block => "header of block",
            Self::Statement => "statement",
            Self::LogHash => "log hash",
            Self::Tag => "tag of statement",
            Self::StateNode => "path in the state tree to a tag of statement",
            Self::Registry => "revision of the registry",
            Self::Certificate => "finality certificate of block",
            Self::Checkpoint => "checkpoint of size",
        }
    }

    fn consequence(self) -> &'static str {
        match self {
            Self::Tip => "the node does not know where to go on",
            Self::Block => "receipts that need the header cannot be made",
            Self::Statement => "neither it nor receipts of its items can be given",
            Self::LogHash => "receipts through it cannot be made",
            Self::Tag => {
                "the node would judge later statements wrongly, and cannot say where the tag was used"
            }
            Self::StateNode => "the node cannot execute blocks or prove what is absent",
            Self::Registry => "the node cannot prove who the members are",
            Self::Certificate => "receipts take a later certificate in its place",
            Self::Checkpoint => "COSE Receipts take a later checkpoint in its place",
        }
    }
}

impl ChainFault {
    /// The word for it in machine-readable reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::Differs => "differs",
            Self::Unexpected => "unexpected",
        }
    }

    fn verb(self, many: bool) -> &'static str {
        match (self, many) {
            (Self::Missing, false) => "is missing",
            (Self::Missing, true) => "are missing",
            (Self::Unreadable, false) => "cannot be read",
            (Self::Unreadable, true) => "cannot be read",
            (Self::Differs, false) => "is not what a quorum signed",
            (Self::Differs, true) => "are not what a quorum signed",
            (Self::Unexpected, false) => "stands for nothing that a quorum signed",
            (Self::Unexpected, true) => "stand for nothing that a quorum signed",
        }
    }
}

impl fmt::Display for ChainDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (noun, first, last) = (self.part.noun(), self.first, self.last);
        let verb = self.fault.verb(self.count > 1);
        let consequence = self.part.consequence();
        match (self.part, self.count) {
            (ChainPart::Tip, _) => write!(f, "{noun} {verb}: {consequence}"),
            (_, 1) if first == last => write!(f, "the {noun} {first} {verb}: {consequence}"),
            (_, 1) => write!(f, "a row ({noun} {first} to {last}) {verb}: {consequence}"),
            (_, count) => write!(
                f,
                "{count} rows ({noun} {first} to {last}) {verb}: {consequence}"
            ),
        }
    }
}
