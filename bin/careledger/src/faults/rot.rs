//! Files of stopped nodes lose bytes: that is found, named, and mended from the other members and from a backup.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use rand::Rng as _;

use super::network::{MEMBERS, Net, said};
use super::traffic::create_large;

const WRITING: Duration = Duration::from_secs(3);
const LARGE: usize = 4;
const VICTIM: &str = "laboratory";

/// What a disk can do to a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip,
    Cut,
    Delete,
}

/// How a round ended.
enum Ended {
    /// The damage was found and mended.
    Mended,
    /// Nothing that counts was damaged.
    Harmless,
}

pub(super) async fn run(net: &mut Net, rounds: u32) -> anyhow::Result<String> {
    let traffic = net.write()?;
    let client = net.client(VICTIM)?;
    let patient = net.patient(VICTIM)?;
    let mut large = Vec::new();
    for _ in 0..LARGE {
        large.push(create_large(&client, &patient).await?);
    }
    tokio::time::sleep(WRITING).await;
    let all = traffic.stop().await?;
    net.settle().await?;
    net.processes.kill(VICTIM).await?;
    let backup = back_up(net)?;
    let (mut mended, mut harmless, mut renewed) = (0, 0, 0);
    for round in 0..rounds {
        let part = ["chain", "engine", "blobs"][usize::try_from(round)? % 3];
        let done = damage(net, part)?;
        match mend(net, &backup).with_context(|| done.clone())? {
            Ended::Mended => mended += 1,
            Ended::Harmless => harmless += 1,
        }
        if go_on(net).await.is_err() {
            renew_engine(net).await.with_context(|| done.clone())?;
            renewed += 1;
        }
        for reference in &large {
            client
                .get(reference)
                .await?
                .ok()
                .with_context(|| done.clone())?;
        }
        net.processes.kill(VICTIM).await?;
        forget_damaged(net)?;
    }
    net.processes.restart(VICTIM).await?;
    net.settle().await?;
    net.check_all(&all).await?;
    net.all_sound().await?;
    Ok(format!(
        "{rounds} damages to files of a stopped node: {mended} were found, named and mended, {harmless} touched \
         nothing that is looked at, after {renewed} of which the engine had to be renewed; {} acknowledged versions are there, and the network went on with the node each time",
        all.len()
    ))
}

/// The node starts, and comes to one block with the others.
async fn go_on(net: &mut Net) -> anyhow::Result<()> {
    net.processes.restart(VICTIM).await?;
    net.settle().await?;
    Ok(())
}

/// For a node that ends although nothing was found.
async fn renew_engine(net: &mut Net) -> anyhow::Result<()> {
    let ended = net.processes.has_ended(VICTIM)?;
    anyhow::ensure!(ended.is_some(), "the node neither goes on nor ends");
    let renewed = net.verify(VICTIM, &["--repair", "--renew-engine"])?;
    anyhow::ensure!(renewed.status.success(), "{}", said(&renewed));
    go_on(net).await
}

fn back_up(net: &Net) -> anyhow::Result<PathBuf> {
    let out = net.layout.scratch()?.join("backup");
    let output = Command::new(std::env::current_exe()?)
        .args(["backup", "--config"])
        .arg(net.layout.member(VICTIM).config())
        .arg("--out")
        .arg(&out)
        .output()?;
    anyhow::ensure!(output.status.success(), "no backup: {}", said(&output));
    Ok(out)
}

/// Damages a random file of a part, and says what was done.
fn damage(net: &mut Net, part: &str) -> anyhow::Result<String> {
    let folder = net.layout.member(VICTIM).data().join(part);
    let mut files = Vec::new();
    list(&folder, &mut files)?;
    files.retain(|(path, bytes)| *bytes > 0 && !path.ends_with("lock"));
    anyhow::ensure!(!files.is_empty(), "{} has no files", folder.display());
    files.sort_unstable();
    let (path, bytes) = files.swap_remove(net.random.random_range(0..files.len()));
    let kinds = [Damage::Flip, Damage::Flip, Damage::Cut, Damage::Delete];
    let kind = kinds[net.random.random_range(0..kinds.len())];
    let place = net.random.random_range(0..bytes);
    match kind {
        Damage::Flip => {
            let mut content = fs::read(&path)?;
            let byte = content
                .get_mut(usize::try_from(place)?)
                .context("no such byte")?;
            *byte ^= 1 << net.random.random_range(0..8);
            fs::write(&path, content)?;
        }
        Damage::Cut => fs::OpenOptions::new()
            .write(true)
            .open(&path)?
            .set_len(place)?,
        Damage::Delete => fs::remove_file(&path)?,
    }
    Ok(format!(
        "{kind:?} at {place} of {bytes} bytes of {}",
        path.display()
    ))
}

/// Has `verify --self` look, and mend what it finds.
fn mend(net: &Net, backup: &Path) -> anyhow::Result<Ended> {
    let found = net.verify(VICTIM, &[])?;
    match found.status.code() {
        Some(0) => return Ok(Ended::Harmless),
        Some(1) => {}
        code => anyhow::bail!("verify --self ended with {code:?}: {}", said(&found)),
    }
    let peer = net.url(MEMBERS[0])?;
    let backup = backup.display().to_string();
    let options = ["--repair", "--from", &peer, "--from-backup", &backup];
    let mended = net.verify(VICTIM, &options)?;
    anyhow::ensure!(
        mended.status.success(),
        "it is not mended: {}\nbefore: {}",
        said(&mended),
        said(&found)
    );
    Ok(Ended::Mended)
}

/// Removes what repairs have set aside.
fn forget_damaged(net: &Net) -> anyhow::Result<()> {
    for entry in fs::read_dir(net.layout.member(VICTIM).data())? {
        let path = entry?.path();
        if path.to_string_lossy().contains(".damaged-") {
            fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

fn list(folder: &Path, files: &mut Vec<(PathBuf, u64)>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push((path.clone(), fs::metadata(&path)?.len()));
        }
    }
    Ok(())
}
