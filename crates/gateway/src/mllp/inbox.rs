//! What is received, and made durable before anybody hears of it (M1, M4).

use std::sync::Arc;
use std::time::Duration;

use interop::hl7v2::{Code, ErrorCode, Fault, Message, Original, Place};
use ledger::ids::Digest;
use node::custody::{Custody, CustodyError, Shelf, ShelfChange};
use tokio::sync::oneshot;

use super::answer::{Step, Wishes, answer, refusal};
use super::line::{Line, Waiting};
use super::row::{
    LAST, MessageRow, State, control_key, edited_key, in_state, message_key, number_of,
    original_key, read,
};
use super::{Desk, Listeners, MllpListener, SHARDS, parse};

/// Messages that wait at most: more are refused, and their senders keep them.
const WAITING_MAX: usize = 100_000;
/// Dead letters that are kept at most for messages that cannot even be read.
const UNREADABLE_MAX: usize = 10_000;
/// Numbers that are reserved at once.
const NUMBERS: u64 = 1_000;
/// For how long it is known what became of a message.
const KEPT: Duration = Duration::from_hours(30 * 24);
const SWEEP: Duration = Duration::from_hours(1);
const SWEPT_AT_ONCE: usize = 1_000;

/// What a sender is told of a message.
pub(super) struct Reply {
    /// At once, if the sender wants it.
    pub(super) commit: Option<Vec<u8>>,
    pub(super) application: Application,
    /// What the sender wants.
    pub(super) wishes: Option<Wishes>,
}

/// The application acknowledgement.
pub(super) enum Application {
    Now(Vec<u8>),
    /// When the message is filed, or cannot be.
    Later(oneshot::Receiver<Vec<u8>>),
}

/// A message as it came.
pub(super) struct Arrival<'a> {
    pub(super) listener: &'a MllpListener,
    pub(super) address: String,
    pub(super) bytes: &'a [u8],
}

/// What was found out about a message that is not kept now.
enum Refused {
    /// It was sent before, and this was answered.
    Known(Vec<u8>),
    /// It was sent before, and waits.
    Waits(oneshot::Receiver<Vec<u8>>),
    /// Nothing was kept.
    With(Code, Fault),
}

impl Desk {
    /// Keeps a message, and says what its sender is told.
    pub(super) async fn receive(&self, arrival: Arrival<'_>) -> Reply {
        let name = arrival.listener.name.clone();
        let message = match Message::parse_from(arrival.bytes, &arrival.listener.overrides) {
            Ok(message) => message,
            Err(fault) => {
                self.metrics.count_message(&name, "unreadable");
                return self.bury(&arrival, fault).await;
            }
        };
        let wishes = Wishes::of(&message);
        let original = Original::Read(&message);
        let commit = |code: Code, faults: &[Fault]| {
            let is_accepted = code == Code::CA;
            let is_wanted = wishes.want(Step::Commit, is_accepted);
            is_wanted.then(|| answer(original, code, faults, self.custody.now()))
        };
        let accepted = match self.keep(&arrival, &message).await {
            Ok(told) => Application::Later(told),
            Err(Refused::Waits(told)) => Application::Later(told),
            Err(Refused::Known(answered)) => {
                self.metrics.count_message(&name, "duplicate");
                Application::Now(answered)
            }
            Err(Refused::With(code, fault)) => {
                self.metrics.count_message(&name, "refused");
                let faults = [fault];
                let of_commit = if code == Code::AR { Code::CR } else { Code::CE };
                let said = answer(original, code, &faults, self.custody.now());
                return Reply {
                    commit: commit(of_commit, &faults),
                    application: Application::Now(said),
                    wishes: Some(wishes),
                };
            }
        };
        Reply {
            commit: commit(Code::CA, &[]),
            application: accepted,
            wishes: Some(wishes),
        }
    }

    /// Makes a message durable that can be read, unless it was sent before.
    async fn keep(
        &self,
        arrival: &Arrival<'_>,
        message: &Message,
    ) -> Result<oneshot::Receiver<Vec<u8>>, Refused> {
        let header = |field| Place::segment("MSH", 1).field(field);
        let sender = message.sender();
        let senders = &arrival.listener.senders;
        if !senders.is_empty() && !senders.contains(&sender) {
            let fault = Fault::error(
                header(3),
                ErrorCode::UnknownKeyIdentifier,
                "a sender that may send here",
            );
            return Err(Refused::With(Code::AR, fault));
        }
        if self.line().len() >= WAITING_MAX {
            return Err(busy());
        }
        let kind = message.kind();
        let mut row = self.row(arrival);
        row.application = sender.application;
        row.facility = sender.facility;
        row.control_id = message.control_id();
        row.kind = format!("{}^{}", kind.message_type, kind.trigger);
        let control = control_key(&row);
        let shard = control.last().copied().map_or(0, usize::from) % SHARDS;
        let guard = match self.shards.get(shard) {
            Some(shard) => Some(shard.lock().await),
            None => None,
        };
        if let Some(known) = self.known(&control).map_err(|error| failed(&error))? {
            return Err(self.again(&row, known));
        }
        let number = self.number().await.map_err(|error| failed(&error))?;
        let mut changes = row.moved(number, None);
        changes.push((original_key(number), Some(arrival.bytes.to_vec())));
        changes.push((control, Some(number.to_be_bytes().to_vec())));
        self.save(changes).await.map_err(|error| failed(&error))?;
        let (tell, told) = oneshot::channel();
        let mut waiting = Waiting::new(message.patient_key());
        waiting.listeners.push(tell);
        self.line().add(number, waiting);
        drop(guard);
        self.metrics.count_message(&row.listener, "kept");
        self.due.notify_one();
        Ok(told)
    }

    /// The number and row of a message with this control id of its sender.
    fn known(&self, control: &[u8]) -> Result<Option<(u64, MessageRow)>, CustodyError> {
        let number = self.custody.shelved(Shelf::Messages, control)?;
        let number = number.and_then(|row| row.try_into().ok());
        let Some(number) = number.map(u64::from_be_bytes) else {
            return Ok(None);
        };
        Ok(self.load(number)?.map(|row| (number, row)))
    }

    /// What is said to a message whose control id was used before.
    fn again(&self, row: &MessageRow, (number, known): (u64, MessageRow)) -> Refused {
        if known.digest != row.digest {
            let fault = Fault::error(
                Place::segment("MSH", 1).field(10),
                ErrorCode::DuplicateKeyIdentifier,
                "a control id that no other message of the sender has",
            );
            return Refused::With(Code::AE, fault);
        }
        if known.state != State::Waiting {
            return Refused::Known(known.answer);
        }
        if let Some(told) = self.line().hear(number) {
            return Refused::Waits(told);
        }
        // It was filed in between.
        match self.load(number) {
            Ok(Some(row)) if row.state != State::Waiting => Refused::Known(row.answer),
            _ => busy(),
        }
    }

    /// Keeps a message that cannot be read as a dead letter.
    pub(super) async fn bury(&self, arrival: &Arrival<'_>, fault: Fault) -> Reply {
        let original = Original::Broken(arrival.bytes);
        let faults = [fault];
        let code = refusal(&faults);
        let said = answer(original, code, &faults, self.custody.now());
        let mut row = self.row(arrival);
        row.state = State::Dead;
        row.reasons = faults.iter().map(ToString::to_string).collect();
        row.answer.clone_from(&said);
        let kept = self.bury_row(&row, arrival.bytes).await;
        if let Err(error) = kept {
            tracing::warn!(%error, listener = row.listener, "a message that cannot be read was not kept");
        }
        Reply {
            commit: None,
            application: Application::Now(said),
            wishes: None,
        }
    }

    async fn bury_row(&self, row: &MessageRow, bytes: &[u8]) -> Result<(), CustodyError> {
        let dead = in_state(State::Dead);
        let dead = self
            .custody
            .shelved_under(Shelf::Messages, &dead, UNREADABLE_MAX)?;
        if dead.len() >= UNREADABLE_MAX {
            let what = "the inbox, which is full of dead letters,";
            return Err(CustodyError::Unavailable { what });
        }
        let number = self.number().await?;
        let mut changes = row.moved(number, None);
        changes.push((original_key(number), Some(bytes.to_vec())));
        self.save(changes).await
    }

    fn row(&self, arrival: &Arrival<'_>) -> MessageRow {
        let now = self.custody.now();
        MessageRow {
            listener: arrival.listener.name.clone(),
            application: String::new(),
            facility: String::new(),
            control_id: String::new(),
            kind: String::new(),
            digest: Digest::of(arrival.bytes),
            received_at: now,
            address: arrival.address.clone(),
            state: State::Waiting,
            attempts: 0,
            reasons: Vec::new(),
            document: MessageRow::fresh_document(),
            filed: Vec::new(),
            answer: Vec::new(),
            since: now,
        }
    }

    /// A number that no message had, also after a restart.
    async fn number(&self) -> Result<u64, CustodyError> {
        let mut numbers = self.numbers.lock().await;
        if numbers.next >= numbers.reserved {
            let reserved = numbers.next.saturating_add(NUMBERS);
            self.save(vec![(LAST.to_vec(), Some(reserved.to_be_bytes().to_vec()))])
                .await?;
            numbers.reserved = reserved;
        }
        numbers.next += 1;
        Ok(numbers.next)
    }

    pub(super) async fn save(&self, changes: Vec<ShelfChange>) -> Result<(), CustodyError> {
        self.custody.shelve(Shelf::Messages, changes).await
    }

    pub(super) fn load(&self, number: u64) -> Result<Option<MessageRow>, CustodyError> {
        let row = self
            .custody
            .shelved(Shelf::Messages, &message_key(number))?;
        row.map(|row| read(&row)).transpose()
    }

    /// The bytes that came, and those that an operator put in their place.
    pub(super) fn bytes(&self, number: u64) -> Result<Texts, CustodyError> {
        let one = |key: Vec<u8>| self.custody.shelved(Shelf::Messages, &key);
        Ok((one(original_key(number))?, one(edited_key(number))?))
    }
}

/// What came, and what an operator put in its place.
pub(super) type Texts = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Numbers of messages: those up to `reserved` are given by nobody else.
pub(super) struct Numbers {
    next: u64,
    reserved: u64,
}

/// The numbers that are left after a start.
pub(super) fn numbers(custody: &Custody) -> Result<Numbers, CustodyError> {
    let reserved = custody.shelved(Shelf::Messages, LAST)?;
    let reserved = reserved.and_then(|row| row.try_into().ok().map(u64::from_be_bytes));
    let reserved = reserved.unwrap_or(0);
    Ok(Numbers {
        next: reserved,
        reserved,
    })
}

/// The messages that were accepted and not filed when the node stopped.
pub(super) fn unfinished(custody: &Custody, listeners: &Listeners) -> Result<Line, CustodyError> {
    let mut line = Line::default();
    let waiting = custody.shelved_under(Shelf::Messages, &in_state(State::Waiting), usize::MAX)?;
    for number in waiting.iter().filter_map(|(key, _)| number_of(key)) {
        let edited = custody.shelved(Shelf::Messages, &edited_key(number))?;
        let bytes = match edited {
            Some(edited) => Some(edited),
            None => custody.shelved(Shelf::Messages, &original_key(number))?,
        };
        let row = custody.shelved(Shelf::Messages, &message_key(number))?;
        let row: Option<MessageRow> = row.map(|row| read(&row)).transpose()?;
        let name = row.map(|row| row.listener).unwrap_or_default();
        let message = bytes.and_then(|bytes| parse(listeners, &name, &bytes).ok());
        let keys = message.map(|message| message.patient_key());
        let mut waiting = Waiting::new(keys.unwrap_or_default());
        waiting.is_unsure = true;
        line.add(number, waiting);
    }
    Ok(line)
}

/// Forgets, each hour, what became of messages long ago.
pub(super) async fn sweep(desk: Arc<Desk>) {
    let mut hours = tokio::time::interval(SWEEP);
    loop {
        hours.tick().await;
        for state in [State::Filed, State::Discarded] {
            if let Err(error) = sweep_state(&desk, state).await {
                tracing::warn!(%error, "messages that are done were not swept");
            }
        }
    }
}

async fn sweep_state(desk: &Desk, state: State) -> Result<(), CustodyError> {
    let kept = u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX);
    let before = desk.custody.now().saturating_sub(kept);
    let rows = desk
        .custody
        .shelved_under(Shelf::Messages, &in_state(state), SWEPT_AT_ONCE)?;
    for number in rows.iter().filter_map(|(key, _)| number_of(key)) {
        if let Some(row) = desk.load(number)?.filter(|row| row.since < before) {
            desk.save(row.removed(number)).await?;
        }
    }
    Ok(())
}

fn busy() -> Refused {
    let fault = Fault::error(
        Place::segment("MSH", 1),
        ErrorCode::RecordLocked,
        "to be sent again later: nothing was kept",
    );
    Refused::With(Code::AR, fault)
}

fn failed(error: &CustodyError) -> Refused {
    tracing::warn!(%error, "a message was not kept");
    busy()
}
