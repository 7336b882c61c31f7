//! One validator: the engine's wiring and the real chain over simulated links, rows, clock and timer.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::Recipients;
use commonware_p2p::simulated::{
    Control, Oracle, Receiver, SplitForwarder, SplitOrigin, SplitTarget,
};
use commonware_runtime::deterministic::Context;
use commonware_runtime::{Clock as _, Handle, IoBuf, Quota, Spawner as _, Supervisor as _};
use commonware_utils::NZU32;
use futures::FutureExt as _;
use ledger::genesis::Genesis;
use node::chain::{Chain, Cosigner, Ports};
use node::engine::EngineConfig;
use node::engine::wiring::{self, Channels, Identity, Links, Status, frames};

use crate::acquaintances::{Acquaintances, Peers};
use crate::committees::Committees;
use crate::cosigning;
use crate::disk::MemoryDisk;
use crate::player::{Player, Role, Sights};
use crate::votes::Ballot;
use crate::watched::{Ending, Watched};
use crate::weather::{Exposed, Weather};

pub(crate) const RATE: Quota = Quota::per_second(NZU32!(4096));
const CHANNELS: u64 = 6;

/// What a validator is started with.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) number: usize,
    pub(crate) genesis: Genesis,
    pub(crate) config: EngineConfig,
    /// Keys of its validator, the newest last.
    pub(crate) keys: Vec<Keys>,
    pub(crate) disk: MemoryDisk,
    /// Names of the engine's files begin with it.
    pub(crate) partition: String,
    /// The number of the start if votes from before it are forgotten.
    pub(crate) forgets: Option<u64>,
    pub(crate) committees: Committees,
    pub(crate) skew_ms: i64,
    pub(crate) weather: Weather,
    pub(crate) acquaintances: Acquaintances,
    pub(crate) role: Role,
    /// Where its votes are watched, if it follows the rules.
    pub(crate) ballot: Option<Ballot>,
}

/// What a validator connects, votes and cosigns with.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) seed: [u8; 32],
    pub(crate) public: PublicKey,
    pub(crate) cosigner: Cosigner,
}

impl Seat {
    /// The seat with keys as a node chooses them when it starts: those that vote in the next block, or else the
    /// newest that the ledger knows.
    pub(crate) fn with_keys_of(&self, chain: &Chain) -> Self {
        let (registry, tip) = (chain.registry(), chain.tip());
        let vote = |keys: &&Keys| ledger::genesis::PublicKey(keys.seed_key());
        let epoch = registry.rules().epoch_of(tip.height.next());
        let voting = &registry.validators(epoch).keys;
        let mut own = self.keys.iter();
        let chosen = own.find(|keys| voting.contains(&vote(keys)));
        let mut own = self.keys.iter().rev();
        let newest = || own.find(|keys| registry.validator_keys(vote(keys)).is_some());
        let chosen = chosen.or_else(newest).unwrap().clone();
        let mut seat = self.clone();
        *seat.config.seed = chosen.seed;
        seat.keys = vec![chosen];
        seat
    }

    /// The keys with which it was started, or those of its founding.
    pub(crate) fn own(&self) -> &Keys {
        &self.keys[0]
    }
}

impl Keys {
    fn seed_key(&self) -> [u8; 32] {
        self.public.as_ref().try_into().unwrap()
    }
}

/// A validator that was started; dropping it changes nothing.
pub(crate) struct Running {
    pub(crate) chain: Chain,
    pub(crate) status: Status,
    pub(crate) sights: Sights,
    pub(crate) key: PublicKey,
    task: Handle<()>,
    ending: Ending,
}

impl Running {
    /// Why it ended on its own, if it did.
    pub(crate) fn ended(&self) -> Option<String> {
        self.ending.told()
    }

    /// Kills it, all its tasks included.
    pub(crate) fn kill(self) {
        self.task.abort();
    }
}

/// Milliseconds since 1970 of the simulation.
pub(crate) fn now_ms(context: &Context) -> u64 {
    let now = context.current().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

/// Which of two twins talks to whom.
#[derive(Clone)]
struct Split {
    number: usize,
    ballot: Option<Ballot>,
    /// The second twin's peers, where the two have different ones.
    second: Option<Vec<PublicKey>>,
}

fn forwarder(split: Split, votes: bool) -> impl SplitForwarder<PublicKey> {
    move |origin: SplitOrigin, recipients: &Recipients<PublicKey>, message: &IoBuf| {
        if let Some(ballot) = split.ballot.as_ref().filter(|_| votes) {
            ballot.note(split.number, message);
        }
        let Some(second) = &split.second else {
            return Some(recipients.clone());
        };
        let own = |peer: &PublicKey| second.contains(peer) == (origin == SplitOrigin::Secondary);
        match recipients {
            Recipients::One(peer) => own(peer).then(|| recipients.clone()),
            Recipients::Some(peers) => Some(Recipients::Some(
                peers.iter().filter(|peer| own(peer)).cloned().collect(),
            )),
            Recipients::All => Some(recipients.clone()),
        }
    }
}

type Wire<S> = (S, Receiver<PublicKey>);

/// Opens the channels of a validator, and of its twin where it has one.
async fn channels(
    context: &Watched,
    control: &Control<PublicKey, Context>,
    split: &Split,
    seat: &Seat,
) -> Vec<
    Channels<
        impl commonware_p2p::Sender<PublicKey = PublicKey> + use<>,
        Exposed<Receiver<PublicKey>>,
    >,
> {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for channel in 0..CHANNELS {
        let (sender, receiver) = control.register(channel, RATE).await.unwrap();
        let senders = sender.split_with(forwarder(split.clone(), channel == 0));
        if split.second.is_none() {
            first.push((senders.0, receiver));
            continue;
        }
        let receivers = receiver.split_with(context.child("split"), |_| SplitTarget::Both);
        first.push((senders.0, receivers.0));
        second.push((senders.1, receivers.1));
    }
    let both = [first, second].into_iter();
    let open = both.filter(|wires| !wires.is_empty());
    open.map(|wires| gather(wires, context, seat)).collect()
}

fn gather<S>(
    wires: Vec<Wire<S>>,
    context: &Watched,
    seat: &Seat,
) -> Channels<S, Exposed<Receiver<PublicKey>>> {
    let mut wires = wires.into_iter();
    let mut next = || {
        let (sender, receiver) = wires.next().unwrap();
        (sender, Exposed::new(receiver, context, seat))
    };
    Channels {
        votes: next(),
        certificates: next(),
        resolver: next(),
        backfill: next(),
        blocks: next(),
        gossip: next(),
    }
}

/// Opens the chain of `seat` as its disk left it.
fn open(context: &Context, seat: &Seat, sights: &Sights) -> Result<Chain, String> {
    let (clock, timer) = (context.child("clock"), context.child("timer"));
    let (sights, skew_ms) = (sights.clone(), seat.skew_ms);
    let ports = Ports {
        rows: seat.disk.open(),
        clock: Arc::new(move || {
            if sights.is_leaping() {
                return u64::MAX / 2;
            }
            now_ms(&clock).saturating_add_signed(skew_ms)
        }),
        timer: Arc::new(move |time: Duration| timer.sleep(time).boxed()),
    };
    Chain::open_on(seat.genesis.clone(), ports).map_err(|error| error.to_string())
}

/// Starts the validator of `seat`.
pub(crate) fn start(
    context: &Context,
    oracle: &Oracle<PublicKey, Context>,
    seat: &Seat,
) -> Result<Running, String> {
    let split = Split {
        number: seat.number,
        ballot: seat.ballot.clone(),
        second: None,
    };
    let (status, sights) = (Status::default(), Sights::default());
    let chain = open(context, seat, &sights)?;
    let ending = Ending::default();
    let (told, seat) = (ending.clone(), seat.with_keys_of(&chain));
    let key = seat.own().public.clone();
    let control = oracle.control(key.clone());
    let peers = seat.acquaintances.of(&key);
    let playing = (chain.clone(), sights.clone(), status.clone());
    let context = context
        .child("validator")
        .with_attribute("number", seat.number);
    let watched = Watched::new(context, ending.clone(), seat.forgets);
    let task = watched.spawn(move |context| async move {
        let wires = channels(&context, &control, &split, &seat);
        let wires = wires.await.remove(0);
        let network = (control, peers);
        told.tell(Box::pin(run(context, network, seat, playing, wires)).await);
    });
    Ok(Running {
        chain,
        status,
        sights,
        key,
        task,
        ending,
    })
}

/// Starts two validators with one key, of which each talks to half of the `others`.
pub(crate) fn start_twins(
    context: &Context,
    oracle: &Oracle<PublicKey, Context>,
    seats: [Seat; 2],
    second: Vec<PublicKey>,
) -> Handle<()> {
    let [a, b] = seats;
    let split = Split {
        number: a.number,
        ballot: None,
        second: Some(second),
    };
    let control = oracle.control(a.own().public.clone());
    let context = context.child("twins").with_attribute("number", a.number);
    let clocks = context.child("clocks");
    Watched::new(context, Ending::default(), None).spawn(move |context| async move {
        let wires = channels(&context, &control, &split, &a).await;
        let mut twins = Vec::new();
        for (number, (seat, wires)) in [a, b].into_iter().zip(wires).enumerate() {
            let sights = Sights::default();
            let chain = open(&clocks, &seat, &sights).unwrap();
            let playing = (chain, sights, Status::default());
            let peers = Acquaintances::of_traitor(&seat.own().public);
            let network = (control.clone(), peers);
            let context = context.child("twin").with_attribute("twin", number);
            twins.push(context.spawn(move |context| async move {
                Box::pin(run(context, network, seat, playing, wires)).await;
            }));
        }
        futures::future::join_all(twins).await;
    })
}

/// Runs until the validator ends on its own, and says why it did.
async fn run(
    context: Watched,
    (blocker, peers): (Control<PublicKey, Context>, Peers),
    seat: Seat,
    (chain, sights, status): (Chain, Sights, Status),
    channels: Channels<
        impl commonware_p2p::Sender<PublicKey = PublicKey>,
        Exposed<Receiver<PublicKey>>,
    >,
) -> String {
    let identity = Identity::of(&seat.config).unwrap();
    let (gossip, outbox) = frames(&seat.config);
    let links = Links {
        channels,
        blocker,
        peers,
    };
    let player = Player::new(chain.clone(), seat.role, sights);
    let cosigner = seat.own().cosigner.clone();
    let (cosigning, signatures) = (chain.clone(), gossip.clone());
    if seat.role == Role::Forger {
        let forging = (chain.clone(), cosigner.clone(), gossip.clone());
        let _forging = context
            .child("forged")
            .spawn(move |_| async move { cosigning::forge(forging).await });
    }
    let _cosigning = context
        .child("checkpoints")
        .spawn(move |_| async move { cosigning.cosign(cosigner, signatures).await });
    let _gossip = context
        .child("statements")
        .spawn(move |_| async move { chain.gossip(gossip).await });
    let wires = (outbox, status);
    let started = wiring::start(
        context,
        &seat.config,
        &identity,
        &seat.partition,
        player,
        links,
        wires,
    );
    match started.await {
        Ok(actors) => format!("{:?}", actors.ended().await),
        Err(error) => format!("the engine does not start: {error:?}"),
    }
}
