//! Makes events: of changes here, of entries of other members that became final, and of accesses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use interop::fhir::search::Query;
use interop::fhir::subscription::Topic;
use ledger::codec;
use node::custody::{Changed, CustodyError, ForeignStream, Requester, ShelfChange};
use uuid::Uuid;

use super::Desk;
use super::book::{Book, Entry};
use super::row::{POSITION, What};
use super::v2;

/// Changes that are looked at in one go.
const CHANGES_AT_ONCE: usize = 128;
/// Accesses of one patient that become events in one go.
const ACCESSES_AT_ONCE: u64 = 64;
/// How long an access waits to be seen at most, and a failure to be tried again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Purposes of use of an emergency.
const EMERGENCY: [&str; 2] = ["BTG", "ETREAT"];

pub(super) async fn run(desk: Arc<Desk>) {
    let mut changes = desk.custody.watch_changes();
    let mut tips = desk.ledger.subscribe();
    let mut again = tokio::time::interval(LOOK_AGAIN);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        match look(&desk).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "events wait: they cannot be made now");
                again.tick().await;
            }
        }
        let is_open = tokio::select! {
            changed = changes.changed() => changed.is_ok(),
            changed = tips.changed() => changed.is_ok(),
            _ = again.tick() => true,
        };
        if !is_open {
            return;
        }
    }
}

/// Makes the events that are due; says whether there may be more at once.
async fn look(desk: &Desk) -> Result<bool, CustodyError> {
    let mut book = desk.book().await?;
    let now = desk.now();
    if !book.entries.values().any(|entry| entry.is_on(now)) {
        // Whoever subscribes later hears of what comes later.
        book.position = desk.custody.newest_change();
        return Ok(false);
    }
    match make(desk, &mut book, now).await {
        Ok(more) => Ok(more),
        Err(error) => {
            // What is in memory may be ahead of the disk.
            book.reload(&desk.custody, &desk.member)?;
            Err(error)
        }
    }
}

async fn make(desk: &Desk, book: &mut Book, now: u64) -> Result<bool, CustodyError> {
    let changes = desk.custody.changes(book.position, CHANGES_AT_ONCE)?;
    let mut writes = Vec::new();
    for change in &changes {
        of_change(desk, book, change, now, &mut writes).await?;
        book.position = change.number;
    }
    for (id, entry) in &mut book.entries {
        if entry.is_on(now) {
            of_streams(desk, *id, entry, now, &mut writes).await?;
        }
    }
    if changes.is_empty() && writes.is_empty() {
        return Ok(false);
    }
    writes.push((POSITION.to_vec(), Some(codec::encode(&book.position))));
    desk.save(writes).await?;
    desk.due.notify_one();
    Ok(changes.len() == CHANGES_AT_ONCE)
}

async fn of_change(
    desk: &Desk,
    book: &mut Book,
    change: &Changed,
    now: u64,
    writes: &mut Vec<ShelfChange>,
) -> Result<(), CustodyError> {
    for (id, entry) in &mut book.entries {
        if !entry.is_on(now) {
            continue;
        }
        let Some(filters) = entry.filters_for(change) else {
            continue;
        };
        let concerns = match concerns(desk, entry, change, &filters).await {
            Ok(concerns) => concerns,
            // One damaged record does not keep all subscribers waiting.
            Err(CustodyError::Storage(_) | CustodyError::DamagedBlob(_)) => {
                tracing::error!("a change cannot be read: nobody is told of it");
                false
            }
            Err(error) => return Err(error),
        };
        if concerns {
            let what = What::Change {
                resource_type: change.resource_type.as_str().to_owned(),
                id: change.id.clone(),
                version: change.version,
                effect: change.effect.into(),
            };
            entry.push(*id, change.recorded_at_ms, what, writes);
            writes.push(entry.saved(*id));
        }
    }
    Ok(())
}

/// Whether a subscriber is to hear of a change.
async fn concerns(
    desk: &Desk,
    entry: &Entry,
    change: &Changed,
    filters: &[Query],
) -> Result<bool, CustodyError> {
    let channel = &entry.asked.channel;
    Ok(desk.custody.concerns(&entry.by, change, filters).await?
        && !v2::came_from_there(desk, channel, change).await?)
}

/// Looks for what is new in the streams of the subscription's patients.
async fn of_streams(
    desk: &Desk,
    id: Uuid,
    entry: &mut Entry,
    now: u64,
    writes: &mut Vec<ShelfChange>,
) -> Result<(), CustodyError> {
    let before = entry.row.streams.clone();
    for patient in entry.patients() {
        let topic = entry.asked.topic;
        if topic.is_the_patients() && entry.by.patient.is_some() {
            of_accesses(desk, id, entry, &patient, writes)?;
        }
        of_foreign(desk, id, entry, (&patient, now), writes).await?;
    }
    if entry.row.streams != before {
        writes.push(entry.saved(id));
    }
    Ok(())
}

fn of_accesses(
    desk: &Desk,
    id: Uuid,
    entry: &mut Entry,
    patient: &str,
    writes: &mut Vec<ShelfChange>,
) -> Result<(), CustodyError> {
    let last = desk.custody.last_access(patient)?;
    let known = known(entry, patient, None).unwrap_or(last);
    let until = last.min(known.saturating_add(ACCESSES_AT_ONCE));
    for position in known.saturating_add(1)..=until {
        let Some(access) = desk.custody.access_at(patient, position)? else {
            continue;
        };
        let is_emergency = EMERGENCY.contains(&access.purpose.as_str());
        let is_own = access.principal == format!("Patient/{patient}");
        if is_own || (entry.asked.topic == Topic::BreakGlass && !is_emergency) {
            continue;
        }
        let what = What::Access {
            patient: patient.to_owned(),
            position,
        };
        entry.push(id, access.at, what, writes);
    }
    entry.know(patient, None, until);
    Ok(())
}

async fn of_foreign(
    desk: &Desk,
    id: Uuid,
    entry: &mut Entry,
    (patient, now): (&str, u64),
    writes: &mut Vec<ShelfChange>,
) -> Result<(), CustodyError> {
    let streams = entry.row.streams.iter();
    let known: BTreeMap<String, u64> = streams
        .filter(|one| one.patient == patient)
        .filter_map(|one| Some((one.branch.clone()?, one.position)))
        .collect();
    let found = desk.custody.foreign_entries(patient, &known)?;
    for one in &found {
        let is_topic = matches!(
            (entry.asked.topic, one.stream),
            (Topic::RecordElsewhere, ForeignStream::Records)
                | (Topic::Consent, ForeignStream::Consents)
                | (Topic::Access, ForeignStream::Accesses)
        );
        if is_topic && may_follow(desk, &entry.by, patient).await? {
            let what = What::Foreign {
                patient: patient.to_owned(),
                member: one.member.to_string(),
            };
            entry.push(id, now, what, writes);
        }
        entry.know(patient, Some(&one.branch), one.position);
    }
    // Branches that the patient granted since.
    if found.is_empty() && desk.custody.foreign_branches(patient)? > known.len() {
        for (branch, position) in desk.custody.foreign_positions(patient)? {
            if !known.contains_key(&branch) {
                entry.know(patient, Some(&branch), position);
            }
        }
    }
    Ok(())
}

async fn may_follow(desk: &Desk, by: &Requester, patient: &str) -> Result<bool, CustodyError> {
    desk.custody.may_follow(by, patient).await
}

fn known(entry: &Entry, patient: &str, branch: Option<&str>) -> Option<u64> {
    let mut streams = entry.row.streams.iter();
    let found = streams.find(|one| one.patient == patient && one.branch.as_deref() == branch);
    found.map(|one| one.position)
}
