//! `careledger node`: runs one member's node until it is told to stop.

mod care_services;
mod imaging;
mod joining;
mod keys;
mod labels;
mod linkage;
mod mllp;
mod payloads;
mod profiles;
mod records;
mod settings;
mod v2_send;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::node::chain::Clock;
use ::node::health::Vitals;
use ::node::identity::certificate_in_pem;
use ::node::outbox::OutboxConfig;
use ::node::terminology::Vocabularies;
use ::node::{Node, NodeConfig, PeerAddress};
use anyhow::Context as _;
use clap::Args;
use gateway::auth::{Accounts, Provider, SignIn, TokenSigner};
use gateway::enrolment::MemberKey;
use gateway::witness::{Witness, follow};
use gateway::{
    Gateway, GatewayParts, ImportConfig, NodeIdentity, StatusSource, SubscriptionConfig,
};
use ledger::ids::MemberName;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use vault::keystore::KeyStore;

pub(crate) use self::care_services::CareServicesEntry;
pub(crate) use self::imaging::DicomWebEntry;
pub(crate) use self::joining::{How, Peers, prepare};
pub(crate) use self::keys::{KeysEntry, open_keys, pin};
pub(crate) use self::labels::LabelsEntry;
pub(crate) use self::linkage::LinkageEntry;
pub(crate) use self::mllp::MllpEntry;
use self::payloads::upstream;
pub(crate) use self::payloads::{PayloadsEntry, blobs};
pub(crate) use self::records::{RecordsEntry, records};
pub(crate) use self::settings::{
    AuditEntry, ConsentEntry, EmergencyEntry, LimitsEntry, ReleaseEntry, SearchEntry,
    TerminologyEntry, ValidationEntry, is_default,
};
pub(crate) use self::v2_send::V2SendEntry;
use crate::hardening::keep_memory_private;
use crate::keys::{exchange_names, open_with_any, token_keys};
use crate::network::{MemberLayout, NodeFile, WitnessEntry, read_genesis};

const TOKEN_SECONDS: u64 = 15 * 60;
const BLOCK_INTERVAL: Duration = Duration::from_secs(1);
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(30);
const EXPIRY_CHECK: Duration = Duration::from_hours(24);

/// Runs a node.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  careledger node --config net/hospital/node.toml\n  \
    careledger node --config net/regulator/node.toml --join replay"
)]
pub(crate) struct NodeArgs {
    /// The node's configuration.
    #[arg(long)]
    config: PathBuf,
    /// How a node without a ledger gets one: a founding member replays, others join by snapshot.
    #[arg(long, value_enum, default_value_t = How::Auto)]
    join: How,
    /// A signed note over a checkpoint of the log, such as /log/witnessed, that a snapshot has to continue.
    #[arg(long)]
    checkpoint: Option<PathBuf>,
    /// Stops when standard input ends, so that the node does not outlive what started it.
    #[arg(long)]
    until_stdin_ends: bool,
}

pub(crate) async fn run(args: NodeArgs) -> anyhow::Result<()> {
    // Before anything is secret in it.
    keep_memory_private();
    let file = NodeFile::read(&args.config)?;
    let folder = args.config.parent().unwrap_or(Path::new(".")).to_owned();
    let keys = open_keys(&file, &folder)?;
    let listener = TcpListener::bind(file.listen)
        .await
        .with_context(|| format!("the gateway cannot listen on {}", file.listen))?;
    let config = node_config(&file, &folder, &keys)?;
    let peers = Peers::of(&file)?;
    prepare(&config, &peers, (args.join, args.checkpoint.as_deref())).await?;
    let node = Node::start(config).await?;
    node.custody.keep_by(file.retention.clone());
    let mut aside = JoinSet::new();
    aside.spawn(joining::show_catching_up(node.chain.clone(), peers));
    aside.spawn(warn_of_expiry(node.vitals()));
    aside.spawn(crate::reindex::serve(
        node.custody.clone(),
        folder.join(&file.data),
    ));
    aside.spawn(crate::relabel::serve(
        node.custody.clone(),
        folder.join(&file.data),
    ));
    let witnesses = witnesses(&file)?;
    if !witnesses.is_empty() {
        aside.spawn(follow(Arc::new(node.chain.clone()), witnesses));
    }
    let sign_in = sign_in(&file, &folder)?;
    let signer = TokenSigner::of(token_keys(&keys)?);
    aside.spawn(crate::keys::serve(
        node.custody.clone(),
        (Arc::clone(&keys), signer.clone()),
        TOKEN_SECONDS,
        folder.join(&file.data),
    ));
    let vocabularies = vocabularies(&file, &folder);
    node.custody.map_by(vocabularies.clone());
    let gateway = gateway(
        &file,
        &folder,
        &node,
        &keys,
        (sign_in, signer),
        &vocabularies,
    )?;
    aside.spawn(crate::terminology::serve(vocabularies));
    let messages = mllp::listen(&file.mllp, &gateway.mllp()).await?;
    tracing::info!(member = %file.member, address = %file.listen, "the node is up");
    let stop = stop_signal(args.until_stdin_ends);
    let outcome = serve(&node, listener, gateway, stop).await;
    messages.stop().await;
    drop(aside);
    let stopped = node.stop().await;
    // What made the node end says more than how it ended.
    outcome.map_err(|error| with_cause(error, &folder.join(&file.data)))?;
    Ok(stopped?)
}

/// Serves until it is told to stop, or a part of the node has ended.
async fn serve(
    node: &Node,
    listener: TcpListener,
    gateway: Gateway,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (asked, until_asked) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(gateway::serve(listener, gateway.router(), async move {
        // Either way it is time to stop.
        let _asked = until_asked.await;
    }));
    let outcome = tokio::select! {
        () = stop => Ok(()),
        ended = node.ended() => ended.context("consensus ended"),
        () = node.custody.stopped() => {
            Err(anyhow::anyhow!("the record store cannot be written any more"))
        }
    };
    tracing::info!("the node is stopping");
    drop(asked);
    serving.await??;
    outcome
}

/// A full disk shows in many ways, few of which say so.
fn with_cause(error: anyhow::Error, data: &Path) -> anyhow::Error {
    if !is_full(data) {
        return error;
    }
    let data = data.display();
    error.context(format!(
        "the disk of {data} is full: make room, and start the node again; nothing that was acknowledged is lost"
    ))
}

fn is_full(data: &Path) -> bool {
    let probe = data.join("probe");
    let written = std::fs::write(&probe, [0; 1 << 16]);
    // It may not have been made.
    let _removed = std::fs::remove_file(&probe);
    written.is_err_and(|error| error.kind() == std::io::ErrorKind::StorageFull)
}

/// Says in the log, each day, that the certificate expires within weeks.
async fn warn_of_expiry(vitals: Vitals) {
    let mut days = tokio::time::interval(EXPIRY_CHECK);
    loop {
        days.tick().await;
        let health = vitals.read();
        if health.expires_soon() {
            let days_left = health.certificate_left_ms / 86_400_000;
            tracing::warn!(
                days_left,
                "the node's certificate expires: run `careledger governance renew`"
            );
        }
    }
}

pub(crate) fn node_config(
    file: &NodeFile,
    folder: &Path,
    keys: &Arc<dyn KeyStore>,
) -> anyhow::Result<NodeConfig> {
    let address = |entry: &crate::network::AddressEntry| PeerAddress {
        consensus: entry.consensus,
        exchange: entry.exchange,
    };
    Ok(NodeConfig {
        member: member(&file.member)?,
        directory: folder.join(&file.data),
        records: records(file, folder)?,
        blobs: blobs(file, folder)?,
        upstream: upstream(file, folder)?,
        genesis: read_genesis(&folder.join(&file.genesis))?,
        addresses: file
            .addresses
            .iter()
            .map(|(name, entry)| Ok((member(name)?, address(entry))))
            .collect::<anyhow::Result<_>>()?,
        certificate: own_certificate(folder),
        keep: file.keep.parse().context("`keep` in node.toml")?,
        keys: Arc::clone(keys),
        outbox: OutboxConfig::default(),
        full_text: file.search.full_text,
        label_rules: file.labels.read(folder)?,
        review_ms: file.emergency.review_ms(),
        implicit: file.consent.implicit(),
        linkage: file.linkage.read(folder)?,
        block_interval: BLOCK_INTERVAL,
        exchange_timeout: EXCHANGE_TIMEOUT,
        copies_at: copies_at(file)?,
        services: care_services::services(file)?,
        clock: milliseconds(),
    })
}

/// Who keeps copies for release: other members.
fn copies_at(file: &NodeFile) -> anyhow::Result<Vec<MemberName>> {
    let holders = file.release.copies_at.iter().map(|name| {
        anyhow::ensure!(
            *name != file.member,
            "`copies_at` of [release] in node.toml names this member itself"
        );
        member(name)
    });
    holders.collect()
}

/// The certificate beside the configuration: a member that was just admitted is not in the genesis.
fn own_certificate(folder: &Path) -> Option<Vec<u8>> {
    let pem = std::fs::read(MemberLayout::at(folder).certificate("node")).ok()?;
    certificate_in_pem(&pem)
}

fn member(name: &str) -> anyhow::Result<MemberName> {
    name.parse()
        .with_context(|| format!("`{name}` is no member's name"))
}

fn milliseconds() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
    })
}

pub(crate) fn gateway(
    file: &NodeFile,
    folder: &Path,
    node: &Node,
    keys: &Arc<dyn KeyStore>,
    (sign_in, signer): (SignIn, TokenSigner),
    vocabularies: &Vocabularies,
) -> anyhow::Result<Gateway> {
    let vitals = node.vitals();
    Ok(Gateway::new(GatewayParts {
        base_url: file.base_url.clone(),
        identity: NodeIdentity {
            member: member(&file.member)?,
            network: node.chain.network(),
            certificate: node.certificate(),
            has_test_clock: false,
        },
        custody: node.custody.clone(),
        ledger: Arc::new(node.chain.clone()),
        log: Arc::new(node.chain.clone()),
        snapshots: Arc::new(node.chain.clone()),
        network: Arc::new(node.exchange.clone()),
        status: StatusSource::new(move || vitals.read()),
        clients: file.clients.clone(),
        sign_in,
        signer,
        token_seconds: TOKEN_SECONDS,
        clock: gateway::auth::Clock::system(),
        member_key: member_key(keys),
        profiles: profiles::load(folder, &file.profiles)?,
        checking: file.validation.checking(),
        limits: file.limits.limits()?,
        serves_metrics: true,
        subscriptions: SubscriptionConfig {
            rest_hooks: file.rest_hooks.clone(),
            receivers: v2_send::receivers(&file.v2_send, folder, &file.member)?,
            ..SubscriptionConfig::default()
        },
        import: ImportConfig {
            allowed_origins: file.import.allowed_origins.clone(),
        },
        emergency: file.emergency.config(),
        forward: file.audit.config(folder),
        vocabularies: vocabularies.clone(),
        mllp: mllp::listeners(&file.mllp, folder)?,
        archive: file.dicom_web.config(folder),
    })?)
}

/// What is loaded in the node's folder.
pub(crate) fn vocabularies(file: &NodeFile, folder: &Path) -> Vocabularies {
    let at = folder.join(&file.data).join(::node::terminology::FOLDER);
    Vocabularies::open(&at, &file.terminology.map_on_write)
}

/// How people sign in: with the accounts and at the provider that the configuration names.
pub(crate) fn sign_in(file: &NodeFile, folder: &Path) -> anyhow::Result<SignIn> {
    let accounts = file.accounts.as_ref().map(|path| {
        let path = folder.join(path);
        let shown = path.display().to_string();
        Accounts::open(path).with_context(|| format!("the accounts in {shown}"))
    });
    let provider = file.identity_provider.as_ref().map(|entry| {
        let mut config = entry.provider.clone();
        if let Some(path) = &entry.client_secret_file {
            let path = folder.join(path);
            let secret = std::fs::read_to_string(&path);
            let secret = secret.with_context(|| format!("{} cannot be read", path.display()))?;
            config.client_secret = Some(secret.trim_end().to_owned());
        }
        anyhow::Ok(Provider::new(config)?)
    });
    Ok(SignIn {
        accounts: accounts.transpose()?,
        provider: provider.transpose()?,
        origins: file.origins.clone(),
    })
}

fn witnesses(file: &NodeFile) -> anyhow::Result<Vec<Witness>> {
    let witness = |entry: &WitnessEntry| {
        let keys = entry.keys.iter().map(|key| key.parse());
        let keys = keys.collect::<Result<_, _>>();
        Ok(Witness {
            url: entry.url.clone(),
            keys: keys.with_context(|| format!("the keys of the witness {}", entry.url))?,
        })
    };
    file.witnesses.iter().map(witness).collect()
}

fn member_key(keys: &Arc<dyn KeyStore>) -> MemberKey {
    let keys = Arc::clone(keys);
    let public = Arc::clone(&keys);
    let public = move || {
        let newest = exchange_names(&*public).into_iter().next()?;
        Some(public.hpke_public_key(&newest).ok()?.0)
    };
    MemberKey::new(public, move |info, bound, sealed| {
        open_with_any(&*keys, info, bound, sealed)
    })
}

/// Resolves at Ctrl-C, at SIGTERM, and if wished when standard input ends.
async fn stop_signal(until_stdin_ends: bool) {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupted => {}
        () = terminated() => {}
        () = stdin_ended(), if until_stdin_ends => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}

/// Standard input is read on a thread of its own, which nothing waits for.
async fn stdin_ended() {
    let (ended, until_ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        // However it ends, it has ended.
        let _read = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(ended);
    });
    let _ended = until_ended.await;
}
