//! Topic-based subscriptions (Subscriptions R5 Backport IG 1.1).
//!
//! ```text
//! change feed ─┐                    ┌─ rest_hook ─▶ the subscriber's URL
//! the ledger ──┼─▶ dispatcher ─▶ book ┤
//! accesses ────┘   (decides)  (durable) ├─ websocket ◀─ the subscriber's connection
//!                                       └─ v2 ─▶ a receiver of HL7 v2
//! ```
//!
//! # Invariants
//! - **S1** An event gets a number only if its subscriber may know of it: numbers have no gaps, and say nothing of what was
//!   withheld. What is told of it is decided again whenever it is told.
//! - **S2** Events, and the position in the feed up to which they were made, become durable together.
//! - **S3** An event counts as delivered only after its subscriber has taken it: at least once.
//! - **S4** Nothing that writes records waits for a subscriber.

mod book;
mod delivery;
mod dispatcher;
mod interactions;
mod operations;
mod present;
mod rest_hook;
mod row;
mod v2;
mod websocket;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use axum::{Extension, Router};
use ledger::ids::MemberName;
use node::custody::{Anchor, Custody, CustodyError, Shelf, ShelfChange};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard, Notify, Semaphore};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::auth::{AuthorizationServer, Clock};
use crate::fhir::authenticate;
use crate::http::negotiate;
use crate::mllp::{Destination, MllpReceiver};
use book::Book;
use rest_hook::RestHooks;

/// How subscribers are told.
#[derive(Debug, Clone)]
pub struct SubscriptionConfig {
    /// Origins, such as `https://ehr.example.org`, to which notifications may be posted. One with `http` has to be of this
    /// machine.
    pub rest_hooks: Vec<String>,
    /// Where events may be sent as messages of HL7 v2.
    pub receivers: Vec<MllpReceiver>,
    /// The first pause after a notification that was not taken; it doubles with each further one.
    pub pause: Duration,
    /// The longest pause.
    pub pause_max: Duration,
    /// Attempts before the events of a notification are given up.
    pub attempts_max: u32,
}

impl Default for SubscriptionConfig {
    fn default() -> Self {
        Self {
            rest_hooks: Vec::new(),
            receivers: Vec::new(),
            pause: Duration::from_secs(1),
            pause_max: Duration::from_mins(10),
            attempts_max: 12,
        }
    }
}

/// Where subscribers open connections.
const WEBSOCKET: &str = "/subscriptions/websocket";

/// The URL of [`WEBSOCKET`], for the base of the FHIR API.
pub(crate) fn websocket_url(base: &str) -> String {
    let origin = base.trim_end_matches("/fhir");
    format!("{}{WEBSOCKET}", origin.replacen("http", "ws", 1))
}

/// The routes of subscriptions; they go before those of all types.
pub(crate) fn routes(subscriptions: Subscriptions, auth: Arc<AuthorizationServer>) -> Router {
    let one = "/fhir/Subscription/{id}";
    let all = "/fhir/Subscription";
    let status = get(operations::status).post(operations::status);
    let status_of_one = get(operations::status_of_one).post(operations::status_of_one);
    let events = get(operations::events).post(operations::events);
    let token = get(operations::binding_token).post(operations::binding_token);
    let token_of_one = get(operations::token_of_one).post(operations::token_of_one);
    let guarded = Router::new()
        .route(all, get(interactions::search).post(interactions::create))
        .route(
            one,
            get(interactions::read)
                .put(interactions::update)
                .delete(interactions::delete),
        )
        .route(&format!("{all}/$status"), status)
        .route(&format!("{one}/$status"), status_of_one)
        .route(&format!("{one}/$events"), events)
        .route(&format!("{all}/$get-ws-binding-token"), token)
        .route(&format!("{one}/$get-ws-binding-token"), token_of_one)
        .route(&format!("{all}/$topics"), get(operations::topics))
        .route(
            &format!("{all}/$dead-letters"),
            get(operations::dead_letters),
        )
        .route(&format!("{one}/$replay"), post(operations::replay))
        .route_layer(from_fn(negotiate))
        .route_layer(from_fn_with_state(auth, authenticate));
    Router::new()
        .route(WEBSOCKET, get(websocket::connect))
        .merge(guarded)
        .with_state(subscriptions.desk)
        // The tasks end with the last route.
        .layer(Extension(Arc::new(subscriptions.tasks)))
}

/// The subscriptions of one node; the last handle to go ends what works for them.
pub(crate) struct Subscriptions {
    desk: Arc<Desk>,
    tasks: JoinSet<()>,
}

/// What all parts share.
struct Desk {
    custody: Custody,
    ledger: Arc<dyn Anchor>,
    member: MemberName,
    /// `…/fhir`, without a slash at its end.
    base: String,
    clock: Clock,
    config: SubscriptionConfig,
    rest_hooks: RestHooks,
    /// By the names of their receivers.
    destinations: BTreeMap<String, Arc<Destination>>,
    connections: Arc<Semaphore>,
    bindings: std::sync::Mutex<BTreeMap<String, websocket::Binding>>,
    book: Mutex<Option<Book>>,
    /// There is something to deliver.
    due: Notify,
}

impl Subscriptions {
    pub(crate) fn start(
        custody: Custody,
        ledger: Arc<dyn Anchor>,
        member: MemberName,
        base: String,
        clock: Clock,
        config: SubscriptionConfig,
    ) -> Self {
        let receivers = config.receivers.iter().cloned();
        let pauses = (config.pause, config.pause_max);
        let named = |one: MllpReceiver| (one.name.clone(), Arc::new(Destination::new(one, pauses)));
        let desk = Arc::new(Desk {
            destinations: receivers.map(named).collect(),
            rest_hooks: RestHooks::new(&config.rest_hooks),
            custody,
            ledger,
            member,
            base,
            clock,
            config,
            connections: Arc::new(Semaphore::new(websocket::CONNECTIONS_MAX)),
            bindings: std::sync::Mutex::default(),
            book: Mutex::new(None),
            due: Notify::new(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(dispatcher::run(Arc::clone(&desk)));
        tasks.spawn(delivery::run(Arc::clone(&desk)));
        Self { desk, tasks }
    }
}

impl Desk {
    /// Milliseconds since 1970.
    fn now(&self) -> u64 {
        self.clock.now().saturating_mul(1_000)
    }

    /// All subscriptions, read from disk when they are asked for first.
    async fn book(&self) -> Result<MappedMutexGuard<'_, Book>, CustodyError> {
        let mut book = self.book.lock().await;
        if book.is_none() {
            *book = Some(Book::load(&self.custody, &self.member)?);
        }
        // INVARIANT: it was filled above.
        let unread = |_| CustodyError::Storage("subscriptions were not read".to_owned());
        MutexGuard::try_map(book, Option::as_mut).map_err(unread)
    }

    async fn save(&self, writes: Vec<ShelfChange>) -> Result<(), CustodyError> {
        if writes.is_empty() {
            return Ok(());
        }
        self.custody.shelve(Shelf::Subscriptions, writes).await
    }

    /// The URL of a subscription.
    fn url(&self, id: Uuid) -> String {
        format!("{}/Subscription/{id}", self.base)
    }

    fn bound(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, websocket::Binding>> {
        self.bindings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
