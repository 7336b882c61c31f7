//! Connections that subscribers open, and bind to their subscriptions with a token.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::{IntoResponse as _, Response};
use interop::fhir::subscription::Kind;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use super::Desk;
use super::delivery::body;
use super::present::Said;
use super::row::State as How;
use crate::problem::Problem;

/// How long a binding lasts, unless it is renewed.
pub(super) const BINDING_LIFE: Duration = Duration::from_mins(10);
/// Connections of a node at most.
pub(super) const CONNECTIONS_MAX: usize = 1_024;
/// Who has not bound anything by then is not heard any more.
const BIND_WITHIN: Duration = Duration::from_secs(10);
const MESSAGE_BYTES_MAX: usize = 4_096;
const BIND: &str = "bind-with-token";
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Notifications that wait for one connection.
const WAITING_MAX: usize = 16;

/// What a binding token opens.
pub(super) struct Binding {
    pub(super) subscriptions: Vec<Uuid>,
    pub(super) until: Instant,
}

/// A notification for a connection, and whom to tell when it has left.
pub(super) struct Outgoing {
    pub(super) text: String,
    pub(super) taken: oneshot::Sender<()>,
}

/// `GET` on the websocket's URL; a token is asked for on the connection.
pub(super) async fn connect(State(desk): State<Arc<Desk>>, upgrade: WebSocketUpgrade) -> Response {
    let Ok(permit) = Arc::clone(&desk.connections).try_acquire_owned() else {
        return Problem::unavailable("a connection").into_response();
    };
    upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .on_upgrade(async move |socket| {
            serve(&desk, socket).await;
            drop(permit);
        })
}

async fn serve(desk: &Desk, mut socket: WebSocket) {
    let (sender, mut outgoing) = mpsc::channel::<Outgoing>(WAITING_MAX);
    let mut until = Instant::now() + BIND_WITHIN;
    loop {
        tokio::select! {
            received = socket.recv() => match received {
                Some(Ok(Message::Text(text))) => {
                    let bound = bind(desk, text.as_str(), &sender, &mut socket).await;
                    match bound {
                        Some(bound_until) => until = until.max(bound_until),
                        None => break,
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Binary(_) | Message::Close(_)) | Err(_)) | None => break,
            },
            Some(one) = outgoing.recv() => {
                if !send(&mut socket, one.text).await {
                    break;
                }
                // Whoever waited may have gone.
                let _waiting = one.taken.send(());
            }
            () = tokio::time::sleep_until(until) => break,
        }
    }
    if let Ok(mut book) = desk.book().await {
        for entry in book.entries.values_mut() {
            let is_this = entry.socket.as_ref();
            if is_this.is_some_and(|socket| socket.same_channel(&sender)) {
                entry.socket = None;
            }
        }
    }
    // The subscriber may have gone first.
    let _closed = socket.send(Message::Close(None)).await;
}

async fn send(socket: &mut WebSocket, text: String) -> bool {
    let sent = socket.send(Message::Text(text.into()));
    matches!(tokio::time::timeout(SEND_TIMEOUT, sent).await, Ok(Ok(())))
}

/// Binds the connection to what its token opens, and sends a handshake for each; until when, or nothing if the token is
/// not one.
async fn bind(
    desk: &Desk,
    text: &str,
    sender: &mpsc::Sender<Outgoing>,
    socket: &mut WebSocket,
) -> Option<Instant> {
    let token = text.strip_prefix(BIND)?.trim_start_matches([':', ' ']);
    let binding = desk.bound().remove(token.trim())?;
    if binding.until <= Instant::now() {
        return None;
    }
    let mut handshakes = Vec::new();
    {
        let newest = desk.custody.newest_change();
        let mut book = desk.book().await.ok()?;
        let mut writes = Vec::new();
        for id in binding.subscriptions {
            let Some(entry) = book.entries.get_mut(&id) else {
                continue;
            };
            if !entry.row.is_confirmed && entry.row.state != How::Off {
                entry.row.is_confirmed = true;
                entry.row.state = How::Active;
                entry.row.since = newest;
                writes.push(entry.saved(id));
            }
            let said = Said::of(desk, id, entry);
            handshakes.push((
                id,
                body(desk, Kind::Handshake, &said, entry.asked.content, &[]),
            ));
        }
        if desk.save(writes).await.is_err() {
            book.reload(&desk.custody, &desk.member).ok()?;
            return None;
        }
    }
    for (id, handshake) in handshakes {
        if !send(socket, handshake).await {
            return None;
        }
        let mut book = desk.book().await.ok()?;
        if let Some(entry) = book.entries.get_mut(&id) {
            entry.socket = Some(sender.clone());
            entry.not_before = None;
        }
    }
    desk.due.notify_one();
    Some(binding.until)
}
