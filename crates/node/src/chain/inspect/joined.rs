//! What a snapshot or pruning has left of the time before it.

use std::ops::Bound;

use ledger::block::Header;
use ledger::genesis::Genesis;
use ledger::ids::{Epoch, Height};
use ledger::succession::{Succession, Transition};

use super::{StoredBlock, Walk};
use crate::chain::damage::{ChainFault, ChainPart};
use crate::chain::rows::Keyspace;
use crate::chain::store::{Tip, decode, key};
use crate::chain::succession::last_before;

impl Walk<'_> {
    /// Reads up to where there may be gaps.
    pub(super) fn read_marks(&mut self, tip: &Tip) {
        let (joined, removed) = (self.store.joined(), self.store.removed());
        let (Ok(joined), Ok(removed)) = (joined, removed) else {
            self.note(ChainPart::Tip, ChainFault::Unreadable, 0);
            return;
        };
        let joined = joined.unwrap_or_default();
        if joined > removed.height || removed.height > tip.height {
            self.note(ChainPart::Tip, ChainFault::Differs, 0);
            return;
        }
        (self.joined, self.removed) = (joined, removed);
    }

    /// The blocks that have to be here without a gap.
    pub(super) fn heights(&mut self, tip: &Tip) -> impl Iterator<Item = Height> + use<> {
        let from = match self.joined.0 {
            0 => 0,
            joined => {
                self.check_first();
                let before = usize::try_from(joined - 1).unwrap_or(usize::MAX);
                self.digests.resize(before, [0; 32]);
                joined
            }
        };
        (from..=tip.height.0).map(Height)
    }

    fn check_first(&mut self) {
        let fault = match self.store.block(Height(0)) {
            Ok(Some(first)) if first.header == self.first => return,
            Ok(Some(_)) => ChainFault::Differs,
            Ok(None) => ChainFault::Missing,
            Err(_) => ChainFault::Unreadable,
        };
        self.note(ChainPart::Block, fault, 0);
    }

    /// Whether a statement's row may say that its block is the one at `height`.
    pub(super) fn is_height_of(&mut self, index: u64, height: Height, header: &Header) -> bool {
        if header.height > self.joined || self.joined.0 == 0 {
            // Where a header is lost, its statements count to the next one.
            return height == header.height || (self.before.is_none() && height < header.height);
        }
        // A snapshot names the first block with a certificate that covers it.
        match self.store.block(height) {
            Ok(Some(covering)) => height <= self.joined && index < covering.header.log_size,
            Ok(None) => {
                self.note(ChainPart::Block, ChainFault::Missing, height.0);
                true
            }
            // The look at all headers finds that.
            Err(_) => true,
        }
    }

    /// Goes on behind a block of which not all statements are here: what they changed is what the store says.
    pub(super) fn follow_partial(&mut self, stored: &StoredBlock) {
        let header = &stored.header;
        let before = self.changes.replace(stored.changes);
        let is_next = |before: u64| stored.changes == before || stored.changes == before + 1;
        let is_counted = header.height == self.joined || before.is_none_or(is_next);
        if stored.revision != self.registry.revision() {
            self.take_registry(stored.revision);
            if stored.revision == self.registry.revision() {
                self.check_registry();
            } else {
                let fault = match self.store.registry_at(stored.revision) {
                    Ok(None) => ChainFault::Missing,
                    _ => ChainFault::Unreadable,
                };
                self.note(ChainPart::Registry, fault, stored.revision);
                return;
            }
        }
        let validators = self.registry.validators_digest(header.height);
        if !is_counted {
            self.note(ChainPart::Block, ChainFault::Differs, header.height.0);
        } else if validators != header.validators {
            self.note(
                ChainPart::Registry,
                ChainFault::Differs,
                self.registry.revision(),
            );
        }
        if header.height == self.removed.height && header.log_size != self.removed.log_size {
            self.note(ChainPart::Tip, ChainFault::Differs, 0);
        }
    }

    /// Looks at the headers that lead from the genesis to the snapshot, and at those that cover own statements.
    pub(super) fn check_snapshot(&mut self, genesis: &Genesis) {
        if self.joined.0 == 0 {
            return;
        }
        let (from, to) = (key(1), key(self.joined.0));
        let rows = self.store.0.range(
            Keyspace::Blocks,
            Bound::Included(&from),
            Bound::Excluded(&to),
        );
        for row in rows {
            let Ok((height, row)) = row else {
                self.note(ChainPart::Block, ChainFault::Unreadable, 0);
                break;
            };
            let height = (*height).try_into().map_or(0, u64::from_be_bytes);
            match decode::<StoredBlock>("block", &row) {
                Ok(stored) => self.check_final(&stored.header, Height(height)),
                Err(_) => self.note(ChainPart::Block, ChainFault::Unreadable, height),
            }
        }
        self.check_succession(genesis);
    }

    /// A header that nothing here follows has to be final by a certificate of its own.
    fn check_final(&mut self, header: &Header, height: Height) {
        let number = height.0;
        if header.height != height || header.network != self.network {
            self.note(ChainPart::Block, ChainFault::Differs, number);
            return;
        }
        let at = number.checked_sub(1).map(usize::try_from);
        if let Some(Ok(at)) = at
            && let Some(digest) = self.digests.get_mut(at)
        {
            *digest = header.digest().0;
        }
        let certificate = match self.store.certificate(height) {
            Ok(Some(certificate)) => certificate,
            Ok(None) => {
                self.note(ChainPart::Certificate, ChainFault::Missing, number);
                return;
            }
            Err(_) => {
                self.note(ChainPart::Certificate, ChainFault::Unreadable, number);
                return;
            }
        };
        if self.proves(&certificate, header) {
            self.certificates += 1;
            return;
        }
        let epoch = self.registry.rules().epoch_of(height);
        let validators = self.registry.validators(epoch);
        let signed = certificate.verify(self.network, validators, certificate.block);
        // A certificate that holds is of the header that was here once.
        let part = match signed {
            Ok(()) => ChainPart::Block,
            Err(_) => ChainPart::Certificate,
        };
        self.note(part, ChainFault::Differs, number);
    }

    /// Looks whether the validators of the snapshot still follow from the genesis.
    fn check_succession(&mut self, genesis: &Genesis) {
        let rules = self.registry.rules();
        let (epoch, blocks) = (rules.epoch_of(self.joined), rules.epoch_blocks);
        let spans = self.registry.schedule().iter().skip(1);
        let spans: Vec<_> = spans.filter(|span| span.from <= epoch).cloned().collect();
        let boundary = (epoch > Epoch(0)).then(|| last_before(epoch, blocks));
        let mut transitions = Vec::new();
        let mut are_here = boundary.is_none_or(|boundary| self.is_here(boundary));
        for span in spans {
            let end = last_before(span.from, blocks);
            are_here &= self.is_here(end);
            let header = self.store.block(end).ok().flatten();
            let finality = self.store.certificate(end).ok().flatten();
            if let (Some(stored), Some(finality)) = (header, finality) {
                transitions.push(Transition {
                    header: stored.header,
                    finality,
                    next: span.validators,
                });
            }
        }
        let succession = Succession {
            transitions,
            registry: None,
        };
        // Damage to a header or certificate has a line of its own.
        let is_blamed = self.findings.has(ChainPart::Block)
            || self.findings.has(ChainPart::Certificate)
            || !are_here;
        if !is_blamed && succession.verify(genesis).is_err() {
            let revision = self.registry.revision();
            self.note(ChainPart::Registry, ChainFault::Differs, revision);
        }
    }

    fn is_here(&mut self, height: Height) -> bool {
        let is_here = !matches!(self.store.block(height), Ok(None));
        if !is_here {
            self.note(ChainPart::Block, ChainFault::Missing, height.0);
        }
        is_here
    }
}
