//! Copies for release: placing them with the members that the operator names, keeping others' and letting go of them.

use std::sync::Arc;
use std::time::Duration;

use ledger::codec;
use ledger::ids::{MemberName, Tag};
use minicbor::{Decode, Encode};
use vault::release::Committee;

use super::message::{COPIES_MAX, Copies, CopiesOf, Done, Forget};
use super::state;
use crate::custody::{Changed, CustodyError, Effect, SealedCopy, Shelf};
use crate::exchange::Parts;
use crate::exchange::client::CallError;
use crate::exchange::message::TAGS_MAX;
use crate::exchange::serve::Refusal;

/// The wait after a member could not be reached.
const AGAIN: Duration = Duration::from_secs(2);

/// How far copies have been placed with a member, and for which key of the committee.
#[derive(Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
struct Placed {
    #[n(0)]
    key: u64,
    #[n(1)]
    change: u64,
}

/// Where copies cannot be placed now.
#[derive(Debug, thiserror::Error)]
enum PlaceError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Here(#[from] CustodyError),
}

/// Places copies of what is written here, and takes those of what is erased back, until the exchange ends.
pub(in crate::exchange) async fn place_copies(parts: Arc<Parts>) {
    if parts.copies_at.is_empty() {
        return;
    }
    let mut changes = parts.custody.watch_changes();
    let mut tips = parts.chain.subscribe();
    let mut at = 0;
    loop {
        let mut is_behind = false;
        for holder in &parts.copies_at {
            match place(&parts, holder).await {
                Ok(more) => is_behind |= more,
                Err(error) => {
                    tracing::warn!(%holder, %error, "copies for release wait for a member");
                }
            }
        }
        if is_behind {
            continue;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = formed(&mut tips, &parts, &mut at) => {}
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// Waits until another committee is in force.
async fn formed(
    tips: &mut tokio::sync::watch::Receiver<crate::chain::Tip>,
    parts: &Parts,
    at: &mut u64,
) {
    loop {
        let registry = parts.chain.registry();
        let round = registry.committees().in_force().map(|one| one.round);
        if let Some(round) = round.filter(|round| round != at) {
            *at = round;
            return;
        }
        if tips.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Places the next copies with `holder`; says whether there are more.
async fn place(parts: &Parts, holder: &MemberName) -> Result<bool, PlaceError> {
    let registry = parts.chain.registry();
    let Some(standing) = registry.committees().in_force() else {
        return Ok(false);
    };
    let committee = state::committee(standing)?;
    let place = place_of(holder);
    let placed: Option<Placed> = state::get(parts, &place)?;
    // With another key everything is sealed anew.
    let placed = placed.filter(|placed| placed.key == standing.key);
    let placed = placed.unwrap_or(Placed {
        key: standing.key,
        change: 0,
    });
    let changes = parts.custody.changes(placed.change, COPIES_MAX)?;
    let Some(last) = changes.last() else {
        return Ok(false);
    };
    let mut copies = Vec::new();
    let mut rows = Vec::new();
    for changed in &changes {
        match changed.effect {
            Effect::Written => {
                let copy = parts
                    .custody
                    .release_copy(changed, (standing.key, &committee))
                    .await?;
                if let Some(copy) = copy {
                    rows.push((placed_key(changed), Some(codec::encode(&copy.tag))));
                    copies.push(copy);
                }
            }
            Effect::Erased => take_back(parts, holder, changed).await?,
            Effect::Deleted => {}
        }
    }
    if !copies.is_empty() {
        // Before they leave, so that none is ever out that could not be taken back.
        parts.custody.shelve(Shelf::Release, rows).await?;
        let message = Copies { copies };
        let Done { .. } = parts.client.call(holder, "release/keep", &message).await?;
    }
    let placed = Placed {
        change: last.number,
        ..placed
    };
    state::put(parts, place, &placed).await?;
    Ok(changes.len() == COPIES_MAX)
}

/// Has `holder` let go of the copies of a document's versions.
async fn take_back(
    parts: &Parts,
    holder: &MemberName,
    changed: &Changed,
) -> Result<(), PlaceError> {
    let prefix = placed_prefix(changed);
    let rows = state::rows(parts, &prefix)?;
    let tags = rows
        .iter()
        .map(|(_, row)| codec::decode("tag", row).map_err(state::damaged));
    let tags = tags.collect::<Result<Vec<Tag>, _>>()?;
    if !tags.is_empty() {
        let Done { .. } = parts
            .client
            .call(holder, "release/forget", &Forget { tags })
            .await?;
    }
    Ok(())
}

/// Keeps copies for `home`.
pub(super) async fn keep(
    parts: &Parts,
    home: &MemberName,
    Copies { copies }: Copies,
) -> Result<Done, Refusal> {
    if copies.len() > COPIES_MAX || !copies.iter().all(SealedCopy::is_bounded) {
        return Err(Refusal::Malformed);
    }
    for copy in &copies {
        // What is on the ledger bounds what a member can have kept here.
        let place = parts.chain.locate(home, copy.tag);
        if place.map_err(CustodyError::from)?.is_none() {
            return Err(Refusal::NotRecorded);
        }
    }
    let count = copies.len() as u64;
    let rows = copies
        .into_iter()
        .map(|copy| (kept_key(home, copy.tag), Some(codec::encode(&copy))));
    parts.custody.shelve(Shelf::Release, rows.collect()).await?;
    Ok(Done { count })
}

/// The copies that are kept here of versions of another member. They are noise to whoever has not the branch.
pub(super) fn kept(parts: &Parts, asked: &CopiesOf) -> Result<Copies, Refusal> {
    let tags_max = if asked.whole { COPIES_MAX } else { TAGS_MAX };
    if asked.tags.len() > tags_max {
        return Err(Refusal::Malformed);
    }
    let found = asked.tags.iter().map(|tag| {
        let copy: Option<SealedCopy> = state::get(parts, &kept_key(&asked.home, *tag))?;
        Ok(copy)
    });
    let found = found.collect::<Result<Vec<_>, CustodyError>>()?;
    let mut copies: Vec<_> = found.into_iter().flatten().collect();
    if !asked.whole {
        copies.iter_mut().for_each(|copy| copy.payload.clear());
    }
    Ok(Copies { copies })
}

/// Lets go of copies that are kept for `home`.
pub(super) async fn forget(
    parts: &Parts,
    home: &MemberName,
    Forget { tags }: Forget,
) -> Result<Done, Refusal> {
    if tags.len() > TAGS_MAX {
        return Err(Refusal::Malformed);
    }
    let count = let_go(parts, home, &tags).await?;
    Ok(Done { count })
}

/// Lets go of what is kept for `home` of versions with these index tags; says of how many something was kept.
pub(in crate::exchange) async fn let_go(
    parts: &Parts,
    home: &MemberName,
    tags: &[Tag],
) -> Result<u64, CustodyError> {
    let mut kept = Vec::new();
    for tag in tags {
        let key = kept_key(home, *tag);
        let copy: Option<SealedCopy> = state::get(parts, &key)?;
        kept.extend(copy.map(|_| (key, None)));
    }
    let count = kept.len() as u64;
    if count > 0 {
        parts.custody.shelve(Shelf::Release, kept).await?;
    }
    Ok(count)
}

impl crate::exchange::Exchange {
    /// Whether all that is written here is with the members that keep copies, for the committee in force.
    pub fn copies_are_placed(&self) -> Result<bool, CustodyError> {
        let parts = &self.0.parts;
        let registry = parts.chain.registry();
        let key = registry.committees().in_force().map(|one| one.key);
        let newest = parts.custody.newest_change();
        for holder in &parts.copies_at {
            let placed: Option<Placed> = state::get(parts, &place_of(holder))?;
            let placed = placed.filter(|placed| Some(placed.key) == key);
            if placed.is_none_or(|placed| placed.change < newest) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The public part of a committee, for whoever checks evidence.
pub(super) fn committee_with(parts: &Parts, key: u64) -> Result<Option<Committee>, CustodyError> {
    let registry = parts.chain.registry();
    let standing = registry.committees().with_key(key);
    standing.map(state::committee).transpose()
}

fn place_of(holder: &MemberName) -> Vec<u8> {
    [b"c".as_slice(), holder.as_str().as_bytes()].concat()
}

fn kept_key(home: &MemberName, tag: Tag) -> Vec<u8> {
    [b"h".as_slice(), &tag.0, home.as_str().as_bytes()].concat()
}

fn placed_prefix(changed: &Changed) -> Vec<u8> {
    [b"p".as_slice(), &changed.document].concat()
}

fn placed_key(changed: &Changed) -> Vec<u8> {
    let version = changed.version.to_be_bytes();
    [placed_prefix(changed), version.to_vec()].concat()
}
