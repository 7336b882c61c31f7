//! The keys of a branch, one for each epoch.
//!
//! Entries of a branch that this member writes are numbered on over all its keys; on the ledger each key's stream counts
//! from 1, and ends with a closing item that has no number here.

use contracts::rotation::{Closing, close};
use ledger::ids::{MemberName, NetworkId, Tag};
use ledger::stream::{Branch, BranchKey, KeyEpoch, StreamKey};

use super::rows::{BranchRow, Head, SecretRow};

/// The key of one epoch, and how many entries there were before it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct EpochKey {
    pub(crate) epoch: KeyEpoch,
    pub(crate) key: BranchKey,
    pub(crate) before: u64,
}

/// A branch's keys, the oldest first; one at least.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct BranchKeys {
    oldest: EpochKey,
    later: Vec<EpochKey>,
}

/// What becomes of a key that a wallet brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Brought {
    /// It is here.
    Known,
    /// It is newer than all that are here.
    New,
    /// It is older than the newest that is here.
    Stale,
    /// Another key is here under its number.
    Other,
}

impl BranchKeys {
    /// A branch with its first key here.
    pub(crate) fn new(epoch: KeyEpoch, key: BranchKey) -> Self {
        Self {
            oldest: EpochKey {
                epoch,
                key,
                before: 0,
            },
            later: Vec::new(),
        }
    }

    pub(crate) fn each(&self) -> impl DoubleEndedIterator<Item = &EpochKey> {
        std::iter::once(&self.oldest).chain(&self.later)
    }

    pub(crate) fn newest(&self) -> &EpochKey {
        self.later.last().unwrap_or(&self.oldest)
    }

    pub(crate) fn epoch(&self, epoch: KeyEpoch) -> Option<&EpochKey> {
        self.each().find(|one| one.epoch == epoch)
    }

    /// The key under which the entry at a position is, or will be.
    fn at(&self, position: u64) -> &EpochKey {
        let began = |one: &&EpochKey| one.before < position;
        self.each().rev().find(began).unwrap_or(&self.oldest)
    }

    /// The tag of an entry.
    pub(crate) fn tag(&self, position: u64) -> Tag {
        let epoch = self.at(position);
        let entries = epoch.key.entries();
        entries.tag(position.saturating_sub(epoch.before))
    }

    /// The key that seals the descriptor of an entry.
    pub(crate) fn descriptor_key(&self, position: u64) -> [u8; 32] {
        self.at(position).key.descriptor_key()
    }

    /// What a key that is brought would be.
    pub(crate) fn brought(&self, epoch: KeyEpoch, key: &BranchKey) -> Brought {
        match self.epoch(epoch) {
            Some(known) if known.key == *key => Brought::Known,
            Some(_) => Brought::Other,
            None if epoch > self.newest().epoch => Brought::New,
            None => Brought::Stale,
        }
    }

    /// Goes on under a key after so many entries.
    pub(crate) fn go_on(&mut self, epoch: KeyEpoch, key: BranchKey, before: u64) {
        self.later.push(EpochKey { epoch, key, before });
    }

    /// The key of an epoch and the one after it.
    pub(crate) fn move_from(&self, epoch: KeyEpoch) -> Option<(&EpochKey, &EpochKey)> {
        let pairs = self.each().zip(&self.later);
        pairs.into_iter().find(|(from, _)| from.epoch == epoch)
    }

    /// The items that closed the branch's entries, with the number of entries before each.
    pub(crate) fn closings(
        &self,
        place: (NetworkId, &MemberName),
        branch: &Branch,
    ) -> Vec<(u64, Closing)> {
        let pairs = self.each().zip(&self.later);
        let closed = pairs.map(|(from, to)| (to.before, close_entries(place, branch, from, to)));
        closed.collect()
    }

    pub(crate) fn rows(&self, branch: &Branch) -> Vec<BranchRow> {
        let row = |one: &EpochKey| BranchRow {
            name: branch.name(),
            key: SecretRow(*one.key.expose()),
            epoch: (one.epoch > 0).then_some(one.epoch),
            before: (one.before > 0).then_some(one.before),
        };
        self.each().map(row).collect()
    }

    /// The stream of a document.
    pub(crate) fn document(&self, head: &Head) -> DocumentStream {
        let part = |epoch: KeyEpoch, first: u64| {
            let key = self.epoch(epoch).unwrap_or(&self.oldest);
            DocumentPart {
                epoch,
                first,
                key: key.key.document(&head.resource_type, &head.id),
            }
        };
        let moves = head.moves.iter().flatten();
        let mut parts = moves.map(|one| part(one.epoch, one.first)).peekable();
        let begins = parts.next_if(|part| part.first == 1);
        DocumentStream {
            oldest: begins.unwrap_or_else(|| part(0, 1)),
            later: parts.collect(),
        }
    }
}

/// The item that closed the entries of a branch under one key.
pub(crate) fn close_entries(
    place: (NetworkId, &MemberName),
    branch: &Branch,
    from: &EpochKey,
    to: &EpochKey,
) -> Closing {
    let last = to.before.saturating_sub(from.before).saturating_add(1);
    let (from, successor) = (from.key.entries(), to.key.entries());
    close(place, (branch, to.epoch), (&from, last), (&successor, 1))
}

/// A document's stream over all keys: a version has its number as its position under each.
pub(crate) struct DocumentStream {
    oldest: DocumentPart,
    later: Vec<DocumentPart>,
}

struct DocumentPart {
    epoch: KeyEpoch,
    /// The first version that is, or will be, under the key.
    first: u64,
    key: StreamKey,
}

impl DocumentStream {
    fn each(&self) -> impl DoubleEndedIterator<Item = &DocumentPart> {
        std::iter::once(&self.oldest).chain(&self.later)
    }

    /// The key under which the next version will be.
    pub(crate) fn newest(&self) -> &StreamKey {
        &self.later.last().unwrap_or(&self.oldest).key
    }

    /// The tag of a version.
    pub(crate) fn tag(&self, version: u64) -> Tag {
        let began = |part: &&DocumentPart| part.first <= version;
        let part = self.each().rev().find(began).unwrap_or(&self.oldest);
        part.key.tag(version)
    }

    /// The items that closed the stream, the oldest first, each with the version that is behind it.
    pub(crate) fn closings(
        &self,
        place: (NetworkId, &MemberName),
        branch: &Branch,
    ) -> Vec<(u64, Closing)> {
        let pairs = self.each().zip(&self.later);
        let closed = pairs.map(|(from, to)| {
            let (former, next) = ((&from.key, to.first), (&to.key, to.first));
            (to.first, close(place, (branch, to.epoch), former, next))
        });
        closed.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::ids::Digest;
    use ledger::stream::RootKey;

    fn key(epoch: KeyEpoch) -> BranchKey {
        let branch = Branch::Index("clinic".parse().unwrap());
        RootKey::from_bytes([7; 32]).branch(NetworkId(Digest([1; 32])), &branch, epoch)
    }

    #[test]
    fn entries_are_numbered_on_over_all_keys() {
        let mut keys = BranchKeys::new(0, key(0));
        keys.go_on(1, key(1), 3);
        keys.go_on(2, key(2), 3);
        keys.go_on(3, key(3), 4);
        let tags = [
            key(0).entries().tag(1),
            key(0).entries().tag(2),
            key(0).entries().tag(3),
            key(2).entries().tag(1),
            key(3).entries().tag(1),
            key(3).entries().tag(2),
        ];
        let numbered: Vec<Tag> = (1..=6).map(|position| keys.tag(position)).collect();
        assert_eq!(numbered, tags);
        assert_eq!(keys.newest().epoch, 3);
    }

    #[test]
    fn a_key_that_is_brought_is_known_new_stale_or_another() {
        let mut keys = BranchKeys::new(1, key(1));
        keys.go_on(3, key(3), 2);
        assert_eq!(keys.brought(1, &key(1)), Brought::Known);
        assert_eq!(keys.brought(3, &key(1)), Brought::Other);
        assert_eq!(keys.brought(2, &key(2)), Brought::Stale);
        assert_eq!(keys.brought(0, &key(0)), Brought::Stale);
        assert_eq!(keys.brought(4, &key(4)), Brought::New);
    }
}
