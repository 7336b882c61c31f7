//! The disk of a node fills up while it is written to, and gets room again.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::network::Net;
use super::traffic::{Acknowledged, create};

const VICTIM: &str = "hospital";
const SIZE: &str = "size=192m";
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// Whether a small filesystem can be mounted here.
pub(super) fn may_mount() -> bool {
    let folder = std::env::temp_dir().join(format!("careledger-mount-{}", std::process::id()));
    let may =
        fs::create_dir_all(&folder).is_ok() && mount(&folder).is_ok() && unmount(&folder).is_ok();
    // Nothing is in it.
    let _removed = fs::remove_dir(&folder);
    may
}

pub(super) async fn run(net: &mut Net) -> anyhow::Result<String> {
    net.settle().await?;
    net.processes.kill(VICTIM).await?;
    let data = net.layout.member(VICTIM).data();
    let aside = data.with_extension("large");
    fs::rename(&data, &aside)?;
    fs::create_dir(&data)?;
    mount(&data)?;
    let outcome = fill(net, &data, &aside).await;
    if net.processes.is_running(VICTIM) {
        net.processes.kill(VICTIM).await?;
    }
    unmount(&data)?;
    outcome
}

async fn fill(net: &mut Net, data: &Path, aside: &Path) -> anyhow::Result<String> {
    let copied = Command::new("cp")
        .arg("-a")
        .arg(aside.join("."))
        .arg(data)
        .status()?;
    anyhow::ensure!(copied.success(), "the data cannot be copied");
    net.processes.restart(VICTIM).await?;
    let traffic = net.write()?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let ballast = data.join("ballast");
    fill_up(&ballast)?;
    let refused = until_refused(net).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let ended = net.processes.has_ended(VICTIM)?;
    let others = net.write_at(&["clinic"])?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let meanwhile = others.stop().await?;
    anyhow::ensure!(!meanwhile.is_empty(), "the others did not go on");
    fs::remove_file(&ballast)?;
    if ended.is_some() {
        net.processes.restart(VICTIM).await?;
    }
    let client = net.client(VICTIM)?;
    let patient = net.patient(VICTIM)?;
    let start = Instant::now();
    while create(&client, &patient, 0).await.is_err() {
        anyhow::ensure!(
            start.elapsed() < PATIENCE,
            "it does not write again once there is room"
        );
        tokio::time::sleep(PAUSE).await;
    }
    let mut all: Vec<Acknowledged> = traffic.stop().await?;
    all.extend(meanwhile);
    net.settle().await?;
    net.check_all(&all).await?;
    net.all_sound().await?;
    let became = match ended {
        Some(_) => format!(
            "it stopped and said `{}`, and came back when it was started again",
            last_words(net)?
        ),
        None => "it went on, and wrote again by itself".to_owned(),
    };
    Ok(format!(
        "with a full disk {VICTIM} refused writes ({refused}); {became}; all {} acknowledged versions are there",
        all.len()
    ))
}

/// Waits until a write is refused; says how.
async fn until_refused(net: &Net) -> anyhow::Result<String> {
    let client = net.client(VICTIM)?;
    let patient = net.patient(VICTIM)?;
    let body = super::traffic::body(&patient, 0);
    let start = Instant::now();
    loop {
        let answer = client.post("Observation", &body).await;
        match answer {
            Ok(answer) if answer.status() < 300 => {}
            Ok(answer) => {
                anyhow::ensure!(
                    [503, 507].contains(&answer.status()),
                    "a full disk is answered with {}: {}",
                    answer.status(),
                    answer.problem()
                );
                return Ok(format!("{}: {}", answer.status(), answer.problem()));
            }
            Err(error) => return Ok(format!("{error:#}")),
        }
        anyhow::ensure!(
            start.elapsed() < PATIENCE,
            "writes go on though the disk is full"
        );
        tokio::time::sleep(PAUSE).await;
    }
}

/// With which sentence the node ended, which has to name the disk.
fn last_words(net: &Net) -> anyhow::Result<String> {
    let log = fs::read_to_string(net.layout.member(VICTIM).log())?;
    let said = log.lines().rfind(|line| line.starts_with("careledger: "));
    let said = said.context("it did not say why it stopped")?;
    anyhow::ensure!(said.contains("is full"), "it stopped with: {said}");
    Ok(said.to_owned())
}

/// Takes all the room that is left.
fn fill_up(ballast: &Path) -> anyhow::Result<()> {
    let mut file = File::create(ballast)?;
    let mut piece = vec![0; 1 << 20];
    while !piece.is_empty() {
        if file.write_all(&piece).is_err() {
            piece.truncate(piece.len() / 2);
        }
    }
    Ok(())
}

fn mount(folder: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("mount");
    command
        .args(["-t", "tmpfs", "-o", SIZE, "tmpfs"])
        .arg(folder);
    let output = command.output().context("mount")?;
    anyhow::ensure!(output.status.success(), "mount is not permitted");
    Ok(())
}

fn unmount(folder: &Path) -> anyhow::Result<()> {
    let output = Command::new("umount").arg(folder).output()?;
    anyhow::ensure!(
        output.status.success(),
        "{} cannot be unmounted",
        folder.display()
    );
    Ok(())
}
