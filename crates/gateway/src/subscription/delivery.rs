//! Takes events to subscribers, again and again until they are taken or given up.

use std::sync::Arc;
use std::time::Duration;

use interop::fhir::subscription::{Channel, Content, Event, Kind, Subscription, notification};
use node::custody::{CustodyError, Requester};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::Desk;
use super::book::{Book, Entry};
use super::present::{self, Said};
use super::rest_hook::NotTaken;
use super::row::{EventRow, State};
use super::v2;
use super::websocket::Outgoing;
use crate::http::backoff;
use crate::mllp::Turn;

/// Notifications that are on their way at once, besides one message to each receiver of HL7 v2.
const UNDER_WAY_MAX: usize = 32;
/// Events of one notification, if the subscriber does not say.
const EVENTS_MAX: u64 = 20;
/// Events that may be given up before the subscription is off.
const DEAD_MAX: u64 = 10_000;
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const SOCKET_TIMEOUT: Duration = Duration::from_secs(10);

/// What is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Handshake,
    Heartbeat,
    /// The events after the first number, up to the second.
    Events(u64, u64),
}

/// What is needed to send it.
struct Parcel {
    id: Uuid,
    /// Of the subscription; what its client changes meanwhile is not judged by this.
    version: u64,
    due: Due,
    by: Requester,
    asked: Subscription,
    said: Said,
    socket: Option<mpsc::Sender<Outgoing>>,
    leave: Leave,
}

/// What allows it to go now; it ends with the attempt.
enum Leave {
    /// A receiver of HL7 v2 takes one message at a time. One that is away holds up nobody else.
    Turn(Turn),
    OneOfMany(OwnedSemaphorePermit),
}

pub(super) async fn run(desk: Arc<Desk>) {
    let mut under_way = JoinSet::new();
    let many = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    loop {
        match collect(&desk, &many).await {
            Ok(parcels) => {
                for parcel in parcels {
                    under_way.spawn(deliver(Arc::clone(&desk), parcel));
                }
            }
            Err(error) => tracing::warn!(%error, "subscriptions cannot be read"),
        }
        tokio::select! {
            () = desk.due.notified() => {}
            _ = under_way.join_next(), if !under_way.is_empty() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

async fn collect(desk: &Desk, many: &Arc<Semaphore>) -> Result<Vec<Parcel>, CustodyError> {
    let mut book = desk.book().await?;
    let (clock, now) = (desk.now(), Instant::now());
    let entries = book.entries.iter_mut();
    let mut all_due: Vec<_> = entries
        .filter_map(|(id, entry)| Some((due(entry, clock, now)?, id, entry)))
        .collect();
    all_due.sort_by_key(|(_, _, entry)| entry.tried_at);
    let mut parcels = Vec::new();
    for (due, id, entry) in all_due {
        let Some(leave) = leave(desk, &entry.asked.channel, due, (many, now)) else {
            continue;
        };
        entry.is_busy = true;
        entry.tried_at = Some(now);
        parcels.push(Parcel {
            id: *id,
            version: entry.row.version,
            due,
            by: entry.by.clone(),
            asked: entry.asked.clone(),
            said: Said::of(desk, *id, entry),
            socket: entry.socket.clone(),
            leave,
        });
    }
    Ok(parcels)
}

fn leave(
    desk: &Desk,
    channel: &Channel,
    due: Due,
    (many, now): (&Arc<Semaphore>, Instant),
) -> Option<Leave> {
    if let (Channel::Message { receiver }, Due::Events(..)) = (channel, due)
        && let Some(destination) = desk.destinations.get(receiver)
    {
        return destination.turn(now).map(Leave::Turn);
    }
    let permit = Arc::clone(many).try_acquire_owned().ok()?;
    Some(Leave::OneOfMany(permit))
}

fn due(entry: &Entry, clock: u64, now: Instant) -> Option<Due> {
    if entry.is_busy || entry.not_before.is_some_and(|then| now < then) {
        return None;
    }
    let row = &entry.row;
    let is_there = match entry.asked.channel {
        Channel::RestHook { .. } | Channel::Message { .. } => true,
        Channel::WebSocket => entry.socket.is_some(),
    };
    if !is_there || row.state == State::Off {
        return None;
    }
    if !row.is_confirmed {
        return Some(Due::Handshake);
    }
    if row.events > row.delivered {
        let max = match entry.asked.channel {
            // What a receiver does not take is one message.
            Channel::Message { .. } => 1,
            _ => entry.asked.events_max.unwrap_or(EVENTS_MAX).min(EVENTS_MAX),
        };
        let until = row.events.min(row.delivered.saturating_add(max));
        return Some(Due::Events(row.delivered, until));
    }
    let silence = now.saturating_duration_since(entry.sent_at);
    let heartbeat = entry.asked.heartbeat_seconds.map(Duration::from_secs);
    let is_silent = heartbeat.is_some_and(|period| silence >= period);
    (is_silent && entry.is_on(clock)).then_some(Due::Heartbeat)
}

async fn deliver(desk: Arc<Desk>, parcel: Parcel) {
    let (id, version, due) = (parcel.id, parcel.version, parcel.due);
    let outcome = send(&desk, parcel).await;
    let settled = match outcome {
        Ok(taken) => settle(&desk, (id, version), due, taken).await,
        // The events cannot be read now; that is not the subscriber's fault.
        Err(error) => Err(error),
    };
    if let Err(error) = settled {
        tracing::warn!(%error, "a notification waits");
        if let Ok(mut book) = desk.book().await
            && let Some(entry) = book.entries.get_mut(&id)
        {
            entry.is_busy = false;
            entry.not_before = Instant::now().checked_add(desk.config.pause);
        }
    }
    desk.due.notify_one();
}

async fn send(desk: &Desk, parcel: Parcel) -> Result<Result<(), NotTaken>, CustodyError> {
    let Parcel {
        id,
        due,
        by,
        version: _,
        asked,
        said,
        socket,
        leave,
    } = parcel;
    let rows = match due {
        Due::Events(after, until) => {
            Book::events(&desk.custody, id, after.saturating_add(1)..=until)?
        }
        Due::Handshake | Due::Heartbeat => Vec::new(),
    };
    if matches!(asked.channel, Channel::RestHook { ref endpoint, .. } if !desk.rest_hooks.permits(endpoint))
    {
        // Nothing is opened for a notification that cannot leave.
        return Ok(Err(NotTaken::NotAllowed));
    }
    let _permit = match leave {
        Leave::Turn(mut turn) => return v2::send(desk, (id, &by), &mut turn, &rows).await,
        Leave::OneOfMany(permit) => permit,
    };
    if let Channel::Message { receiver } = &asked.channel {
        // Nothing is sent but events; those of a receiver that is no longer configured are not.
        let is_known = desk.destinations.contains_key(receiver);
        return Ok(is_known.then_some(()).ok_or(NotTaken::NotAllowed));
    }
    let events = present::events(desk, &by, asked.content, &rows).await?;
    let (kind, said) = match due {
        Due::Handshake => (Kind::Handshake, said),
        Due::Heartbeat => (Kind::Heartbeat, said),
        Due::Events(..) => (Kind::Events, said.taken()),
    };
    let body = body(desk, kind, &said, asked.content, &events);
    Ok(post(desk, &asked, socket, body).await)
}

pub(super) fn body(
    desk: &Desk,
    kind: Kind,
    said: &Said,
    content: Content,
    events: &[Event],
) -> String {
    let id = Uuid::new_v4().to_string();
    notification(&id, kind, &said.status(desk.now()), content, events).to_string()
}

/// Sends a notification on the subscription's channel.
pub(super) async fn post(
    desk: &Desk,
    asked: &Subscription,
    socket: Option<mpsc::Sender<Outgoing>>,
    body: String,
) -> Result<(), NotTaken> {
    match &asked.channel {
        Channel::RestHook { endpoint, headers } => {
            let timeout = asked.timeout_seconds.map(Duration::from_secs);
            desk.rest_hooks.post(endpoint, headers, timeout, body).await
        }
        // It goes as messages: `v2::send`.
        Channel::Message { .. } => Err(NotTaken::NotAllowed),
        Channel::WebSocket => {
            let socket = socket.ok_or(NotTaken::Disconnected)?;
            let (taken, until_taken) = oneshot::channel();
            let outgoing = Outgoing { text: body, taken };
            let sent = async {
                socket.send(outgoing).await.ok()?;
                until_taken.await.ok()
            };
            let sent = tokio::time::timeout(SOCKET_TIMEOUT, sent).await;
            sent.map_err(|_| NotTaken::Late)?
                .ok_or(NotTaken::Disconnected)
        }
    }
}

/// Notes how a notification went.
async fn settle(
    desk: &Desk,
    (id, version): (Uuid, u64),
    due: Due,
    outcome: Result<(), NotTaken>,
) -> Result<(), CustodyError> {
    let newest = desk.custody.newest_change();
    let mut book = desk.book().await?;
    let entry = book.entries.get_mut(&id);
    let Some(entry) = entry.filter(|entry| entry.row.version == version) else {
        return Ok(());
    };
    entry.is_busy = false;
    let mut writes = Vec::new();
    match outcome {
        Ok(()) => taken(entry, due, newest),
        Err(NotTaken::Disconnected) => entry.socket = None,
        Err(problem) => {
            let attempts_max = desk.config.attempts_max;
            let (pause, longest) = (desk.config.pause, desk.config.pause_max);
            let given_up = refused(entry, due, problem, attempts_max);
            entry.not_before =
                Instant::now().checked_add(backoff(pause, longest, entry.row.attempts));
            if let Some((after, until)) = given_up {
                let numbers = after.saturating_add(1)..=until;
                let events: Vec<EventRow> = Book::events(&desk.custody, id, numbers)?;
                writes = Book::bury(id, &events);
            }
        }
    }
    if let Due::Events(after, until) = due {
        writes.extend(entry.outlived(id, (after, until)));
    }
    writes.push(entry.saved(id));
    if let Err(error) = desk.save(writes).await {
        book.reload(&desk.custody, &desk.member)?;
        return Err(error);
    }
    Ok(())
}

fn taken(entry: &mut Entry, due: Due, newest: u64) {
    let row = &mut entry.row;
    if let Due::Events(_, until) = due {
        row.delivered = row.delivered.max(until);
    }
    if due == Due::Handshake {
        row.is_confirmed = true;
        row.since = newest;
    }
    row.state = State::Active;
    row.error = None;
    row.attempts = 0;
    entry.not_before = None;
    entry.sent_at = Instant::now();
}

/// Notes that a notification was not taken; the events that are given up, if that was the last attempt.
fn refused(
    entry: &mut Entry,
    due: Due,
    problem: NotTaken,
    attempts_max: u32,
) -> Option<(u64, u64)> {
    let row = &mut entry.row;
    row.attempts = row.attempts.saturating_add(1);
    row.state = State::Error;
    row.error = Some(problem.to_string());
    if problem == NotTaken::Status(reqwest::StatusCode::GONE) {
        row.state = State::Off;
        return None;
    }
    if row.attempts < attempts_max && problem != NotTaken::Refused {
        return None;
    }
    match due {
        Due::Handshake => {
            row.state = State::Off;
            None
        }
        Due::Heartbeat => None,
        Due::Events(after, until) => {
            row.delivered = row.delivered.max(until);
            row.dead = row.dead.saturating_add(until.saturating_sub(after));
            if row.dead >= DEAD_MAX {
                row.state = State::Off;
            }
            Some((after, until))
        }
    }
}
