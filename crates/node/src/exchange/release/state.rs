//! What a member keeps of rounds and committees: rows of the record store, sealed under its own key.

use contracts::release::{Committee as Standing, Committees, Forming};
use ledger::codec;
use ledger::ids::Digest;
use minicbor::{Decode, Encode};
use vault::release::{Committee, KeyShare, MemberKey, Offer, Round};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::custody::{CustodyError, Shelf, ShelfRow};
use crate::exchange::Parts;

/// Rows of one kind that are read at once.
const ROWS_MAX: usize = 1_000;

/// The seeds with which a member takes part in one round.
#[derive(Clone, Encode, Decode, Zeroize, ZeroizeOnDrop)]
pub(super) struct Seeds {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    key: [u8; 32],
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) deal: [u8; 32],
}

impl Seeds {
    pub(super) fn key(&self) -> MemberKey {
        MemberKey::from_seed(self.key)
    }
}

/// The seeds for a round; made, and durable, if there are none yet.
pub(super) async fn seeds(parts: &Parts, round: u64) -> Result<Seeds, CustodyError> {
    if let Some(seeds) = known_seeds(parts, round)? {
        return Ok(seeds);
    }
    let seeds = Seeds {
        key: *MemberKey::generate().seed(),
        deal: *MemberKey::generate().seed(),
    };
    put(parts, seeds_key(round), &seeds).await?;
    Ok(seeds)
}

/// The seeds for a round in which this member takes part.
pub(super) fn known_seeds(parts: &Parts, round: u64) -> Result<Option<Seeds>, CustodyError> {
    get(parts, &seeds_key(round))
}

/// The offer that a dealer made in a round and that was acknowledged.
pub(super) fn offer(
    parts: &Parts,
    round: u64,
    dealer: Digest,
) -> Result<Option<Offer>, CustodyError> {
    get(parts, &offer_key(round, dealer))
}

/// Keeps an offer; it is durable when this returns.
pub(super) async fn keep_offer(
    parts: &Parts,
    round: u64,
    dealer: Digest,
    offer: &Offer,
) -> Result<(), CustodyError> {
    put(parts, offer_key(round, dealer), offer).await
}

/// This member's share as of a round.
pub(super) fn share(parts: &Parts, round: u64) -> Result<Option<KeyShare>, CustodyError> {
    let row = parts.custody.shelved(Shelf::Release, &share_key(round))?;
    let read = |row: Vec<u8>| KeyShare::decode(&row).map_err(damaged);
    row.map(read).transpose()
}

/// Keeps this member's share as of a round; it is durable when this returns.
pub(super) async fn keep_share(
    parts: &Parts,
    round: u64,
    share: &KeyShare,
) -> Result<(), CustodyError> {
    let row = (share_key(round), Some(share.encode().to_vec()));
    parts.custody.shelve(Shelf::Release, vec![row]).await
}

/// Lets go of what belongs to no committee and no round any more: an old share of a key that was passed on is one that
/// could be stolen.
pub(super) async fn tidy(parts: &Parts, committees: &Committees) -> Result<(), CustodyError> {
    let mut gone = Vec::new();
    for kind in [b'k', b'o', b's'] {
        let rows = parts
            .custody
            .shelved_under(Shelf::Release, &[kind], ROWS_MAX)?;
        let keys = rows.into_iter().map(|(key, _)| key);
        gone.extend(keys.filter(|key| !is_needed(committees, kind, key)));
    }
    if gone.is_empty() {
        return Ok(());
    }
    let changes = gone.into_iter().map(|key| (key, None)).collect();
    parts.custody.shelve(Shelf::Release, changes).await
}

fn is_needed(committees: &Committees, kind: u8, key: &[u8]) -> bool {
    let number = key.get(1..).and_then(<[u8]>::first_chunk);
    let Some(number) = number.map(|bytes| u64::from_be_bytes(*bytes)) else {
        return false;
    };
    let is_forming = committees.forming().map(|one| one.number) == Some(number);
    let mut formed = committees.formed().iter();
    let has_formed = formed.any(|committee| committee.round == number);
    is_forming || (has_formed && kind != b'o')
}

/// The committee as the library has it.
pub(super) fn committee(standing: &Standing) -> Result<Committee, CustodyError> {
    Committee::decode(standing.k, &standing.outcome).map_err(damaged)
}

/// The round as the library has it, once all have joined.
pub(super) fn round(
    parts: &Parts,
    committees: &Committees,
    forming: &Forming,
) -> Result<Round, CustodyError> {
    let previous = forming.passes_on.and_then(|key| committees.with_key(key));
    let previous = previous.map(committee).transpose()?;
    let dealers = forming.dealers(committees).iter().map(|one| one.key.0);
    let players = forming.joined.iter().map(|one| one.key.0);
    Round::new(
        &parts.chain.network().0.0,
        forming.number,
        forming.k,
        previous.as_ref(),
        &dealers.collect::<Vec<_>>(),
        &players.collect::<Vec<_>>(),
    )
    .map_err(damaged)
}

pub(super) fn get<T>(parts: &Parts, key: &[u8]) -> Result<Option<T>, CustodyError>
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    let row = parts.custody.shelved(Shelf::Release, key)?;
    row.map(|row| codec::decode("row", &row).map_err(damaged))
        .transpose()
}

pub(super) async fn put<T: Encode<()>>(
    parts: &Parts,
    key: Vec<u8>,
    row: &T,
) -> Result<(), CustodyError> {
    let change = (key, Some(codec::encode(row)));
    parts.custody.shelve(Shelf::Release, vec![change]).await
}

pub(super) fn rows(parts: &Parts, prefix: &[u8]) -> Result<Vec<ShelfRow>, CustodyError> {
    parts
        .custody
        .shelved_under(Shelf::Release, prefix, ROWS_MAX)
}

pub(super) fn damaged(error: impl std::fmt::Display) -> CustodyError {
    CustodyError::Storage(format!("a row of release: {error}"))
}

fn seeds_key(round: u64) -> Vec<u8> {
    [b"k".as_slice(), &round.to_be_bytes()].concat()
}

fn offer_key(round: u64, dealer: Digest) -> Vec<u8> {
    [b"o".as_slice(), &round.to_be_bytes(), &dealer.0].concat()
}

fn share_key(round: u64) -> Vec<u8> {
    [b"s".as_slice(), &round.to_be_bytes()].concat()
}
