//! Delivery: from rows of the outbox to statements that the ledger has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use contracts::rejection::Rejection;
use ledger::codec;
use ledger::ids::{Height, MemberName, Tag};
use ledger::item::{ITEM_BYTES, Item};
use ledger::limits::STATEMENT_ITEMS_MAX;
use ledger::statement::{StatementId, SubmittedStatement};
use minicbor::{Decode, Encode};
use rand::Rng;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::{CannotSign, OutboxConfig, OutboxStatus, Signer, batch};
use crate::chain::{StoreError, SubmitError};
use crate::custody::store::{Store, Table, sequence};
use crate::custody::{Anchor, CustodyError};

/// Doublings of the wait between two attempts.
const BACKOFF_MAX: u32 = 4;

/// A statement as it is kept until it is final; its key is the number of its first item.
#[derive(Encode, Decode)]
pub(crate) struct StatementRow {
    /// The number of its last item.
    #[n(0)]
    last: u64,
    /// A tag of one of its items: where the ledger has it, it has all.
    #[n(1)]
    probe: Tag,
    /// The bytes as they are sent.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) bytes: Vec<u8>,
}

/// A statement under way.
struct InFlight {
    last: u64,
    probe: Tag,
    statement: SubmittedStatement,
    state: State,
    attempts: u32,
    next_attempt: Instant,
    /// The ledger refused its signer.
    is_unheard: bool,
    /// The ledger holds some of its items.
    is_partly_final: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not taken yet; nothing newer is sent before it.
    Waiting,
    /// In the ledger's hands.
    Sent,
    /// It broke a rule; sending it again would not help.
    Stopped,
}

/// What can fail on the way.
#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    #[error(transparent)]
    Store(#[from] CustodyError),
    #[error(transparent)]
    Ledger(#[from] StoreError),
    #[error(transparent)]
    Signer(#[from] CannotSign),
}

/// The task that empties the outbox.
pub(crate) struct Delivery {
    pub(crate) store: Arc<Store>,
    pub(crate) anchor: Arc<dyn Anchor>,
    pub(crate) member: MemberName,
    pub(crate) signer: Signer,
    pub(crate) config: OutboxConfig,
    pub(crate) status: watch::Sender<OutboxStatus>,
}

impl Delivery {
    /// Delivers until the task is dropped.
    pub(crate) async fn run(self) {
        let mut under_way = match self.recover() {
            Ok(under_way) => under_way,
            Err(error) => {
                tracing::error!(%error, "the outbox cannot be read; nothing is anchored");
                return;
            }
        };
        let mut tips = self.anchor.subscribe();
        let mut beat = tokio::time::interval(self.config.cadence);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let outcome = tokio::select! {
                _ = beat.tick() => self.beat(&mut under_way).await,
                Ok(()) = tips.changed() => self.settle(&mut under_way).await,
            };
            if let Err(error) = outcome {
                tracing::warn!(%error, "the outbox waits");
                tokio::time::sleep(self.config.retry).await;
            }
            let statements = || under_way.statements.values();
            self.status.send_replace(OutboxStatus {
                in_flight: statements().count(),
                stopped: statements()
                    .filter(|one| one.state == State::Stopped)
                    .count(),
            });
        }
    }

    /// What a previous run left: its statements are sent again, in order.
    fn recover(&self) -> Result<UnderWay, DeliveryError> {
        let mut under_way = UnderWay::default();
        for row in self.store.scan_from(Table::Statements, 0) {
            let (key, row) = row?;
            let row: StatementRow = codec::decode("outbox statement", &row)
                .map_err(|error| CustodyError::Storage(error.to_string()))?;
            let statement = SubmittedStatement::decode(&row.bytes)
                .map_err(|error| CustodyError::Storage(error.to_string()))?;
            under_way.cursor = under_way.cursor.max(row.last.saturating_add(1));
            let waiting = InFlight::new(row.last, row.probe, statement);
            under_way.statements.insert(sequence(&key)?, waiting);
        }
        Ok(under_way)
    }

    async fn beat(&self, under_way: &mut UnderWay) -> Result<(), DeliveryError> {
        self.send_due(under_way);
        while under_way.takes_more(self.config.in_flight_max) {
            let Some(first) = self.gather(under_way).await? else {
                break;
            };
            if let Some(statement) = under_way.statements.get_mut(&first) {
                self.send(statement);
            }
        }
        self.settle(under_way).await
    }

    /// Makes a statement of the oldest items that are in none, durably; says under which number.
    async fn gather(&self, under_way: &mut UnderWay) -> Result<Option<u64>, DeliveryError> {
        let rows = self.store.scan_from(Table::Outbox, under_way.cursor);
        let mut rows: Vec<_> = rows
            .take(STATEMENT_ITEMS_MAX)
            .collect::<Result<_, CustodyError>>()?;
        rows.truncate(batch::taken(rows.len()));
        let (Some((first, item)), Some((last, _))) = (rows.first(), rows.last()) else {
            return Ok(None);
        };
        let (first, last) = (sequence(first)?, sequence(last)?);
        let [probe, _] = item_of(item)?.tags;
        let items = rows
            .iter()
            .map(|(_, item)| item_of(item))
            .collect::<Result<Vec<_>, _>>()?;
        let statement = self.sign(batch::mix(items, &mut rand::rng()))?;
        self.keep(first, last, probe, &statement).await?;
        under_way.cursor = last.saturating_add(1);
        let waiting = InFlight::new(last, probe, statement);
        under_way.statements.insert(first, waiting);
        Ok(Some(first))
    }

    fn sign(&self, items: Vec<Item>) -> Result<SubmittedStatement, CannotSign> {
        let id = StatementId(rand::rng().random());
        let height = self.anchor.tip().height.0;
        let expires_at = Height(height.saturating_add(self.config.lifetime_heights));
        let speaker = self.signer.speaker();
        SubmittedStatement::sign_items(
            speaker.of(&self.member),
            (self.anchor.network(), id, expires_at),
            items,
            |bytes| (speaker.sign)(bytes),
        )
    }

    async fn keep(
        &self,
        first: u64,
        last: u64,
        probe: Tag,
        statement: &SubmittedStatement,
    ) -> Result<(), CustodyError> {
        let row = StatementRow {
            last,
            probe,
            bytes: statement.encode(),
        };
        self.store
            .transact(move |transaction| {
                transaction.put(Table::Statements, &first.to_be_bytes(), codec::encode(&row));
                Ok(())
            })
            .await
    }

    /// Sends what is due, the oldest first; what follows one that was not taken waits with it.
    fn send_due(&self, under_way: &mut UnderWay) {
        let now = Instant::now();
        for statement in under_way.statements.values_mut() {
            let is_due = statement.state != State::Stopped && statement.next_attempt <= now;
            if is_due {
                self.send(statement);
            }
            if statement.state == State::Waiting {
                return;
            }
        }
    }

    fn send(&self, one: &mut InFlight) {
        let doublings = one.attempts.min(BACKOFF_MAX);
        one.attempts = one.attempts.saturating_add(1);
        one.next_attempt = Instant::now() + self.config.retry * 2_u32.pow(doublings);
        match self.anchor.submit(one.statement.clone()) {
            Ok(()) => one.state = State::Sent,
            Err(SubmitError::Rejected(rejection)) => self.rejected(one, &rejection),
            Err(SubmitError::OverQuota { wait_ms }) => {
                one.next_attempt = Instant::now() + Duration::from_millis(wait_ms);
                tracing::debug!(wait_ms, "this member's quota is used up; its items wait");
            }
            Err(error) => {
                tracing::warn!(%error, "the ledger takes no statement; the same bytes go again")
            }
        }
    }

    /// Lets go of what is final, and signs anew what can no longer be accepted.
    async fn settle(&self, under_way: &mut UnderWay) -> Result<(), DeliveryError> {
        let mut done = Vec::new();
        let mut to_sign = Vec::new();
        let mut partly = Vec::new();
        let speaks = self.signer.speaker().certificate;
        // The tip is read first: what is not found afterwards was not accepted up to that height.
        let height = self.anchor.tip().height;
        for (first, one) in &mut under_way.statements {
            if one.is_partly_final || self.anchor.locate(&self.member, one.probe)?.is_some() {
                if self.missing(*first, one.last)?.is_empty() {
                    done.push((*first, one.last));
                } else {
                    partly.push(*first);
                }
            } else if one.state == State::Sent && height >= one.statement.payload().expires_at {
                to_sign.push(*first);
            } else if one.is_unheard && one.statement.certificate() != speaks {
                // The ledger takes its items under one certificate or the other: their tags are used once.
                to_sign.push(*first);
            }
        }
        if !done.is_empty() {
            self.release(&done).await?;
            for (first, _) in done {
                under_way.statements.remove(&first);
            }
        }
        for first in partly {
            if let Some(one) = under_way.statements.get_mut(&first) {
                let items = self.missing(first, one.last)?;
                let Some(probe) = items.first().map(|item| item.tags[0]) else {
                    continue;
                };
                let statement = self.sign(batch::mix(items, &mut rand::rng()))?;
                self.keep(first, one.last, probe, &statement).await?;
                *one = InFlight::new(one.last, probe, statement);
            }
        }
        for first in to_sign {
            if let Some(one) = under_way.statements.get_mut(&first) {
                let statement = self.sign(one.statement.items().to_vec())?;
                self.keep(first, one.last, one.probe, &statement).await?;
                *one = InFlight::new(one.last, one.probe, statement);
            }
        }
        Ok(())
    }

    fn rejected(&self, one: &mut InFlight, rejection: &Rejection) {
        match rejection {
            // Its time is over; settling signs its items anew, unless it was accepted in time.
            Rejection::Expired => one.state = State::Sent,
            // All of it is final, or some: settling finds out which.
            Rejection::TagUsed { .. } if self.is_partly_final(one) => {
                one.state = State::Sent;
                one.is_partly_final = true;
            }
            rejection if rejection.concerns_signer() => {
                one.is_unheard = true;
                tracing::warn!(
                    code = rejection.code(), %rejection,
                    "the ledger does not hear this node; its items wait"
                );
            }
            rejection => {
                one.state = State::Stopped;
                tracing::error!(
                    code = rejection.code(), %rejection,
                    "invariant broken: the ledger refuses a statement of ours; its items stay in the outbox"
                );
            }
        }
    }

    fn is_partly_final(&self, one: &InFlight) -> bool {
        let mut items = one.statement.items().iter();
        items.any(|item| {
            let located = self.anchor.locate(&self.member, item.tags[0]);
            located.is_ok_and(|position| position.is_some())
        })
    }

    /// The items numbered `first` to `last` that the ledger does not hold. It may hold some and not others if these
    /// records were put back from a backup: some went with other statements then.
    fn missing(&self, first: u64, last: u64) -> Result<Vec<Item>, DeliveryError> {
        let mut missing = Vec::new();
        for row in self.store.scan_from(Table::Outbox, first) {
            let (key, row) = row?;
            if sequence(&key)? > last {
                break;
            }
            let item = item_of(&row)?;
            if self.anchor.locate(&self.member, item.tags[0])?.is_none() {
                missing.push(item);
            }
        }
        Ok(missing)
    }

    async fn release(&self, done: &[(u64, u64)]) -> Result<(), CustodyError> {
        let done = done.to_vec();
        self.store
            .transact(move |transaction| {
                for (first, last) in done {
                    transaction.remove(Table::Statements, &first.to_be_bytes());
                    for number in first..=last {
                        transaction.remove(Table::Outbox, &number.to_be_bytes());
                    }
                }
                Ok(())
            })
            .await
    }
}

/// Statements under way, by the number of their first item.
#[derive(Default)]
struct UnderWay {
    statements: BTreeMap<u64, InFlight>,
    /// The first number that is in no statement.
    cursor: u64,
}

impl UnderWay {
    fn takes_more(&self, in_flight_max: usize) -> bool {
        let waits = |one: &InFlight| one.state == State::Waiting;
        let moving = |one: &&InFlight| one.state != State::Stopped;
        !self.statements.values().any(waits)
            && self.statements.values().filter(moving).count() < in_flight_max
    }
}

impl InFlight {
    fn new(last: u64, probe: Tag, statement: SubmittedStatement) -> Self {
        Self {
            last,
            probe,
            statement,
            state: State::Waiting,
            attempts: 0,
            next_attempt: Instant::now(),
            is_unheard: false,
            is_partly_final: false,
        }
    }
}

fn item_of(row: &[u8]) -> Result<Item, CustodyError> {
    let bytes: &[u8; ITEM_BYTES] = row
        .try_into()
        .map_err(|_| CustodyError::Storage("an outbox row is not an item".to_owned()))?;
    Ok(Item::from_bytes(bytes))
}
