//! Validators in one process: over loopback, and in simulation.

#![expect(
    clippy::unwrap_used,
    reason = "these are tests, and so are their helpers"
)]

mod chain;
mod epochs;
#[path = "../ports/mod.rs"]
mod ports;
mod simulation;
mod spy;

use bytes::Bytes;
use chain::{Chain, Plan, transactions};
use ed25519_zebra::{Signature, SigningKey, VerificationKey};
use node::engine::{
    Committee, CommitteeError, ConfigError, Engine, EngineConfig, EngineError, EngineHandle,
    FinalityCertificate, GossipError, StartError, Validator,
};
use std::{path::Path, time::Duration};
use tokio::time::timeout;

const NAMESPACE: &[u8] = b"careledger-test";
const LIMIT: Duration = Duration::from_secs(60);
/// Short, so that all networks here pass from epoch to epoch.
const EPOCH_BLOCKS: u64 = 8;

struct Network {
    configs: Vec<EngineConfig>,
    validators: Vec<Validator>,
    chains: Vec<Chain>,
    engines: Vec<Option<EngineHandle>>,
}

impl Network {
    fn new(size: usize, directory: &Path, interval: Duration) -> Self {
        let plan = |all: &[Validator]| Plan::constant(EPOCH_BLOCKS, all);
        Self::planned(size, directory, interval, plan)
    }

    fn planned(
        size: usize,
        directory: &Path,
        interval: Duration,
        plan: impl FnOnce(&[Validator]) -> Plan,
    ) -> Self {
        let mut seeds: Vec<_> = (0..size).map(|number| [number as u8 + 1; 32]).collect();
        seeds.sort_by_key(public_key);
        let validators: Vec<_> = seeds
            .iter()
            .map(|seed| Validator {
                public_key: public_key(seed),
                address: ports::free_address(),
            })
            .collect();
        let configs = seeds.iter().enumerate().map(|(number, seed)| {
            let mut config = EngineConfig::new(
                *seed,
                validators[number].address,
                directory.join(number.to_string()),
                NAMESPACE.to_vec(),
            );
            config.block_interval = interval;
            config.epoch_blocks = EPOCH_BLOCKS;
            config
        });
        let configs: Vec<_> = configs.collect();
        let plan = plan(&validators);
        Self {
            configs,
            validators,
            chains: (0..size)
                .map(|_| Chain::new(60_000, plan.clone()))
                .collect(),
            engines: (0..size).map(|_| None).collect(),
        }
    }

    fn start(&mut self, number: usize) {
        let engine =
            Engine::start(self.configs[number].clone(), self.chains[number].clone()).unwrap();
        self.engines[number] = Some(engine);
    }

    fn start_all(&mut self) {
        (0..self.configs.len()).for_each(|number| self.start(number));
    }

    async fn stop(&mut self, number: usize) {
        let engine = self.engines[number].take().unwrap();
        timeout(LIMIT, engine.stop()).await.unwrap().unwrap();
    }

    async fn stop_all(&mut self) {
        for number in 0..self.engines.len() {
            if self.engines[number].is_some() {
                self.stop(number).await;
            }
        }
    }

    async fn reached(&self, number: usize, height: u64) {
        timeout(LIMIT, self.chains[number].reached(height))
            .await
            .unwrap();
    }

    /// All nodes have the same blocks, as far as each has got.
    fn assert_agreement(&self) {
        let chains: Vec<_> = self.chains.iter().map(Chain::finals).collect();
        let longest = chains.iter().max_by_key(|chain| chain.len()).unwrap();
        for chain in &chains {
            for (own, other) in chain.iter().zip(longest) {
                assert_eq!(own.block, other.block);
            }
        }
    }
}

fn public_key(seed: &[u8; 32]) -> [u8; 32] {
    VerificationKey::from(&SigningKey::from(*seed)).into()
}

/// Checks a certificate with nothing but the documented bytes and plain Ed25519.
fn verify(certificate: &FinalityCertificate, namespace: &[u8], validators: &[Validator]) -> bool {
    let quorum = validators.len() - (validators.len() - 1) / 3;
    let message = certificate.signed_bytes(namespace);
    certificate.signers.len() >= quorum
        && certificate.signers.len() == certificate.signatures.len()
        && certificate.signers.is_sorted_by(|a, b| a < b)
        && certificate
            .signers
            .iter()
            .zip(&certificate.signatures)
            .all(|(signer, signature)| {
                validators
                    .get(usize::from(*signer))
                    .and_then(|validator| VerificationKey::try_from(validator.public_key).ok())
                    .is_some_and(|key| {
                        key.verify(&Signature::from_bytes(signature), &message)
                            .is_ok()
                    })
            })
}

#[tokio::test]
async fn four_validators_finalise_the_same_blocks_with_certificates() {
    let directory = tempfile::tempdir().unwrap();
    let mut network = Network::new(4, directory.path(), Duration::from_millis(50));
    network.start_all();
    network.chains[2].submit(Bytes::from_static(b"transaction"));
    for number in 0..4 {
        network.reached(number, 12).await;
        // A proposal that is given up before its peers listen comes again at the next turn.
        while carried(&network.chains[number]) == 0 {
            network
                .reached(number, network.chains[number].height() + 1)
                .await;
        }
    }
    network.stop_all().await;
    network.assert_agreement();
    let validators = &network.validators;
    for chain in &network.chains {
        let finals = chain.finals();
        assert_eq!(carried(chain), 1);
        assert!(finals.iter().any(|last| last.certificate.is_some()));
        for last in &finals {
            if let Some(certificate) = &last.certificate {
                assert_eq!(certificate.payload, last.block.digest());
                assert!(verify(certificate, NAMESPACE, validators));
                assert!(!verify(certificate, b"another network", validators));
                let mut forged = certificate.clone();
                forged.payload[0] ^= 1;
                assert!(!verify(&forged, NAMESPACE, validators));
            }
        }
    }
}

#[tokio::test]
async fn a_restarted_validator_catches_up_and_takes_part_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut network = Network::new(4, directory.path(), Duration::from_millis(50));
    network.start_all();
    network.reached(3, 5).await;
    network.stop(3).await;
    let stopped_at = network.chains[3].height();
    network.reached(0, stopped_at + 10).await;
    network.start(3);
    let target = network.chains[0].height();
    network.reached(3, target).await;
    // With another validator gone, nothing becomes final without the restarted one.
    network.stop(0).await;
    let before = network.chains[1].height();
    network.reached(1, before + 5).await;
    network.reached(3, before + 5).await;
    network.stop_all().await;
    network.assert_agreement();
}

#[tokio::test]
async fn all_validators_restart_and_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut network = Network::new(4, directory.path(), Duration::from_millis(50));
    for _ in 0..2 {
        let before = network.chains.iter().map(Chain::height).max().unwrap();
        network.start_all();
        for number in 0..4 {
            network.reached(number, before + 5).await;
        }
        network.stop_all().await;
    }
    network.assert_agreement();
}

#[tokio::test]
async fn one_validator_alone_finalises_and_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let mut network = Network::new(1, directory.path(), Duration::from_millis(20));
    network.start(0);
    network.reached(0, 5).await;
    network.stop(0).await;
    let before = network.chains[0].height();
    network.start(0);
    network.reached(0, before + 5).await;
    network.stop(0).await;
    let last = network.chains[0].finals().pop().unwrap();
    assert!(verify(
        &last.certificate.unwrap(),
        NAMESPACE,
        &network.validators
    ));
}

#[tokio::test]
async fn an_application_that_lost_blocks_gets_them_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut network = Network::new(1, directory.path(), Duration::from_millis(20));
    network.start(0);
    network.reached(0, 40).await;
    network.stop(0).await;
    let before = network.chains[0].finals();
    network.chains[0].lose(3);
    network.start(0);
    network.reached(0, before.len() as u64 + 1).await;
    network.stop(0).await;
    let after = network.chains[0].finals();
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(old.block, new.block);
        assert_eq!(old.certificate, new.certificate);
    }
}

#[tokio::test]
async fn a_follower_connects_keeps_up_and_becomes_a_validator() {
    let directory = tempfile::tempdir().unwrap();
    let plan = |all: &[Validator]| {
        let mut plan = Plan::constant(EPOCH_BLOCKS, all);
        let first = Committee {
            validators: all[..3].to_vec(),
            followers: all[3..].to_vec(),
        };
        let second = plan.from.insert(0, first).unwrap();
        plan.from.insert(2, second);
        plan
    };
    let interval = Duration::from_millis(50);
    let mut network = Network::planned(4, directory.path(), interval, plan);
    network.start_all();
    network.reached(3, 2 * EPOCH_BLOCKS).await;
    // With another one gone, nothing becomes final without the former follower.
    network.stop(0).await;
    let before = network.chains[1].height();
    network.reached(1, before + 5).await;
    network.reached(3, before + 5).await;
    network.stop_all().await;
    network.assert_agreement();
    let epochs = network.chains[3].finals();
    let signers = epochs.iter().filter_map(|last| last.certificate.as_ref());
    for certificate in signers {
        let new = certificate.signers.contains(&3);
        assert!(!new || certificate.epoch >= 2);
    }
}

#[tokio::test]
async fn frames_reach_all_peers_and_large_ones_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut network = Network::new(4, directory.path(), Duration::from_millis(50));
    network.start_all();
    network.reached(0, 3).await;
    let sender = network.engines[0].as_ref().unwrap();
    assert_eq!(
        sender.gossip().broadcast(vec![0; 256 * 1024 + 1].into()),
        Err(GossipError::FrameTooLarge)
    );
    let from = network.validators[0].public_key;
    let heard = |chain: &Chain| chain.heard().iter().any(|(peer, _)| *peer == from);
    timeout(LIMIT, async {
        while !network.chains[1..].iter().all(heard) {
            sender
                .gossip()
                .broadcast(Bytes::from_static(b"frame"))
                .unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        while sender.status().connected.len() != 3 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
    assert!(sender.status().applied_height >= 3);
    network.stop_all().await;
}

#[tokio::test]
async fn a_directory_serves_one_engine_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let mut network = Network::new(1, directory.path(), Duration::from_millis(20));
    network.start(0);
    network.reached(0, 1).await;
    let second = Engine::start(network.configs[0].clone(), network.chains[0].clone());
    assert!(matches!(second, Err(StartError::DirectoryInUse)));
    network.reached(0, network.chains[0].height() + 2).await;
    network.stop(0).await;
}

#[test]
fn wrong_settings_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let network = Network::new(4, directory.path(), Duration::from_secs(1));
    let refused = |change: fn(&mut EngineConfig)| {
        let mut config = network.configs[0].clone();
        change(&mut config);
        match Engine::start(config, network.chains[0].clone()) {
            Err(StartError::Config(error)) => error,
            other => panic!("started: {other:?}"),
        }
    };
    assert_eq!(
        refused(|config| config.namespace.clear()),
        ConfigError::NoNamespace
    );
    assert_eq!(
        refused(|config| config.max_block_bytes = 0),
        ConfigError::BlockBytesOutOfRange
    );
    assert_eq!(
        refused(|config| config.max_frame_bytes = 0),
        ConfigError::FrameBytesOutOfRange
    );
    assert_eq!(
        refused(|config| config.epoch_blocks = 1),
        ConfigError::EpochTooShort
    );
    assert_eq!(
        refused(|config| config.max_peers = 0),
        ConfigError::ZeroLimit
    );
    assert_eq!(
        refused(|config| config.frames_per_second = 0),
        ConfigError::ZeroLimit
    );
}

#[tokio::test]
async fn an_engine_ends_when_an_epoch_cannot_have_its_validators() {
    let directory = tempfile::tempdir().unwrap();
    let network = Network::new(1, directory.path(), Duration::from_millis(20));
    let mut plan = Plan::constant(EPOCH_BLOCKS, &network.validators);
    plan.from.insert(1, Committee::default());
    let chain = Chain::new(0, plan);
    let engine = Engine::start(network.configs[0].clone(), chain.clone()).unwrap();
    let ended = timeout(LIMIT, engine.ended()).await.unwrap();
    let expected = EngineError::Committee(1, CommitteeError::NoValidators);
    assert_eq!(ended, Err(expected));
    assert_eq!(chain.height(), EPOCH_BLOCKS - 1);
}

#[test]
fn the_documented_example_holds() {
    let certificate = FinalityCertificate {
        epoch: 0,
        view: 300,
        parent_view: 299,
        payload: [0xab; 32],
        signers: Vec::new(),
        signatures: Vec::new(),
    };
    let expected = [
        "18",
        "636172656c65646765722d74657374",
        "5f46494e414c495a45",
        "00",
        "ac02",
        "ab02",
        &"ab".repeat(32),
    ];
    assert_eq!(
        hex::encode(certificate.signed_bytes(NAMESPACE)),
        expected.concat()
    );
}

/// Transactions in a chain's final blocks.
fn carried(chain: &Chain) -> usize {
    let finals = chain.finals();
    let counts = finals.iter().map(|last| transactions(&last.block).len());
    counts.sum()
}
