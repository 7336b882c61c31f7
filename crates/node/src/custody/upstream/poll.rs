//! Asking the existing server what has changed. At first everything that stands there is taken in, type by type, the
//! oldest first; how far that is, is durable.

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use interop::fhir::{IssueType, ResourceType};

use super::found::Taken;
use super::rows::{SET_ASIDE, STATE, SetAside, StateRow};
use super::server::{Content, Found, Listing, Page};
use super::{Upstream, UpstreamError};
use crate::custody::rows::decode;
use crate::custody::store::Table;
use crate::custody::write::invalid;
use crate::custody::{Custody, CustodyError, Inner};

/// What a server may write after something that it wrote later: its clock and its transactions are its own.
const OVERLAP_MS: u64 = 10_000;
/// How far back the first question after taking in goes: clocks differ.
const FIRST_OVERLAP_MS: u64 = 3_600_000;
/// Versions of one question whose contents are kept in memory; those of others are asked for one by one.
const LOADED_MAX: usize = 1_000;
/// Versions that are tried again at once.
const RETRIED_MAX: usize = 10_000;
/// An intent that is older than this when everything was asked for will not be fulfilled any more.
const INTENT_MS: u64 = 5 * 60_000;
/// Between two lines about how far taking in is.
const SAY_EVERY: u64 = 1_000;

/// How a server tells what has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    /// The history of everything.
    System,
    /// The history of each type.
    Types,
    /// Searches by `_lastUpdated`, which show no deletions.
    Searches,
}

/// What a question has brought.
#[derive(Default)]
struct Brought {
    appended: u64,
    /// Whether a patient came, to whom something that was set aside may belong.
    patients: bool,
}

/// Asks again and again until nobody holds the records any more.
pub(in crate::custody) async fn follow(records: Weak<Inner>) {
    let mut means = Means::System;
    let mut is_first = true;
    loop {
        let Some(custody) = records.upgrade().map(Custody) else {
            return;
        };
        let Some(upstream) = custody.0.payloads.upstream().cloned() else {
            return;
        };
        match custody.look(&upstream, &mut means, is_first).await {
            Ok(()) => is_first = false,
            Err(error) => tracing::warn!(%error, "the existing server was not followed this time"),
        }
        drop(custody);
        let pause = upstream.poll;
        // Whoever wakes it does so because of a change: no earlier than the server shows it.
        let woken = async {
            upstream.wake.notified().await;
            tokio::time::sleep(pause.min(Duration::from_secs(1))).await;
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = woken => {}
        }
    }
}

/// Puts versions in the order in which they were written; of one moment, patients come first.
pub(super) fn oldest_first(found: &mut [Found]) {
    found.reverse();
    found.sort_by_key(|one| (one.at_ms, one.resource_type != ResourceType::PATIENT));
}

impl Custody {
    /// What of the existing server could not be recorded.
    pub fn set_aside_versions(&self) -> Result<Vec<SetAside>, CustodyError> {
        let keys = &self.0.home.keys;
        let rows = self.0.store.scan(Table::Upstream, SET_ASIDE);
        rows.map(|row| {
            let (key, row) = row?;
            keys.open_row(Table::Upstream, &key, &row)
        })
        .collect()
    }

    /// Asks once what has changed.
    async fn look(
        &self,
        upstream: &Upstream,
        means: &mut Means,
        is_first: bool,
    ) -> Result<(), CustodyError> {
        let mut state = self.follow_state()?;
        if !state.is_taken {
            upstream.is_taking_in.store(true, Ordering::Relaxed);
            self.take_in(upstream, &mut state).await?;
            upstream.is_taking_in.store(false, Ordering::Relaxed);
        }
        let brought = self.take_changes(upstream, means, &mut state).await?;
        if brought.patients || is_first {
            self.retry(upstream).await?;
        }
        if brought.appended > 0 {
            tracing::info!(
                versions = brought.appended,
                "versions of the existing server were taken in"
            );
        }
        let waiting = self.0.store.scan(Table::Upstream, SET_ASIDE).count();
        let waiting = u64::try_from(waiting).unwrap_or(u64::MAX);
        upstream.set_aside.store(waiting, Ordering::Relaxed);
        self.drop_old_intents().await
    }

    /// Takes in everything that stands at the server, type by type: patients first, for others belong to them.
    async fn take_in(&self, upstream: &Upstream, state: &mut StateRow) -> Result<(), CustodyError> {
        let mut types = types_of(upstream).await?;
        types.sort_by_key(|one| (*one != ResourceType::PATIENT, is_about_others(*one)));
        if state.since == 0 {
            let now = (self.0.options.clock)();
            state.since = now.saturating_sub(FIRST_OVERLAP_MS).max(1);
            self.keep_state(state).await?;
        }
        let (mut taken, mut answered) = (0_u64, !state.taken.is_empty());
        for resource_type in types {
            let name = resource_type.as_str();
            if state.taken.iter().any(|done| done == name) {
                continue;
            }
            answered |= self
                .take_type(upstream, resource_type, (state, &mut taken))
                .await?;
            // It is durable with the next page that holds something: to ask for nothing again costs little.
            state.taken.push(name.to_owned());
            state.taken_until = 0;
        }
        if !answered {
            return Err(UpstreamError::Unsound("it lists no type").into());
        }
        state.is_taken = true;
        state.taken.clear();
        self.keep_state(state).await?;
        tracing::info!(versions = taken, "the existing server is taken in");
        Ok(())
    }

    /// Takes in what stands of a type; false if the server does not list it.
    async fn take_type(
        &self,
        upstream: &Upstream,
        resource_type: ResourceType,
        (state, taken): (&mut StateRow, &mut u64),
    ) -> Result<bool, CustodyError> {
        let mut listing = Listing::Current {
            resource_type,
            since_ms: state.taken_until,
        };
        loop {
            let page = upstream.server.list(&listing).await;
            upstream.note(&page);
            let page = match page {
                Err(error) if is_not_offered(error) => {
                    tracing::warn!(%resource_type, %error, "a type of the existing server is not taken in");
                    return Ok(false);
                }
                page => page?,
            };
            let is_empty = page.found.is_empty();
            for found in page.found {
                state.taken_until = state.taken_until.max(found.at_ms);
                if self.take_alone(upstream, found).await? == Taken::Appended {
                    *taken = taken.saturating_add(1);
                    if taken.is_multiple_of(SAY_EVERY) {
                        tracing::info!(versions = *taken, %resource_type, "taking in the existing server");
                    }
                }
            }
            say_unreadable(page.unreadable);
            if !is_empty {
                self.keep_state(state).await?;
            }
            match page.next {
                Some(next) => listing = Listing::Further(next),
                None => return Ok(true),
            }
        }
    }

    async fn take_changes(
        &self,
        upstream: &Upstream,
        means: &mut Means,
        state: &mut StateRow,
    ) -> Result<Brought, CustodyError> {
        let since_ms = state.since.saturating_sub(OVERLAP_MS);
        let mut all = loop {
            match self.list_changes(upstream, *means, since_ms).await {
                Ok(all) => break all,
                // It does not offer this; it may offer less.
                Err(error) if is_not_offered(error) && *means != Means::Searches => {
                    *means = match means {
                        Means::System => Means::Types,
                        Means::Types | Means::Searches => Means::Searches,
                    };
                    tracing::info!(?means, "the existing server is asked in another way");
                }
                Err(error) => return Err(error.into()),
            }
        };
        oldest_first(&mut all);
        let mut brought = Brought::default();
        let before = state.since;
        for found in all {
            let (at_ms, resource_type) = (found.at_ms, found.resource_type);
            if self.take_alone(upstream, found).await? == Taken::Appended {
                brought.appended = brought.appended.saturating_add(1);
                brought.patients |= resource_type == ResourceType::PATIENT;
            }
            state.since = state.since.max(at_ms);
        }
        if state.since > before {
            self.keep_state(state).await?;
        }
        Ok(brought)
    }

    async fn list_changes(
        &self,
        upstream: &Upstream,
        means: Means,
        since_ms: u64,
    ) -> Result<Vec<Found>, UpstreamError> {
        if means == Means::System {
            return collect(upstream, Listing::System { since_ms }).await;
        }
        let (mut all, mut answered) = (Vec::new(), false);
        for resource_type in types_of(upstream).await? {
            let listing = match means {
                Means::Types => Listing::Type {
                    resource_type,
                    since_ms,
                },
                Means::System | Means::Searches => Listing::Current {
                    resource_type,
                    since_ms,
                },
            };
            match collect(upstream, listing).await {
                // One type may be closed while others are open.
                Err(error) if is_not_offered(error) => {}
                found => {
                    all.extend(found?);
                    answered = true;
                }
            }
        }
        if answered {
            Ok(all)
        } else {
            Err(UpstreamError::Missing)
        }
    }

    /// Takes in a version while nobody else writes its document.
    async fn take_alone(&self, upstream: &Upstream, found: Found) -> Result<Taken, CustodyError> {
        let keys = &self.0.home.keys;
        let document = keys.document(found.resource_type.as_str(), &found.id);
        let guards = upstream.hold(std::iter::once(document)).await;
        let taken = self.take_found(upstream, found).await;
        drop(guards);
        taken
    }

    /// Tries what was set aside once more.
    async fn retry(&self, upstream: &Upstream) -> Result<(), CustodyError> {
        for aside in self.set_aside_versions()?.into_iter().take(RETRIED_MAX) {
            let resource_type = ResourceType::parse(&aside.resource_type)
                .ok_or_else(|| invalid(IssueType::Value, "a row names no type of R4"))?;
            let found = Found {
                resource_type,
                id: aside.id,
                version_id: aside.version_id,
                at_ms: aside.at_ms,
                content: Content::NotLoaded,
            };
            self.take_alone(upstream, found).await?;
        }
        Ok(())
    }

    async fn drop_old_intents(&self) -> Result<(), CustodyError> {
        let now = (self.0.options.clock)();
        let keys = &self.0.home.keys;
        let mut old = Vec::new();
        for row in self.0.store.scan(Table::Upstream, b"i") {
            let (key, row) = row?;
            let intent: super::rows::IntentRow = keys.open_row(Table::Upstream, &key, &row)?;
            if now.saturating_sub(intent.at) > INTENT_MS {
                old.push(key);
            }
        }
        if old.is_empty() {
            return Ok(());
        }
        self.0
            .store
            .transact(move |transaction| {
                for key in &old {
                    transaction.remove(Table::Upstream, key);
                }
                Ok(())
            })
            .await
    }

    fn follow_state(&self) -> Result<StateRow, CustodyError> {
        let row = self.0.store.get(Table::Upstream, STATE)?;
        row.map_or_else(
            || Ok(StateRow::default()),
            |row| decode(Table::Upstream.name(), &row),
        )
    }

    async fn keep_state(&self, state: &StateRow) -> Result<(), CustodyError> {
        let row = ledger::codec::encode(state);
        self.0
            .store
            .transact(move |transaction| {
                transaction.put(Table::Upstream, STATE, row);
                Ok(())
            })
            .await
    }
}

/// The types that concern this node.
async fn types_of(upstream: &Upstream) -> Result<Vec<ResourceType>, UpstreamError> {
    let types = upstream.server.types().await;
    upstream.note(&types);
    let mut types = types?;
    types.retain(|one| *one != ResourceType::SUBSCRIPTION);
    Ok(types)
}

/// Whether the server does not do this at all; that it does not know this node is another matter.
fn is_not_offered(error: UpstreamError) -> bool {
    match error {
        UpstreamError::Missing => true,
        UpstreamError::Refused(status) => status != 401,
        UpstreamError::Unreachable
        | UpstreamError::OutcomeUnknown
        | UpstreamError::Overtaken
        | UpstreamError::Unsound(_) => false,
    }
}

/// All pages of a listing; of many versions only the first are in memory with their contents.
async fn collect(upstream: &Upstream, first: Listing) -> Result<Vec<Found>, UpstreamError> {
    let mut listing = first;
    let mut all = Vec::new();
    loop {
        let page = upstream.server.list(&listing).await;
        upstream.note(&page);
        let Page {
            found,
            unreadable,
            next,
        } = page?;
        say_unreadable(unreadable);
        for mut one in found {
            if all.len() >= LOADED_MAX && matches!(one.content, Content::Is(_)) {
                one.content = Content::NotLoaded;
            }
            all.push(one);
        }
        match next {
            Some(next) => listing = Listing::Further(next),
            None => return Ok(all),
        }
    }
}

fn say_unreadable(entries: u64) {
    if entries > 0 {
        tracing::warn!(
            entries,
            "entries of the existing server name no version of a resource of R4: they are passed over"
        );
    }
}

/// Whether resources of the type belong to whom the resources belong that they are about.
fn is_about_others(resource_type: ResourceType) -> bool {
    matches!(resource_type.as_str(), "Provenance" | "AuditEvent")
}
