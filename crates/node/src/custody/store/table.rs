//! The tables of the record store.

/// The tables of the database; `docs/formats/custody-store.md` has their rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Subjects,
    Patients,
    Heads,
    Versions,
    EraseKeys,
    Terms,
    Entries,
    Accesses,
    Pending,
    Adopted,
    Positions,
    Outbox,
    Statements,
    Changes,
    Subscriptions,
    Bulk,
    Authorization,
    Postings,
    Indexing,
    Upstream,
    Emergencies,
}

impl Table {
    pub(crate) const ALL: &'static [Self] = &[
        Self::Subjects,
        Self::Patients,
        Self::Heads,
        Self::Versions,
        Self::EraseKeys,
        Self::Terms,
        Self::Entries,
        Self::Accesses,
        Self::Pending,
        Self::Adopted,
        Self::Positions,
        Self::Outbox,
        Self::Statements,
        Self::Changes,
        Self::Subscriptions,
        Self::Bulk,
        Self::Authorization,
        Self::Postings,
        Self::Indexing,
        Self::Upstream,
        Self::Emergencies,
    ];

    /// The table's name on disk, which is also bound into its sealed rows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Subjects => "subjects",
            Self::Patients => "patients",
            Self::Heads => "heads",
            Self::Versions => "versions",
            Self::EraseKeys => "erase_keys",
            Self::Terms => "terms",
            Self::Entries => "entries",
            Self::Accesses => "accesses",
            Self::Pending => "pending",
            Self::Adopted => "adopted",
            Self::Positions => "positions",
            Self::Outbox => "outbox",
            Self::Statements => "statements",
            Self::Changes => "changes",
            Self::Subscriptions => "subscriptions",
            Self::Bulk => "bulk",
            Self::Authorization => "authorization",
            Self::Postings => "postings",
            Self::Indexing => "indexing",
            Self::Upstream => "upstream",
            Self::Emergencies => "emergencies",
        }
    }
}
