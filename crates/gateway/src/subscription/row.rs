//! What is durable of subscriptions; `docs/formats/custody-store.md` has the rows.

use ledger::codec;
use minicbor::{Decode, Encode};
use node::custody::{CustodyError, Effect};
use uuid::Uuid;

use crate::asker::Asker;

/// How a subscription is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(super) enum State {
    /// Its subscriber has not answered the handshake.
    #[n(0)]
    Requested,
    #[n(1)]
    Active,
    /// The last notification was not taken; it is sent again.
    #[n(2)]
    Error,
    /// Nothing is sent any more.
    #[n(3)]
    Off,
}

/// A subscription.
#[derive(Clone, Encode, Decode)]
pub(super) struct SubscriptionRow {
    /// The resource as its client sent it, JSON.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) resource: Vec<u8>,
    /// On whose behalf it was made.
    #[n(1)]
    pub(super) by: Asker,
    #[n(2)]
    pub(super) version: u64,
    #[n(3)]
    pub(super) updated_at: u64,
    #[n(4)]
    pub(super) state: State,
    #[n(5)]
    pub(super) error: Option<String>,
    /// The change after which it began.
    #[n(6)]
    pub(super) since: u64,
    /// The number of its last event.
    #[n(7)]
    pub(super) events: u64,
    /// The number of the last event that was taken, or given up.
    #[n(8)]
    pub(super) delivered: u64,
    /// Attempts that failed since one that did not.
    #[n(9)]
    pub(super) attempts: u32,
    /// Whether its subscriber has answered the handshake.
    #[n(10)]
    pub(super) is_confirmed: bool,
    /// The last positions known of streams: patient, branch, position.
    #[n(11)]
    pub(super) streams: Vec<StreamRow>,
    /// Notifications that were given up.
    #[n(12)]
    pub(super) dead: u64,
}

/// How far a stream was looked at.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct StreamRow {
    #[n(0)]
    pub(super) patient: String,
    /// Of another member; none for accesses here.
    #[n(1)]
    pub(super) branch: Option<String>,
    #[n(2)]
    pub(super) position: u64,
}

/// An event.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct EventRow {
    #[n(0)]
    pub(super) number: u64,
    #[n(1)]
    pub(super) at: u64,
    #[n(2)]
    pub(super) what: What,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(super) enum What {
    /// A version was appended here.
    #[n(0)]
    Change {
        #[n(0)]
        resource_type: String,
        #[n(1)]
        id: String,
        #[n(2)]
        version: u64,
        #[n(3)]
        effect: EffectRow,
    },
    /// Another member's entry became final.
    #[n(1)]
    Foreign {
        #[n(0)]
        patient: String,
        #[n(1)]
        member: String,
    },
    /// Somebody asked for the patient's records.
    #[n(2)]
    Access {
        #[n(0)]
        patient: String,
        #[n(1)]
        position: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(super) enum EffectRow {
    #[n(0)]
    Written,
    #[n(1)]
    Deleted,
    #[n(2)]
    Erased,
}

impl From<Effect> for EffectRow {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Written => Self::Written,
            Effect::Deleted => Self::Deleted,
            Effect::Erased => Self::Erased,
        }
    }
}

impl State {
    /// The code of R4.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Active => "active",
            Self::Error => "error",
            Self::Off => "off",
        }
    }
}

/// The key of the position in the change feed.
pub(super) const POSITION: &[u8] = b"p";
/// The prefix of subscriptions.
pub(super) const SUBSCRIPTIONS: &[u8] = b"s";

pub(super) fn subscription_key(id: Uuid) -> Vec<u8> {
    [SUBSCRIPTIONS, id.as_bytes()].concat()
}

/// The prefix of a subscription's events.
pub(super) fn events_of(id: Uuid) -> Vec<u8> {
    [b"e".as_slice(), id.as_bytes()].concat()
}

pub(super) fn event_key(id: Uuid, number: u64) -> Vec<u8> {
    [events_of(id).as_slice(), &number.to_be_bytes()].concat()
}

/// The prefix of a subscription's dead letters.
pub(super) fn dead_of(id: Uuid) -> Vec<u8> {
    [b"d".as_slice(), id.as_bytes()].concat()
}

pub(super) fn dead_key(id: Uuid, number: u64) -> Vec<u8> {
    [dead_of(id).as_slice(), &number.to_be_bytes()].concat()
}

/// Reads a row that this node wrote.
pub(super) fn read<T>(bytes: &[u8]) -> Result<T, CustodyError>
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    codec::decode("subscription", bytes).map_err(|error| CustodyError::Storage(error.to_string()))
}
