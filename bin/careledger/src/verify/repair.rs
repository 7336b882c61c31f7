//! Mends what can be mended: the chain from itself and from other members, blobs from a backup.

mod chain;
mod peers;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ::node::custody::inspect::{RecordPart, RecordsReport};
use anyhow::Context as _;

use super::Subject;
use super::check::{Found, NoChain, Records};

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
    if let Err(NoChain::Unfinished(why)) = &found.chain {
        anyhow::bail!("{why}");
    }
    let mut has_joined = false;
    if found.is_chain_damaged() {
        let mended = chain::mend(subject, &sources.peers).await?;
        has_joined = mended.has_joined;
        steps.push(mended.said);
    }
    if has_joined || sources.renews_engine || !found.engine.damages.is_empty() {
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

/// Puts payloads of a backup in the place of those that do not open. Whether they do, the next check says.
fn mend_blobs(
    subject: &Subject,
    records: &RecordsReport,
    sources: &Sources,
) -> anyhow::Result<Option<String>> {
    let Some(backup) = &sources.backup else {
        return Ok(None);
    };
    if subject.file.payloads.is_bucket() {
        // A backup has none of what is in a bucket.
        return Ok(None);
    }
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
