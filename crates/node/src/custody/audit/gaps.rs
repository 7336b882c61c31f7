//! Whether the audit log is complete: what the ledger has, what is stored and what the log says are held against each
//! other, and what is missing is named.

use std::collections::BTreeSet;

use interop::fhir::audit::AuditEntry;
use ledger::ids::{Digest, Tag};

use super::held::{Entry, Held};
use super::{AuditRow, FLOOR, HEAD, HEAD_INTERACTION, LogHead, entry_key, event_digest};
use crate::custody::CustodyError;
use crate::custody::access::AccessDraft;
use crate::custody::rows::{ChangeRow, decode};
use crate::custody::store::{Table, sequence};
use crate::custody::subject::Subject;

/// What is missing, or is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GapKind {
    /// The ledger has an item for which there is no entry.
    EntryMissing,
    /// An entry cannot be opened.
    EntryUnreadable,
    /// An entry's item is neither on the ledger nor on its way.
    ItemMissing,
    /// The ledger's item commits to another entry.
    ItemDiffers,
    /// An entry names an event that is not in the log.
    EventMissing,
    /// An event in the log says that an entry names it, and none does.
    EventNotEntered,
    /// A number of the log has no event.
    NumberMissing,
    /// An event of the log cannot be opened.
    EventUnreadable,
    /// The log was another one when the next event was put into it.
    ChainBroken,
    /// The log is not the one whose head the ledger has.
    HeadDiffers,
    /// A version was written, and no event says so.
    ChangeWithoutEvent,
}

impl GapKind {
    /// The word for it in machine-readable reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::EntryMissing => "entry-missing",
            Self::EntryUnreadable => "entry-unreadable",
            Self::ItemMissing => "item-missing",
            Self::ItemDiffers => "item-differs",
            Self::EventMissing => "event-missing",
            Self::EventNotEntered => "event-not-entered",
            Self::NumberMissing => "number-missing",
            Self::EventUnreadable => "event-unreadable",
            Self::ChainBroken => "chain-broken",
            Self::HeadDiffers => "head-differs",
            Self::ChangeWithoutEvent => "change-without-event",
        }
    }
}

/// One gap, and where it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Gap {
    /// What is wrong.
    pub kind: GapKind,
    /// The patient's local id, if it is in a patient's access stream.
    pub patient: Option<String>,
    /// The position in the access stream.
    pub position: Option<u64>,
    /// The number in the log.
    pub number: Option<u64>,
    /// The version that was written, as `Type/id/_history/version`.
    pub version: Option<String>,
}

impl std::fmt::Debug for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gap({})", self.kind.name())
    }
}

/// What was gone over, and what is missing.
#[derive(Debug, Clone, Default)]
pub struct GapReport {
    /// Access entries that are as the ledger has them.
    pub anchored: u64,
    /// Access entries on their way to the ledger.
    pub waiting: u64,
    /// Requests in entries of releases without a log.
    pub before_log: u64,
    /// Events in the log.
    pub events: u64,
    /// The last event that an item of the ledger covers.
    pub covered: u64,
    /// What is missing.
    pub gaps: Vec<Gap>,
}

/// Digests of events, and the heads of the log, that entries name.
#[derive(Default)]
struct Named {
    events: Vec<(Digest, Option<String>, u64)>,
    heads: Vec<(u64, Digest, u64)>,
}

struct Walk<'a> {
    held: &'a Held,
    report: GapReport,
    waiting: BTreeSet<Tag>,
    named: Named,
}

/// Goes over everything; `progress` is told how many entries and events are done.
pub fn gaps(held: &Held, mut progress: impl FnMut(u64)) -> Result<GapReport, CustodyError> {
    let mut walk = Walk {
        held,
        report: GapReport::default(),
        waiting: held.waiting()?,
        named: Named::default(),
    };
    let mut done = 0_u64;
    for subject in held.owners()?.into_values() {
        let entries = held.entries(&subject.id)?;
        done = done.saturating_add(entries.len() as u64);
        walk.stream(&subject, entries)?;
        progress(done);
    }
    let pending = walk.pending();
    let log = walk.log(|events| progress(done.saturating_add(events)))?;
    walk.compare(&pending, &log);
    walk.changes(&log)?;
    walk.report.gaps.sort_by_key(|gap| (gap.kind, gap.number));
    Ok(walk.report)
}

/// What the log holds.
#[derive(Default)]
struct Log {
    events: BTreeSet<Digest>,
    /// Events that an entry has to name, with their numbers.
    entered: Vec<(u64, Digest)>,
    /// The log after each event whose number an anchored head has.
    links: std::collections::BTreeMap<u64, Digest>,
    /// Versions whose writing is in the log.
    written: BTreeSet<String>,
    /// When the first event was recorded.
    since: Option<u64>,
    floor: u64,
}

impl Walk<'_> {
    fn gap(&mut self, kind: GapKind, patient: Option<&String>, position: Option<u64>) {
        self.report.gaps.push(Gap {
            kind,
            patient: patient.cloned(),
            position,
            number: None,
            version: None,
        });
    }

    fn numbered(&mut self, kind: GapKind, number: u64) {
        self.report.gaps.push(Gap {
            kind,
            patient: None,
            position: None,
            number: Some(number),
            version: None,
        });
    }

    /// One subject's access stream: each position on the ledger has its entry, and each entry its item.
    fn stream(&mut self, subject: &Subject, entries: Vec<Entry>) -> Result<(), CustodyError> {
        let patient = subject.patient_id.as_ref();
        let mut next = 1_u64;
        for entry in entries {
            for position in next..entry.position {
                self.gap(GapKind::EntryMissing, patient, Some(position));
            }
            next = entry.position.saturating_add(1);
            self.entry(subject, entry)?;
        }
        let on_ledger = |position| self.held.item(Held::access_tag(subject, position)?);
        let mut missing = Vec::new();
        while on_ledger(next)?.is_some() || self.waiting.contains(&Held::access_tag(subject, next)?)
        {
            missing.push(next);
            next = next.saturating_add(1);
        }
        for position in missing {
            self.gap(GapKind::EntryMissing, patient, Some(position));
        }
        Ok(())
    }

    fn entry(&mut self, subject: &Subject, entry: Entry) -> Result<(), CustodyError> {
        let (patient, position) = (subject.patient_id.as_ref(), entry.position);
        let Some(stored) = entry.stored else {
            self.gap(GapKind::EntryUnreadable, patient, Some(position));
            return Ok(());
        };
        let tag = Held::access_tag(subject, position)?;
        let digest = Digest::of(&stored.descriptor);
        let (network, member) = (self.held.anchor.network(), &self.held.member);
        match self.held.item(tag)? {
            Some(item) if item.opens_to(network, member, &stored.opening, digest) => {
                self.report.anchored += 1;
            }
            Some(_) => self.gap(GapKind::ItemDiffers, patient, Some(position)),
            None if self.waiting.contains(&tag) => self.report.waiting += 1,
            None => self.gap(GapKind::ItemMissing, patient, Some(position)),
        }
        if stored.access.interaction == HEAD_INTERACTION && patient.is_none() {
            let number = stored.access.target.parse().unwrap_or(0);
            let link = stored.access.audit.unwrap_or(Digest([0; 32]));
            self.named.heads.push((number, link, position));
            return Ok(());
        }
        for access in stored.access.each() {
            match access.audit {
                Some(digest) => {
                    let named = (digest, subject.patient_id.clone(), position);
                    self.named.events.push(named);
                }
                None => self.report.before_log += 1,
            }
        }
        Ok(())
    }

    /// Events of requests that are put down and in no entry yet.
    fn pending(&mut self) -> BTreeSet<Digest> {
        let mut pending = BTreeSet::new();
        for row in self.held.view.scan(Table::Pending, &[]) {
            let Ok((key, row)) = row else { continue };
            let draft = self.held.keys.open_row(Table::Pending, &key, &row);
            let draft: Option<AccessDraft> = draft.ok();
            pending.extend(draft.and_then(|draft| draft.audit));
        }
        pending
    }

    /// The log: numbers without gaps, each event after the one before.
    fn log(&mut self, mut progress: impl FnMut(u64)) -> Result<Log, CustodyError> {
        let floor = self.head_at(FLOOR)?;
        let last = self.head_at(HEAD)?;
        let heads: BTreeSet<u64> = self
            .named
            .heads
            .iter()
            .map(|(number, ..)| *number)
            .collect();
        let mut log = Log {
            floor: floor.number,
            ..Log::default()
        };
        let mut before = Some(floor);
        let mut rows = self.held.view.scan(Table::Audit, b"e").peekable();
        let mut number = floor.number;
        while number < last.number || rows.peek().is_some() {
            number = number.saturating_add(1);
            progress(number.saturating_sub(floor.number));
            let key = entry_key(number);
            let found = rows.next_if(|row| matches!(row, Ok((at, _)) if **at == key));
            let Some(found) = found else {
                if number > last.number {
                    break;
                }
                self.numbered(GapKind::NumberMissing, number);
                before = None;
                continue;
            };
            let (key, row) = found?;
            let row: Option<AuditRow> = self.held.keys.open_row(Table::Audit, &key, &row).ok();
            let entry = row.and_then(|row| {
                let entry: AuditEntry = decode("audit entry", &row.entry).ok()?;
                Some((row, entry))
            });
            let Some((row, entry)) = entry else {
                self.numbered(GapKind::EventUnreadable, number);
                before = None;
                continue;
            };
            if before.is_some_and(|before| before.link != row.before) {
                self.numbered(GapKind::ChainBroken, number);
            }
            let from = LogHead {
                number: number.saturating_sub(1),
                link: row.before,
                recorded: 0,
            };
            let after = from.after(&row.entry, entry.recorded);
            before = Some(after);
            if heads.contains(&number) {
                log.links.insert(number, after.link);
            }
            log.note(number, event_digest(&row.entry), entry);
            self.report.events += 1;
        }
        if before.is_some_and(|before| before.link != last.link) {
            self.numbered(GapKind::HeadDiffers, last.number);
        }
        Ok(log)
    }

    fn head_at(&mut self, key: &[u8]) -> Result<LogHead, CustodyError> {
        let rows = self.held.view.get_all(Table::Audit, &[key])?;
        let row = rows.into_iter().next().flatten();
        let Some(row) = row else {
            return Ok(LogHead::EMPTY);
        };
        self.held.keys.open_row(Table::Audit, key, &row)
    }

    fn compare(&mut self, pending: &BTreeSet<Digest>, log: &Log) {
        let named = std::mem::take(&mut self.named);
        let mut entered = pending.clone();
        for (digest, patient, position) in named.events {
            entered.insert(digest);
            // What was let go of after its time is missed by nobody.
            if !log.events.contains(&digest) && log.floor == 0 {
                self.gap(GapKind::EventMissing, patient.as_ref(), Some(position));
            }
        }
        for (number, digest) in &log.entered {
            if !entered.contains(digest) {
                self.numbered(GapKind::EventNotEntered, *number);
            }
        }
        for (number, link, _) in named.heads {
            if number <= log.floor {
                continue;
            }
            if log.links.get(&number) == Some(&link) {
                self.report.covered = self.report.covered.max(number);
            } else {
                self.numbered(GapKind::HeadDiffers, number);
            }
        }
    }

    /// Each version that was written since the log began has its event.
    fn changes(&mut self, log: &Log) -> Result<(), CustodyError> {
        let Some(since) = log.since else {
            return Ok(());
        };
        for row in self.held.view.scan(Table::Changes, &[]) {
            let (key, row) = row?;
            if sequence(&key).is_ok_and(|number| number == 0) {
                continue;
            }
            let change = self.held.keys.open_row(Table::Changes, &key, &row);
            let Ok(change): Result<ChangeRow, _> = change else {
                continue;
            };
            let (kind, id, version) = (change.resource_type, change.id, change.version);
            let named = format!("{kind}/{id}/_history/{version}");
            if change.recorded_at >= since && !log.written.contains(&named) {
                self.report.gaps.push(Gap {
                    kind: GapKind::ChangeWithoutEvent,
                    patient: None,
                    position: None,
                    number: None,
                    version: Some(named),
                });
            }
        }
        Ok(())
    }
}

impl Log {
    fn note(&mut self, number: u64, digest: Digest, entry: AuditEntry) {
        self.since.get_or_insert(entry.recorded);
        self.events.insert(digest);
        if entry.is_entered {
            self.entered.push((number, digest));
        } else {
            self.written.extend(entry.documents);
        }
    }
}
