//! Streams that were moved to another key: their closing items, shown to whoever may see them, and followed to where the
//! streams of other members go on.

use contracts::export::Move;
use contracts::rotation::Closing;
use ledger::ids::{MemberName, Tag};
use ledger::stream::{KeyEpoch, StreamKey};

use super::branch::{BranchKeys, EpochKey, close_entries};
use super::remote::OpenDescriptor;
use super::request::AccessEntry;
use super::rows::{Head, Own, SubjectId};
use super::subject::Subject;
use super::{Anchor, Custody, CustodyError};

/// Entries of a stream of another member, as far as the ledger has them.
pub(super) struct Extent {
    /// How many there are, without the closing item.
    pub(super) entries: u64,
    pub(super) is_closed: bool,
}

/// How far a stream of `member` goes. What stands behind its closing item belongs to nothing.
pub(super) fn extent(
    anchor: &dyn Anchor,
    member: &MemberName,
    stream: &StreamKey,
) -> Result<Extent, CustodyError> {
    let latest =
        stream.latest(|tag| Ok::<_, CustodyError>(anchor.locate(member, tag)?.is_some()))?;
    let Some(closed) = anchor.locate(member, stream.closing())? else {
        return Ok(Extent {
            entries: latest,
            is_closed: false,
        });
    };
    let (_, item) = anchor.item(closed)?;
    let last = (1..=latest)
        .rev()
        .find(|position| stream.tag(*position) == item.tags[0]);
    Ok(Extent {
        entries: last.unwrap_or(1).saturating_sub(1),
        is_closed: true,
    })
}

/// Where the entry with a number stands, or will stand, over all keys of a branch of another member.
pub(super) enum Numbered<'a> {
    /// Under this key, at this position.
    At(&'a EpochKey, u64),
    /// Under a key that is not held here.
    Beyond,
}

impl Custody {
    /// Where a numbered entry of another member's branch is to be found.
    pub(super) fn numbered<'a>(
        &self,
        from: &MemberName,
        keys: &'a BranchKeys,
        mut number: u64,
    ) -> Result<Numbered<'a>, CustodyError> {
        let anchor = &*self.0.anchor;
        for one in keys.each() {
            let entries = one.key.entries();
            let is_newest = one.epoch == keys.newest().epoch;
            // Most streams were never closed, and their next entry is not there yet.
            if is_newest && anchor.locate(from, entries.tag(number))?.is_none() {
                return Ok(Numbered::At(one, number));
            }
            if anchor.locate(from, entries.closing())?.is_none() {
                return Ok(Numbered::At(one, number));
            }
            let extent = extent(anchor, from, &entries)?;
            if number <= extent.entries {
                return Ok(Numbered::At(one, number));
            }
            number = number.saturating_sub(extent.entries);
        }
        Ok(Numbered::Beyond)
    }

    /// The closing item of one key of a branch, with the key that seals it for those who hold no later one.
    pub(super) fn closing_entry(
        &self,
        subject: &SubjectId,
        own: Own,
        epoch: KeyEpoch,
    ) -> Result<Option<([u8; 32], OpenDescriptor)>, CustodyError> {
        let subject = self.0.subjects.load(subject)?;
        let Some((from, to)) = subject.key(own)?.move_from(epoch) else {
            return Ok(None);
        };
        let place = (self.0.home.network, &self.0.home.member);
        let closing = close_entries(place, &own.of(place.1), from, to);
        let open = OpenDescriptor {
            descriptor: closing.descriptor,
            opening: closing.opening,
        };
        Ok(Some((from.key.descriptor_key(), open)))
    }

    /// The entries with the closing items among them, all numbered on.
    pub(super) fn with_closings(
        &self,
        subject: &Subject,
        entries: Vec<AccessEntry>,
    ) -> Result<Vec<AccessEntry>, CustodyError> {
        let place = (self.0.home.network, &self.0.home.member);
        let branch = Own::Access.of(place.1);
        let closings = subject.key(Own::Access)?.closings(place, &branch);
        let mut closings = closings.into_iter().peekable();
        let mut all = Vec::with_capacity(entries.len());
        let mut entries = entries.into_iter().peekable();
        loop {
            let is_next = |(before, _): &(u64, Closing)| {
                entries.peek().is_none_or(|entry| entry.position > *before)
            };
            if let Some((_, closing)) = closings.next_if(is_next) {
                let [tag, _] = closing.item.tags;
                all.push(AccessEntry {
                    position: 0,
                    tag,
                    descriptor: closing.descriptor,
                    opening: closing.opening,
                    receipt: self.item_receipt(tag, &[])?,
                    successor: Some(closing.step),
                });
            } else if let Some(entry) = entries.next() {
                all.push(entry);
            } else {
                break;
            }
        }
        for (position, entry) in (1..).zip(&mut all) {
            entry.position = position;
        }
        Ok(all)
    }

    /// The closing items behind a version, oldest first; `None` while one of them is not final.
    pub(super) fn moves_behind(
        &self,
        subject: &Subject,
        head: &Head,
        version: u64,
    ) -> Result<Option<Vec<Move>>, CustodyError> {
        let mut moves = Vec::new();
        for closing in self.closings_behind(subject, head, version)? {
            let [tag, _] = closing.item.tags;
            let Some(receipt) = self.item_receipt(tag, &[])? else {
                return Ok(None);
            };
            moves.push(Move {
                descriptor: closing.descriptor,
                opening: closing.opening,
                receipt,
                successor: closing.step,
            });
        }
        Ok(Some(moves))
    }

    /// The tag that is not used while a version is the latest.
    pub(super) fn next_tag(
        &self,
        subject: &Subject,
        head: &Head,
        version: u64,
        named: Tag,
    ) -> Result<Tag, CustodyError> {
        let closings = self.closings_behind(subject, head, version)?;
        Ok(closings.last().map_or(named, |closing| closing.step.tag))
    }

    fn closings_behind(
        &self,
        subject: &Subject,
        head: &Head,
        version: u64,
    ) -> Result<Vec<Closing>, CustodyError> {
        let place = (self.0.home.network, &self.0.home.member);
        let stream = subject.key(head.stream)?.document(head);
        let closings = stream.closings(place, &head.stream.of(place.1));
        let behind = closings
            .into_iter()
            .filter(|(first, _)| *first == version.saturating_add(1));
        Ok(behind.map(|(_, closing)| closing).collect())
    }
}
