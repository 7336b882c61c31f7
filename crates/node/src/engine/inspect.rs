//! Goes over the files of an engine that does not run: the archive of final blocks, and the record of votes.
//!
//! The library mends a record whose end is torn, as a crash leaves it, by cutting it. A record that is damaged before its
//! end would be cut as well, and with it votes that were sent: a validator that forgets those may contradict itself. So
//! votes are looked at page by page before the library opens them.

use super::{archive, block::BlockRules, wiring::Runtime};
use commonware_cryptography::Crc32;
use commonware_runtime::{
    Error as RuntimeError, ReadOptions, Runner as _,
    buffer::paged::{CHECKSUM_SIZE, CacheRef},
    tokio,
};
use commonware_storage::archive::{Archive as _, Identifier};
use std::{fmt, fs, path::Path, thread};

/// Partitions with votes have it in their names.
const VOTES: &str = "-consensus-";

/// What an inspection has gone over, and what it found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineReport {
    /// Archived blocks that are those of the chain.
    pub blocks: u64,
    /// Files with votes.
    pub votes: u64,
    /// What is damaged.
    pub damages: Vec<EngineDamage>,
}

/// What is wrong with an engine's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineDamage {
    /// The archive of final blocks does not open.
    Archive(String),
    /// Archived blocks cannot be read, or are not those of the chain.
    Blocks {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
        /// How many.
        count: u64,
    },
    /// A file cannot be opened, or would be cut by the library.
    File(String),
    /// The record of votes has pages that are not what was written.
    Votes(String),
}

impl fmt::Display for EngineDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive(why) => write!(
                f,
                "the archive of final blocks does not open ({why}): the node does not start"
            ),
            Self::Blocks { first, last, count } => write!(
                f,
                "{count} archived blocks ({first} to {last}) are not those of the chain or cannot be read: other members \
                 do not get them from this node"
            ),
            Self::File(file) => write!(
                f,
                "the engine's file {file} is damaged: the node does not start, or loses what is in it"
            ),
            Self::Votes(file) => write!(
                f,
                "the record of votes {file} is damaged: the validator might contradict what it has signed"
            ),
        }
    }
}

impl EngineDamage {
    /// The word for it in machine-readable reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Archive(_) => "archive",
            Self::Blocks { .. } => "archived-blocks",
            Self::File(_) => "file",
            Self::Votes(_) => "votes",
        }
    }
}

/// Inspects the engine's directory; `digests` are those of the chain's blocks from height 1 up, zeros where
/// they are not known.
pub fn inspect(directory: &Path, max_block_bytes: usize, digests: Vec<[u8; 32]>) -> EngineReport {
    let storage = directory.join("consensus");
    if !storage.exists() {
        return EngineReport::default();
    }
    let settings = tokio::Config::new()
        .with_worker_threads(1)
        .with_storage_directory(storage.clone());
    let rules = BlockRules {
        max_bytes: max_block_bytes,
        binds: |_| true,
    };
    // The library has a runtime of its own, and panics on some damages.
    let inspecting = thread::spawn(move || {
        tokio::Runner::new(settings).start(|context| async move {
            let mut report = EngineReport::default();
            match votes(&context, &storage, &mut report.votes).await {
                Ok(damaged) => report.damages.extend(damaged.map(EngineDamage::Votes)),
                Err(error) => report.damages.push(EngineDamage::Votes(error.to_string())),
            }
            match others(&context, &storage).await {
                Ok(damages) => report.damages.extend(damages),
                Err(error) => report
                    .damages
                    .push(EngineDamage::Archive(error.to_string())),
            }
            blocks(&context, rules, &digests, &mut report).await;
            certificates(&context, &mut report, digests.len()).await;
            report
        })
    });
    inspecting.join().unwrap_or_else(|panic| EngineReport {
        damages: vec![EngineDamage::Archive(said(&*panic))],
        ..EngineReport::default()
    })
}

/// The first file of the record of votes with a damaged page before its end.
pub(super) async fn votes<E: Runtime>(
    context: &E,
    storage: &Path,
    count: &mut u64,
) -> Result<Option<String>, RuntimeError> {
    for partition in partitions(storage) {
        if !partition.contains(VOTES) {
            continue;
        }
        for name in context.scan(&partition).await? {
            let (blob, size) = context.open(&partition, &name).await?;
            *count += 1;
            if !are_sound(&blob, size).await? {
                return Ok(Some(path_of(&partition, &name)));
            }
        }
    }
    Ok(None)
}

/// Files beside the record of votes that the library would not open, or would cut.
async fn others<E: Runtime>(
    context: &E,
    storage: &Path,
) -> Result<Vec<EngineDamage>, RuntimeError> {
    let mut damages = Vec::new();
    for partition in partitions(storage) {
        if partition.contains(VOTES) {
            continue;
        }
        let (mut copies, mut sound) = (0, 0);
        for name in context.scan(&partition).await? {
            let file = || EngineDamage::File(path_of(&partition, &name));
            let Ok((blob, size)) = context.open(&partition, &name).await else {
                damages.push(file());
                continue;
            };
            copies += 1;
            if partition.ends_with("-keys") || partition.ends_with("-key") {
                let values = partition.replace("-key", "-value");
                let has_values = storage.join(&values).join(hex_of(&name)).exists();
                if !has_values || !are_sound(&blob, size).await? {
                    damages.push(file());
                }
            } else if partition.ends_with("metadata") || partition.ends_with("-epochs") {
                sound += u32::from(is_sound_copy(&blob, size).await?);
            } else {
                sound += 1;
            }
        }
        // Of two copies, a crash may have torn the one that was being written.
        if copies > 0 && sound == 0 && !partition.ends_with("key") && !partition.ends_with("keys") {
            damages.push(EngineDamage::File(partition));
        }
    }
    Ok(damages)
}

fn partitions(storage: &Path) -> Vec<String> {
    let entries = fs::read_dir(storage).into_iter().flatten().flatten();
    let entries = entries.filter(|entry| entry.path().is_dir());
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}

fn path_of(partition: &str, name: &[u8]) -> String {
    format!("{partition}/{}", hex_of(name))
}

/// A file's name on disk.
fn hex_of(name: &[u8]) -> String {
    name.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a copy of a small table ends with the CRC-32C of what is before it.
async fn is_sound_copy(
    blob: &impl commonware_runtime::Blob,
    size: u64,
) -> Result<bool, RuntimeError> {
    if size == 0 {
        return Ok(true);
    }
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let bytes = blob
        .read_at(0, size, ReadOptions::default())
        .await?
        .coalesce();
    let parts = bytes.as_ref().split_last_chunk();
    Ok(
        parts
            .is_some_and(|(data, checksum)| Crc32::checksum(data) == u32::from_be_bytes(*checksum)),
    )
}

/// Whether all pages but the last, which a crash may have torn, are what was written.
async fn are_sound(blob: &impl commonware_runtime::Blob, size: u64) -> Result<bool, RuntimeError> {
    let page_bytes = u64::from(super::wiring::PAGE.get()) + CHECKSUM_SIZE;
    let pages = size / page_bytes;
    for page in 0..pages.saturating_sub(1) {
        let length = usize::try_from(page_bytes).unwrap_or(usize::MAX);
        let read = blob.read_at(page * page_bytes, length, ReadOptions::default());
        let bytes = read.await?.coalesce();
        if !is_sound(bytes.as_ref()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A page ends with two slots, each a length (2 bytes) and the CRC-32C of so many bytes of it; the longer one counts, or
/// the other if its write was torn.
fn is_sound(page: &[u8]) -> bool {
    let Some((data, slots)) = page
        .split_last_chunk::<12>()
        .filter(|(data, _)| !data.is_empty())
    else {
        return false;
    };
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *slots;
    let slots = [([a, b], [c, d, e, f]), ([g, h], [i, j, k, l])];
    slots.iter().any(|(length, checksum)| {
        let length = usize::from(u16::from_be_bytes(*length));
        let data = data.get(..length).filter(|data| !data.is_empty());
        data.is_some_and(|data| Crc32::checksum(data) == u32::from_be_bytes(*checksum))
    })
}

async fn blocks<E: Runtime>(
    context: &E,
    rules: BlockRules,
    digests: &[[u8; 32]],
    report: &mut EngineReport,
) {
    let cache = CacheRef::new(super::wiring::PAGE, super::wiring::PAGES);
    let opened = archive::blocks(&context.child("inspection"), "engine", rules, &cache).await;
    let archive = match opened {
        Ok(archive) => archive,
        Err(error) => {
            report
                .damages
                .push(EngineDamage::Archive(error.to_string()));
            return;
        }
    };
    let mut damaged: Option<(u64, u64, u64)> = None;
    for (height, digest) in (1..).zip(digests) {
        match archive.get(Identifier::Index(height)).await {
            Ok(Some(block)) if block.digest() == *digest => report.blocks += 1,
            // The engine asks other members for what it lacks.
            Ok(None) => {}
            // Nobody here knows which block it was.
            Ok(Some(_)) if *digest == [0; 32] => {}
            Ok(Some(_)) | Err(_) => {
                let (first, _, count) = damaged.unwrap_or((height, height, 0));
                damaged = Some((first, height, count + 1));
            }
        }
    }
    if let Some((first, last, count)) = damaged {
        report
            .damages
            .push(EngineDamage::Blocks { first, last, count });
    }
}

async fn certificates<E: Runtime>(context: &E, report: &mut EngineReport, heights: usize) {
    let cache = CacheRef::new(super::wiring::PAGE, super::wiring::PAGES);
    let opened = archive::certificates(&context.child("inspection"), "engine", &cache).await;
    let Ok(archive) = opened else {
        let why = "that of certificates".to_owned();
        report.damages.push(EngineDamage::Archive(why));
        return;
    };
    for (height, _) in (1..).zip(0..heights) {
        if archive.get(Identifier::Index(height)).await.is_err() {
            let file = "engine-certificates-values".to_owned();
            report.damages.push(EngineDamage::File(file));
            return;
        }
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "the library gave up on it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_counts_by_either_slot() {
        let mut page = vec![5; 64];
        let slot = |length: usize| {
            let checksum = Crc32::checksum(&page[..length]).to_be_bytes();
            [&u16::try_from(length).unwrap().to_be_bytes()[..], &checksum].concat()
        };
        let slots = [slot(20), slot(40)].concat();
        page.extend(slots);
        assert!(is_sound(&page));
        page[30] ^= 1;
        assert!(is_sound(&page), "the shorter slot still holds");
        page[3] ^= 1;
        assert!(!is_sound(&page));
        assert!(!is_sound(&[0; 76]));
        assert!(!is_sound(&[]));
    }
}
