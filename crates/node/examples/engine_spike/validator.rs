//! One validator in a process of its own, ruled over standard input.

use crate::application::Spike;
use anyhow::{Context as _, Result};
use ed25519_zebra::{SigningKey, VerificationKey};
use node::engine::{Engine, EngineConfig, Validator};
use std::{
    fs::{self, File},
    io::stdin,
    net::SocketAddr,
    path::PathBuf,
    sync::mpsc,
    thread,
    time::Duration,
};

/// Between two batches of transactions.
const TICK: Duration = Duration::from_millis(5);

/// Arguments: number, size of the network, first port, directory, block interval in milliseconds,
/// largest block.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let number: usize = argument(arguments, 0)?;
    let size: u8 = argument(arguments, 1)?;
    let port: u16 = argument(arguments, 2)?;
    let directory: PathBuf = argument(arguments, 3)?;
    let max_block: usize = argument(arguments, 5)?;
    let mut seeds: Vec<[u8; 32]> = (0..size).map(|seed| [seed + 1; 32]).collect();
    seeds.sort_by_key(public_key);
    let validators: Vec<_> = (port..)
        .zip(&seeds)
        .map(|(port, seed)| Validator {
            public_key: public_key(seed),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        })
        .collect();
    fs::create_dir_all(&directory)?;
    let store = directory.join("applied");
    let store = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(store)?;
    let listen = validators[number].address;
    let namespace = b"careledger-spike".to_vec();
    let mut config = EngineConfig::new(seeds[number], listen, directory, namespace);
    config.block_interval = Duration::from_millis(argument(arguments, 4)?);
    config.max_block_bytes = max_block;
    let application = Spike::open(store, max_block - 1024, validators);
    let engine = Engine::start(config, application.clone())?;
    application.connect(engine.gossip());
    let (orders, received) = mpsc::channel();
    thread::spawn(move || {
        stdin()
            .lines()
            .map_while(Result::ok)
            .try_for_each(|l| orders.send(l))
    });
    obey(&application, &received)?;
    tokio::runtime::Builder::new_current_thread()
        .build()?
        .block_on(engine.stop())?;
    Ok(())
}

/// Submits transactions at the rate that was last ordered, until standard input closes.
fn obey(application: &Spike, orders: &mpsc::Receiver<String>) -> Result<()> {
    let (mut rate, mut bytes, mut due) = (0.0, 0, 0.0);
    loop {
        match orders.recv_timeout(TICK) {
            Ok(order) => {
                let words: Vec<String> = order.split(' ').map(str::to_owned).collect();
                if words[0] == "fill" {
                    application.fill(argument(&words, 1)?);
                } else {
                    (rate, bytes) = (argument(&words, 1)?, argument(&words, 2)?);
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                due += rate * TICK.as_secs_f64();
                if due >= 1.0 {
                    application.submit(due as usize, bytes);
                    due = due.fract();
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

fn argument<T: std::str::FromStr>(arguments: &[String], position: usize) -> Result<T> {
    let text = arguments
        .get(position)
        .with_context(|| format!("argument {position}"))?;
    text.parse()
        .ok()
        .with_context(|| format!("argument {position}: {text}"))
}

fn public_key(seed: &[u8; 32]) -> [u8; 32] {
    VerificationKey::from(&SigningKey::from(*seed)).into()
}
