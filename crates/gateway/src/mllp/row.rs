//! What is durable of messages; `docs/formats/custody-store.md` has the rows.

use ledger::codec;
use ledger::ids::Digest;
use minicbor::{Decode, Encode};
use node::custody::{CustodyError, ShelfChange};
use uuid::Uuid;

/// How a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(super) enum State {
    /// It is kept, and not filed yet.
    #[n(0)]
    Waiting,
    #[n(1)]
    Filed,
    /// It cannot be filed as it is: a dead letter.
    #[n(2)]
    Dead,
    /// An operator has put it away.
    #[n(3)]
    Discarded,
}

/// A message, without its bytes.
#[derive(Clone, Encode, Decode)]
pub(super) struct MessageRow {
    #[n(0)]
    pub(super) listener: String,
    /// MSH-3 and MSH-4; empty if the message cannot be read.
    #[n(1)]
    pub(super) application: String,
    #[n(2)]
    pub(super) facility: String,
    #[n(3)]
    pub(super) control_id: String,
    /// Such as `ORU^R01`.
    #[n(4)]
    pub(super) kind: String,
    /// SHA-256 of its bytes.
    #[n(5)]
    pub(super) digest: Digest,
    /// Milliseconds since 1970.
    #[n(6)]
    pub(super) received_at: u64,
    /// Where its connection came from.
    #[n(7)]
    pub(super) address: String,
    #[n(8)]
    pub(super) state: State,
    #[n(9)]
    pub(super) attempts: u32,
    /// What was wrong at the last attempt; no value of the message.
    #[n(10)]
    pub(super) reasons: Vec<String>,
    /// The id of the DocumentReference that the original becomes.
    #[n(11)]
    pub(super) document: String,
    /// What it became, as `Type/id`.
    #[n(12)]
    pub(super) filed: Vec<String>,
    /// The application acknowledgement that was answered last.
    #[n(13)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) answer: Vec<u8>,
    /// When it came into its state, milliseconds since 1970.
    #[n(14)]
    pub(super) since: u64,
}

impl State {
    pub(super) const ALL: [Self; 4] = [Self::Waiting, Self::Filed, Self::Dead, Self::Discarded];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Filed => "filed",
            Self::Dead => "dead",
            Self::Discarded => "discarded",
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Waiting => 0,
            Self::Filed => 1,
            Self::Dead => 2,
            Self::Discarded => 3,
        }
    }
}

/// The key of the last number that was given.
pub(super) const LAST: &[u8] = b"n";

/// The prefix of the numbers of messages in a state.
pub(super) fn in_state(state: State) -> Vec<u8> {
    vec![b's', state.number()]
}

fn state_key(state: State, number: u64) -> Vec<u8> {
    [in_state(state).as_slice(), &number.to_be_bytes()].concat()
}

pub(super) fn message_key(number: u64) -> Vec<u8> {
    [b"m".as_slice(), &number.to_be_bytes()].concat()
}

/// The bytes that came.
pub(super) fn original_key(number: u64) -> Vec<u8> {
    [b"b".as_slice(), &number.to_be_bytes()].concat()
}

/// The bytes that an operator put in their place.
pub(super) fn edited_key(number: u64) -> Vec<u8> {
    [b"e".as_slice(), &number.to_be_bytes()].concat()
}

/// Under which the number of a sender's message stands.
pub(super) fn control_key(row: &MessageRow) -> Vec<u8> {
    let parts = [
        &row.listener,
        &row.application,
        &row.facility,
        &row.control_id,
    ];
    let Digest(name) = Digest::with_domain(
        "careledger/v2-control-id/v1",
        &parts.map(|part| part.as_bytes()),
    );
    [b"c".as_slice(), &name].concat()
}

/// The number at the end of a state's key.
pub(super) fn number_of(key: &[u8]) -> Option<u64> {
    let (_, number) = key.split_last_chunk::<8>()?;
    Some(u64::from_be_bytes(*number))
}

impl MessageRow {
    /// The rows by which a message comes into the state that it is in, from the state before.
    pub(super) fn moved(&self, number: u64, before: Option<State>) -> Vec<ShelfChange> {
        let left = before.filter(|before| *before != self.state);
        let mut changes: Vec<ShelfChange> = left
            .map(|before| (state_key(before, number), None))
            .into_iter()
            .collect();
        changes.push((state_key(self.state, number), Some(Vec::new())));
        changes.push((message_key(number), Some(codec::encode(self))));
        if matches!(self.state, State::Filed | State::Discarded) {
            changes.push((original_key(number), None));
            changes.push((edited_key(number), None));
        }
        changes
    }

    /// Forgets a message.
    pub(super) fn removed(&self, number: u64) -> Vec<ShelfChange> {
        vec![
            (state_key(self.state, number), None),
            (message_key(number), None),
            (original_key(number), None),
            (edited_key(number), None),
            (control_key(self), None),
        ]
    }

    /// The name that its original has among the documents.
    pub(super) fn fresh_document() -> String {
        Uuid::new_v4().to_string()
    }
}

/// Reads a row that this node wrote.
pub(super) fn read(bytes: &[u8]) -> Result<MessageRow, CustodyError> {
    codec::decode("message", bytes).map_err(|error| CustodyError::Storage(error.to_string()))
}
