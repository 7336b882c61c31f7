//! Reading the log, the newest entry first, and letting go of what is old enough.

use std::collections::BTreeSet;

use interop::fhir::audit::{AuditEntry, AuditOutcome};
use interop::fhir::{Issue, IssueType};
use ledger::ids::Digest;

use super::held::Held;
use super::{AuditRow, FLOOR, LogHead, entry_key, floor, head, subject_key};
use crate::custody::rows::decode;
use crate::custody::store::Table;
use crate::custody::{Custody, CustodyError};

/// How long entries are kept at least: six years (45 CFR 164.316), of 366 days each.
pub const RETAINED_MS: u64 = 6 * 366 * 86_400_000;
/// Entries that one transaction lets go of.
const PRUNED_AT_ONCE: u64 = 1_000;

/// Which entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditWanted {
    /// About this patient (local id).
    pub patient: Option<String>,
    /// Recorded at or after this time, milliseconds since 1970.
    pub from_ms: u64,
    /// Recorded before this time.
    pub until_ms: u64,
    /// With a lower number than this.
    pub before: u64,
}

impl AuditWanted {
    /// All entries.
    pub fn all() -> Self {
        Self {
            patient: None,
            from_ms: 0,
            until_ms: u64::MAX,
            before: u64::MAX,
        }
    }
}

impl Custody {
    /// Up to `most` entries with their numbers, the newest first.
    pub fn audit_log(
        &self,
        wanted: &AuditWanted,
        most: usize,
    ) -> Result<Vec<(u64, AuditEntry)>, CustodyError> {
        let mut found = Vec::new();
        let numbers: Box<dyn Iterator<Item = u64>> = match &wanted.patient {
            Some(patient) => Box::new(self.numbers_of(patient)?.into_iter().rev()),
            None => {
                let first = self.first_from(wanted.from_ms)?;
                let end = self.first_from(wanted.until_ms)?.min(wanted.before);
                Box::new((first..end).rev())
            }
        };
        for number in numbers.filter(|number| *number < wanted.before) {
            if found.len() >= most {
                break;
            }
            let Some(entry) = self.audit_entry(number)? else {
                continue;
            };
            if entry.recorded < wanted.from_ms {
                break;
            }
            if entry.recorded < wanted.until_ms {
                found.push((number, entry));
            }
        }
        Ok(found)
    }

    /// The entry with this number, unless there is none any more.
    pub fn audit_entry(&self, number: u64) -> Result<Option<AuditEntry>, CustodyError> {
        let keys = &self.0.home.keys;
        let row: Option<AuditRow> = keys.get(&self.0.store, Table::Audit, &entry_key(number))?;
        row.map(|row| decode("audit entry", &row.entry)).transpose()
    }

    /// Whether an entry is about this patient.
    pub fn is_audited_of(&self, patient: &str, number: u64) -> Result<bool, CustodyError> {
        let Some(subject) = self.0.subjects.of_patient(patient)? else {
            return Ok(false);
        };
        let key = subject_key(&subject.id, Some(number));
        Ok(self.0.store.get(Table::Audit, &key)?.is_some())
    }

    fn numbers_of(&self, patient: &str) -> Result<Vec<u64>, CustodyError> {
        let Some(subject) = self.0.subjects.of_patient(patient)? else {
            return Ok(Vec::new());
        };
        let view = self.0.store.view()?;
        let keys = view.keys(Table::Audit, &subject_key(&subject.id, None));
        let numbers = keys.map(|key| {
            let number = key?.last_chunk().copied();
            Ok(u64::from_be_bytes(number.unwrap_or_default()))
        });
        numbers.collect()
    }

    /// The first number whose entry was recorded at or after a time; one more than the last if there is none.
    fn first_from(&self, at: u64) -> Result<u64, CustodyError> {
        let (store, keys) = (&self.0.store, &self.0.home.keys);
        let mut low = floor(store, keys)?.number.saturating_add(1);
        let mut high = head(store, keys)?.number.saturating_add(1);
        while low < high {
            let middle = low.midpoint(high);
            let is_later = match self.audit_entry(middle)? {
                Some(entry) => entry.recorded >= at,
                None => false,
            };
            if is_later {
                high = middle;
            } else {
                low = middle.saturating_add(1);
            }
        }
        Ok(low)
    }

    /// Lets go of entries that were recorded before a time, of which six years have passed; returns how many.
    pub async fn prune_audit(&self, before_ms: u64) -> Result<u64, CustodyError> {
        let now = (self.0.options.clock)();
        if before_ms > now.saturating_sub(RETAINED_MS) {
            return Err(CustodyError::Invalid(Issue::error(
                IssueType::BusinessRule,
                "entries of the audit log are kept for six years",
            )));
        }
        let end = self.first_from(before_ms)?.min(self.may_go_to()?);
        let mut pruned = 0_u64;
        loop {
            let home = self.0.home.clone();
            let gone = move |transaction: &mut crate::custody::store::Transaction<'_>| {
                let keys = &home.keys;
                let floor: Option<LogHead> = keys.get_in(transaction, Table::Audit, FLOOR)?;
                let mut floor = floor.unwrap_or(LogHead::EMPTY);
                let first = floor.number.saturating_add(1);
                let stop = end.min(first.saturating_add(PRUNED_AT_ONCE));
                for number in first..stop {
                    let key = entry_key(number);
                    let row: Option<AuditRow> = keys.get_in(transaction, Table::Audit, &key)?;
                    let row = row.ok_or_else(|| {
                        CustodyError::Storage("an audit entry is gone".to_owned())
                    })?;
                    let entry: AuditEntry = decode("audit entry", &row.entry)?;
                    floor = floor.after(&row.entry, entry.recorded);
                    transaction.remove(Table::Audit, &key);
                }
                keys.put(transaction, Table::Audit, FLOOR, &floor);
                Ok(stop.saturating_sub(first))
            };
            let count = self.0.store.transact(gone).await?;
            pruned = pruned.saturating_add(count);
            if count < PRUNED_AT_ONCE {
                return Ok(pruned);
            }
        }
    }
}

/// Requests to other members that were answered, by the digests of the signed requests.
pub(super) fn answered(held: &Held) -> Result<BTreeSet<Digest>, CustodyError> {
    let mut answered = BTreeSet::new();
    for row in held.view.scan(Table::Audit, b"e") {
        let (key, row) = row?;
        let Ok(row): Result<AuditRow, _> = held.keys.open_row(Table::Audit, &key, &row) else {
            continue;
        };
        let entry: AuditEntry = decode("audit entry", &row.entry)?;
        if entry.interaction == "received" && entry.outcome == AuditOutcome::Done {
            let request = entry.request.as_deref().and_then(Digest::from_hex);
            answered.extend(request);
        }
    }
    Ok(answered)
}
