//! Mends what can be mended: the chain from itself and from other members, blobs from a backup.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::node::chain::{self, rebuild};
use ::node::custody::inspect::{RecordPart, RecordsReport};
use anyhow::Context as _;
use ledger::dump::{Dump, DumpedBlock, start};
use ledger::ids::{Height, NetworkId};

use super::Subject;
use super::check::{Found, Records};
use crate::progress;

/// Largest block that is read from a member.
const BLOCK_BYTES_MAX: usize = 16 << 20;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where lost things may come from.
pub(super) struct Sources {
    pub(super) peers: Vec<String>,
    pub(super) backup: Option<PathBuf>,
    pub(super) renews_engine: bool,
}

/// Mends, and says what was done.
pub(super) async fn mend(
    subject: &Subject,
    found: &Found,
    sources: &Sources,
) -> anyhow::Result<Vec<String>> {
    let mut steps = Vec::new();
    if found.is_chain_damaged() {
        steps.push(mend_chain(subject, sources).await?);
    }
    if sources.renews_engine || !found.engine.damages.is_empty() {
        let kept = set_aside(&subject.part("engine"))?;
        fs::create_dir_all(subject.part("engine"))?;
        steps.push(format!(
            "the engine starts anew and fetches its archive from other members; its validator, which does not know what it \
             has signed, votes again from the next epoch on; what was there is in {}",
            kept.display()
        ));
    }
    if let Records::Checked(records) = &found.records {
        steps.extend(mend_blobs(subject, records, sources)?);
    }
    Ok(steps)
}

async fn mend_chain(subject: &Subject, sources: &Sources) -> anyhow::Result<String> {
    let (damaged, into) = (subject.part("chain"), subject.part("chain.rebuilt"));
    if into.exists() {
        fs::remove_dir_all(&into)?;
    }
    let peers = Peers::new(subject.genesis.network(), &sources.peers)?;
    let bar = progress::bar(0, "blocks");
    let rebuilt = rebuild(
        &subject.genesis,
        (&damaged, &into),
        async |height| peers.blocks(height).await,
        |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        },
    )
    .await?;
    bar.finish_and_clear();
    let report = chain::inspect(&subject.genesis, &into, |_, _| ())?;
    anyhow::ensure!(
        report.damages.is_empty(),
        "the chain that was built anew is not sound: nothing was changed"
    );
    let kept = set_aside(&damaged)?;
    fs::rename(&into, &damaged)?;
    sync(&subject.data())?;
    let mut said = format!(
        "the chain was built anew up to block {} of {}, {} blocks of it fetched from other members; what was there is in {}",
        rebuilt.height,
        rebuilt.before,
        rebuilt.fetched,
        kept.display()
    );
    if rebuilt.height < rebuilt.before || rebuilt.before == 0 {
        said.push_str(
            "; the rest comes from the engine's archive or from the other members when the node starts",
        );
    }
    Ok(said)
}

/// Puts payloads of a backup in the place of those that do not open. Whether they do, the next check says.
fn mend_blobs(
    subject: &Subject,
    records: &RecordsReport,
    sources: &Sources,
) -> anyhow::Result<Option<String>> {
    let Some(backup) = &sources.backup else {
        return Ok(None);
    };
    let damaged = records.damages.iter();
    let blobs = damaged.filter(|one| one.part == RecordPart::Blob);
    let blobs: Vec<_> = blobs.flat_map(|one| &one.blobs).collect();
    if blobs.is_empty() {
        return Ok(None);
    }
    let kept = backup.join(&subject.file.data).join("blobs");
    let mut mended = 0;
    for id in &blobs {
        let place = PathBuf::from(id.shard()).join(id.to_string());
        let Ok(bytes) = fs::read(kept.join(&place)) else {
            continue;
        };
        let target = subject.part("blobs").join(&place);
        replace(&target, &bytes)?;
        mended += 1;
    }
    Ok(Some(format!(
        "{mended} of {} large payloads came from the backup",
        blobs.len()
    )))
}

fn replace(target: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = target.parent().context("a blob has a folder")?;
    fs::create_dir_all(folder)?;
    let fresh = target.with_extension("new");
    fs::write(&fresh, bytes)?;
    File::open(&fresh)?.sync_all()?;
    fs::rename(&fresh, target)?;
    sync(folder)
}

/// Moves a folder out of the way; answers where to.
fn set_aside(folder: &Path) -> anyhow::Result<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let name = folder.file_name().context("a folder has a name")?;
    let name = format!("{}.damaged-{now}", name.to_string_lossy());
    let aside = folder.with_file_name(name);
    if folder.exists() {
        fs::rename(folder, &aside)?;
        sync(folder.parent().unwrap_or(folder))?;
    }
    Ok(aside)
}

fn sync(folder: &Path) -> anyhow::Result<()> {
    Ok(File::open(folder)?.sync_all()?)
}

/// Members that publish their blocks.
struct Peers {
    network: NetworkId,
    urls: Vec<String>,
    http: reqwest::Client,
}

impl Peers {
    fn new(network: NetworkId, urls: &[String]) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT);
        Ok(Self {
            network,
            urls: urls.to_vec(),
            http: http.build()?,
        })
    }

    /// What each of them says is the block at `height`.
    async fn blocks(&self, height: Height) -> Vec<DumpedBlock> {
        let mut blocks = Vec::new();
        for url in &self.urls {
            match self.block(url, height).await {
                Ok(block) => blocks.push(block),
                Err(error) => tracing::warn!(%url, height = height.0, %error, "no block"),
            }
        }
        blocks
    }

    async fn block(&self, url: &str, height: Height) -> anyhow::Result<DumpedBlock> {
        let url = format!("{}/log/blocks/{}", url.trim_end_matches('/'), height.0);
        let mut answer = self.http.get(&url).send().await?.error_for_status()?;
        let mut bytes = start(self.network);
        while let Some(chunk) = answer.chunk().await? {
            bytes.extend(chunk);
            anyhow::ensure!(bytes.len() <= BLOCK_BYTES_MAX, "the answer is too long");
        }
        let first = Dump::read(&bytes)?.next();
        Ok(first.context("the answer is empty")??)
    }
}
