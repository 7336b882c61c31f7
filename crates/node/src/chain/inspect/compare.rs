//! Comparing rows with what they have to be, for an inspection.

use std::ops::Bound;

use contracts::machine;
use ledger::block::Header;
use ledger::checkpoint::is_due;
use ledger::finality::FinalityCertificate;
use ledger::ids::Height;
use ledger::state::{self, StateKey};
use ledger::statement::SubmittedStatement;

use super::Walk;
use crate::chain::checkpoints::StoredCheckpoint;
use crate::chain::damage::{ChainFault, ChainPart};
use crate::chain::rows::Keyspace;
use crate::chain::store::{StoreError, Tip, decode, key};

/// Rows that cannot be read after which the rest of a table is not asked for.
const ERRORS_MAX: usize = 64;

/// Tags without a proof after which the state tree is not asked any more.
pub(super) const UNPROVEN_MAX: u64 = 8;

impl Walk<'_> {
    /// Compares the tags of the statement at `index` with their rows, and with the state tree.
    pub(super) fn check_tags(&mut self, index: u64, keys: &[StateKey]) {
        for (place, value) in machine::entries(keys, index) {
            self.tags += 1;
            self.check_entry(ChainPart::Tag, index, place, &value);
        }
    }

    fn check_entry(&mut self, part: ChainPart, number: u64, place: StateKey, value: &[u8]) {
        let fault = match self.store.0.get(Keyspace::Tags, &place.0) {
            Ok(Some(row)) if *row == *value => None,
            Ok(Some(_)) => Some(ChainFault::Differs),
            Ok(None) => Some(ChainFault::Missing),
            Err(_) => Some(ChainFault::Unreadable),
        };
        if let Some(fault) = fault {
            self.note(part, fault, number);
            self.faulty.insert(place);
            self.absent += u64::from(fault == ChainFault::Missing);
            return;
        }
        let Some(tip) = self.root else { return };
        let fault = match state::prove(self.store, tip.changes, place) {
            Ok((_, proof)) => match proof.verify_present(tip.state_root, place, value) {
                Ok(()) => return,
                Err(_) => ChainFault::Differs,
            },
            Err(_) => ChainFault::Unreadable,
        };
        self.note(ChainPart::StateNode, fault, number);
        self.faulty.insert(place);
        self.unproven += 1;
        if self.unproven >= UNPROVEN_MAX {
            // A tree is built anew as a whole: how much more of it is damaged does not matter.
            self.root = None;
        }
    }

    pub(super) fn check_registry(&mut self) {
        let revision = self.registry.revision();
        let (place, digest) = self.registry.entry();
        let due = self.registry.encode();
        let fault = match self.store.registry_at(revision) {
            Ok(Some((_, row))) if row == due => None,
            Ok(Some(_)) => Some(ChainFault::Differs),
            Ok(None) => Some(ChainFault::Missing),
            Err(_) => Some(ChainFault::Unreadable),
        };
        if let Some(fault) = fault {
            self.note(ChainPart::Registry, fault, revision);
        }
        self.revisions.insert(place);
        self.check_entry(ChainPart::Registry, revision, place, &digest);
    }

    pub(super) fn certificate(&mut self, header: &Header) {
        let row = self
            .store
            .0
            .get(Keyspace::Certificates, &key(header.height.0));
        let certificate: Result<Option<FinalityCertificate>, StoreError> = row
            .map_err(StoreError::from)
            .and_then(|row| row.map(|row| decode("certificate", &row)).transpose());
        let fault = match certificate {
            Ok(Some(certificate)) if self.proves(&certificate, header) => {
                self.certificates += 1;
                return;
            }
            Ok(Some(_)) => ChainFault::Differs,
            // A block may be final through a later one; that between two epochs has its own.
            Ok(None) if !self.ends_epoch(header.height) => return,
            Ok(None) => ChainFault::Missing,
            Err(_) => ChainFault::Unreadable,
        };
        self.note(ChainPart::Certificate, fault, header.height.0);
    }

    pub(super) fn proves(&self, certificate: &FinalityCertificate, header: &Header) -> bool {
        let epoch = self.registry.rules().epoch_of(header.height);
        let validators = self.registry.validators(epoch);
        certificate
            .verify(self.network, validators, header.digest())
            .is_ok()
    }

    /// Whether receipts lead over the certificate of this block to other validators.
    fn ends_epoch(&self, height: Height) -> bool {
        let rules = self.registry.rules();
        let (this, next) = (rules.epoch_of(height), rules.epoch_of(height.next()));
        let changes = self.registry.validators(this) != self.registry.validators(next);
        let is_behind = height < self.last;
        this != next && changes && is_behind
    }

    pub(super) fn check_checkpoint(&mut self, header: &Header) {
        if !is_due(self.checkpoint, header) {
            return;
        }
        let size = header.log_size;
        self.checkpoint = Some((size, header.time));
        let fault = match self.store.checkpoint(size) {
            Ok(Some(row)) if self.is_checkpoint_of(&row, header) => {
                self.checkpoints += 1;
                return;
            }
            Ok(Some(_)) => ChainFault::Differs,
            Ok(None) => ChainFault::Missing,
            Err(_) => ChainFault::Unreadable,
        };
        self.note(ChainPart::Checkpoint, fault, size);
    }

    fn is_checkpoint_of(&self, row: &StoredCheckpoint, header: &Header) -> bool {
        let place = (row.height, row.time, row.root);
        place == (header.height, header.time, header.log_root)
            && row.signatures.iter().all(|signature| {
                let certificate = self
                    .registry
                    .certificate(&signature.member, signature.certificate);
                // A certificate that was registered after the checkpoint may have signed it.
                certificate.map_or(true, |certificate| {
                    let signed = (header.log_size, header.log_root);
                    signature.verify(signed, &certificate.key).is_ok()
                })
            })
    }

    /// Compares the tip, and looks for rows that nothing implies.
    pub(super) fn finish(&mut self, tip: &Tip) {
        if let Some(last) = self.before.take() {
            let follows = Tip {
                height: last.height,
                time: last.time,
                digest: last.digest(),
                log_size: last.log_size,
                changes: self.changes.unwrap_or(tip.changes),
                state_root: last.state_root,
            };
            if *tip != follows {
                self.note(ChainPart::Tip, ChainFault::Differs, 0);
            }
        }
        let beyond = key(tip.height.0 + 1);
        if !matches!(self.store.0.contains(Keyspace::Blocks, &beyond), Ok(false)) {
            self.note(ChainPart::Tip, ChainFault::Differs, 0);
        }
        if self.removed.log_size > 0 {
            self.check_unseen(tip);
        } else {
            self.note_unexpected_tags();
        }
        self.read_through();
    }

    fn note_unexpected_tags(&mut self) {
        let due = self.tags + u64::try_from(self.revisions.len()).unwrap_or(u64::MAX);
        let rows = || {
            let (from, to) = (Bound::Unbounded, Bound::Unbounded);
            self.store.0.range(Keyspace::Tags, from, to)
        };
        let mut there = 0;
        for row in rows() {
            if row.is_err() {
                self.note(ChainPart::Tag, ChainFault::Unreadable, self.log_size);
                return;
            }
            there += 1;
        }
        if there <= due {
            return;
        }
        let mut unexpected = Vec::new();
        for (place, row) in rows().flatten() {
            let place = StateKey((*place).try_into().unwrap_or([0; 32]));
            if !self.revisions.contains(&place) && !self.is_used_by(place, &row) {
                unexpected.push(row.first_chunk().map_or(0, |at| u64::from_be_bytes(*at)));
            }
        }
        for index in unexpected {
            self.note(ChainPart::Tag, ChainFault::Unexpected, index);
        }
    }

    fn is_used_by(&self, place: StateKey, row: &[u8]) -> bool {
        let Some(index) = row.first_chunk().map(|at| u64::from_be_bytes(*at)) else {
            return false;
        };
        let statement = self.store.statement(index).ok().flatten();
        let statement = statement.and_then(|(_, bytes)| SubmittedStatement::decode(&bytes).ok());
        statement.is_some_and(|statement| machine::plan(&statement).contains(&place))
    }

    /// Reads the rows that nothing above has looked at.
    fn read_through(&mut self) {
        let tables = [
            (Keyspace::Nodes, ChainPart::StateNode),
            (Keyspace::Stale, ChainPart::StateNode),
            (Keyspace::Tip, ChainPart::Tip),
        ];
        for (table, part) in tables {
            let (from, to) = (Bound::Unbounded, Bound::Unbounded);
            let rows = self.store.0.range(table, from, to);
            let errors = rows.filter(Result::is_err).take(ERRORS_MAX).count();
            for _ in 0..errors {
                self.findings.note(part, ChainFault::Unreadable, 0);
            }
        }
    }
}
