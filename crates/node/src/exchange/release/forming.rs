//! Taking part in a round: joining, dealing, acknowledging, confirming.
//!
//! Each step is durable here before anybody hears of it, and is taken again after a restart to the same end.

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::release::{CONTRACT, Command, Committees, Forming, Joined};
use futures::future::join_all;
use ledger::ids::{Digest, Height, MemberName};
use ledger::statement::{Body, Payload, StatementId, SubmittedStatement};
use vault::release::{Dealing, Playing, Round};

use super::message::{Acknowledged, Dealt};
use super::state;
use crate::custody::CustodyError;
use crate::exchange::serve::Refusal;
use crate::exchange::{Parts, unavailable};

/// Heights that a command may take before it is given again.
const LIFETIME: u64 = 100;

/// What this node has done in the round under way, and forgets when it stops.
#[derive(Default)]
struct Progress {
    round: u64,
    /// When each kind of command was given last.
    said: BTreeMap<u8, Height>,
    /// Acknowledgements of the own offers.
    acknowledged: BTreeMap<[u8; 32], Vec<u8>>,
    /// The registry's revision that was tidied up after.
    tidied: Option<u64>,
}

/// Takes part in rounds as the ledger says, until the exchange ends.
pub(in crate::exchange) async fn take_part(parts: Arc<Parts>) {
    let mut tips = parts.chain.subscribe();
    let mut progress = Progress::default();
    loop {
        if let Err(error) = step(&parts, &mut progress).await {
            tracing::warn!(%error, "this member does not get on with forming a committee");
        }
        if tips.changed().await.is_err() {
            return;
        }
    }
}

async fn step(parts: &Parts, progress: &mut Progress) -> Result<(), CustodyError> {
    let registry = parts.chain.registry();
    let committees = registry.committees();
    let Some(forming) = committees.forming() else {
        if progress.tidied != Some(registry.revision()) {
            state::tidy(parts, committees).await?;
            progress.tidied = Some(registry.revision());
        }
        return Ok(());
    };
    if progress.round != forming.number {
        *progress = Progress {
            round: forming.number,
            ..Progress::default()
        };
    }
    let is_member = forming.members.contains(&parts.member);
    if is_member && forming.key_of(&parts.member).is_none() {
        let seeds = state::seeds(parts, forming.number).await?;
        let command = Command::Join {
            round: forming.number,
            key: Digest(seeds.key().public()),
        };
        return say(parts, progress, 0, &command);
    }
    if !forming.is_dealing() {
        return Ok(());
    }
    let round = state::round(parts, committees, forming)?;
    deal(parts, progress, (committees, forming, &round)).await?;
    if is_member {
        confirm(parts, progress, (committees, forming, &round)).await?;
    }
    Ok(())
}

async fn deal(
    parts: &Parts,
    progress: &mut Progress,
    (committees, forming, round): (&Committees, &Forming, &Round),
) -> Result<(), CustodyError> {
    let mut dealers = forming.dealers(committees).iter();
    let is_dealer = dealers.any(|dealer| dealer.member == parts.member);
    let has_dealt = forming.logs.iter().any(|log| log.member == parts.member);
    if !is_dealer || has_dealt {
        return Ok(());
    }
    let before = forming.passes_on.and_then(|key| committees.with_key(key));
    let of_round = before.map_or(forming.number, |before| before.round);
    let Some(known) = state::known_seeds(parts, of_round)? else {
        tracing::warn!("this member has lost its key of the committee, and deals nothing");
        return Ok(());
    };
    let share = match before {
        Some(before) => state::share(parts, before.round)?,
        None => None,
    };
    // What is dealt follows from a seed of this round alone, also where the key is of an earlier one.
    let seeds = state::seeds(parts, forming.number).await?;
    let dealing = Dealing::start(round, &known.key(), &seeds.deal, share.as_ref());
    let (mut dealing, offers) = dealing.map_err(state::damaged)?;
    let missing = forming.joined.iter().filter_map(|player| {
        let is_missing = !progress.acknowledged.contains_key(&player.key.0);
        let offer = offers.get(&player.key.0).filter(|_| is_missing)?;
        let dealt = Dealt {
            round: forming.number,
            offer: offer.clone(),
        };
        Some(async move { (player, hand(parts, player, &dealt).await) })
    });
    for (player, answer) in join_all(missing).await {
        if let Some(acknowledgement) = answer {
            progress.acknowledged.insert(player.key.0, acknowledgement);
        }
    }
    for (player, acknowledgement) in &progress.acknowledged {
        if dealing.acknowledged(*player, acknowledgement).is_err() {
            tracing::warn!("a member of the committee acknowledges what it was not offered");
        }
    }
    match dealing.log() {
        Some(log) => {
            let round = forming.number;
            say(parts, progress, 1, &Command::Deal { round, log })
        }
        None => Ok(()),
    }
}

async fn hand(parts: &Parts, player: &Joined, dealt: &Dealt) -> Option<Vec<u8>> {
    if player.member == parts.member {
        let own = acknowledge(parts, &parts.member, dealt).await.ok()?;
        return Some(own.acknowledgement);
    }
    let call = parts.client.call(&player.member, "release/offer", dealt);
    match call.await {
        Ok(Acknowledged { acknowledgement }) => Some(acknowledgement),
        Err(error) => {
            tracing::warn!(member = %player.member, %error, "an offer is not acknowledged");
            None
        }
    }
}

/// Takes an offer, keeps it, and acknowledges it. Another offer by the same dealer is refused.
pub(super) async fn acknowledge(
    parts: &Parts,
    from: &MemberName,
    dealt: &Dealt,
) -> Result<Acknowledged, Refusal> {
    let registry = parts.chain.registry();
    let committees = registry.committees();
    let forming = committees.forming().filter(|one| one.number == dealt.round);
    let forming = forming
        .filter(|one| one.is_dealing())
        .ok_or(Refusal::NotKept)?;
    let mut dealers = forming.dealers(committees).iter();
    let dealer = dealers.find(|dealer| dealer.member == *from);
    let dealer = dealer.ok_or(Refusal::NotForThisMember)?.key;
    let seeds = state::known_seeds(parts, forming.number)?;
    let seeds = seeds.ok_or(Refusal::NotForThisMember)?;
    let round = state::round(parts, committees, forming)?;
    let mut playing = Playing::new(&round, &seeds.key()).map_err(|_| Refusal::NotForThisMember)?;
    let acknowledgement = playing
        .take(&dealer.0, &dealt.offer)
        .map_err(|_| Refusal::Malformed)?;
    match state::offer(parts, forming.number, dealer)? {
        Some(before) if before != dealt.offer => {
            tracing::warn!(target: "security", %from, "a dealer makes two offers in one round");
            Err(Refusal::AnsweredBefore)
        }
        Some(_) => Ok(Acknowledged { acknowledgement }),
        None => {
            state::keep_offer(parts, forming.number, dealer, &dealt.offer).await?;
            Ok(Acknowledged { acknowledgement })
        }
    }
}

async fn confirm(
    parts: &Parts,
    progress: &mut Progress,
    (committees, forming, round): (&Committees, &Forming, &Round),
) -> Result<(), CustodyError> {
    let mut confirmed = forming.confirmed.iter();
    if confirmed.any(|one| one.member == parts.member) {
        return Ok(());
    }
    let logs: Vec<_> = forming.logs.iter().map(|one| one.log.clone()).collect();
    let Some(chosen) = round.chosen(&logs) else {
        return Ok(());
    };
    let Some(seeds) = state::known_seeds(parts, forming.number)? else {
        return Ok(());
    };
    let mut playing = Playing::new(round, &seeds.key()).map_err(state::damaged)?;
    for dealer in forming.dealers(committees) {
        if let Some(offer) = state::offer(parts, forming.number, dealer.key)? {
            playing
                .take(&dealer.key.0, &offer)
                .map_err(state::damaged)?;
        }
    }
    let (committee, share) = playing.finish(&chosen).map_err(state::damaged)?;
    state::keep_share(parts, forming.number, &share).await?;
    let command = Command::Confirm {
        round: forming.number,
        outcome: committee.encode(),
    };
    say(parts, progress, 2, &command)
}

/// Gives a command, unless it was given and may still arrive.
fn say(
    parts: &Parts,
    progress: &mut Progress,
    kind: u8,
    command: &Command,
) -> Result<(), CustodyError> {
    let now = parts.chain.tip().height;
    let said = progress.said.get(&kind);
    if said.is_some_and(|said| now.0 <= said.0.saturating_add(LIFETIME)) {
        return Ok(());
    }
    let payload = Payload {
        network: parts.chain.network(),
        id: StatementId(rand::random()),
        expires_at: Height(now.0.saturating_add(LIFETIME)),
        body: Body::Command {
            contract: CONTRACT,
            command: command.encode(),
        },
    };
    let speaker = parts.signer.speaker();
    let signed =
        SubmittedStatement::sign(speaker.of(&parts.member), payload, Vec::new(), |bytes| {
            (speaker.sign)(bytes)
        });
    let statement = signed.map_err(|_| unavailable("the key store"))?;
    if let Err(error) = parts.chain.submit(statement) {
        tracing::warn!(%error, "a command to form the committee is not taken");
        return Ok(());
    }
    progress.said.insert(kind, now);
    Ok(())
}
