//! `careledger witness`: for a regulator, a patients' body or anybody else who follows a network's log.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use gateway::auth::Clock;
use gateway::witness::{CannotSign, WitnessKey, WitnessParts, witness_router};
use ledger::checkpoint::{CosignerKeys, KeyKind, VerifierKey};
use ledger::genesis::Genesis;
use tokio::net::TcpListener;
use vault::keystore::{FileKeyStore, KdfCost, KeyStore, SecretKind, SecretName};

use crate::network::{Passphrase, read_genesis, write_secret};

const EXAMPLES: &str = "\
Examples:
  careledger witness init --folder w1 --name regulator.example/w1
  careledger witness serve --folder w1 --genesis net/genesis.cbor --listen 127.0.0.1:9100

A node asks the witness after this in its node.toml, with the keys that `init` prints:
  [[witnesses]]
  url = \"http://127.0.0.1:9100\"
  keys = [\"regulator.example/w1+...\"]";

/// Cosigns checkpoints of networks' logs (C2SP tlog-witness), so that no network can show two logs.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WitnessArgs {
    #[command(subcommand)]
    command: WitnessCommand,
}

#[derive(Debug, Subcommand)]
enum WitnessCommand {
    /// Makes a witness's keys, and prints their public halves.
    Init {
        /// A new folder.
        #[arg(long)]
        folder: PathBuf,
        /// The witness's name, such as regulator.example/w1.
        #[arg(long)]
        name: String,
    },
    /// Prints the public keys again.
    Keys {
        /// The witness's folder.
        #[arg(long)]
        folder: PathBuf,
    },
    /// Answers logs and monitors until Ctrl-C.
    Serve {
        /// The witness's folder.
        #[arg(long)]
        folder: PathBuf,
        /// The genesis of a network whose log is witnessed; several are possible.
        #[arg(long, required = true)]
        genesis: Vec<PathBuf>,
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:9100")]
        listen: SocketAddr,
    },
}

pub(crate) async fn run(args: WitnessArgs) -> anyhow::Result<()> {
    match args.command {
        WitnessCommand::Init { folder, name } => init(&folder, &name),
        WitnessCommand::Keys { folder } => print(&keys(&folder)?),
        WitnessCommand::Serve {
            folder,
            genesis,
            listen,
        } => serve(&folder, &genesis, listen).await,
    }
}

fn init(folder: &Path, name: &str) -> anyhow::Result<()> {
    // A name that no key can have is found before anything is written.
    VerifierKey::new(name, KeyKind::Ed25519, &[0; 32])
        .context("a witness's name has neither spaces nor plus signs")?;
    fs::create_dir_all(folder)?;
    anyhow::ensure!(
        fs::read_dir(folder)?.next().is_none(),
        "the folder is not empty: name another one"
    );
    let passphrase = hex::encode(rand::random::<[u8; 32]>());
    write_secret(&folder.join("passphrase"), passphrase.as_bytes())?;
    let path = folder.join("keys.bin");
    let store = FileKeyStore::create(&path, passphrase.as_bytes(), KdfCost::default())?;
    store.generate(SecretName::validator(), SecretKind::Signing)?;
    store.generate(SecretName::cosigner(), SecretKind::Cosigning)?;
    fs::create_dir(folder.join("checkpoints"))?;
    fs::write(folder.join("name"), name)?;
    print(&keys(folder)?)
}

async fn serve(folder: &Path, genesis: &[PathBuf], listen: SocketAddr) -> anyhow::Result<()> {
    let mut logs = Vec::new();
    for path in genesis {
        logs.extend(log_keys(&read_genesis(path)?)?);
    }
    let router = witness_router(WitnessParts {
        keys: keys(folder)?,
        logs,
        directory: folder.join("checkpoints"),
        clock: Clock::system(),
    });
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("the witness cannot listen on {listen}"))?;
    tracing::info!(%listen, "the witness is up");
    let interrupted = async {
        // Without signals there is nothing to wait for but the end of the process.
        let _interrupted = tokio::signal::ctrl_c().await;
    };
    Ok(gateway::serve(listener, router, interrupted).await?)
}

/// The keys by which any of a network's validators signs its log.
fn log_keys(genesis: &Genesis) -> anyhow::Result<Vec<VerifierKey>> {
    let network = genesis.network();
    let validators = genesis.members.iter().filter_map(|member| {
        let keys = CosignerKeys::of(network, &member.name, member.validator?, None);
        Some(keys.map(|keys| keys.log))
    });
    Ok(validators.collect::<Result<_, _>>()?)
}

fn keys(folder: &Path) -> anyhow::Result<Vec<WitnessKey>> {
    let name = fs::read_to_string(folder.join("name"))
        .with_context(|| format!("{} is no witness's folder", folder.display()))?;
    let passphrase = Passphrase::find(Some(&folder.join("passphrase")))?;
    let store = FileKeyStore::open(&folder.join("keys.bin"), passphrase.bytes())?;
    let store = Arc::new(store);
    let ed25519 = store.public_key(&SecretName::validator())?;
    let ml_dsa_44 = store.ml_dsa_44_public_key(&SecretName::cosigner())?;
    let (one, other) = (Arc::clone(&store), store);
    Ok(vec![
        WitnessKey {
            key: VerifierKey::new(&name, KeyKind::Ed25519, &ed25519)?,
            sign: Arc::new(move |bytes| {
                let signature = one.sign(&SecretName::validator(), bytes);
                let signature = signature.map(|bytes| bytes.to_vec());
                signature.map_err(|error| CannotSign(error.to_string()))
            }),
        },
        WitnessKey {
            key: VerifierKey::new(&name, KeyKind::MlDsa44, &ml_dsa_44)?,
            sign: Arc::new(move |bytes| {
                let signature = other.sign_ml_dsa_44(&SecretName::cosigner(), bytes);
                signature.map_err(|error| CannotSign(error.to_string()))
            }),
        },
    ])
}

fn print(keys: &[WitnessKey]) -> anyhow::Result<()> {
    for key in keys {
        writeln!(std::io::stdout(), "{}", key.key)?;
    }
    Ok(())
}
