//! HL7 v2 over MLLP: listeners, an inbox that survives crashes, acknowledgements, and what an operator does with messages
//! that were not filed.
//!
//! ```text
//! sender ──frame──▶ listener ──▶ inbox (sealed, synced) ──CA──▶ sender
//!                                  │ in order for each patient
//!                                  ▼
//!                                filing: map, one transaction ──AA, AE, AR──▶ sender
//! ```
//!
//! # Invariants
//! - **M1** Nothing is accepted (CA, AA) before the message is sealed and synced; no message that was is lost.
//! - **M2** A message is filed once: the original has a name of its own among the documents, which the transaction claims.
//! - **M3** Messages that share an identifier of a patient are filed in the order in which they came. One that waits for
//!   something holds up the later ones; one that never can be filed (a dead letter) does not.
//! - **M4** A control id of a sender is one message: the same bytes are answered as before, other bytes are refused.
//! - **M5** What was filed lies here no longer: the original is a document of the patient, and erased with it.

mod answer;
mod batch;
mod destination;
mod filing;
mod frame;
mod inbox;
mod line;
mod listener;
mod operations;
mod outage;
mod patients;
mod receiver;
mod row;
mod tls;

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use axum::{Extension, Router};
use interop::hl7v2::{Fault, Message, Overrides, Sender};
use node::custody::{Custody, CustodyError};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;

use crate::auth::AuthorizationServer;
use crate::fhir::{Bundles, authenticate};
use crate::http::negotiate;
use crate::metrics::Metrics;
use line::Line;

pub(crate) use destination::{Destination, Turn};
pub use listener::serve;
pub(crate) use receiver::Acknowledged;
pub use receiver::MllpReceiver;
pub use tls::{MllpClientTls, MllpTls, MllpTlsError};

/// Locks between looking for a control id and writing it.
const SHARDS: usize = 64;

/// A listener, without its address.
#[derive(Debug, Clone)]
pub struct MllpListener {
    /// By which operators and metrics know it.
    pub name: String,
    /// The system as which its senders act: a client of the node.
    pub system: String,
    /// Who may send; anybody who can connect, without any.
    pub senders: Vec<Sender>,
    /// What senders do in their own ways.
    pub overrides: Overrides,
    /// Private connections.
    pub tls: Option<MllpTls>,
}

/// The messages of a node. Clones share them.
#[derive(Clone)]
pub struct Mllp(Arc<Desk>);

/// What all parts share.
struct Desk {
    custody: Custody,
    bundles: Bundles,
    server: Arc<AuthorizationServer>,
    metrics: Arc<Metrics>,
    listeners: Listeners,
    line: std::sync::Mutex<Line>,
    /// There is something to file.
    due: Notify,
    shards: Vec<Mutex<()>>,
    numbers: Mutex<inbox::Numbers>,
}

/// The listeners by their names.
type Listeners = BTreeMap<String, MllpListener>;

/// What files messages; it ends with the last handle.
pub(crate) struct Filing(JoinSet<()>);

impl Mllp {
    /// The messages of a node that has these listeners; what was accepted before is filed.
    pub(crate) fn start(
        (custody, bundles): (Custody, Bundles),
        server: Arc<AuthorizationServer>,
        metrics: Arc<Metrics>,
        listeners: Vec<MllpListener>,
    ) -> Result<(Self, Filing), CustodyError> {
        let listeners = listeners.into_iter().map(|one| (one.name.clone(), one));
        let listeners: Listeners = listeners.collect();
        let line = inbox::unfinished(&custody, &listeners)?;
        let numbers = Mutex::new(inbox::numbers(&custody)?);
        let desk = Arc::new(Desk {
            custody,
            bundles,
            server,
            metrics,
            listeners,
            line: std::sync::Mutex::new(line),
            due: Notify::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            numbers,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(filing::run(Arc::clone(&desk)));
        tasks.spawn(inbox::sweep(Arc::clone(&desk)));
        Ok((Self(desk), Filing(tasks)))
    }
}

/// What operators ask of messages; `filing` ends with the last route.
pub(crate) fn routes(mllp: &Mllp, filing: Filing, auth: Arc<AuthorizationServer>) -> Router {
    Router::new()
        .route("/fhir/$v2-messages", get(operations::list))
        .route("/fhir/$v2-message", get(operations::show))
        .route("/fhir/$v2-errors", get(operations::errors))
        .route("/fhir/$v2-import", post(operations::import))
        .route("/fhir/$v2-retry", post(operations::retry))
        .route("/fhir/$v2-discard", post(operations::discard))
        .layer(DefaultBodyLimit::max(frame::MESSAGE_BYTES_MAX))
        .route_layer(from_fn(negotiate))
        .route_layer(from_fn_with_state(auth, authenticate))
        .with_state(Arc::clone(&mllp.0))
        .layer(Extension(Arc::new(filing.0)))
}

/// Reads a message that came to the listener of this name.
fn parse(listeners: &Listeners, name: &str, bytes: &[u8]) -> Result<Message, Fault> {
    match listeners.get(name) {
        Some(listener) => Message::parse_from(bytes, &listener.overrides),
        None => Message::parse(bytes),
    }
}

impl Desk {
    /// Reads a message that came to the listener of this name.
    fn parse(&self, name: &str, bytes: &[u8]) -> Result<Message, Fault> {
        parse(&self.listeners, name, bytes)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Mllp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mllp(..)")
    }
}
