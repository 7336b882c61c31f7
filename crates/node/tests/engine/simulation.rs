//! The same wiring under the deterministic runtime, with lossy links and crashes.

use crate::{
    NAMESPACE,
    chain::{Chain, Plan},
    public_key,
};
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::simulated::{self, Link, Oracle};
use commonware_runtime::{
    Clock as _, Handle, Quota, Runner as _, Spawner as _, Supervisor as _,
    deterministic::{self, Context},
};
use commonware_utils::{NZU32, NZUsize, Probability, probability};
use node::engine::{
    EngineConfig, Validator,
    wiring::{self, Channels, Identity, Links, Status, frames, max_message_bytes},
};
use std::time::Duration;

const SIZE: usize = 4;
const EPOCH_BLOCKS: u64 = 1_000;
const RATE: Quota = Quota::per_second(NZU32!(4096));

pub(crate) struct Simulation {
    pub(crate) context: Context,
    pub(crate) oracle: Oracle<PublicKey, Context>,
    configs: Vec<EngineConfig>,
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) chains: Vec<Chain>,
    pub(crate) statuses: Vec<Status>,
}

impl Simulation {
    /// Nodes with one of `chains` each, connected by lossy links.
    pub(crate) async fn new(context: Context, chains: Vec<Chain>, epoch_blocks: u64) -> Self {
        let mut configs = configs(chains.len());
        for config in &mut configs {
            config.epoch_blocks = epoch_blocks;
        }
        let keys: Vec<_> = configs
            .iter()
            .map(|config| Identity::of(config).unwrap().public_key())
            .collect();
        let settings = simulated::Config {
            max_size: max_message_bytes::<Chain>(&configs[0]),
            max_peers_per_set: NZUsize!(16),
            disconnect_on_block: true,
            tracked_peer_sets: NZUsize!(2),
        };
        let (network, oracle) =
            simulated::Network::new_with_peers(context.child("network"), settings, keys.clone())
                .await;
        network.start();
        let simulation = Self {
            context,
            oracle,
            configs,
            keys,
            statuses: chains.iter().map(|_| Status::default()).collect(),
            chains,
        };
        for from in &simulation.keys {
            for to in simulation.keys.iter().filter(|to| *to != from) {
                simulation.link(from, to, probability!(0.96875)).await;
            }
        }
        simulation
    }

    pub(crate) async fn link(&self, from: &PublicKey, to: &PublicKey, success_rate: Probability) {
        let link = Link {
            latency: Duration::from_millis(10),
            jitter: Duration::from_millis(5),
            success_rate,
        };
        let (from, to) = (from.clone(), to.clone());
        self.oracle.add_link(from, to, link).await.unwrap();
    }

    /// Runs a node inside one task, so that aborting it takes all its actors along.
    pub(crate) fn start(&self, number: usize) -> Handle<()> {
        self.start_in(format!("validator-{number}"), number)
    }

    /// The same with its files in `partition`.
    pub(crate) fn start_in(&self, partition: String, number: usize) -> Handle<()> {
        let config = self.configs[number].clone();
        let chain = self.chains[number].clone();
        let status = self.statuses[number].clone();
        let control = self.oracle.control(self.keys[number].clone());
        let peers = self.oracle.socket_manager();
        let context = self
            .context
            .child("validator")
            .with_attribute("number", number);
        context.spawn(move |context| async move {
            let identity = Identity::of(&config).unwrap();
            let (_gossip, outbox) = frames(&config);
            let channels = Channels {
                votes: control.register(0, RATE).await.unwrap(),
                certificates: control.register(1, RATE).await.unwrap(),
                resolver: control.register(2, RATE).await.unwrap(),
                backfill: control.register(3, RATE).await.unwrap(),
                blocks: control.register(4, RATE).await.unwrap(),
                gossip: control.register(5, RATE).await.unwrap(),
            };
            let links = Links {
                channels,
                blocker: control,
                peers,
            };
            let wires = (outbox, status);
            let actors =
                wiring::start(context, &config, &identity, &partition, chain, links, wires)
                    .await
                    .unwrap();
            unreachable!("validator {number} ended: {:?}", actors.ended().await);
        })
    }

    pub(crate) async fn reached(&self, number: usize, height: u64) {
        while self.chains[number].height() < height {
            self.context.sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Seeds of `size` nodes, ascending by public key.
fn seeds(size: usize) -> Vec<[u8; 32]> {
    let mut seeds: Vec<_> = (0..size).map(|number| [number as u8 + 1; 32]).collect();
    seeds.sort_by_key(public_key);
    seeds
}

/// `size` nodes as committees list them.
pub(crate) fn nodes(size: usize) -> Vec<Validator> {
    let address = "127.0.0.1:1".parse().unwrap();
    let seeds = seeds(size);
    let nodes = seeds.iter().map(|seed| Validator {
        public_key: public_key(seed),
        address,
    });
    nodes.collect()
}

fn configs(size: usize) -> Vec<EngineConfig> {
    let config = |seed| {
        let mut config = EngineConfig::new(
            seed,
            "127.0.0.1:1".parse().unwrap(),
            "unused".into(),
            NAMESPACE.to_vec(),
        );
        config.block_interval = Duration::from_millis(200);
        config
    };
    seeds(size).into_iter().map(config).collect()
}

fn chains() -> Vec<Chain> {
    let plan = Plan::constant(EPOCH_BLOCKS, &nodes(SIZE));
    (0..SIZE).map(|_| Chain::new(1000, plan.clone())).collect()
}

pub(crate) fn runner(seed: u64) -> deterministic::Runner {
    let limit = Duration::from_secs(600);
    deterministic::Runner::new(
        deterministic::Config::new()
            .with_seed(seed)
            .with_timeout(Some(limit)),
    )
}

pub(crate) fn assert_agreement(chains: &[Chain]) {
    let chains: Vec<_> = chains.iter().map(Chain::finals).collect();
    let longest = chains.iter().max_by_key(|chain| chain.len()).unwrap();
    for chain in &chains {
        for (own, other) in chain.iter().zip(longest) {
            assert_eq!(own.block, other.block);
        }
    }
}

/// One validator is cut down and comes back; returns a digest of all that happened.
fn crash_of_one(seed: u64) -> String {
    let chains = chains();
    let state = runner(seed).start(|context| async {
        let simulation = Simulation::new(context, chains.clone(), EPOCH_BLOCKS).await;
        let mut validators: Vec<_> = (0..SIZE).map(|number| simulation.start(number)).collect();
        simulation.reached(0, 5).await;
        let victim = usize::try_from(seed).unwrap() % SIZE;
        validators.swap_remove(victim).abort();
        let other = (victim + 1) % SIZE;
        simulation.reached(other, 15).await;
        let _restarted = simulation.start(victim);
        simulation.reached(victim, 25).await;
        for status in &simulation.statuses {
            assert_eq!(status.read().contradictions, 0);
        }
        simulation.context.auditor().state()
    });
    assert_agreement(&chains);
    state
}

#[test]
fn a_crashed_validator_rejoins_over_lossy_links() {
    for seed in 0..8 {
        crash_of_one(seed);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(crash_of_one(7), crash_of_one(7));
}

#[test]
fn all_validators_lose_power_again_and_again_and_never_disagree() {
    for seed in 0..4 {
        let chains = chains();
        let mut checkpoint = None;
        for round in 1..=4_u64 {
            let runner = checkpoint
                .take()
                .map_or_else(|| runner(seed), deterministic::Runner::from);
            // What was written and not synced is lost at the end of each round.
            let ((), left) = runner.start_and_recover(|context| async {
                let simulation = Simulation::new(context, chains.clone(), EPOCH_BLOCKS).await;
                let _validators: Vec<_> =
                    (0..SIZE).map(|number| simulation.start(number)).collect();
                simulation.reached(0, round * 8).await;
                simulation
                    .context
                    .sleep(Duration::from_millis(seed * 7 + round * 3))
                    .await;
            });
            checkpoint = Some(left);
        }
        assert_agreement(&chains);
        assert!(chains[0].height() >= 32);
    }
}
