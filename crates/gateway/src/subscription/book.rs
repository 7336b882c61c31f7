//! All subscriptions of this node, in memory as they are on disk.

use std::collections::{BTreeMap, BTreeSet};

use interop::fhir::search::{Handling, Query};
use interop::fhir::subscription::{Channel, Subscription, Topic};
use interop::fhir::{ParseLimits, Resource, ResourceType};
use ledger::codec;
use ledger::ids::MemberName;
use node::custody::{Changed, Custody, CustodyError, Requester, Shelf, ShelfChange, is_review};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::row::{
    EventRow, POSITION, SUBSCRIPTIONS, State, StreamRow, SubscriptionRow, What, dead_key,
    event_key, events_of, read, subscription_key,
};
use super::websocket::Outgoing;
use crate::auth::{Permission, Scopes};
use crate::http::pairs_of;

/// Subscriptions of a node at most.
const SUBSCRIPTIONS_MAX: usize = 10_000;
/// Events that are kept of each for catching up.
pub(super) const EVENTS_KEPT: u64 = 1_000;
/// Events that wait for a receiver of HL7 v2 at most: nobody else knows of them.
const WAITING_MAX: u64 = 100_000;
/// Patients of one subscription at most.
const PATIENTS_MAX: usize = 100;

/// A subscription with what follows from it.
pub(super) struct Entry {
    pub(super) row: SubscriptionRow,
    pub(super) asked: Subscription,
    pub(super) by: Requester,
    pub(super) scopes: Scopes,
    queries: Vec<Query>,
    /// Whether a notification is on its way.
    pub(super) is_busy: bool,
    /// When it had its turn last: who waits longest goes first.
    pub(super) tried_at: Option<Instant>,
    /// Something was sent last, or this was read from disk.
    pub(super) sent_at: Instant,
    /// No attempt before this.
    pub(super) not_before: Option<Instant>,
    /// The connection that was bound last.
    pub(super) socket: Option<mpsc::Sender<Outgoing>>,
}

/// Why a subscription cannot be had.
pub(super) enum Unusable {
    Filter,
    /// A filter has to name the patient.
    Patient,
}

/// The subscriptions, and how far the change feed was looked at.
pub(super) struct Book {
    pub(super) position: u64,
    pub(super) entries: BTreeMap<Uuid, Entry>,
}

impl Entry {
    pub(super) fn of(
        row: SubscriptionRow,
        asked: Subscription,
        member: &MemberName,
    ) -> Result<Self, Unusable> {
        let mut queries = Vec::new();
        for filter in &asked.filters {
            let pairs: Vec<_> = pairs_of(&filter.query).collect();
            let query = Query::parse(filter.resource_type, &pairs, Handling::Strict);
            queries.push(query.map_err(|_| Unusable::Filter)?);
        }
        let scopes = row.by.scopes().map_err(|_| Unusable::Filter)?;
        let entry = Self {
            by: row.by.requester(member),
            scopes,
            row,
            asked,
            queries,
            is_busy: false,
            tried_at: None,
            sent_at: Instant::now(),
            not_before: None,
            socket: None,
        };
        let patients = entry.patients();
        let needs_patient = matches!(entry.asked.topic, Topic::RecordElsewhere);
        if patients.len() > PATIENTS_MAX || (needs_patient && patients.is_empty()) {
            return Err(Unusable::Patient);
        }
        Ok(entry)
    }

    /// The patients whose streams it follows: its own, or those that its filters name.
    pub(super) fn patients(&self) -> BTreeSet<String> {
        if self.asked.topic == Topic::Record {
            return BTreeSet::new();
        }
        if let Some(own) = &self.by.patient {
            return BTreeSet::from([own.clone()]);
        }
        let mut named = BTreeSet::new();
        let filters = self.asked.filters.iter();
        for filter in filters.filter(|filter| filter.resource_type == ResourceType::PATIENT) {
            for (name, value) in pairs_of(&filter.query) {
                if name == "_id" {
                    named.extend(value.split(',').map(str::to_owned));
                }
            }
        }
        named
    }

    /// Whether events are made for it.
    pub(super) fn is_on(&self, now: u64) -> bool {
        let ends = self.asked.end_ms.and_then(|end| u64::try_from(end).ok());
        let is_told = matches!(self.row.state, State::Active | State::Error);
        is_told && self.row.is_confirmed && ends.is_none_or(|end| now < end)
    }

    /// The filters that a change has to match; `None` if it is not one that this is about.
    pub(super) fn filters_for(&self, change: &Changed) -> Option<Vec<Query>> {
        let kind = change.resource_type;
        let is_topic = match self.asked.topic {
            Topic::Record => true,
            Topic::Consent => kind == ResourceType::CONSENT,
            Topic::BreakGlass => self.by.patient.is_none() && is_review(kind, &change.id),
            Topic::RecordElsewhere | Topic::Access => false,
        };
        if !is_topic
            || change.number <= self.row.since
            || !self.scopes.permit(kind, Permission::Read)
        {
            return None;
        }
        let of_kind: Vec<Query> = self
            .queries
            .iter()
            .filter(|query| query.resource_type() == Some(kind))
            .cloned()
            .collect();
        let others = self.queries.iter().any(|query| {
            query.resource_type() != Some(kind)
                && (self.asked.topic == Topic::Record
                    || query.resource_type() != Some(ResourceType::PATIENT))
        });
        (!of_kind.is_empty() || !others).then_some(of_kind)
    }

    /// Makes the next event; what was kept longest goes, but what a receiver of HL7 v2 still has to get. A subscriber that takes
    /// none is told nothing more.
    pub(super) fn push(&mut self, id: Uuid, at: u64, what: What, writes: &mut Vec<ShelfChange>) {
        let number = self.row.events.saturating_add(1);
        let oldest = number.saturating_sub(EVENTS_KEPT);
        let waiting = number.saturating_sub(self.row.delivered);
        let is_lost = match self.asked.channel {
            Channel::RestHook { .. } => oldest > self.row.delivered,
            Channel::Message { .. } => waiting > WAITING_MAX,
            Channel::WebSocket => false,
        };
        if is_lost {
            self.row.state = State::Off;
            self.row.error = Some("the subscriber is too far behind".to_owned());
            return;
        }
        if matches!(self.asked.channel, Channel::WebSocket) {
            // Who is not connected catches up from what is kept.
            self.row.delivered = self.row.delivered.max(oldest);
        }
        self.row.events = number;
        let event = EventRow { number, at, what };
        writes.push((event_key(id, number), Some(codec::encode(&event))));
        if oldest > 0 && oldest <= self.row.delivered {
            writes.push((event_key(id, oldest), None));
        }
    }

    /// What removes those of some events that are delivered and older than what is kept.
    pub(super) fn outlived(&self, id: Uuid, (after, until): (u64, u64)) -> Vec<ShelfChange> {
        let oldest = self.row.events.saturating_sub(EVENTS_KEPT);
        let until = until.min(oldest).min(self.row.delivered);
        let numbers = after.saturating_add(1)..=until;
        numbers
            .map(|number| (event_key(id, number), None))
            .collect()
    }

    /// How far a stream was looked at.
    pub(super) fn know(&mut self, patient: &str, branch: Option<&str>, position: u64) {
        let streams = &mut self.row.streams;
        let known = streams
            .iter_mut()
            .find(|one| one.patient == patient && one.branch.as_deref() == branch);
        match known {
            Some(known) => known.position = position,
            None => streams.push(StreamRow {
                patient: patient.to_owned(),
                branch: branch.map(str::to_owned),
                position,
            }),
        }
    }

    pub(super) fn saved(&self, id: Uuid) -> ShelfChange {
        (subscription_key(id), Some(codec::encode(&self.row)))
    }
}

impl Book {
    /// What is on disk. A row that cannot be used any more stays, and is passed over.
    pub(super) fn load(custody: &Custody, member: &MemberName) -> Result<Self, CustodyError> {
        let position = match custody.shelved(Shelf::Subscriptions, POSITION)? {
            Some(position) => read(&position)?,
            None => custody.newest_change(),
        };
        let mut entries = BTreeMap::new();
        let rows = custody.shelved_under(Shelf::Subscriptions, SUBSCRIPTIONS, SUBSCRIPTIONS_MAX)?;
        for (key, row) in rows {
            let id = key.get(1..).and_then(|id| Uuid::from_slice(id).ok());
            let row: SubscriptionRow = read(&row)?;
            let resource = Resource::parse(&row.resource, &ParseLimits::default()).ok();
            let asked = resource.and_then(|resource| Subscription::read(&resource).ok());
            let entry = asked.and_then(|asked| Entry::of(row, asked, member).ok());
            match id.zip(entry) {
                Some((id, entry)) => {
                    entries.insert(id, entry);
                }
                None => tracing::error!("a stored subscription cannot be used"),
            }
        }
        Ok(Self { position, entries })
    }

    /// Reads again what is on disk; who is connected stays so.
    pub(super) fn reload(
        &mut self,
        custody: &Custody,
        member: &MemberName,
    ) -> Result<(), CustodyError> {
        let mut fresh = Self::load(custody, member)?;
        for (id, entry) in &mut fresh.entries {
            if let Some(old) = self.entries.remove(id) {
                entry.is_busy = old.is_busy;
                entry.tried_at = old.tried_at;
                entry.sent_at = old.sent_at;
                entry.not_before = old.not_before;
                entry.socket = old.socket;
            }
        }
        *self = fresh;
        Ok(())
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= SUBSCRIPTIONS_MAX
    }

    /// What removes a subscription with all that belongs to it.
    pub(super) fn removal(custody: &Custody, id: Uuid) -> Result<Vec<ShelfChange>, CustodyError> {
        let mut writes = vec![(subscription_key(id), None)];
        for prefix in [events_of(id), super::row::dead_of(id)] {
            let rows = custody.shelved_under(Shelf::Subscriptions, &prefix, usize::MAX)?;
            writes.extend(rows.into_iter().map(|(key, _)| (key, None)));
        }
        Ok(writes)
    }

    /// Events of a subscription with these numbers, the oldest first.
    pub(super) fn events(
        custody: &Custody,
        id: Uuid,
        numbers: impl Iterator<Item = u64>,
    ) -> Result<Vec<EventRow>, CustodyError> {
        let mut events = Vec::new();
        for number in numbers {
            let row = custody.shelved(Shelf::Subscriptions, &event_key(id, number))?;
            if let Some(row) = row {
                events.push(read(&row)?);
            }
        }
        Ok(events)
    }

    /// What gives up events.
    pub(super) fn bury(id: Uuid, events: &[EventRow]) -> Vec<ShelfChange> {
        let dead = |event: &EventRow| (dead_key(id, event.number), Some(codec::encode(event)));
        events.iter().map(dead).collect()
    }
}
