//! Local codes of what is written are mapped before anything else is done with it, so that index, labels and subscribers
//! see both.

use interop::terminology::Coded;

use super::Custody;
use super::request::Change;
use crate::terminology::Vocabularies;

impl Custody {
    /// Maps codes on the way in from now on, as the vocabularies say; once for these records.
    pub fn map_by(&self, vocabularies: Vocabularies) {
        self.0.mapping.get_or_init(|| vocabularies);
    }

    /// Notes codes of a message that nobody has given a meaning, for a person.
    pub fn note_unmapped(&self, codes: Vec<Coded>) {
        if let Some(vocabularies) = self.0.mapping.get() {
            vocabularies.note(codes);
        }
    }

    /// What is signed stays as it was signed.
    pub(super) fn mapped(&self, mut changes: Vec<Change>) -> Vec<Change> {
        let Some(vocabularies) = self.0.mapping.get() else {
            return changes;
        };
        for change in &mut changes {
            match change {
                Change::Create { resource, .. }
                | Change::CreateAs { resource }
                | Change::Update { resource, .. } => vocabularies.map(resource),
                Change::Answer { .. } | Change::Delete { .. } | Change::File(_) => {}
            }
        }
        changes
    }
}
